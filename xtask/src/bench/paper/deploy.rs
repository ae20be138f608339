//! Figure 11b: an application from the web server on to a device until it runs, beside `curl`, `tar`, `docker build` and `docker run`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ecep_proto::api::application::{AddVersion, DeployApplication, Settings, Source};
use ecep_proto::api::name::ContainerId;
use ecep_proto::api::placement::Target;
use ecep_proto::api::{ApplicationDeploy, VersionAdd};

use super::figures::Way;
use super::files::{self, APPLICATION};
use super::plain_http::PlainHttp;
use super::steps::Took;
use super::upload::receive;
use super::{Contest, EDGE, LIMIT};
use crate::lab::{self, Device};
use crate::shell;
use crate::stack::Stack;

/// Of the raw tools.
const RAW: &str = "paper-raw";
/// Where the files go.
const DIRECTORY: &str = "/app";
/// The agent's own names for images of applications.
const OUR_IMAGES: &str = "reference=ecep-app/*/*";

pub(super) struct Deploy<'a> {
    stack: &'a Stack,
    folder: PathBuf,
    server: PlainHttp,
    version: Option<u32>,
    created: Option<ContainerId>,
}

impl<'a> Deploy<'a> {
    pub(super) fn new(stack: &'a Stack, folder: PathBuf) -> Result<Self> {
        let server = PlainHttp::start(stack.lab().cloud_address(), folder.clone())?;
        Ok(Self { stack, folder, server, version: None, created: None })
    }

    fn by_hand(&self, device: &Device, took: &mut Took) -> Result<()> {
        let context = context(device);
        fs::create_dir_all(context.join("files"))?;
        let packed = context.join("app.tar.gz");
        took.step("fetching", || receive(device, &self.server.url("app.tar.gz"), &packed, &[]))?;
        took.step("unpacking", || {
            let mut tar = device.command("tar");
            tar.arg("--extract").arg("--file").arg(&packed).arg("--directory").arg(context.join("files"));
            shell::output(&mut tar)?;
            Ok(fs::remove_file(&packed)?)
        })?;
        took.step("building", || {
            let text =
                format!("FROM {}\nCOPY files/ {DIRECTORY}/\nWORKDIR {DIRECTORY}\n", lab::COUNTER_IMAGE);
            fs::write(context.join("Dockerfile"), text)?;
            shell::output(device.docker().args(["build", "--quiet", "--tag", RAW]).arg(&context))
        })?;
        took.step("starting", || device.run_docker(["run", "--detach", "--name", RAW, RAW]))?;
        Ok(())
    }
}

impl Contest for Deploy<'_> {
    fn prepare(&mut self, bytes: u64) -> Result<()> {
        let packed = files::compress(&files::application(&self.folder, bytes)?)?;
        let artifact = self
            .stack
            .cloud()
            .reached_at(self.stack.cloud().url(), LIMIT)
            .upload(self.stack.tenant(), &[packed])?;
        let source = Source::Files {
            artifact,
            base: lab::COUNTER_IMAGE.into(),
            directory: Some(DIRECTORY.into()),
            install: None,
        };
        let add = AddVersion {
            application: APPLICATION.parse()?,
            source,
            settings: Settings::default(),
            note: None,
        };
        self.version = Some(self.stack.operator().ask::<VersionAdd>(&add)?.number);
        Ok(())
    }

    fn once(&mut self, way: Way, _bytes: u64) -> Result<Took> {
        let mut took = Took::default();
        match way {
            Way::Ours => {
                let order = DeployApplication {
                    application: APPLICATION.parse()?,
                    version: self.version,
                    target: Target::Devices { devices: vec![self.stack.id(EDGE).clone()] },
                    name: None,
                    settings: None,
                    operation: None,
                };
                let timed = self.stack.operator().ask_timed::<ApplicationDeploy>(&order, LIMIT)?;
                let last = timed.events.last().context("the device told no end")?;
                self.created = last.container_id.clone();
                took.order(&timed);
            }
            Way::Raw => self.by_hand(self.stack.lab().device(EDGE), &mut took)?,
        }
        Ok(took)
    }

    fn clear(&mut self) -> Result<()> {
        let device = self.stack.lab().device(EDGE);
        if let Some(container) = self.created.take() {
            self.stack.delete(EDGE, &container)?;
        }
        device.run_docker(["rm", "--force", RAW])?;
        for filter in [OUR_IMAGES.to_owned(), format!("reference={RAW}")] {
            let images = device.run_docker(["images", "--quiet", "--filter", &filter])?;
            for image in images.lines() {
                device.run_docker(["rmi", "--force", image])?;
            }
        }
        let context = context(device);
        if context.exists() {
            fs::remove_dir_all(context)?;
        }
        Ok(())
    }
}

fn context(device: &Device) -> PathBuf {
    Path::new(device.data_dir()).join("paper-context")
}

//! Figure 12: a log file out of a container to the user's computer, beside `docker cp` and `curl`. The steps are the paper's: the command
//! to the device, the copy out of the container, the transfer to the server, the word that it is there, the transfer to the user.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ecep_proto::api::container::CreateContainer;
use ecep_proto::api::file::FetchFile;
use ecep_proto::api::name::ContainerId;
use ecep_proto::api::{FileFetch, label};

use super::figures::Way;
use super::plain_http::PlainHttp;
use super::steps::Took;
use super::upload::{receive, send};
use super::{Contest, EDGE, LIMIT, USER, files};
use crate::lab;
use crate::stack::{Stack, write_secret};

/// Where the container has it.
const LOG: &str = "/paper.log";
/// What the plain web server calls it.
const NAME: &str = "log";

pub(super) struct Fetch<'a> {
    stack: &'a Stack,
    folder: PathBuf,
    server: PlainHttp,
    container: ContainerId,
    /// The engine's id of it.
    engines: String,
    /// Options of `curl` that nobody else may read.
    login: PathBuf,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(stack: &'a Stack, folder: PathBuf) -> Result<Self> {
        let server = PlainHttp::start(stack.lab().cloud_address(), folder.clone())?;
        let order = CreateContainer::new("paper-log".parse()?, lab::COUNTER_IMAGE);
        let (container, _) = stack.create(EDGE, &order, LIMIT)?;
        let filter = format!("label={}={container}", label::CONTAINER);
        let engines = stack.lab().device(EDGE).run_docker(["ps", "--quiet", "--filter", &filter])?;
        let login = folder.join("login.curl");
        let cookie = stack.cloud().cookie().context("nobody is logged in")?;
        write_secret(&login, &format!("header = \"cookie: {cookie}\""))?;
        Ok(Self { stack, folder, server, container, engines, login })
    }
}

impl Contest for Fetch<'_> {
    fn prepare(&mut self, bytes: u64) -> Result<()> {
        let log = self.folder.join("made");
        files::random(&log, bytes)?;
        let to = format!("{}:{LOG}", self.engines);
        self.stack.lab().device(EDGE).run_docker(["cp", &log.display().to_string(), &to])?;
        Ok(())
    }

    fn once(&mut self, way: Way, bytes: u64) -> Result<Took> {
        let (edge, user) = (self.stack.lab().device(EDGE), self.stack.lab().device(USER));
        let arrived = self.folder.join("arrived");
        let mut took = Took::default();
        match way {
            Way::Ours => {
                let order =
                    FetchFile { container: self.container.clone(), path: LOG.into(), operation: None };
                let timed =
                    self.stack.operator().order_timed::<FileFetch>(self.stack.id(EDGE), &order, LIMIT)?;
                took.order(&timed);
                let (cloud, tenant) = (self.stack.device_api_url(), self.stack.tenant());
                let url = format!("{cloud}/api/tenants/{tenant}/files/{}/content", timed.answer.operation);
                let login = self.login.display().to_string();
                took.step("downloading", || receive(user, &url, &arrived, &["--config", &login]))?;
            }
            Way::Raw => {
                let copied = edge.data_dir().join("paper-log");
                let from = format!("{}:{LOG}", self.engines);
                took.step("copying", || edge.run_docker(["cp", &from, &copied.display().to_string()]))?;
                took.step("sending", || send(edge, &copied, &self.server.url(NAME)))?;
                took.step("downloading", || receive(user, &self.server.url(NAME), &arrived, &[]))?;
                fs::remove_file(copied)?;
            }
        }
        files::check_size(&arrived, bytes)?;
        Ok(took)
    }

    fn clear(&mut self) -> Result<()> {
        let arrived = self.folder.join("arrived");
        if arrived.exists() {
            fs::remove_file(arrived)?;
        }
        Ok(())
    }
}

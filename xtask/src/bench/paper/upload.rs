//! Figure 11a: an application from the user's computer to the web server, compressed and divided as the paper does it, beside `gzip` and `curl`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::figures::Way;
use super::plain_http::PlainHttp;
use super::steps::Took;
use super::{Contest, LIMIT, USER, files};
use crate::lab::Device;
use crate::shell;
use crate::stack::Stack;

/// What the browser sends at once.
const PART: &str = "8388608";

pub(super) struct Upload<'a> {
    stack: &'a Stack,
    folder: PathBuf,
    server: PlainHttp,
    application: Option<PathBuf>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(stack: &'a Stack, folder: PathBuf) -> Result<Self> {
        let stored = folder.join("stored");
        fs::create_dir_all(&stored)?;
        let server = PlainHttp::start(stack.lab().cloud_address(), stored)?;
        Ok(Self { stack, folder, server, application: None })
    }
}

impl Contest for Upload<'_> {
    fn prepare(&mut self, bytes: u64) -> Result<()> {
        self.application = Some(files::application(&self.folder, bytes)?);
        Ok(())
    }

    fn once(&mut self, way: Way, _bytes: u64) -> Result<Took> {
        let application = self.application.as_deref().context("there is no application")?;
        let mut took = Took::default();
        let packed = took.step("compressing", || files::compress(application))?;
        let device = self.stack.lab().device(USER);
        match way {
            Way::Ours => {
                let parts = took.step("dividing", || divide(&packed, &self.folder.join("parts")))?;
                let cloud = self.stack.cloud().reached_at(&self.stack.device_api_url(), LIMIT);
                took.step("sending", || device.inside(|| cloud.upload(self.stack.tenant(), &parts)))?;
            }
            Way::Raw => {
                took.step("sending", || send(device, &packed, &self.server.url("app.tar.gz")))?;
            }
        }
        Ok(took)
    }

    fn clear(&mut self) -> Result<()> {
        let parts = self.folder.join("parts");
        if parts.exists() {
            fs::remove_dir_all(parts)?;
        }
        Ok(())
    }
}

/// Into files of [`PART`] bytes.
fn divide(file: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(into)?;
    let mut split = std::process::Command::new("split");
    shell::output(split.args(["--bytes", PART, "--suffix-length", "4"]).arg(file).arg(into.join("part-")))?;
    let mut parts = fs::read_dir(into)?.map(|part| Ok(part?.path())).collect::<Result<Vec<_>>>()?;
    parts.sort();
    Ok(parts)
}

/// As anybody would.
pub(super) fn send(device: &Device, file: &Path, url: &str) -> Result<()> {
    let mut curl = device.command("curl");
    // Without the question whether it may, which would cost a second.
    curl.args(["--silent", "--show-error", "--fail", "--header", "Expect:", "--upload-file"])
        .arg(file)
        .arg(url);
    shell::output(&mut curl).map(drop)
}

/// As anybody would; `more` are options of `curl`.
pub(super) fn receive(device: &Device, url: &str, file: &Path, more: &[&str]) -> Result<()> {
    let mut curl = device.command("curl");
    curl.args(["--silent", "--show-error", "--fail"]).args(more).arg("--output").arg(file).arg(url);
    shell::output(&mut curl).map(drop)
}

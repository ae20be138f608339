//! Builds what runs in the cloud and on devices, and finds the built programs. xtask starts them and never links them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::{shell, workspace};

/// The built programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The WAMP router.
    pub router: PathBuf,
    /// The control plane, with the web application inside.
    pub dashboard_api: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The runtime that restores moved containers.
    pub runtime: PathBuf,
    /// The third-party client in Rust.
    pub telemetry_rust: PathBuf,
}

impl Programs {
    /// Builds the web application and then the programs. Does little where nothing has changed.
    ///
    /// # Errors
    /// A compiler refuses; what it says is on stderr.
    pub fn build() -> Result<Self> {
        Self::build_with(&[])
    }

    /// The same, beside tests: those ask more of some dependencies, so programs that are built without them would all be
    /// compiled once more.
    ///
    /// # Errors
    /// See [`Programs::build`].
    pub fn build_with_tests() -> Result<Self> {
        Self::build_with(&["--tests"])
    }

    /// The same, as it is delivered: for measuring.
    ///
    /// # Errors
    /// See [`Programs::build`].
    pub fn build_release() -> Result<Self> {
        Self::build_with(&["--release"])
    }

    fn build_with(options: &[&str]) -> Result<Self> {
        build_web()?;
        let mut built = build_rust(&[&["--workspace"], options].concat())?;
        let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no {name}"));
        Ok(Self {
            router: take("ecep-router")?,
            dashboard_api: take("ecep-dashboard-api")?,
            agent: take("ecep-agent")?,
            runtime: take("ecep-runtime")?,
            telemetry_rust: take("telemetry-rust")?,
        })
    }
}

/// Builds programs of the workspace, which `options` choose, and answers them by name.
pub(crate) fn build_rust(options: &[&str]) -> Result<HashMap<String, PathBuf>> {
    let mut command = Command::new(env!("CARGO"));
    // What `cargo run` tells us of ourselves. Some build scripts run anew whenever it changes, as it does between that and
    // a person's own `cargo build`.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.to_string_lossy().starts_with(of)) {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(workspace())
        .args(["build", "--bins", "--message-format=json-render-diagnostics"])
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo cannot build the programs; it says why above");
    }
    let mut programs = HashMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(line).context("cargo's report is no JSON")?;
        let is_program = message["target"]["kind"][0] == "bin" && message["profile"]["test"] == false;
        if let (true, Some(name), Some(path)) =
            (is_program, message["target"]["name"].as_str(), message["executable"].as_str())
        {
            programs.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(programs)
}

fn build_web() -> Result<()> {
    let web = workspace().join("web");
    if !web.join("index.html").exists() {
        bail!("{} has no index.html; is the working copy complete?", web.display());
    }
    let built = fs::metadata(web.join("dist/index.html")).and_then(|metadata| metadata.modified());
    if built.is_ok_and(|built| newest(&web).is_ok_and(|newest| newest < built)) {
        return Ok(());
    }
    shell::show(Command::new("npm").args(["run", "--silent", "build"]).current_dir(web))
}

/// When the last of the web application's own files was changed.
fn newest(folder: &Path) -> Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !metadata.is_dir() {
            latest = latest.max(metadata.modified()?);
        } else if entry.file_name() != "node_modules" && entry.file_name() != "dist" {
            latest = latest.max(newest(&entry.path())?);
        }
    }
    Ok(latest)
}

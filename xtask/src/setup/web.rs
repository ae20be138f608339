//! What the web application and the JavaScript example depend on, by npm, as their lock files say.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::progress;
use crate::{shell, workspace};

/// What the web tool chain supports.
const OLDEST_NODE: u32 = 20;

pub(super) fn install() -> Result<()> {
    for package in ["web", "examples/telemetry-js"] {
        install_in(package, &workspace().join(package))?;
    }
    Ok(())
}

fn install_in(package: &str, folder: &Path) -> Result<()> {
    let (wanted, installed) =
        (folder.join("package-lock.json"), folder.join("node_modules/.package-lock.json"));
    if !wanted.exists() {
        return Ok(());
    }
    // npm writes its own note last; it is as new as what it installed.
    let changed = |path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if let (Ok(wanted), Ok(installed)) = (changed(&wanted), changed(&installed))
        && installed >= wanted
    {
        return Ok(());
    }
    progress(&format!("installing what {package} depends on"));
    shell::show(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
        .with_context(|| format!("cannot install what {package} depends on; is there a network?"))
}

pub(super) fn check_node() -> Result<()> {
    let Ok(version) = shell::run("node", ["--version"]) else {
        bail!("Node.js is missing; install version {OLDEST_NODE} or newer, with npm");
    };
    let version = version.trim();
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        bail!("Node.js {version} is too old; install version {OLDEST_NODE} or newer");
    }
    if !shell::is_on_path("npm") {
        bail!("npm is missing; install it beside Node.js");
    }
    Ok(())
}

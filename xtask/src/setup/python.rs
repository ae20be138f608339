//! A Python environment with the third-party WAMP client that tests run against the router.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache_dir, make_empty, progress};
use crate::shell;

/// What is installed; a change makes set-up build the environment anew.
const REQUIREMENTS: &str = include_str!("requirements.txt");

pub(super) fn interpreter() -> PathBuf {
    cache_dir().join("python/bin/python")
}

/// Debian's Python leaves out what `venv` needs, until python3-venv is installed.
pub(super) fn can_make_environments() -> bool {
    let folder = cache_dir().join("python");
    folder.join("bin/pip").exists() || shell::run("python3", ["-c", "import ensurepip, venv"]).is_ok()
}

pub(super) fn install() -> Result<()> {
    install_into(&cache_dir().join("python"), REQUIREMENTS, "the Python WAMP client")
}

/// Makes an environment with these packages, if it is not there yet.
pub(super) fn install_into(folder: &Path, requirements: &str, what: &str) -> Result<()> {
    let note = folder.join("requirements.txt");
    let interpreter = folder.join("bin/python");
    if fs::read_to_string(&note).is_ok_and(|text| text == requirements) && interpreter.exists() {
        return Ok(());
    }
    progress(&format!("installing {what}"));
    make_empty(folder)?;
    shell::show(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, requirements)?;
    shell::show(
        Command::new(interpreter).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted),
    )
    .context("cannot install Python packages; is there a network?")?;
    // Last, so that an interrupted installation is begun anew.
    fs::rename(wanted, note)?;
    Ok(())
}

//! Makes a machine ready to build, test and run ECEP: installs what is missing, by the machine's own package clients,
//! and does nothing where nothing is missing. What is not part of the system goes to `.lab/.cache` in the working copy.

mod apt;
mod criu;
mod mirror;
mod peers;
mod python;
mod release;
mod web;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use peers::{Peers, peers};
pub use release::release_root;

use crate::{shell, workspace};

/// Installs what is missing.
///
/// # Errors
/// Something is missing that cannot be installed: not root, no network, no apt, no Node; the message says what to do.
pub fn run() -> Result<()> {
    let _lock = lock()?;
    web::check_node()?;
    apt::install_missing()?;
    apt::unpack_registry()?;
    if let Err(reason) = criu::make_ready() {
        progress(&format!(
            "warning: no CRIU that works on this kernel, so nothing can be live-migrated: {reason:#}"
        ));
    }
    web::install()?;
    python::install()
}

/// Waits until no other set-up is at work; the file's drop lets the next one in.
fn lock() -> Result<File> {
    let path = cache_dir().join("lock");
    fs::create_dir_all(cache_dir()).with_context(|| format!("cannot create {}", cache_dir().display()))?;
    let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    lock.lock().context("cannot wait for another set-up to end")?;
    Ok(lock)
}

/// The folder of a `criu` of our own, to be put before the PATH; none where the system's is good.
pub fn criu_folder() -> Option<PathBuf> {
    criu::own_folder()
}

/// The registry program: the system's, or the one that set-up unpacked.
pub fn registry_program() -> PathBuf {
    apt::registry_program()
}

/// The Python interpreter that has the third-party WAMP client.
pub fn python_interpreter() -> PathBuf {
    python::interpreter()
}

/// What is worth keeping between labs. Labs' names cannot begin with a dot, so it is nobody's.
fn cache_dir() -> PathBuf {
    workspace().join(".lab/.cache")
}

fn progress(text: &str) {
    eprintln!("setup: {text}");
}

fn require_root(what: &str) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("{what}, which only root may do; run it with sudo");
    }
    Ok(())
}

/// Empties a folder, or makes it.
fn make_empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// Unpacks every package of a folder into another one, without installing it.
fn unpack_packages(packages: &Path, into: &Path) -> Result<()> {
    let mut found = false;
    for entry in fs::read_dir(packages).with_context(|| format!("cannot read {}", packages.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            shell::run("dpkg-deb", [Path::new("--extract"), &path, into])?;
            found = true;
        }
    }
    if !found {
        bail!("no package was downloaded to {}", packages.display());
    }
    Ok(())
}

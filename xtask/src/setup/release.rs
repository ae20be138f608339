//! Root file systems of other Debian releases, with the Docker engine of that release: made once by debootstrap, kept in
//! the cache. Only the tests of engines want them, so the everyday set-up does not make them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{apt, cache_dir, lock, make_empty, mirror::Mirror, progress, require_root};
use crate::shell;

/// What an engine and an agent need, beyond what is always there. CRIU is for kernels where the machine's own is good too.
const PACKAGES: &str = "docker.io,iptables,iproute2,criu,libssl3t64";

/// debootstrap knows the releases that were there when it was made; since Debian 13 all are made as this one.
const SCRIPT: &str = "/usr/share/debootstrap/scripts/sid";

/// The folder with the root file system of that release (its suite, such as `trixie`). It takes a minute or two where it is
/// not there yet.
///
/// # Errors
/// Not root, no Debian mirror, or the packages cannot be fetched; debootstrap's own words are in the message.
pub fn release_root(suite: &str) -> Result<PathBuf> {
    let _lock = lock()?;
    let home = cache_dir().join("releases");
    let (root, note) = (home.join(suite), home.join(format!("{suite}.packages")));
    if root.is_dir() && fs::read_to_string(&note).is_ok_and(|text| text == PACKAGES) {
        return Ok(root);
    }
    require_root(&format!("the root file system of Debian {suite} must be made"))?;
    apt::install_program("debootstrap", "debootstrap")?;
    progress(&format!("making a root file system of Debian {suite}"));
    let draft = home.join(format!("{suite}.new"));
    make_empty(&draft)?;
    make_empty(&root)?;
    bootstrap(suite, &draft).with_context(|| format!("cannot make a root file system of Debian {suite}"))?;
    fs::rename(&draft, &root)?;
    // Last, so that an interrupted installation is begun anew.
    fs::write(note, PACKAGES)?;
    Ok(root)
}

fn bootstrap(suite: &str, folder: &Path) -> Result<()> {
    let mirror = Mirror::find()?;
    // It mounts things in there: in a mount namespace of its own, nothing is left mounted, whatever happens.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "slave", "debootstrap", "--variant=minbase"]);
    command.arg(format!("--include={PACKAGES}"));
    // Where the key itself is in the machine's sources, debootstrap's own keyring must do.
    if let Some(key) = mirror.key.filter(|key| key.starts_with('/')) {
        command.arg(format!("--keyring={key}"));
    }
    let uri = mirror.uris.split_whitespace().next().unwrap_or_default();
    command.arg(suite).arg(folder).args([uri, SCRIPT]);
    shell::output(command.env("LC_ALL", "C"))?;
    // Installed, the packages themselves are only weight.
    make_empty(&folder.join("var/cache/apt/archives"))
}

//! Writes what is generated from the catalogue, so that it can be committed.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{shell, workspace};

/// Writes `web/src/api/generated.ts` and `docs/api.md`.
///
/// # Errors
/// The control plane, which knows the HTTP endpoints, cannot be built; or the disk refuses.
pub fn run() -> Result<()> {
    write("web/src/api/generated.ts", ecep_proto::api::typescript::generate())?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(workspace()).args(["run", "--quiet", "-p", "ecep-dashboard-api", "--", "reference"]);
    write("docs/api.md", shell::output(&mut cargo)?)
}

fn write(path: &str, text: String) -> Result<()> {
    let path = workspace().join(path);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        eprintln!("{} is fresh", path.display());
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

//! Writes what is generated from the catalogue, so that it can be committed.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

/// Writes `web/src/api/generated.ts`.
///
/// # Errors
/// The disk refuses.
pub fn run() -> Result<()> {
    let path = workspace().join("web/src/api/generated.ts");
    let text = ecep_proto::api::typescript::generate();
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        eprintln!("{} is fresh", path.display());
        return Ok(());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

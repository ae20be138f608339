//! Files of figures that are kept, in `docs/measured`. What the figures say is not known here.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

/// Reads a kept file; nothing where there is none.
///
/// # Errors
/// It is damaged.
pub(super) fn read<T: DeserializeOwned + Default>(file: &Path) -> Result<T> {
    match fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        text => serde_json::from_slice(&text?).with_context(|| format!("{} is damaged", file.display())),
    }
}

/// Writes a file to keep.
///
/// # Errors
/// The disk refuses.
pub(super) fn write(file: &Path, json: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{json}\n")).with_context(|| format!("cannot write {}", file.display()))
}

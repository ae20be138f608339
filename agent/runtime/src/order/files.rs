//! The files of orders: JSON that appears complete or not at all, in folders that nobody else could have written to.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use super::OrderError;

pub(super) fn check_safe(folder: &Path) -> Result<(), OrderError> {
    let is_safe = fs::symlink_metadata(folder).is_ok_and(|found| {
        found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
    });
    if folder.is_absolute() && is_safe { Ok(()) } else { Err(OrderError::Unsafe(folder.into())) }
}

pub(super) fn exists(path: &Path) -> Result<bool, OrderError> {
    path.try_exists().map_err(at(path))
}

/// The file appears complete or not at all.
pub(super) fn write(path: &Path, content: &impl Serialize) -> Result<(), OrderError> {
    let text =
        serde_json::to_vec(content).map_err(|error| OrderError::Content { path: path.into(), error })?;
    let draft = path.with_extension("new");
    fs::write(&draft, text).map_err(at(&draft))?;
    fs::rename(&draft, path).map_err(at(path))
}

pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, OrderError> {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(content) => Ok(Some(content)),
            Err(error) => Err(OrderError::Content { path: path.into(), error }),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OrderError::Io { path: path.into(), error }),
    }
}

pub(super) fn remove_tree(folder: &Path) -> Result<(), OrderError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(OrderError::Io { path: folder.into(), error })
        }
        _ => Ok(()),
    }
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OrderError {
    let path = path.to_owned();
    move |error| OrderError::Io { path, error }
}

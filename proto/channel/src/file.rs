//! Files that must be whole or absent, and secret or refused. Owns no meaning of what is in them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Only the owner may read it.
const SECRET: u32 = 0o600;
/// Bits that let somebody else read or write.
const OTHERS: u32 = 0o077;

/// Writes all of `content` or nothing: a temporary file, flushed to the disk, then renamed.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(SECRET).open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

/// Creates a file that only its owner may read; fails if it is there already.
pub(crate) fn create_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(SECRET).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Reads a secret; refuses one that others could have read.
pub(crate) fn read_secret(path: &Path) -> io::Result<String> {
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & OTHERS != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "others may read this secret (mode {:o}); run: chmod 600 {}",
                mode & 0o777,
                path.display()
            ),
        ));
    }
    std::fs::read_to_string(path)
}

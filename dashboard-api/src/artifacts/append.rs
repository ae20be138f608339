//! Writes a part of an upload behind what has arrived. What it has written counts as soon as it is on the disk, however it ends; a part
//! with a checksum counts whole or not at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{UploadError, disk};

/// Bytes that are collected before they are written, for each part that is on its way.
const BUFFER: usize = 256 * 1024;

/// The name of the file that says where a part began that has not been compared with its checksum.
pub(super) fn unchecked(path: &Path) -> PathBuf {
    path.with_extension("unchecked")
}

/// Bytes that have arrived of an upload. A part whose checksum was not compared, because the program was killed meanwhile, is dropped.
/// Blocks; nobody else may be at work on it.
pub(super) fn recovered(path: &Path) -> io::Result<u64> {
    let mark = unchecked(path);
    match std::fs::read_to_string(&mark) {
        Ok(text) => {
            let file = OpenOptions::new().write(true).open(path)?;
            let length = file.metadata()?.len();
            // A mark that was not written to its end: nothing was written behind it.
            if let Ok(from) = text.parse::<u64>()
                && from < length
            {
                file.set_len(from)?;
                file.sync_all()?;
            }
            disk::remove(&mark)?;
            disk::sync_folder_of(&mark)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(std::fs::metadata(path)?.len())
}

/// Appends to an upload's file.
pub struct Appender {
    path: PathBuf,
    file: File,
    began: u64,
    /// Bytes on the way to the disk, and the file's length without them.
    buffer: Vec<u8>,
    written: u64,
    most: u64,
    keep_free: u64,
    checksum: Option<(Sha256, [u8; 32])>,
}

impl Appender {
    /// Goes on at `offset`, the file's length, up to `most` bytes in all.
    pub(super) async fn open(
        path: PathBuf,
        offset: u64,
        most: u64,
        keep_free: u64,
        checksum: Option<[u8; 32]>,
    ) -> Result<Self, UploadError> {
        let opened = disk::blocking(move || {
            if checksum.is_some() {
                disk::write_file(&unchecked(&path), offset.to_string().as_bytes())?;
            }
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            Ok((path, file))
        });
        let (path, file) = opened.await?;
        Ok(Self {
            path,
            file,
            began: offset,
            buffer: Vec::with_capacity(BUFFER),
            written: offset,
            most,
            keep_free,
            checksum: checksum.map(|wanted| (Sha256::new(), wanted)),
        })
    }

    /// Takes some bytes.
    ///
    /// # Errors
    /// `TooLong`, `Full` or `Disk`; what was written before stays.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        if self.written + (self.buffer.len() + bytes.len()) as u64 > self.most {
            return Err(UploadError::TooLong(self.most));
        }
        if let Some((hash, _)) = &mut self.checksum {
            hash.update(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), UploadError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER));
        let (mut file, path, keep_free) = (self.file.try_clone()?, self.path.clone(), self.keep_free);
        let length = buffer.len() as u64;
        let has_room = disk::blocking(move || {
            if disk::free(&path)? < keep_free.saturating_add(buffer.len() as u64) {
                return Ok(false);
            }
            file.write_all(&buffer)?;
            Ok(true)
        });
        if !has_room.await? {
            return Err(UploadError::Full);
        }
        self.written += length;
        Ok(())
    }

    /// The part is over: `Ok` if all of it has come. The upload's bytes, which are on the disk.
    ///
    /// # Errors
    /// That which was told; `Checksum`, or `Disk`.
    pub async fn end(mut self, told: Result<(), UploadError>) -> Result<u64, UploadError> {
        let outcome = told.and(self.write().await);
        let has_mark = self.checksum.is_some();
        let is_good = self
            .checksum
            .take()
            .is_none_or(|(hash, wanted)| outcome.is_ok() && <[u8; 32]>::from(hash.finalize()) == wanted);
        let (file, path, began) = (self.file, self.path, self.began);
        let synced = disk::blocking(move || {
            if !is_good {
                file.set_len(began)?;
            }
            file.sync_all()?;
            if has_mark {
                disk::remove(&unchecked(&path))?;
                disk::sync_folder_of(&path)?;
            }
            Ok(file.metadata()?.len())
        });
        let length = synced.await?;
        outcome?;
        if is_good { Ok(length) } else { Err(UploadError::Checksum) }
    }
}

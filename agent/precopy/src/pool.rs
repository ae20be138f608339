//! The pages that have come, in one file that nobody else can open and that is gone with its owner: a pool belongs to one
//! container and one move.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::page::{PAGE, PageHash, hash};

/// Why a page was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// More than was agreed upon.
    #[error("the source sent more than {0} pages")]
    Full(u32),
    /// A piece that is not whole pages.
    #[error("{0} bytes are not whole pages")]
    Ragged(usize),
    /// A number that no page has.
    #[error("there is no page {0}")]
    Unknown(u32),
    /// The disk refuses, or memory is full.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Pages by number. Takes their size on the file system that it lies on, and 32 bytes of memory for each.
#[derive(Debug)]
pub struct Pool {
    file: File,
    hashes: Vec<PageHash>,
    limit: u32,
}

impl Pool {
    /// Makes one in a folder: on a tmpfs where it fits, for speed. It has no name there, so that it is gone when dropped.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn make(folder: &Path, limit: u32) -> io::Result<Self> {
        let path = folder.join("pool");
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self { file, hashes: Vec::new(), limit })
    }

    /// Adds pages, one after the other; each is named by its content, whatever the source says.
    ///
    /// # Errors
    /// See [`PoolError`].
    pub fn add(&mut self, pages: &[u8]) -> Result<(), PoolError> {
        if !pages.len().is_multiple_of(PAGE) {
            return Err(PoolError::Ragged(pages.len()));
        }
        if self.hashes.len() + pages.len() / PAGE > self.limit as usize {
            return Err(PoolError::Full(self.limit));
        }
        let offset = (self.hashes.len() * PAGE) as u64;
        self.file.write_all_at(pages, offset)?;
        self.hashes.extend(pages.chunks_exact(PAGE).map(hash));
        Ok(())
    }

    /// The names of pages, by number.
    ///
    /// # Errors
    /// There are none of these numbers.
    pub fn hashes(&self, from: u32, count: u32) -> Result<&[PageHash], PoolError> {
        let (start, end) = (from as usize, from as usize + count as usize);
        self.hashes.get(start..end).ok_or(PoolError::Unknown(from.saturating_add(count).saturating_sub(1)))
    }

    /// Copies pages into a file.
    ///
    /// # Errors
    /// There are none of these numbers, or the disk refuses.
    pub fn copy(&self, from: u32, count: u32, into: &File) -> Result<(), PoolError> {
        self.hashes(from, count)?;
        let mut offset = u64::from(from) * PAGE as u64;
        let mut left = count as usize * PAGE;
        while left > 0 {
            let copied =
                rustix::fs::sendfile(into, &self.file, Some(&mut offset), left).map_err(io::Error::from)?;
            if copied == 0 {
                return Err(PoolError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            left -= copied;
        }
        Ok(())
    }

    /// How many pages there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Memory of a container: its blocks go now, whoever still has the file open.
        let length = (self.hashes.len() * PAGE) as u64;
        if length > 0 {
            let _ = rustix::fs::fallocate(
                &self.file,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                0,
                length,
            );
        }
    }
}

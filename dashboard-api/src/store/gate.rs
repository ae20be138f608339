//! The gate that every change of the store goes through: it stands still while a copy is taken, refuses what the disk
//! has no room for, and refuses everything once sled has failed.
//!
//! Must not know what the rows mean. After a failed write sled takes no more until it is opened again, so a change is
//! refused before the disk is full to the last byte: then all goes on by itself as soon as there is room.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::StoreError;

/// Room that changes leave on the disk. sled writes on its own to clean up, half a megabyte at a time.
pub const KEEP_FREE_BYTES: u64 = 16 * 1024 * 1024;

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It takes changes.
    Good,
    /// The disk is full: changes are refused until there is room.
    Full,
    /// A write failed: changes are refused until the process is started again, and sled may refuse to read. What the
    /// system said.
    Failed(String),
}

/// One for each open store.
pub(super) struct Gate {
    db: sled::Db,
    folder: PathBuf,
    keep_free: u64,
    /// Read by changes, written by copies. Held for one change, never over an await.
    still: RwLock<()>,
    failed: OnceLock<String>,
    is_full: AtomicBool,
}

impl Gate {
    pub(super) fn new(db: sled::Db, folder: &Path, keep_free: u64) -> Self {
        let (failed, is_full) = (OnceLock::new(), AtomicBool::new(false));
        Self { db, folder: folder.to_owned(), keep_free, still: RwLock::default(), failed, is_full }
    }

    /// Makes a change, if it may be made now.
    pub(super) fn change<T, E: Into<StoreError>>(
        &self,
        change: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, StoreError> {
        self.has_not_failed()?;
        if !self.has_room(self.keep_free) {
            return Err(StoreError::Full { folder: self.folder.clone() });
        }
        let _moving = self.still.read().unwrap_or_else(PoisonError::into_inner);
        self.judge(change().map_err(Into::into))
    }

    /// Whether sled still works; if not, waiting for it might take for ever.
    pub(super) fn has_not_failed(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |why| Err(StoreError::Failed { why: why.clone() }))
    }

    /// Nothing changes while this looks.
    pub(super) fn still<T>(&self, look: impl FnOnce() -> T) -> T {
        let _still = self.still.write().unwrap_or_else(PoisonError::into_inner);
        look()
    }

    /// Remembers a failure of sled that only a new start mends.
    pub(super) fn judge<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Sled(error)) = &outcome {
            let why = error.to_string();
            if self.failed.set(why.clone()).is_ok() {
                // A sled that could not write waits for ever for its own log when it is closed. So it never is: the
                // process ends without it, as if it were killed, which loses nothing that was answered.
                std::mem::forget(self.db.clone());
                tracing::error!(
                    error = why,
                    "the store failed and takes no more changes; see to the disk, then start the control plane again"
                );
            }
            return outcome.map_err(|_| StoreError::Failed { why });
        }
        outcome
    }

    pub(super) fn health(&self) -> Health {
        match self.failed.get() {
            Some(why) => Health::Failed(why.clone()),
            None if self.has_room(self.keep_free) => Health::Good,
            None => Health::Full,
        }
    }

    /// Whether a process that starts now would find room for more than a few changes.
    pub(super) fn has_room_to_start(&self) -> bool {
        self.has_room(2 * KEEP_FREE_BYTES)
    }

    fn has_room(&self, wanted: u64) -> bool {
        // If the system can't say, the write itself will.
        let has_room = bytes_left(&self.folder).map_or(true, |left| left >= wanted);
        if wanted == self.keep_free && self.is_full.swap(!has_room, Ordering::Relaxed) == has_room {
            if has_room {
                tracing::info!("there is room on the disk again: changes are taken");
            } else {
                tracing::error!(
                    folder = %self.folder.display(),
                    keep_free_bytes = wanted,
                    "the disk is full: changes are refused until there is room"
                );
            }
        }
        has_room
    }
}

fn bytes_left(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

//! The data folder: which names in it belong to the store, who may open it, and how a store is put in another's place
//! so that a crash leaves the one or the other.
//!
//! Must not know what the rows mean.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::StoreError;

/// sled's folder.
const STORE: &str = "store";
/// A store that is being made, to become the store.
const NEW: &str = "store.new";
/// The store as it was before the last migration. Policy: one is kept, the last.
const BEFORE: &str = "store.before-migration";
/// Locked by the process that has the store open.
const LOCK: &str = "lock";

/// sled's cache. All of a fleet of ten thousand devices fits in it.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// sled's threads let go of its file within moments after it was closed.
const CLOSES_WITHIN: Duration = Duration::from_secs(30);

/// A data folder that no other process uses.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, locks it, and ends what a crash left half done.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Self::lock(path)?;
        folder.settle()?;
        Ok(folder)
    }

    /// For a store that is about to come from elsewhere: nothing may be there.
    pub(super) fn open_empty(path: &Path) -> Result<Self, StoreError> {
        let folder = Self::lock(path)?;
        let entries = fs::read_dir(path).map_err(|error| folder.failed(error))?;
        for entry in entries {
            let name = entry.map_err(|error| folder.failed(error))?.file_name();
            if name != LOCK {
                return Err(StoreError::NotEmpty { folder: path.to_owned(), name: name.into() });
            }
        }
        Ok(folder)
    }

    fn lock(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::Folder { folder: path.to_owned(), error };
        make_private(path).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// sled's file, which holds all but the largest rows.
    pub(super) fn file(&self) -> Result<File, StoreError> {
        File::open(self.path.join(STORE).join("db")).map_err(|error| self.failed(error))
    }

    pub(super) fn has_store(&self) -> bool {
        self.path.join(STORE).exists()
    }

    /// Opens the store, or makes an empty one.
    pub(super) fn open_store(&self) -> Result<sled::Db, StoreError> {
        self.open_sled(STORE)
    }

    /// Makes a store that becomes *the* store by [`Folder::replace`] or [`Folder::place`].
    pub(super) fn make(
        &self,
        fill: impl FnOnce(&sled::Db) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.remove(NEW)?;
        let new = self.open_sled(NEW)?;
        fill(&new)?;
        self.close(new, NEW)?;
        sync_all(&self.path.join(NEW)).map_err(|error| self.failed(error))
    }

    /// Puts the new store in the old one's place; the old one is kept.
    pub(super) fn replace(&self, old: sled::Db) -> Result<(), StoreError> {
        self.close(old, STORE)?;
        self.remove(BEFORE)?;
        self.rename(STORE, BEFORE)?;
        self.rename(NEW, STORE)
    }

    /// Makes the new store the first one of this folder.
    pub(super) fn place(&self) -> Result<(), StoreError> {
        self.rename(NEW, STORE)
    }

    /// Removes the new store.
    pub(super) fn discard(&self) -> Result<(), StoreError> {
        self.remove(NEW)
    }

    /// Ends what a crash left half done.
    fn settle(&self) -> Result<(), StoreError> {
        let is_there = |name: &str| self.path.join(name).exists();
        match (is_there(STORE), is_there(NEW), is_there(BEFORE)) {
            // Not finished: the store itself is untouched.
            (true, true, _) => self.remove(NEW),
            // It was finished before the old one was moved away.
            (false, true, true) => self.rename(NEW, STORE),
            (false, true, false) => Err(StoreError::HalfRestored { folder: self.path.clone() }),
            _ => Ok(()),
        }
    }

    fn open_sled(&self, name: &str) -> Result<sled::Db, StoreError> {
        let path = self.path.join(name);
        sled::Config::new().path(path).cache_capacity(CACHE_BYTES).open().map_err(|error| match error {
            sled::Error::Io(error) if is_lock_error(&error) => {
                StoreError::InUse { folder: self.path.clone() }
            }
            sled::Error::Io(error) => self.failed(error),
            other => StoreError::Sled(other),
        })
    }

    /// Closes sled for good: nothing of it writes into that folder any more.
    fn close(&self, db: sled::Db, name: &str) -> Result<(), StoreError> {
        drop(db);
        let deadline = Instant::now() + CLOSES_WITHIN;
        let file = File::open(self.path.join(name).join("db")).map_err(|error| self.failed(error))?;
        loop {
            match file.try_lock() {
                // Not by closing the file alone: a child process that is just being started has it open too.
                Ok(()) => return file.unlock().map_err(|error| self.failed(error)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(self.failed(error.into())),
            }
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let done = fs::rename(self.path.join(from), self.path.join(to));
        done.and_then(|()| File::open(&self.path)?.sync_all()).map_err(|error| self.failed(error))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match fs::remove_dir_all(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn failed(&self, error: io::Error) -> StoreError {
        StoreError::Folder { folder: self.path.clone(), error }
    }
}

/// Only this user may look into the data folder.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// sled waits for its data only, not for the file's length.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

/// sled wraps the lock's error into one of kind `Other` and keeps only its text.
fn is_lock_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

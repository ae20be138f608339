//! The receiver's directory: what is coming, what has arrived, and nothing in between that could be taken for whole.
//! `<directory>/<name>` is complete and verified; everything else is under `.receiving`. Blocks; runs on a thread of its own.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs as sys;
use serde::{Deserialize, Serialize};

use super::{
    TransferError, TreeError,
    name::ItemName,
    source::Held,
    unpack,
    wire::{Announcement, CHUNK, HASH, Kind},
};
use crate::file;

/// Where items live while they are not whole. No item's name begins with a dot.
const RECEIVING: &str = ".receiving";

/// A directory that belongs to one transfer.
#[derive(Debug, Clone)]
pub struct Inbox {
    directory: PathBuf,
    limit: u64,
    flushes: bool,
}

/// Written beside an item that is in place.
#[derive(Serialize, Deserialize)]
struct Arrived {
    length: u64,
    hash: String,
}

/// An item on its way.
pub(crate) struct Incoming {
    inbox: Inbox,
    item: Announcement,
    part: File,
    part_path: PathBuf,
    length: u64,
    hasher: blake3::Hasher,
    arrived: Option<Held>,
}

impl Inbox {
    /// Opens or makes it (mode 0700). `limit` bounds each item's content in bytes, as agreed upon before the transfer.
    pub fn open(directory: &Path, limit: u64) -> Result<Self, TransferError> {
        let inbox = Self { directory: directory.to_owned(), limit, flushes: true };
        let receiving = directory.join(RECEIVING);
        DirBuilder::new().recursive(true).mode(0o700).create(&receiving).map_err(at(&receiving))?;
        Ok(inbox)
    }

    /// Does not wait for the disk: for what is of no use after a crash of the machine anyway.
    #[must_use]
    pub fn without_flushing(self) -> Self {
        Self { flushes: false, ..self }
    }

    /// Where an item is once it was stored.
    pub fn path(&self, name: &ItemName) -> PathBuf {
        self.directory.join(name.as_path())
    }

    /// Removes everything that is not whole: when no further attempt will come.
    pub fn discard_partial(&self) -> Result<(), TransferError> {
        let receiving = self.directory.join(RECEIVING);
        std::fs::remove_dir_all(&receiving).map_err(at(&receiving))?;
        DirBuilder::new().mode(0o700).create(&receiving).map_err(at(&receiving))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn own(&self, name: &ItemName, what: &str) -> PathBuf {
        let id = blake3::hash(name.as_str().as_bytes()).to_hex();
        self.directory.join(RECEIVING).join(format!("{id}.{what}"))
    }

    /// Makes the directories above an item; none of them may be a link that an earlier item brought.
    fn make_parents(&self, name: &ItemName) -> Result<(), TransferError> {
        let mut at_path = self.directory.clone();
        for part in name.as_path().parent().into_iter().flat_map(Path::components) {
            at_path.push(part);
            match DirBuilder::new().mode(0o700).create(&at_path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(at(&at_path))?,
            }
            if !at_path.symlink_metadata().map_err(at(&at_path))?.is_dir() {
                return Err(TransferError::Tree(TreeError::Refused {
                    path: name.as_path().to_owned(),
                    what: "it lies in something that is no directory",
                }));
            }
        }
        Ok(())
    }

    fn free(&self) -> Result<u64, TransferError> {
        let stat = sys::statvfs(&self.directory).map_err(|error| at(&self.directory)(error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// An error of the disk, told apart from a full one.
    fn failed(&self, path: &Path, source: io::Error, needed: Option<u64>) -> TransferError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => TransferError::DiskFull {
                path: self.directory.clone(),
                needed,
                free: self.free().unwrap_or(0),
            },
            _ => at(path)(source),
        }
    }
}

impl Incoming {
    /// Looks at what is there of an item. Waits for an earlier attempt that is still writing.
    pub(crate) fn open(inbox: &Inbox, item: Announcement) -> Result<(Self, Held), TransferError> {
        if item.length.is_some_and(|length| length > inbox.limit) {
            return Err(TransferError::TooLarge { limit: inbox.limit });
        }
        inbox.make_parents(&item.name)?;
        let part_path = inbox.own(&item.name, "part");
        let mut part = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&part_path)
            .map_err(|error| inbox.failed(&part_path, error, item.length))?;
        sys::flock(&part, sys::FlockOperation::LockExclusive)
            .map_err(|error| at(&part_path)(error.into()))?;

        let arrived = arrived(inbox, &item.name);
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        let held = match arrived {
            Some(held) => held,
            None => {
                let mut buffer = vec![0; CHUNK];
                loop {
                    match part.read(&mut buffer).map_err(at(&part_path))? {
                        0 => break,
                        read => {
                            hasher.update(&buffer[..read]);
                            length += read as u64;
                        }
                    }
                }
                Held { offset: length, hash: *hasher.finalize().as_bytes() }
            }
        };
        let free = inbox.free()?;
        if let Some(needed) = item.length.map(|whole| whole.saturating_sub(held.offset))
            && needed > free
        {
            return Err(TransferError::DiskFull {
                path: inbox.directory.clone(),
                needed: Some(needed),
                free,
            });
        }
        Ok((Self { inbox: inbox.clone(), item, part, part_path, length, hasher, arrived }, held))
    }

    /// The sender goes on from here, or begins anew.
    pub(crate) fn start(&mut self, offset: u64) -> Result<(), TransferError> {
        if let Some(held) = self.arrived {
            if offset == held.offset && offset > 0 {
                return Ok(());
            }
            self.arrived = None;
            let marker = self.inbox.own(&self.item.name, "arrived");
            std::fs::remove_file(&marker).map_err(at(&marker))?;
        } else if offset == self.length {
            return Ok(());
        }
        if offset != 0 {
            return Err(TransferError::Protocol(format!(
                "it starts at byte {offset}, where nothing ends here"
            )));
        }
        self.length = 0;
        self.hasher.reset();
        self.part.set_len(0).and_then(|()| self.part.rewind()).map_err(at(&self.part_path))
    }

    /// The next bytes.
    pub(crate) fn chunk(
        &mut self,
        hash: &[u8; HASH],
        is_compressed: bool,
        data: Vec<u8>,
    ) -> Result<(), TransferError> {
        let data = if is_compressed {
            zstd::bulk::decompress(&data, CHUNK)
                .map_err(|_| self.damaged("a chunk cannot be decompressed"))?
        } else {
            data
        };
        if self.arrived.is_some() || *blake3::hash(&data).as_bytes() != *hash {
            return Err(self.damaged("a chunk's hash"));
        }
        if self.length + data.len() as u64 > self.inbox.limit {
            self.remove();
            return Err(TransferError::TooLarge { limit: self.inbox.limit });
        }
        if let Err(error) = self.part.write_all(&data) {
            let error = self.inbox.failed(
                &self.part_path,
                error,
                self.item.length.map(|whole| whole.saturating_sub(self.length)),
            );
            if matches!(error, TransferError::DiskFull { .. }) {
                self.remove();
            }
            return Err(error);
        }
        self.hasher.update(&data);
        self.length += data.len() as u64;
        Ok(())
    }

    /// Everything is here: verifies it, flushes it, puts it in place.
    pub(crate) fn store(mut self, length: u64, hash: &[u8; HASH]) -> Result<(), TransferError> {
        if let Some(held) = self.arrived {
            self.remove();
            if held.offset == length && held.hash == *hash {
                return Ok(());
            }
            return Err(self.damaged("the hash of the whole"));
        }
        if self.length != length || *self.hasher.finalize().as_bytes() != *hash {
            return Err(self.damaged("the hash of the whole"));
        }
        self.put_in_place().inspect_err(|_| self.remove())?;
        let marker = self.inbox.own(&self.item.name, "arrived");
        let arrived = Arrived { length, hash: blake3::Hash::from_bytes(*hash).to_hex().to_string() };
        serde_json::to_vec(&arrived)
            .map_err(io::Error::from)
            .and_then(|bytes| {
                if self.inbox.flushes {
                    file::replace(&marker, &bytes)
                } else {
                    std::fs::write(&marker, &bytes)
                }
            })
            .map_err(|error| self.inbox.failed(&marker, error, None))
    }

    fn put_in_place(&mut self) -> Result<(), TransferError> {
        let inbox = self.inbox.clone();
        let place = inbox.path(&self.item.name);
        let failed = |error| inbox.failed(&place, error, None);
        let new = match self.item.kind {
            Kind::File => {
                if inbox.flushes {
                    self.part.sync_all().map_err(failed)?;
                }
                self.part_path.clone()
            }
            Kind::Tree => {
                let tree = inbox.own(&self.item.name, "tree");
                remove_any(&tree).map_err(failed)?;
                DirBuilder::new().mode(0o700).create(&tree).map_err(failed)?;
                let unpacked = self
                    .part
                    .seek(SeekFrom::Start(0))
                    .map_err(TreeError::Unreadable)
                    .and_then(|_| unpack::unpack(BufReader::with_capacity(CHUNK, &self.part), &tree));
                if let Err(error) = unpacked {
                    // What is left is ours to remove; the reason matters more than a second failure.
                    drop(remove_any(&tree));
                    return Err(match error {
                        TreeError::File { path, source } => match inbox.failed(&path, source, None) {
                            TransferError::File { path, source } => TreeError::File { path, source }.into(),
                            full => full,
                        },
                        other => other.into(),
                    });
                }
                if inbox.flushes {
                    unpack::flush(&tree).map_err(failed)?;
                }
                tree
            }
        };
        // An earlier delivery of another content makes room.
        let old = inbox.own(&self.item.name, "old");
        if place.symlink_metadata().is_ok() {
            remove_any(&old).and_then(|()| std::fs::rename(&place, &old)).map_err(failed)?;
        }
        std::fs::rename(&new, &place).map_err(failed)?;
        let parent = place.parent().unwrap_or(&inbox.directory);
        if inbox.flushes {
            File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        remove_any(&old).map_err(failed)?;
        if self.item.kind == Kind::Tree {
            self.remove();
        }
        Ok(())
    }

    fn damaged(&self, what: &'static str) -> TransferError {
        self.remove();
        TransferError::Damaged { item: self.item.name.clone(), what }
    }

    /// The item begins anew next time. Should removing fail, its hash will not match and it begins anew all the same.
    fn remove(&self) {
        drop(std::fs::remove_file(&self.part_path));
    }
}

fn arrived(inbox: &Inbox, name: &ItemName) -> Option<Held> {
    let marker: Arrived = serde_json::from_slice(&std::fs::read(inbox.own(name, "arrived")).ok()?).ok()?;
    inbox.path(name).symlink_metadata().ok()?;
    let hash = blake3::Hash::from_hex(marker.hash).ok()?;
    Some(Held { offset: marker.length, hash: *hash.as_bytes() })
}

fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> TransferError + '_ {
    move |source| TransferError::File { path: path.to_owned(), source }
}

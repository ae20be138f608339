//! What each end of a move must not forget, on disk before it acts. One folder for each move; the folder goes last.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use bollard::models::RestartPolicy;
use ecep_channel::grant::{Grant, SignedGrant};
use ecep_fleet::migration::{destination, source};
use ecep_proto::api::{migration::MigrationOptions, name::OperationId};
use serde::{Deserialize, Serialize};

use super::{plan::Plan, room};
use crate::durable;

const JOURNAL: &str = "journal.json";
/// There as long as a restored copy is held back: see [`Journal::hold`].
const HELD: &str = "held";

/// One end of a move.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(super) enum Record {
    /// This device has the container.
    Source(Box<SourceRecord>),
    /// This device gets it.
    Destination(Box<DestinationRecord>),
}

impl Record {
    fn migration(&self) -> &OperationId {
        match self {
            Record::Source(record) => &record.grant.migration,
            Record::Destination(record) => &record.grant.migration,
        }
    }

    /// Which end it is of. Both may be on one machine, in a laboratory.
    fn end(&self) -> &'static str {
        match self {
            Record::Source(_) => "source",
            Record::Destination(_) => "destination",
        }
    }
}

/// The source's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SourceRecord {
    pub grant: Grant,
    pub signed: SignedGrant,
    pub phase: source::Phase,
    /// Where the destination listens.
    pub addresses: Vec<String>,
    /// What the move may take of the link, in bytes each second.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// What else was asked for.
    #[serde(default)]
    pub options: MigrationOptions,
    /// It goes without its memory, though it was to move live.
    #[serde(default)]
    pub goes_cold: bool,
    /// What the container was before anything was done to it, once it was looked at.
    pub before: Option<Before>,
}

/// A container before its move.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Before {
    pub engine_id: String,
    pub was_running: bool,
    /// The freeze has begun: if it does not run any more, it was stopped for the move.
    pub is_frozen: bool,
    pub restart: Option<RestartPolicy>,
    pub volumes: Vec<String>,
    pub address: Option<std::net::Ipv4Addr>,
}

/// The destination's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DestinationRecord {
    pub grant: Grant,
    pub phase: destination::Phase,
    /// What comes, once it is known.
    pub plan: Option<Plan>,
    /// The engine's id of the copy, once it is made.
    pub engine_id: Option<String>,
    /// The volumes that were made for it.
    pub volumes: Vec<String>,
    /// It came without its memory, though it was to move live.
    #[serde(default)]
    pub came_cold: bool,
}

impl SourceRecord {
    /// Whether its processes go along, if it has any.
    pub(super) fn is_live(&self) -> bool {
        self.grant.mode.allows_live() && !self.goes_cold
    }
}

impl DestinationRecord {
    /// Whether its processes come along.
    pub(super) fn is_live(&self, plan: &Plan) -> bool {
        plan.is_live(&self.grant) && !self.came_cold
    }
}

/// The folder of one move.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    folder: PathBuf,
    /// Where its images of memory lie if they fit.
    memory: PathBuf,
}

impl Journal {
    /// Where a move keeps its things.
    pub(super) fn of(below: &Path, record: &Record) -> Self {
        let migration = record.migration();
        let memory = room::in_memory(&format!("{migration}-{}", record.end()));
        Self { folder: below.join(migration.as_str()), memory }
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its folder in memory, which is not always there.
    pub(super) fn memory(&self) -> &Path {
        &self.memory
    }

    /// Where its images of memory lie.
    pub(super) fn images_folder(&self) -> &Path {
        if self.memory.is_dir() { &self.memory } else { &self.folder }
    }

    /// Writes the record; it is on disk afterwards.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        durable::write(&self.folder.join(JOURNAL), &serde_json::to_vec(record)?)
    }

    /// The copy is held back from here on: nobody has seen it, and it may be restored from its images once more. It is a file
    /// that goes, and not one that comes, because a full disk must not keep the container from being let out.
    pub(super) fn hold(&self) -> io::Result<()> {
        fs::File::create(self.folder.join(HELD))?;
        durable::flush_folder(&self.folder)
    }

    /// The copy is about to run: its images are old from here on.
    pub(super) fn release(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join(HELD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => durable::flush_folder(&self.folder),
        }
    }

    /// Whether the copy was not let run yet.
    pub(super) fn is_held(&self) -> bool {
        self.folder.join(HELD).exists()
    }

    /// Removes the folder with all that is in it; the record goes last, so that a crash in between is not forgotten.
    pub(super) fn remove(&self) -> io::Result<()> {
        room::give_back(&self.memory)?;
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => fs::remove_dir_all(entry.path())?,
                _ if entry.file_name() == JOURNAL => {}
                _ => fs::remove_file(entry.path())?,
            }
        }
        fs::remove_dir_all(&self.folder)
    }

    /// Every move that was under way. A folder without a record was being removed, or its move had not begun.
    pub(super) fn read_all(below: &Path) -> io::Result<Vec<(Self, Record)>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(below) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let folder = entry?.path();
            match fs::read(folder.join(JOURNAL)) {
                Ok(text) => match serde_json::from_slice::<Record>(&text) {
                    Ok(record) => found.push((Self::of(below, &record), record)),
                    Err(error) => {
                        tracing::error!(folder = %folder.display(), %error, "a move's journal is damaged; its container must be looked at by hand");
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_dir_all(&folder)?,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

//! What is being done to a container's checkpoint, noted in the agent's own folder before it begins and until the container is
//! settled: an agent that starts again ends what the one before it began, wherever the checkpoint itself lies.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use ecep_proto::api::name::{ContainerId, TenantSlug};
use ecep_runtime::stat;
use serde::{Deserialize, Serialize};

use crate::durable;

/// The folder of notes, in the agent's data folder.
const FOLDER: &str = "checkpointing";
/// `starttime` of proc(5), `stat`.
const START_TIME: usize = 22;

/// Something that was begun. A container has one at a time: who does it holds the container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Note {
    pub tenant: TenantSlug,
    pub container: ContainerId,
    pub engine_id: String,
    pub work: Work,
}

/// What was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Work {
    /// It is frozen and saved.
    Saving { draft: PathBuf, leave_running: bool, process: Process },
    /// Its files are put back.
    PuttingBack { place: PathBuf },
    /// It is started from the images.
    Starting,
}

/// A process that is not taken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: i32,
    /// When it was started, in the kernel's ticks.
    started: u64,
}

impl Process {
    /// A process that is there.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let started = stat::field(pid, START_TIME)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Whether it is still there.
    pub(super) fn is_there(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

impl Note {
    /// Writes it; it is on the disk afterwards.
    pub(super) fn write(&self, data: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(data.join(FOLDER))?;
        durable::write(&file(data, &self.container), &serde_json::to_vec(self)?)
    }

    /// The one about a container.
    pub(super) fn read(data: &Path, container: &ContainerId) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(data, container)).ok()?).ok()
    }

    /// Forgets it: the container is settled.
    pub(super) fn remove(data: &Path, container: &ContainerId) -> io::Result<()> {
        match fs::remove_file(file(data, container)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All that there are.
    pub(super) fn read_all(data: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(data.join(FOLDER)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry?.path();
            // One that never got whole onto the disk was of something that had not begun.
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(note) => found.push(note),
                Err(_) => fs::remove_file(path)?,
            }
        }
        Ok(found)
    }
}

fn file(data: &Path, container: &ContainerId) -> PathBuf {
    data.join(FOLDER).join(format!("{container}.json"))
}

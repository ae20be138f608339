//! Checkpoints: a container saved on its device, to be restored there later, into itself or into another container like it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{CheckpointName, ContainerId, OperationId};

/// Saves a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CheckpointContainer {
    /// Which.
    pub container: ContainerId,
    /// What the checkpoint is called; free for this container.
    pub name: CheckpointName,
    /// Whether the container goes on afterwards; true if left out.
    #[serde(default = "yes")]
    pub leave_running: bool,
    /// A folder of its own among the device's checkpoints; the common one if left out.
    #[serde(default)]
    pub directory: Option<CheckpointName>,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Names a checkpoint that is to be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct DeleteCheckpoint {
    /// The container that was saved. It need not be there any more.
    pub container: ContainerId,
    /// The checkpoint.
    pub name: CheckpointName,
    /// The folder it was put into, if it was.
    #[serde(default)]
    pub directory: Option<CheckpointName>,
}

/// Brings a container back as it was saved. Its open connections are closed: their other ends have gone on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct RestoreContainer {
    /// The container that was saved.
    pub container: ContainerId,
    /// The checkpoint.
    pub name: CheckpointName,
    /// The folder it was put into, if it was.
    #[serde(default)]
    pub directory: Option<CheckpointName>,
    /// The container that it is restored into, of the same image and stopped; the one that was saved if left out.
    #[serde(default)]
    pub into: Option<ContainerId>,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Which checkpoints to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CheckpointQuery {
    /// Only those of this container.
    #[serde(default)]
    pub container: Option<ContainerId>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CheckpointView {
    /// The container that was saved.
    pub container: ContainerId,
    /// Its name.
    pub name: CheckpointName,
    /// The folder it was put into, if it was.
    pub directory: Option<CheckpointName>,
    /// The image of the container.
    pub image: String,
    /// Bytes on the device's disk.
    pub bytes: u64,
    /// When, in milliseconds since 1970 by the device's clock.
    pub created_at: u64,
}

/// The tenant's checkpoints on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct CheckpointList {
    /// The newest first.
    pub checkpoints: Vec<CheckpointView>,
}

fn yes() -> bool {
    true
}

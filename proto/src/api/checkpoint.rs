//! Checkpoints: a container saved on its device, to be restored later, into itself or into another container like it, there or
//! on another device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{CheckpointName, ContainerId, DeviceId, OperationId};

/// Saves a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
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

/// Copies a checkpoint to another device, to be restored there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct CopyCheckpoint {
    /// The container that was saved.
    pub container: ContainerId,
    /// The checkpoint.
    pub name: CheckpointName,
    /// The folder it was put into, if it was; the copy goes into the one of that name.
    #[serde(default)]
    pub directory: Option<CheckpointName>,
    /// The device that has it.
    pub source: DeviceId,
    /// The device that gets a copy.
    pub destination: DeviceId,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// A device will be brought a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectCheckpoint {
    /// What allows it, signed by the control plane.
    pub grant: serde_json::Value,
    /// The checkpoint.
    pub name: CheckpointName,
    /// The folder that it goes into, if it does.
    pub directory: Option<CheckpointName>,
}

/// A device shall bring a checkpoint to another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendCheckpoint {
    /// What allows it, signed by the control plane.
    pub grant: serde_json::Value,
    /// Where the other device listens.
    pub addresses: Vec<String>,
    /// The checkpoint.
    pub name: CheckpointName,
    /// The folder that it lies in, if it does.
    pub directory: Option<CheckpointName>,
}

/// Which checkpoints to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct CheckpointQuery {
    /// Only those of this container.
    #[serde(default)]
    pub container: Option<ContainerId>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct CheckpointList {
    /// The newest first.
    pub checkpoints: Vec<CheckpointView>,
}

fn yes() -> bool {
    true
}

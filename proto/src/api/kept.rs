//! Copies that stay where a container was moved away from, stopped, because that was asked for. None of them is the container:
//! that is where it moved to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ContainerId, ContainerName, OperationId};

/// Which kept copies to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct KeptQuery {
    /// Only those of this container.
    #[serde(default)]
    pub container: Option<ContainerId>,
}

/// A copy that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct KeptView {
    /// The container that moved away.
    pub container: ContainerId,
    /// The move that left the copy.
    pub migration: OperationId,
    /// The container's name.
    pub name: ContainerName,
    /// Its image.
    pub image: String,
    /// The volumes that were kept with it.
    pub volumes: Vec<String>,
    /// When it was stopped, in milliseconds since 1970 by the device's clock.
    pub kept_at: u64,
}

/// The tenant's kept copies on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct KeptList {
    /// The newest first.
    pub kept: Vec<KeptView>,
}

/// Names a kept copy that is to be deleted, with its volumes that nobody else uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct DeleteKept {
    /// The container that moved away.
    pub container: ContainerId,
    /// The move that left the copy.
    pub migration: OperationId,
}

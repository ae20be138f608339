//! Orders. A call answers within [`ANSWER_WITHIN_MS`]; what takes longer goes on, and its end is told by an
//! event. Orders are idempotent: the same operation id again gives the same operation, not a second one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    container::ContainerView,
    error::ApiError,
    name::{ContainerId, DeviceId, OperationId},
};

/// A device answers an order within this time, done or not (callers and proxies time out later than this).
pub const ANSWER_WITHIN_MS: u64 = 4_000;

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Still at work.
    Running,
    /// Ended well.
    Done,
    /// Ended badly; `error` says why.
    Failed,
}

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct OperationReply {
    /// The id under which events tell how it goes on.
    pub operation: OperationId,
    /// `done`, or `running` if it takes longer. A failure within the time is a WAMP ERROR instead.
    pub state: OperationState,
    /// The container's id, as soon as there is one.
    pub container_id: Option<ContainerId>,
    /// The container after the operation; `null` while it runs, and once it is deleted.
    pub container: Option<ContainerView>,
}

/// Progress or end of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct OperationEvent {
    /// The device that works.
    pub device: DeviceId,
    /// The operation.
    pub operation: OperationId,
    /// The last part of the procedure's URI, such as `container.create`.
    pub kind: String,
    /// How far it has come.
    pub state: OperationState,
    /// What it does now, such as `pulling`, `creating`, `starting`.
    pub phase: String,
    /// Bytes done in this phase, where it is known.
    pub bytes_done: Option<u64>,
    /// Bytes to do in this phase, where it is known.
    pub bytes_total: Option<u64>,
    /// The container it is about, as soon as there is one.
    pub container_id: Option<ContainerId>,
    /// Why it failed.
    pub error: Option<ApiError>,
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
}

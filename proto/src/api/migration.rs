//! Moving a container to another device: what a person orders and watches, and what the control plane and the two
//! devices tell each other about it on the control realm (paper section V).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use super::{
    container::{Limits, PortMapping},
    name::{ContainerId, ContainerName, DeviceId, OperationId, TenantSlug},
};

/// The least rate that a move may be held to. Below it even a small container would be on its way for hours, and one that is
/// frozen meanwhile would be taken for dead by whoever waits for it.
pub const MIN_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Rounds of memory at most while the container runs. Each is a look at all of it, which costs the device's processor; a move
/// that has not come to an end of it after so many never will.
pub const MAX_ROUNDS: u32 = 8;

/// The longest downtime that can be named as a limit: an hour. Whoever would wait longer needs none.
pub const MAX_DOWNTIME_MS: u64 = 60 * 60 * 1000;

/// How a container is moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum MigrationMode {
    /// Frozen, copied with its memory, and restored: its processes and connections go on.
    #[default]
    Live,
    /// Stopped, copied without its memory, and started.
    Cold,
}

/// What to do with a container that would stand still for longer than was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OverDowntime {
    /// Give the move up before anything is frozen: the container runs on where it is.
    #[default]
    Refuse,
    /// Move it cold: its memory and connections are lost, and it stands still for as long as that takes.
    Cold,
}

/// What was asked of a move beside the link's share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MigrationOptions {
    /// Rounds of memory at most while the container runs.
    #[serde(default)]
    pub max_rounds: Option<u32>,
    /// The longest time that the container may stand still, by estimate before the freeze.
    #[serde(default)]
    pub max_downtime_ms: Option<u64>,
    /// What to do if the estimate is over it.
    #[serde(default)]
    pub over_downtime: OverDowntime,
    /// Whether the copy at the source stays there, stopped.
    #[serde(default)]
    pub keep_source: bool,
}

/// Moves a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct MigrateContainer {
    /// Which.
    pub container: ContainerId,
    /// Where to.
    pub destination: DeviceId,
    /// `live` if left out. A container that can only be moved cold is not stopped unless `cold` is said.
    #[serde(default)]
    pub mode: MigrationMode,
    /// How much of the link it may take, in bytes each second, from [`MIN_BYTES_PER_SECOND`] on; as much as there is if left
    /// out. It holds from the first byte to the last: the container, which does not run while its memory and files travel,
    /// stands still for longer.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// Rounds of memory at most while the container runs, from 1 to [`MAX_ROUNDS`], which is also what it is if left out. Only for
    /// a live move.
    #[serde(default)]
    pub max_rounds: Option<u32>,
    /// The longest time that the container may stand still, in milliseconds, up to [`MAX_DOWNTIME_MS`]; any if left out. While the
    /// estimate is over it, further rounds go as long as they shrink. Only for a live move.
    #[serde(default)]
    pub max_downtime_ms: Option<u64>,
    /// What to do if the estimate stays over `max_downtime_ms`; `refuse` if left out.
    #[serde(default)]
    pub over_downtime: Option<OverDowntime>,
    /// Whether the copy at the source stays there, stopped, with its volumes: see `ecep.device.<id>.container.kept.list`.
    #[serde(default)]
    pub keep_source: bool,
    /// The operation's id, if the caller chooses it. The same id again is the same order.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

impl MigrateContainer {
    /// A move without options.
    pub fn new(container: ContainerId, destination: DeviceId, mode: MigrationMode) -> Self {
        Self {
            container,
            destination,
            mode,
            bytes_per_second: None,
            max_rounds: None,
            max_downtime_ms: None,
            over_downtime: None,
            keep_source: false,
            operation: None,
        }
    }
}

/// Asks whether a container could be moved. Nothing is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct PreflightMigration {
    /// Which.
    pub container: ContainerId,
    /// Where to.
    pub destination: DeviceId,
}

/// What stands in the way of a move.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing: it can move with its memory.
    Live,
    /// It can only be stopped, copied and started.
    Cold,
    /// It cannot be moved.
    Refused,
}

/// Who found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum MigrationEnd {
    /// The device that has the container.
    Source,
    /// The device that would get it.
    Destination,
    /// The control plane.
    ControlPlane,
}

/// One thing that was looked at before a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Check {
    /// Who looked.
    pub end: MigrationEnd,
    /// What it allows.
    pub verdict: Verdict,
    /// What was found, and where it hinders, what to do about it.
    pub text: String,
}

impl Check {
    /// Something that was found.
    pub fn new(end: MigrationEnd, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { end, verdict, text: text.into() }
    }
}

/// The answer to [`PreflightMigration`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Preflight {
    /// The worst of all checks.
    pub verdict: Verdict,
    /// All of them, from both ends, the worst first.
    pub checks: Vec<Check>,
    /// Bytes of memory that a live move would carry, as far as they are known now.
    pub memory_bytes: u64,
    /// Bytes of files (writable layer and volumes) that any move would carry.
    pub file_bytes: u64,
    /// Bytes of the image where the destination lacks it; layers that it has do not travel.
    pub image_bytes: u64,
    /// How long it would take; none where it cannot be moved.
    pub estimate: Option<MigrationEstimate>,
}

/// How long a move would take, without a limit of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MigrationEstimate {
    /// From the order to the end, in milliseconds.
    pub total_ms: u64,
    /// How long the container would stand still. One that writes much of its memory stands still for longer, as does one that does
    /// not end by itself when it is stopped for a cold move.
    pub downtime_ms: u64,
    /// Bytes each second that the line between the two is taken to carry.
    pub bytes_per_second: u64,
    /// Whether that is only assumed, since nothing was moved between the two lately; else it is what their last move saw.
    pub is_rate_assumed: bool,
}

/// Where a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    /// Under way.
    Running,
    /// The container is at its destination.
    Done,
    /// The container is where it was; `error` says why.
    Failed,
}

/// What a move is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum MigrationPhase {
    /// The two devices meet; the container runs.
    Preparing,
    /// The image travels, and the container is made at the destination; it still runs at the source.
    Copying,
    /// From here on the container does not run: it is frozen (or stopped) and cut off.
    Freezing,
    /// Its memory and processes are saved.
    Saving,
    /// Memory and files travel.
    Sending,
    /// The destination brings it up, still cut off.
    Restoring,
    /// The authority decides who has it.
    Committing,
    /// One end lets it run, the other removes what is left.
    Finishing,
}

/// How long a phase took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PhaseTook {
    /// Which.
    pub phase: MigrationPhase,
    /// Milliseconds.
    pub milliseconds: u64,
    /// Bytes that travelled in it.
    pub bytes: u64,
}

/// A round of memory that went while the container ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RoundTook {
    /// Pages of 4 KiB that had not gone before: all in the first round, then what was written during the round before.
    pub pages: u64,
    /// Bytes that travelled for them; fewer where they were packed.
    pub bytes: u64,
    /// Milliseconds.
    pub milliseconds: u64,
}

/// A move, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MigrationView {
    /// The operation's id.
    pub operation: OperationId,
    /// The container.
    pub container: ContainerId,
    /// The container's name.
    pub name: ContainerName,
    /// Where it was.
    pub source: DeviceId,
    /// Where it goes.
    pub destination: DeviceId,
    /// How.
    pub mode: MigrationMode,
    /// What it may take of the link, in bytes each second, where that was limited.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// What else was asked for.
    #[serde(default)]
    pub options: MigrationOptions,
    /// It was to move live and moves cold, because it would have stood still for too long.
    #[serde(default)]
    pub went_cold: bool,
    /// Where the move stands.
    pub state: MigrationState,
    /// What it is at, or was at last.
    pub phase: MigrationPhase,
    /// Whether it can still be cancelled: until the freeze.
    pub cancellable: bool,
    /// Bytes done in this phase.
    pub bytes_done: u64,
    /// Bytes to do in this phase, where it is known.
    pub bytes_total: Option<u64>,
    /// Bytes that have travelled in all phases.
    #[serde(default)]
    pub bytes_sent: u64,
    /// The phases that are over.
    pub phases: Vec<PhaseTook>,
    /// The rounds of memory that are over.
    #[serde(default)]
    pub rounds: Vec<RoundTook>,
    /// How long the container would stand still, as the source estimated it right before the freeze.
    #[serde(default)]
    pub estimated_downtime_ms: Option<u64>,
    /// How long the container did not run, measured at the two devices, once it is known.
    pub downtime_ms: Option<u64>,
    /// When it began, in milliseconds since 1970 by the control plane's clock.
    pub started_at: u64,
    /// When it ended.
    pub ended_at: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Names a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct MigrationRef {
    /// Its operation.
    pub operation: OperationId,
}

/// Which moves to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct MigrationQuery {
    /// Only those of this container.
    #[serde(default)]
    pub container: Option<ContainerId>,
}

/// Moves, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MigrationList {
    /// The moves.
    pub migrations: Vec<MigrationView>,
}

/// What the control plane asks the source before a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SurveyRequest {
    /// Whose container.
    pub tenant: TenantSlug,
    /// Which.
    pub container: ContainerId,
}

/// What a container needs wherever it goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// Whose.
    pub tenant: TenantSlug,
    /// Which.
    pub container: ContainerId,
    /// Its name for people.
    pub name: ContainerName,
    /// The image's content id.
    pub image_id: String,
    /// The architecture it runs on, as `uname -m` says.
    pub architecture: String,
    /// Whether it runs.
    pub is_running: bool,
    /// Bytes of memory in use.
    pub memory_bytes: u64,
    /// Bytes of the image, should it have to travel.
    pub image_bytes: u64,
    /// Bytes of its writable layer.
    pub writable_bytes: u64,
    /// Its named volumes with their bytes, by the engine's names.
    pub volumes: Vec<(String, u64)>,
    /// Its published ports, with the source's host ports.
    pub ports: Vec<PortMapping>,
    /// Version of the source's control groups, 1 or 2.
    pub cgroup_version: u8,
    /// What the source's processor can do, as /proc/cpuinfo names it.
    pub cpu_features: Vec<String>,
    /// What it may use at most.
    #[serde(default)]
    pub limits: Limits,
}

/// The source's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Survey {
    /// What the container needs.
    pub needs: Needs,
    /// What stands in the way at the source.
    pub checks: Vec<Check>,
}

/// What stands in the way at the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// Bytes of the image, if it is not there.
    #[serde(default)]
    pub image_bytes: u64,
}

/// To the destination: whoever comes with this grant may bring a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectMigration {
    /// A signed grant of the channel (`ecep-channel`).
    pub grant: Value,
}

/// To the source: bring it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartMigration {
    /// A signed grant of the channel (`ecep-channel`).
    pub grant: Value,
    /// Where the destination listens, as `address:port`; empty where it can only be reached through the cloud.
    pub addresses: Vec<String>,
    /// What it may take of the link, in bytes each second; none for as much as there is.
    #[serde(default)]
    pub bytes_per_second: Option<u64>,
    /// What else was asked for.
    #[serde(default)]
    pub options: MigrationOptions,
}

/// To the source: stop, if it is not too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelMigration {
    /// Which.
    pub migration: OperationId,
}

/// What a device wants of the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The destination has restored it and takes it over.
    Commit,
    /// The move is given up.
    Abort,
    /// Only to know.
    Ask,
}

/// A device asks the authority about its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideRequest {
    /// The move.
    pub migration: OperationId,
    /// The container.
    pub container: ContainerId,
    /// The generation of the asker's copy.
    pub generation: u64,
    /// What it wants.
    pub decision: Decision,
    /// Why it gives up.
    pub reason: Option<String>,
}

/// The authority's answer to a device that asks about its copy of a certain generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// This copy is the container.
    Holder,
    /// The move is not decided.
    Pending,
    /// This copy is not the container, and never will be.
    NotHolder,
}

/// See [`DecideRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecideReply {
    /// How the asker's copy stands now.
    pub standing: Standing,
}

/// A device tells how a move goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MigrationReport {
    /// Which.
    pub migration: OperationId,
    /// What it is at.
    pub phase: MigrationPhase,
    /// Bytes done in this phase.
    pub bytes_done: u64,
    /// Bytes to do in this phase, where it is known.
    pub bytes_total: Option<u64>,
    /// The phases that are over.
    pub phases: Vec<PhaseTook>,
    /// The rounds of memory that are over.
    #[serde(default)]
    pub rounds: Vec<RoundTook>,
    /// How long the container will stand still, by estimate, once the freeze comes.
    #[serde(default)]
    pub estimated_downtime_ms: Option<u64>,
    /// It moves cold, because it would have stood still for too long.
    #[serde(default)]
    pub went_cold: bool,
    /// How long the container did not run, once it is known.
    pub downtime_ms: Option<u64>,
    /// The device has nothing left to do.
    pub ended: bool,
}

//! Containers: what a caller sends and sees. Field names are Docker's where Docker has one.

use std::{collections::BTreeMap, net::Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ApplicationName, ContainerId, ContainerName, DeviceId, OperationId, TenantSlug};

/// Which container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ContainerRef {
    /// Its ECEP id.
    pub container: ContainerId,
}

/// An order about a container that needs nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ContainerOrder {
    /// Its ECEP id.
    pub container: ContainerId,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Stop or restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct StopContainer {
    /// Its ECEP id.
    pub container: ContainerId,
    /// Seconds between SIGTERM and SIGKILL, 0 to 300; 10 if left out.
    #[serde(default)]
    pub grace_seconds: Option<u32>,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct DeleteContainer {
    /// Its ECEP id.
    pub container: ContainerId,
    /// Kill it first if it runs.
    #[serde(default)]
    pub force: bool,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// A port of the container that the device publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct PortMapping {
    /// The port inside.
    pub container: u16,
    /// The device's port; any free one if left out.
    #[serde(default)]
    pub host: Option<u16>,
    /// `tcp` if left out.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// A named volume of the tenant, mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct VolumeMount {
    /// The volume's name; it belongs to the tenant, and is made where it does not exist.
    pub volume: ContainerName,
    /// An absolute path inside the container.
    pub target: String,
    /// Mounted read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// What the container may use at most. What is left out has no limit beyond the device's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct Limits {
    /// Bytes of memory, at least 6 MiB (the engine's own lower bound).
    pub memory_bytes: Option<u64>,
    /// Cores, such as 0.5.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// When the engine starts the container again by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When it fails.
    OnFailure,
    /// Always, unless a person stopped it.
    UnlessStopped,
    /// Always.
    Always,
}

/// Rights beyond an ordinary container's. Each is refused unless the device's owner allows it in the
/// device's policy: creating such a container is root on the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct Privileges {
    /// All of them.
    pub privileged: bool,
    /// Capabilities beyond the engine's default set.
    pub cap_add: Vec<String>,
    /// Device files of the host.
    pub devices: Vec<String>,
    /// Mounts of host paths, as `host:container[:ro]`.
    pub binds: Vec<String>,
    /// Security options, such as `seccomp=unconfined`.
    pub security_opt: Vec<String>,
    /// A network mode, such as `host`.
    pub network_mode: Option<String>,
    /// A PID mode, such as `host`.
    pub pid_mode: Option<String>,
    /// An IPC mode, such as `host`.
    pub ipc_mode: Option<String>,
}

/// Create.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct CreateContainer {
    /// A name that is free on this device within the tenant.
    pub name: ContainerName,
    /// The application it runs; the container's name if left out.
    #[serde(default)]
    pub application: Option<ApplicationName>,
    /// An image reference; pulled where the device lacks it.
    pub image: String,
    /// Replaces the image's command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Published ports.
    #[serde(default)]
    pub ports: Vec<PortMapping>,
    /// Named volumes.
    #[serde(default)]
    pub volumes: Vec<VolumeMount>,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// Restart policy.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// A terminal is attached.
    #[serde(default)]
    pub tty: bool,
    /// More rights, as far as the device's policy allows.
    #[serde(default)]
    pub privileges: Privileges,
    /// Start it at once; true if left out.
    #[serde(default = "yes")]
    pub start: bool,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

impl CreateContainer {
    /// An order that leaves out all that can be left out.
    pub fn new(name: ContainerName, image: impl Into<String>) -> Self {
        Self {
            name,
            application: None,
            image: image.into(),
            command: None,
            env: BTreeMap::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            limits: Limits::default(),
            restart: RestartPolicy::default(),
            tty: false,
            privileges: Privileges::default(),
            start: yes(),
            operation: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// The state of a container, as the engine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Created, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// The engine is starting it again.
    Restarting,
    /// Ended.
    Exited,
    /// The engine could not remove it.
    Dead,
    /// Being removed.
    Removing,
}

/// A container in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ContainerView {
    /// Its ECEP id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// The application it runs.
    pub application: ApplicationName,
    /// The image reference it was created from.
    pub image: String,
    /// Its state.
    pub state: ContainerState,
    /// The exit code of the last run, where there was one.
    pub exit_code: Option<i64>,
    /// When it was created, in milliseconds since 1970 by the device's clock.
    pub created_at: u64,
    /// When it was last started.
    pub started_at: Option<u64>,
    /// Published ports, with the device's port filled in once it runs.
    pub ports: Vec<PortMapping>,
    /// Its address in the tenant's network, the same for life; none where it is not in it.
    #[serde(default)]
    #[ts(optional, type = "string | null")]
    pub address: Option<Ipv4Addr>,
    /// The number of the application's version; none where it was created from an image reference alone.
    #[serde(default)]
    #[ts(optional, type = "number | null")]
    pub version: Option<u32>,
    /// It runs once: what it leaves is stored, then it is deleted.
    #[serde(default)]
    pub run_once: bool,
}

/// The tenant's containers on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ContainerList {
    /// In the order of creation.
    pub containers: Vec<ContainerView>,
}

/// One container in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ContainerDetail {
    /// The same as in the list.
    pub container: ContainerView,
    /// The tenant it belongs to.
    pub tenant: TenantSlug,
    /// The engine's own id.
    pub engine_id: String,
    /// Its command.
    pub command: Vec<String>,
    /// The names of its environment variables; their values may be secrets.
    pub env_names: Vec<String>,
    /// Its volumes.
    pub volumes: Vec<VolumeMount>,
    /// Its limits.
    pub limits: Limits,
    /// Its restart policy.
    pub restart: RestartPolicy,
    /// A terminal is attached.
    pub tty: bool,
    /// Its process id on the device, while it runs.
    pub pid: Option<u32>,
    /// How often the engine has restarted it.
    pub restart_count: u64,
    /// Whether the kernel killed it for lack of memory.
    pub oom_killed: bool,
}

/// Which lines of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct LogQuery {
    /// Its ECEP id.
    pub container: ContainerId,
    /// How many of the last lines, 1 to 1000; 200 if left out.
    #[serde(default)]
    pub tail: Option<u32>,
    /// Only lines at or after this time, in milliseconds since 1970.
    #[serde(default)]
    pub since: Option<u64>,
}

/// Output of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LogLines {
    /// The oldest first.
    pub lines: Vec<LogLine>,
    /// True where older lines, or the rest of a line, were left off for size.
    pub truncated: bool,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LogLine {
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
    /// Where it was written.
    pub stream: LogStream,
    /// The text, without its line end; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// The line was longer, and its rest was left off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub cut: bool,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What has happened to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ContainerChange {
    /// It exists.
    Created,
    /// It runs.
    Started,
    /// It has ended, by order or by itself; `exit_code` says how.
    Exited,
    /// It is frozen.
    Paused,
    /// It goes on.
    Unpaused,
    /// It is gone.
    Deleted,
}

/// A container's life goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ContainerEvent {
    /// The device.
    pub device: DeviceId,
    /// What has happened.
    pub change: ContainerChange,
    /// The container after it (before it, if deleted).
    pub container: ContainerView,
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
}

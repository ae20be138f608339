//! Devices: what they are, and how they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    geo::Location,
    name::{DeviceId, TenantSlug},
    share::DeviceShare,
};

/// What an agent knows of its device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct DeviceFacts {
    /// The agent's version.
    pub agent_version: String,
    /// As `uname -m` says.
    pub architecture: String,
    /// As `uname -r` says.
    pub kernel: String,
    /// Online cores.
    pub cores: u32,
    /// Bytes of memory.
    pub memory_total_bytes: u64,
    /// The engine.
    pub engine: EngineFacts,
    /// The device's name for the network.
    pub hostname: String,
    /// Its addresses, without loopback and the containers' own bridges.
    pub addresses: Vec<String>,
    /// Where other devices reach its channel, once it listens.
    #[serde(default)]
    #[ts(optional)]
    pub channel_port: Option<u16>,
    /// Whether its containers can be moved with their memory.
    #[serde(default)]
    #[ts(optional)]
    pub migration: Option<MigrationFacts>,
}

impl DeviceFacts {
    /// What a tenant that does not own the device sees of it: not where it is in its owner's network.
    #[must_use]
    pub fn for_guest(self) -> Self {
        Self { hostname: String::new(), addresses: Vec::new(), channel_port: None, ..self }
    }
}

/// Whether containers of a device can be moved with their memory; it was tried out on a container of the agent's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MigrationFacts {
    /// They can.
    pub live: bool,
    /// Why not, and how to mend it.
    pub reason: Option<String>,
    /// Version of the control groups, 1 or 2.
    pub cgroup_version: u8,
}

/// The engine, as the agent sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct EngineFacts {
    /// `docker` or `sim`.
    pub kind: String,
    /// Whether it answers.
    pub reachable: bool,
    /// Its version, once it has answered.
    pub version: Option<String>,
    /// The API version agreed on.
    pub api_version: Option<String>,
    /// Whether containers go on while the engine restarts.
    pub live_restore: Option<bool>,
    /// What a person should mend, each a sentence.
    pub problems: Vec<String>,
}

/// How a device is, as the control plane judges it by the age of its last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Reports arrive, and nothing is wrong.
    Connected,
    /// Reports arrive, and say that something is wrong; `reasons` says what.
    Degraded,
    /// A few reports are missing.
    Stale,
    /// No report for long, or its session is gone.
    Offline,
    /// Enrolled, never seen.
    Never,
}

/// A device in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// The name that its owner gave it.
    pub name: String,
    /// Where it stands, as its owner said.
    pub place: Option<String>,
    /// The tenant that owns it.
    pub owner: TenantSlug,
    /// How it is.
    pub liveness: Liveness,
    /// Why, each a sentence.
    pub reasons: Vec<String>,
    /// When it was last heard of, in milliseconds since 1970 by the control plane's clock.
    pub last_seen_at: Option<u64>,
    /// When it was enrolled.
    pub enrolled_at: u64,
    /// What the agent last told of it; of another tenant's device without its name and addresses in that tenant's network.
    pub facts: Option<DeviceFacts>,
    /// Where that is, where the place was found on the map.
    #[serde(default)]
    #[ts(optional)]
    pub location: Option<Location>,
    /// How far its clock was ahead of the control plane's at its last report, in milliseconds; negative where it was behind.
    #[serde(default)]
    #[ts(optional)]
    pub clock_ahead_ms: Option<i64>,
    /// How the tenant shares it, where another one owns it.
    #[serde(default)]
    #[ts(optional)]
    pub share: Option<DeviceShare>,
}

/// The devices of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct DeviceList {
    /// By name.
    pub devices: Vec<DeviceView>,
    /// The control plane's clock, in milliseconds since 1970: ages are counted from here.
    pub now: u64,
}

/// Which key of a device is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Its one key.
    Current,
    /// Its key, until the device has heard that it shall make a new one.
    RotationOrdered,
    /// The new one, and the one before it until the new one has been used once.
    Rotating,
}

/// A device's key, without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct DeviceKeyView {
    /// Whether it is being changed.
    pub state: KeyState,
    /// The first 16 hexadecimal digits of the SHA-256 of the public key, as it is on the wire.
    pub fingerprint: String,
    /// Since when it is the device's, in milliseconds since 1970.
    pub since: u64,
}

/// `GET /api/tenants/{slug}/devices` (owner): a device of the tenant with its key. `POST …/{id}/rotate-key` orders a new key;
/// `DELETE …/{id}` revokes the key and removes the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct OwnedDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Option<String>,
    /// Where that is, where the place was found on the map.
    pub location: Option<Location>,
    /// When it was enrolled, in milliseconds since 1970.
    pub enrolled_at: u64,
    /// Its key.
    pub key: DeviceKeyView,
}

/// `PATCH /api/tenants/{slug}/devices/{id}` (owner): what is left out stays. Answered with the [`OwnedDevice`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct ChangeDevice {
    /// Another name.
    pub name: Option<String>,
    /// Another place, by name or as `lat,lon`; an empty one takes it away.
    pub place: Option<String>,
    /// Where exactly that is. Without it a place that is found on the map is put there.
    pub location: Option<Location>,
}

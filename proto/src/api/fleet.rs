//! What agents and the control plane tell each other on the control realm, and the fleet as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    container::ContainerView,
    device::{DeviceFacts, Liveness},
    history::StatsReport,
    name::{DeviceId, OperationId, TenantSlug},
    network::NetworkTable,
    share::{GrantedTerms, ShareReport},
};

/// How often an agent reports, in milliseconds. The report is also its heartbeat.
pub const REPORT_EVERY_MS: u64 = 2_000;

/// Said once after each join of the control realm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hello {
    /// The device.
    pub facts: DeviceFacts,
}

/// The tenant realms that the device's agent joins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grants {
    /// Changes whenever the list or the terms do.
    pub revision: u64,
    /// One for each tenant that has a share in the device.
    pub tenants: Vec<TenantGrant>,
    /// The device's papers for the channel, fresh.
    pub papers: Option<ChannelPapers>,
}

/// By what a device proves who it is on the channel for bulk bytes, and knows the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelPapers {
    /// The device's certificate, PEM.
    pub certificate: String,
    /// The certificate of the installation's authority, PEM.
    pub authority: String,
    /// The key by which the control plane signs grants: Ed25519, 32 bytes, base64 without padding.
    pub grant_key: String,
    /// Where the cloud's end of the channel listens, as `host:port`.
    pub cloud: Option<String>,
}

/// A right to join a tenant's realm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TenantGrant {
    /// The tenant.
    pub tenant: TenantSlug,
    /// Its realm.
    pub realm: String,
    /// A ticket for joining it as this device: single-use, short-lived. Never logged.
    pub ticket: String,
    /// On what terms it uses the device; none for the device's owner, who has no bounds but the device's.
    #[serde(default)]
    pub granted: Option<GrantedTerms>,
}

/// The heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
    /// What a person should mend, each a sentence; empty when all is well.
    pub problems: Vec<String>,
    /// All containers of the platform on the device.
    pub containers: Vec<TenantContainer>,
    /// The device, when it has changed since the last report.
    pub facts: Option<DeviceFacts>,
    /// Whether `containers` is all: the engine answers, and has been asked.
    #[serde(default)]
    pub is_complete: bool,
    /// The moves that the device takes part in, at either end.
    #[serde(default)]
    pub migrations: Vec<OperationId>,
    /// The revision of the network table that the device has applied.
    #[serde(default)]
    pub network_revision: u64,
    /// Statistics that are new since the last report that was answered.
    #[serde(default)]
    pub stats: Option<StatsReport>,
    /// What is to be told of the device's shares.
    #[serde(default)]
    pub shares: ShareReport,
}

/// A container, and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TenantContainer {
    /// Whose.
    pub tenant: TenantSlug,
    /// The container.
    pub container: ContainerView,
}

/// The answer to a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportReply {
    /// If it is not that of the agent's grants, the agent says hello again.
    pub grants_revision: u64,
    /// The network table, where the device's is old.
    #[serde(default)]
    pub network: Option<NetworkTable>,
    /// The device shall make itself a new key.
    #[serde(default)]
    pub rotate_key: bool,
}

/// A container, and where it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct PlacedContainer {
    /// The device that runs it.
    pub device: DeviceId,
    /// How that device is: of one that is offline, the container's state is what was last known.
    pub liveness: Liveness,
    /// The container.
    pub container: ContainerView,
}

/// All containers of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FleetContainers {
    /// By device, then in the order of creation.
    pub containers: Vec<PlacedContainer>,
}

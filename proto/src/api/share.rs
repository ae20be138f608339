//! Shares: what a tenant that does not own a device may use of it, and how it comes to that. A share is an offer of the
//! device's owner until an owner of the other tenant accepts it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ContainerId, ContainerName, DeviceId, TenantSlug};

/// How much of a device a tenant may have. What is left out has no bound beyond the device's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct Quota {
    /// Cores, such as 1.5: the limits of all its containers together. Each of them needs a limit then.
    pub cpus: Option<f64>,
    /// Bytes of memory: the limits of all its containers together. Each of them needs a limit then.
    pub memory_bytes: Option<u64>,
    /// Bytes on the disk: writable layers, volumes and checkpoints together, as the device measures them.
    pub disk_bytes: Option<u64>,
    /// Containers, running or not.
    pub containers: Option<u32>,
}

/// What a tenant may do on a device beside running containers.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// Publish ports of the device.
    PublishPorts,
    /// Save containers, bring them back, and bring checkpoints here.
    Checkpoints,
    /// Move containers here from other devices.
    MoveIn,
    /// Move containers from here to other devices. Always allowed while the share ends.
    MoveAway,
    /// Whatever the device's policy file allows its owner.
    DevicePolicy,
    /// Open terminals in its containers, where the device's policy file does not forbid them.
    Terminal,
}

/// On what terms a tenant uses a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct Terms {
    /// How much of it.
    pub quota: Quota,
    /// What else is allowed, each once.
    pub allow: Vec<Allowance>,
}

/// The terms as they hold now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GrantedTerms {
    /// What was agreed on.
    pub terms: Terms,
    /// The share ends: nothing new is begun there, and it is over once the tenant has no container there any more.
    pub is_ending: bool,
}

/// Where a share stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum ShareState {
    /// Not accepted yet. An offer to a tenant that does not exist looks the same.
    Offered,
    /// It holds.
    Accepted,
    /// It ends once the tenant has no container there any more.
    Ending,
}

/// `POST /api/tenants/{slug}/devices/{id}/shares` (owner): offers a device. Answered with 201 and the [`ShareView`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct NewShare {
    /// To which tenant.
    pub tenant: TenantSlug,
    /// On what terms.
    #[serde(default)]
    pub terms: Terms,
}

/// `PUT /api/tenants/{slug}/devices/{id}/shares/{tenant}` (owner): other terms. They hold for what is begun from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct ChangeShare {
    /// The new terms, whole.
    pub terms: Terms,
}

/// `POST /api/tenants/{slug}/devices/{id}/shares/{tenant}/end` (owner): withdraws an offer, or ends a share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct EndShare {
    /// Stops and deletes these containers: the names of all that the tenant has on the device. Left empty, they go on.
    pub delete: Vec<ContainerName>,
}

/// The answer to [`EndShare`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct EndedShare {
    /// It is over. Else it ends once the device has told that no container of the tenant is left there.
    pub ended: bool,
    /// The names of the containers that the tenant has there.
    pub containers: Vec<ContainerName>,
}

/// `GET /api/tenants/{slug}/devices/{id}/shares` (owner): with whom a device is shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ShareView {
    /// With whom.
    pub tenant: TenantSlug,
    /// Where it stands.
    pub state: ShareState,
    /// On what terms.
    pub terms: Terms,
    /// When it was offered, in milliseconds since 1970.
    pub offered_at: u64,
    /// When it was accepted.
    pub accepted_at: Option<u64>,
    /// How many containers the tenant has there, by the device's last report.
    pub containers: u32,
}

/// `GET /api/tenants/{slug}/shares` (owner): a device that another tenant shares or offers. `POST …/{device}` accepts the
/// offer, `DELETE …/{device}` declines it, or leaves the share once no container of ours is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct OfferView {
    /// The device.
    pub device: DeviceId,
    /// Its name.
    pub device_name: String,
    /// Where the device stands, as its owner said.
    pub place: Option<String>,
    /// The name of the tenant that owns it.
    pub owner_name: String,
    /// Where the share stands.
    pub state: ShareState,
    /// On what terms.
    pub terms: Terms,
    /// When an offer ends by itself, in milliseconds since 1970; none once it is accepted.
    pub expires_at: Option<u64>,
}

/// What another tenant than the device's owner sees of its share, in lists of devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct DeviceShare {
    /// The name of the tenant that owns the device.
    pub owner_name: String,
    /// The terms.
    pub granted: GrantedTerms,
}

/// What an agent tells of its shares with each report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShareReport {
    /// The revision of the grants whose terms the agent enforces.
    pub grants_revision: u64,
    /// The tenants of whom something is being made or brought here now.
    pub busy: Vec<TenantSlug>,
    /// What only one tenant should mend.
    pub problems: Vec<TenantProblem>,
}

/// Something that one tenant should mend on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantProblem {
    /// Who.
    pub tenant: TenantSlug,
    /// A sentence.
    pub text: String,
}

/// The device's owner has ordered that the containers of a tenant whose share ends are stopped and deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvictTenant {
    /// Whose.
    pub tenant: TenantSlug,
    /// Which; the owner has named each of them.
    pub containers: Vec<ContainerId>,
}

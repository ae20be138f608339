//! The rows of the tables. Times are in milliseconds since 1970. A change here is a change of the schema.

use ecep_proto::api::{
    device::DeviceFacts,
    fleet::TenantContainer,
    geo::Location,
    http::TokenUse,
    name::{DeviceId, TenantSlug},
    roles::Role,
    share::{ShareState, Terms},
};
use serde::{Deserialize, Serialize};

use crate::secret::SecretHash;

/// Somebody who can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its id, also its authid.
    pub id: String,
    /// In lower case.
    pub email: String,
    /// A PHC string.
    pub password_hash: String,
    /// May make accounts and tenants.
    pub admin: bool,
    /// When it was made.
    pub created_at: u64,
    /// Cannot log in.
    #[serde(default)]
    pub disabled: bool,
}

#[cfg(test)]
impl Account {
    /// Somebody for tests.
    pub(crate) fn maria() -> Self {
        Self {
            id: "maria".to_owned(),
            email: "maria@example.org".to_owned(),
            password_hash: String::new(),
            admin: false,
            created_at: 0,
            disabled: false,
        }
    }
}

/// A login; its key is the hash of its cookie. What came later is empty in old ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub account: String,
    /// When it ends.
    pub expires_at: u64,
    /// When it began.
    #[serde(default)]
    pub opened_at: u64,
    /// From which address.
    #[serde(default)]
    pub address: String,
    /// What the browser called itself.
    #[serde(default)]
    pub user_agent: String,
    /// When it was last used, to the minute.
    #[serde(default)]
    pub last_seen: u64,
}

/// An isolated world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its slug.
    pub slug: TenantSlug,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: u64,
    /// When it was deleted. The row stays, so that no later tenant gets the slug and finds what is still marked with it.
    #[serde(default)]
    pub deleted_at: Option<u64>,
}

/// Lets somebody become a member of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Its id, the first part of the secret.
    pub id: String,
    /// Where to.
    pub tenant: TenantSlug,
    /// Who is invited, in lower case.
    pub email: String,
    /// The role they will have.
    pub role: Role,
    /// The account that made it.
    pub made_by: String,
    /// Of the whole secret.
    pub secret: SecretHash,
    /// When it ends.
    pub expires_at: u64,
}

/// An enrolled device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its id, also its authid.
    pub id: DeviceId,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub place: Option<String>,
    /// The tenant that owns it.
    pub owner: TenantSlug,
    /// Its Ed25519 key: 32 bytes, base64 without padding.
    pub public_key: String,
    /// When it was enrolled.
    pub enrolled_at: u64,
    /// What it was when it was enrolled.
    pub facts: DeviceFacts,
    /// Where its place is on the map, where it was found.
    #[serde(default)]
    pub location: Option<Location>,
    /// The key before `public_key`, good until that one has been used once.
    #[serde(default)]
    pub old_key: Option<String>,
    /// Since when `public_key` is its key; since its enrolment where that is not said.
    #[serde(default)]
    pub key_since: Option<u64>,
    /// Its owner wants it to make a new key.
    #[serde(default)]
    pub rotation_ordered: bool,
    /// With whom it is shared, or offered to be. A tenant is there once.
    #[serde(default)]
    pub shares: Vec<Share>,
}

/// A share of a device, or the offer of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// With whom. An offer may be to nobody.
    pub tenant: TenantSlug,
    /// Where it stands.
    pub state: ShareState,
    /// On what terms.
    pub terms: Terms,
    /// When it was offered.
    pub offered_at: u64,
    /// When it was accepted.
    pub accepted_at: Option<u64>,
}

/// Lets devices in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Its id, the first part of the token.
    pub id: String,
    /// The tenant that will own the devices.
    pub tenant: TenantSlug,
    /// Of the whole token.
    pub secret: SecretHash,
    /// How many devices may still use it.
    pub uses_left: u32,
    /// When it ends.
    pub expires_at: u64,
    /// The device that it is for, where it is for one that is known.
    #[serde(default)]
    pub device: Option<DeviceId>,
}

/// Lets a program in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id, also its authid.
    pub id: String,
    /// The tenant whose realm it opens.
    pub tenant: TenantSlug,
    /// What it is for.
    pub name: String,
    /// The role it gives.
    pub role: Role,
    /// Of the ticket.
    pub secret: SecretHash,
    /// When it ends.
    pub expires_at: u64,
    /// The account that made it.
    #[serde(default)]
    pub made_by: Option<String>,
    /// When and from where it was last used.
    #[serde(default)]
    pub last_used: Option<TokenUse>,
}

/// What a device last told, kept so that a restart of the control plane forgets no container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastReport {
    /// When, by the control plane's clock.
    pub at: u64,
    /// What was wrong.
    pub problems: Vec<String>,
    /// The device.
    pub facts: DeviceFacts,
    /// Its containers.
    pub containers: Vec<TenantContainer>,
}

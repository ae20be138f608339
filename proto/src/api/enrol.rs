//! How a device proves who it is over HTTP: it signs with an Ed25519 key that it made itself.
//! The texts that are signed are built here, so that both ends sign and check the same bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{device::DeviceFacts, fleet::ChannelPapers, name::DeviceId};

/// How far a device's clock may be from the control plane's when it asks for a session, in milliseconds.
/// Wide, because small devices have no battery clock; a replay within it is caught by the nonce.
pub const CLOCK_TOLERANCE_MS: u64 = 15 * 60 * 1000;

/// `POST /api/device/enrol`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolRequest {
    /// A join token. Never logged.
    pub token: String,
    /// The device's public key: 32 bytes, base64 without padding.
    pub public_key: String,
    /// The name for people.
    pub name: String,
    /// Where it stands.
    pub place: Option<String>,
    /// The device.
    pub facts: DeviceFacts,
    /// Signature over [`enrol_text`], base64 without padding.
    pub signature: String,
}

/// The answer: the device belongs to the token's tenant now. The same key again gives the same device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolReply {
    /// Its id.
    pub device: DeviceId,
    /// The name of the tenant that owns it.
    pub tenant_name: String,
    /// Its papers for the channel.
    pub papers: Option<ChannelPapers>,
}

/// `POST /api/device/session`: trades a signature for a ticket of the control realm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The device.
    pub device: DeviceId,
    /// The device's clock, in milliseconds since 1970.
    pub at: u64,
    /// 16 random bytes, base64 without padding; each is accepted once.
    pub nonce: String,
    /// Signature over [`session_text`], base64 without padding.
    pub signature: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionReply {
    /// The WAMP router's address for devices.
    pub wamp_url: String,
    /// The realm to join.
    pub realm: String,
    /// Single-use, short-lived. Never logged.
    pub ticket: String,
    /// The control plane's clock, in milliseconds since 1970.
    pub now: u64,
}

/// `POST /api/device/rotate-key`: the device has made itself a new key. Both are good until the new one was used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRequest {
    /// The device.
    pub device: DeviceId,
    /// The new public key: 32 bytes, base64 without padding.
    pub public_key: String,
    /// The device's clock, in milliseconds since 1970.
    pub at: u64,
    /// 16 random bytes, base64 without padding; each is accepted once.
    pub nonce: String,
    /// Signature over [`rotate_text`] by a key that is good now.
    pub signature: String,
    /// Signature over the same by the new key.
    pub new_signature: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotateReply {
    /// The device's papers for the channel, for its new key.
    pub papers: ChannelPapers,
}

/// What a device signs when it enrols.
pub fn enrol_text(token: &str, public_key: &str) -> String {
    format!("ecep enrol 1\n{token}\n{public_key}\n")
}

/// What a device signs when it asks for a session.
pub fn session_text(device: &DeviceId, at: u64, nonce: &str) -> String {
    format!("ecep session 1\n{device}\n{at}\n{nonce}\n")
}

/// What a device signs when it changes its key.
pub fn rotate_text(device: &DeviceId, public_key: &str, at: u64, nonce: &str) -> String {
    format!("ecep rotate 1\n{device}\n{public_key}\n{at}\n{nonce}\n")
}

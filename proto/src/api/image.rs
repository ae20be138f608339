//! Images on a device's engine. They are shared by the tenants of a device, as the engine's cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::OperationId;

/// Pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct PullImage {
    /// An image reference.
    pub image: String,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// Delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct DeleteImage {
    /// An image reference or id.
    pub image: String,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageView {
    /// The engine's id of it, `sha256:…`.
    pub id: String,
    /// The references that point at it.
    pub tags: Vec<String>,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

/// The images on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ImageList {
    /// By tag.
    pub images: Vec<ImageView>,
}

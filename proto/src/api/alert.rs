//! Alerts: what is wrong for so long that a person should act. Each is raised once, cleared when it is over, and
//! kept; both are told as a notice too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ContainerId, DeviceId};

/// Alerts of one answer, if the caller does not say.
pub const DEFAULT_ALERTS: u32 = 100;
/// Alerts of one answer at most.
pub const MAX_ALERTS: u32 = 500;

/// What is wrong.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS,
)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A device does not report.
    DeviceOffline,
    /// A device's disk for containers is nearly full.
    DiskLow,
    /// A device has had no CPU to spare for minutes.
    Overload,
    /// A container could not be moved.
    MigrationFailed,
    /// A container ends again and again soon after its start.
    RestartLoop,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AlertView {
    /// Its id.
    pub id: String,
    /// What is wrong.
    pub kind: AlertKind,
    /// The device it is about.
    pub device: Option<DeviceId>,
    /// The container it is about.
    pub container: Option<ContainerId>,
    /// A sentence.
    pub text: String,
    /// When it was raised, in milliseconds since 1970 by the control plane's clock.
    pub raised_at: u64,
    /// When it was over; `null` while it is active.
    pub cleared_at: Option<u64>,
    /// When a person said that they have seen it.
    pub acknowledged_at: Option<u64>,
    /// Who: the authid.
    pub acknowledged_by: Option<String>,
}

/// Which alerts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum AlertFilter {
    /// Those that are not over.
    #[default]
    Active,
    /// All that are kept.
    All,
}

/// Asks for alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct AlertQuery {
    /// Which; the active ones if left out.
    #[serde(default)]
    pub which: AlertFilter,
    /// How many, 1 to 500; 100 if left out.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Goes on where another answer's `next` says.
    #[serde(default)]
    pub after: Option<String>,
}

/// Alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct AlertList {
    /// The newest first.
    pub alerts: Vec<AlertView>,
    /// For `after`, where there are more.
    pub next: Option<String>,
}

/// Names an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct AlertRef {
    /// Its id.
    pub alert: String,
}

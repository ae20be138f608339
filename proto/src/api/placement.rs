//! Placement: where an application shall run, and why a device was chosen or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{geo::Location, name::DeviceId};

/// Devices of one deployment at most.
pub const MAX_DEVICES: u32 = 100;

/// Where an application shall run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub enum Target {
    /// On these devices.
    Devices {
        /// Their ids, 1 to 100.
        devices: Vec<DeviceId>,
    },
    /// On the devices nearest to a place that have room.
    Place {
        /// The place.
        location: Location,
        /// On how many, 1 to 100; 1 if left out.
        #[serde(default)]
        count: Option<u32>,
        /// No farther away than this many kilometres.
        #[serde(default)]
        within_km: Option<f64>,
    },
    /// On the devices that have the most room, wherever they are.
    Anywhere {
        /// On how many, 1 to 100; 1 if left out.
        #[serde(default)]
        count: Option<u32>,
    },
}

/// A device that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Candidate {
    /// The device.
    pub device: DeviceId,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why, or why not: each a sentence, such as `12 km away, the nearest with room` or `is arm64, the image is for amd64`.
    pub reasons: Vec<String>,
    /// How far away it is from the place, in kilometres, where both are known.
    pub distance_km: Option<f64>,
}

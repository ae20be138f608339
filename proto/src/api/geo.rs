//! Places by name, from an index that needs no internet. The data is GeoNames' (geonames.org, CC BY 4.0).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Most places in one answer.
pub const MAX_PLACES: u32 = 20;
/// Longest text that is looked for, in characters.
pub const MAX_TEXT: usize = 100;

/// A point on the earth (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

impl Location {
    /// Whether it is a point on the earth.
    pub fn is_valid(&self) -> bool {
        (-90.0..=90.0).contains(&self.lat) && (-180.0..=180.0).contains(&self.lon)
    }
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct GeoQuery {
    /// The beginning of a place's name, whatever its case and accents; a country or region may follow after a comma, as in
    /// `springfield, us`. Or a point, as `lat,lon`.
    pub text: String,
    /// Most places wanted, 1 to 20; 10 unless given.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GeoPlace {
    /// Its name; of a point, that of the nearest place.
    pub name: String,
    /// The country's code (ISO 3166-1 alpha-2).
    pub country: String,
    /// The region's code where it is more than a number, such as a state of the USA.
    pub region: Option<String>,
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// People; 0 for a point.
    pub population: u32,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct GeoPlaces {
    /// The largest first.
    pub places: Vec<GeoPlace>,
}

//! How far it is from one place on the earth to another.

use ecep_proto::api::geo::Location;

/// The earth's mean radius (IUGG), in kilometres.
const EARTH_KM: f64 = 6_371.008_8;

/// The great-circle distance in kilometres, by the haversine formula on a sphere: within half a percent.
pub fn kilometres(a: Location, b: Location) -> f64 {
    let (from, to) = (a.lat.to_radians(), b.lat.to_radians());
    let north = ((to - from) / 2.0).sin();
    let east = ((b.lon - a.lon).to_radians() / 2.0).sin();
    let part = north * north + from.cos() * to.cos() * east * east;
    2.0 * EARTH_KM * part.clamp(0.0, 1.0).sqrt().asin()
}

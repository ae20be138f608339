//! The places themselves: unpacked once, ordered by their folded names, never changed. Knows nothing of what people type.

use std::{cmp::Reverse, collections::BinaryHeap};

use ecep_proto::api::geo::{GeoPlace, Location};

use super::fold::fold;

/// Bytes of the unpacked columns at most: many times what the data has.
const MAX_UNPACKED: usize = 16 * 1024 * 1024;
/// The columns are in thousandths of a degree, about a hundred metres.
const PER_DEGREE: f64 = 1_000.0;

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// The data is not as it was packed.
    #[error("the data cannot be unpacked: {0}")]
    Packed(#[from] std::io::Error),
    /// A column is missing, or is longer or shorter than the others.
    #[error("the data's columns do not fit each other")]
    Columns,
}

#[derive(Debug)]
struct Place {
    /// Name and country's code.
    name: Box<str>,
    country: [u8; 2],
    region: Option<Box<str>>,
    lat: i32,
    lon: i32,
    population: u32,
}

/// All places.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// With their folded names, in the order of those.
    places: Vec<(Box<str>, Place)>,
}

impl Index {
    /// Unpacks what `cargo xtask generate-places` has packed: columns with an empty line between them, a line for each place.
    ///
    /// # Errors
    /// See [`IndexError`].
    pub(super) fn unpack(packed: &[u8]) -> Result<Self, IndexError> {
        let bytes = zstd::bulk::decompress(packed, MAX_UNPACKED)?;
        let text = String::from_utf8(bytes).map_err(|_| IndexError::Columns)?;
        let columns: Vec<Vec<&str>> = text.split("\n\n").map(|column| column.split('\n').collect()).collect();
        let [names, countries, regions, lats, lons, populations] =
            columns.try_into().map_err(|_| IndexError::Columns)?;
        let rows = [&countries, &regions, &lats, &lons, &populations];
        if rows.iter().any(|column| column.len() != names.len()) {
            return Err(IndexError::Columns);
        }
        let place = |row: usize| {
            let number = |text: &str| text.parse::<i32>().ok();
            Some(Place {
                name: names[row].into(),
                country: countries[row].as_bytes().try_into().ok()?,
                region: (regions[row] != "-").then(|| regions[row].into()),
                lat: number(lats[row])?,
                lon: number(lons[row])?,
                population: populations[row].parse().ok()?,
            })
        };
        let places: Option<Vec<Place>> = (0..names.len()).map(place).collect();
        let places = places.ok_or(IndexError::Columns)?;
        let mut places: Vec<_> =
            places.into_iter().map(|place| (fold(&place.name).into_boxed_str(), place)).collect();
        places.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { places })
    }

    /// The largest places whose folded names begin so, the largest first. `within` is the beginning of a country's or region's
    /// code, in small letters; an empty one is all.
    pub(super) fn beginning_with(&self, name: &str, within: &str, limit: usize) -> Vec<GeoPlace> {
        let first = self.places.partition_point(|(folded, _)| **folded < *name);
        let found = self.places[first..].iter().take_while(|(folded, _)| folded.starts_with(name));
        // Of those so far the smallest is on top.
        let mut largest = BinaryHeap::with_capacity(limit + 1);
        for (number, (_, place)) in found.enumerate().filter(|(_, (_, place))| place.is_within(within)) {
            largest.push(Reverse((place.population, Reverse(first + number))));
            if largest.len() > limit {
                largest.pop();
            }
        }
        let largest = largest.into_sorted_vec();
        largest.into_iter().map(|Reverse((_, Reverse(at)))| self.places[at].1.told()).collect()
    }

    /// The largest place with exactly this folded name.
    pub(super) fn largest_named(&self, name: &str, within: &str) -> Option<GeoPlace> {
        let first = self.places.partition_point(|(folded, _)| **folded < *name);
        let named = self.places[first..].iter().take_while(|(folded, _)| **folded == *name);
        let of_name = named.map(|(_, place)| place).filter(|place| place.is_within(within));
        of_name.max_by_key(|place| place.population).map(Place::told)
    }

    /// The place that is nearest to a point.
    pub(super) fn nearest(&self, point: Location) -> Option<GeoPlace> {
        let distance = |place: &Place| {
            let (lat, lon) = (f64::from(place.lat) / PER_DEGREE, f64::from(place.lon) / PER_DEGREE);
            let around = (lon - point.lon).abs();
            let east = around.min(360.0 - around) * point.lat.to_radians().cos();
            (lat - point.lat).powi(2) + east.powi(2)
        };
        let places = self.places.iter().map(|(_, place)| place);
        places.min_by(|a, b| distance(a).total_cmp(&distance(b))).map(Place::told)
    }
}

impl Place {
    fn is_within(&self, code: &str) -> bool {
        let begins = |own: &str| own.to_lowercase().starts_with(code);
        code.is_empty() || begins(self.country()) || self.region.as_deref().is_some_and(begins)
    }

    fn country(&self) -> &str {
        std::str::from_utf8(&self.country).unwrap_or_default()
    }

    fn told(&self) -> GeoPlace {
        GeoPlace {
            name: self.name.to_string(),
            country: self.country().to_owned(),
            region: self.region.as_deref().map(ToOwned::to_owned),
            lat: f64::from(self.lat) / PER_DEGREE,
            lon: f64::from(self.lon) / PER_DEGREE,
            population: self.population,
        }
    }
}

//! How times are spread: the figures of many measurements in one line.

use std::time::Duration;

use serde::Serialize;

/// Times in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half are no longer.
    pub p50_ms: f64,
    /// Of a hundred 99 are no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Spread {
    /// Of these times; none where there are none.
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        // The smallest of which so many of a hundred are no longer.
        let at = |percent: usize| {
            let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(place).map(|time| (time.as_secs_f64() * 1e6).round() / 1e3)
        };
        Some(Self { count: times.len(), p50_ms: at(50)?, p99_ms: at(99)?, max_ms: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong place here would be believed.
    #[test]
    fn a_spread_tells_the_places_of_the_sorted_times() {
        let times = (1..=200).rev().map(Duration::from_millis);
        let expected = Spread { count: 200, p50_ms: 100.0, p99_ms: 198.0, max_ms: 200.0 };
        assert_eq!(Spread::of(times), Some(expected));
        assert_eq!(
            Spread::of([Duration::from_millis(7)]).map(|one| (one.p50_ms, one.p99_ms)),
            Some((7.0, 7.0))
        );
        assert_eq!(Spread::of([]), None);
    }
}

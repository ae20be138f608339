//! How long a move will take and how long the container will stand still in it: arithmetic over what is known, without clock or
//! I/O. The constants are rounded from what was measured: see "Measured" in docs/migration.md.

use std::time::Duration;

/// What a live move stands still for even if nothing is left to send: freezing, saving, restoring, the commit.
const LIVE_BASE: Duration = Duration::from_millis(220);
/// What it takes beyond it for each hundred megabytes of memory: saving and restoring.
const LIVE_PER_HUNDRED_MB: Duration = Duration::from_millis(180);
/// The engine's start, which is not begun before the freeze where the container publishes ports.
const ENGINES_START: Duration = Duration::from_millis(200);
/// What a cold move stands still for: the stop of a program that obeys SIGTERM, the engine's start, the commit.
const COLD_BASE: Duration = Duration::from_millis(450);
/// What any move takes beside that: the two ends meet, and the container is made.
const MEETING: Duration = Duration::from_millis(1_000);
/// What a line is taken to carry in a second where nothing is known of it: 100 Mbit/s.
pub const ASSUMED_RATE: u64 = 12_500_000;
/// Fewer bytes than this tell of a line's delay, not of its rate.
const TELLING: u64 = 4_000_000;

/// How a container moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With its memory.
    Live,
    /// Without.
    Cold,
    /// It does not run.
    AtRest,
}

/// What has to travel, in bytes, and what else it depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Memory.
    pub memory: u64,
    /// Writable layer and volumes.
    pub files: u64,
    /// The image, where the destination lacks it.
    pub image: u64,
    /// Whether it publishes ports.
    pub has_ports: bool,
}

/// What a move will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// From the order to the end.
    pub total: Duration,
    /// The container stands still.
    pub downtime: Duration,
}

/// Before a move: of one that writes little while it is copied.
pub fn before_the_start(way: Way, load: &Load, bytes_per_second: u64) -> Estimate {
    let (downtime, memory) = match way {
        Way::Live => (standing_still(load.memory, load.has_ports, Duration::ZERO), load.memory),
        Way::Cold => (COLD_BASE, 0),
        Way::AtRest => (Duration::ZERO, 0),
    };
    let bytes = load.files.saturating_add(load.image).saturating_add(memory);
    Estimate { total: MEETING + downtime + time_for(bytes, bytes_per_second), downtime }
}

/// Before the freeze of a live move: how long a container with that much memory will stand still, if what is left to send takes
/// that long.
pub fn standing_still(memory_bytes: u64, has_ports: bool, left: Duration) -> Duration {
    let share = u32::try_from(memory_bytes / 1_000_000).unwrap_or(u32::MAX);
    let cost = LIVE_PER_HUNDRED_MB.saturating_mul(share) / 100;
    let start = if has_ports { ENGINES_START } else { Duration::ZERO };
    (LIVE_BASE + start).saturating_add(cost).saturating_add(left)
}

/// What a line carries in a second, by what travelled over it: the best of these bytes and times. None where too little did.
pub fn rate(travelled: impl IntoIterator<Item = (u64, Duration)>) -> Option<u64> {
    let telling = travelled.into_iter().filter(|(bytes, took)| *bytes >= TELLING && !took.is_zero());
    telling.map(|(bytes, took)| (bytes as f64 / took.as_secs_f64()) as u64).max().filter(|rate| *rate > 0)
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / bytes_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who is told a quarter of a second for a small container, and six tenths for one of 200 MB, was told what was measured.
    #[test]
    fn tells_what_was_measured() {
        let quick = 1_000_000_000;
        for (megabytes, measured) in [(4, 230), (200, 590)] {
            let load = Load { memory: megabytes * 1_000_000, ..Load::default() };
            let told = before_the_start(Way::Live, &load, quick).downtime.as_millis();
            assert!(
                told.abs_diff(measured) <= measured / 5,
                "{megabytes} MB: {told} ms, measured {measured} ms"
            );
        }
    }

    /// A line that carried a few bytes at once is no slow line, and one that carried nothing is not known.
    #[test]
    fn little_that_travelled_tells_nothing_of_a_line() {
        let second = Duration::from_secs(1);
        assert_eq!(rate([(1_000, second), (0, Duration::ZERO)]), None);
        assert_eq!(rate([(1_000, second), (20_000_000, second * 2), (50_000_000, second)]), Some(50_000_000));
    }

    proptest! {
        /// More to carry, or a slower line, never looks quicker; standing still is part of the whole; nothing overflows.
        #[test]
        fn more_is_never_quicker(memory: u64, files: u64, image: u64, has_ports: bool, rate: u64, more: u64) {
            let load = Load { memory, files, image, has_ports };
            let larger = Load { memory: memory.saturating_add(more), ..load };
            for way in [Way::Live, Way::Cold, Way::AtRest] {
                let told = before_the_start(way, &load, rate);
                prop_assert!(told.downtime <= told.total);
                prop_assert!(before_the_start(way, &larger, rate).total >= told.total);
                prop_assert!(before_the_start(way, &larger, rate).downtime >= told.downtime);
                prop_assert!(before_the_start(way, &load, rate.saturating_add(more)).total <= told.total);
            }
            let left = Duration::from_millis(more);
            prop_assert_eq!(
                standing_still(memory, has_ports, left),
                standing_still(memory, has_ports, Duration::ZERO) + left
            );
        }
    }
}

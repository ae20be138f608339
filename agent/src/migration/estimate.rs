//! Whether a live move may freeze its container: arithmetic over what the rounds of memory have seen and what was asked for.

use std::time::Duration;

use ecep_fleet::migration::estimate::standing_still;
use ecep_precopy::rounds::{self, Limits, Round};
use ecep_proto::api::migration::{MAX_ROUNDS, MigrationOptions, OverDowntime};

use super::step::Why;

/// CRIU's small images, and what else travels after the freeze of a container that has written nothing: see "Measured" in
/// docs/migration.md. It counts where the line is held back.
const ALWAYS_LEFT: u64 = 90_000;

/// What is known of a move before its freeze.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Bytes of the container's memory.
    pub memory_bytes: u64,
    /// Whether it publishes ports.
    pub has_ports: bool,
    /// Bytes a second that the line may carry.
    pub bytes_per_second: Option<u64>,
    /// What was asked for.
    pub options: &'a MigrationOptions,
}

/// How to go on before the freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Course {
    /// As it was ordered.
    Freeze,
    /// It would stand still for too long: it stays, and why.
    Stay(Why),
    /// It would stand still for too long: it goes without its memory.
    GoCold,
}

/// What the rounds must keep to.
pub(super) fn limits(known: &Known<'_>) -> Limits {
    let of_the_rest = |whole: Duration| whole.saturating_sub(downtime(known, &[]));
    Limits {
        rounds: known.options.max_rounds.map_or(MAX_ROUNDS, |rounds| rounds.clamp(1, MAX_ROUNDS)),
        downtime: asked(known.options).map(of_the_rest),
        rate: known.bytes_per_second,
    }
}

/// How long it will stand still, by these rounds; none yet is for one that writes nothing at all.
pub(super) fn downtime(known: &Known<'_>, rounds: &[Round]) -> Duration {
    let always = known.bytes_per_second.map_or(0.0, |rate| ALWAYS_LEFT as f64 / rate.max(1) as f64);
    let left = rounds::estimate(rounds, known.bytes_per_second) + Duration::from_secs_f64(always);
    standing_still(known.memory_bytes, known.has_ports, left)
}

/// How to go on where it would stand still for `downtime` after so many rounds.
pub(super) fn course(downtime: Duration, rounds: usize, options: &MigrationOptions) -> Course {
    let Some(limit) = asked(options).filter(|limit| downtime > *limit) else { return Course::Freeze };
    if options.over_downtime == OverDowntime::Cold {
        return Course::GoCold;
    }
    let why = match rounds {
        0 => "even if it writes nothing meanwhile".to_owned(),
        1 => "after 1 round of its memory".to_owned(),
        rounds => format!("after {rounds} rounds of its memory, which it goes on writing"),
    };
    Course::Stay(format!(
        "it would stand still for about {} ms ({why}), and max_downtime_ms is {}; nothing was frozen. Allow more, move it when \
         it writes less, or move it cold",
        downtime.as_millis(),
        limit.as_millis()
    ))
}

fn asked(options: &MigrationOptions) -> Option<Duration> {
    options.max_downtime_ms.map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use ecep_precopy::rounds::{Next, next};

    use super::*;

    const MB: u64 = 1_000_000;

    fn options(max_downtime_ms: Option<u64>, over_downtime: OverDowntime) -> MigrationOptions {
        MigrationOptions { max_downtime_ms, over_downtime, ..MigrationOptions::default() }
    }

    /// At 100 MB/s.
    fn rounds(megabytes: &[u64]) -> Vec<Round> {
        megabytes
            .iter()
            .map(|mb| Round { sent: mb * MB, unsent: 0, took: Duration::from_millis(mb * 10) })
            .collect()
    }

    fn known(memory_bytes: u64, options: &MigrationOptions) -> Known<'_> {
        Known { memory_bytes, has_ports: false, bytes_per_second: None, options }
    }

    fn decided(memory: u64, rounds: &[Round], options: &MigrationOptions) -> Course {
        course(downtime(&known(memory, options), rounds), rounds.len(), options)
    }

    /// Whoever asked for no limit is never refused, however busy the container is.
    #[test]
    fn without_a_limit_it_freezes() {
        let busy = rounds(&[4_000, 4_000]);
        assert_eq!(decided(4_000 * MB, &busy, &options(None, OverDowntime::Refuse)), Course::Freeze);
    }

    /// A container is not frozen for longer than was asked for, and the person is told by how much and what to do; or it goes cold,
    /// if that was asked for.
    #[test]
    fn over_the_limit_it_stays_or_goes_cold() {
        let busy = rounds(&[200, 190]);
        match decided(200 * MB, &busy, &options(Some(900), OverDowntime::Refuse)) {
            Course::Stay(why) => {
                for says in ["2480 ms", "after 2 rounds", "max_downtime_ms is 900", "move it cold"] {
                    assert!(why.contains(says), "{why}");
                }
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(decided(200 * MB, &busy, &options(Some(900), OverDowntime::Cold)), Course::GoCold);
        assert_eq!(decided(200 * MB, &busy, &options(Some(2_480), OverDowntime::Refuse)), Course::Freeze);
    }

    /// What saving and restoring alone take is known before a page has gone: nobody's link is used for nothing.
    #[test]
    fn a_limit_that_cannot_be_kept_is_seen_before_the_first_round() {
        let hopeless = decided(200 * MB, &[], &options(Some(100), OverDowntime::Refuse));
        assert!(matches!(hopeless, Course::Stay(why) if why.contains("even if it writes nothing")));
        assert_eq!(decided(200 * MB, &[], &options(Some(900), OverDowntime::Refuse)), Course::Freeze);
    }

    /// While rounds shrink, a limit that is not kept yet is worth another one; and both rules agree on when it is kept.
    #[test]
    fn the_rounds_go_on_until_the_limit_is_kept_or_they_do_not_shrink() {
        let asked = options(Some(900), OverDowntime::Refuse);
        let limits = limits(&known(200 * MB, &asked));
        for (sent, expected) in [
            (vec![200, 100], Next::Again),
            (vec![200, 100, 4, 4], Next::Freeze),
            (vec![200, 190], Next::TooSlow { downtime: Duration::from_millis(1_900) }),
        ] {
            let rounds = rounds(&sent);
            let next = next(&rounds, &limits);
            assert_eq!(next, expected, "{sent:?}");
            let freezes = decided(200 * MB, &rounds, &asked) == Course::Freeze;
            assert_eq!(freezes, next == Next::Freeze, "{sent:?}");
        }
    }

    /// More rounds than are allowed are none that a journal of another version could bring in.
    #[test]
    fn rounds_stay_within_what_is_allowed() {
        for (asked, allowed) in [(None, MAX_ROUNDS), (Some(1), 1), (Some(0), 1), (Some(99), MAX_ROUNDS)] {
            let options = MigrationOptions { max_rounds: asked, ..MigrationOptions::default() };
            assert_eq!(limits(&known(MB, &options)).rounds, allowed);
        }
    }

    /// Whoever holds a move back is told what that costs, even for a container at rest.
    #[test]
    fn a_line_that_is_held_back_makes_it_stand_still_for_longer() {
        let options = MigrationOptions::default();
        let free = known(4 * MB, &options);
        let held = Known { bytes_per_second: Some(100_000), ..free };
        let at_rest = rounds(&[4, 0]);
        assert_eq!(downtime(&held, &at_rest) - downtime(&free, &at_rest), Duration::from_millis(900));
    }
}

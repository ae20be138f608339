//! When to stop copying and freeze: a rule without clock or I/O.

use std::time::Duration;

/// A round that leaves more than this share of what the one before left is no progress: the container writes as fast as the link
/// takes away. In percent.
const WORTHWHILE: u64 = 75;
/// A remainder below this many bytes is not worth a round: the freeze itself takes longer.
const SMALL: u64 = 256 * 1024;

/// What a round has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Bytes that went to the destination.
    pub sent: u64,
    /// Bytes that were new, too, but did not go, since the destination's pool takes no more.
    pub unsent: u64,
    /// How long it took.
    pub took: Duration,
}

impl Round {
    /// Bytes that were written since the round before.
    fn written(&self) -> u64 {
        self.sent.saturating_add(self.unsent)
    }
}

/// What people asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rounds at most; the first one sends everything.
    pub rounds: u32,
    /// The longest time that the transfer after the freeze should take, by estimate.
    pub downtime: Option<Duration>,
    /// Bytes a second that the line may carry, whatever it could. A line's own buffers take the first ones at once.
    pub rate: Option<u64>,
}

/// What to do after a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another round pays off.
    Again,
    /// Freeze now: what changed is small, or will not become smaller.
    Freeze,
    /// It will not become smaller, and the freeze would take longer than was asked for.
    TooSlow {
        /// By estimate.
        downtime: Duration,
    },
}

/// Decides after each round. What it found is what was written during the one before, so it estimates what the next leaves.
pub fn next(rounds: &[Round], limits: &Limits) -> Next {
    let Some(last) = rounds.last() else { return Next::Again };
    let estimate = estimate(rounds, limits.rate);
    let is_quick = limits.downtime.is_none_or(|limit| estimate <= limit);
    if rounds.len() > 1 && last.written() <= SMALL && is_quick {
        return Next::Freeze;
    }
    let is_shrinking = match rounds {
        // The first round sends everything and tells nothing of what is written meanwhile.
        [_] => true,
        [.., before, last] => last.written() * 100 <= before.written() * WORTHWHILE,
        [] => true,
    };
    if is_shrinking && rounds.len() < limits.rounds as usize {
        return Next::Again;
    }
    if is_quick { Next::Freeze } else { Next::TooSlow { downtime: estimate } }
}

/// How long what is left will take to send: as much as the last round found, at the best rate that was seen, or
/// that is allowed.
pub fn estimate(rounds: &[Round], allowed: Option<u64>) -> Duration {
    let Some(last) = rounds.last() else { return Duration::ZERO };
    let rate = |round: &Round| round.sent as f64 / round.took.as_secs_f64().max(0.001);
    let best = rounds.iter().map(rate).fold(1.0, f64::max);
    let best = allowed.map_or(best, |allowed| best.min(allowed as f64).max(1.0));
    Duration::from_secs_f64(last.written() as f64 / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn rounds(sent: &[u64]) -> Vec<Round> {
        // 100 MiB/s.
        sent.iter()
            .map(|mib| Round { sent: mib * MIB, unsent: 0, took: Duration::from_millis(mib * 10) })
            .collect()
    }

    fn limits(downtime: Option<u64>) -> Limits {
        Limits { rounds: 8, downtime: downtime.map(Duration::from_millis), rate: None }
    }

    /// A container at rest is frozen after two looks, a busy one when its remainder stops shrinking, and never later than asked.
    #[test]
    fn stops_when_it_does_not_pay_off() {
        for (sent, expected) in [
            (vec![], Next::Again),
            (vec![200], Next::Again),
            (vec![200, 0], Next::Freeze),
            (vec![200, 40], Next::Again),
            (vec![200, 40, 10], Next::Again),
            (vec![200, 40, 39], Next::Freeze),
            (vec![200, 190], Next::Freeze),
            (vec![200, 100, 50, 25, 12, 6, 3, 2], Next::Freeze),
        ] {
            assert_eq!(next(&rounds(&sent), &limits(None)), expected, "{sent:?}");
        }
    }

    /// Who asked for half a second is not given two.
    #[test]
    fn says_when_the_downtime_would_be_too_long() {
        let busy = rounds(&[200, 190]);
        assert_eq!(next(&busy, &limits(Some(500))), Next::TooSlow { downtime: Duration::from_millis(1900) });
        assert_eq!(next(&rounds(&[200, 40, 39]), &limits(Some(500))), Next::Freeze);
    }

    /// A pool that is full hides nothing: what did not go for want of room is as much left as what is written anew.
    #[test]
    fn what_the_pool_does_not_take_is_left() {
        let mut full = rounds(&[200, 200]);
        full.push(Round { sent: 0, unsent: 200 * MIB, took: Duration::from_millis(100) });
        assert_eq!(next(&full, &limits(Some(500))), Next::TooSlow { downtime: Duration::from_secs(2) });
    }

    /// A line that was held back takes the first bytes into its buffers at once; what is left does not go so quickly.
    #[test]
    fn a_line_that_is_held_back_is_not_quicker_than_it_may() {
        let quick = rounds(&[200, 100]);
        assert_eq!(estimate(&quick, None), Duration::from_secs(1));
        assert_eq!(estimate(&quick, Some(10 * MIB)), Duration::from_secs(10));
        assert_eq!(estimate(&quick, Some(1000 * MIB)), Duration::from_secs(1));
    }
}

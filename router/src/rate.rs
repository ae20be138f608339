//! How fast a session may send: a token bucket that holds one second's worth. Who is faster is read later, not refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::live_limits::LiveLimits;

/// The bucket of one session.
#[derive(Debug)]
pub(crate) struct Rate {
    limits: Arc<LiveLimits>,
    /// As the limits were at the last look.
    per_second: u64,
    tokens: u64,
    /// Until when tokens have been earned: in the future while there is debt.
    earned: Instant,
}

impl Rate {
    pub(crate) fn new(limits: Arc<LiveLimits>, now: Instant) -> Self {
        let per_second = per_second(&limits);
        Self { limits, per_second, tokens: per_second, earned: now }
    }

    /// Pays for messages that were read; how long to wait before more are read. The clock is looked at only when the
    /// tokens of the last look are spent.
    pub(crate) fn spend(&mut self, messages: usize, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let messages = messages as u64;
        let per_second = per_second(&self.limits);
        if per_second != self.per_second {
            // What was saved up is no more than the new bucket holds.
            (self.per_second, self.tokens) = (per_second, self.tokens.min(per_second));
        }
        if let Some(rest) = self.tokens.checked_sub(messages) {
            self.tokens = rest;
            return None;
        }
        let now = now();
        let nanoseconds = now.saturating_duration_since(self.earned).as_nanos() * u128::from(self.per_second);
        let earned = u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX);
        let room = self.per_second - self.tokens;
        if earned >= room {
            // Full: what was earned beyond that is not saved up.
            (self.tokens, self.earned) = (self.per_second, self.earned.max(now));
        } else {
            self.tokens += earned;
            self.earned += self.time_for(earned);
        }
        if let Some(rest) = self.tokens.checked_sub(messages) {
            self.tokens = rest;
            return None;
        }
        let debt = messages - std::mem::take(&mut self.tokens);
        self.earned += self.time_for(debt);
        Some(self.earned.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    fn time_for(&self, messages: u64) -> Duration {
        Duration::from_nanos(messages.saturating_mul(1_000_000_000) / self.per_second)
    }
}

fn per_second(limits: &LiveLimits) -> u64 {
    limits.messages_per_second().max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    fn limits(max_messages_per_second: usize) -> Limits {
        Limits { max_messages_per_second, ..Limits::default() }
    }

    fn at(per_second: usize, now: Instant) -> Rate {
        Rate::new(LiveLimits::new(&limits(per_second)), now)
    }

    /// Over any time, a session that waits as it is told gets through what it may, and no more.
    #[test]
    fn no_more_than_the_rate_and_no_less() {
        for (per_second, batch) in [(1, 1), (100, 1), (100, 7), (100, 350), (250_000, 64)] {
            let start = Instant::now();
            let (mut rate, mut now, mut sent) = (at(per_second, start), start, 0);
            while sent < 20 * per_second {
                if let Some(wait) = rate.spend(batch, || now) {
                    now += wait;
                }
                sent += batch;
            }
            let seconds = (now - start).as_secs_f64();
            let expected = (sent - per_second) as f64 / per_second as f64;
            assert!(
                (seconds - expected).abs() < 0.1,
                "{per_second} by {batch}: {seconds} s, not {expected} s"
            );
        }
    }

    /// Who was silent may catch up by one second's worth, not by all the time that it was silent.
    #[test]
    fn silence_is_not_saved_up() {
        let start = Instant::now();
        let mut rate = at(10, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(rate.spend(10, || later), None);
        assert_eq!(rate.spend(10, || later), None, "the first ten were there from the start");
        assert_eq!(rate.spend(10, || later), Some(Duration::from_secs(1)));
    }

    /// A lower rate holds for a session that was allowed more and has saved some of it up; and the other way round.
    #[test]
    fn another_rate_holds_at_once() {
        let start = Instant::now();
        let live = LiveLimits::new(&limits(1_000));
        let mut rate = Rate::new(live.clone(), start);
        live.set(&limits(10));
        assert_eq!(rate.spend(20, || start), Some(Duration::from_secs(1)), "ten were left");
        live.set(&limits(1_000));
        let later = start + Duration::from_secs(3);
        assert_eq!(rate.spend(1_000, || later), None);
    }
}

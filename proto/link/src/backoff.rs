//! How long to wait before the next attempt to join: exponential, capped, jittered by the caller's random
//! number. No clock here.

use std::time::Duration;

/// The first wait. Short, so that a router that restarts is found again at once.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: what a person is ready to wait once the router is back.
const LONGEST: Duration = Duration::from_secs(8);

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait; `random` is in 0..1 and spreads it over the upper half, so that a fleet that lost the
    /// same router does not come back in one instant.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// A session stood: the next loss is a new one.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet must neither storm the router nor be gone for minutes.
    #[test]
    fn grows_to_the_cap_and_stays_within_it() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(1.0)).collect();
        assert_eq!(waits[0], FIRST);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits.last(), Some(&LONGEST));
        backoff.reset();
        assert_eq!(backoff.next(0.0), FIRST / 2);
    }
}

//! How long to wait before the next attempt to connect: exponential, capped, spread by the caller's random number.
//! No clock here.

use std::time::Duration;

/// Counts attempts.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits from `first`, twice as long each time, up to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempts: 0 }
    }

    /// The next wait; `random` in 0..1 spreads it over the upper half, so that a fleet that lost the same peer does
    /// not come back in one instant.
    pub fn next(&mut self, random: f64) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempts.min(10)).min(self.longest);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// The connection stood: the next loss is a new one.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet must neither storm its cloud nor be gone for minutes.
    #[test]
    fn grows_to_the_cap_stays_within_it_and_starts_over() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(8));
        let mut backoff = Backoff::new(first, longest);
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(1.0)).collect();
        assert_eq!(waits[0], first);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits.last(), Some(&longest));
        backoff.reset();
        assert_eq!(backoff.next(0.0), first / 2);
    }
}

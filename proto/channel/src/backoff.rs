//! How long to wait before the next attempt to connect: exponential, capped, spread by the caller's random number.

use std::time::Duration;

/// Short, so that a cloud that restarts is found again at once.
const FIRST: Duration = Duration::from_millis(500);
/// The channel waits longer than the WAMP link: nothing live depends on it, and a handshake costs more.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The next wait; `random` in 0..1 spreads it over the upper half.
    pub(crate) fn next(&mut self, random: f64) -> Duration {
        let full = FIRST.saturating_mul(1 << self.attempts.min(10)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fleet must neither storm the cloud nor be gone for minutes.
    #[test]
    fn grows_to_the_cap_and_starts_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(1.0)).collect();
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(waits.last(), Some(&LONGEST));
        backoff.reset();
        assert_eq!(backoff.next(0.0), FIRST / 2);
    }
}

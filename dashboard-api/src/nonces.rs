//! Remembers the nonces of signed requests, so that a recorded request cannot be sent again.
//!
//! Decides without a clock: times are passed in, in milliseconds since 1970. In memory only: after a restart a
//! request that was recorded within the tolerance could be replayed once; what it gains is a ticket sent to
//! whoever can read the device's traffic anyway.

use std::collections::{BTreeSet, HashMap};

use ecep_proto::api::{enrol::CLOCK_TOLERANCE_MS, name::DeviceId};

/// Nonces remembered for one device: a session each minute for the whole tolerance on both sides.
/// Policy: beyond it the one with the oldest time is forgotten, and requests that old are refused.
const MAX_PER_DEVICE: usize = 32;

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The request's time is too far from ours.
    Clock,
    /// It was accepted before, or is older than what is remembered.
    Replay,
}

#[derive(Debug, Default)]
struct Seen {
    nonces: BTreeSet<(u64, String)>,
    /// Requests up to this time may have been forgotten.
    forgotten_up_to: u64,
}

/// The nonces of all devices. One entry for each enrolled device that asked within the tolerance.
#[derive(Debug, Default)]
pub struct Nonces {
    devices: HashMap<DeviceId, Seen>,
    swept_at: u64,
}

impl Nonces {
    /// Accepts a request whose signature is right: once, and only near `now`.
    ///
    /// # Errors
    /// [`Stale`] if it is not accepted.
    pub fn accept(&mut self, now: u64, device: &DeviceId, at: u64, nonce: &str) -> Result<(), Stale> {
        if at.abs_diff(now) > CLOCK_TOLERANCE_MS {
            return Err(Stale::Clock);
        }
        self.sweep(now);
        let seen = self.devices.entry(device.clone()).or_default();
        if at <= seen.forgotten_up_to {
            return Err(Stale::Replay);
        }
        if seen.nonces.iter().any(|(_, known)| known == nonce) {
            return Err(Stale::Replay);
        }
        seen.nonces.insert((at, nonce.to_owned()));
        if seen.nonces.len() > MAX_PER_DEVICE
            && let Some((oldest, _)) = seen.nonces.pop_first()
        {
            seen.forgotten_up_to = oldest;
        }
        Ok(())
    }

    /// Forgets what the clock alone would refuse, once in a while.
    fn sweep(&mut self, now: u64) {
        if now.abs_diff(self.swept_at) < CLOCK_TOLERANCE_MS {
            return;
        }
        self.swept_at = now;
        let horizon = now.saturating_sub(CLOCK_TOLERANCE_MS);
        self.devices.retain(|_, seen| {
            seen.nonces.retain(|(at, _)| *at >= horizon);
            !seen.nonces.is_empty() || seen.forgotten_up_to >= horizon
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 10 * CLOCK_TOLERANCE_MS;

    fn device() -> DeviceId {
        "edge-1".parse().unwrap()
    }

    /// The same request twice is an attacker with a recording.
    #[test]
    fn a_nonce_is_accepted_once() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.accept(NOW, &device(), NOW, "a"), Ok(()));
        assert_eq!(nonces.accept(NOW, &device(), NOW, "a"), Err(Stale::Replay));
        assert_eq!(nonces.accept(NOW, &device(), NOW + 1, "a"), Err(Stale::Replay));
        assert_eq!(nonces.accept(NOW, &device(), NOW, "b"), Ok(()));
    }

    /// The tolerance is inclusive on both sides and ends there.
    #[test]
    fn the_clock_may_be_off_by_the_tolerance() {
        let mut nonces = Nonces::default();
        for (at, expected) in [
            (NOW - CLOCK_TOLERANCE_MS - 1, Err(Stale::Clock)),
            (NOW - CLOCK_TOLERANCE_MS, Ok(())),
            (NOW + CLOCK_TOLERANCE_MS, Ok(())),
            (NOW + CLOCK_TOLERANCE_MS + 1, Err(Stale::Clock)),
        ] {
            assert_eq!(nonces.accept(NOW, &device(), at, &at.to_string()), expected, "{at}");
        }
    }

    /// A device that floods us must not make us forget a nonce and then accept it again.
    #[test]
    fn what_was_forgotten_is_not_accepted_again() {
        let mut nonces = Nonces::default();
        for number in 0..200u64 {
            assert_eq!(nonces.accept(NOW, &device(), NOW + number, &number.to_string()), Ok(()));
        }
        for number in 0..200u64 {
            let again = nonces.accept(NOW, &device(), NOW + number, &number.to_string());
            assert_eq!(again, Err(Stale::Replay), "{number}");
        }
        assert!(nonces.devices[&device()].nonces.len() <= MAX_PER_DEVICE);
    }

    /// A sweep must not open a door: what is forgotten is also too old.
    #[test]
    fn sweeping_forgets_only_what_is_too_old() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.accept(NOW, &device(), NOW, "a"), Ok(()));
        let later = NOW + CLOCK_TOLERANCE_MS;
        assert_eq!(nonces.accept(later, &device(), later, "b"), Ok(()));
        assert_eq!(nonces.accept(later, &device(), NOW, "a"), Err(Stale::Replay));
        let much_later = later + 2 * CLOCK_TOLERANCE_MS;
        let other = "edge-2".parse().unwrap();
        assert_eq!(nonces.accept(much_later, &other, much_later, "c"), Ok(()));
        assert!(!nonces.devices.contains_key(&device()), "swept");
        assert_eq!(nonces.accept(much_later, &device(), later, "b"), Err(Stale::Clock));
    }
}

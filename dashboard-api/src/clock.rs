//! The control plane's clocks: what time it is for people, and a clock that never goes back for judging ages.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Starts at the time of day and then only counts forward, so setting the system's clock makes no device offline.
#[derive(Debug, Clone, Copy)]
pub struct SteadyClock {
    started: Instant,
    started_at: u64,
}

impl SteadyClock {
    /// Starts it.
    pub fn start() -> Self {
        Self { started: Instant::now(), started_at: unix_ms() }
    }

    /// Milliseconds since 1970, as if the system's clock had not been set since the start.
    pub fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_at.saturating_add(elapsed)
    }
}

/// A time for a person: `Wed, 25 Nov 2026 04:30:05 GMT`.
pub fn readable(unix_ms: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms.min(LAST_READABLE_MS)));
    httpdate::fmt_http_date(time.unwrap_or(UNIX_EPOCH))
}

/// The end of the year 9999, the last that the format can hold.
const LAST_READABLE_MS: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// A device may send any number as its time: it must be shown, not crash the control plane.
    #[test]
    fn any_number_is_readable() {
        assert_eq!(readable(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(readable(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert!(readable(u64::MAX).contains("9999"));
    }
}

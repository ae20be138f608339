//! The device's clock as the wire has it, and times as Docker writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Milliseconds since 1970 by the device's clock; 0 where that clock stands before 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 of an RFC 3339 time; `None` for anything else, and for Docker's "never"
/// (the year 1).
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Docker writes nanoseconds, zones and a year-1 "never"; a wrong reading would show false start times.
    #[test]
    fn reads_the_times_docker_writes() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:01.500000000Z"), Some(1_500));
        assert_eq!(parse_rfc3339("1970-01-01T01:00:02+01:00"), Some(2_000));
        assert_eq!(parse_rfc3339("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}

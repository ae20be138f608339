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
    Some(parse_rfc3339_nanos(text)? / 1_000_000)
}

/// The same in nanoseconds.
pub fn parse_rfc3339_nanos(text: &str) -> Option<u64> {
    u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos()).ok()
}

/// Nanoseconds since 1970 as RFC 3339 has them, in UTC.
pub fn format_rfc3339(nanos: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
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

//! The time of day, for people: a realm is told once what time it is, and counts on from there.

use std::time::{Duration, Instant};

const DAY: u64 = 24 * 60 * 60;

/// What time it was at some instant.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// The instant.
    pub instant: Instant,
    /// The time since 1970-01-01 UTC at that instant.
    pub since_epoch: Duration,
}

impl WallClock {
    /// An instant in ISO 8601, UTC, to the millisecond.
    pub(crate) fn iso_8601(&self, instant: Instant) -> String {
        let since = self.since_epoch + instant.saturating_duration_since(self.instant);
        let (days, rest) = (since.as_secs() / DAY, since.as_secs() % DAY);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let millisecond = since.subsec_millis();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

/// The date of a day counted from 1970-01-01. Years are taken from March on, so that the leap day is the last, in
/// eras of 400 years.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dates around leap days and the turn of years.
    #[test]
    fn dates() {
        let instant = Instant::now();
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_795_747_283, "2026-11-27T02:41:23.000Z"),
        ] {
            let clock = WallClock { instant, since_epoch: Duration::from_secs(seconds) };
            assert_eq!(clock.iso_8601(instant), expected);
        }
        let clock = WallClock { instant, since_epoch: Duration::ZERO };
        assert_eq!(clock.iso_8601(instant + Duration::from_millis(1500)), "1970-01-01T00:00:01.500Z");
    }
}

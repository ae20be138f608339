//! How long certificates hold, and what a clock that disagrees with them means. Small devices without a battery wake
//! in 1970: that must be called a wrong clock, never a bad certificate. No clock here: the caller says what time it is.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use x509_parser::parse_x509_certificate;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A device's or the cloud's certificate holds a year: a device that lay in a drawer for a season still connects.
pub const LEAF_VALIDITY: Duration = Duration::from_secs(365 * DAY.as_secs());
/// The CA's own certificate holds longer than the hardware.
pub const CA_VALIDITY: Duration = Duration::from_secs(20 * 365 * DAY.as_secs());
/// Certificates begin to hold this long before they are issued: a device's clock may be behind by a time zone that
/// somebody set wrongly, or by what a slow crystal loses.
pub const CLOCK_SKEW: Duration = DAY;

/// From when until when a certificate holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: u64,
    /// Last second.
    pub not_after: u64,
}

/// Why a certificate does not hold now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// The clock is before the certificate's issue, which lies in the past for certain.
    #[error(
        "this machine's clock says {clock}, but its certificate holds from {not_before}: the clock is wrong, not the \
         certificate. Set the clock (for example by an NTP client)"
    )]
    ClockBehind {
        /// What the clock says, RFC 3339.
        clock: String,
        /// The certificate's first second, RFC 3339.
        not_before: String,
    },
    /// Expired, or the clock runs ahead.
    #[error(
        "this machine's certificate expired at {not_after} and its clock says {clock}: renew the certificate at the \
         control plane, or set the clock if it is wrong"
    )]
    Expired {
        /// What the clock says, RFC 3339.
        clock: String,
        /// The certificate's last second, RFC 3339.
        not_after: String,
    },
    /// Not X.509.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
}

impl Validity {
    /// A leaf issued at `now`.
    pub(crate) fn issued(now: SystemTime, lasting: Duration) -> Self {
        let now = seconds(now);
        Self {
            not_before: now.saturating_sub(CLOCK_SKEW.as_secs()),
            not_after: now.saturating_add(lasting.as_secs()),
        }
    }

    /// Reads it from a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, ValidityError> {
        let (_, parsed) = parse_x509_certificate(certificate)
            .map_err(|error| ValidityError::Unreadable(error.to_string()))?;
        let validity = parsed.validity();
        let seconds = |at: i64| u64::try_from(at).unwrap_or(0);
        Ok(Self {
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
        })
    }

    /// Whether it holds at `now`.
    pub fn check(&self, now: UnixTime) -> Result<(), ValidityError> {
        let now = now.as_secs();
        if now < self.not_before {
            return Err(ValidityError::ClockBehind {
                clock: rfc3339(now),
                not_before: rfc3339(self.not_before),
            });
        }
        if now > self.not_after {
            return Err(ValidityError::Expired { clock: rfc3339(now), not_after: rfc3339(self.not_after) });
        }
        Ok(())
    }

    /// Whether it is time for a new one: two thirds of the time are over, so that a third is left for trying.
    pub fn renewal_is_due(&self, now: UnixTime) -> bool {
        let lasting = self.not_after.saturating_sub(self.not_before);
        now.as_secs() >= self.not_before.saturating_add(lasting / 3 * 2)
    }
}

pub(crate) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(crate) fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// A device that wakes in 1970 must be told about its clock, in words.
    #[test]
    fn a_clock_in_1970_is_called_a_wrong_clock() {
        let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let validity = Validity::issued(issued, LEAF_VALIDITY);
        let message = validity.check(at(5)).unwrap_err().to_string();
        assert!(
            message.contains("1970-01-01T00:00:05Z") && message.contains("the clock is wrong"),
            "{message}"
        );
    }

    /// Clocks within the tolerance work; a renewal is asked for long before the end.
    #[test]
    fn tolerates_skew_and_asks_for_renewal_in_time() {
        let validity =
            Validity::issued(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), LEAF_VALIDITY);
        assert_eq!(validity.check(at(1_800_000_000 - CLOCK_SKEW.as_secs())), Ok(()));
        assert!(!validity.renewal_is_due(at(1_800_000_000)));
        assert!(validity.renewal_is_due(at(validity.not_after - 100 * DAY.as_secs())));
        assert_eq!(validity.check(at(validity.not_after)), Ok(()));
        assert!(matches!(validity.check(at(validity.not_after + 1)), Err(ValidityError::Expired { .. })));
    }
}

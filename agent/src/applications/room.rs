//! Room on the device's disk: looked at before anything is brought, so that a full disk is a sentence and not an accident.

use std::path::Path;

use ecep_proto::api::error::{ApiError, ErrorKind};

/// What stays free: the engine, the agent and what runs need it to go on.
pub(crate) const RESERVE_BYTES: u64 = 256 << 20;
const MIB: u64 = 1 << 20;

/// Bytes that are free where this folder is; none where the disk does not say.
pub(crate) fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether two folders are on one disk.
pub(crate) fn is_same_disk(one: &Path, other: &Path) -> bool {
    let of = |folder: &Path| rustix::fs::stat(folder).ok().map(|status| status.st_dev);
    of(one) == of(other)
}

/// Refuses what the disk has no room for.
///
/// # Errors
/// `Limit`.
pub(crate) fn check(folder: &Path, needed: u64, what: &str) -> Result<(), ApiError> {
    match free(folder) {
        Some(free) => enough(free, needed, what),
        None => Ok(()),
    }
}

fn enough(free: u64, needed: u64, what: &str) -> Result<(), ApiError> {
    if needed.saturating_add(RESERVE_BYTES) <= free {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorKind::Limit,
        format!(
            "the device's disk has no room for {what}: {} MiB are needed, {} MiB are free and {} MiB stay free; delete images or \
             containers there, or choose another device",
            needed.div_ceil(MIB),
            free / MIB,
            RESERVE_BYTES / MIB
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is filled to the last byte stops everything on the device.
    #[test]
    fn something_stays_free() {
        assert_eq!(enough(RESERVE_BYTES + 10, 10, "it"), Ok(()));
        let error = enough(RESERVE_BYTES + 10, 11, "the artifact").unwrap_err();
        assert!(error.message.contains("the artifact"), "{error}");
        assert!(enough(u64::MAX - 1, u64::MAX, "it").is_err());
    }
}

//! For which architectures this device is. No I/O.

use ecep_fleet::placement::{platform_of, runs};
use ecep_proto::api::error::{ApiError, ErrorKind};

/// Refuses what is for other architectures alone. Where it is not known, it is tried.
///
/// # Errors
/// `InvalidArgument`.
pub(crate) fn check(machine: &str, architectures: &[String]) -> Result<(), ApiError> {
    if runs(machine, architectures) {
        return Ok(());
    }
    let device = platform_of(machine);
    let known: Vec<&str> = architectures.iter().map(String::as_str).filter(|one| !one.is_empty()).collect();
    Err(ApiError::new(
        ErrorKind::InvalidArgument,
        format!(
            "the image is for {}, this device is {device}; add a version that is built for {device}, or choose another device",
            known.join(", ")
        ),
    ))
}

/// What this device is, as `--platform` names it.
pub(crate) fn platform(machine: &str) -> String {
    format!("linux/{}", platform_of(machine))
}

/// Whether that is what this device is, or runs as it is.
pub(crate) fn is_own(machine: &str, platform: &str) -> bool {
    !platform.is_empty() && runs(machine, &[platform.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image for another machine only says "exec format error", after all of it was brought.
    #[test]
    fn what_is_for_other_machines_is_refused_in_words() {
        let check = |machine: &str, of: &[&str]| {
            check(machine, &of.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
        };
        for (machine, of) in [
            ("x86_64", &["amd64"][..]),
            ("x86_64", &[]),
            ("aarch64", &["amd64", "arm64"]),
            ("armv7l", &["arm/v6"]),
            ("riscv64", &["riscv64"]),
            ("x86_64", &[""]),
        ] {
            assert_eq!(check(machine, of), Ok(()), "{machine} {of:?}");
        }
        for (machine, of) in [("aarch64", &["amd64"][..]), ("armv6l", &["arm/v7"]), ("x86_64", &["arm64"])] {
            let error = check(machine, of).unwrap_err();
            assert!(error.message.contains(of[0]) && error.message.contains(platform_of(machine)), "{error}");
        }
    }

    /// What a Dockerfile names is built here, or is refused.
    #[test]
    fn a_platform_is_this_devices_or_another_ones() {
        for (machine, wanted, is_its_own) in [
            ("x86_64", "linux/amd64", true),
            ("x86_64", "amd64", true),
            ("aarch64", "linux/arm64/v8", true),
            ("armv7l", "linux/arm/v7", true),
            ("x86_64", "linux/arm64", false),
            ("aarch64", "linux/amd64", false),
            ("x86_64", "windows/amd64", false),
            ("x86_64", "linux", false),
            ("x86_64", "", false),
        ] {
            assert_eq!(is_own(machine, wanted), is_its_own, "{machine} {wanted}");
        }
        assert_eq!(platform("aarch64"), "linux/arm64");
    }
}

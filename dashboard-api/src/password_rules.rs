//! Which passwords are refused: too short, too long, one's own e-mail address, or among the first that anybody tries.
//! Must not know how passwords are kept.

use ecep_proto::api::error::ApiError;

use crate::naming::invalid;

/// Shortest password in characters (NIST SP 800-63B asks for 8 with a second factor; there is none yet).
const MIN_PASSWORD: usize = 12;
/// Longest password in characters: more only costs time.
const MAX_PASSWORD: usize = 1_024;
/// A password of fewer different characters than this is a pattern on the keyboard.
const MIN_DIFFERENT: usize = 4;

/// The most common ones that are long enough, in lower case and without what people put between words. Such lists
/// begin with these whatever leak they are made from.
const COMMON: &[&str] = &[
    "123456789012",
    "1234567890123",
    "12345678901234",
    "123456789abc",
    "1q2w3e4r5t6y",
    "1q2w3e4r5t6y7u",
    "1qaz2wsx3edc",
    "1qaz2wsx3edc4rfv",
    "abc123456789",
    "abcd12345678",
    "abcdefghijkl",
    "abcdefghijklm",
    "adminadmin123",
    "administrator",
    "administrator1",
    "changeme1234",
    "changemeplease",
    "correcthorsebatterystaple",
    "iloveyou1234",
    "iloveyouforever",
    "letmeinplease",
    "letmeinletmein",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "password2024",
    "password2025",
    "password2026",
    "passwordpassword",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopas",
    "qwertyuiopasdf",
    "qwertzuiopas",
    "thisisapassword",
    "trustno1trustno1",
    "welcome12345",
    "welcomewelcome",
    "zaq12wsxcde3",
];

/// Refuses a password for the account of this e-mail address.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_password(password: &str, email: &str) -> Result<(), ApiError> {
    let length = password.chars().count();
    if length < MIN_PASSWORD {
        return Err(invalid(format!(
            "The password has {length} characters; use {MIN_PASSWORD} or more. A few words in a row are easy to remember."
        )));
    }
    if length > MAX_PASSWORD {
        return Err(invalid(format!("The password has {length} characters; use {MAX_PASSWORD} or fewer.")));
    }
    let lower = password.trim().to_lowercase();
    if lower == email.to_lowercase() {
        return Err(invalid("The password is the e-mail address; use something that others do not know."));
    }
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let mut different: Vec<char> = lower.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < MIN_DIFFERENT || COMMON.contains(&plain.as_str()) {
        return Err(invalid(
            "This password is among the first that others would try. A few words in a row that only you put together are good.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "maria@example.org";

    /// Length is counted in characters, as the message says.
    #[test]
    fn short_passwords_are_refused() {
        assert!(check_password("elevenchars", EMAIL).is_err());
        assert!(check_password("twelve chars", EMAIL).is_ok());
        assert!(check_password("ééééééééééé", EMAIL).is_err());
        assert!(check_password(&"xyz!".repeat(500), EMAIL).is_err());
    }

    /// What anybody tries first is refused, however it is written.
    #[test]
    fn what_is_tried_first_is_refused() {
        for bad in [
            "Maria@Example.org",
            "aaaaaaaaaaaa",
            "ababababababab",
            "PassWord1234",
            "correct horse battery staple",
            "qwerty-123456",
        ] {
            assert!(check_password(bad, EMAIL).is_err(), "{bad}");
        }
        assert!(check_password("correct horse battery", EMAIL).is_ok());
    }

    /// An entry that is too short or not in its plain form would never be met.
    #[test]
    fn the_list_holds_what_can_be_met() {
        for entry in COMMON {
            assert!(entry.len() >= MIN_PASSWORD, "{entry}");
            assert!(entry.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{entry}");
        }
    }
}

//! Ids made from names that people give, and the checks of what people type.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::MAX_NAME_LENGTH,
    roles::Role,
};

use crate::secret::random_suffix;

/// Longest e-mail address (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const MAX_EMAIL: usize = 254;
/// Longest name or place for people: what fits in a table's column.
const MAX_TITLE: usize = 80;

/// An id that begins like the name and ends in random characters, valid as a component of a URI.
pub fn id_from(name: &str, fallback: &str, suffix: usize) -> String {
    let mut slug = String::new();
    for character in name.chars().flat_map(char::to_lowercase) {
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.truncate(MAX_NAME_LENGTH - 1 - suffix);
    let slug = slug.trim_end_matches('-');
    let slug = if slug.is_empty() { fallback } else { slug };
    format!("{slug}-{}", random_suffix(suffix))
}

/// The e-mail address as it is stored: without surrounding blanks, in lower case.
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Refuses what cannot be an e-mail address; gives it as it is stored.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_email(email: &str) -> Result<String, ApiError> {
    let email = normal_email(email);
    let parts = email.split_once('@');
    let good = parts.is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
    });
    let is_wrong = |c: char| c.is_whitespace() || c.is_control() || is_deceptive(c) || is_joiner(c);
    if !good || email.len() > MAX_EMAIL || email.chars().any(is_wrong) {
        return Err(invalid(
            "This is not an e-mail address. It should look like maria@example.org, without blanks.",
        ));
    }
    Ok(email)
}

/// Refuses roles that a person cannot have in a tenant.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_person_role(role: Role) -> Result<(), ApiError> {
    if matches!(role, Role::Owner | Role::Operator | Role::Viewer) {
        return Ok(());
    }
    Err(invalid(format!("A person cannot have the role {}; use owner, operator or viewer.", role.as_str())))
}

/// Refuses names for people that are empty, too long, or hold control characters; gives it trimmed.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_title(what: &str, title: &str) -> Result<String, ApiError> {
    let title = title.trim();
    let length = title.chars().count();
    if length == 0 || length > MAX_TITLE {
        return Err(invalid(format!("{what} has {length} characters; use 1 to {MAX_TITLE}.")));
    }
    if title.chars().any(char::is_control) {
        return Err(invalid(format!("{what} holds a control character, such as a line break; remove it.")));
    }
    if title.chars().any(is_deceptive) {
        return Err(invalid(format!(
            "{what} holds an invisible character, or one that turns the direction of the text; type it anew."
        )));
    }
    Ok(title.to_owned())
}

/// What is not seen, or makes other characters stand elsewhere than they are: with it one name can be made to look like another.
fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// What is not seen either, and yet is needed to write some languages.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200d}')
}

/// An `InvalidArgument` with this sentence.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecep_proto::api::name::DeviceId;

    /// Whatever a person calls a device, its id must be valid in a URI and still recall the name.
    #[test]
    fn ids_are_valid_whatever_the_name() {
        for (name, start) in [
            ("edge-1", "edge-1-"),
            ("Küche Süd #2", "k-che-s-d-2-"),
            ("--", "device-"),
            ("日本", "device-"),
            ("", "device-"),
            (&"x".repeat(100), "xxxx"),
            (&format!("{}-y", "x".repeat(57)), "xxxx"),
        ] {
            let id = id_from(name, "device", 4);
            assert!(id.starts_with(start), "{name} became {id}");
            assert!(id.parse::<DeviceId>().is_ok(), "{id}");
        }
    }

    /// A typing error in an address locks its owner out, so the evident ones are refused.
    #[test]
    fn evident_mistakes_in_addresses_are_refused() {
        for bad in
            ["", "maria", "@x", "maria@", "a@b@c", "a b@c", "a@.c", "a@c.", &format!("{}@c", "a".repeat(260))]
        {
            assert!(check_email(bad).is_err(), "{bad}");
        }
        assert_eq!(check_email(" Maria@Example.org "), Ok("maria@example.org".to_owned()));
        assert!(check_email("admin@localhost").is_ok());
    }

    /// One name or address must not be made to look like another by what is not seen; a language that needs joiners is none.
    #[test]
    fn names_that_only_look_alike_are_refused() {
        for trick in ["Ac\u{200b}me", "\u{202e}emcA", "Acme\u{2028}x", "Acme\u{feff}", "A\u{2066}cme"] {
            assert!(check_title("The name", trick).is_err(), "{trick:?}");
        }
        for trick in ["ma\u{200b}ria@example.org", "ma\u{200d}ria@example.org", "maria@ex\u{ad}ample.org"] {
            assert!(check_email(trick).is_err(), "{trick:?}");
        }
        assert!(check_title("The name", "می\u{200c}خواهم").is_ok());
    }
}

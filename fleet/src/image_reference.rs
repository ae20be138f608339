//! Image references: checked, and completed as the engine's own client does.

use std::{fmt, str::FromStr};

use ecep_proto::api::error::{ApiError, ErrorKind};

/// Longest reference: a registry's name, a path and a digest fit.
const MAX_LENGTH: usize = 512;

/// A reference that names exactly one image: with a tag or a digest, or the id of an image. Without a tag
/// it means `latest`: the engine would pull every tag otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference(String);

impl ImageReference {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the id of an image, which no registry knows.
    pub fn is_id(&self) -> bool {
        self.0.strip_prefix("sha256:").is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

/// The registry that a reference names; the engine's own where it names none.
pub fn registry_of(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "docker.io",
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageReference {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
        let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let parts_are_plain = !text.split('/').any(|part| part.is_empty() || part == "." || part == "..");
        if text.len() > MAX_LENGTH || !begins_well || !text.bytes().all(allowed) || !parts_are_plain {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "image: {:?} is not an image reference; use one such as nginx, nginx:1.27 or \
                     registry.example:5000/team/app:1",
                    text.chars().take(MAX_LENGTH).collect::<String>()
                ),
            ));
        }
        let last = text.rsplit('/').next().unwrap_or(text);
        let complete = last.contains(':') || last.contains('@');
        Ok(Self(if complete { text.to_owned() } else { format!("{text}:latest") }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a tag the engine pulls every tag of a repository: gigabytes nobody asked for.
    #[test]
    fn a_reference_without_a_tag_means_latest() {
        for (given, meant) in [
            ("nginx", "nginx:latest"),
            ("nginx:1.27", "nginx:1.27"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("a/b@sha256:00", "a/b@sha256:00"),
        ] {
            assert_eq!(given.parse::<ImageReference>().unwrap().as_str(), meant);
        }
        assert!("sha256:abc123".parse::<ImageReference>().unwrap().is_id());
        assert!(!"nginx:1".parse::<ImageReference>().unwrap().is_id());
    }

    /// Whoever looks for a registry that does not answer must be told the right one.
    #[test]
    fn a_registry_is_what_the_engine_asks() {
        for (reference, registry) in [
            ("nginx:1", "docker.io"),
            ("team/app:1", "docker.io"),
            ("localhost/app:1", "localhost"),
            ("r.example/team/app:1", "r.example"),
            ("r:5000/app@sha256:00", "r:5000"),
        ] {
            assert_eq!(registry_of(reference), registry, "{reference}");
        }
    }

    /// The reference becomes part of a URL path at the engine: nothing may break out of it.
    #[test]
    fn tricks_are_refused() {
        for bad in ["", "-x", "a b", "a?b", "a#b", "../x", "a//b", "a/../b", "a%2fb", "ä", &"x".repeat(600)]
        {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?} was accepted");
        }
    }
}

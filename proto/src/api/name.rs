//! The names of things: typed, parsed once at the edge, safe inside URIs, labels and file names.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Longest id or slug: a container's name at the engine, a DNS label and a file name all hold it.
pub const MAX_NAME_LENGTH: usize = 63;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty; use 1 to {MAX_NAME_LENGTH} of: a-z, 0-9 and '-'")]
    Empty {
        /// What was being named.
        what: &'static str,
    },
    /// More than [`MAX_NAME_LENGTH`] characters.
    #[error("{what} has {length} characters; at most {MAX_NAME_LENGTH} are allowed")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// Its length in characters.
        length: usize,
    },
    /// A character that is not allowed here.
    #[error(
        "{what} \"{name}\" has {character:?} at place {place}; use only a-z, 0-9 and '-', and begin and end with a letter or digit"
    )]
    BadCharacter {
        /// What was being named.
        what: &'static str,
        /// The whole name, as given.
        name: String,
        /// The first offending character.
        character: char,
        /// Its place, from 1.
        place: usize,
    },
}

fn check(what: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    let length = name.chars().count();
    if length > MAX_NAME_LENGTH {
        return Err(NameError::TooLong { what, length });
    }
    for (at, character) in name.chars().enumerate() {
        let at_edge = at == 0 || at + 1 == length;
        let good =
            character.is_ascii_lowercase() || character.is_ascii_digit() || (character == '-' && !at_edge);
        if !good {
            return Err(NameError::BadCharacter { what, name: name.to_owned(), character, place: at + 1 });
        }
    }
    Ok(())
}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident, $what:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(try_from = "String", into = "String")]
        #[ts(type = "string")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                check($what, &text)?;
                Ok(Self(text))
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )+};
}

names! {
    /// A device's id: one component of its URIs. The control plane makes it at enrolment.
    DeviceId, "the device id";
    /// A container's ECEP id: the same for life, wherever it moves. The agent makes it at creation.
    ContainerId, "the container id";
    /// A tenant's short name: the last component of its realm.
    TenantSlug, "the tenant's slug";
    /// A name that a person gave to a container: unique on a device within a tenant.
    ContainerName, "the container's name";
    /// A name of an application.
    ApplicationName, "the application's name";
    /// A checkpoint's name, and a folder's of checkpoints: unique for a container on a device.
    CheckpointName, "the checkpoint's name";
    /// An operation's id. Whoever orders may choose it: the same id again is the same order.
    OperationId, "the operation id";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name becomes part of a URI and of file names: separators and tricks must never pass.
    #[test]
    fn refuses_whatever_could_break_out_of_a_uri_or_a_path() {
        for bad in ["", ".", "..", "a.b", "a/b", "a b", "-a", "a-", "A", "é", "a\0", "a\n", &"x".repeat(64)]
        {
            assert!(bad.parse::<DeviceId>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "0", "edge-1", &"x".repeat(63)] {
            assert_eq!(good.parse::<DeviceId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
    }

    /// The message must say which character is wrong and where.
    #[test]
    fn the_error_points_at_the_character() {
        let error = "web_1".parse::<ContainerName>().unwrap_err().to_string();
        assert!(error.contains("'_' at place 4"), "{error}");
    }

    /// Deserialising must not be a way around the check.
    #[test]
    fn json_goes_through_the_same_check() {
        assert!(serde_json::from_str::<TenantSlug>("\"a.b\"").is_err());
        assert!(serde_json::from_str::<TenantSlug>("\"acme\"").is_ok());
    }
}

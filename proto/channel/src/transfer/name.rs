//! Names of items: relative paths that stay inside the receiver's directory, whatever the sender says.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name: every file system holds each part.
pub const MAX_ITEM_NAME: usize = 255;
/// Deepest name: `volumes/<name>/<part>` and some.
const MAX_PARTS: usize = 8;

/// An item's name: parts of `A-Z a-z 0-9 . _ -`, none beginning with a dot, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemName(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for an item: use 1 to {MAX_PARTS} parts of letters, digits, '.', '_' and '-' joined by '/', none \
     beginning with '.', {MAX_ITEM_NAME} characters at most"
)]
pub struct ItemNameError(String);

impl ItemName {
    /// As a path, to be joined to the receiver's directory.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ItemName {
    type Err = ItemNameError;
    fn from_str(text: &str) -> Result<Self, ItemNameError> {
        let is_part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        };
        if text.len() <= MAX_ITEM_NAME && text.split('/').count() <= MAX_PARTS && text.split('/').all(is_part)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(ItemNameError(text.chars().take(MAX_ITEM_NAME).collect()))
        }
    }
}

impl TryFrom<String> for ItemName {
    type Error = ItemNameError;
    fn try_from(text: String) -> Result<Self, ItemNameError> {
        text.parse()
    }
}

impl From<ItemName> for String {
    fn from(name: ItemName) -> String {
        name.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No name may lead out of the receiver's directory or into its own files.
    #[test]
    fn refuses_what_could_leave_the_directory() {
        let long = "x".repeat(256);
        for bad in [
            "",
            "/",
            "/etc",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            ".receiving",
            "a/.b",
            "a b",
            "a\\b",
            "a\0",
            &long,
        ] {
            assert!(bad.parse::<ItemName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "pages-1.img", "volumes/data/x_1", "A..b"] {
            assert!(good.parse::<ItemName>().is_ok(), "{good:?} was refused");
        }
    }
}

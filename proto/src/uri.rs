//! URIs of WAMP: dotted names of topics, procedures, errors and realms, and the three ways to match them.
//!
//! Owns the loose and strict checks of the WAMP specification ("URIs"). Must not know who may use which.

use std::fmt;

use thiserror::Error;

/// The longest URI that is accepted, in bytes. The specification sets none; names of people's programs stay far
/// below, and a bound keeps tables and logs small.
pub const MAX_URI_BYTES: usize = 255;

/// Components of a wildcard. Ours have six at most; whoever looks for what covers a URI walks through those of all wildcards.
pub const MAX_WILDCARD_COMPONENTS: usize = 16;

/// How an URI is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Strictness {
    /// No white space and no `#`; components are not empty.
    #[default]
    Loose,
    /// Components of lower-case letters, digits and `_` only.
    Strict,
}

/// How a subscription's or registration's URI is compared with a topic or procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Match {
    /// The same URI.
    #[default]
    Exact,
    /// A URI that begins with it.
    Prefix,
    /// A URI of as many components, where an empty component stands for any.
    Wildcard,
}

impl Match {
    /// The name in `Options.match`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Wildcard => "wildcard",
        }
    }

    /// The way of matching with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Exact, Self::Prefix, Self::Wildcard].into_iter().find(|kind| kind.name() == name)
    }

    /// Whether `pattern` covers `uri` in this way.
    pub fn covers(self, pattern: &str, uri: &str) -> bool {
        match self {
            Self::Exact => pattern == uri,
            Self::Prefix => uri.starts_with(pattern),
            Self::Wildcard => {
                let mut components = uri.split('.');
                pattern
                    .split('.')
                    .all(|want| components.next().is_some_and(|has| want.is_empty() || want == has))
                    && components.next().is_none()
            }
        }
    }
}

/// Why something is no URI. The text names the offending character and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// Nothing at all.
    #[error("a URI can't be empty")]
    Empty,
    /// Two dots in a row, or a dot at either end.
    #[error("URI {uri:?} has an empty component at byte {at}")]
    EmptyComponent {
        /// The text.
        uri: String,
        /// Where the empty component is, in bytes.
        at: usize,
    },
    /// A character that is not allowed.
    #[error("URI {uri:?} has the character {character:?} at byte {at}; {allowed}")]
    Character {
        /// The text.
        uri: String,
        /// The first character that is not allowed.
        character: char,
        /// Where it is, in bytes.
        at: usize,
        /// What is allowed instead.
        allowed: &'static str,
    },
    /// A wildcard with more than [`MAX_WILDCARD_COMPONENTS`].
    #[error("a wildcard of {0} components is too long, {MAX_WILDCARD_COMPONENTS} are allowed")]
    TooManyComponents(usize),
    /// More than [`MAX_URI_BYTES`].
    #[error("a URI of {0} bytes is too long, {MAX_URI_BYTES} are allowed")]
    TooLong(usize),
}

/// A checked URI, or a checked pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uri(String);

impl Uri {
    /// Checks the name of a topic, procedure or error.
    ///
    /// # Errors
    /// Says which character is wrong, and where.
    pub fn parse(text: impl Into<String>, strictness: Strictness) -> Result<Self, UriError> {
        Self::pattern(text, Match::Exact, strictness)
    }

    /// Checks a pattern: a wildcard may have empty components anywhere, a prefix may end in a dot or be empty.
    ///
    /// # Errors
    /// Says which character is wrong, and where.
    pub fn pattern(text: impl Into<String>, kind: Match, strictness: Strictness) -> Result<Self, UriError> {
        let uri = text.into();
        if uri.len() > MAX_URI_BYTES {
            return Err(UriError::TooLong(uri.len()));
        }
        let (wrong, allowed): (fn(char) -> bool, _) = match strictness {
            Strictness::Loose => {
                (|c| c.is_whitespace() || c.is_control() || c == '#', "white space and # are not allowed")
            }
            Strictness::Strict => (
                |c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.'),
                "only lower-case letters, digits, _ and . are allowed",
            ),
        };
        if let Some((at, character)) = uri.char_indices().find(|&(_, c)| wrong(c)) {
            return Err(UriError::Character { uri, character, at, allowed });
        }
        let named = match kind {
            Match::Exact => uri.as_str(),
            Match::Prefix => uri.strip_suffix('.').unwrap_or(&uri),
            Match::Wildcard => {
                let components = uri.split('.').count();
                return if components > MAX_WILDCARD_COMPONENTS {
                    Err(UriError::TooManyComponents(components))
                } else {
                    Ok(Self(uri))
                };
            }
        };
        if uri.is_empty() {
            return if kind == Match::Prefix { Ok(Self(uri)) } else { Err(UriError::Empty) };
        }
        let mut at = 0;
        for component in named.split('.') {
            if component.is_empty() {
                return Err(UriError::EmptyComponent { uri, at });
            }
            at += component.len() + 1;
        }
        Ok(Self(uri))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, taken out.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user who mistypes a URI is told which character is wrong.
    #[test]
    fn names_the_offending_character() {
        let error = Uri::parse("com.bad uri#", Strictness::Loose).unwrap_err();
        assert!(error.to_string().contains("' ' at byte 7"), "{error}");
        let error = Uri::parse("com.Bad", Strictness::Strict).unwrap_err();
        assert!(error.to_string().contains("'B' at byte 4"), "{error}");
        assert_eq!(
            Uri::parse("com..x", Strictness::Loose),
            Err(UriError::EmptyComponent { uri: "com..x".into(), at: 4 })
        );
        assert_eq!(Uri::parse("", Strictness::Loose), Err(UriError::Empty));
        assert!(matches!(Uri::parse("x".repeat(300), Strictness::Loose), Err(UriError::TooLong(300))));
    }

    /// What other routers accept by default is accepted: loose URIs may hold capitals, dashes and any script.
    #[test]
    fn loose_is_loose() {
        for uri in ["com.Example.do-it", "a", "com.überall.見る", "a:b.c/d"] {
            assert!(Uri::parse(uri, Strictness::Loose).is_ok(), "{uri}");
        }
        assert!(Uri::parse("com.example_1.x", Strictness::Strict).is_ok());
    }

    /// Empty components are wild in wildcards only, and a prefix may end anywhere.
    #[test]
    fn patterns() {
        assert!(Uri::pattern("a..c", Match::Wildcard, Strictness::Strict).is_ok());
        assert!(Uri::pattern("a..c", Match::Prefix, Strictness::Loose).is_err());
        assert!(Uri::pattern("a.b.", Match::Prefix, Strictness::Loose).is_ok());
        assert!(Uri::pattern("", Match::Prefix, Strictness::Loose).is_ok());
        assert!(
            Uri::pattern(".".repeat(MAX_WILDCARD_COMPONENTS - 1), Match::Wildcard, Strictness::Loose).is_ok()
        );
        assert!(
            Uri::pattern(".".repeat(MAX_WILDCARD_COMPONENTS), Match::Wildcard, Strictness::Loose).is_err()
        );
        assert!(Match::Wildcard.covers("a..c", "a.b.c"));
        assert!(!Match::Wildcard.covers("a..c", "a.b.c.d"));
        assert!(!Match::Wildcard.covers("a..c", "a.b"));
        assert!(Match::Prefix.covers("a.b", "a.bc"));
        assert!(!Match::Exact.covers("a.b", "a.bc"));
    }
}

//! The variables before the first FROM, of which the names of images may be put together.

use std::collections::BTreeMap;

/// Lengths of a value after its variables are put in.
const MAX_VALUE: usize = 1024;

/// Their values by their names; none where the value is not understood.
pub(super) struct Variables(BTreeMap<String, Option<String>>);

impl Variables {
    /// Those that are known from the start, on a device of this platform. It builds for itself, so both are the same.
    pub(super) fn new(platform: &str) -> Self {
        let known = ["BUILDPLATFORM", "TARGETPLATFORM"];
        Self(known.map(|name| (name.to_owned(), Some(platform.to_owned()))).into())
    }

    /// An ARG line: `NAME`, `NAME=value`, and several of them.
    pub(super) fn learn(&mut self, rest: &str) {
        // A value with blanks in quotes comes apart here; it is of no use in an image's name.
        for word in rest.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                // What is known of it without a value stays.
                self.0.entry(word.to_owned()).or_insert_with(|| Some(String::new()));
                continue;
            };
            let bare = unquoted(value);
            let value = bare.and_then(|bare| self.expanded(bare).ok());
            self.0.insert(name.to_owned(), value);
        }
    }

    /// A text with their values put in.
    ///
    /// # Errors
    /// It is not understood.
    pub(super) fn expanded(&self, text: &str) -> Result<String, String> {
        let not_taken = || {
            format!(
                "{text:?} is not taken; name the image by plain text and variables of ARG lines before the first FROM"
            )
        };
        let (mut result, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('$') {
            result.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, default, end) = match after.strip_prefix('{') {
                Some(inner) => {
                    let end = inner.find('}').ok_or_else(not_taken)?;
                    let (name, default) = match inner[..end].split_once(":-") {
                        Some((name, default)) => (name, Some(default)),
                        None => (&inner[..end], None),
                    };
                    (name, default, end + 2)
                }
                None => {
                    let end = after.find(|c: char| !is_of_variable(c)).unwrap_or(after.len());
                    (&after[..end], None, end)
                }
            };
            if name.is_empty()
                || !name.chars().all(is_of_variable)
                || default.is_some_and(|text| text.contains('$'))
            {
                return Err(not_taken());
            }
            let value = match self.0.get(name) {
                None => "",
                Some(value) => value.as_deref().ok_or_else(not_taken)?,
            };
            result.push_str(if value.is_empty() { default.unwrap_or_default() } else { value });
            rest = &after[end..];
        }
        result.push_str(rest);
        if result.len() > MAX_VALUE || result.contains(|c: char| c.is_whitespace() || "\"'\\`{}".contains(c))
        {
            return Err(not_taken());
        }
        Ok(result)
    }
}

fn unquoted(value: &str) -> Option<&str> {
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first));
    let bare = match quote {
        Some('\'') if value.contains('$') => return None,
        Some(quote) => value.strip_prefix(quote)?.strip_suffix(quote)?,
        None => value,
    };
    (!bare.contains(['"', '\'', '\\'])).then_some(bare)
}

fn is_of_variable(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

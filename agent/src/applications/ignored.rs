//! `.dockerignore`: which files of a source bundle are left out of what is built, as Docker's own client reads it. The last line that is
//! about a path decides; `!` takes it in again. Pure text.

use regex::{RegexSet, RegexSetBuilder, escape};

/// The file's name.
pub(crate) const NAME: &str = ".dockerignore";
/// A file of more bytes, or of more lines, is none: each path is held against all of it.
pub(crate) const MAX_BYTES: usize = 64 * 1024;
const MAX_PATTERNS: usize = 1_000;
/// Bytes of all patterns together as they are matched: a small device has little memory.
const MAX_COMPILED: usize = 8 << 20;

/// Why one is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IgnoredError {
    /// A line is no pattern.
    #[error("{NAME}, line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// There are too many.
    #[error(
        "{NAME} has more than {MAX_PATTERNS} patterns, or too long ones; say it in fewer, such as by `**`"
    )]
    TooMany,
}

/// What is left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignored {
    patterns: RegexSet,
    /// For each pattern, whether it takes in again.
    takes_in: Vec<bool>,
}

impl Ignored {
    /// Reads it.
    ///
    /// # Errors
    /// See [`IgnoredError`].
    pub(crate) fn read(text: &str) -> Result<Self, IgnoredError> {
        let (mut patterns, mut takes_in) = (Vec::new(), Vec::new());
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let wrong = |what| IgnoredError::Line { line: index + 1, what };
            let line = line.trim();
            let (is_exception, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let pattern = clean(pattern);
            if pattern.is_empty() {
                if is_exception {
                    return Err(wrong("there is nothing after `!`"));
                }
                // The root itself: nothing that could be left out.
                continue;
            }
            patterns.push(expression(&pattern).map_err(wrong)?);
            takes_in.push(is_exception);
        }
        if patterns.len() > MAX_PATTERNS {
            return Err(IgnoredError::TooMany);
        }
        let built = RegexSetBuilder::new(patterns).size_limit(MAX_COMPILED).build();
        Ok(Self { patterns: built.map_err(|_| IgnoredError::TooMany)?, takes_in })
    }

    /// Whether this path, from the root of what is built, is left out.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        let last = self.patterns.matches(path.trim_end_matches('/')).iter().next_back();
        last.is_some_and(|last| !self.takes_in[last])
    }
}

/// Without `.`, `..` and empty parts: all paths are from the root, which nothing is above.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The same as a regular expression, for the path itself and everything below it.
fn expression(pattern: &str) -> Result<String, &'static str> {
    let mut expression = "(?s)^(?:".to_owned();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                expression.push_str(if rest.peek().is_none() { ".*" } else { "(?:.*/)?" });
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => expression.push_str(&class(&mut rest)?),
            '\\' => match rest.next() {
                Some(c) => expression.push_str(&escape(&c.to_string())),
                None => return Err("nothing follows the last `\\`"),
            },
            c => expression.push_str(&escape(&c.to_string())),
        }
    }
    expression.push_str(")(?:/.*)?$");
    Ok(expression)
}

/// What `[` begins.
fn class(rest: &mut impl Iterator<Item = char>) -> Result<String, &'static str> {
    const OPEN: &str = "a `[` has no `]`; write `\\[` for the character itself";
    let mut class = String::from("[");
    let mut is_empty = true;
    loop {
        match rest.next().ok_or(OPEN)? {
            ']' if is_empty => return Err("there is nothing between `[` and `]`"),
            ']' => break,
            '^' if class == "[" => class.push('^'),
            '-' if !is_empty && !class.ends_with('-') => class.push('-'),
            '\\' => {
                class.push_str(&escaped(rest.next().ok_or(OPEN)?));
                is_empty = false;
            }
            c => {
                class.push_str(&escaped(c));
                is_empty = false;
            }
        }
    }
    class.push(']');
    if regex::Regex::new(&class).is_err() {
        Err("what is between `[` and `]` is no range")
    } else {
        Ok(class)
    }
}

fn escaped(c: char) -> String {
    // In brackets more has a meaning than outside.
    if c.is_ascii_punctuation() && !matches!(c, '<' | '>') { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left_out(text: &str, path: &str) -> bool {
        Ignored::read(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).leaves_out(path)
    }

    /// What somebody keeps out of images (keys, mostly) must be kept out, and what is taken in again must be there.
    #[test]
    fn the_last_line_about_a_path_decides() {
        for (text, out, inside) in [
            ("", &[][..], &["a", ".git/config"][..]),
            ("# a comment\n\n  .git  \n", &[".git", ".git/config"], &["sub/.git", "# a comment"]),
            ("/secret\n./other/\n", &["secret", "other/x"], &["sub/secret"]),
            ("*.pem\n", &["a.pem"], &["sub/a.pem", "a.pem2", "apem"]),
            ("**/*.pem", &["a.pem", "sub/a.pem", "a/b/c.pem"], &["a.pe"]),
            ("*/temp*\n", &["a/temp", "a/temporary/x"], &["temp", "a/b/temp"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b/z"], &["ab", "a/xb"]),
            ("a/**", &["a/x", "a/x/y"], &["b", "a"]),
            ("**", &["a", "a/b"], &[]),
            ("temp?", &["temp1"], &["temp", "temp12", "temp/"]),
            ("*.md\n!README.md\n", &["a.md"], &["README.md"]),
            ("!README.md\n*.md\n", &["README.md"], &[]),
            ("*\n!src\n! Dockerfile\n", &["a", "b/c"], &["src", "src/main.rs", "Dockerfile"]),
            ("docs\n!docs/keep\ndocs/keep/not\n", &["docs/a", "docs/keep/not/x"], &["docs/keep/yes"]),
            ("[a-c]x[^0-9]\n\\[x]\n", &["axz", "[x]"], &["dxz", "ax1", "x"]),
            ("a+(b).$\n", &["a+(b).$"], &["aab.$"]),
            ("../x\na/../y\n", &["x", "y"], &["a"]),
            (".\n/\n", &[], &["a"]),
        ] {
            for path in out {
                assert!(left_out(text, path), "{text:?} leaves {path} out");
            }
            for path in inside {
                assert!(!left_out(text, path), "{text:?} leaves {path} in");
            }
        }
    }

    /// What is no pattern must be told with its line, and nothing may take the device's memory.
    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, says) in [
            ("a\n!\n", "line 2"),
            ("[a\n", "line 1"),
            ("[]a\n", "line 1"),
            ("x\\\n", "line 1"),
            ("\n[z-a]\n", "line 2"),
        ] {
            let told = Ignored::read(text).expect_err(text).to_string();
            assert!(told.contains(says), "{text:?}: {told}");
        }
        assert_eq!(Ignored::read(&"a\n".repeat(MAX_PATTERNS + 1)).unwrap_err(), IgnoredError::TooMany);
    }

    proptest! {
        /// Nothing that somebody writes may make it panic, and a plain name always means itself.
        #[test]
        fn anything_is_read_or_refused(text in "[-a-c*?!/\\[\\]\\\\^.# \\n]{0,40}", name in "[a-z]{1,8}") {
            if let Ok(ignored) = Ignored::read(&text) {
                ignored.leaves_out(&name);
            }
            let text = format!("{text}\n{name}\n").replace(['[', '\\', '!'], "");
            prop_assert!(left_out(&text, &name));
        }
    }
}

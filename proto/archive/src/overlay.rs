//! The Dockerfile that lays files over a base image. What it is made of comes from strangers: none of it may become an instruction of its own.
//! The forms of `COPY` and `RUN` are JSON, in which a line break is not one; everything else has few characters to choose from.

use crate::ArchiveError;

/// Bytes of the command: written as JSON it must fit a line that every engine reads, 64 KiB.
const MAX_INSTALL: usize = 10_000;
/// Bytes of a reference or a folder.
const MAX_WORD: usize = 1024;

/// Where the files lie in the build context.
pub(crate) const FILES: &str = "files";

/// The text. It has four lines at most, one instruction each.
pub(crate) fn dockerfile(base: &str, directory: &str, install: Option<&str>) -> Result<String, ArchiveError> {
    let shown = |text: &str| crate::name::shown(text.as_bytes());
    if !is_reference(base) {
        return Err(ArchiveError::Base(shown(base)));
    }
    if !is_directory(directory) {
        return Err(ArchiveError::Directory(shown(directory)));
    }
    // With the slash the engine takes it for a folder, also where it is not there yet.
    let copy = json(&[&format!("{FILES}/"), &format!("{}/", directory.trim_end_matches('/'))]);
    let mut text = format!("FROM {base}\nCOPY {copy}\nWORKDIR {directory}\n");
    if let Some(install) = install.filter(|install| !install.trim().is_empty()) {
        if install.len() > MAX_INSTALL || install.contains('\0') {
            return Err(ArchiveError::Install(MAX_INSTALL));
        }
        text.push_str(&format!("RUN {}\n", json(&["/bin/sh", "-c", install])));
    }
    Ok(text)
}

fn is_reference(base: &str) -> bool {
    let begins = base.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && has_only(base, b"._-/:@")
}

fn is_directory(directory: &str) -> bool {
    directory.starts_with('/')
        && has_only(directory, b"._-+@/")
        && !directory.split('/').any(|part| part == "..")
}

/// No white space, quote, `$` or `\`: nothing that an engine would expand.
fn has_only(text: &str, marks: &[u8]) -> bool {
    text.len() <= MAX_WORD && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

/// Within one line, and without `<`, which begins a document within the Dockerfile.
fn json(words: &[&str]) -> String {
    serde_json::Value::from(words).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the engine would run, in order.
    #[test]
    fn the_file_says_what_was_asked_for() {
        let text = dockerfile("python:3.13-slim", "/app", Some("pip install \"a<2\" \\\n  b"))
            .expect("a Dockerfile");
        let run = r#"RUN ["/bin/sh","-c","pip install \"a\u003c2\" \\\n  b"]"#;
        assert_eq!(
            text,
            format!("FROM python:3.13-slim\nCOPY [\"files/\",\"/app/\"]\nWORKDIR /app\n{run}\n")
        );
        assert_eq!(
            dockerfile("a", "/", None).expect("a Dockerfile"),
            "FROM a\nCOPY [\"files/\",\"/\"]\nWORKDIR /\n"
        );
        assert!(!dockerfile("a", "/app", Some(" \n")).expect("a Dockerfile").contains("RUN"));
    }

    /// Each of these would be more than a reference, a folder or a command.
    #[test]
    fn words_that_could_say_more_are_refused() {
        for base in ["", "a\nRUN x", "a AS b", "--platform=x a", "$A", "a\\", "a#", "\"a\"", "a\u{2028}b"] {
            assert!(matches!(dockerfile(base, "/app", None), Err(ArchiveError::Base(_))), "{base:?}");
        }
        for directory in
            ["", "app", "/a b", "/a\nRUN x", "/../etc", "/$HOME", "/a\"]\n", "/a\\", "/ä", "/a,b", "/*"]
        {
            assert!(
                matches!(dockerfile("a", directory, None), Err(ArchiveError::Directory(_))),
                "{directory:?}"
            );
        }
        for install in ["\0", &"x".repeat(MAX_INSTALL + 1)] {
            assert!(matches!(dockerfile("a", "/app", Some(install)), Err(ArchiveError::Install(_))));
        }
    }

    proptest! {
        /// Whatever the words are: each line is the instruction that it should be, and the command arrives as it was.
        #[test]
        fn no_word_breaks_out(base in ".{0,40}", directory in "/?[ -~\n]{0,40}", install in "(?s).{0,200}") {
            if let Ok(text) = dockerfile(&base, &directory, None) {
                let lines: Vec<&str> = text.split(['\n', '\r']).collect();
                let expected = format!("FROM {base}");
                prop_assert_eq!(lines.len(), 4);
                prop_assert_eq!(lines[0], expected.as_str());
                prop_assert!(!base.contains(char::is_whitespace) && !directory.contains(char::is_whitespace));
                prop_assert!(!text.contains(['$', '\\', '`']));
            }
            let text = dockerfile("a", "/app", Some(&install)).unwrap_or_default();
            let is_empty = install.trim().is_empty();
            prop_assert_eq!(text.is_empty(), install.contains('\0'));
            if !text.is_empty() && !is_empty {
                let lines: Vec<&str> = text.lines().collect();
                prop_assert_eq!(lines.len(), 4);
                prop_assert!(!text.contains('<') && !text.trim_end().ends_with('\\') && !text.contains('\r'));
                let run = lines[3].strip_prefix("RUN ").unwrap_or_default();
                let words: Vec<String> = serde_json::from_str(run).expect("JSON");
                prop_assert_eq!(words, vec!["/bin/sh".to_owned(), "-c".to_owned(), install]);
            }
        }
    }
}

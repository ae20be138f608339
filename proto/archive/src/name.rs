//! Paths as they are judged: UTF-8, relative, without `.` and `..`.

use crate::ArchiveError;

/// Bytes of one name in a path: what file systems take.
const MAX_NAME: usize = 255;
/// Characters of a name that a sentence shows.
const SHOWN: usize = 200;

/// The path without `.` and empty parts; empty for the root itself.
pub(crate) fn normalise(raw: &[u8], limit: usize) -> Result<String, ArchiveError> {
    let text = text(raw, limit)?;
    if text.starts_with('/') {
        return Err(ArchiveError::AbsolutePath { entry: shown(raw) });
    }
    let mut path = String::with_capacity(text.len());
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err(ArchiveError::ParentPath { entry: shown(raw) });
        }
        if part.len() > MAX_NAME {
            return Err(ArchiveError::LongPath { entry: shown(raw), limit });
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

/// A path or a link's target as it is.
pub(crate) fn text(raw: &[u8], limit: usize) -> Result<&str, ArchiveError> {
    if raw.len() > limit {
        return Err(ArchiveError::LongPath { entry: shown(raw), limit });
    }
    if raw.contains(&0) {
        return Err(ArchiveError::NulInPath { entry: shown(raw) });
    }
    str::from_utf8(raw).map_err(|_| ArchiveError::NotUtf8 { entry: shown(raw) })
}

/// The folder that it lies in; empty at the root.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// For a sentence: nothing that a terminal obeys, and not without end.
pub(crate) fn shown(raw: &[u8]) -> String {
    // No more than could be shown is decoded.
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * SHOWN)]);
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if raw.len() > 4 * SHOWN || text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same file has one name, whoever packed it; what could lead elsewhere has none.
    #[test]
    fn a_path_has_one_form_or_is_refused() {
        let good =
            [("a", "a"), ("./a//b/./c/", "a/b/c"), ("./", ""), (".", ""), ("a..b", "a..b"), ("…", "…")];
        for (raw, path) in good {
            assert_eq!(normalise(raw.as_bytes(), 100).ok().as_deref(), Some(path));
        }
        let refused = |raw: &[u8]| normalise(raw, 100).expect_err("a bad path");
        assert!(matches!(refused(b"/etc"), ArchiveError::AbsolutePath { .. }));
        assert!(matches!(refused(b"a/../b"), ArchiveError::ParentPath { .. }));
        assert!(matches!(refused(b".."), ArchiveError::ParentPath { .. }));
        assert!(matches!(refused(b"a\0b"), ArchiveError::NulInPath { .. }));
        assert!(matches!(refused(b"\xff"), ArchiveError::NotUtf8 { .. }));
        assert!(matches!(refused(&[b'a'; 101]), ArchiveError::LongPath { limit: 100, .. }));
        assert!(matches!(normalise(&[b'a'; 256], 1000), Err(ArchiveError::LongPath { .. })));
    }

    /// A name cannot write to the terminal of the person who reads about it.
    #[test]
    fn what_a_sentence_shows_is_harmless_and_short() {
        assert_eq!(shown(b"a\x1b[2J\n"), "a\\u{1b}[2J\\n");
        assert!(shown(&[b'a'; 10_000]).chars().count() <= SHOWN + 1);
    }
}

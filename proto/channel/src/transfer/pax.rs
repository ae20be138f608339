//! The records of a PAX extended header (POSIX.1-2017, pax, "pax Extended Header"): what an archive of a tree says beyond
//! the old tar header. Values are bytes: extended attributes hold anything, line ends included.

/// Longest extended header: the kernel's longest attribute (64 KiB), some more of them, two paths.
pub(crate) const MAX_PAX: u64 = 256 * 1024;
/// An entry's path.
pub(crate) const PATH: &str = "path";
/// A link's target.
pub(crate) const LINK: &str = "linkpath";
/// The time of the last change, seconds and a fraction.
pub(crate) const MTIME: &str = "mtime";
/// An extended attribute's name follows (the notation of GNU tar and bsdtar).
pub(crate) const XATTR: &str = "SCHILY.xattr.";
/// Where a sparse file's bytes belong: `offset,length,…` (GNU tar's format 0.1).
pub(crate) const SPARSE_MAP: &str = "GNU.sparse.map";
/// A sparse file's length, holes included.
pub(crate) const SPARSE_SIZE: &str = "GNU.sparse.size";

/// The attributes that are carried: files' capabilities, access lists, overlay's marks and what programs set. Labels of
/// security modules belong to the machine.
pub(crate) fn is_carried_xattr(name: &str) -> bool {
    name.starts_with("user.")
        || name.starts_with("trusted.overlay.")
        || name == "security.capability"
        || name == "system.posix_acl_access"
        || name == "system.posix_acl_default"
}

/// Key and value of each record, or none if the bytes are damaged.
pub(crate) fn parse(mut bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?;
        let (record, end) = record.split_at_checked(record.len().checked_sub(1)?)?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        if end != b"\n" {
            return None;
        }
        records.push((std::str::from_utf8(&record[..equals]).ok()?, &record[equals + 1..]));
        bytes = &bytes[length..];
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value may hold a line end: an attribute is bytes.
    #[test]
    fn values_hold_line_ends() {
        assert_eq!(parse(b"9 a=b\nc=\n"), Some(vec![("a", b"b\nc=".as_slice())]));
        for bad in ["9 a=b\n", "0 a=b\n", "x", "6 a=bc", "3 \n", "99999999999 a=b\n"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        /// No bytes may panic the parser.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..100), length in 0usize..200) {
            drop(parse(&bytes));
            let mut begun = length.to_string().into_bytes();
            begun.push(b' ');
            begun.extend(bytes);
            drop(parse(&begun));
        }
    }
}

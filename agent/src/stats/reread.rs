//! Files of the kernel that stay open: each reading begins at the start and is the whole file or nothing.

use std::{fs::File, os::unix::fs::FileExt};

/// Enough for nearly every file read here at once.
const FIRST: usize = 8 * 1024;
/// A thousand interfaces take 130 kB. Policy: a longer file is not read, since a part of a table makes a wrong sum.
const MOST: usize = 1024 * 1024;

/// All of it, now.
pub(super) fn read(file: &File) -> Option<String> {
    let mut buffer = vec![0; FIRST];
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer[length..], u64::try_from(length).ok()?).ok()? {
            0 => break,
            count => length += count,
        }
        if length == MOST {
            return None;
        }
        if length == buffer.len() {
            buffer.resize((2 * length).min(MOST), 0);
        }
    }
    buffer.truncate(length);
    String::from_utf8(buffer).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The table of a device with very many interfaces must be read to its end, and one without an end not at all.
    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let text = "eth0: 1 2 3\n".repeat(20_000);
        fs::write(&path, &text).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(read(&file), Some(text.clone()));
        assert_eq!(read(&file), Some(text), "again from the start");
        assert_eq!(read(&File::open("/dev/zero").unwrap()), None);
    }
}

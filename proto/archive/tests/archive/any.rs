//! Any bytes, any trees.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Read},
};

use ecep_archive::{Limits, bundle, image, inspect, overlay};
use proptest::prelude::*;

use super::make::{Tar, gzip, zstd};

/// Small limits, so that few bytes reach them.
fn limits() -> Limits {
    Limits { unpacked_bytes: 1 << 20, ratio_from_bytes: 1 << 16, entries: 50, ..Limits::default() }
}

/// Through every door; what one takes, those take that read the same.
fn through_every_door(bytes: &[u8]) {
    let limits = limits();
    let inspection = inspect(bytes, &limits);
    let context = overlay(Cursor::new(bytes), std::io::sink(), &limits, "base", "/app", None);
    if let Ok(inspection) = &inspection {
        assert!(inspection.unpacked_bytes <= limits.unpacked_bytes);
        assert!(inspection.entries <= limits.entries);
    }
    let mut out = Vec::new();
    if bundle(Cursor::new(bytes), &mut out, &limits).is_ok() {
        // What was written can be judged again.
        let again = overlay(Cursor::new(&out), std::io::sink(), &Limits::default(), "base", "/app", None);
        again.expect("own archives are good");
        assert!(context.is_ok(), "{context:?}");
    }
    let mut out = Vec::new();
    if image(bytes, &mut out, &limits, "a:1").is_ok() {
        inspect(out.as_slice(), &Limits::default()).expect("own images are good");
    }
}

/// Parts of paths that matter, and others.
fn path() -> impl Strategy<Value = String> {
    let part =
        prop_oneof![Just("..".to_owned()), Just(".".into()), Just("".into()), "[a-c]", "[a-c]", "[a-c]", "é"];
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = (u8, String, String, Vec<u8>)> {
    let kind = prop_oneof![Just(b'0'), Just(b'5'), Just(b'2'), Just(b'1'), any::<u8>()];
    (kind, path(), path(), proptest::collection::vec(any::<u8>(), 0..1000))
}

proptest! {
    /// Whatever it is: a sentence or a judgement, and never a panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..3000), magic in 0..4) {
        let magic: &[u8] = [&b""[..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], &[0; 512]][magic as usize];
        through_every_door(&[magic, &bytes].concat());
    }

    /// Headers that are right, about anything.
    #[test]
    fn any_entries(entries in proptest::collection::vec(entry(), 0..8), flip in any::<Option<(u16, u8)>>()) {
        let tar = entries.iter().fold(Tar::default(), |tar, (kind, name, link, data)| {
            let data: &[u8] = if matches!(kind, b'1' | b'2' | b'5') { b"" } else { data };
            tar.raw(*kind, name.as_bytes(), link.as_bytes(), data)
        });
        let mut bytes = tar.end();
        if let Some((at, bits)) = flip {
            let length = bytes.len();
            bytes[usize::from(at) % length] ^= bits;
        }
        through_every_door(&bytes);
        through_every_door(&gzip(&bytes));
    }

    /// A tree arrives as it was packed, however it was packed.
    #[test]
    fn any_tree(
        files in proptest::collection::btree_map("[a-z]{1,3}(/[a-z ]{1,120}){0,3}", proptest::collection::vec(any::<u8>(), 0..2000), 1..12),
        how in 0..3,
    ) {
        // A file is no folder.
        let folders: BTreeSet<String> =
            files.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| path[..at].to_owned())).collect();
        let mut files: BTreeMap<String, Vec<u8>> = files;
        files.retain(|path, _| !folders.contains(path));
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in &files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, bytes.as_slice()).expect("memory");
        }
        let archive = builder.into_inner().expect("memory");
        let archive = match how { 0 => archive, 1 => gzip(&archive), _ => zstd(&archive) };
        let mut out = Vec::new();
        overlay(Cursor::new(archive), &mut out, &Limits::default(), "base", "/app", None).expect("a context");
        let mut arrived = BTreeMap::new();
        for entry in tar::Archive::new(out.as_slice()).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("bytes");
            if let Some(path) = path.strip_prefix("files/").filter(|path| !path.is_empty()) {
                arrived.insert(path.to_owned(), bytes);
            }
        }
        prop_assert_eq!(arrived, files);
    }
}

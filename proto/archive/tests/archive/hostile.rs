//! Archives that were made to do harm, or that are broken: each is refused for what it is, through every door.

use std::io::{Cursor, Read};

use ecep_archive::{ArchiveError, Limits, bundle, image, overlay};

use super::make::{Tar, gzip, header, inspected, refusal, refusal_within, zstd};

macro_rules! refused {
    ($archive:expr, $($pattern:tt)+) => {{
        let archive: &[u8] = &$archive;
        let error = refusal(archive);
        assert!(matches!(error, $($pattern)+), "refused as {error:?}");
        // Not one door is open.
        let limits = Limits::default();
        let doors = [
            bundle(Cursor::new(archive), std::io::sink(), &limits),
            overlay(Cursor::new(archive), std::io::sink(), &limits, "base", "/app", None),
            image(archive, std::io::sink(), &limits, "a:1"),
        ];
        for (door, result) in doors.into_iter().enumerate() {
            let error = result.expect_err("a refusal");
            assert!(matches!(error, $($pattern)+), "door {door} refused it as {error:?}");
        }
        error.to_string()
    }};
}

fn one(kind: u8, name: &[u8], link: &[u8]) -> Vec<u8> {
    Tar::default().raw(kind, name, link, b"").end()
}

/// Written as it says, each of these would land on the device's own files.
#[test]
fn paths_that_lead_elsewhere() {
    let sentence = refused!(one(b'0', b"/etc/cron.d/x", b""), ArchiveError::AbsolutePath { .. });
    assert!(sentence.contains("/etc/cron.d/x"), "{sentence}");
    refused!(one(b'0', b"../x", b""), ArchiveError::ParentPath { .. });
    refused!(one(b'0', b"a/../../x", b""), ArchiveError::ParentPath { .. });
    refused!(one(b'5', b"a/..", b""), ArchiveError::ParentPath { .. });
    refused!(one(b'0', b"a\xff", b""), ArchiveError::NotUtf8 { .. });
}

/// The name in front of the header counts, not the harmless one in it.
#[test]
fn longer_names_are_judged_as_the_short_ones() {
    let long = |name: &[u8]| Tar::default().raw(b'L', b"././@LongLink", b"", name).file("good", "").end();
    refused!(long(b"../x\0"), ArchiveError::ParentPath { .. });
    refused!(long(b"/x\0"), ArchiveError::AbsolutePath { .. });
    refused!(long(b"a\0/../b\0"), ArchiveError::NulInPath { .. });
    refused!(long("x/".repeat(600).as_bytes()), ArchiveError::LongPath { limit: 1024, .. });
    refused!(long(&vec![b'x'; 10_000]), ArchiveError::LongPath { limit: 1024, .. });
    refused!(long(&vec![b'x'; 256]), ArchiveError::LongPath { limit: 1024, .. });
    let pax = |key: &str, value: &[u8]| Tar::default().pax(b'x', &[(key, value)]).file("good", "").end();
    refused!(pax("path", b"../x"), ArchiveError::ParentPath { .. });
    refused!(pax("path", b"/x"), ArchiveError::AbsolutePath { .. });
    refused!(pax("path", b"a\0b"), ArchiveError::NulInPath { .. });
    let link = Tar::default().pax(b'x', &[("linkpath", b"/etc")]).symlink("a", "b").end();
    refused!(link, ArchiveError::AbsoluteLink { .. });
    let link = Tar::default().raw(b'K', b"././@LongLink", b"", b"../..\0").symlink("a", "b").end();
    refused!(link, ArchiveError::LinkOut { .. });
}

/// Programs do not agree on what these mean, so one could judge another archive than the next one unpacks.
#[test]
fn headers_that_programs_read_in_different_ways() {
    let two = Tar::default().raw(b'L', b"x", b"", b"a").raw(b'L', b"x", b"", b"b").file("c", "").end();
    refused!(two, ArchiveError::Extension { .. });
    let two = Tar::default().raw(b'L', b"x", b"", b"a").pax(b'x', &[("path", b"b")]).file("c", "").end();
    refused!(two, ArchiveError::Extension { .. });
    let two = Tar::default().pax(b'x', &[]).pax(b'x', &[]).file("c", "").end();
    refused!(two, ArchiveError::Extension { .. });
    refused!(Tar::default().pax(b'g', &[("path", b"x")]).file("c", "").end(), ArchiveError::Extension { .. });
    let size = Tar::default().pax(b'x', &[("size", b"1024")]).file("c", "1").end();
    refused!(size, ArchiveError::Extension { .. });
    refused!(Tar::default().raw(b'5', b"a", b"", b"data").end(), ArchiveError::Extension { .. });
    refused!(
        Tar::default().raw(b'x', b"a", b"", b"999 a=b\n").file("c", "").end(),
        ArchiveError::Extension { .. }
    );
    refused!(Tar::default().raw(b'x', b"a", b"", &vec![b'1'; 2 << 20]).end(), ArchiveError::Extension { .. });
    refused!(Tar::default().file("a", "").raw(b'L', b"x", b"", b"b").end(), ArchiveError::Truncated);
    refused!(one(b'0', b"", b""), ArchiveError::Malformed { .. });
    refused!(one(b'2', b"a", b""), ArchiveError::Extension { .. });
    // What git writes is no trick.
    inspected(&Tar::default().pax(b'g', &[("comment", b"a commit")]).file("c", "").end());
}

/// Holes are a few bytes that say how many there would be.
#[test]
fn files_with_holes() {
    refused!(one(b'S', b"a", b""), ArchiveError::Sparse { .. });
    let pax = Tar::default()
        .pax(b'x', &[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"../x")])
        .file("a", "")
        .end();
    refused!(pax, ArchiveError::Sparse { .. });
}

/// A link that leads out makes the files behind it readable, or lets the next entry be written there.
#[test]
fn links_that_lead_out() {
    refused!(one(b'2', b"a", b"/etc/passwd"), ArchiveError::AbsoluteLink { .. });
    let sentence = refused!(one(b'2', b"a", b"../../etc"), ArchiveError::LinkOut { .. });
    assert!(sentence.contains("\"a\"") && sentence.contains("../../etc"), "{sentence}");
    refused!(Tar::default().symlink("d/b", "..").symlink("a", "d/b/..").end(), ArchiveError::LinkOut { .. });
    refused!(Tar::default().symlink("a", "d/b/..").symlink("d/b", "..").end(), ArchiveError::LinkOut { .. });
    refused!(Tar::default().symlink("a", "b").symlink("b", "a").end(), ArchiveError::LinkLoop { .. });
    refused!(one(b'1', b"a", b"etc/passwd"), ArchiveError::HardLinkOut { .. });
    refused!(one(b'1', b"a", b"/etc/passwd"), ArchiveError::AbsolutePath { .. });
    refused!(one(b'1', b"a", b"../x"), ArchiveError::ParentPath { .. });
    refused!(Tar::default().symlink("a", "b").hard_link("c", "a").end(), ArchiveError::HardLinkOut { .. });
    refused!(Tar::default().symlink("a", ".").file("a/x", "").end(), ArchiveError::ThroughLink { .. });
    refused!(Tar::default().symlink("a", ".").hard_link("a/x", "a").end(), ArchiveError::ThroughLink { .. });
    refused!(Tar::default().file("a", "").file("a/x", "").end(), ArchiveError::ThroughFile { .. });
    refused!(Tar::default().file("a", "").file("./a", "").end(), ArchiveError::Twice { .. });
    refused!(
        Tar::default().file("manifest.json", "[]").file("manifest.json", "[]").end(),
        ArchiveError::Twice { .. }
    );
}

/// They would be the device's own.
#[test]
fn devices_and_pipes() {
    for kind in *b"346" {
        let sentence = refused!(one(kind, b"dev/x", b""), ArchiveError::Special { .. });
        assert!(sentence.contains("dev/x"), "{sentence}");
    }
    refused!(one(b'Z', b"x", b""), ArchiveError::Special { .. });
}

/// What is cut off, damaged or longer than it says is not taken for whole.
#[test]
fn archives_that_do_not_end_where_they_should() {
    let whole = Tar::default().file("a", vec![7; 5000]).file("b", "b");
    let (cut, whole) = (whole.clone().cut(), whole.end());
    inspected(&whole);
    refused!(cut, ArchiveError::Truncated);
    for length in (512..whole.len() - 1).step_by(97) {
        refused!(whole[..length], ArchiveError::Truncated);
    }
    for packed in [gzip(&whole), zstd(&whole)] {
        inspected(&packed);
        for length in (20..packed.len()).step_by(7) {
            refused!(packed[..length], ArchiveError::Truncated | ArchiveError::NotAnArchive);
        }
        refused!(
            [&packed[..], b"and something else"].concat(),
            ArchiveError::Damaged(_) | ArchiveError::Garbage
        );
        let mut damaged = packed.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        damaged[middle + 1] ^= 0xff;
        refused!(
            damaged,
            ArchiveError::Damaged(_)
                | ArchiveError::Malformed { .. }
                | ArchiveError::Truncated
                | ArchiveError::NotAnArchive
        );
    }
    refused!([&whole[..], b"x"].concat(), ArchiveError::Garbage);
    refused!([&whole[..], &whole[..]].concat(), ArchiveError::Garbage);
    refused!([&gzip(&whole)[..], &gzip(&whole)].concat(), ArchiveError::Garbage);
    let mut padded = whole.clone();
    padded.resize(10240, 0);
    inspected(&padded);
    let mut damaged = whole.clone();
    damaged[512 + 5120] ^= 1;
    refused!(damaged, ArchiveError::Malformed { .. });
    let single = Tar::default().file("a", "").bytes(&[0; 512]).file("b", "").end();
    refused!(single, ArchiveError::Garbage);
}

/// People drop all kinds of files; each sentence says what to do.
#[test]
fn what_is_no_tar_archive() {
    refused!([], ArchiveError::Empty);
    refused!(Tar::default().end(), ArchiveError::NoEntries);
    refused!(Tar::default().folder("./").end(), ArchiveError::NoEntries);
    refused!(*b"#!/bin/sh\necho hello\n", ArchiveError::NotAnArchive);
    refused!(gzip(b"a log"), ArchiveError::NotAnArchive);
    refused!(gzip(&gzip(&Tar::default().file("a", "").end())), ArchiveError::NotAnArchive);
    let others: [&[u8]; 6] =
        [b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"\xfd7zXZ\0", b"BZh91AY", b"Rar!\x1a\x07"];
    for magic in others {
        let sentence = refused!([magic, &[0; 600]].concat(), ArchiveError::OtherFormat(_));
        assert!(sentence.contains("tar -czf"), "{sentence}");
    }
}

/// A few bytes that become many, in each way that there is.
#[test]
fn bombs() {
    let zeros = Tar::default().file("zeros", vec![0; 4 << 20]).end();
    let limits = Limits { ratio_from_bytes: 1 << 20, ..Limits::default() };
    for packed in [gzip(&zeros), zstd(&zeros)] {
        assert!(matches!(refusal_within(&packed, &limits), ArchiveError::Bomb { ratio: 200 }));
        // Small enough to be harmless.
        inspected(&packed);
        let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        assert!(matches!(refusal_within(&packed, &limits), ArchiveError::TooLarge { .. }));
    }
    // It claims more than there could be, and nothing is read to find out.
    let mut claim = header(b'0', b"a", b"", 1 << 50).as_bytes().to_vec();
    claim.resize(2048, 0);
    refused!(claim, ArchiveError::TooLarge { .. });
    let many = (0..11).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), ""));
    let limits = Limits { entries: 10, ..Limits::default() };
    assert!(matches!(refusal_within(&many.end(), &limits), ArchiveError::TooManyEntries { limit: 10 }));
    let deep = Tar::default().raw(b'L', b"x", b"", "a/".repeat(500).as_bytes()).folder("x").end();
    let limits = Limits { names_bytes: 100_000, ..Limits::default() };
    assert!(matches!(refusal_within(&deep, &limits), ArchiveError::LongNames { limit: 100_000 }));
    // Zeros behind the end are bytes, too.
    let tail = zstd(&[Tar::default().file("a", "").end(), vec![0; 4 << 20]].concat());
    let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
    assert!(matches!(refusal_within(&tail, &limits), ArchiveError::TooLarge { .. }));
}

/// A window of gigabytes would be the memory of the device.
#[test]
fn zstd_with_a_large_window() {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(27).expect("a window");
    encoder.long_distance_matching(true).expect("a setting");
    // Without its size in front the window counts.
    let archive = Tar::default().file("a", vec![7; 1 << 20]).end();
    std::io::copy(&mut archive.as_slice(), &mut encoder).expect("memory");
    refused!(encoder.finish().expect("memory"), ArchiveError::Damaged(_));
}

/// A source that fails is no archive's fault: whoever sees this tries again, and throws nothing away.
#[test]
fn a_source_that_fails_is_told_from_a_bad_archive() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable"))
        }
    }
    let whole = Tar::default().file("a", vec![7; 5000]).end();
    for archive in [whole.clone(), gzip(&whole), zstd(&whole)] {
        let source = archive[..archive.len().min(700) - 30].chain(Fails);
        let error = ecep_archive::inspect(source, &Limits::default());
        assert!(matches!(error, Err(ArchiveError::Read(_))), "{error:?}");
    }
}

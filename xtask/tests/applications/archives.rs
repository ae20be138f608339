//! Archives that were made by hand to do harm, one of each sort; what every header may be and may not is tested in `ecep-archive` itself.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a bomb of a mebibyte and a half unpacks to: more than the limit from which on the ratio counts.
const BOMB_BYTES: usize = 512 << 20;

/// What it is, its bytes, and a word of the refusal.
pub fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let file = |name: &str| archive(&[entry(b'0', name, "", b"data")]);
    let linked = [entry(b'2', "a", "b", b""), entry(b'0', "a/x", "", b"data")];
    let twice = [entry(b'0', "a", "", b"1"), entry(b'0', "a", "", b"2")];
    let mut cut = gzip(&file("a"));
    cut.truncate(cut.len() / 2);
    vec![
        ("a path out of it", file("../../etc/cron.d/x"), ".."),
        ("an absolute path", file("/etc/cron.d/x"), "absolute"),
        ("a link out of it", archive(&[entry(b'2', "a", "../../etc/passwd", b"")]), "a"),
        ("an absolute link", archive(&[entry(b'2', "a", "/etc/passwd", b"")]), "/etc/passwd"),
        ("a hard link out of it", archive(&[entry(b'1', "a", "../b", b"")]), "a"),
        ("a file through a link", archive(&linked), "through the link"),
        ("a device", archive(&[entry(b'4', "sda", "", b"")]), "sda"),
        ("a pipe", archive(&[entry(b'6', "pipe", "", b"")]), "pipe"),
        ("the same file twice", archive(&twice), "twice"),
        ("a bomb", gzip(&vec![0; BOMB_BYTES]), ""),
        ("a bomb of an archive", gzip(&archive(&[entry(b'0', "zeros", "", &vec![0; BOMB_BYTES])])), "times"),
        ("half of an archive", cut, "ends in the middle"),
        ("another format", b"PK\x03\x04and so on".to_vec(), "unpack it"),
        ("no archive", b"#!/bin/sh\necho hello\n".to_vec(), "not an archive"),
    ]
}

/// Text that nothing makes much smaller.
pub fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // xorshift64: the same on every run.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b' ' + u8::try_from(state % 94).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

/// A header of the ustar format and its content (IEEE Std 1003.1, pax, "ustar Interchange Format").
fn entry(kind: u8, name: &str, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0001750\0");
    put(116, b"0001750\0");
    put(124, format!("{:011o}\0", data.len()).as_bytes());
    put(136, b"00000000001\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\0");
    put(263, b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut into = gzip.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || into.write_all(bytes).unwrap());
        gzip.wait_with_output().unwrap().stdout
    })
}

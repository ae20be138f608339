//! Directory trees: everything arrives, and a hostile archive gets nowhere. Owners, devices and overlay's attributes need
//! root; without it those entries are left out of the tree.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_channel::transfer::{Inbox, Source, TransferError};
use rustix::fs as sys;
use tar::{Builder, EntryType, Header};

use crate::{
    support::noise,
    transfer::{item, options, over_memory, take},
};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn rich_tree(root: &Path) {
    fs::create_dir_all(root.join("etc/deep")).unwrap();
    fs::write(root.join("etc/hosts"), b"127.0.0.1 localhost\n").unwrap();
    fs::write(root.join("etc/deep").join("n".repeat(200)), noise(1, 100_000)).unwrap();
    fs::write(root.join("set-uid"), b"#!").unwrap();
    fs::hard_link(root.join("etc/hosts"), root.join("same-hosts")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("../../outside", root.join("etc/upwards")).unwrap();
    symlink("x".repeat(300), root.join("long-link")).unwrap();
    let holes = fs::File::create(root.join("holes")).unwrap();
    holes.write_all_at(b"begin", 0).unwrap();
    holes.write_all_at(b"middle", 10_000_000).unwrap();
    holes.set_len(20_000_000).unwrap();
    fs::File::create(root.join("all-hole")).unwrap().set_len(5_000_000).unwrap();
    sys::mknodat(sys::CWD, root.join("pipe"), sys::FileType::Fifo, sys::Mode::RUSR, 0).unwrap();
    let plain = root.join("etc/hosts");
    sys::lsetxattr(&plain, "user.note", b"two\nlines=\0", sys::XattrFlags::empty()).unwrap();
    if is_root() {
        let null =
            sys::mknodat(sys::CWD, root.join("gone"), sys::FileType::CharacterDevice, sys::Mode::empty(), 0);
        null.unwrap();
        sys::mknodat(
            sys::CWD,
            root.join("null"),
            sys::FileType::CharacterDevice,
            sys::Mode::RUSR,
            sys::makedev(1, 3),
        )
        .unwrap();
        sys::lsetxattr(root.join("etc"), "trusted.overlay.opaque", b"y", sys::XattrFlags::empty()).unwrap();
        std::os::unix::fs::lchown(root.join("absolute"), Some(4_000_000_000), Some(7)).unwrap();
        std::os::unix::fs::lchown(root.join("set-uid"), Some(1000), Some(1000)).unwrap();
    }
    fs::set_permissions(root.join("set-uid"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(root.join("etc/deep"), fs::Permissions::from_mode(0o500)).unwrap();
    for (at, seconds, nanoseconds) in
        [("etc/hosts", 1_234_567_890, 123_456_789), ("etc", 1_000_000_000, 1), ("absolute", -5, 7)]
    {
        let time = sys::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = sys::Timestamps { last_access: time, last_modification: time };
        sys::utimensat(sys::CWD, root.join(at), &times, sys::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// Everything that can be told of a tree, sorted.
fn describe(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(at) = open.pop() {
        let metadata = at.symlink_metadata().unwrap();
        let name = at.strip_prefix(root).unwrap().display().to_string();
        let mut line = format!(
            "{name:?} mode {:o} owner {}:{} device {} time {}.{}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.rdev(),
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        for attribute in ["user.note", "trusted.overlay.opaque"] {
            let mut value = vec![0; 100];
            if let Ok(length) = sys::lgetxattr(&at, attribute, value.as_mut_slice()) {
                line += &format!(" {attribute}={:?}", &value[..length]);
            }
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().path()));
        } else if metadata.is_symlink() {
            line += &format!(" to {:?}", fs::read_link(&at).unwrap());
        } else if metadata.is_file() {
            let content = blake3::hash(&fs::read(&at).unwrap());
            line += &format!(" links {} length {} content {content}", metadata.nlink(), metadata.len());
        }
        found.push(line);
    }
    found.sort();
    found
}

/// Owners, modes, times to the nanosecond, attributes, links, devices and holes all arrive; a second call moves nothing.
#[tokio::test]
async fn a_tree_arrives_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("upper");
    rich_tree(&tree);
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let items = [item("volumes/upper", Source::Tree(tree.clone()))];
    for is_first in [true, false] {
        let (sent, received) = over_memory(&items, &inbox, &options(None, false)).await;
        let sent = sent.unwrap();
        assert_eq!(sent.moved > 0, is_first);
        assert!(sent.content < 1_000_000, "holes travelled: {} bytes", sent.content);
        let received = received.unwrap();
        assert_eq!(describe(&received[0].path), describe(&tree));
        let holes = received[0].path.join("holes").metadata().unwrap();
        assert!(holes.blocks() * 512 < 1_000_000, "holes were filled");
        let (one, two) = (received[0].path.join("same-hosts"), received[0].path.join("etc/hosts"));
        assert_eq!(one.metadata().unwrap().ino(), two.metadata().unwrap().ino());
    }
}

/// Only what was asked for travels, with the directories that lead there; a directory does not bring what is in it.
#[tokio::test]
async fn a_part_of_a_tree_arrives_alone() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("upper");
    for folder in ["a/b", "a.d", "c/d"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
        fs::write(tree.join(folder).join("file"), folder).unwrap();
    }
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let paths = ["a/b/file", "c"].map(PathBuf::from).into_iter().collect();
    let part = Source::Part { root: tree, paths: Arc::new(paths) };
    let (sent, received) = over_memory(&[item("part", part)], &inbox, &options(None, false)).await;
    sent.unwrap();
    let root = received.unwrap().remove(0).path;
    assert_eq!(fs::read_to_string(root.join("a/b/file")).unwrap(), "a/b");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&root), ["a", "c"]);
    assert!(names(&root.join("c")).is_empty());
}

struct Entry {
    kind: EntryType,
    path: &'static str,
    link: &'static str,
    records: Vec<(&'static str, Vec<u8>)>,
}

fn entry(kind: EntryType, path: &'static str, link: &'static str) -> Entry {
    Entry { kind, path, link, records: Vec::new() }
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for Entry { kind, path, link, records } in entries {
        let mut all = vec![("path", path.as_bytes().to_vec())];
        if !link.is_empty() {
            all.push(("linkpath", link.as_bytes().to_vec()));
        }
        all.extend(records.clone());
        archive.append_pax_extensions(all.iter().map(|(key, value)| (*key, value.as_slice()))).unwrap();
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        header.set_gid(u64::from(rustix::process::getegid().as_raw()));
        header.set_mtime(0);
        let content: &[u8] = if *kind == EntryType::Regular { b"evil" } else { b"" };
        header.set_size(content.len() as u64);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Sends bytes as if they were a tree's archive.
async fn unpack(bytes: &[u8], directory: &Path) -> Result<PathBuf, TransferError> {
    use ecep_channel::transfer::{Announcement, CHUNK, Frame, Kind};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let inbox = Inbox::open(directory, u64::MAX).unwrap();
    let (mut near, far) = tokio::io::duplex(1024 * 1024);
    let mut frames = vec![
        Frame::Item(Announcement { name: "tree".parse().unwrap(), kind: Kind::Tree, length: None }),
        Frame::Start { offset: 0 },
    ];
    for chunk in bytes.chunks(CHUNK) {
        frames.push(Frame::Chunk {
            hash: *blake3::hash(chunk).as_bytes(),
            is_compressed: false,
            data: chunk.to_vec(),
        });
    }
    frames.push(Frame::End { length: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes() });
    frames.push(Frame::Finished);
    let sending = async {
        for frame in frames {
            if near.write_all(&frame.encode().unwrap()).await.is_err() {
                break;
            }
        }
        near.shutdown().await.ok();
        near.read_to_end(&mut Vec::new()).await.ok();
    };
    let (received, ()) = tokio::join!(take(far, &inbox), sending);
    received.map(|received| received[0].path.clone())
}

/// Every way out of the tree that an archive can try is refused, and neither the tree nor anything outside appears.
#[tokio::test]
async fn hostile_archives_are_refused() {
    use EntryType::{Directory, Fifo, Link, Regular, Symlink};
    let with = |mut entry: Entry, key, value: &[u8]| {
        entry.records.push((key, value.to_vec()));
        entry
    };
    let cases = vec![
        ("dots", vec![entry(Regular, "../evil", "")]),
        ("inner dots", vec![entry(Directory, "a", ""), entry(Regular, "a/../../evil", "")]),
        ("absolute", vec![entry(Regular, "/evil", "")]),
        ("through a link", vec![entry(Symlink, "a", ".."), entry(Regular, "a/evil", "")]),
        ("through an absolute link", vec![entry(Symlink, "a", "/tmp"), entry(Regular, "a/evil", "")]),
        ("over a link", vec![entry(Symlink, "a", "../evil"), entry(Regular, "a", "")]),
        ("a second name from outside", vec![entry(Link, "a", "../victim")]),
        ("a second name, absolute", vec![entry(Link, "a", "/etc/passwd")]),
        ("a second name through a link", vec![entry(Symlink, "a", ".."), entry(Link, "b", "a/victim")]),
        ("a second name of a directory", vec![entry(Directory, "a", ""), entry(Link, "b", "a")]),
        ("twice", vec![entry(Fifo, "a", ""), entry(Fifo, "a", "")]),
        ("no parent", vec![entry(Regular, "a/evil", "")]),
        ("in a file", vec![entry(Regular, "a", ""), entry(Regular, "a/evil", "")]),
        ("a root that is a link", vec![entry(Symlink, ".", "/tmp")]),
        ("a strange attribute", vec![with(entry(Regular, "a", ""), "SCHILY.xattr.security.selinux", b"x")]),
        (
            "a sparse bomb",
            vec![with(
                with(entry(Regular, "a", ""), "GNU.sparse.map", b"0,4"),
                "GNU.sparse.size",
                b"9000000000000000000",
            )],
        ),
        (
            "overlapping pieces",
            vec![with(
                with(entry(Regular, "a", ""), "GNU.sparse.map", b"2,2,0,2"),
                "GNU.sparse.size",
                b"100",
            )],
        ),
        ("a long header", vec![with(entry(Regular, "a", ""), "SCHILY.xattr.user.x", &[7; 300_000])]),
        ("a kind of its own", vec![entry(EntryType::GNUSparse, "a", "")]),
    ];
    for (what, entries) in cases {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("victim"), b"secret").unwrap();
        let result = unpack(&archive(&entries), &directory.path().join("inbox")).await;
        assert!(matches!(result, Err(TransferError::Tree(_))), "{what}: {result:?}");
        let mut outside: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        outside.sort();
        assert_eq!(outside, ["inbox", "victim"], "{what}");
        assert_eq!(directory.path().join("victim").metadata().unwrap().nlink(), 1, "{what}");
        assert!(!directory.path().join("inbox/tree").exists(), "{what}: half a tree is in place");
        let left = fs::read_dir(directory.path().join("inbox/.receiving")).unwrap().count();
        assert_eq!(left, 0, "{what}: something was left behind");
    }
    let directory = tempfile::tempdir().unwrap();
    let good = unpack(&archive(&[entry(Regular, "a", "")]), &directory.path().join("inbox")).await.unwrap();
    assert_eq!(fs::read(good.join("a")).unwrap(), b"evil");
}

/// Rubbish and cut archives are answered, not obeyed.
#[tokio::test]
async fn rubbish_is_refused() {
    let mut cut = archive(&[entry(EntryType::Regular, "a", "")]);
    cut.truncate(1536 + 2);
    for bytes in [noise(1, 5000), cut] {
        let directory = tempfile::tempdir().unwrap();
        let result = unpack(&bytes, &directory.path().join("inbox")).await;
        assert!(matches!(result, Err(TransferError::Tree(_))), "{result:?}");
    }
}

/// A tree that was unpacked may hold links; a later item must not be written through them.
#[tokio::test]
async fn a_later_item_is_not_written_through_a_tree() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, outside) = (directory.path().join("t"), directory.path().join("outside"));
    fs::create_dir_all(&tree).unwrap();
    fs::create_dir(&outside).unwrap();
    symlink(&outside, tree.join("out")).unwrap();
    let file = directory.path().join("f");
    fs::write(&file, b"evil").unwrap();
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let items = [item("t", Source::Tree(tree)), item("t/out/f", Source::File(file))];
    let (_sent, received) = over_memory(&items, &inbox, &options(None, false)).await;
    assert!(matches!(received, Err(TransferError::Tree(_))), "{received:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

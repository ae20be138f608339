//! Build contexts, as a builder would find them.

use std::fs;
use std::io::{Cursor, Read};
use std::os::unix::fs::symlink;
use std::process::Command;

use ecep_archive::{ArchiveError, Limits, bundle, overlay, texts};
use ecep_proto::api::artifact::ArtifactKind;

use super::make::{Tar, gzip, inspected, zstd};

/// Kind, path, link's target, bytes; and what must be the same for all.
fn entries(archive: &[u8]) -> Vec<(u8, String, String, Vec<u8>)> {
    let mut entries = Vec::new();
    for entry in tar::Archive::new(archive).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)));
        assert_eq!(header.mode().unwrap_or(u32::MAX) & !0o777, 0, "a right passed");
        let path = entry.path().expect("a path").display().to_string();
        let target =
            entry.link_name().expect("a target").map_or(String::new(), |target| target.display().to_string());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        entries.push((header.entry_type().as_byte(), path, target, bytes));
    }
    entries
}

fn bundled(archive: &[u8]) -> Vec<(u8, String, String, Vec<u8>)> {
    let mut out = Vec::new();
    bundle(Cursor::new(archive), &mut out, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    entries(&out)
}

fn entry(kind: u8, path: &str, target: &str, bytes: &str) -> (u8, String, String, Vec<u8>) {
    (kind, path.into(), target.into(), bytes.into())
}

/// A folder around everything is taken off, names of any length and links of all kinds arrive, and rights do not.
#[test]
fn a_bundle_becomes_a_context() {
    let long = format!("app-1.0/{}/x", "long".repeat(50));
    let target = "y/".repeat(100);
    let archive = Tar::default()
        .folder("./")
        .folder("app-1.0/")
        .file("app-1.0/Dockerfile", "FROM base")
        .raw(b'L', b"././@LongLink", b"", format!("{long}\0").as_bytes())
        .file("cut", "long")
        .hard_link("app-1.0/hard", "app-1.0/Dockerfile")
        .symlink("app-1.0/soft", "./Dockerfile")
        .pax(b'x', &[("linkpath", target.as_bytes())])
        .symlink("app-1.0/far", "cut")
        .end();
    for archive in [archive.clone(), gzip(&archive), zstd(&archive)] {
        assert_eq!(inspected(&archive).kind, ArtifactKind::SourceBundle);
        assert_eq!(
            bundled(&archive),
            [
                entry(b'0', "Dockerfile", "", "FROM base"),
                entry(b'0', &long["app-1.0/".len()..], "", "long"),
                entry(b'1', "hard", "Dockerfile", ""),
                entry(b'2', "soft", "./Dockerfile", ""),
                entry(b'2', "far", &target, ""),
            ]
        );
    }
}

/// What is said before anything is built must be said of the file that is built: by the path that it has in the context, whatever wraps it.
#[test]
fn a_text_is_found_where_the_context_has_it() {
    let limits = Limits::default();
    let read = |archive: &[u8]| texts(archive, [("Dockerfile", 9), ("sub/Dockerfile", 9)], &limits);
    let wrapped = |at: &str| Tar::default().folder("sub").file(at, "FROM a").file("sub/x", "").end();
    let some = |text: &str| Some(text.to_owned());
    for (archive, found) in [
        (Tar::default().file("x", "").file("Dockerfile", "FROM a").end(), [some("FROM a"), None]),
        (Tar::default().file("Dockerfile", "FROM a").end(), [some("FROM a"), None]),
        (wrapped("sub/Dockerfile"), [some("FROM a"), None]),
        (wrapped("sub/sub/Dockerfile"), [None, some("FROM a")]),
        (wrapped("Dockerfile"), [some("FROM a"), None]),
        (Tar::default().file("sub/Dockerfile", "FROM a").file("x", "").end(), [None, some("FROM a")]),
        (
            Tar::default().file("sub/Dockerfile", "FROM a").file("Dockerfile", "FROM b").end(),
            [some("FROM b"), some("FROM a")],
        ),
        (Tar::default().file("x", "FROM a").symlink("Dockerfile", "x").end(), [None, None]),
        // It is not the one, so nothing is wrong with it.
        (
            Tar::default().file("sub/Dockerfile", "FROM a").file("sub/sub/x", "x".repeat(99)).end(),
            [some("FROM a"), None],
        ),
    ] {
        for archive in [archive.clone(), gzip(&archive), zstd(&archive)] {
            assert_eq!(read(&archive).unwrap_or_else(|error| panic!("{error}")), found);
        }
    }
    let long = read(&Tar::default().file("x", "").file("Dockerfile", "FROM abcde").end());
    assert!(matches!(long, Err(ArchiveError::LongText { limit: 9, .. })), "{long:?}");
    let binary = Tar::default().file("x", "").raw(b'0', b"Dockerfile", b"", &[0xff]).end();
    assert!(matches!(read(&binary), Err(ArchiveError::NoText { .. })));
}

/// What is not wrapped stays as it is.
#[test]
fn a_bundle_without_a_folder_around_it_keeps_its_paths() {
    let archive = Tar::default().file("src/main.rs", "").file("Dockerfile", "FROM base").end();
    assert_eq!(inspected(&archive).kind, ArtifactKind::SourceBundle);
    assert_eq!(
        bundled(&archive),
        [entry(b'0', "src/main.rs", "", ""), entry(b'0', "Dockerfile", "", "FROM base")]
    );
    let archive = Tar::default().file("src/Dockerfile", "").file("README", "").end();
    assert_eq!(inspected(&archive).kind, ArtifactKind::Files);
}

/// The folder is the only one that `COPY` names; a Dockerfile among the files is one of them, not the builder's.
#[test]
fn files_are_laid_over_a_base_image() {
    let archive = Tar::default()
        .file("app/main.py", "print()")
        .file("Dockerfile", "FROM evil")
        .hard_link("b", "Dockerfile")
        .end();
    let mut out = Vec::new();
    let install = Some("pip install .");
    overlay(Cursor::new(archive), &mut out, &Limits::default(), "python:3.13", "/app", install)
        .expect("a context");
    assert_eq!(
        entries(&out),
        [
            entry(
                b'0',
                "Dockerfile",
                "",
                "FROM python:3.13\nCOPY [\"files/\",\"/app/\"]\nWORKDIR /app\nRUN [\"/bin/sh\",\"-c\",\"pip install .\"]\n"
            ),
            entry(b'5', "files", "", ""),
            entry(b'0', "files/app/main.py", "", "print()"),
            entry(b'0', "files/Dockerfile", "", "FROM evil"),
            entry(b'1', "files/b", "files/Dockerfile", ""),
        ]
    );
}

/// What people pack with their own tools is taken, in each format that these write.
#[test]
fn what_tar_and_python_pack_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("app-1.0");
    let long = tree.join("a-rather-long-name/".repeat(4)).join("deeper");
    fs::create_dir_all(&long).expect("a folder");
    fs::write(tree.join("Dockerfile"), "FROM base").expect("a file");
    fs::write(tree.join("grüße"), "hello").expect("a file");
    fs::hard_link(tree.join("Dockerfile"), tree.join("hard")).expect("a link");
    symlink("../../Dockerfile", tree.join("a-rather-long-name/a-rather-long-name/soft")).expect("a link");
    let archive = folder.path().join("app.tar");
    let mut packers: Vec<Command> = ["gnu", "oldgnu", "posix", "ustar"]
        .map(|format| {
            let mut tar = Command::new("tar");
            tar.arg(format!("--format={format}"))
                .arg("-cf")
                .arg(&archive)
                .arg("-C")
                .arg(folder.path())
                .arg("app-1.0");
            tar
        })
        .into();
    let script = "import sys, tarfile; tar = tarfile.open(sys.argv[1], 'w:gz'); tar.add(sys.argv[2], 'app-1.0'); tar.close()";
    let mut python = Command::new("python3");
    python.args(["-c", script]).arg(&archive).arg(&tree);
    packers.push(python);
    for mut packer in packers {
        assert!(packer.status().expect("the tool runs").success(), "{packer:?}");
        let packed = fs::read(&archive).expect("an archive");
        assert_eq!(inspected(&packed).kind, ArtifactKind::SourceBundle, "{packer:?}");
        let context = bundled(&packed);
        let deepest = format!("{}deeper", "a-rather-long-name/".repeat(4));
        for path in ["Dockerfile", "grüße", "hard", deepest.as_str()] {
            assert!(context.iter().any(|(_, found, ..)| found == path), "{path} of {packer:?}: {context:?}");
        }
    }
}

/// An engine's broken connection is no fault of the archive.
#[test]
fn a_destination_that_fails_is_told_from_a_bad_archive() {
    let archive = Tar::default().file("a", vec![7; 5000]).end();
    let mut room = [0; 2000];
    let error = bundle(Cursor::new(archive), room.as_mut_slice(), &Limits::default());
    assert!(matches!(error, Err(ArchiveError::Write(_))), "{error:?}");
}

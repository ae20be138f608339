//! Image archives, as Docker and others write them.

use std::collections::BTreeMap;
use std::io::Read;

use ecep_archive::{ArchiveError, Limits, image};
use ecep_proto::api::artifact::ArtifactKind;

use super::make::{Tar, gzip, inspected, refusal, refusal_within, zstd};

const CONFIG: &str = r#"{"architecture":"arm","variant":"v7","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0"]}}"#;

fn manifest(config: &str, layer: &str, tags: &str) -> String {
    format!(r#"[{{"Config":"{config}","RepoTags":{tags},"Layers":["{layer}"]}}]"#)
}

/// As Docker wrote it before 25.
fn classic(tags: &str) -> Tar {
    Tar::default()
        .folder("1a/")
        .file("1a/VERSION", "1.0")
        .file("1a/json", "{}")
        .file("1a/layer.tar", vec![3; 5000])
        .file("c0.json", CONFIG)
        .file("manifest.json", manifest("c0.json", "1a/layer.tar", tags))
        .file("repositories", r#"{"nginx":{"latest":"1a"}}"#)
}

/// As Docker writes it since 25.
fn modern() -> Tar {
    layout("").file("manifest.json", manifest("blobs/sha256/c0", "blobs/sha256/aa", r#"["nginx:latest"]"#))
}

/// As the format of OCI has it; `more` are more images of the index.
fn layout(more: &str) -> Tar {
    let name = r#""annotations":{"io.containerd.image.name":"docker.io/library/nginx:latest"}"#;
    let about = r#""annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#;
    Tar::default()
        .file("blobs/sha256/aa", gzip(&[0; 5000]))
        .file("blobs/sha256/c0", CONFIG)
        .file("blobs/sha256/dd", r#"{"config":{"digest":"sha256:c0"},"layers":[{"digest":"sha256:aa"}]}"#)
        .file("blobs/sha256/ee", r#"{"manifests":[{"digest":"sha256:dd"}]}"#)
        .file(
            "index.json",
            format!(
                r#"{{"manifests":[{{"digest":"sha256:ee",{name}}},{{"digest":"sha256:ff",{about}}}{more}]}}"#
            ),
        )
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// What an engine gets, by path.
fn sent(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut out = Vec::new();
    image(archive, &mut out, &Limits::default(), "ecep-app/acme/shop:3")
        .unwrap_or_else(|error| panic!("{error}"));
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(out.as_slice()).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        files.insert(path, bytes);
    }
    files
}

/// An engine that loads an archive gives its names to what is in it: an upload named `nginx:latest` would change the image of every other
/// tenant's next container. Only the name that the platform chose may arrive.
#[test]
fn an_engine_gets_one_name_which_is_the_platforms() {
    for (archive, config, layer) in [
        (classic(r#"["nginx:latest","redis:7"]"#).end(), "c0.json", "1a/layer.tar"),
        (gzip(&modern().end()), "blobs/sha256/c0", "blobs/sha256/aa"),
        (zstd(&layout("").end()), "blobs/sha256/c0", "blobs/sha256/aa"),
    ] {
        let inspection = inspected(&archive);
        assert_eq!(inspection.kind, ArtifactKind::ImageArchive);
        assert_eq!(inspection.architectures, ["arm/v7"]);
        // The layer as it is unpacked, and the documents.
        assert!((5000..7000).contains(&inspection.unpacked_bytes), "{inspection:?}");
        let files = sent(&archive);
        assert_eq!(
            String::from_utf8_lossy(&files["manifest.json"]),
            manifest(config, layer, r#"["ecep-app/acme/shop:3"]"#)
        );
        assert_eq!(files[config], CONFIG.as_bytes());
        assert!(files.contains_key(layer));
        for name in ["repositories", "index.json", "oci-layout"] {
            assert!(!files.contains_key(name), "{name} passed");
        }
        let whole: Vec<u8> = files
            .iter()
            .filter(|(path, _)| *path != "manifest.json")
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        assert!(!whole.windows(5).any(|window| window == b"nginx"), "a name passed");
    }
}

/// Docker writes a layer that two images share once, and a link for the other.
#[test]
fn a_layer_may_be_a_link_to_another() {
    let archive = Tar::default()
        .file("1a/layer.tar", "layer")
        .symlink("2b/layer.tar", "../1a/layer.tar")
        .file("c0.json", CONFIG)
        .file("manifest.json", manifest("c0.json", "2b/layer.tar", "null"))
        .end();
    assert_eq!(inspected(&archive).kind, ArtifactKind::ImageArchive);
    assert!(sent(&archive).contains_key("2b/layer.tar"));
}

/// A web application has a `manifest.json`, too.
#[test]
fn not_every_manifest_is_an_images() {
    let archive = Tar::default().file("manifest.json", r#"{"name":"My app"}"#).file("index.json", "[]").end();
    assert_eq!(inspected(&archive).kind, ArtifactKind::Files);
    let error = image(archive.as_slice(), std::io::sink(), &Limits::default(), "a:1");
    assert!(matches!(error, Err(ArchiveError::NotAnImage)), "{error:?}");
}

/// Which of several would run is not for the platform to guess.
#[test]
fn several_images_are_refused_by_their_names() {
    let items = r#"[{"Config":"c0.json","RepoTags":["shop:1"],"Layers":[]},{"Config":"c0.json","RepoTags":["shop:2"],"Layers":[]}]"#;
    let error = refusal(&Tar::default().file("c0.json", CONFIG).file("manifest.json", items).end());
    assert!(matches!(error, ArchiveError::SeveralImages { count: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("shop:1, shop:2"), "{error}");
    let error = refusal(&layout(r#",{"digest":"sha256:dd"}"#).end());
    assert!(matches!(error, ArchiveError::SeveralImages { count: 2, .. }), "{error:?}");
}

/// An engine would refuse these after all of it has been sent.
#[test]
fn images_that_no_engine_could_load_are_refused() {
    let with = |config: &str, manifest: String| {
        Tar::default()
            .file("1a/layer.tar", "layer")
            .file("c0.json", config)
            .file("manifest.json", manifest)
            .end()
    };
    let error = refusal(&with(CONFIG, manifest("c0.json", "9z/layer.tar", "null")));
    assert!(matches!(error, ArchiveError::MissingLayer { .. }), "{error:?}");
    assert!(error.to_string().contains("9z/layer.tar"), "{error}");
    for archive in [
        with(CONFIG, manifest("other.json", "1a/layer.tar", "null")),
        with("no JSON", manifest("c0.json", "1a/layer.tar", "null")),
        with(&CONFIG.replace("linux", "windows"), manifest("c0.json", "1a/layer.tar", "null")),
        with(&CONFIG.replace("\"sha256:0\"", ""), manifest("c0.json", "1a/layer.tar", "null")),
    ] {
        let error = refusal(&archive);
        assert!(matches!(error, ArchiveError::BadImage { .. }), "{error:?}");
        let mut out = Vec::new();
        let sent = image(archive.as_slice(), &mut out, &Limits::default(), "a:1");
        assert!(matches!(sent, Err(ArchiveError::BadImage { .. })), "{sent:?}");
        assert!(!out.windows(13).any(|window| window == b"manifest.json"), "an engine could have loaded it");
    }
    let error = refusal(&with(CONFIG, manifest("../c0.json", "1a/layer.tar", "null")));
    assert!(matches!(error, ArchiveError::ParentPath { .. }), "{error:?}");
}

/// An engine unpacks compressed layers on the device's disk; the archive around them looks small.
#[test]
fn bombs_in_layers_are_refused() {
    let bomb = |layer: Vec<u8>| {
        Tar::default()
            .file("1a/layer.tar", layer)
            .file("c0.json", CONFIG)
            .file("manifest.json", manifest("c0.json", "1a/layer.tar", "null"))
            .end()
    };
    for layer in [gzip(&vec![0; 8 << 20]), zstd(&vec![0; 8 << 20])] {
        let archive = bomb(layer.clone());
        inspected(&archive);
        for limits in [
            Limits { ratio_from_bytes: 1 << 20, ..Limits::default() },
            Limits { unpacked_bytes: 4 << 20, ..Limits::default() },
        ] {
            let error = refusal_within(&archive, &limits);
            assert!(matches!(error, ArchiveError::BadImage { .. }), "{error:?}");
            // Nobody unpacks what lies in a tree of files.
            let files = Tar::default().file("data.gz", layer.clone()).end();
            assert!(ecep_archive::inspect(files.as_slice(), &limits).is_ok());
        }
    }
    let mut damaged = gzip(&[7; 5000]);
    damaged.truncate(30);
    assert!(matches!(refusal(&bomb(damaged)), ArchiveError::BadImage { .. }));
}

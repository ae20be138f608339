//! An image's archive as `docker save` writes it (Docker Image Specification 1.2): which names it brings, and the same one
//! without the layers that the receiver has. Blocks.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The list of an archive's images.
const MANIFEST: &str = "manifest.json";
/// The list of names that archives from before Docker 1.10 had instead.
const REPOSITORIES: &str = "repositories";
/// A manifest of more bytes than this is none.
const MAX_MANIFEST: u64 = 4 << 20;

#[derive(serde::Deserialize)]
struct Manifest {
    #[serde(rename = "Layers", default)]
    layers: Vec<String>,
    #[serde(rename = "RepoTags")]
    names: Option<Vec<String>>,
}

/// The names that an engine would give the archive's images.
pub(super) fn names(archive: &Path) -> io::Result<Vec<String>> {
    let names = manifests(archive)?.into_iter().flat_map(|manifest| manifest.names.unwrap_or_default());
    Ok(names.collect())
}

/// Copies an image's archive without the files of its lowest layers. An engine that has those layers takes it so.
pub(super) fn without_layers(from: &Path, to: &Path, held: usize) -> io::Result<()> {
    let layers = manifests(from)?.into_iter().next().map(|manifest| manifest.layers).unwrap_or_default();
    // A layer that comes twice, once below and once above, stays.
    let kept: HashSet<&String> = layers.iter().skip(held).collect();
    let left_out: HashSet<PathBuf> =
        layers.iter().take(held).filter(|layer| !kept.contains(layer)).map(PathBuf::from).collect();
    let mut out = tar::Builder::new(File::create(to)?);
    for entry in tar::Archive::new(File::open(from)?).entries()? {
        let entry = entry?;
        if !left_out.contains(entry.path()?.as_ref()) {
            out.append(&entry.header().clone(), entry)?;
        }
    }
    out.into_inner()?.sync_all()
}

fn manifests(archive: &Path) -> io::Result<Vec<Manifest>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(File::open(archive)?).entries()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        if path == Path::new(REPOSITORIES) {
            return Err(io::Error::other("it has names in a form that is not taken"));
        }
        if path == Path::new(MANIFEST) {
            let mut text = Vec::new();
            entry.take(MAX_MANIFEST).read_to_end(&mut text)?;
            // The last one counts, as for the engine; any of them might be it.
            found.extend(serde_json::from_slice::<Vec<Manifest>>(&text)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(folder: &Path, files: &[(&str, &str)]) -> PathBuf {
        let path = folder.join("image.tar");
        let mut out = tar::Builder::new(File::create(&path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            out.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        out.into_inner().unwrap();
        path
    }

    /// A device that lies must not put its image in the place of another tenant's.
    #[test]
    fn names_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let nameless = r#"[{"Config":"c","RepoTags":null,"Layers":["a/layer.tar"]}]"#;
        let path = archive(folder.path(), &[(MANIFEST, nameless)]);
        assert!(names(&path).unwrap().is_empty());
        let named = r#"[{"Config":"c","RepoTags":["nginx:latest"],"Layers":[]}]"#;
        for files in [vec![(MANIFEST, named)], vec![(MANIFEST, named), (MANIFEST, nameless)]] {
            let path = archive(folder.path(), &files);
            assert_eq!(names(&path).unwrap(), ["nginx:latest"]);
        }
        let path = archive(folder.path(), &[(MANIFEST, nameless), (REPOSITORIES, "{}")]);
        assert!(names(&path).is_err());
    }

    /// Only what the receiver lacks travels; a layer that comes twice stays.
    #[test]
    fn layers_that_are_held_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"[{"RepoTags":null,"Layers":["a","b","a","c"]}]"#;
        let path = archive(folder.path(), &[("a", "1"), ("b", "2"), ("c", "3"), (MANIFEST, manifest)]);
        let less = folder.path().join("less.tar");
        without_layers(&path, &less, 2).unwrap();
        let mut archive = tar::Archive::new(File::open(less).unwrap());
        let kept: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(kept, ["a", "c", MANIFEST]);
    }
}

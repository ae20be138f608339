//! An image's archive as `docker save` writes it (Docker Image Specification 1.2): which names it brings, and the same one
//! without the layers that the receiver has. Blocks.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use tar::EntryType;

/// The list of an archive's images.
const MANIFEST: &str = "manifest.json";
/// The list of names that archives from before Docker 1.10 had instead.
const REPOSITORIES: &str = "repositories";
/// The list of images in archives that are OCI image layouts too, and how it names one: engines with containerd's store go by it.
const INDEX: &str = "index.json";
const NAMES_IN_INDEX: &[&str] = &["io.containerd.image.name", "org.opencontainers.image.ref.name"];
/// A layer; in older archives one that comes twice is a link to the first.
const LAYER: &str = "layer.tar";
/// What an entry's extension may say: nothing about where it is.
const PLAIN_EXTENSIONS: &[&str] = &["mtime", "atime", "ctime", "size", "uid", "gid", "uname", "gname"];
const PLAIN_PREFIX: &str = "SCHILY.xattr.";
/// A manifest of more bytes than this is none.
const MAX_MANIFEST: u64 = 4 << 20;

#[derive(serde::Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<IndexEntry>,
}

#[derive(serde::Deserialize)]
struct IndexEntry {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

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
    let mut links = HashSet::new();
    for entry in tar::Archive::new(File::open(archive)?).entries()? {
        let mut entry = entry?;
        let path = plain_path(&mut entry, &mut links)?;
        if path == Path::new(REPOSITORIES) {
            return Err(io::Error::other("it has names in a form that is not taken"));
        }
        if path == Path::new(INDEX) {
            let mut text = Vec::new();
            entry.take(MAX_MANIFEST).read_to_end(&mut text)?;
            let index: Index = serde_json::from_slice(&text)?;
            let annotations = index.manifests.into_iter().filter_map(|one| one.annotations).flatten();
            let names: Vec<String> = annotations
                .filter(|(key, _)| NAMES_IN_INDEX.contains(&key.as_str()))
                .map(|(_, name)| name)
                .collect();
            if !names.is_empty() {
                found.push(Manifest { layers: Vec::new(), names: Some(names) });
            }
            continue;
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

/// Where an engine that unpacks the archive puts this entry. Refused is whatever it could take for another place than we do: it
/// might be a list of names that we have not seen.
fn plain_path(entry: &mut tar::Entry<'_, File>, links: &mut HashSet<PathBuf>) -> io::Result<PathBuf> {
    let refused = |what: &str, path: &Path| {
        let text = format!("{} {what}, which no engine writes", path.display());
        Err(io::Error::other(text))
    };
    let path = entry.path()?.into_owned();
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return refused("leads out of the archive", &path);
            }
        }
    }
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            let is_plain = |key: &str| PLAIN_EXTENSIONS.contains(&key) || key.starts_with(PLAIN_PREFIX);
            if !extension?.key().is_ok_and(is_plain) {
                return refused("has an extension", &path);
            }
        }
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Directory => {}
        EntryType::Symlink if plain.file_name() == Some(OsStr::new(LAYER)) => {
            links.insert(plain.clone());
        }
        _ => return refused("is no file", &path),
    }
    if plain.ancestors().skip(1).any(|folder| links.contains(folder)) {
        return refused("lies behind a link", &path);
    }
    Ok(plain)
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
        let plain = r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0","annotations":{"x":"y"}},{"digest":"sha256:1"}]}"#;
        let path = archive(folder.path(), &[(INDEX, plain), (MANIFEST, nameless)]);
        assert!(names(&path).unwrap().is_empty());
        for key in NAMES_IN_INDEX {
            let index = format!(r#"{{"manifests":[{{"annotations":{{"{key}":"nginx:latest"}}}}]}}"#);
            let path = archive(folder.path(), &[(INDEX, index.as_str()), (MANIFEST, nameless)]);
            assert_eq!(names(&path).unwrap(), ["nginx:latest"], "{key}");
        }
    }

    /// Names must not come in by an entry that only the engine takes for the list of names.
    #[test]
    fn lists_of_names_in_disguise_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let named = r#"[{"Config":"c","RepoTags":["nginx:latest"],"Layers":[]}]"#;
        let path = archive(folder.path(), &[("./manifest.json", named)]);
        assert_eq!(names(&path).unwrap(), ["nginx:latest"]);
        let written = |entries: &[(EntryType, &str, &str)], extension: Option<(&str, &[u8])>| {
            let path = folder.path().join("disguised.tar");
            let mut out = tar::Builder::new(File::create(&path).unwrap());
            if let Some(extension) = extension {
                out.append_pax_extensions([extension]).unwrap();
            }
            for (kind, name, content) in entries {
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(*kind);
                if *kind == EntryType::Regular {
                    header.set_size(content.len() as u64);
                } else {
                    header.set_size(0);
                    header.set_link_name(content).unwrap();
                }
                // Names that the library itself would not write.
                header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
                header.set_cksum();
                let body = if *kind == EntryType::Regular { content.as_bytes() } else { b"" };
                out.append(&header, body).unwrap();
            }
            out.into_inner().unwrap();
            names(&path)
        };
        let file = EntryType::Regular;
        for disguised in [
            vec![(file, "a/../manifest.json", named)],
            vec![(file, "/manifest.json", named)],
            vec![(EntryType::Symlink, "a", "."), (file, "a/manifest.json", named)],
            vec![(EntryType::Symlink, "a/layer.tar", ".."), (file, "a/layer.tar/manifest.json", named)],
            vec![(file, "x", named), (EntryType::Link, "manifest.json", "x")],
        ] {
            assert!(written(&disguised, None).is_err(), "{disguised:?}");
        }
        let sparse = ("GNU.sparse.name", b"manifest.json".as_slice());
        assert!(written(&[(file, "x", named)], Some(sparse)).is_err());
        let links = [(file, "a/layer.tar", "1"), (EntryType::Symlink, "b/layer.tar", "../a/layer.tar")];
        assert!(written(&links, Some(("mtime", b"1.5"))).unwrap().is_empty());
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

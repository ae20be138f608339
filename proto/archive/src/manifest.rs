//! What an image archive says about itself, in the format of `docker save` or of OCI. Pure: from its documents to the image's parts.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    ArchiveError,
    name::{normalise, shown},
    tree::Tree,
};

/// Docker's list of images.
pub(crate) const MANIFEST: &str = "manifest.json";
/// OCI's list of images, with their names.
pub(crate) const INDEX: &str = "index.json";
/// The mark of an OCI layout.
pub(crate) const LAYOUT: &str = "oci-layout";
/// The tags of image archives before Docker 1.10.
pub(crate) const REPOSITORIES: &str = "repositories";

/// Lists in lists of images; builders write one for the attestations.
const MAX_INDEX_DEPTH: u32 = 3;
/// Tags that a sentence shows.
const SHOWN_TAGS: usize = 5;

/// The parts of an archive's only image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// Where its configuration is.
    pub(crate) config: String,
    /// Where its layers are, the lowest first; each a file or a link to one.
    pub(crate) layers: Vec<String>,
    /// As `docker` calls it.
    pub(crate) architecture: Option<String>,
}

/// An element of Docker's list.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
    #[serde(default)]
    os: String,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct OciManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Descriptor {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Where its bytes are.
    fn path(&self) -> Result<String, ArchiveError> {
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match self.digest.split_once(':') {
            Some((algorithm, digits)) if is_word(algorithm) && is_word(digits) => {
                Ok(format!("blobs/{algorithm}/{digits}"))
            }
            _ => Err(bad(format!("\"{}\" is not a digest", shown(self.digest.as_bytes())))),
        }
    }
}

/// Small files of the archive, by their paths.
pub(crate) type Documents = HashMap<String, Vec<u8>>;

/// The image; none where this is no image archive. `path_bytes` is how long a path may be.
pub(crate) fn find(
    documents: &Documents,
    tree: &Tree,
    path_bytes: usize,
) -> Result<Option<Image>, ArchiveError> {
    let items = documents.get(MANIFEST).and_then(|bytes| serde_json::from_slice::<Vec<Item>>(bytes).ok());
    if let Some(items) = items.filter(|items| !items.is_empty()) {
        return docker(items, documents, tree, path_bytes).map(Some);
    }
    let index = documents.get(INDEX).and_then(|bytes| serde_json::from_slice::<Index>(bytes).ok());
    match index {
        Some(index) if tree.has_file(LAYOUT) => oci(index, documents, tree).map(Some),
        _ => Ok(None),
    }
}

/// Docker's list with this image only, under this name only.
pub(crate) fn write(image: &Image, reference: &str) -> Result<Vec<u8>, ArchiveError> {
    let item = Item {
        config: image.config.clone(),
        repo_tags: Some(vec![reference.to_owned()]),
        layers: Some(image.layers.clone()),
    };
    serde_json::to_vec(&[item]).map_err(|error| bad(error.to_string()))
}

fn docker(
    items: Vec<Item>,
    documents: &Documents,
    tree: &Tree,
    path_bytes: usize,
) -> Result<Image, ArchiveError> {
    let [item] = items.as_slice() else {
        let tags = items.iter().map(|item| item.repo_tags.iter().flatten().next().map(String::as_str));
        return Err(several(items.len(), tags));
    };
    let config = normalise(item.config.as_bytes(), path_bytes)?;
    let layers = item.layers.iter().flatten().map(|layer| normalise(layer.as_bytes(), path_bytes));
    check(config, layers.collect::<Result<_, _>>()?, documents, tree)
}

fn oci(index: Index, documents: &Documents, tree: &Tree) -> Result<Image, ArchiveError> {
    let mut found = Vec::new();
    collect(index, documents, tree, 0, &mut found)?;
    match found.as_slice() {
        [] => Err(bad("its index names no image".into())),
        [(_, manifest)] => {
            let layers = manifest.layers.iter().map(Descriptor::path);
            check(manifest.config.path()?, layers.collect::<Result<_, _>>()?, documents, tree)
        }
        several_found => {
            Err(several(several_found.len(), several_found.iter().map(|(name, _)| name.as_deref())))
        }
    }
}

/// The images of an index and of those in it, with their names.
fn collect(
    index: Index,
    documents: &Documents,
    tree: &Tree,
    depth: u32,
    found: &mut Vec<(Option<String>, OciManifest)>,
) -> Result<(), ArchiveError> {
    if depth == MAX_INDEX_DEPTH {
        return Err(bad("its indexes lie in each other too deeply".into()));
    }
    for descriptor in index.manifests {
        // About the image, not one.
        if descriptor.annotation("vnd.docker.reference.type").is_some() {
            continue;
        }
        let path = descriptor.path()?;
        let Some(bytes) = documents.get(&path) else {
            // An index may name platforms that were not saved.
            if depth > 0 && !tree.has_file(&path) {
                continue;
            }
            return Err(bad(format!("it lacks the manifest \"{}\"", shown(path.as_bytes()))));
        };
        if let Ok(manifest) = serde_json::from_slice::<OciManifest>(bytes) {
            let name = descriptor.annotation("io.containerd.image.name");
            let name = name.or_else(|| descriptor.annotation("org.opencontainers.image.ref.name"));
            found.push((name.map(str::to_owned), manifest));
        } else if let Ok(nested) = serde_json::from_slice::<Index>(bytes) {
            collect(nested, documents, tree, depth + 1, found)?;
        } else {
            return Err(bad(format!("\"{}\" is neither a manifest nor an index", shown(path.as_bytes()))));
        }
        if found.len() > 100 {
            break;
        }
    }
    Ok(())
}

/// That all its parts are there.
fn check(
    config: String,
    layers: Vec<String>,
    documents: &Documents,
    tree: &Tree,
) -> Result<Image, ArchiveError> {
    let missing = || bad(format!("it lacks the configuration \"{}\"", shown(config.as_bytes())));
    let bytes = documents.get(&config).ok_or_else(missing)?;
    let read = serde_json::from_slice::<Config>(bytes);
    let read = read.map_err(|error| bad(format!("its configuration cannot be read ({error})")))?;
    for layer in &layers {
        if !tree.has_file(layer) {
            return Err(ArchiveError::MissingLayer { layer: shown(layer.as_bytes()) });
        }
    }
    if !read.os.is_empty() && read.os != "linux" {
        return Err(bad(format!("it is for {}, and devices run Linux", shown(read.os.as_bytes()))));
    }
    if read.rootfs.as_ref().is_some_and(|rootfs| rootfs.diff_ids.len() != layers.len()) {
        return Err(bad("its configuration names another number of layers than its manifest".into()));
    }
    Ok(Image { config, layers, architecture: architecture(&read) })
}

/// As `docker` calls it, which leaves out the variant that everybody means.
fn architecture(config: &Config) -> Option<String> {
    // It becomes part of sentences and of comparisons.
    let word = |text: &str| text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if config.architecture.is_empty() || !word(&config.architecture) || !word(&config.variant) {
        return None;
    }
    Some(match (config.architecture.as_str(), config.variant.as_str()) {
        ("arm64", "v8" | "8") | ("amd64", "v1") => config.architecture.clone(),
        ("arm", "") => "arm/v7".into(),
        (architecture, "") => architecture.into(),
        (architecture, variant) => format!("{architecture}/{variant}"),
    })
}

fn several<'a>(count: usize, tags: impl Iterator<Item = Option<&'a str>>) -> ArchiveError {
    let tags: Vec<String> = tags.flatten().take(SHOWN_TAGS).map(|tag| shown(tag.as_bytes())).collect();
    let more = if count > tags.len() { ", …" } else { "" };
    let tags = if tags.is_empty() { "without names".into() } else { format!("{}{more}", tags.join(", ")) };
    ArchiveError::SeveralImages { count, tags }
}

fn bad(reason: String) -> ArchiveError {
    ArchiveError::BadImage { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words for architectures are compared with those of devices.
    #[test]
    fn architectures_are_named_as_docker_names_them() {
        let named = |architecture: &str, variant: &str| {
            let text = format!(r#"{{"architecture":"{architecture}","variant":"{variant}"}}"#);
            architecture_of(&text)
        };
        assert_eq!(named("amd64", "").as_deref(), Some("amd64"));
        assert_eq!(named("arm64", "v8").as_deref(), Some("arm64"));
        assert_eq!(named("arm", "v6").as_deref(), Some("arm/v6"));
        assert_eq!(named("arm", "").as_deref(), Some("arm/v7"));
        assert_eq!(named("", ""), None);
        assert_eq!(named("a b", ""), None);
    }

    fn architecture_of(config: &str) -> Option<String> {
        architecture(&serde_json::from_str(config).expect("a configuration"))
    }
}

//! What an archive is, and whether it may stay.

use std::io::Read;

use ecep_proto::api::artifact::ArtifactKind;

use crate::{
    ArchiveError, Limits,
    image::Parts,
    walk::{Walked, Walker},
};

/// What an archive was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Which kind.
    pub kind: ArtifactKind,
    /// Bytes of all files in it; a compressed layer of an image counts unpacked.
    pub unpacked_bytes: u64,
    /// Entries.
    pub entries: u64,
    /// For which architectures its image is, as `docker` calls them; empty where that is not known, and for other kinds.
    pub architectures: Vec<String>,
}

/// Reads all of an archive: tar, also compressed by gzip or zstd.
///
/// # Errors
/// A sentence for whoever uploaded it, where it may not stay; [`ArchiveError::Read`] where the source failed.
pub fn inspect(source: impl Read, limits: &Limits) -> Result<Inspection, ArchiveError> {
    let mut walker = Walker::open(source, limits)?;
    let mut parts = Parts::default();
    while let Some(entry) = walker.next()? {
        parts.look(&entry, &mut walker)?;
    }
    let Walked { tree, entries, file_bytes } = walker.finish()?;
    if let Some((image, more)) = parts.image(&tree, limits.path_bytes)? {
        tree.check_links("")?;
        return Ok(Inspection {
            kind: ArtifactKind::ImageArchive,
            unpacked_bytes: file_bytes.saturating_add(more),
            entries,
            architectures: image.architecture.into_iter().collect(),
        });
    }
    let top = tree.top();
    let (kind, root) = if tree.has_file(DOCKERFILE) {
        (ArtifactKind::SourceBundle, "")
    } else if !top.is_empty() && tree.has_file(&format!("{top}/{DOCKERFILE}")) {
        (ArtifactKind::SourceBundle, top)
    } else {
        (ArtifactKind::Files, "")
    };
    tree.check_links(root)?;
    Ok(Inspection { kind, unpacked_bytes: file_bytes, entries, architectures: Vec::new() })
}

/// What makes a tree a source bundle, and where its Dockerfile is unless something else is said.
pub const DOCKERFILE: &str = "Dockerfile";

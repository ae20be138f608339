//! Image archives: which files of one matter, and the archive that an engine gets.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    rc::Rc,
};

use crate::{
    ArchiveError, Limits,
    blocks::take,
    budget::Budget,
    compression::{Compression, MAGIC},
    manifest::{self, Documents, INDEX, Image, LAYOUT, MANIFEST, REPOSITORIES},
    name::parent,
    output::Output,
    tree::Tree,
    walk::{Entry, Kind, Walker},
};

/// Bytes of one document at most: configurations of large images have a tenth.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Bytes of all documents that are kept until the manifest is known, which often comes last.
const MAX_DOCUMENTS: usize = 16 << 20;

/// Streams an image archive to an engine, under exactly one name: `reference`. Whatever names the archive has are left out, and so is every file
/// that is no part of an image.
///
/// Docker's list of images is written last, behind all that has been judged: an engine that gets an archive without its end loads nothing.
/// Compressed layers are not unpacked here: that they are no bombs is what [`crate::inspect`] said.
///
/// # Errors
/// What [`crate::inspect`] refuses is refused here, too; [`ArchiveError::NotAnImage`] where it is no image archive.
pub fn image(
    source: impl Read,
    out: impl Write,
    limits: &Limits,
    reference: &str,
) -> Result<(), ArchiveError> {
    let mut walker = Walker::open(source, limits)?;
    let mut output = Output::new(out);
    let mut parts = Parts::default();
    while let Some(entry) = walker.next()? {
        if !is_place(&entry.path) {
            continue;
        }
        let document = parts.keep(&entry, &mut walker)?;
        if [MANIFEST, INDEX, LAYOUT, REPOSITORIES].contains(&entry.path.as_str()) {
            continue;
        }
        match document {
            Some(bytes) => output.entry(&entry, &entry.path, None, bytes.as_slice())?,
            None => output.entry(&entry, &entry.path, None, &mut walker)?,
        }
    }
    let walked = walker.finish()?;
    walked.tree.check_links("")?;
    let image =
        manifest::find(&parts.documents, &walked.tree, limits.path_bytes)?.ok_or(ArchiveError::NotAnImage)?;
    check_places(&image)?;
    output.file(MANIFEST, &manifest::write(&image, reference)?)?;
    output.finish()
}

/// What has been seen of an image, before it is known whether this is one.
#[derive(Default)]
pub(crate) struct Parts {
    documents: Documents,
    kept: usize,
    /// What came out of compressed files that may be layers.
    layers: HashMap<String, Layer>,
}

/// A compressed file.
#[derive(Clone)]
struct Layer {
    packed: u64,
    /// Bytes, or why it cannot be unpacked.
    unpacked: Result<u64, Rc<ArchiveError>>,
}

impl Parts {
    /// Looks at an entry, and into it where it is compressed.
    pub(crate) fn look(&mut self, entry: &Entry, walker: &mut Walker<'_>) -> Result<(), ArchiveError> {
        if !is_place(&entry.path) {
            return Ok(());
        }
        if let Kind::HardLink { target } = &entry.kind {
            if let Some(layer) = self.layers.get(target).cloned() {
                self.layers.insert(entry.path.clone(), layer);
            }
            return Ok(());
        }
        let Kind::File { bytes } = entry.kind else { return Ok(()) };
        let budget = walker.budget();
        let unpacked = match self.keep(entry, walker)? {
            Some(document) => unpack(document.as_slice(), &budget),
            None => unpack(walker, &budget),
        };
        if let Some(unpacked) = unpacked? {
            self.layers
                .insert(entry.path.clone(), Layer { packed: bytes, unpacked: unpacked.map_err(Rc::new) });
        }
        Ok(())
    }

    /// Takes the bytes of an entry that is small enough to be a document, and keeps them where they look like one.
    fn keep(&mut self, entry: &Entry, walker: &mut Walker<'_>) -> Result<Option<Vec<u8>>, ArchiveError> {
        let Kind::File { bytes: 0..=MAX_DOCUMENT } = entry.kind else { return Ok(None) };
        let bytes = take(walker, MAX_DOCUMENT as usize)?;
        let is_document =
            bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
        if is_document && self.kept + bytes.len() <= MAX_DOCUMENTS {
            self.kept += bytes.len();
            self.documents.insert(entry.path.clone(), bytes.clone());
        }
        Ok(Some(bytes))
    }

    /// The image, and how many bytes more it has than its files, once its layers are unpacked. None where this is no image archive.
    pub(crate) fn image(&self, tree: &Tree, path_bytes: usize) -> Result<Option<(Image, u64)>, ArchiveError> {
        let Some(image) = manifest::find(&self.documents, tree, path_bytes)? else { return Ok(None) };
        check_places(&image)?;
        let mut more = 0_u64;
        for layer in &image.layers {
            let Some(file) = tree.file(layer) else { continue };
            if !is_place(&file) {
                return Err(misplaced(layer));
            }
            let Some(Layer { packed, unpacked }) = self.layers.get(&file) else { continue };
            match unpacked {
                Ok(unpacked) => more = more.saturating_add(unpacked.saturating_sub(*packed)),
                Err(error) => {
                    return Err(ArchiveError::BadImage { reason: format!("its layer \"{layer}\": {error}") });
                }
            }
        }
        Ok(Some((image, more)))
    }
}

/// How many bytes come out, or why they do not; none if it is not compressed. The outer error is about the archive itself.
fn unpack(mut source: impl Read, budget: &Budget) -> Result<Option<Result<u64, ArchiveError>>, ArchiveError> {
    let head = take(&mut source, MAGIC)?;
    let Some(compression) = Compression::of(&head) else { return Ok(None) };
    let unpacked = || -> Result<u64, ArchiveError> {
        let mut layer = compression.unpack(head.as_slice().chain(source))?;
        let mut buffer = vec![0; 64 * 1024];
        let mut count = 0_u64;
        loop {
            match layer.read(&mut buffer) {
                Ok(0) => return Ok(count),
                Ok(more) => {
                    budget.spend_nested(more as u64)?;
                    count = count.saturating_add(more as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    };
    match unpacked() {
        Err(error @ ArchiveError::Read(_)) => Err(error),
        result => Ok(Some(result)),
    }
}

/// Where image archives have their files: at the root, in `blobs`, and as `…/layer.tar`. Other files are no part of an image.
fn is_place(path: &str) -> bool {
    let folder = parent(path);
    folder.is_empty()
        || (path.starts_with("blobs/") && parent(folder) == "blobs")
        || path.ends_with("/layer.tar")
}

fn check_places(image: &Image) -> Result<(), ArchiveError> {
    let mut paths = image.layers.iter().chain([&image.config]);
    paths.find(|path| !is_place(path)).map_or(Ok(()), |path| Err(misplaced(path)))
}

fn misplaced(path: &str) -> ArchiveError {
    let path = crate::name::shown(path.as_bytes());
    ArchiveError::BadImage { reason: format!("\"{path}\" is not where `docker save` puts it") }
}

//! Images that come to the simulated engine as bytes. It runs no steps of a build: each is said, one that says `false` fails, and a
//! `HEALTHCHECK` gives the image's containers a check of their own.

use std::{collections::BTreeMap, io::Read, path::Path};

use futures_util::TryStreamExt;

use super::state::Image;
use crate::engine::{BuildOrder, ByteStream, EngineError, ImageFacts};

/// What a test brings at most: an engine in memory holds all of it.
const MAX_BYTES: usize = 64 << 20;

/// All that comes.
pub(super) async fn gathered(mut bytes: ByteStream) -> Result<Vec<u8>, EngineError> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.try_next().await.map_err(failed)? {
        if all.len() + piece.len() > MAX_BYTES {
            return Err(EngineError::Failed(format!("more than {MAX_BYTES} bytes are too many for memory")));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// The name that an image's archive gives it.
pub(super) fn reference(archive: &[u8]) -> Result<String, EngineError> {
    let none = || EngineError::Failed("the archive names no image".to_owned());
    let manifest = file(archive, "manifest.json")?.ok_or_else(none)?;
    let images: serde_json::Value = serde_json::from_slice(&manifest).map_err(failed)?;
    Ok(images[0]["RepoTags"][0].as_str().ok_or_else(none)?.to_owned())
}

/// The image that a build makes.
pub(super) fn built(
    context: &[u8],
    order: &BuildOrder,
    mut output: impl FnMut(&str),
) -> Result<Image, EngineError> {
    let dockerfile = file(context, &order.dockerfile)?;
    let dockerfile = dockerfile
        .ok_or_else(|| EngineError::Failed(format!("the build failed: no {}", order.dockerfile)))?;
    let mut image = Image::default();
    for line in String::from_utf8_lossy(&dockerfile).lines() {
        output(&format!("Step : {line}\n"));
        image.has_check |= line.starts_with("HEALTHCHECK");
        if line.starts_with("RUN") && line.contains("false") {
            return Err(EngineError::Failed(
                "the build failed: the command returned a non-zero code: 1".to_owned(),
            ));
        }
    }
    Ok(image)
}

/// By name, or by the id that lists show.
pub(super) fn facts(images: &BTreeMap<String, Image>, reference: &str) -> Option<ImageFacts> {
    let name = reference.strip_prefix("sim:").unwrap_or(reference);
    let image = images.get(name)?;
    Some(ImageFacts {
        id: format!("sim:{name}"),
        tags: vec![name.to_owned()],
        architecture: String::new(),
        on_build: image.on_build.clone(),
    })
}

fn file(archive: &[u8], wanted: &str) -> Result<Option<Vec<u8>>, EngineError> {
    for entry in tar::Archive::new(archive).entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let is_wanted = entry.path().map_err(failed)?.as_ref() == Path::new(wanted);
        if is_wanted {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(failed)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}

fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Failed(error.to_string())
}

//! Checkpoints as they lie on the disk: a folder each, there whole or not at all. One that is being written is a *draft*, whose
//! name begins with a dot. Blocks; knows neither orders nor the engine.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use ecep_proto::api::{
    checkpoint::CheckpointView,
    name::{CheckpointName, ContainerId, TenantSlug},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    durable,
    engine::docker::mobility::Portrait,
    migration::{flush_disk_of, saving, size_of},
};

const RECORD: &str = "checkpoint.json";
const DRAFT: &str = "draft.json";
const IMAGES: &str = "images";
const UPPER: &str = "upper";

/// What is kept beside the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub view: CheckpointView,
    pub image_id: String,
    /// The volumes' places inside the container, in the order of their numbers.
    pub volumes: Vec<String>,
}

/// What must be known to end a draft that nobody works on any more.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Draft {
    pub engine_id: String,
    pub leave_running: bool,
}

/// Where a tenant's checkpoint is; each part is a checked name, so nothing leads out of the folder.
pub(super) fn place(
    root: &Path,
    tenant: &TenantSlug,
    directory: &str,
    container: &ContainerId,
    name: &CheckpointName,
) -> PathBuf {
    root.join(tenant.as_str()).join(directory).join(container.as_str()).join(name.as_str())
}

/// Begins a draft for a checkpoint at that place.
pub(super) fn begin(place: &Path, draft: &Draft) -> io::Result<PathBuf> {
    let folder = begin_as(place, ".")?;
    durable::write(&folder.join(DRAFT), &serde_json::to_vec(draft)?)?;
    Ok(folder)
}

/// Begins a draft that comes from elsewhere; its name is another one than that of a draft that is made here.
pub(super) fn begin_copy(place: &Path) -> io::Result<PathBuf> {
    begin_as(place, "..")
}

fn begin_as(place: &Path, prefix: &str) -> io::Result<PathBuf> {
    let above = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // No checkpoint's name begins with a dot.
    let draft = above.join(format!("{prefix}{}", name.display()));
    remove(&draft)?;
    fs::DirBuilder::new().mode(0o700).create(&draft)?;
    Ok(draft)
}

/// What has arrived becomes a checkpoint at that place.
pub(super) fn take_over(arrived: &Path, record: &Record, place: &Path) -> io::Result<()> {
    durable::write(&arrived.join(RECORD), &serde_json::to_vec(record)?)?;
    flush_disk_of(arrived)?;
    fs::rename(arrived, place)
}

/// Fills the draft of a frozen container. Only [`seal`] makes it complete, which need not wait for the frozen one.
pub(super) fn fill(portrait: &Portrait, draft: &Path) -> io::Result<()> {
    let pid = portrait.pid.ok_or_else(|| io::Error::other("the container has ended by itself"))?;
    let folders = saving::dump_into(&portrait.engine_id, pid, draft)
        .map_err(|failure| io::Error::other(failure.why))?;
    fs::remove_dir_all(&folders.work)?;
    if let Some(upper) = &portrait.upper {
        copy(upper, &draft.join(UPPER))?;
    }
    for (number, (_, volume)) in portrait.volumes.iter().enumerate() {
        copy(volume, &draft.join(format!("volume-{number}")))?;
    }
    Ok(())
}

/// A draft that is filled becomes complete, and is on the disk.
pub(super) fn seal(draft: &Path, mut record: Record) -> io::Result<()> {
    record.view.bytes = size_of(draft)?;
    flush_disk_of(draft)?;
    durable::write(&draft.join(RECORD), &serde_json::to_vec(&record)?)
}

/// Whether a draft lacks nothing any more.
pub(super) fn is_complete(draft: &Path) -> bool {
    read(draft).is_some()
}

/// A complete draft becomes the checkpoint.
pub(super) fn finish(draft: &Path) -> io::Result<()> {
    let name = draft.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('.'));
    let place = draft.with_file_name(name.ok_or(io::ErrorKind::InvalidInput)?);
    match fs::remove_file(draft.join(DRAFT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::rename(draft, place)
}

/// The container's files are as they were; the checkpoint stays. May be done again after a crash in the middle.
pub(super) fn put_back(place: &Path, portrait: &Portrait) -> io::Result<()> {
    let upper = portrait.upper.iter().map(|upper| (UPPER.to_owned(), upper));
    let volumes =
        portrait.volumes.iter().enumerate().map(|(number, (_, place))| (format!("volume-{number}"), place));
    for (name, target) in upper.chain(volumes) {
        let saved = place.join(name);
        if !saved.is_dir() {
            continue;
        }
        let beside = target.with_extension("ecep-restored");
        remove(&beside)?;
        copy(&saved, &beside)?;
        let old = target.with_extension("ecep-old");
        if target.exists() {
            remove(&old)?;
            fs::rename(target, &old)?;
        }
        fs::rename(&beside, target)?;
        remove(&old)?;
    }
    Ok(())
}

/// CRIU's images of a checkpoint.
pub(super) fn images(place: &Path) -> PathBuf {
    place.join(IMAGES)
}

/// The tenant's checkpoints below these roots.
pub(super) fn list(roots: &[PathBuf], tenant: &TenantSlug) -> io::Result<Vec<CheckpointView>> {
    let mut found = Vec::new();
    for root in roots {
        for directory in folders(&root.join(tenant.as_str()))? {
            for container in folders(&directory)? {
                found.extend(
                    folders(&container)?
                        .iter()
                        .filter(|place| !is_draft(place))
                        .filter_map(|place| Some(read(place)?.view)),
                );
            }
        }
    }
    Ok(found)
}

/// All drafts below these roots, each with its container.
pub(super) fn drafts(roots: &[PathBuf]) -> io::Result<Vec<(TenantSlug, ContainerId, PathBuf)>> {
    let mut found = Vec::new();
    for root in roots {
        for tenant in folders(root)? {
            for directory in folders(&tenant)? {
                for container in folders(&directory)? {
                    let (Some(tenant), Some(id)) = (name_of(&tenant), name_of(&container)) else { continue };
                    let drafts = folders(&container)?.into_iter().filter(|place| is_draft(place));
                    found.extend(
                        drafts.map(|draft| (TenantSlug::clone(&tenant), ContainerId::clone(&id), draft)),
                    );
                }
            }
        }
    }
    Ok(found)
}

/// A checkpoint's record; none where there is no whole checkpoint.
pub(super) fn read(place: &Path) -> Option<Record> {
    read_json(&place.join(RECORD))
}

/// A draft's own record; none of one that comes from elsewhere.
pub(super) fn read_draft(draft: &Path) -> Option<Draft> {
    read_json(&draft.join(DRAFT))
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn is_draft(place: &Path) -> bool {
    place.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn name_of<T: std::str::FromStr>(folder: &Path) -> Option<T> {
    folder.file_name()?.to_str()?.parse().ok()
}

fn folders(below: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(below) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// With owners, modes, times, extended attributes, links and devices.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let output =
        Command::new("cp").arg("--archive").arg("--no-target-directory").args([from, to]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().next().unwrap_or("cp failed").to_owned();
    Err(io::Error::other(format!("cannot copy {} to {}: {reason}", from.display(), to.display())))
}

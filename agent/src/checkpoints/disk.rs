//! Checkpoints as they lie on the disk: a folder each, there whole or not at all. One that is being written is a *draft*, whose
//! name begins with a dot. Blocks; knows neither orders nor the engine.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use ecep_precopy::copy::copy;
use ecep_proto::api::{
    checkpoint::CheckpointView,
    name::{CheckpointName, ContainerId, TenantSlug},
};
use ecep_runtime::{dump::RestoredBy, register::RUNTIME_NAME};
use serde::{Deserialize, Serialize};

use crate::{
    durable,
    engine::docker::mobility::Portrait,
    migration::{flush_disk_of, saving, size_of},
};

const RECORD: &str = "checkpoint.json";
/// How the names of what comes from elsewhere, or is being deleted, begin.
const TRANSIENT: &str = "..";
const IMAGES: &str = "images";
const UPPER: &str = "upper";

/// What is kept beside the bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub view: CheckpointView,
    pub image_id: String,
    /// The OCI runtime of the container, as its engine names it. None in those of before there was this field, which our runtime
    /// cannot restore any more.
    #[serde(default)]
    pub runtime: String,
    /// What the container might do beyond an ordinary one: see `policy::rights`. Nothing in those of before there was this field.
    #[serde(default)]
    pub rights: BTreeSet<String>,
    /// The volumes' places inside the container, in the order of their numbers.
    pub volumes: Vec<String>,
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

/// Where the draft of a checkpoint at that place is made; no checkpoint's name begins with a dot.
pub(super) fn draft_of(place: &Path) -> io::Result<PathBuf> {
    beside(place, ".")
}

/// Begins an empty draft.
pub(super) fn begin(draft: &Path) -> io::Result<()> {
    let above = draft.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    remove(draft)?;
    fs::DirBuilder::new().mode(0o700).create(draft)
}

/// Begins a draft that comes from elsewhere; its name is another one than that of a draft that is made here.
pub(super) fn begin_copy(place: &Path) -> io::Result<PathBuf> {
    let draft = beside(place, TRANSIENT)?;
    begin(&draft)?;
    Ok(draft)
}

/// Deletes a checkpoint: at once it is none any more, then its files go.
pub(super) fn delete(place: &Path) -> io::Result<()> {
    let going = beside(place, TRANSIENT)?;
    remove(&going)?;
    fs::rename(place, &going)?;
    remove(&going)
}

/// Removes what an agent that was killed left of copies that came and of checkpoints that were being deleted.
pub(super) fn sweep(root: &Path) -> io::Result<()> {
    for tenant in folders(root)? {
        for directory in folders(&tenant)? {
            for container in folders(&directory)? {
                for left in folders(&container)?.iter().filter(|left| is_transient(left)) {
                    remove(left)?;
                }
            }
        }
    }
    Ok(())
}

fn beside(place: &Path, prefix: &str) -> io::Result<PathBuf> {
    let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(place.with_file_name(format!("{prefix}{}", name.display())))
}

/// What has arrived becomes a checkpoint at that place.
pub(super) fn take_over(arrived: &Path, record: &Record, place: &Path) -> io::Result<()> {
    durable::write(&arrived.join(RECORD), &serde_json::to_vec(record)?)?;
    flush_disk_of(arrived)?;
    fs::rename(arrived, place)?;
    sync_folder_of(place)
}

/// Who restores the containers of an OCI runtime. What was saved for the one cannot be restored by the other.
pub(super) fn restored_by(runtime: &str) -> RestoredBy {
    if runtime == RUNTIME_NAME { RestoredBy::Us } else { RestoredBy::Engine }
}

/// Fills the draft of a frozen container. Only [`seal`] makes it complete, which need not wait for the frozen one.
pub(super) fn fill(portrait: &Portrait, draft: &Path) -> io::Result<()> {
    let pid = portrait.pid.ok_or_else(|| io::Error::other("the container has ended by itself"))?;
    let restored_by = restored_by(&portrait.runtime);
    let folders = saving::dump_into(&portrait.engine_id, pid, draft, false, restored_by)
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

/// A complete draft becomes the checkpoint, unless there is one of that name meanwhile.
pub(super) fn finish(draft: &Path) -> io::Result<()> {
    let name = draft.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('.'));
    let place = draft.with_file_name(name.ok_or(io::ErrorKind::InvalidInput)?);
    if place.exists() {
        remove(draft)?;
        return Err(io::Error::other("a checkpoint of that name came meanwhile; choose another one"));
    }
    fs::rename(draft, &place)?;
    sync_folder_of(&place)
}

/// The container's files are as they were; the checkpoint stays. They change only when all of them are there, and it may be done
/// again after a crash in the middle.
pub(super) fn put_back(place: &Path, portrait: &Portrait) -> io::Result<()> {
    let upper = portrait.upper.iter().map(|upper| (UPPER.to_owned(), upper));
    let volumes =
        portrait.volumes.iter().enumerate().map(|(number, (_, place))| (format!("volume-{number}"), place));
    let targets: Vec<_> = upper.chain(volumes).collect();
    let beside = |target: &Path| target.with_extension("ecep-restored");
    let old = |target: &Path| target.with_extension("ecep-old");
    let copied =
        targets.iter().filter(|(name, _)| place.join(name).is_dir()).try_for_each(|(name, target)| {
            remove(&beside(target))?;
            copy(&place.join(name), &beside(target))
        });
    if let Err(error) = copied {
        for (_, target) in &targets {
            remove(&beside(target))?;
            // Of an attempt before this one.
            if !target.exists() && old(target).exists() {
                fs::rename(old(target), target)?;
            }
        }
        return Err(error);
    }
    for (_, target) in targets.iter().filter(|(_, target)| beside(target).exists()) {
        if target.exists() {
            remove(&old(target))?;
            fs::rename(target, old(target))?;
        }
        fs::rename(beside(target), target)?;
    }
    for (_, target) in &targets {
        remove(&old(target))?;
    }
    targets.first().map_or(Ok(()), |(_, target)| flush_disk_of(target))
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

/// A checkpoint's record; none where there is no whole checkpoint.
pub(super) fn read(place: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(place.join(RECORD)).ok()?).ok()
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_draft(place: &Path) -> bool {
    place.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_transient(place: &Path) -> bool {
    place.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TRANSIENT.as_bytes()))
}

/// A new name in a folder is on the disk only with the folder.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
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

//! Checkpoints on this device's disk: orders to save a container, to bring it back, to delete what was saved. A checkpoint
//! is a folder that is there whole or not at all; it holds memory and processes, the writable layer and the volumes.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use ecep_proto::api::{
    checkpoint::{
        CheckpointContainer, CheckpointList, CheckpointQuery, CheckpointView, DeleteCheckpoint,
        RestoreContainer,
    },
    error::{ApiError, ErrorKind},
    name::{CheckpointName, ContainerId, TenantSlug},
};
use ecep_runtime::order::{Connections, Order, Then};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::{
    clock,
    engine::{
        Engine, EngineContainer, EngineError,
        docker::mobility::{Mobility, Portrait},
    },
    migration::{saving, size_of},
    operations::What,
    orders::{Accepted, Orders},
    reporter::Reporter,
    restoring,
};

/// The folder of checkpoints, in the agent's data folder.
const FOLDER: &str = "checkpoints";
/// The folder of checkpoints that were put into none.
const COMMON: &str = "common";
const RECORD: &str = "checkpoint.json";

/// What is kept beside the bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    view: CheckpointView,
    image_id: String,
    /// The volumes' places inside the container, in the order of their numbers.
    volumes: Vec<String>,
}

impl<E: Engine> Orders<E> {
    /// Saves a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn checkpoint(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: CheckpointContainer,
    ) -> Result<Accepted, ApiError> {
        let what = What::new("container.checkpoint", &order);
        let (operation, container) = (order.operation.clone(), order.container.clone());
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name);
        let tenant_of = tenant.clone();
        self.with_container(tenant, operation, what, container, move |engine, found, report| {
            Box::pin(async move { save(&*engine, &tenant_of, &found, &place, &order, &report).await })
        })
    }

    /// Brings a container back as it was saved.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn restore(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: RestoreContainer,
    ) -> Result<Accepted, ApiError> {
        let what = What::new("container.restore", &order);
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name);
        let target = order.into.clone().unwrap_or_else(|| order.container.clone());
        let tenant_of = tenant.clone();
        self.with_container(tenant, order.operation, what, target, move |engine, found, report| {
            Box::pin(async move { bring_back(&*engine, &tenant_of, &found, &place, &report).await })
        })
    }

    /// Deletes a checkpoint.
    ///
    /// # Errors
    /// `NotFound`, or the disk refuses.
    pub async fn delete_checkpoint(
        &self,
        tenant: &TenantSlug,
        order: DeleteCheckpoint,
    ) -> Result<(), ApiError> {
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name);
        read(&place)?;
        blocking(move || fs::remove_dir_all(&place)).await
    }

    /// The tenant's checkpoints, the newest first.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn checkpoints(
        &self,
        tenant: &TenantSlug,
        query: CheckpointQuery,
    ) -> Result<CheckpointList, ApiError> {
        let below = self.policy_folder.join(FOLDER).join(tenant.as_str());
        let mut checkpoints = blocking(move || list(&below)).await?;
        checkpoints
            .retain(|view| query.container.as_ref().is_none_or(|container| view.container == *container));
        checkpoints.sort_by_key(|view| std::cmp::Reverse(view.created_at));
        Ok(CheckpointList { checkpoints })
    }

    /// Every part is a checked name, so nothing leads out of the folder.
    fn place(
        &self,
        tenant: &TenantSlug,
        directory: Option<&CheckpointName>,
        container: &ContainerId,
        name: &CheckpointName,
    ) -> PathBuf {
        let directory = directory.map_or(COMMON, CheckpointName::as_str);
        let below = self.policy_folder.join(FOLDER).join(tenant.as_str());
        below.join(directory).join(container.as_str()).join(name.as_str())
    }
}

async fn save<E: Engine>(
    engine: &E,
    tenant: &TenantSlug,
    found: &EngineContainer,
    place: &Path,
    order: &CheckpointContainer,
    report: &Reporter,
) -> Result<(), ApiError> {
    let mobility = mobility(engine)?;
    let id = &found.view().id;
    if place.exists() {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!(
                "container {} has a checkpoint {} already; delete it, or choose another name",
                found.view().name,
                order.name
            ),
        ));
    }
    let portrait =
        mobility.portrait(tenant, &found.detail.engine_id, false).await.map_err(EngineError::into_api)?;
    if portrait.pid.is_none() || portrait.is_paused {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!(
                "container {} does not run, so there is nothing to save; start it first",
                found.view().name
            ),
        ));
    }
    report.phase("freezing", Some(id), None);
    mobility.pause(&portrait.engine_id).await.map_err(EngineError::into_api)?;
    report.phase("saving", Some(id), None);
    let record = Record {
        view: CheckpointView {
            container: order.container.clone(),
            name: order.name.clone(),
            directory: order.directory.clone(),
            image: found.view().image.clone(),
            bytes: 0,
            created_at: clock::now_ms(),
        },
        image_id: portrait.image_id.clone(),
        volumes: targets(found),
    };
    let (of, into) = (portrait.clone(), place.to_owned());
    let saved = blocking(move || write(&of, &into, record)).await;
    if saved.is_ok() && !order.leave_running {
        // The signal waits for the thaw, so that nothing runs on in between.
        mobility.kill(&portrait.engine_id).await.map_err(EngineError::into_api)?;
    } else {
        mobility.unpause(&portrait.engine_id).await.map_err(EngineError::into_api)?;
    }
    saved
}

async fn bring_back<E: Engine>(
    engine: &E,
    tenant: &TenantSlug,
    found: &EngineContainer,
    place: &Path,
    report: &Reporter,
) -> Result<(), ApiError> {
    let mobility = mobility(engine)?;
    let record = read(place)?;
    let engine_id = found.detail.engine_id.clone();
    let portrait = mobility.portrait(tenant, &engine_id, false).await.map_err(EngineError::into_api)?;
    let name = &found.view().name;
    if portrait.is_running {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!("container {name} runs; stop it first, what it has in memory would be lost"),
        ));
    }
    if portrait.image_id != record.image_id || targets(found) != record.volumes {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!("container {name} has another image or other volumes than the one that was saved"),
        ));
    }
    report.phase("restoring", Some(&found.view().id), None);
    let (from, into) = (place.to_owned(), portrait.clone());
    blocking(move || put_back(&from, &into)).await?;
    let order = Order {
        images: place.join("images"),
        isolated: false,
        then: Then::Run,
        connections: Connections::Close,
        addresses: found.view().address.into_iter().collect(),
    };
    let failed = |why: String| ApiError::new(ErrorKind::Engine, why);
    let restored = restoring::restore(engine, &engine_id, &order).await;
    restoring::clear(&engine_id).map_err(failed)?;
    if restored.is_err() {
        // Should it have come up afresh: better stopped than without its state.
        engine.stop(&engine_id, 0).await.map_err(EngineError::into_api)?;
    }
    restored.map(drop).map_err(failed)
}

fn mobility<E: Engine>(engine: &E) -> Result<Mobility, ApiError> {
    engine
        .mobility()
        .ok_or_else(|| ApiError::new(ErrorKind::Unavailable, "this device's engine makes no checkpoints"))
}

fn targets(found: &EngineContainer) -> Vec<String> {
    found.detail.volumes.iter().map(|mount| mount.target.clone()).collect()
}

/// Writes a paused container's checkpoint; nothing is left of one that fails.
fn write(portrait: &Portrait, place: &Path, mut record: Record) -> io::Result<()> {
    let above = place.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    // No checkpoint's name begins with a dot.
    let draft = above.join(format!(".{}", record.view.name));
    remove(&draft)?;
    fs::DirBuilder::new().mode(0o700).create(&draft)?;
    let written = fill(portrait, &draft, &mut record).and_then(|()| fs::rename(&draft, place));
    if written.is_err() {
        remove(&draft)?;
    }
    written
}

fn fill(portrait: &Portrait, draft: &Path, record: &mut Record) -> io::Result<()> {
    let pid = portrait.pid.ok_or_else(|| io::Error::other("the container has ended by itself"))?;
    let folders = saving::dump_into(&portrait.engine_id, pid, draft)
        .map_err(|failure| io::Error::other(failure.why))?;
    fs::remove_dir_all(&folders.work)?;
    if let Some(upper) = &portrait.upper {
        copy(upper, &draft.join("upper"))?;
    }
    for (number, (_, volume)) in portrait.volumes.iter().enumerate() {
        copy(volume, &draft.join(format!("volume-{number}")))?;
    }
    record.view.bytes = size_of(draft)?;
    fs::write(draft.join(RECORD), serde_json::to_vec(record)?)
}

/// The container's files are as they were; the checkpoint stays.
fn put_back(place: &Path, portrait: &Portrait) -> io::Result<()> {
    let upper = portrait.upper.iter().map(|upper| ("upper".to_owned(), upper));
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
        remove(&old)?;
        fs::rename(target, &old)?;
        fs::rename(&beside, target)?;
        remove(&old)?;
    }
    Ok(())
}

fn list(below: &Path) -> io::Result<Vec<CheckpointView>> {
    let mut found = Vec::new();
    for directory in folders(below)? {
        for container in folders(&directory)? {
            for checkpoint in folders(&container)? {
                if let Ok(record) = read(&checkpoint) {
                    found.push(record.view);
                }
            }
        }
    }
    Ok(found)
}

fn folders(below: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(below) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read(place: &Path) -> Result<Record, ApiError> {
    let not_found = || {
        ApiError::new(
            ErrorKind::NotFound,
            "there is no such checkpoint; list the checkpoints for their names",
        )
    };
    let text = fs::read(place.join(RECORD)).map_err(|_| not_found())?;
    serde_json::from_slice(&text).map_err(|_| not_found())
}

/// With owners, modes, times, extended attributes, links and devices.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let status =
        Command::new("cp").arg("--archive").arg("--no-target-directory").args([from, to]).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("cannot copy {} to {}; is the disk full?", from.display(), to.display())))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    outcome.map_err(|error| ApiError::new(ErrorKind::Engine, format!("the checkpoint: {error}")))
}

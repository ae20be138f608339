//! Brings a container back as it was saved. A mark on the disk tells an agent that starts again which one was at it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{ContainerId, TenantSlug},
};
use ecep_runtime::{
    order::{Connections, Order, Then},
    register::RUNTIME_NAME,
};
use serde::{Deserialize, Serialize};

use super::{blocking, disk, mobility, not_found, targets};
use crate::{
    durable,
    engine::{Engine, EngineContainer, EngineError},
    reporter::Reporter,
    restoring,
};

/// The folder of marks, in the agent's data folder.
const FOLDER: &str = "restoring";

/// A container that is being brought back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub tenant: TenantSlug,
    pub container: ContainerId,
    pub engine_id: String,
    pub place: PathBuf,
}

impl Mark {
    /// Answers the file, which is on the disk.
    fn write(&self, data: &Path) -> io::Result<PathBuf> {
        let folder = data.join(FOLDER);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = folder.join(format!("{}.json", self.container));
        durable::write(&path, &serde_json::to_vec(self)?)?;
        Ok(path)
    }

    /// Those of an agent that was killed, each with its file.
    pub(super) fn read_all(data: &Path) -> io::Result<Vec<(PathBuf, Self)>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(data.join(FOLDER)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(mark) => found.push((path, mark)),
                // It never got whole onto the disk, so nothing was done.
                Err(_) => fs::remove_file(path)?,
            }
        }
        Ok(found)
    }
}

pub(super) async fn restore<E: Engine>(
    engine: &E,
    tenant: &TenantSlug,
    found: &EngineContainer,
    (place, data): (&Path, &Path),
    report: &Reporter,
) -> Result<(), ApiError> {
    let mobility = mobility(engine)?;
    let record = disk::read(place).ok_or_else(not_found)?;
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
    let mark = Mark {
        tenant: tenant.clone(),
        container: found.view().id.clone(),
        engine_id: engine_id.clone(),
        place: place.to_owned(),
    };
    let marked = mark.write(data).map_err(io_error)?;
    let (from, into) = (place.to_owned(), portrait.clone());
    let put = blocking(move || disk::put_back(&from, &into)).await;
    if put.is_err() {
        fs::remove_file(&marked).map_err(io_error)?;
    }
    put?;
    let order = Order {
        images: disk::images(place),
        isolated: false,
        then: Then::Run,
        connections: Connections::Close,
        addresses: found.view().address.into_iter().collect(),
    };
    let failed = |why: String| ApiError::new(ErrorKind::Engine, why);
    let restored = if portrait.runtime == RUNTIME_NAME {
        restoring::restore(engine, &engine_id, &order).await.map(drop)
    } else {
        restoring::restore_by_engine(&mobility, tenant, &engine_id, &order.images).await
    };
    restoring::clear(&engine_id).map_err(failed)?;
    if restored.is_err() {
        // Should it have come up afresh: better stopped than without its state.
        engine.stop(&engine_id, 0).await.map_err(EngineError::into_api)?;
    }
    fs::remove_file(&marked).map_err(io_error)?;
    restored.map_err(failed)
}

fn io_error(error: io::Error) -> ApiError {
    ApiError::new(ErrorKind::Engine, format!("the checkpoint: {error}"))
}

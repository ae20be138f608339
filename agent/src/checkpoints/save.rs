//! Saves a container: frozen, dumped, copied, and let go or ended. What an agent that is killed meanwhile leaves is ended by
//! `recovery`.

use std::{io, path::Path, time::Duration};

use ecep_proto::api::{
    checkpoint::{CheckpointContainer, CheckpointView},
    error::{ApiError, ErrorKind},
    name::TenantSlug,
};
use ecep_runtime::freezer;

use super::{
    blocking,
    disk::{self, Record},
    failed, mobility,
    note::{Note, Process, Work},
    targets,
};
use crate::{
    clock,
    engine::{Engine, EngineContainer, EngineError, docker::mobility::Mobility},
    migration::saving,
    policy,
    reporter::Reporter,
};

/// Longest wait for the engine's signal to a container that ends with its checkpoint.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Saves it. Where this fails, a note may be left, which says what is to be settled.
pub(super) async fn save<E: Engine>(
    engine: &E,
    tenant: &TenantSlug,
    found: &EngineContainer,
    (place, data): (&Path, &Path),
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
    let process = portrait.pid.filter(|_| !portrait.is_paused).and_then(Process::of);
    let Some(process) = process else {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!(
                "container {} does not run, so there is nothing to save; start it first",
                found.view().name
            ),
        ));
    };
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
        runtime: portrait.runtime.clone(),
        rights: policy::rights(tenant, &portrait.body),
        volumes: targets(found),
    };
    let draft = disk::draft_of(place).map_err(|error| failed(&error))?;
    let note = Note {
        tenant: tenant.clone(),
        container: id.clone(),
        engine_id: portrait.engine_id.clone(),
        work: Work::Saving { draft: draft.clone(), leave_running: order.leave_running, process },
    };
    note.write(data).map_err(|error| failed(&error))?;
    let folder = draft.clone();
    blocking(move || disk::begin(&folder)).await?;
    report.phase("freezing", Some(id), None);
    saving::freeze(process.pid).await.map_err(|why| ApiError::new(ErrorKind::Engine, why))?;
    report.phase("saving", Some(id), None);
    let (of, into) = (portrait.clone(), draft.clone());
    blocking(move || disk::fill(&of, &into)).await?;
    if order.leave_running {
        blocking(move || freezer::thaw(process.pid).map_err(io::Error::other)).await?;
    }
    let folder = draft.clone();
    blocking(move || disk::seal(&folder, record)).await?;
    if !order.leave_running {
        end(&mobility, &portrait.engine_id, process.pid).await?;
    }
    blocking(move || disk::finish(&draft)).await?;
    Note::remove(data, id).map_err(|error| failed(&error))
}

/// Ends a frozen container: the signal comes before the thaw, so that nothing runs on in between. The engine sends it, or its
/// restart policy would start the container again.
pub(super) async fn end(mobility: &Mobility, engine_id: &str, pid: i32) -> Result<(), ApiError> {
    let thaw = move || freezer::thaw_once_killed(pid, KILL_LIMIT).map_err(io::Error::other);
    let (killed, thawed) = tokio::join!(mobility.kill(engine_id), blocking(thaw));
    killed.map_err(EngineError::into_api)?;
    thawed
}

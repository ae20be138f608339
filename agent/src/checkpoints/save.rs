//! Saves a container: frozen, dumped, copied, and let go or ended. What an agent that is killed meanwhile leaves is ended by
//! `recovery`.

use std::{io, path::Path, time::Duration};

use ecep_proto::api::{
    checkpoint::{CheckpointContainer, CheckpointView},
    error::{ApiError, ErrorKind},
    name::{ContainerId, TenantSlug},
};
use ecep_runtime::freezer;

use super::{
    blocking,
    disk::{self, Draft, Record},
    mobility, targets,
};
use crate::{
    clock,
    engine::{
        Engine, EngineContainer, EngineError,
        docker::mobility::{Mobility, Portrait},
    },
    migration::saving,
    reporter::Reporter,
};

/// Longest wait for the engine's signal to a container that ends with its checkpoint.
const KILL_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn save<E: Engine>(
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
    // From here on a restarted agent ends what this one began.
    let draft = Draft { engine_id: portrait.engine_id.clone(), leave_running: order.leave_running };
    let at = place.to_owned();
    let folder = blocking(move || disk::begin(&at, &draft)).await?;
    report.phase("freezing", Some(id), None);
    let saved = freeze_and_fill(&portrait, &folder, report, id).await;
    let saved = match (saved, order.leave_running) {
        (Err(error), _) => thaw(&portrait).await.and(Err(error)),
        (Ok(()), true) => match thaw(&portrait).await {
            Ok(()) => seal(&folder, record).await,
            failed => failed,
        },
        (Ok(()), false) => match seal(&folder, record).await {
            Ok(()) => end(&mobility, &portrait).await,
            Err(error) => thaw(&portrait).await.and(Err(error)),
        },
    };
    match saved {
        Ok(()) => blocking(move || disk::finish(&folder)).await,
        Err(error) => {
            blocking(move || disk::remove(&folder)).await?;
            Err(error)
        }
    }
}

async fn freeze_and_fill(
    portrait: &Portrait,
    draft: &Path,
    report: &Reporter,
    id: &ContainerId,
) -> Result<(), ApiError> {
    let pid = portrait.pid.unwrap_or_default();
    saving::freeze(pid).await.map_err(|why| ApiError::new(ErrorKind::Engine, why))?;
    report.phase("saving", Some(id), None);
    let (of, into) = (portrait.clone(), draft.to_owned());
    blocking(move || disk::fill(&of, &into)).await
}

async fn seal(draft: &Path, record: Record) -> Result<(), ApiError> {
    let draft = draft.to_owned();
    blocking(move || disk::seal(&draft, record)).await
}

pub(super) async fn thaw(portrait: &Portrait) -> Result<(), ApiError> {
    let Some(pid) = portrait.pid else { return Ok(()) };
    blocking(move || freezer::thaw(pid).map_err(io::Error::other)).await
}

/// Ends a frozen container: the signal comes before the thaw, so that nothing runs on in between. The engine sends it, or its
/// restart policy would start the container again.
pub(super) async fn end(mobility: &Mobility, portrait: &Portrait) -> Result<(), ApiError> {
    let Some(pid) = portrait.pid else { return Ok(()) };
    let thaw = move || freezer::thaw_once_killed(pid, KILL_LIMIT).map_err(io::Error::other);
    let (killed, thawed) = tokio::join!(mobility.kill(&portrait.engine_id), blocking(thaw));
    killed.map_err(EngineError::into_api)?;
    thawed
}

//! Starts a container of an engine from CRIU's images, by an order for the runtime, and proves that it was restored and not
//! started afresh. The order stays, so that nothing starts it afresh meanwhile; whoever ordered it clears it.

use std::path::Path;

use ecep_proto::api::name::TenantSlug;
use ecep_runtime::{
    order::{Order, Orders, Outcome, Progress},
    proof,
};

use crate::engine::{Engine, EngineError, docker::mobility::Mobility};

/// Restores it; answers its first process.
///
/// # Errors
/// Why there is no restored container, as a sentence. It may run all the same, afresh: the caller ends or removes it.
pub(crate) async fn restore<E: Engine>(engine: &E, engine_id: &str, order: &Order) -> Result<i32, String> {
    let orders = Orders::from_environment();
    orders.clear(engine_id).map_err(|error| error.to_string())?;
    orders.lay(engine_id, order).map_err(|error| error.to_string())?;
    let started = engine.start(engine_id).await.map_err(EngineError::into_api);
    match orders.progress(engine_id).map_err(|error| error.to_string())? {
        Some(Progress::Finished(Outcome::Restored { pid, .. })) => {
            started.map_err(|error| error.message)?;
            Ok(pid)
        }
        Some(Progress::Finished(Outcome::Failed { reason, log })) => {
            tracing::warn!(engine_id, %reason, %log, "a restore failed");
            Err(reason)
        }
        Some(Progress::Waiting | Progress::Claimed) | None => {
            started.map_err(|error| error.message)?;
            Err("the engine did not ask the runtime to restore the container; was it created before `ecep-agent setup`?"
                .to_owned())
        }
    }
}

/// Restores it by the engine's own means, where our runtime is not the container's.
///
/// # Errors
/// As [`restore`].
pub(crate) async fn restore_by_engine(
    mobility: &Mobility,
    tenant: &TenantSlug,
    engine_id: &str,
    images: &Path,
) -> Result<(), String> {
    let say = |error: EngineError| error.into_api().message;
    mobility.start_from(engine_id, images).await.map_err(say)?;
    let portrait = mobility.portrait(tenant, engine_id, false).await.map_err(say)?;
    let pid = portrait.pid.ok_or("the engine restored the container, but it has ended since")?;
    if proof::is_restored(images, pid) == Some(true) {
        return Ok(());
    }
    Err("the engine started the container afresh instead of restoring it; create it where `ecep-agent setup` was run"
        .to_owned())
}

/// Forgets the order: the engine may start the container afresh again.
///
/// # Errors
/// The disk refuses.
pub(crate) fn clear(engine_id: &str) -> Result<(), String> {
    Orders::from_environment().clear(engine_id).map_err(|error| error.to_string())
}

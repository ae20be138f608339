//! Starts a container of an engine from CRIU's images, by an order for the runtime, and proves that it was restored and not
//! started afresh. The order stays, so that nothing starts it afresh meanwhile; whoever ordered it clears it.

use ecep_runtime::order::{Order, Orders, Outcome, Progress};

use crate::engine::{Engine, EngineError};

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

/// Forgets the order: the engine may start the container afresh again.
///
/// # Errors
/// The disk refuses.
pub(crate) fn clear(engine_id: &str) -> Result<(), String> {
    Orders::from_environment().clear(engine_id).map_err(|error| error.to_string())
}

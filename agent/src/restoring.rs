//! Starts a container of an engine from CRIU's images, by an order for the runtime, and proves that it was restored and not
//! started afresh. The order stays, so that nothing starts it afresh meanwhile; whoever ordered it clears it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ecep_proto::api::name::TenantSlug;
use ecep_runtime::{
    order::{Order, Orders, Outcome, Progress},
    proof,
};
use tokio::{task::JoinHandle, time::sleep};

use crate::engine::{EngineError, docker::mobility::Mobility};

const NOT_ASKED: &str =
    "the engine did not ask the runtime to restore the container; was it created before `ecep-agent setup`?";
/// Between two looks at whether the engine is at it. Nobody waits for it but the move.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// An engine that starts many containers at once needs seconds.
const AHEAD_WITHIN: Duration = Duration::from_secs(60);

/// A start of the engine's whose restore has been ordered.
pub(crate) struct Starting {
    engine_id: String,
    started: JoinHandle<Result<(), EngineError>>,
}

/// Has the engine do all that can be done before the images are complete: it starts the container, and the runtime waits. The
/// engine tells nothing of the container until that is over ([`Mobility::hold`]).
///
/// # Errors
/// Why it is not at it, as a sentence; the caller removes the container.
pub(crate) async fn start_ahead(
    mobility: &Mobility,
    engine_id: &str,
    order: Order,
) -> Result<Starting, String> {
    let starting = begin(mobility, engine_id, Order { waits: true, ..order })?;
    let orders = Orders::from_environment();
    let since = Instant::now();
    loop {
        match orders.progress(engine_id).map_err(|error| error.to_string())? {
            Some(Progress::Claimed) if orders.is_ready(engine_id).map_err(|error| error.to_string())? => {
                tracing::info!(
                    engine_id,
                    milliseconds = since.elapsed().as_millis(),
                    "the engine waits in its start"
                );
                return Ok(starting);
            }
            Some(Progress::Waiting | Progress::Claimed)
                if !starting.started.is_finished() && since.elapsed() < AHEAD_WITHIN =>
            {
                sleep(LOOK_EVERY).await;
            }
            // It has ended, or is ended by this.
            _ => {
                call_off(engine_id)?;
                return Err(starting.finish().await.err().unwrap_or_else(|| NOT_ASKED.to_owned()));
            }
        }
    }
}

/// Restores it; answers its first process.
///
/// # Errors
/// Why there is no restored container, as a sentence. It may run all the same, afresh: the caller ends or removes it.
pub(crate) async fn restore(mobility: &Mobility, engine_id: &str, order: Order) -> Result<i32, String> {
    begin(mobility, engine_id, order)?.finish().await
}

fn begin(mobility: &Mobility, engine_id: &str, order: Order) -> Result<Starting, String> {
    let orders = Orders::from_environment();
    orders.clear(engine_id).map_err(|error| error.to_string())?;
    orders.lay(engine_id, &order).map_err(|error| error.to_string())?;
    let (mobility, id) = (mobility.clone(), engine_id.to_owned());
    let started = tokio::spawn(async move { mobility.start(&id).await });
    Ok(Starting { engine_id: engine_id.to_owned(), started })
}

impl Starting {
    /// Watches the engine's start while the images are not complete: it should not end before they are. Answers why it did.
    pub(crate) async fn ended_early(&mut self) -> String {
        let ended = self.end().await;
        ended
            .err()
            .unwrap_or_else(|| "the engine started the container before its memory was there".to_owned())
    }

    /// The images are complete. Waits for the end of the engine's start: an engine that is killed before that does not know the
    /// container as running when it is back, and cannot start it once more.
    ///
    /// # Errors
    /// As [`restore`].
    pub(crate) async fn go(self) -> Result<i32, String> {
        Orders::from_environment().go(&self.engine_id).map_err(|error| error.to_string())?;
        self.finish().await
    }

    /// Waits for the end of the engine's start. Answers the container's first process.
    ///
    /// # Errors
    /// As [`restore`].
    async fn finish(mut self) -> Result<i32, String> {
        self.end().await
    }

    async fn end(&mut self) -> Result<i32, String> {
        let started = (&mut self.started).await.map_err(|error| error.to_string())?;
        let started = started.map_err(|error| error.into_api().message);
        let progress = Orders::from_environment().progress(&self.engine_id);
        match progress.map_err(|error| error.to_string())? {
            Some(Progress::Finished(outcome)) => {
                let pid = self.told(outcome)?;
                started.map(|()| pid)
            }
            Some(Progress::Waiting | Progress::Claimed) | None => {
                started?;
                Err(NOT_ASKED.to_owned())
            }
        }
    }

    /// How the runtime says it ended.
    fn told(&self, outcome: Outcome) -> Result<i32, String> {
        match outcome {
            Outcome::Restored { pid, milliseconds } => {
                tracing::debug!(engine_id = %self.engine_id, milliseconds, "restored by the runtime");
                Ok(pid)
            }
            Outcome::Failed { reason, log } => {
                tracing::warn!(engine_id = %self.engine_id, %reason, %log, "a restore failed");
                Err(reason)
            }
        }
    }
}

/// A runtime that waits gives up, and the engine's start fails.
///
/// # Errors
/// The disk refuses.
pub(crate) fn call_off(engine_id: &str) -> Result<(), String> {
    Orders::from_environment().call_off(engine_id).map_err(|error| error.to_string())
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

//! Containers that ran once and have ended: what they left is brought to the cloud, then they are deleted. The engine's containers are the
//! truth: an agent that starts finds those that its predecessor did not bring to their end. What is next is `run`'s to say.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ecep_proto::{
    api::{
        application::EndRun,
        container::ContainerState,
        file::{FileId, MAX_STORED_BYTES, StoreFile, StoredKind},
    },
    backoff::Backoff,
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::{interval, sleep};

use super::{
    Applications,
    cloud::{Cloud, CloudError},
    run::{Left, Run, Step},
};
use crate::{
    engine::{Archive, Engine, EngineContainer, EngineError, OutputWish},
    fetching::{Spool, take_all, unless_silent},
    lines::Text,
};

/// Where a run leaves its results.
const RESULTS: &str = "/results";
/// After the first failure, and at most, between attempts: the container waits, for days if need be.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// What is missed otherwise is found after this long.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl<E: Engine, C: Cloud> Applications<E, C> {
    /// Brings to its end whatever ran once and has ended, for ever.
    pub async fn keep_runs(self: &Arc<Self>) {
        let inventory = &self.orders.inventory;
        let (mut changes, mut followed) = (inventory.changes(), inventory.followed());
        let mut ticks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                Ok(()) = changes.changed() => {}
                Ok(()) = followed.changed() => {}
                _ = ticks.tick() => {}
            }
            for container in inventory.containers().into_iter().filter(has_ended) {
                self.begin_end(container);
            }
        }
    }

    fn begin_end(self: &Arc<Self>, container: EngineContainer) {
        let engine_id = container.detail.engine_id.clone();
        if !self.ending.lock().unwrap_or_else(PoisonError::into_inner).insert(engine_id.clone()) {
            return;
        }
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.end(container).await;
            this.ending.lock().unwrap_or_else(PoisonError::into_inner).remove(&engine_id);
        });
    }

    /// Until it is deleted, or somebody else has done something with it.
    async fn end(&self, mut container: EngineContainer) {
        let (mut run, mut backoff) = (Run::default(), Backoff::new(FIRST_WAIT, LONGEST_WAIT));
        let id = container.view().id.clone();
        tracing::info!(container = %id, exit_code = container.view().exit_code, "a run has ended");
        loop {
            match self.orders.engine.inspect(&container.detail.engine_id).await {
                Ok(now) if has_ended(&now) => container = now,
                Ok(_) | Err(EngineError::NotFound(_)) => return,
                Err(error) => {
                    tracing::debug!(container = %id, %error, "a run's end waits for the engine");
                    sleep(backoff.next(rand::random())).await;
                    continue;
                }
            }
            if self.orders.moving.refuse_if_moving(&id).is_err() {
                return;
            }
            let done = match run.next() {
                Step::Log => self.log(&container).await.map(|left| run.log = Some(left)),
                Step::Results => self.results(&container).await.map(|left| run.results = Some(left)),
                Step::Tell => self.tell(&container, &run).await.map(|()| run.is_told = true),
                Step::Delete => self.delete(&container).await.map(|()| run.is_deleted = true),
                Step::Over => {
                    tracing::info!(container = %id, "a run's container is deleted; what it left is in the cloud");
                    return;
                }
            };
            match done {
                Ok(()) => backoff.reset(),
                Err(why) => {
                    tracing::warn!(container = %id, %why, "what a run left is not in the cloud yet; trying again");
                    sleep(backoff.next(rand::random())).await;
                }
            }
        }
    }

    async fn log(&self, container: &EngineContainer) -> Result<Left, String> {
        let wish = OutputWish { tail: None, since_seconds: 0, stream: None, follow: false };
        let detail = &container.detail;
        let output = self.orders.engine.output(&detail.engine_id, detail.tty, wish).await;
        let output = match output {
            Ok(output) => unless_silent(output),
            Err(error @ EngineError::Unreachable(_)) => return Err(error.to_string()),
            // An engine that has no log of it never will.
            Err(error) => return Ok(Left::Lost(error.to_string())),
        };
        let mut text = Text::default();
        let lines = output.map_ok(move |piece| {
            let mut out = Vec::new();
            text.push(&piece, &mut out);
            bytes::Bytes::from(out)
        });
        let name = format!("{}.log", container.view().name);
        self.bring_away(container, "log", StoredKind::Log, name, lines.boxed()).await
    }

    async fn results(&self, container: &EngineContainer) -> Result<Left, String> {
        let (engine, engine_id) = (&self.orders.engine, &container.detail.engine_id);
        let found = match engine.find_path(engine_id, RESULTS).await {
            Ok(found) => found,
            Err(EngineError::NotFound(_)) => return Ok(Left::Nothing),
            Err(error) => return Err(error.to_string()),
        };
        let archive = engine.copy_out(engine_id, &found.path).await.map_err(|error| error.to_string())?;
        let name = format!("{}-results.tar", container.view().name);
        self.bring_away(container, "results", StoredKind::Results, name, unless_silent(archive)).await
    }

    /// By way of the device's disk, so that a broken connection costs nothing but time.
    async fn bring_away(
        &self,
        container: &EngineContainer,
        part: &str,
        kind: StoredKind,
        name: String,
        bytes: Archive,
    ) -> Result<Left, String> {
        let view = container.view();
        let file: FileId = match format!("{}-{part}", view.id).parse() {
            Ok(file) => file,
            Err(error) => return Ok(Left::Lost(format!("{error}"))),
        };
        let spool = {
            let _turn = self.orders.fetches.acquire().await.map_err(|_| "the agent is stopping")?;
            let spool = Spool::begin(&self.orders.policy_folder, &container.tenant, &file);
            let spool = spool.map_err(|error| error.message)?;
            let is_too_large = Arc::new(AtomicBool::new(false));
            let taken = take_all(at_most(bytes, &is_too_large), &spool, |_| {}).await;
            if is_too_large.load(Ordering::Relaxed) {
                return Ok(Left::Lost(format!(
                    "it has more than the {MAX_STORED_BYTES} bytes that are kept as one file"
                )));
            }
            taken.map_err(|error| error.message)?;
            spool
        };
        let about = StoreFile {
            file: file.clone(),
            kind,
            name,
            container: view.id.clone(),
            application: view.application.clone(),
            keep: true,
        };
        match self.cloud.store(&container.tenant, &about, &spool.path).await {
            Ok(()) => Ok(Left::Stored(file)),
            Err(CloudError::Never(why)) => Ok(Left::Lost(why)),
            Err(CloudError::Later(why)) => Err(why),
        }
    }

    async fn tell(&self, container: &EngineContainer, run: &Run) -> Result<(), String> {
        let (log, results) = run.files();
        let end = EndRun {
            tenant: container.tenant.clone(),
            container: container.view().clone(),
            oom_killed: container.detail.oom_killed,
            log,
            results,
            lost: run.lost(),
        };
        self.cloud.end_run(&end).await.map_err(|error| error.to_string())
    }

    async fn delete(&self, container: &EngineContainer) -> Result<(), String> {
        let (id, engine_id) = (&container.view().id, &container.detail.engine_id);
        let _held = self.orders.locks.hold(id.as_str()).await;
        self.orders.gone.remember(container).map_err(|error| error.to_string())?;
        match self.orders.engine.remove(engine_id, false).await {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        // What cannot be seen now is seen by the next event, or the next list.
        let _ = self.orders.inventory.look(engine_id).await;
        Ok(())
    }
}

fn has_ended(container: &EngineContainer) -> bool {
    let view = container.view();
    view.run_once && matches!(view.state, ContainerState::Exited | ContainerState::Dead)
}

/// Ends with an error where more comes than is kept as one file.
fn at_most(bytes: Archive, is_too_large: &Arc<AtomicBool>) -> Archive {
    let (mut seen, is_too_large) = (0_u64, Arc::clone(is_too_large));
    let counted = bytes.map(move |part| {
        let part = part?;
        seen = seen.saturating_add(part.len() as u64);
        if seen > MAX_STORED_BYTES {
            is_too_large.store(true, Ordering::Relaxed);
            return Err(EngineError::Failed("it is too large".to_owned()));
        }
        Ok(part)
    });
    counted.boxed()
}

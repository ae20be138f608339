//! A container is replaced by one of another version: it keeps its id, its name, its address and its volumes. The old one is kept,
//! stopped and under another name at the engine, until the new one is well, and goes on where that does not become so. What is to be
//! done is `replacement`'s to say; the names at the engine are all that is remembered.

use std::{sync::Arc, time::Duration};

use bollard::models::ContainerCreateBody;
use ecep_fleet::quota::{Action, Demand};
use ecep_proto::api::{
    application::DeviceUpdate,
    container::{ContainerState, CreateContainer},
    error::{ApiError, ErrorKind},
    name::{ContainerId, OperationId, TenantSlug},
};
use tokio::time::{Instant, sleep};

use super::{
    Applications,
    cloud::Cloud,
    deploy,
    replacement::{New, Next, Seen, next},
    supply::For,
};
use crate::{
    creating::{Purpose, request},
    engine::{Engine, EngineContainer, EngineError, LogWindow, Replacing, engine_name, replaced_name},
    moving::Part,
    operations::What,
    orders::Accepted,
    policy::Policy,
    reporter::{Ended, Reporter},
};

/// How often the new one is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between attempts to reach a lost engine.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Seconds that the old one has to end.
const GRACE: u32 = 10;
/// The new one's last words in the error.
const LAST_LINES: LogWindow = LogWindow { tail: 20, since: None, max_bytes: 8 * 1024 };

impl<E: Engine, C: Cloud> Applications<E, C> {
    /// Replaces a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn update(self: &Arc<Self>, order: DeviceUpdate) -> Result<Accepted, ApiError> {
        let what = What::new("app.update", &order);
        let (tenant, operation) = (order.tenant.clone(), Some(order.operation.clone()));
        let this = Arc::clone(self);
        self.orders.accept(&tenant, operation, what, |_, _, report| {
            Box::pin(async move { this.do_update(order, report).await })
        })
    }

    /// Ends the updates that an agent that was killed has left, one way or the other.
    pub async fn recover(self: &Arc<Self>) {
        let replaced = loop {
            match self.orders.engine.replaced().await {
                Ok(replaced) => break replaced,
                Err(error) => {
                    tracing::debug!(%error, "the engine does not tell yet what updates have left");
                    sleep(RETRY_EVERY).await;
                }
            }
        };
        for old in replaced {
            let Some(Replacing { container, operation, .. }) = old.replacing.clone() else { continue };
            if let Err(error) = self.orders.moving.begin(&container, Part::Replaced(operation.clone())) {
                tracing::warn!(%container, %error, "an update that was cut off waits for the next start");
                continue;
            }
            tracing::info!(%container, %operation, "an update was cut off; it is brought to its end");
            let this = Arc::clone(self);
            tokio::spawn(async move {
                let _held = this.orders.locks.hold(container.as_str()).await;
                let ended = this.settle(&container, None, None).await;
                this.is_over(&container, &operation).await;
                match ended {
                    Ok(()) => {
                        tracing::info!(%container, %operation, "the update that was cut off has succeeded")
                    }
                    Err(error) => {
                        tracing::warn!(%container, %operation, %error, "the update that was cut off was taken back")
                    }
                }
            });
        }
    }

    async fn do_update(self: Arc<Self>, order: DeviceUpdate, report: Reporter) -> Ended {
        let DeviceUpdate { tenant, container, version, operation } = order;
        let Some(_alone) = self.orders.locks.try_hold(&format!("update/{container}")) else {
            return Err(busy(&container, "another update of it is under way"));
        };
        let found = self.orders.find(&tenant, &container).await?;
        self.orders.moving.refuse_if_moving(&container)?;
        let left = self.orders.engine.replaced().await.map_err(EngineError::into_api)?;
        if left.iter().any(|left| left.view().id == container) {
            return Err(busy(&container, "an update that was cut off is being brought to its end"));
        }
        if found.operation.as_ref() == Some(&operation) {
            // It was done, and whoever ordered it was not told.
            return Ok((Some(container), Some(found.view().clone())));
        }
        if self.orders.locks.try_hold(container.as_str()).is_none() {
            return Err(busy(&container, "another order about it is under way"));
        }
        let view = found.view();
        if view.application != version.application {
            return Err(invalid(format!(
                "container {container} is of application {}, not of {}",
                view.application, version.application
            )));
        }
        if view.run_once || version.settings.run_once {
            return Err(invalid("what runs once is not updated; deploy the other version"));
        }
        let healthy_after = deploy::healthy_after(&version.settings)?;
        let wish = deploy::wish(&tenant, &version, view.name.clone(), &operation)?;
        let purpose = Purpose {
            version: Some(version.version),
            run_once: false,
            healthy_after_seconds: Some(healthy_after),
        };
        let body = request(&tenant, &container, &operation, &wish, &purpose)?;
        let policy = self.orders.policy_for(&tenant)?;
        policy.check(&tenant, body.clone())?;
        let action = Action::Create { publishes: !wish.ports.is_empty() };
        let demand = Demand::of(&wish.limits);
        let _admitted = self.orders.quotas.admit(&tenant, &container, action, demand, 0).await?;
        let image = view.image.clone();
        self.supply(For {
            tenant: tenant.clone(),
            version: version.clone(),
            container: container.clone(),
            report: report.clone(),
        })
        .await?;
        let _held = self.orders.locks.hold(container.as_str()).await;
        self.orders.moving.begin(&container, Part::Replaced(operation.clone()))?;
        let swap = Swap { tenant: &tenant, container: &container, operation: &operation, wish: &wish };
        let swapped = self.swap(&swap, body, &policy, &report).await;
        let now = self.is_over(&container, &operation).await;
        swapped?;
        self.remove_older(&tenant, &version.application, &[&image, &wish.image]).await;
        Ok((Some(container), now.map(|now| now.view().clone())))
    }

    /// From here on the old one is touched.
    async fn swap(
        &self,
        swap: &Swap<'_>,
        body: ContainerCreateBody,
        policy: &Policy,
        report: &Reporter,
    ) -> Result<(), ApiError> {
        let Swap { tenant, container, operation, .. } = swap;
        // Much may have happened while the image came.
        let old = self.orders.find(tenant, container).await?;
        let ran = matches!(
            old.view().state,
            ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
        );
        let name = replaced_name(&Replacing {
            container: (*container).clone(),
            operation: (*operation).clone(),
            ran,
        });
        let engine_id = old.detail.engine_id.clone();
        let engine = &self.orders.engine;
        // The name first: whatever comes between, the next agent knows what was begun, and with which container.
        engine.rename(&engine_id, &name).await.map_err(EngineError::into_api)?;
        let made = async {
            if ran {
                report.phase("stopping", Some(container), None);
                engine.stop(&engine_id, GRACE).await.map_err(EngineError::into_api)?;
            }
            let _permit = self.orders.permit().await?;
            report.phase("creating", Some(container), None);
            let body = self.orders.complete(tenant, container, swap.wish, body, policy).await?;
            engine.create(&engine_name(container), body).await.map_err(EngineError::into_api)
        };
        let failed = made.await.err();
        self.settle(container, failed, Some(report)).await
    }

    /// Goes on until one of the two is the container.
    async fn settle(
        &self,
        container: &ContainerId,
        mut failed: Option<ApiError>,
        report: Option<&Reporter>,
    ) -> Result<(), ApiError> {
        let engine = &self.orders.engine;
        let mut running: Option<(Option<u64>, Instant)> = None;
        let phase = |phase| report.iter().for_each(|report| report.phase(phase, Some(container), None));
        let (mut is_checking, mut trouble) = (false, Trouble::default());
        loop {
            let (old, new) = match self.both(container).await {
                Ok(both) => both,
                Err(error) => {
                    trouble.tell(container, &error);
                    sleep(RETRY_EVERY).await;
                    continue;
                }
            };
            let seen = Seen {
                old: old.is_some(),
                new: new.as_ref().map(|new| state_of(new, &mut running)),
                given_up: failed.is_some(),
            };
            let done = match (next(&seen), &old, &new) {
                (Next::Start, _, Some(new)) => {
                    phase("starting");
                    match engine.start(&new.detail.engine_id).await {
                        // The engine is away: nothing is decided by that.
                        Err(EngineError::Unreachable(why)) => Err(EngineError::Unreachable(why)),
                        Err(error) => {
                            failed = Some(error.into_api());
                            Ok(())
                        }
                        Ok(()) => Ok(()),
                    }
                }
                (Next::Wait, ..) => {
                    if !std::mem::replace(&mut is_checking, true) {
                        phase("checking");
                    }
                    sleep(LOOK_EVERY).await;
                    Ok(())
                }
                (Next::Commit, Some(old), _) => {
                    if let Err(error) = self.orders.gone.remember(old) {
                        // Both cannot stay because a disk is full.
                        tracing::warn!(%container, %error, "the order that made it may be done again");
                    }
                    engine.remove(&old.detail.engine_id, true).await
                }
                (Next::Back(why), Some(old), new) => {
                    phase("taking-back");
                    if let Some(why) = why {
                        let said = match new {
                            Some(new) => self.last_words(new).await,
                            None => String::new(),
                        };
                        failed.get_or_insert(unwell(&why, said));
                    }
                    failed.get_or_insert_with(|| unwell("there is no new container", String::new()));
                    self.back(old, new.as_ref()).await
                }
                (Next::Over, ..) => return failed.map_or(Ok(()), Err),
                (Next::Start, _, None) | (Next::Commit | Next::Back(_), None, _) => Ok(()),
            };
            match done {
                Ok(()) => trouble = Trouble::default(),
                Err(error) => {
                    trouble.tell(container, &error);
                    sleep(RETRY_EVERY).await;
                }
            }
        }
    }

    /// The old one becomes the container again. The name is the last step: until then the next agent does all of it once more.
    async fn back(&self, old: &EngineContainer, new: Option<&EngineContainer>) -> Result<(), EngineError> {
        let engine = &self.orders.engine;
        if let Some(new) = new {
            match engine.remove(&new.detail.engine_id, true).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let engine_id = &old.detail.engine_id;
        if old.replacing.as_ref().is_some_and(|replacing| replacing.ran) {
            match engine.start(engine_id).await {
                Ok(()) => {}
                Err(error @ EngineError::Unreachable(_)) => return Err(error),
                // Its name must come back all the same: it is there, and its owner can look at it.
                Err(error) => {
                    tracing::error!(container = %old.view().id, %error, "the old container does not start again")
                }
            }
        }
        engine.rename(engine_id, &engine_name(&old.view().id)).await
    }

    /// The old one under its other name, and the new one.
    async fn both(
        &self,
        container: &ContainerId,
    ) -> Result<(Option<EngineContainer>, Option<EngineContainer>), EngineError> {
        let replaced = self.orders.engine.replaced().await?;
        let old = replaced.into_iter().find(|old| old.view().id == *container);
        let new = match self.orders.engine.inspect(&engine_name(container)).await {
            Ok(new) => Some(new),
            Err(EngineError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok((old, new))
    }

    async fn last_words(&self, new: &EngineContainer) -> String {
        let said = self.orders.engine.logs(&new.detail.engine_id, new.detail.tty, LAST_LINES).await;
        let lines = said.map(|said| said.lines).unwrap_or_default();
        lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
    }

    /// Others may touch the container again, and everybody sees it as it is.
    async fn is_over(&self, container: &ContainerId, operation: &OperationId) -> Option<EngineContainer> {
        let now = self.orders.engine.inspect(&engine_name(container)).await.ok();
        if let Some(now) = &now {
            // What cannot be seen now is seen by the next event, or the next list.
            let _ = self.orders.inventory.look(&now.detail.engine_id).await;
        }
        self.orders.moving.end(container, operation);
        now
    }

    /// Images of the application that are neither what runs nor what it was before: a card holds only so many.
    async fn remove_older(
        &self,
        tenant: &TenantSlug,
        application: &ecep_proto::api::name::ApplicationName,
        kept: &[&String],
    ) {
        let begins = super::names::of_application(tenant, application);
        let Ok(images) = self.orders.engine.images().await else { return };
        let old = images.into_iter().flat_map(|image| image.tags).filter(|tag| tag.starts_with(&begins));
        for tag in old.filter(|tag| !kept.contains(&tag)) {
            match self.orders.engine.remove_image(&tag).await {
                Ok(()) => tracing::info!(image = %tag, "an image of an older version was removed"),
                Err(error) => tracing::debug!(image = %tag, %error, "an image of an older version stays"),
            }
        }
    }
}

/// What keeps an update from going on: told once, not at each attempt.
#[derive(Default)]
struct Trouble(Option<EngineError>);

impl Trouble {
    fn tell(&mut self, container: &ContainerId, error: &EngineError) {
        if self.0.as_ref() != Some(error) {
            tracing::warn!(%container, %error, "an update does not go on; trying again");
            self.0 = Some(error.clone());
        }
    }
}

/// What is swapped.
struct Swap<'a> {
    tenant: &'a TenantSlug,
    container: &'a ContainerId,
    operation: &'a OperationId,
    wish: &'a CreateContainer,
}

/// By this machine's steady clock: the engine's may be set.
fn state_of(new: &EngineContainer, running: &mut Option<(Option<u64>, Instant)>) -> New {
    let view = new.view();
    let started = view.started_at;
    let since = match running {
        Some((at, since)) if *at == started => *since,
        other => other.insert((started, Instant::now())).1,
    };
    New {
        state: view.state,
        exit_code: view.exit_code,
        restarts: new.detail.restart_count,
        health: new.health,
        ran: since.elapsed(),
        must_run: Duration::from_secs(new.healthy_after_seconds.unwrap_or(deploy::HEALTHY_AFTER).into()),
    }
}

fn unwell(why: &str, said: String) -> ApiError {
    let message = if said.is_empty() {
        format!("{why}; the old one goes on")
    } else {
        format!("{why}; the old one goes on. The last that the new one said:\n{said}")
    };
    ApiError::new(ErrorKind::Engine, message).with("output", said)
}

fn busy(container: &ContainerId, why: &str) -> ApiError {
    ApiError::new(
        ErrorKind::Conflict,
        format!("container {container} cannot be updated now: {why}; wait for its end"),
    )
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

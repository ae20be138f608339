//! What is done for an order: the steps at the engine, one order for a container at a time, its progress and end
//! told by events. Who asked and how the answer travels is not known here.

use std::{panic::AssertUnwindSafe, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use ecep_fleet::{image_reference::ImageReference, quota::Action};
use ecep_proto::api::{
    container::{ContainerOrder, ContainerState, CreateContainer, DeleteContainer, StopContainer},
    error::{ApiError, ErrorKind},
    image::{DeleteImage, PullImage},
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
    operation::{ANSWER_WITHIN_MS, OperationReply, OperationState},
};
use futures_util::FutureExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::timeout,
};

use crate::{
    addresses::Addresses,
    applications::names,
    creating::Purpose,
    engine::{Engine, EngineContainer, EngineError, ImageFacts, engine_name},
    fetching::MAX_FETCHES,
    gone::Graveyard,
    inventory::Inventory,
    moving::Moving,
    operations::{Begun, Locks, Operations, Progress, What},
    outbox::Outbox,
    policy::Policy,
    pulls::Pulls,
    quotas::Quotas,
    random,
    reporter::{Ended, Reporter},
    stored::Stored,
    terminals::Terminals,
};

/// Steps at the engine at once; the others wait. A small device's disk serves no more.
const MAX_AT_WORK: usize = 8;
/// Seconds between SIGTERM and SIGKILL unless the order says otherwise: Docker's own default.
const DEFAULT_GRACE: u32 = 10;
/// The longest grace; a container that needs more has a defect.
const MAX_GRACE: u32 = 300;

/// Does orders.
pub struct Orders<E> {
    pub(crate) device: DeviceId,
    pub(crate) engine: Arc<E>,
    pub(crate) inventory: Arc<Inventory<E>>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) policy_folder: PathBuf,
    pub(crate) operations: Operations,
    /// Which orders have made containers that are gone.
    pub(crate) gone: Graveyard,
    /// Who gives containers their addresses.
    pub(crate) addresses: Arc<Addresses>,
    /// Which containers nobody else may touch.
    pub(crate) moving: Arc<Moving>,
    pub(crate) locks: Locks,
    /// What each tenant may begin.
    pub(crate) quotas: Arc<Quotas<E>>,
    /// The way to the cloud's store of files.
    pub stored: Stored,
    /// Files and logs that are being fetched.
    pub(crate) fetches: Semaphore,
    /// Terminals that wait to be attached.
    pub(crate) terminals: Terminals,
    at_work: Semaphore,
    pub(crate) pulls: Pulls,
}

pub(crate) type Work = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// An order that was accepted, for whoever answers the caller.
pub struct Accepted {
    /// Its id.
    pub operation: OperationId,
    progress: watch::Receiver<Progress>,
}

impl Accepted {
    /// Waits for the end, as long as an answer may take.
    ///
    /// # Errors
    /// Why the order failed.
    pub async fn answer(mut self) -> Result<OperationReply, ApiError> {
        let limit = Duration::from_millis(ANSWER_WITHIN_MS);
        // Out of time or out of luck: what is known now is the answer.
        let _ = timeout(limit, self.progress.wait_for(Progress::is_final)).await;
        let progress = self.progress.borrow().clone();
        let (state, container_id, container) = match progress {
            Progress::Running(container_id) => (OperationState::Running, container_id, None),
            Progress::Done { container_id, container } => (OperationState::Done, container_id, container),
            Progress::Failed(error) => return Err(error),
        };
        Ok(OperationReply { operation: self.operation, state, container_id, container })
    }
}

impl<E: Engine> Orders<E> {
    /// Nothing is under way yet. The device's policy is read from `policy_folder` for each creation, so that
    /// its owner need not restart anything.
    pub fn new(
        device: DeviceId,
        engine: Arc<E>,
        inventory: Arc<Inventory<E>>,
        outbox: Arc<Outbox>,
        moving: Arc<Moving>,
        policy_folder: PathBuf,
    ) -> Self {
        let quotas = Arc::new(Quotas::new(device.clone(), Arc::clone(&engine), &policy_folder));
        let (gone, terminals) = (Graveyard::new(&policy_folder), Terminals::new(&policy_folder));
        Self {
            device,
            engine,
            inventory,
            outbox,
            policy_folder,
            gone,
            operations: Operations::default(),
            addresses: Arc::default(),
            moving,
            locks: Locks::default(),
            quotas,
            stored: Stored::default(),
            fetches: Semaphore::new(MAX_FETCHES),
            terminals,
            at_work: Semaphore::new(MAX_AT_WORK),
            pulls: Pulls::default(),
        }
    }

    /// Creates a container, and starts it if asked.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn create(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: CreateContainer,
    ) -> Result<Accepted, ApiError> {
        let operation = order.operation.clone();
        let what = What::new("container.create", &order);
        self.accept(tenant, operation, what, |orders, tenant, report| {
            Box::pin(async move {
                let image: ImageReference = order.image.parse()?;
                let bring = orders.clone().brings_from_registry(image, report.clone());
                orders.make_container(tenant, order, Purpose::default(), bring, report).await
            })
        })
    }

    /// Starts a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn start(self: &Arc<Self>, tenant: &TenantSlug, order: ContainerOrder) -> Result<Accepted, ApiError> {
        self.quotas.allow(tenant, Action::Start)?;
        let what = What::new("container.start", &order);
        let ContainerOrder { container, operation } = order;
        self.with_container(tenant, operation, what, container, |engine, found, report| {
            Box::pin(async move {
                refuse_if_ended(&found)?;
                report.phase("starting", Some(&found.view().id), None);
                engine.start(&found.detail.engine_id).await.map_err(EngineError::into_api)
            })
        })
    }

    /// Stops a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn stop(self: &Arc<Self>, tenant: &TenantSlug, order: StopContainer) -> Result<Accepted, ApiError> {
        let what = What::new("container.stop", &order);
        let StopContainer { container, grace_seconds, operation } = order;
        let grace = grace(grace_seconds)?;
        self.with_container(tenant, operation, what, container, move |engine, found, report| {
            Box::pin(async move {
                report.phase("stopping", Some(&found.view().id), None);
                engine.stop(&found.detail.engine_id, grace).await.map_err(EngineError::into_api)
            })
        })
    }

    /// Stops and starts a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn restart(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: StopContainer,
    ) -> Result<Accepted, ApiError> {
        self.quotas.allow(tenant, Action::Start)?;
        let what = What::new("container.restart", &order);
        let StopContainer { container, grace_seconds, operation } = order;
        let grace = grace(grace_seconds)?;
        self.with_container(tenant, operation, what, container, move |engine, found, report| {
            Box::pin(async move {
                refuse_if_ended(&found)?;
                report.phase("restarting", Some(&found.view().id), None);
                engine.restart(&found.detail.engine_id, grace).await.map_err(EngineError::into_api)
            })
        })
    }

    /// Deletes a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn delete(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: DeleteContainer,
    ) -> Result<Accepted, ApiError> {
        let what = What::new("container.delete", &order);
        let DeleteContainer { container, force, operation } = order;
        let orders = Arc::clone(self);
        self.with_container(tenant, operation, what, container, move |engine, found, report| {
            Box::pin(async move {
                let runs = matches!(
                    found.view().state,
                    ContainerState::Running | ContainerState::Paused | ContainerState::Restarting
                );
                if runs && !force {
                    return Err(ApiError::new(
                        ErrorKind::Conflict,
                        format!(
                            "container {} runs; stop it first, or delete it with force",
                            found.view().name
                        ),
                    ));
                }
                report.phase("deleting", Some(&found.view().id), None);
                if let Err(error) = orders.gone.remember(&found) {
                    // On a full disk it must be possible to delete.
                    tracing::warn!(container = %found.view().id, %error, "the order that made it may be done again");
                }
                engine.remove(&found.detail.engine_id, force).await.map_err(EngineError::into_api)
            })
        })
    }

    /// Pulls an image.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn pull(self: &Arc<Self>, tenant: &TenantSlug, order: PullImage) -> Result<Accepted, ApiError> {
        let image: ImageReference = order.image.parse()?;
        let what = What::new("image.pull", &order);
        self.accept(tenant, order.operation, what, |orders, tenant, report| {
            Box::pin(async move {
                orders.quotas.allow_on_disk(&tenant, Action::Pull, 0).await?;
                names::refuse_pull(&image)?;
                orders.do_pull(&image, None, &report).await?;
                Ok((None, None))
            })
        })
    }

    /// Deletes an image.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn delete_image(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: DeleteImage,
    ) -> Result<Accepted, ApiError> {
        let image: ImageReference = order.image.parse()?;
        if self.quotas.is_guest(tenant) {
            return Err(ApiError::new(
                ErrorKind::Forbidden,
                "images belong to the device; ask its owner to delete this one",
            ));
        }
        let what = What::new("image.delete", &order);
        self.accept(tenant, order.operation, what, |orders, tenant, _| {
            Box::pin(async move {
                let _permit = orders.permit().await?;
                names::refuse_name(&tenant, &image)?;
                let facts = orders.engine.image(image.as_str()).await.map_err(EngineError::into_api)?;
                // Nameless ones are nobody's, and only take room.
                let is_nameless = facts.is_none_or(|facts| facts.tags.is_empty());
                if !is_nameless {
                    orders.usable(&tenant, &image).await?;
                }
                orders.engine.remove_image(image.as_str()).await.map_err(EngineError::into_api)?;
                Ok((None, None))
            })
        })
    }

    /// A container of this tenant. Another tenant's is not found, in the same words as one that is not there.
    ///
    /// # Errors
    /// `NotFound`, or the engine's own.
    pub async fn find(
        &self,
        tenant: &TenantSlug,
        container: &ContainerId,
    ) -> Result<EngineContainer, ApiError> {
        let not_found = || {
            ApiError::new(
                ErrorKind::NotFound,
                format!(
                    "no container {container} on device {}; list the containers for their ids",
                    self.device
                ),
            )
        };
        // By what the labels say; by name where the inventory has not seen it yet.
        let engine_id = self.inventory.engine_id(container).unwrap_or_else(|| engine_name(container));
        match self.engine.inspect(&engine_id).await {
            Ok(found) if found.tenant == *tenant && !self.moving.is_hidden(container) => Ok(found),
            Ok(_) | Err(EngineError::NotFound(_)) => Err(not_found()),
            Err(error) => Err(error.into_api()),
        }
    }

    /// What this image is; none where the engine has none of that name. One of another tenant's application is not there either.
    ///
    /// # Errors
    /// `NotFound` for such a one; the engine's own.
    pub(crate) async fn usable(
        &self,
        tenant: &TenantSlug,
        image: &ImageReference,
    ) -> Result<Option<ImageFacts>, ApiError> {
        names::refuse_name(tenant, image)?;
        let facts = self.engine.image(image.as_str()).await.map_err(EngineError::into_api)?;
        match facts {
            Some(facts) if !names::is_usable(tenant, image, &facts) => {
                // A container that came from another device has brought its image without a name.
                let listed = self.engine.list().await.map_err(EngineError::into_api)?;
                let is_own = |one: &EngineContainer| {
                    one.tenant == *tenant && facts.tags.is_empty() && one.view().image == facts.id
                };
                if listed.iter().any(is_own) { Ok(Some(facts)) } else { Err(names::no_image(image)) }
            }
            facts => Ok(facts),
        }
    }

    /// A place for steps at the engine.
    pub(crate) async fn permit(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let place = self.at_work.acquire().await;
        place.map_err(|_| ApiError::new(ErrorKind::Unavailable, "the agent is stopping"))
    }

    /// What the device's owner allows, as the file says now.
    pub(crate) fn policy(&self) -> Result<Policy, ApiError> {
        Policy::load(&self.policy_folder).map_err(|error| {
            ApiError::new(ErrorKind::Unavailable, format!("{error}; its owner must mend it"))
        })
    }

    /// Waits for the end of orders about this container that are under way.
    pub(crate) async fn drain(&self, container: &ContainerId) {
        drop(self.locks.hold(container.as_str()).await);
    }

    /// An order is told of by events from its beginning to its end; the same one twice is done once.
    pub(crate) fn accept(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        operation: Option<OperationId>,
        what: What,
        work: impl FnOnce(Arc<Self>, TenantSlug, Reporter) -> Work,
    ) -> Result<Accepted, ApiError> {
        let operation = match operation {
            Some(operation) => operation,
            None => random::operation_id()
                .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?,
        };
        let progress = match self.operations.begin(tenant, &operation, what)? {
            Begun::Known(progress) => progress,
            Begun::New(sender) => {
                let progress = sender.subscribe();
                let report = Reporter {
                    device: self.device.clone(),
                    tenant: tenant.clone(),
                    operation: operation.clone(),
                    kind: what.kind,
                    outbox: Arc::clone(&self.outbox),
                    progress: Arc::new(sender),
                };
                let work = work(Arc::clone(self), tenant.clone(), report.clone());
                tokio::spawn(async move {
                    // An operation that never ended would hold its place, and its caller, for ever.
                    let ended = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                        let text = "this is a defect in the agent, please report it with the agent's log";
                        Err(ApiError::new(ErrorKind::Unavailable, text))
                    });
                    report.end(ended);
                });
                progress
            }
        };
        Ok(Accepted { operation, progress })
    }

    /// An order about one container: finds it, holds it against other orders, does it, looks at what came of it.
    pub(crate) fn with_container<F>(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        operation: Option<OperationId>,
        what: What,
        container: ContainerId,
        step: F,
    ) -> Result<Accepted, ApiError>
    where
        F: FnOnce(
                Arc<E>,
                EngineContainer,
                Reporter,
            ) -> Pin<Box<dyn Future<Output = Result<(), ApiError>> + Send>>
            + Send
            + 'static,
    {
        self.accept(tenant, operation, what, |orders, tenant, report| {
            Box::pin(async move {
                let _held = orders.locks.hold(container.as_str()).await;
                let _permit = orders.permit().await?;
                orders.moving.refuse_if_moving(&container)?;
                let found = orders.find(&tenant, &container).await?;
                let engine_id = found.detail.engine_id.clone();
                let done = step(Arc::clone(&orders.engine), found, report).await;
                let now = orders.inventory.look(&engine_id).await.map_err(EngineError::into_api);
                done?;
                Ok((Some(container), now?.map(|container| container.view().clone())))
            })
        })
    }
}

/// What it has left is on its way to the cloud; a second run would be mixed up with the first.
fn refuse_if_ended(found: &EngineContainer) -> Result<(), ApiError> {
    let view = found.view();
    if view.run_once && !matches!(view.state, ContainerState::Created | ContainerState::Running) {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            format!(
                "{} runs once, and has run; it is deleted when what it left is stored. Deploy the application again",
                view.name
            ),
        ));
    }
    Ok(())
}

fn grace(seconds: Option<u32>) -> Result<u32, ApiError> {
    match seconds.unwrap_or(DEFAULT_GRACE) {
        seconds if seconds <= MAX_GRACE => Ok(seconds),
        seconds => Err(ApiError::new(
            ErrorKind::InvalidArgument,
            format!("grace_seconds is {seconds}; use 0 to {MAX_GRACE}"),
        )),
    }
}

//! What is done for an order: the steps at the engine, one order for a container at a time, its progress and end
//! told by events. Who asked and how the answer travels is not known here.

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bollard::models::ContainerCreateBody;
use ecep_fleet::quota::{Action, Demand};
use ecep_proto::api::{
    container::{ContainerOrder, ContainerState, CreateContainer, DeleteContainer, StopContainer},
    error::{ApiError, ErrorKind},
    image::{DeleteImage, PullImage},
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
    network::AssignAddress,
    operation::{ANSWER_WITHIN_MS, OperationReply, OperationState},
};
use ecep_runtime::register::RUNTIME_NAME;
use futures_util::FutureExt;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::timeout,
};

use crate::{
    addresses::Addresses,
    creation,
    engine::{Engine, EngineContainer, EngineError, PullProgress, engine_name},
    image_reference::ImageReference,
    inventory::Inventory,
    moving::Moving,
    operations::{Begun, Locks, Operations, Progress, What},
    outbox::Outbox,
    policy::{AllowedBody, Policy},
    pulls::Pulls,
    quotas::Quotas,
    random,
    reporter::{Ended, Reporter},
};

/// Steps at the engine at once; the others wait. A small device's disk serves no more.
const MAX_AT_WORK: usize = 8;
/// Progress of a pull is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);
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
    /// Who gives containers their addresses.
    pub(crate) addresses: Arc<Addresses>,
    /// Which containers nobody else may touch.
    pub(crate) moving: Arc<Moving>,
    pub(crate) locks: Locks,
    /// What each tenant may begin.
    pub(crate) quotas: Arc<Quotas<E>>,
    at_work: Semaphore,
    pulls: Pulls,
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
        Self {
            device,
            engine,
            inventory,
            outbox,
            policy_folder,
            operations: Operations::default(),
            addresses: Arc::default(),
            moving,
            locks: Locks::default(),
            quotas,
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
            Box::pin(async move { orders.do_create(tenant, order, report).await })
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
        self.accept(tenant, order.operation, what, |orders, _, _| {
            Box::pin(async move {
                let _permit = permit(&orders.at_work).await?;
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
                let _permit = permit(&orders.at_work).await?;
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

    async fn do_create(&self, tenant: TenantSlug, order: CreateContainer, report: Reporter) -> Ended {
        let image: ImageReference = order.image.parse()?;
        // The name is held until the container bears it, so that two orders cannot both find it free. Waiting for
        // the other order would only end in the same refusal.
        let Some(_held) = self.locks.try_hold(&format!("{tenant}/{}", order.name)) else {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "the name {} is taken on this device by an order under way; choose another",
                    order.name
                ),
            ));
        };
        let existing = self.engine.list().await.map_err(EngineError::into_api)?;
        let of_tenant = || existing.iter().filter(|container| container.tenant == tenant);
        if let Some(made) =
            of_tenant().find(|container| container.operation.as_ref() == Some(&report.operation))
        {
            return self.finish_creation(made, order.start, &report).await;
        }
        if let Some(other) = of_tenant().find(|container| container.view().name == order.name) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "the name {} is taken on this device by {}; choose another",
                    order.name,
                    other.view().id
                ),
            )
            .with("container", other.view().id.as_str()));
        }
        let id = random::container_id()
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
        let mut body = creation::body(&tenant, &id, &report.operation, &image, &order)?;
        let policy = self.policy_for(&tenant)?;
        // Judged before anything is pulled, and once more when the request is complete.
        policy.check(&tenant, body.clone())?;
        let action = Action::Create { publishes: !order.ports.is_empty() };
        let _admitted = self.quotas.admit(&tenant, &id, action, Demand::of(&order.limits), 0).await?;

        if !self.engine.has_image(image.as_str()).await.map_err(EngineError::into_api)? {
            self.do_pull(&image, Some(&id), &report).await?;
        }
        let _permit = permit(&self.at_work).await?;
        report.phase("creating", Some(&id), None);
        for volume in creation::volumes(&tenant, &order) {
            self.engine.ensure_volume(&volume).await.map_err(EngineError::into_api)?;
        }
        if order.privileges.network_mode.is_none() {
            self.join_network(&tenant, &id, &order, &mut body).await?;
        }
        if self.engine.has_runtime(RUNTIME_NAME).await {
            body.host_config.get_or_insert_default().runtime = Some(RUNTIME_NAME.to_owned());
        }
        let body = policy.check(&tenant, body)?;
        let made = self.make(&id, body, order.start, &report).await;
        // One that is there after all keeps its address.
        if made.is_err()
            && matches!(self.engine.inspect(&engine_name(&id)).await, Err(EngineError::NotFound(_)))
        {
            self.addresses.release(&id).await;
        }
        made
    }

    async fn make(&self, id: &ContainerId, body: AllowedBody, start: bool, report: &Reporter) -> Ended {
        let engine_id = self.engine.create(&engine_name(id), body).await.map_err(EngineError::into_api)?;
        if start {
            report.phase("starting", Some(id), None);
            if let Err(error) = self.engine.start(&engine_id).await {
                // A container that could not even start would only hold its name.
                if let Err(error) = self.engine.remove(&engine_id, true).await {
                    tracing::warn!(container = %id, %error, "a container that did not start cannot be removed");
                }
                let _ = self.inventory.look(&engine_id).await;
                return Err(error.into_api());
            }
        }
        let made = self.inventory.look(&engine_id).await.map_err(EngineError::into_api)?;
        Ok((Some(id.clone()), made.map(|container| container.view().clone())))
    }

    /// Gives the container its address for life in its tenant's network.
    async fn join_network(
        &self,
        tenant: &TenantSlug,
        id: &ContainerId,
        order: &CreateContainer,
        body: &mut ContainerCreateBody,
    ) -> Result<(), ApiError> {
        let request =
            AssignAddress { tenant: tenant.clone(), container: id.clone(), name: order.name.clone() };
        if let Some(assigned) = self.addresses.assign(&request).await? {
            self.engine.ensure_network(&assigned.subnet).await.map_err(EngineError::into_api)?;
            creation::join_network(body, &order.name, &assigned);
        }
        Ok(())
    }

    /// The order has made its container already. If the agent ended between creating and starting it, it is
    /// started now.
    async fn finish_creation(&self, made: &EngineContainer, start: bool, report: &Reporter) -> Ended {
        let (id, engine_id) = (made.view().id.clone(), &made.detail.engine_id);
        if start && made.view().state == ContainerState::Created {
            let _permit = permit(&self.at_work).await?;
            report.phase("starting", Some(&id), None);
            self.engine.start(engine_id).await.map_err(EngineError::into_api)?;
        }
        let now = self.inventory.look(engine_id).await.map_err(EngineError::into_api)?;
        Ok((Some(id), now.map(|container| container.view().clone())))
    }

    async fn do_pull(
        &self,
        image: &ImageReference,
        container: Option<&ContainerId>,
        report: &Reporter,
    ) -> Result<(), ApiError> {
        if image.is_id() {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                format!("the device has no image {image}, and an id cannot be pulled; give its name and tag"),
            ));
        }
        let _place = self.pulls.enter(&report.tenant)?;
        // Two pulls of one image at once would load it twice on some engines.
        let _held = self.locks.hold(&format!("image/{image}")).await;
        let _turn = self.pulls.turn().await?;
        report.phase("pulling", container, Some(PullProgress::default()));
        let mut told: Option<Instant> = None;
        let pulled = self.engine.pull(image.as_str(), |progress| {
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                report.phase("pulling", container, Some(progress));
            }
        });
        pulled.await.map_err(EngineError::into_api)
    }
}

async fn permit(places: &Semaphore) -> Result<SemaphorePermit<'_>, ApiError> {
    places.acquire().await.map_err(|_| ApiError::new(ErrorKind::Unavailable, "the agent is stopping"))
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

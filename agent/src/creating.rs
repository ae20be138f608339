//! How a container comes to be: its name is free, the quota has room, the policy allows it, the image is brought, and then the engine
//! makes it. What the image is and how it is brought is for whoever asks to say.

use std::sync::Arc;

use bollard::models::ContainerCreateBody;
use ecep_fleet::{
    image_reference::ImageReference,
    quota::{Action, Demand},
};
use ecep_proto::api::{
    container::{ContainerState, CreateContainer},
    error::{ApiError, ErrorKind},
    label,
    name::{ContainerId, OperationId, TenantSlug},
    network::AssignAddress,
};
use ecep_runtime::register::RUNTIME_NAME;
use futures_util::{FutureExt, future::BoxFuture};

use crate::{
    applications::names,
    creation,
    engine::{Engine, EngineContainer, EngineError, engine_name},
    orders::Orders,
    policy::{AllowedBody, Policy},
    random,
    reporter::{Ended, Reporter},
    telling::Telling,
};

/// For what a container is made, beside what its order says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// The application's version.
    pub(crate) version: Option<u32>,
    /// It runs once.
    pub(crate) run_once: bool,
    /// After an update, when it counts as healthy.
    pub(crate) healthy_after_seconds: Option<u32>,
}

impl Purpose {
    /// Writes it on the container.
    fn mark(&self, body: &mut ContainerCreateBody) {
        let labels = body.labels.get_or_insert_default();
        let marks = [
            (label::VERSION, self.version.map(|number| number.to_string())),
            (label::RUN_ONCE, self.run_once.then(|| "true".to_owned())),
            (label::HEALTHY_AFTER, self.healthy_after_seconds.map(|seconds| seconds.to_string())),
        ];
        labels.extend(marks.into_iter().filter_map(|(label, value)| Some((label.to_owned(), value?))));
    }
}

impl<E: Engine> Orders<E> {
    /// Brings an image from its registry, unless the engine has it.
    pub(crate) fn brings_from_registry(
        self: Arc<Self>,
        image: ImageReference,
        report: Reporter,
    ) -> impl FnOnce(ContainerId) -> BoxFuture<'static, Result<(), ApiError>> {
        move |id| {
            async move {
                let known = self.usable(&report.tenant, &image).await?;
                if known.is_none() {
                    names::refuse_pull(&image)?;
                    self.do_pull(&image, Some(&id), &report).await?;
                }
                Ok(())
            }
            .boxed()
        }
    }

    /// Makes a container of this order, and starts it if asked. The same operation again finds it, also as another version, or that it
    /// was there and is gone.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn make_container(
        &self,
        tenant: TenantSlug,
        order: CreateContainer,
        purpose: Purpose,
        bring: impl FnOnce(ContainerId) -> BoxFuture<'static, Result<(), ApiError>>,
        report: Reporter,
    ) -> Ended {
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
        if let Some(gone) = self.gone.find(&tenant, &report.operation) {
            if (&gone.name, gone.version) != (&order.name, purpose.version) {
                return Err(ApiError::new(
                    ErrorKind::Conflict,
                    format!(
                        "operation {} was another order, for {}; choose another id, or leave it out",
                        report.operation, gone.name
                    ),
                ));
            }
            let now = of_tenant().find(|container| container.view().id == gone.container);
            tracing::info!(container = %gone.container, operation = %report.operation, is_there = now.is_some(), "it was made, and is gone or another version now; no other one is made");
            return Ok((Some(gone.container), now.map(|container| container.view().clone())));
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
        let body = request(&tenant, &id, &report.operation, &order, &purpose)?;
        let policy = self.policy_for(&tenant)?;
        // Judged before anything is brought, and once more when the request is complete.
        policy.check(&tenant, body.clone())?;
        let action = Action::Create { publishes: !order.ports.is_empty() };
        let _admitted = self.quotas.admit(&tenant, &id, action, Demand::of(&order.limits), 0).await?;

        bring(id.clone()).await?;
        let _permit = self.permit().await?;
        report.phase("creating", Some(&id), None);
        let body = self.complete(&tenant, &id, &order, body, &policy).await?;
        let made = self.make(&id, body, order.start, &report).await;
        // One that is there after all keeps its address.
        if made.is_err()
            && matches!(self.engine.inspect(&engine_name(&id)).await, Err(EngineError::NotFound(_)))
        {
            self.addresses.release(&id).await;
        }
        made
    }

    /// Makes what the request needs at the engine, and judges it as it is then.
    pub(crate) async fn complete(
        &self,
        tenant: &TenantSlug,
        id: &ContainerId,
        order: &CreateContainer,
        mut body: ContainerCreateBody,
        policy: &Policy,
    ) -> Result<AllowedBody, ApiError> {
        for volume in creation::volumes(tenant, order) {
            self.engine.ensure_volume(&volume).await.map_err(EngineError::into_api)?;
        }
        if order.privileges.network_mode.is_none() {
            self.join_network(tenant, id, order, &mut body).await?;
        }
        if self.engine.has_runtime(RUNTIME_NAME).await {
            body.host_config.get_or_insert_default().runtime = Some(RUNTIME_NAME.to_owned());
        }
        policy.check(tenant, body)
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
            let _permit = self.permit().await?;
            report.phase("starting", Some(&id), None);
            self.engine.start(engine_id).await.map_err(EngineError::into_api)?;
        }
        let now = self.inventory.look(engine_id).await.map_err(EngineError::into_api)?;
        Ok((Some(id), now.map(|container| container.view().clone())))
    }

    pub(crate) async fn do_pull(
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
        report.phase("waiting-for-registry", container, None);
        let mut telling = Telling::new(report, "pulling", container);
        let pulled = self.engine.pull(image.as_str(), |progress| telling.bytes(progress));
        pulled.await.map_err(EngineError::into_api)
    }
}

/// The request for the engine, as far as it is known without it.
///
/// # Errors
/// `InvalidArgument` where the order is out of bounds.
pub(crate) fn request(
    tenant: &TenantSlug,
    id: &ContainerId,
    operation: &OperationId,
    order: &CreateContainer,
    purpose: &Purpose,
) -> Result<ContainerCreateBody, ApiError> {
    let image: ImageReference = order.image.parse()?;
    let mut body = creation::body(tenant, id, operation, &image, order)?;
    purpose.mark(&mut body);
    Ok(body)
}

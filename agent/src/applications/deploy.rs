//! A version becomes a new container.

use std::sync::Arc;

use ecep_proto::api::{
    application::{DeviceDeploy, DeviceVersion, Settings},
    container::{CreateContainer, RestartPolicy},
    error::{ApiError, ErrorKind},
    name::{ContainerName, OperationId, TenantSlug},
};
use futures_util::FutureExt;

use super::{
    Applications,
    cloud::Cloud,
    supply::{self, For},
};
use crate::{
    creating::Purpose,
    engine::Engine,
    operations::What,
    orders::Accepted,
    reporter::{Ended, Reporter},
};

/// Seconds after which a new container without a health check counts as healthy, and what may be said instead.
pub(super) const HEALTHY_AFTER: u32 = 10;
const HEALTHY_MOST: u32 = 600;

impl<E: Engine, C: Cloud> Applications<E, C> {
    /// Deploys a version.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn deploy(self: &Arc<Self>, order: DeviceDeploy) -> Result<Accepted, ApiError> {
        let what = What::new("app.deploy", &order);
        let (tenant, operation) = (order.tenant.clone(), Some(order.operation.clone()));
        let this = Arc::clone(self);
        self.orders.accept(&tenant, operation, what, |_, _, report| {
            Box::pin(async move { this.do_deploy(order, report).await })
        })
    }

    async fn do_deploy(self: Arc<Self>, order: DeviceDeploy, report: Reporter) -> Ended {
        let DeviceDeploy { tenant, version, name, operation } = order;
        let wish = wish(&tenant, &version, name, &operation)?;
        let purpose = Purpose {
            version: Some(version.version),
            run_once: version.settings.run_once,
            healthy_after_seconds: None,
        };
        let (this, of, telling) = (Arc::clone(&self), tenant.clone(), report.clone());
        let bring = move |container| {
            async move { this.supply(For { tenant: of, version, container, report: telling }).await }.boxed()
        };
        self.orders.make_container(tenant, wish, purpose, bring, report).await
    }
}

/// The container that a version's settings ask for.
///
/// # Errors
/// `InvalidArgument` where they stand against each other.
pub(super) fn wish(
    tenant: &TenantSlug,
    version: &DeviceVersion,
    name: ContainerName,
    operation: &OperationId,
) -> Result<CreateContainer, ApiError> {
    let image = supply::reference(tenant, version)?;
    let Settings {
        command,
        env,
        ports,
        volumes,
        limits,
        restart,
        tty,
        privileges,
        run_once,
        healthy_after_seconds: _,
    } = version.settings.clone();
    if run_once && restart != RestartPolicy::No {
        return Err(ApiError::new(
            ErrorKind::InvalidArgument,
            "restart: an application that runs once is not started again; leave it out, or use `no`",
        ));
    }
    healthy_after(&version.settings)?;
    Ok(CreateContainer {
        application: Some(version.application.clone()),
        command,
        env,
        ports,
        volumes,
        limits,
        restart,
        tty,
        privileges,
        operation: Some(operation.clone()),
        ..CreateContainer::new(name, image.as_str())
    })
}

/// For how many seconds a new container must have run.
///
/// # Errors
/// `InvalidArgument`.
pub(super) fn healthy_after(settings: &Settings) -> Result<u32, ApiError> {
    match settings.healthy_after_seconds.unwrap_or(HEALTHY_AFTER) {
        seconds @ 1..=HEALTHY_MOST => Ok(seconds),
        seconds => Err(ApiError::new(
            ErrorKind::InvalidArgument,
            format!("healthy_after_seconds is {seconds}; use 1 to {HEALTHY_MOST}"),
        )),
    }
}

//! Deploys applications: decides where to, keeps the decision, and orders the devices. From there they work by themselves; their
//! `operation` events tell how it goes on.
//!
//! A decision is on disk before the first device hears of it, so the same order again means the same devices, also after a restart.

use std::collections::BTreeSet;

use ecep_fleet::{
    placement::{self, Device, Needs, Wish},
    quota::Demand,
};
use ecep_proto::api::{
    DeviceDeployment, DeviceReplacement,
    application::{
        DeployApplication, Deployed, Deployment, DeviceDeploy, DeviceUpdate, DeviceVersion, PlaceApplication,
        Placement, Settings, UpdateContainer,
    },
    error::{ApiError, ErrorKind},
    name::{ContainerName, DeviceId, OperationId, TenantSlug},
    operation::OperationReply,
    placement::{Candidate, MAX_DEVICES, Target},
    reply::Caller,
};
use futures_util::future::join_all;

use super::{
    Uplink,
    migration::{no_container, operation_or_new},
};
use crate::{
    applications::check_settings,
    clock::unix_ms,
    naming::invalid,
    store::{Delivery, StoredDeployment, Version},
};

/// Devices that one answer tells about, the chosen ones first: what a person reads, and a message holds.
const MAX_CANDIDATES: usize = 200;
/// Devices that an error tells about.
const MAX_TOLD: usize = 5;

impl Uplink {
    /// Where a deployment would go.
    ///
    /// # Errors
    /// `NotFound` for an application, version or device that there is not, `InvalidArgument`.
    pub(super) fn place(
        &self,
        tenant: &TenantSlug,
        request: PlaceApplication,
    ) -> Result<Placement, ApiError> {
        let PlaceApplication { application, version, target, settings } = request;
        let version = self.version(tenant, &application, version)?;
        let settings = settings.unwrap_or_else(|| version.settings.clone());
        let name = name_of(&version)?;
        let mut candidates = self.candidates(tenant, &version, &settings, &name, &target)?;
        candidates.truncate(MAX_CANDIDATES);
        Ok(Placement { candidates })
    }

    /// Deploys an application.
    ///
    /// # Errors
    /// As [`Uplink::place`]; `Preflight` where no device fits, `Conflict` for another order of the same operation, and what the devices
    /// say where none of them has begun.
    pub(super) async fn deploy(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: DeployApplication,
    ) -> Result<Deployment, ApiError> {
        let operation = operation_or_new(request.operation.clone(), "deploy")?;
        let decided = self.decided(tenant, &operation, &request).await?;
        let version = self.version(tenant, &request.application, Some(decided.version))?;
        let settings = request.settings.unwrap_or_else(|| version.settings.clone());
        let version = self.device_version(&version, settings)?;
        self.allow(tenant, &decided.devices, &version).await?;
        tracing::info!(
            %tenant, application = %decided.application, version = decided.version, %operation,
            devices = decided.devices.len(), caller = %caller.authid, role = %caller.authrole,
            session = caller.session, "application is to be deployed"
        );
        let orders = decided.devices.iter().enumerate().map(|(place, device)| {
            let operation = operation_on(&operation, place, decided.devices.len());
            let (name, version) = (decided.name.clone(), version.clone());
            async move {
                let operation = operation?;
                let order =
                    DeviceDeploy { tenant: tenant.clone(), version, name, operation: operation.clone() };
                // It may have been the tenant's when this was decided.
                let begun = match self.refuse_unless_shared(tenant, device) {
                    Ok(()) => self.ask::<DeviceDeployment>(device, &order).await,
                    Err(error) => Err(error),
                };
                Ok::<_, ApiError>((device.clone(), operation, begun))
            }
        });
        let (mut devices, mut first_error, mut has_begun) = (Vec::new(), None, false);
        for ordered in join_all(orders).await {
            let (device, operation, begun) = ordered?;
            has_begun |= begun.is_ok();
            let (error, container_id) = match begun {
                Ok(reply) => (None, reply.container_id),
                Err(error) => {
                    let sentence = error.message.clone();
                    first_error.get_or_insert(error);
                    (Some(sentence), None)
                }
            };
            devices.push(Deployed { device, operation, error, container_id });
        }
        if let Some(error) = first_error.filter(|_| !has_begun) {
            return Err(error);
        }
        devices.extend(passed_over(&decided, &operation));
        Ok(Deployment { version: decided.version, devices, candidates: decided.candidates })
    }

    /// What was decided by this operation, now or before.
    async fn decided(
        &self,
        tenant: &TenantSlug,
        operation: &OperationId,
        request: &DeployApplication,
    ) -> Result<StoredDeployment, ApiError> {
        if let Some(known) = self.control.store.deployment(tenant, operation)? {
            return same_order(known, request);
        }
        let version = self.version(tenant, &request.application, request.version)?;
        let settings = request.settings.clone().unwrap_or_else(|| version.settings.clone());
        let name = request.name.clone().map_or_else(|| name_of(&version), Ok)?;
        let mut candidates = self.candidates(tenant, &version, &settings, &name, &request.target)?;
        let devices = chosen(&request.target, &candidates)?;
        operation_on(operation, devices.len(), devices.len())?;
        candidates.truncate(MAX_CANDIDATES);
        let decided = StoredDeployment {
            tenant: tenant.clone(),
            operation: operation.clone(),
            at: unix_ms(),
            application: version.application.clone(),
            version: version.number,
            name,
            target: request.target.clone(),
            devices,
            candidates,
        };
        same_order(self.control.store.decide_deployment(decided).await?, request)
    }

    /// Looks at the tenant's devices.
    fn candidates(
        &self,
        tenant: &TenantSlug,
        version: &Version,
        settings: &Settings,
        name: &ContainerName,
        target: &Target,
    ) -> Result<Vec<Candidate>, ApiError> {
        check_settings(settings)?;
        let wish = wish(target)?;
        if let Wish::These(devices) = &wish {
            devices.iter().try_for_each(|device| self.refuse_unless_shared(tenant, device))?;
        }
        let now = self.control.clock.now();
        let mut devices = self.control.view().placeable(now, tenant);
        devices.iter_mut().for_each(|device| self.tell_load(now, device));
        Ok(placement::place(&devices, &needs(version, settings, Some(name)), &wish))
    }

    /// How busy the device is.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, and takes NaN for 0"
    )]
    fn tell_load(&self, now: u64, device: &mut Device) {
        if let (Some(present), _) = self.control.history.present(now, &device.id, &[]) {
            device.cpu_percent = present.cpu_percent;
            device.memory_used_bytes = present.memory_bytes.map(|bytes| bytes as u64);
            device.disk_free_bytes = present.disk_free_bytes.map(|bytes| bytes as u64);
        }
    }

    /// Replaces a container by one of another version.
    ///
    /// # Errors
    /// `NotFound` for a container or version that there is not, `Preflight` where its device does not run it, `Conflict` while it moves,
    /// `Unavailable` where the device does not answer, and what the device says.
    pub(super) async fn update(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: UpdateContainer,
    ) -> Result<OperationReply, ApiError> {
        let UpdateContainer { container, version, settings, operation } = request;
        let operation = operation_or_new(operation, "update")?;
        let placed = self.control.authority.placement(&container).filter(|known| known.tenant == *tenant);
        let found = self.control.view().find(tenant, &container);
        let is_at = |device: &DeviceId| placed.as_ref().is_none_or(|known| known.holding.holder == *device);
        let (device, there) =
            found.into_iter().find(|(device, _)| is_at(device)).ok_or_else(|| no_container(&container))?;
        if let Some(moving) = placed.as_ref().and_then(|known| known.holding.moving.as_ref()) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "move {} of container {} is under way; wait for its end",
                    moving.migration, there.name
                ),
            ));
        }
        let version = self.version(tenant, &there.application, version)?;
        let settings = settings.unwrap_or_else(|| version.settings.clone());
        check_settings(&settings)?;
        self.refuse_unless_shared(tenant, &device)?;
        self.refuse_if_ending(tenant, &device)?;
        self.refuse_unless_reporting(&device, "has the container")?;
        let architecture = self.control.view().architecture(&device).unwrap_or_default();
        if !architecture.is_empty() && !placement::runs(&architecture, &version.architectures) {
            return Err(ApiError::new(
                ErrorKind::Preflight,
                format!(
                    "device {device} is {}, and version {} is for {}; add a version for it",
                    placement::platform_of(&architecture),
                    version.number,
                    version.architectures.join(", ")
                ),
            ));
        }
        let version = self.device_version(&version, settings)?;
        self.allow(tenant, std::slice::from_ref(&device), &version).await?;
        tracing::info!(
            %tenant, %container, %device, application = %version.application, version = version.version, %operation,
            caller = %caller.authid, role = %caller.authrole, session = caller.session, "container is to be updated"
        );
        let order = DeviceUpdate { tenant: tenant.clone(), container, version, operation };
        self.ask::<DeviceReplacement>(&device, &order).await
    }

    /// What a device is told of a version.
    ///
    /// # Errors
    /// `Conflict` where the artifact's bytes are not here.
    fn device_version(&self, version: &Version, settings: Settings) -> Result<DeviceVersion, ApiError> {
        if let Some(digest) = version.source.artifact() {
            let artifact = self.control.store.artifact(&version.tenant, digest)?;
            if !artifact.is_some_and(|artifact| self.control.artifacts.has_bytes(&artifact)) {
                return Err(ApiError::new(
                    ErrorKind::Conflict,
                    format!(
                        "the bytes of artifact {digest} are not on the control plane; upload the file again"
                    ),
                ));
            }
        }
        Ok(DeviceVersion {
            application: version.application.clone(),
            version: version.number,
            source: version.source.clone(),
            artifact_bytes: version.bytes,
            architectures: version.architectures.clone(),
            settings,
        })
    }

    /// The devices may fetch what they are ordered to run.
    async fn allow(
        &self,
        tenant: &TenantSlug,
        devices: &[DeviceId],
        version: &DeviceVersion,
    ) -> Result<(), ApiError> {
        let Some(digest) = version.source.artifact() else { return Ok(()) };
        let delivery = |device: &DeviceId| Delivery {
            device: device.clone(),
            tenant: tenant.clone(),
            digest: digest.clone(),
            at: unix_ms(),
        };
        let deliveries: Vec<Delivery> = devices.iter().map(delivery).collect();
        Ok(self.control.store.put_deliveries(&deliveries).await?)
    }
}

/// A container has the name of its application unless the order says otherwise.
fn name_of(version: &Version) -> Result<ContainerName, ApiError> {
    version.application.as_str().parse().map_err(|error| invalid(format!("{error}")))
}

fn needs(version: &Version, settings: &Settings, name: Option<&ContainerName>) -> Needs {
    Needs {
        architectures: version.architectures.clone(),
        demand: Demand::of(&settings.limits),
        disk_bytes: version.bytes.unwrap_or(0).saturating_add(version.unpacked_bytes.unwrap_or(0)),
        name: name.cloned(),
        publishes: !settings.ports.is_empty(),
        ports: settings.ports.iter().filter_map(|port| Some((port.host?, port.protocol))).collect(),
    }
}

fn wish(target: &Target) -> Result<Wish, ApiError> {
    let number = |count: &Option<u32>| match count.unwrap_or(1) {
        count @ 1..=MAX_DEVICES => Ok(usize::try_from(count).unwrap_or(1)),
        count => Err(invalid(format!("target: count must be 1 to {MAX_DEVICES}, not {count}."))),
    };
    match target {
        Target::Devices { devices } => {
            let all: BTreeSet<&DeviceId> = devices.iter().collect();
            if devices.is_empty() || devices.len() > MAX_DEVICES as usize || all.len() != devices.len() {
                return Err(invalid(format!(
                    "target: name 1 to {MAX_DEVICES} devices, each once; {} are named.",
                    devices.len()
                )));
            }
            Ok(Wish::These(devices.clone()))
        }
        Target::Place { location, count, within_km } => {
            if !location.is_valid() {
                return Err(invalid(
                    "target: this is no place on the earth; use lat -90 to 90 and lon -180 to 180.",
                ));
            }
            if within_km.is_some_and(|km| km.is_nan() || km < 0.0) {
                return Err(invalid("target: within_km must be a number of kilometres."));
            }
            Ok(Wish::Nearest { to: *location, count: number(count)?, within_km: *within_km })
        }
        Target::Anywhere { count } => Ok(Wish::Roomiest { count: number(count)? }),
    }
}

/// The devices that were chosen: of those that a person has named all that fit, else as many as were wished for or none.
fn chosen(target: &Target, candidates: &[Candidate]) -> Result<Vec<DeviceId>, ApiError> {
    let devices: Vec<DeviceId> =
        candidates.iter().filter(|one| one.chosen).map(|one| one.device.clone()).collect();
    let wanted = match target {
        Target::Devices { .. } => 1,
        Target::Place { count, .. } | Target::Anywhere { count } => count.unwrap_or(1) as usize,
    };
    if devices.len() >= wanted {
        return Ok(devices);
    }
    let rejected = candidates.iter().filter(|one| !one.chosen);
    let told: Vec<String> = rejected
        .clone()
        .take(MAX_TOLD)
        .map(|one| format!("{}: {}", one.device, one.reasons.join(" ")))
        .collect();
    let more = rejected.count().saturating_sub(told.len());
    let more = if more > 0 { format!(" And {more} more.") } else { String::new() };
    let found = match (devices.len(), candidates.len()) {
        (_, 0) => "this tenant has no devices; enrol one first".to_owned(),
        (0, _) => "no device fits".to_owned(),
        (fit, _) => format!("only {fit} of the {wanted} devices that are wanted fit"),
    };
    let reasons: Vec<&str> = told.iter().map(String::as_str).collect();
    Err(ApiError::new(ErrorKind::Preflight, format!("{found}. {}{more}", told.join(" ")).trim().to_owned())
        .with("devices", reasons))
}

/// The operation on one of so many devices, counted from 0.
fn operation_on(operation: &OperationId, place: usize, devices: usize) -> Result<OperationId, ApiError> {
    if devices <= 1 {
        return Ok(operation.clone());
    }
    format!("{operation}-{}", place + 1).parse().map_err(|error| invalid(format!("operation: {error}")))
}

/// Devices that a person has named and that do not fit.
fn passed_over(decided: &StoredDeployment, operation: &OperationId) -> Vec<Deployed> {
    if !matches!(decided.target, Target::Devices { .. }) {
        return Vec::new();
    }
    let rejected = decided.candidates.iter().filter(|one| !one.chosen);
    rejected
        .map(|one| Deployed {
            device: one.device.clone(),
            operation: operation.clone(),
            error: Some(one.reasons.join(" ")),
            container_id: None,
        })
        .collect()
}

/// What was decided, if it was by this order.
fn same_order(known: StoredDeployment, request: &DeployApplication) -> Result<StoredDeployment, ApiError> {
    let is_same = known.application == request.application
        && request.version.is_none_or(|version| version == known.version)
        && request.name.as_ref().is_none_or(|name| *name == known.name)
        && request.target == known.target;
    if is_same {
        return Ok(known);
    }
    Err(ApiError::new(
        ErrorKind::Conflict,
        format!("operation {} was another order; choose another id", known.operation),
    ))
}

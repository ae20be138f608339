//! Orders a move: asks both ends whether it can be, lets the authority begin it, and sets the two devices to work with a
//! signed grant. From there they work by themselves; they come back to the authority for the decision.

use std::time::Duration;

use ecep_channel::grant::{Grant, GrantId, Mode};
use ecep_link::{CallError, LinkState};
use ecep_proto::api::{
    MigrationCheck, MigrationExpect, MigrationStart, MigrationStop, MigrationSurvey, Procedure,
    device::Liveness,
    error::{ApiError, ErrorKind},
    migration::{
        CancelMigration, Check, DecideReply, DecideRequest, Decision, ExpectMigration, MigrateContainer,
        MigrationEnd, MigrationMode, MigrationOptions, MigrationPhase, MigrationRef, MigrationReport,
        MigrationState, MigrationView, OverDowntime, Preflight, PreflightMigration, StartMigration,
        SurveyRequest, Verdict,
    },
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
    network::{AssignAddress, AssignedAddress, ReleaseAddress},
    reply::{Caller, Nothing},
};

use super::{Uplink, forecast, move_order, procedures::device_of};
use crate::{authority::Decided, clock::unix_ms, moves::Ordered, naming::id_from, store::Placement};

/// A grant is used within seconds; a move that waits for its turn at a busy device needs longer.
const GRANT_VALID: Duration = Duration::from_secs(60 * 60);
/// Random characters of an operation's id.
const OPERATION_SUFFIX: usize = 12;

/// What the pre-flight found, with what is needed to go on.
struct Looked {
    preflight: Preflight,
    source: DeviceId,
    name: ecep_proto::api::name::ContainerName,
}

impl Uplink {
    /// Whether a container could be moved.
    ///
    /// # Errors
    /// `NotFound` where there is no such container or device, `Unavailable` where an end does not answer.
    pub(super) async fn preflight(
        &self,
        tenant: &TenantSlug,
        request: &PreflightMigration,
    ) -> Result<Preflight, ApiError> {
        Ok(self.look(tenant, &request.container, &request.destination).await?.preflight)
    }

    /// Begins a move.
    ///
    /// # Errors
    /// As [`Uplink::preflight`]; `Preflight` where it cannot be moved so, `Conflict` where it moves already.
    pub(super) async fn migrate(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: MigrateContainer,
    ) -> Result<MigrationView, ApiError> {
        let options = move_order::options(&request)?;
        let MigrateContainer { container, destination, mode, bytes_per_second, operation, .. } = request;
        let operation = operation_or_new(operation, "move")?;
        let mut view = MigrationView {
            operation: operation.clone(),
            container: container.clone(),
            name: container.as_str().parse().map_err(|_| no_container(&container))?,
            source: destination.clone(),
            destination: destination.clone(),
            mode,
            bytes_per_second,
            options: options.clone(),
            went_cold: false,
            state: MigrationState::Running,
            phase: MigrationPhase::Preparing,
            cancellable: true,
            bytes_done: 0,
            bytes_total: None,
            bytes_sent: 0,
            phases: Vec::new(),
            rounds: Vec::new(),
            estimated_downtime_ms: None,
            downtime_ms: None,
            started_at: unix_ms(),
            ended_at: None,
            error: None,
        };
        if let Ordered::Known(known) = self.control.moves.ordered(tenant, &view)? {
            return Ok(*known);
        }
        let Looked { preflight, source, name } = self.look(tenant, &container, &destination).await?;
        refuse_unless_possible(&preflight, mode)?;
        view.source = source.clone();
        view.name = name.clone();

        let ends = (&source, &destination);
        let placement = self.control.authority.begin(tenant, (&container, &name), &operation, ends).await?;
        if let Ordered::Known(known) = self.control.moves.ordered(tenant, &view)? {
            // The same order came twice at once; the other one is at it.
            return Ok(*known);
        }
        self.control.moves.add(tenant, view.clone())?;
        // The caller will ask for it, also after a crash.
        self.control.store.flush().await?;
        tracing::info!(
            %container, %tenant, %source, %destination, ?mode, bytes_per_second, ?options, migration = %operation,
            caller = %caller.authid, role = %caller.authrole, session = caller.session, "move begins"
        );
        self.tell_move(tenant, view.clone(), false);
        let grant = Grant {
            id: GrantId::random(),
            migration: operation.clone(),
            container: container.clone(),
            tenant: tenant.clone(),
            source: source.clone(),
            destination: destination.clone(),
            generation: placement.holding.generation,
            mode: match (mode, options.over_downtime) {
                (MigrationMode::Live, OverDowntime::Refuse) => Mode::Live,
                (MigrationMode::Live, OverDowntime::Cold) => Mode::LiveOrCold,
                (MigrationMode::Cold, _) => Mode::Cold,
            },
            not_after: grant_ends(),
        };
        if let Err(error) = self.set_to_work(grant, bytes_per_second, options).await {
            let request = DecideRequest {
                migration: operation,
                container,
                generation: placement.holding.generation,
                decision: Decision::Abort,
                reason: Some(error.message.clone()),
            };
            self.decide_as(&source, request).await?;
            return Err(error);
        }
        Ok(view)
    }

    /// Gives a move up, if it is not too late.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` where it is too late.
    pub(super) async fn cancel(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: MigrationRef,
    ) -> Result<MigrationView, ApiError> {
        let operation = request.operation;
        let not_found = || {
            ApiError::new(
                ErrorKind::NotFound,
                format!("there is no move {operation}; list the moves for their operations"),
            )
        };
        let view = self.control.moves.get(tenant, &operation).ok_or_else(not_found)?;
        if view.state != MigrationState::Running {
            return Err(ApiError::new(ErrorKind::Conflict, "this move has ended already"));
        }
        tracing::info!(migration = %operation, %tenant, caller = %caller.authid, "move is to be cancelled");
        let stop = CancelMigration { migration: operation.clone() };
        self.ask::<MigrationStop>(&view.source, &stop).await?;
        self.control.alerts.cancelled(operation.clone());
        self.control.moves.get(tenant, &operation).ok_or_else(not_found)
    }

    /// A device decides, or asks.
    pub(super) async fn decide(
        &self,
        caller: &Caller,
        request: DecideRequest,
    ) -> Result<DecideReply, ApiError> {
        self.decide_as(&device_of(caller)?, request).await
    }

    async fn decide_as(&self, device: &DeviceId, request: DecideRequest) -> Result<DecideReply, ApiError> {
        let ports = |placement: &Placement| {
            let of_source = self.control.view().find(&placement.tenant, &placement.container);
            let at_source = of_source.into_iter().find(|(at, _)| *at == placement.holding.holder);
            at_source.map(|(_, view)| view.ports).unwrap_or_default()
        };
        let (standing, decided) = self.control.authority.decide(device, &request, ports).await?;
        if let Some(decided) = decided {
            self.tell_decided(&decided);
        }
        Ok(DecideReply { standing })
    }

    /// The tenant hears what was decided about a move.
    pub(super) fn tell_decided(&self, decided: &Decided) {
        tracing::info!(
            migration = %decided.migration, tenant = %decided.tenant, committed = decided.is_committed,
            reason = decided.reason.as_deref().unwrap_or_default(), "move decided"
        );
        match self.control.moves.decided(decided) {
            Ok(Some(view)) => self.tell_move(&decided.tenant, view, true),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a move could not be stored"),
        }
    }

    /// A device tells how a move goes on.
    pub(super) fn migration_told(
        &self,
        caller: &Caller,
        report: &MigrationReport,
    ) -> Result<Nothing, ApiError> {
        if let Some(told) = self.control.moves.told(&device_of(caller)?, report)? {
            self.tell_move(&told.tenant, told.view, told.has_ended);
        }
        Ok(Nothing {})
    }

    /// A device is about to create a container.
    pub(super) async fn assign(
        &self,
        caller: &Caller,
        request: AssignAddress,
    ) -> Result<AssignedAddress, ApiError> {
        let device = device_of(caller)?;
        let shared = self.control.view().tenants_of(&device).is_some_and(|all| all.contains(&request.tenant));
        if !shared {
            return Err(ApiError::new(
                ErrorKind::Forbidden,
                format!("tenant {} has no share in this device", request.tenant),
            ));
        }
        // One that was made without an address is its device's all the same.
        let is_new = self.control.authority.placement(&request.container).is_none();
        if is_new {
            self.refuse_if_ending(&request.tenant, &device)?;
        }
        if is_new && self.control.view().is_elsewhere(&device, &request.container) {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!("container {} is not this device's to create", request.container),
            ));
        }
        self.control.authority.assign(&device, request).await
    }

    /// A device did not create a container after all, or has deleted it.
    pub(super) async fn release(
        &self,
        caller: &Caller,
        request: ReleaseAddress,
    ) -> Result<Nothing, ApiError> {
        self.control.authority.release(&device_of(caller)?, &request.container).await?;
        Ok(Nothing {})
    }

    async fn look(
        &self,
        tenant: &TenantSlug,
        container: &ContainerId,
        destination: &DeviceId,
    ) -> Result<Looked, ApiError> {
        let holder = self.control.authority.placement(container).filter(|known| known.tenant == *tenant);
        let found = self.control.view().find(tenant, container);
        let at =
            |(device, _): &(DeviceId, _)| holder.as_ref().is_none_or(|known| known.holding.holder == *device);
        let (source, view) = found.into_iter().find(at).ok_or_else(|| no_container(container))?;
        self.refuse_unless_shared(tenant, destination)?;
        self.refuse_if_ending(tenant, destination)?;
        if source == *destination {
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!("container {} is on {destination} already", view.name),
            ));
        }
        for (device, end) in [(&source, "has the container"), (destination, "would get it")] {
            self.refuse_unless_reporting(device, end)?;
        }
        let request = SurveyRequest { tenant: tenant.clone(), container: container.clone() };
        let survey = self.ask::<MigrationSurvey>(&source, &request).await?;
        let answer = self.ask::<MigrationCheck>(destination, &survey.needs).await?;
        let mut checks: Vec<Check> = survey.checks.into_iter().chain(answer.checks).collect();
        if let Some(moving) = holder.as_ref().and_then(|known| known.holding.moving.as_ref()) {
            let text = format!("move {} of this container is under way; wait for its end", moving.migration);
            checks.push(Check::new(MigrationEnd::ControlPlane, Verdict::Refused, text));
        }
        checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
        let files = |volumes: &[(String, u64)]| volumes.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let verdict = checks.first().map_or(Verdict::Live, |worst| worst.verdict);
        let moves = self.control.moves.list(tenant, None);
        let rate = forecast::known_rate(&moves, &source, destination);
        let preflight = Preflight {
            verdict,
            checks,
            image_bytes: answer.image_bytes,
            estimate: forecast::forecast(verdict, &survey.needs, answer.image_bytes, rate),
            memory_bytes: survey.needs.memory_bytes,
            file_bytes: survey.needs.writable_bytes + files(&survey.needs.volumes),
        };
        Ok(Looked { preflight, source, name: view.name })
    }

    /// A device that is not the tenant's is not there for it.
    pub(super) fn refuse_unless_shared(
        &self,
        tenant: &TenantSlug,
        device: &DeviceId,
    ) -> Result<(), ApiError> {
        if self.control.view().tenants_of(device).is_some_and(|all| all.contains(tenant)) {
            return Ok(());
        }
        let text = format!("there is no device {device}; list the devices for their ids");
        Err(ApiError::new(ErrorKind::NotFound, text))
    }

    pub(super) fn refuse_unless_reporting(&self, device: &DeviceId, end: &str) -> Result<(), ApiError> {
        let view = self.control.view().device(self.control.clock.now(), device);
        match view {
            Some(view) if matches!(view.liveness, Liveness::Connected | Liveness::Degraded) => Ok(()),
            Some(view) => Err(ApiError::new(
                ErrorKind::Unavailable,
                format!("device {} ({device}), which {end}, is {}", view.name, liveness(view.liveness)),
            )),
            None => Err(ApiError::new(ErrorKind::NotFound, format!("there is no device {device}"))),
        }
    }

    async fn set_to_work(
        &self,
        grant: Grant,
        bytes_per_second: Option<u64>,
        options: MigrationOptions,
    ) -> Result<(), ApiError> {
        let (source, destination) = (grant.source.clone(), grant.destination.clone());
        let addresses = self.channel_addresses(&destination);
        let signed = self.signed(grant)?;
        self.ask::<MigrationExpect>(&destination, &ExpectMigration { grant: signed.clone() }).await?;
        let start = StartMigration { grant: signed, addresses, bytes_per_second, options };
        self.ask::<MigrationStart>(&source, &start).await?;
        Ok(())
    }

    /// A grant as devices take it.
    pub(super) fn signed(&self, grant: Grant) -> Result<serde_json::Value, ApiError> {
        serde_json::to_value(self.control.channels.sign(grant))
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))
    }

    /// Where other devices reach this one.
    pub(super) fn channel_addresses(&self, device: &DeviceId) -> Vec<String> {
        let view = self.control.view().device(self.control.clock.now(), device);
        let facts = view.and_then(|view| view.facts);
        let Some(port) = facts.as_ref().and_then(|facts| facts.channel_port) else { return Vec::new() };
        let addresses = facts.map(|facts| facts.addresses).unwrap_or_default();
        let ips = addresses.iter().filter_map(|address| address.parse::<std::net::IpAddr>().ok());
        ips.map(|ip| std::net::SocketAddr::from((ip, port)).to_string()).collect()
    }

    /// Calls a device over the control realm.
    pub(super) async fn ask<P: Procedure>(
        &self,
        device: &DeviceId,
        request: &P::Request,
    ) -> Result<P::Reply, ApiError> {
        let link =
            self.control_link.get().filter(|link| matches!(*link.state().borrow(), LinkState::Joined { .. }));
        let Some(link) = link else {
            return Err(ApiError::new(
                ErrorKind::Unavailable,
                "the control plane is not connected to the router now; try again in a few seconds",
            ));
        };
        link.call::<P>(&P::on(device), request).await.map_err(|error| of_device(device, error))
    }
}

fn of_device(device: &DeviceId, error: CallError) -> ApiError {
    match error {
        CallError::Remote { uri, message } => {
            let kind = serde_json::from_value(uri.into()).unwrap_or(ErrorKind::Unavailable);
            ApiError::new(kind, format!("device {device}: {message}"))
        }
        error => ApiError::new(ErrorKind::Unavailable, format!("device {device} does not answer: {error}")),
    }
}

fn refuse_unless_possible(preflight: &Preflight, mode: MigrationMode) -> Result<(), ApiError> {
    let allowed = match mode {
        MigrationMode::Live => Verdict::Live,
        MigrationMode::Cold => Verdict::Cold,
    };
    if preflight.verdict <= allowed {
        return Ok(());
    }
    let hindering = preflight.checks.iter().filter(|check| check.verdict > allowed);
    let reasons: Vec<&str> = hindering.map(|check| check.text.as_str()).collect();
    let advice = match preflight.verdict {
        Verdict::Cold => " It can be moved cold: stopped, copied and started there.",
        Verdict::Live | Verdict::Refused => "",
    };
    let message = format!("the container cannot be moved so: {}.{advice}", reasons.join("; "));
    Err(ApiError::new(ErrorKind::Preflight, message).with("checks", reasons))
}

fn liveness(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Connected => "connected",
        Liveness::Degraded => "degraded",
        Liveness::Stale => "silent for some seconds; wait until it reports again",
        Liveness::Offline => "offline; see whether it is on and has a network",
        Liveness::Never => "enrolled but was never heard of; start its agent",
    }
}

/// The operation that the caller has named, or a new one.
pub(super) fn operation_or_new(named: Option<OperationId>, kind: &str) -> Result<OperationId, ApiError> {
    let new = || id_from(kind, kind, OPERATION_SUFFIX).parse();
    named.map_or_else(new, Ok).map_err(|error| ApiError::new(ErrorKind::InvalidArgument, format!("{error}")))
}

/// The last second in which a grant that is made now can be used for the first time.
pub(super) fn grant_ends() -> u64 {
    unix_ms() / 1000 + GRANT_VALID.as_secs()
}

pub(super) fn no_container(container: &ContainerId) -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        format!("no container {container} of this tenant is known; list the containers for their ids"),
    )
}

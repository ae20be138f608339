//! Statistics and alerts: what reports tell of them, and what tenants ask.

use std::sync::Arc;

use ecep_fleet::alerts::{Outcome, Started};
use ecep_proto::api::{
    alert::{AlertRef, AlertView},
    error::{ApiError, ErrorKind},
    fleet::TenantContainer,
    history::{StatsHistory, StatsQuery, StatsReport},
    migration::{MigrationState, MigrationView},
    name::{DeviceId, TenantSlug},
    reply::Caller,
};

use super::{Uplink, teller::Told};
use crate::{alerts::FleetLook, clock::readable, naming::invalid};

impl Uplink {
    /// The starts of the containers in a report that are the device's to report.
    pub(super) fn started(
        &self,
        device: &DeviceId,
        tenants: &[TenantSlug],
        containers: &[TenantContainer],
    ) -> Vec<Started> {
        let own = containers.iter().filter(|one| {
            tenants.contains(&one.tenant) && self.control.authority.is_visible(&one.container.id, device)
        });
        own.map(|one| (one.tenant.clone(), one.container.id.clone(), one.container.started_at)).collect()
    }

    /// Takes a report's statistics and the starts of its containers.
    pub(super) fn learn(
        &self,
        device: &DeviceId,
        tenants: &[TenantSlug],
        stats: Option<StatsReport>,
        started: Option<Vec<Started>>,
    ) -> Result<(), ApiError> {
        let control = &self.control;
        let now = control.clock.now();
        let mut outcomes = Vec::new();
        if let Some(started) = started {
            outcomes.extend(control.alerts.containers(now, device, started));
        }
        if let Some(stats) = stats {
            control.history.take(now, device, &stats, |tenant, container| {
                tenants.contains(tenant) && control.authority.is_visible(container, device)
            })?;
            outcomes.extend(control.alerts.figures(now, device, &stats.summaries));
        }
        self.alarm(outcomes);
        Ok(())
    }

    /// Sees what has been wrong, or right, for long enough.
    pub(super) fn look_for_alerts(&self) {
        let now = self.control.clock.now();
        let devices = self.control.view().liveness(now);
        self.alarm(self.control.alerts.look(now, devices));
    }

    /// A move has ended.
    pub(super) fn move_ended(&self, tenant: &TenantSlug, view: &MigrationView) {
        let went_well = view.state == MigrationState::Done;
        let now = self.control.clock.now();
        self.alarm(self.control.alerts.moved(now, tenant, &view.container, &view.operation, went_well));
    }

    fn alarm(&self, outcomes: Vec<Outcome>) {
        if outcomes.is_empty() {
            return;
        }
        let now = self.control.clock.now();
        // Under the lock no share ends between the look and what is kept by it.
        let view = self.control.view();
        let look = FleetLook::at(&view, now, &outcomes);
        for said in self.control.alerts.keep(now, outcomes, &look) {
            self.queue(&said.tenant, Told::Notice(said.level, said.text));
        }
    }

    /// Answers a question about the past. A tenant that does not own the device knows of it what it could have seen: not
    /// what was before it accepted the share.
    ///
    /// # Errors
    /// `NotFound` for what is not the tenant's, `InvalidArgument`, or `Unavailable`.
    pub(super) async fn history(
        &self,
        tenant: &TenantSlug,
        query: StatsQuery,
    ) -> Result<StatsHistory, ApiError> {
        let control = &self.control;
        let now = control.clock.now();
        let history = Arc::clone(&control.history);
        let mut asked = (query.from, query.to, query.step_ms);
        let none = |what: &str| {
            let list = format!("This tenant has no such {what}. List its {what}s for their ids.");
            ApiError::new(ErrorKind::NotFound, list)
        };
        // The disk may keep us waiting.
        let answer = match (query.device, query.container) {
            (Some(device), None) => {
                let since = control.view().had_since(&device, tenant).ok_or_else(|| none("device"))?;
                if query.to <= since {
                    return Err(invalid(format!(
                        "The device is shared with this tenant since {}. Ask for a later time.",
                        readable(since)
                    )));
                }
                asked.0 = query.from.max(since);
                tokio::task::spawn_blocking(move || history.of_device(now, &device, asked)).await
            }
            (None, Some(container)) => {
                let known = history.knows(&(tenant.clone(), container.clone()))
                    || !control.view().find(tenant, &container).is_empty();
                if !known {
                    return Err(none("container"));
                }
                let key = (tenant.clone(), container);
                tokio::task::spawn_blocking(move || history.of_container(now, &key, asked)).await
            }
            _ => return Err(invalid("Ask for a device or for a container, and not for both.")),
        };
        answer.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorKind::Unavailable, "The statistics cannot be read now. Try again."))
        })
    }

    /// A person has seen an alert.
    pub(super) async fn acknowledge(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: AlertRef,
    ) -> Result<AlertView, ApiError> {
        let now = self.control.clock.now();
        let view = self.control.alerts.acknowledge(now, tenant, &request.alert, &caller.authid).await?;
        tracing::info!(%tenant, alert = %view.id, caller = %caller.authid, "alert acknowledged");
        Ok(view)
    }
}

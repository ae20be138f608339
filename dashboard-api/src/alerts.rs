//! The alerts as people see them: which tenant has which, in which words, and what is kept. When something is raised or
//! over is not decided here but in `ecep_fleet::alerts`.
//!
//! An alert about a device is told to every tenant that has a share in it; each has its own copy, and sees it for itself.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_fleet::alerts::{
    Alert, Alerts, DISK_LOW_BYTES, OVERLOAD_PERCENT, OVERLOAD_RAISE_MS, Outcome, RESTART_CLEAR_MS,
    RESTART_WINDOW_MS, RESTARTS, Started, Subject,
};
use ecep_proto::api::{
    alert::{AlertFilter, AlertKind, AlertList, AlertQuery, AlertView, DEFAULT_ALERTS, MAX_ALERTS},
    device::Liveness,
    error::{ApiError, ErrorKind},
    history::StatsSummary,
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
    notice::NoticeLevel,
};

use crate::{
    fleet_view::{FleetView, shares::tenants},
    naming::invalid,
    secret::random_suffix,
    store::{Store, StoreError, StoredAlert},
};

/// Random characters at the end of an alert's id.
const ID_SUFFIX: usize = 6;
/// Moves that were cancelled and have not ended yet. Policy: past it they are all forgotten, and their ends alarm
/// somebody in vain.
const MAX_CANCELLED: usize = 1_000;

/// What a tenant is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Who is told.
    pub tenant: TenantSlug,
    /// How much it matters.
    pub level: NoticeLevel,
    /// A sentence.
    pub text: String,
}

/// All alerts.
pub struct AlertBook {
    store: Store,
    state: Mutex<State>,
}

struct State {
    decider: Alerts,
    /// The active ones, by their ids.
    active: HashMap<(TenantSlug, Alert), String>,
    cancelled: HashSet<OperationId>,
}

impl AlertBook {
    /// Goes on with what is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: Store, now: u64) -> Result<Self, StoreError> {
        let mut active = HashMap::new();
        let mut since = HashMap::new();
        for stored in store.alerts()?.into_iter().filter(|stored| stored.view.cleared_at.is_none()) {
            let Some(alert) = alert_of(&stored) else { continue };
            if let Subject::Device(device) = &alert.subject
                && !store.device(device)?.is_some_and(|row| tenants(&row).any(|one| *one == stored.tenant))
            {
                // Removed, or shared no more, right before the end of the process.
                clear(&store, stored, now)?;
                continue;
            }
            since.insert(alert.clone(), stored.view.raised_at);
            active.insert((stored.tenant, alert), stored.view.id);
        }
        let state = State { decider: Alerts::new(now, since), active, cancelled: HashSet::new() };
        Ok(Self { store, state: Mutex::new(state) })
    }

    /// How the devices are, to be told every few seconds.
    pub fn look(&self, now: u64, devices: Vec<(DeviceId, Liveness)>) -> Vec<Outcome> {
        let decider = &mut self.lock().decider;
        let changes = devices.into_iter().filter_map(|(id, liveness)| decider.liveness(now, &id, liveness));
        let mut outcomes: Vec<Outcome> = changes.collect();
        outcomes.extend(decider.due(now));
        outcomes
    }

    /// A device's newest statistics.
    pub fn figures(&self, now: u64, device: &DeviceId, summaries: &[StatsSummary]) -> Vec<Outcome> {
        let Some(newest) = summaries.last().filter(|newest| !newest.late) else { return Vec::new() };
        let cpu = newest.host.cpu.map(|cpu| cpu.avg);
        self.lock().decider.figures(now, device, cpu, newest.host.disk_free_bytes)
    }

    /// All containers on a device.
    pub fn containers(&self, now: u64, device: &DeviceId, containers: Vec<Started>) -> Vec<Outcome> {
        self.lock().decider.containers(now, device, containers)
    }

    /// A person has given a move up: it is to fail.
    pub fn cancelled(&self, operation: OperationId) {
        let mut state = self.lock();
        if state.cancelled.len() >= MAX_CANCELLED {
            state.cancelled.clear();
        }
        state.cancelled.insert(operation);
    }

    /// A move has ended.
    pub fn moved(
        &self,
        now: u64,
        tenant: &TenantSlug,
        container: &ContainerId,
        operation: &OperationId,
        went_well: bool,
    ) -> Vec<Outcome> {
        let mut state = self.lock();
        if state.cancelled.remove(operation) && !went_well {
            return Vec::new();
        }
        state.decider.moved(now, tenant, container, went_well).into_iter().collect()
    }

    /// A device was removed. Nobody need be told that its alerts are over.
    pub fn remove_device(&self, now: u64, device: &DeviceId) {
        let outcomes = self.lock().decider.remove_device(device);
        for outcome in outcomes {
            if let Outcome::Cleared(alert) = outcome {
                self.clear(now, &alert);
            }
        }
    }

    /// A tenant has no share in a device any more. It is told nothing more of the device's alerts.
    pub fn leave(&self, now: u64, tenant: &TenantSlug, device: &DeviceId) {
        let mut state = self.lock();
        let of_device = |alert: &Alert| matches!(&alert.subject, Subject::Device(id) if id == device);
        for (_, id) in state.active.extract_if(|(one, alert), _| one == tenant && of_device(alert)) {
            match self.store.alert(tenant, &id) {
                Ok(Some(stored)) => log(clear(&self.store, stored, now)),
                // It was one too many.
                Ok(None) => {}
                Err(error) => log(Err(error)),
            }
        }
    }

    /// Keeps what has been raised and what is over. Answers what is to be said about it.
    pub fn keep(&self, now: u64, outcomes: Vec<Outcome>, look: &FleetLook) -> Vec<Said> {
        let mut said = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Raised(alert) => said.extend(self.raise(now, &alert, look)),
                Outcome::Cleared(alert) => said.extend(self.clear(now, &alert)),
            }
        }
        said
    }

    fn raise(&self, now: u64, alert: &Alert, look: &FleetLook) -> Vec<Said> {
        let (device, container, name, tenants, why) = match &alert.subject {
            Subject::Device(id) => {
                let Some(known) = look.devices.get(id) else { return Vec::new() };
                let (name, tenants, why) = known.clone();
                (Some(id.clone()), None, name, tenants, why)
            }
            Subject::Container(tenant, id) => {
                let key = (tenant.clone(), id.clone());
                let (name, device) = look.containers.get(&key).cloned().unzip();
                let name = name.unwrap_or_else(|| id.to_string());
                (device, Some(id.clone()), name, vec![tenant.clone()], String::new())
            }
        };
        let text = text_of(alert.kind, &name, &why);
        let mut said = Vec::new();
        for tenant in tenants {
            let view = AlertView {
                id: format!("{now:013}-{}", random_suffix(ID_SUFFIX)),
                kind: alert.kind,
                device: device.clone(),
                container: container.clone(),
                text: text.clone(),
                raised_at: now,
                cleared_at: None,
                acknowledged_at: None,
                acknowledged_by: None,
            };
            tracing::info!(%tenant, alert = %view.id, kind = ?alert.kind, subject = %name, "alert raised");
            let mut state = self.lock();
            state.active.insert((tenant.clone(), alert.clone()), view.id.clone());
            log(self.store.put_alert(&StoredAlert { tenant: tenant.clone(), name: name.clone(), view }));
            let level = match alert.kind {
                AlertKind::DeviceOffline => NoticeLevel::Error,
                // The move's own notice has said why.
                AlertKind::MigrationFailed => continue,
                AlertKind::DiskLow | AlertKind::Overload | AlertKind::RestartLoop => NoticeLevel::Warning,
            };
            said.push(Said { tenant, level, text: text.clone() });
        }
        said
    }

    fn clear(&self, now: u64, alert: &Alert) -> Vec<Said> {
        let mut state = self.lock();
        let ended = state.active.extract_if(|(_, active), _| active == alert);
        let mut said = Vec::new();
        for ((tenant, _), id) in ended {
            let stored = match self.store.alert(&tenant, &id) {
                Ok(Some(stored)) => stored,
                // It was one too many.
                Ok(None) => continue,
                Err(error) => {
                    log(Err(error));
                    continue;
                }
            };
            tracing::info!(%tenant, alert = %id, kind = ?alert.kind, subject = %stored.name, "alert cleared");
            let text = end_of(alert.kind, &stored.name);
            log(clear(&self.store, stored, now));
            if let Some(text) = text {
                said.push(Said { tenant, level: NoticeLevel::Success, text });
            }
        }
        said
    }

    /// The tenant's alerts, the newest first.
    ///
    /// # Errors
    /// `InvalidArgument`, or `Unavailable` if the store fails.
    pub fn list(&self, tenant: &TenantSlug, query: &AlertQuery) -> Result<AlertList, ApiError> {
        let limit = query.limit.unwrap_or(DEFAULT_ALERTS);
        if !(1..=MAX_ALERTS).contains(&limit) {
            return Err(invalid(format!("A list has 1 to {MAX_ALERTS} alerts, not {limit}.")));
        }
        let mut alerts = self.store.alerts_of(tenant)?;
        alerts.retain(|alert| {
            let is_wanted = query.which == AlertFilter::All || alert.view.cleared_at.is_none();
            is_wanted && query.after.as_ref().is_none_or(|after| alert.view.id < *after)
        });
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = alerts.len() > wanted;
        let views: Vec<AlertView> = alerts.into_iter().rev().take(wanted).map(|alert| alert.view).collect();
        let next = views.last().filter(|_| has_more).map(|last| last.id.clone());
        Ok(AlertList { alerts: views, next })
    }

    /// A person has seen an alert. The first who says so is kept.
    ///
    /// # Errors
    /// `NotFound`, or `Unavailable` if the store fails.
    pub async fn acknowledge(
        &self,
        now: u64,
        tenant: &TenantSlug,
        id: &str,
        authid: &str,
    ) -> Result<AlertView, ApiError> {
        let view = {
            // No other change of the row meanwhile.
            let _state = self.lock();
            let stored = self.store.alert(tenant, id)?;
            let mut stored = stored.ok_or_else(|| {
                ApiError::new(ErrorKind::NotFound, "There is no such alert. List the alerts for their ids.")
            })?;
            if stored.view.acknowledged_at.is_none() {
                stored.view.acknowledged_at = Some(now);
                stored.view.acknowledged_by = Some(authid.to_owned());
                self.store.put_alert(&stored)?;
            }
            stored.view
        };
        self.store.flush().await?;
        Ok(view)
    }

    /// How many are active: of all tenants, by kind.
    pub fn active(&self) -> HashMap<AlertKind, usize> {
        let mut counts = HashMap::new();
        for (_, alert) in self.lock().active.keys() {
            *counts.entry(alert.kind).or_default() += 1;
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each step leaves it sound, also before a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of what alerts are about.
#[derive(Debug, Default)]
pub struct FleetLook {
    /// Of each device its name, the tenants with a share in it, and why it is as it is.
    devices: HashMap<DeviceId, (String, Vec<TenantSlug>, String)>,
    /// Of each container its name, and where it is.
    containers: HashMap<(TenantSlug, ContainerId), (String, DeviceId)>,
}

impl FleetLook {
    /// Looks for what these are about.
    pub fn at(view: &FleetView, now: u64, outcomes: &[Outcome]) -> Self {
        let mut look = Self::default();
        for outcome in outcomes {
            let (Outcome::Raised(alert) | Outcome::Cleared(alert)) = outcome;
            match &alert.subject {
                Subject::Device(id) => {
                    if let (Some(device), Some(tenants)) = (view.device(now, id), view.tenants_of(id)) {
                        let why = device.reasons.join(" ");
                        look.devices.insert(id.clone(), (device.name, tenants, why));
                    }
                }
                Subject::Container(tenant, id) => {
                    if let Some((device, container)) = view.find(tenant, id).into_iter().next() {
                        let key = (tenant.clone(), id.clone());
                        look.containers.insert(key, (container.name.to_string(), device));
                    }
                }
            }
        }
        look
    }
}

fn alert_of(stored: &StoredAlert) -> Option<Alert> {
    let view = &stored.view;
    let subject = match (&view.container, &view.device) {
        (Some(container), _) => Subject::Container(stored.tenant.clone(), container.clone()),
        (None, Some(device)) => Subject::Device(device.clone()),
        (None, None) => return None,
    };
    Some(Alert { kind: view.kind, subject })
}

fn clear(store: &Store, mut stored: StoredAlert, now: u64) -> Result<(), StoreError> {
    stored.view.cleared_at = Some(now);
    store.put_alert(&stored)
}

fn log(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "an alert could not be stored");
    }
}

fn text_of(kind: AlertKind, name: &str, why: &str) -> String {
    let minutes = |ms: u64| ms / 60_000;
    match kind {
        AlertKind::DeviceOffline => format!("Device {name} is offline. {why}"),
        AlertKind::DiskLow => format!(
            "Device {name} has less than {} GiB of disk left for containers. Delete images and containers that nobody needs.",
            DISK_LOW_BYTES >> 30
        ),
        AlertKind::Overload => format!(
            "Device {name} has used more than {OVERLOAD_PERCENT} % of its CPU for {} minutes. Move a container to another device, or limit one.",
            minutes(OVERLOAD_RAISE_MS)
        ),
        AlertKind::MigrationFailed => {
            format!("Container {name} could not be moved. The list of moves says why; move it again.")
        }
        AlertKind::RestartLoop => format!(
            "Container {name} was started {RESTARTS} times again within {} minutes. Its output says why it ends.",
            minutes(RESTART_WINDOW_MS)
        ),
    }
}

/// `None` where something else has said it.
fn end_of(kind: AlertKind, name: &str) -> Option<String> {
    match kind {
        AlertKind::DeviceOffline => Some(format!("Device {name} is connected.")),
        AlertKind::DiskLow => Some(format!("Device {name} has enough disk again.")),
        AlertKind::Overload => Some(format!("Device {name} has CPU to spare again.")),
        AlertKind::MigrationFailed => None,
        AlertKind::RestartLoop => Some(format!(
            "Container {name} is not started again and again any more: it has run for {} minutes, or is gone.",
            RESTART_CLEAR_MS / 60_000
        )),
    }
}

#[cfg(test)]
mod tests;

//! The fleet as the agents' reports tell it: each device's last report, its containers, and how it is.
//!
//! Folds reports; does no I/O and reads no clock. Times are the control plane's, in milliseconds since 1970 on
//! its steady clock. Bounded by what is enrolled: one entry for each device, and `MAX_CONTAINERS` in it.

mod placing;
pub mod shares;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::Ipv4Addr,
};

use ecep_fleet::liveness::{Judgement, Watch};
use ecep_proto::api::{
    container::ContainerView,
    device::{DeviceFacts, DeviceList, DeviceView, Liveness},
    error::{ApiError, ErrorKind},
    fleet::{FleetContainers, PlacedContainer, Report, TenantContainer},
    name::{ContainerId, DeviceId, TenantSlug},
    share::TenantProblem,
};

use crate::{
    naming::invalid,
    store::{Device, LastReport},
};

/// Containers that one device may report: more than a device can run, few enough for one message.
const MAX_CONTAINERS: usize = 1_000;
/// Bytes of a device's facts and of one container, as JSON: many times what is usual, and a list of many still
/// fits into one message.
const MAX_PART_BYTES: usize = 16 * 1024;
/// Problems that one device may report; a person reads no more.
const MAX_PROBLEMS: usize = 50;
/// A report without news is stored this often, so that after a restart `last_seen_at` is about right.
const SAVE_EVERY_MS: u64 = 60_000;
/// A report with news is stored this long after the last one of the device: containers may come and go quickly.
const SAVE_NEWS_AFTER_MS: u64 = 2_000;

/// How a device has changed for one of its tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// For whom.
    pub tenant: TenantSlug,
    /// How it was; `None` if it was just enrolled.
    pub before: Option<Liveness>,
    /// How it is now.
    pub device: DeviceView,
}

#[derive(Debug)]
struct Entry {
    device: Device,
    facts: DeviceFacts,
    containers: Vec<TenantContainer>,
    watch: Watch,
    /// What only one tenant should mend, by the last report.
    problems: Vec<TenantProblem>,
    /// What each tenant was told last.
    told: BTreeMap<TenantSlug, Judgement>,
    deadline: Option<u64>,
    saved_at: u64,
    news: bool,
}

/// All enrolled devices.
#[derive(Debug, Default)]
pub struct FleetView {
    devices: BTreeMap<DeviceId, Entry>,
    deadlines: BTreeSet<(u64, DeviceId)>,
    unsaved: HashSet<DeviceId>,
    /// Tenants' names for people.
    names: BTreeMap<TenantSlug, String>,
}

impl FleetView {
    /// Adds a device that is enrolled, with what is stored of its last report. (A time of it that lies ahead means
    /// that our clock was set back; it would hold the device connected until then.)
    pub fn add(&mut self, now: u64, device: Device, last: Option<LastReport>) {
        let (watch, facts, containers) = match last {
            Some(last) => (Watch::last_heard(last.at.min(now), last.problems), last.facts, last.containers),
            None => (Watch::never_heard(), device.facts.clone(), Vec::new()),
        };
        let id = device.id.clone();
        let mut entry = Entry {
            device,
            facts,
            containers,
            watch,
            problems: Vec::new(),
            told: BTreeMap::new(),
            deadline: None,
            saved_at: now,
            news: false,
        };
        entry.told = entry.judgements(now);
        self.remove(&id);
        self.devices.insert(id.clone(), entry);
        self.set_deadline(now, &id);
    }

    /// One device, as its owner sees it; `None` if it is not enrolled.
    pub fn device(&self, now: u64, id: &DeviceId) -> Option<DeviceView> {
        let entry = self.devices.get(id)?;
        Some(self.view(entry, &entry.device.owner, entry.watch.judge(now)))
    }

    /// As `uname -m` says on the device; empty where it was never heard of.
    pub fn architecture(&self, id: &DeviceId) -> Option<String> {
        self.devices.get(id).map(|entry| entry.facts.architecture.clone())
    }

    /// A device's address for its neighbours: the first of its IPv4 addresses.
    pub fn address(&self, id: &DeviceId) -> Option<Ipv4Addr> {
        let facts = &self.devices.get(id)?.facts;
        facts.addresses.iter().find_map(|address| address.parse().ok())
    }

    /// Where the device has this container of the tenant, by its last report.
    pub fn find(&self, tenant: &TenantSlug, container: &ContainerId) -> Vec<(DeviceId, ContainerView)> {
        let of_tenant = |one: &&TenantContainer| one.tenant == *tenant && one.container.id == *container;
        let found = self.devices.iter().flat_map(|(id, entry)| {
            entry.containers.iter().filter(of_tenant).map(|one| (id.clone(), one.container.clone()))
        });
        found.collect()
    }

    /// Whether another device has a container of this id, by its last report.
    pub fn is_elsewhere(&self, device: &DeviceId, container: &ContainerId) -> bool {
        let others = self.devices.iter().filter(|(id, _)| *id != device);
        others.flat_map(|(_, entry)| &entry.containers).any(|one| one.container.id == *container)
    }

    /// Forgets a device.
    pub fn remove(&mut self, id: &DeviceId) {
        if let Some(entry) = self.devices.remove(id) {
            if let Some(deadline) = entry.deadline {
                self.deadlines.remove(&(deadline, id.clone()));
            }
            self.unsaved.remove(id);
        }
    }

    /// The tenants that have a share in the device: its owner, then those who have accepted one, by slug.
    pub fn tenants_of(&self, id: &DeviceId) -> Option<Vec<TenantSlug>> {
        self.devices.get(id).map(|entry| entry.tenants().cloned().collect())
    }

    /// A device told what it is.
    ///
    /// # Errors
    /// `Forbidden` if it is not enrolled.
    pub fn hello(&mut self, id: &DeviceId, facts: DeviceFacts) -> Result<(), ApiError> {
        let entry = self.devices.get_mut(id).ok_or_else(not_enrolled)?;
        check_size("The device's facts", &facts)?;
        entry.facts = facts;
        entry.news = true;
        self.unsaved.insert(id.clone());
        Ok(())
    }

    /// A device reported. `unix_now` is the system's clock, by which the device's own is judged. Containers of
    /// tenants without a share in the device are left out: a stolen device must not show up elsewhere.
    ///
    /// # Errors
    /// `Forbidden` if it is not enrolled, `InvalidArgument` if the report is too long.
    pub fn report(
        &mut self,
        now: u64,
        unix_now: u64,
        id: &DeviceId,
        report: Report,
    ) -> Result<Vec<Change>, ApiError> {
        let entry = self.devices.get_mut(id).ok_or_else(not_enrolled)?;
        if report.containers.len() > MAX_CONTAINERS
            || report.problems.len() + report.shares.problems.len() > MAX_PROBLEMS
        {
            return Err(invalid(format!(
                "A report may hold {MAX_CONTAINERS} containers and {MAX_PROBLEMS} problems at most."
            )));
        }
        for container in &report.containers {
            check_size("A container", container)?;
        }
        for problem in &report.problems {
            check_size("A problem", problem)?;
        }
        for problem in &report.shares.problems {
            check_size("A problem", &problem.text)?;
        }
        if let Some(facts) = &report.facts {
            check_size("The device's facts", facts)?;
        }
        let containers: Vec<_> =
            report.containers.into_iter().filter(|container| entry.has(&container.tenant)).collect();
        entry.problems = report.shares.problems;
        let clock_ahead_ms = i64::try_from(i128::from(report.at) - i128::from(unix_now)).unwrap_or(i64::MAX);
        let problems_before = entry.watch.problems().to_vec();
        entry.watch.reported(now, clock_ahead_ms, report.problems);
        entry.news |= containers != entry.containers || problems_before != entry.watch.problems();
        entry.containers = containers;
        if let Some(facts) = report.facts {
            entry.news |= facts != entry.facts;
            entry.facts = facts;
        }
        self.unsaved.insert(id.clone());
        self.set_deadline(now, id);
        Ok(self.judge(now, id))
    }

    /// When [`FleetView::due`] has something to say next, if no report arrives.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The devices that have changed because time has passed.
    pub fn due(&mut self, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((deadline, id)) = self.deadlines.first().cloned() {
            if deadline > now {
                break;
            }
            self.set_deadline(now, &id);
            changes.append(&mut self.judge(now, &id));
        }
        changes
    }

    /// What should be stored now; the caller does it.
    pub fn take_unsaved(&mut self, now: u64) -> Vec<(DeviceId, LastReport)> {
        let mut reports = Vec::new();
        for id in &self.unsaved {
            let Some(entry) = self.devices.get_mut(id) else { continue };
            let Some(at) = entry.watch.last_report_at() else { continue };
            let wait = if entry.news { SAVE_NEWS_AFTER_MS } else { SAVE_EVERY_MS };
            if now < entry.saved_at.saturating_add(wait) {
                continue;
            }
            reports.push((id.clone(), entry.last_report(at)));
            entry.saved_at = now;
            entry.news = false;
        }
        for (id, _) in &reports {
            self.unsaved.remove(id);
        }
        reports
    }

    /// Every last report, for the end of the process.
    pub fn last_reports(&self) -> Vec<(DeviceId, LastReport)> {
        let all = self.devices.iter();
        all.filter_map(|(id, entry)| {
            entry.watch.last_report_at().map(|at| (id.clone(), entry.last_report(at)))
        })
        .collect()
    }

    /// The tenant's devices and those that are shared with it, by name.
    pub fn devices(&self, now: u64, tenant: &TenantSlug) -> DeviceList {
        let own = self.devices.values().filter(|entry| entry.has(tenant));
        let mut devices: Vec<DeviceView> =
            own.map(|entry| self.view(entry, tenant, entry.judge(now, tenant))).collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        DeviceList { devices, now }
    }

    /// The tenant's containers, by device, then in the order of creation.
    pub fn containers(&self, now: u64, tenant: &TenantSlug) -> FleetContainers {
        let mut containers = Vec::new();
        for (id, entry) in &self.devices {
            let liveness = entry.watch.judge(now).liveness;
            let mut own: Vec<_> =
                entry.containers.iter().filter(|container| container.tenant == *tenant).collect();
            own.sort_by_key(|container| container.container.created_at);
            containers.extend(own.into_iter().map(|container| PlacedContainer {
                device: id.clone(),
                liveness,
                container: container.container.clone(),
            }));
        }
        FleetContainers { containers }
    }

    /// How every device is, to its owner.
    pub fn liveness(&self, now: u64) -> Vec<(DeviceId, Liveness)> {
        self.devices.iter().map(|(id, entry)| (id.clone(), entry.watch.judge(now).liveness)).collect()
    }

    fn judge(&mut self, now: u64, id: &DeviceId) -> Vec<Change> {
        let Some(entry) = self.devices.get_mut(id) else { return Vec::new() };
        let judgements = entry.judgements(now);
        let told = std::mem::replace(&mut entry.told, judgements.clone());
        let Some(entry) = self.devices.get(id) else { return Vec::new() };
        let news = judgements.into_iter().filter(|(tenant, judgement)| told.get(tenant) != Some(judgement));
        news.map(|(tenant, judgement)| Change {
            before: told.get(&tenant).map(|told| told.liveness),
            device: self.view(entry, &tenant, judgement),
            tenant,
        })
        .collect()
    }

    fn view(&self, entry: &Entry, tenant: &TenantSlug, judgement: Judgement) -> DeviceView {
        let Entry { device, facts, watch, .. } = entry;
        let share = self.share_of(entry, tenant);
        DeviceView {
            id: device.id.clone(),
            name: device.name.clone(),
            place: device.place.clone(),
            owner: device.owner.clone(),
            liveness: judgement.liveness,
            reasons: judgement.reasons,
            last_seen_at: watch.last_report_at(),
            enrolled_at: device.enrolled_at,
            facts: Some(if share.is_some() { facts.clone().for_guest() } else { facts.clone() }),
            location: device.location,
            clock_ahead_ms: watch.clock_ahead_ms(),
            share,
        }
    }

    fn set_deadline(&mut self, now: u64, id: &DeviceId) {
        let Some(entry) = self.devices.get_mut(id) else { return };
        if let Some(old) = entry.deadline.take() {
            self.deadlines.remove(&(old, id.clone()));
        }
        entry.deadline = entry.watch.next_change(now);
        if let Some(new) = entry.deadline {
            self.deadlines.insert((new, id.clone()));
        }
    }
}

impl Entry {
    fn last_report(&self, at: u64) -> LastReport {
        LastReport {
            at,
            problems: self.watch.problems().to_vec(),
            facts: self.facts.clone(),
            containers: self.containers.clone(),
        }
    }
}

fn check_size(what: &str, part: &impl serde::Serialize) -> Result<(), ApiError> {
    let bytes = serde_json::to_vec(part).map_or(usize::MAX, |json| json.len());
    if bytes <= MAX_PART_BYTES {
        return Ok(());
    }
    Err(invalid(format!("{what} may have {MAX_PART_BYTES} bytes at most.")))
}

fn not_enrolled() -> ApiError {
    ApiError::new(
        ErrorKind::Forbidden,
        "This device is not enrolled here, or was removed. Enrol it again with a join token.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecep_fleet::liveness::{OFFLINE_AFTER_MS, STALE_AFTER_MS};
    use ecep_proto::api::{
        container::{ContainerState, ContainerView},
        device::EngineFacts,
        share::ShareReport,
    };

    pub(super) const START: u64 = 2_000_000;

    pub(super) fn facts() -> DeviceFacts {
        DeviceFacts {
            agent_version: "0.1.0".to_owned(),
            architecture: "aarch64".to_owned(),
            kernel: "6.1".to_owned(),
            cores: 4,
            memory_total_bytes: 1 << 30,
            engine: EngineFacts {
                kind: "sim".to_owned(),
                reachable: true,
                version: None,
                api_version: None,
                live_restore: None,
                problems: vec![],
            },
            hostname: "edge".to_owned(),
            addresses: vec![],
            channel_port: None,
            migration: None,
        }
    }

    pub(super) fn device(id: &str, owner: &str) -> Device {
        Device {
            id: id.parse().unwrap(),
            name: id.to_owned(),
            place: None,
            owner: owner.parse().unwrap(),
            public_key: String::new(),
            enrolled_at: 1,
            facts: facts(),
            location: None,
            old_key: None,
            key_since: None,
            rotation_ordered: false,
            shares: vec![],
        }
    }

    pub(super) fn container(tenant: &str, id: &str) -> TenantContainer {
        TenantContainer {
            tenant: tenant.parse().unwrap(),
            container: ContainerView {
                id: id.parse().unwrap(),
                name: id.parse().unwrap(),
                application: "app".parse().unwrap(),
                image: "app".to_owned(),
                state: ContainerState::Running,
                exit_code: None,
                created_at: 1,
                started_at: None,
                ports: vec![],
                address: None,
                version: None,
                run_once: false,
            },
        }
    }

    pub(super) fn report(at: u64, containers: Vec<TenantContainer>) -> Report {
        Report {
            at,
            problems: vec![],
            containers,
            facts: None,
            is_complete: true,
            migrations: vec![],
            network_revision: 0,
            stats: None,
            shares: ShareReport::default(),
        }
    }

    fn view_of_edge() -> (FleetView, DeviceId) {
        let mut view = FleetView::default();
        view.add(START, device("edge", "acme"), None);
        (view, "edge".parse().unwrap())
    }

    fn ids(view: &FleetView, tenant: &str) -> Vec<String> {
        let containers = view.containers(START, &tenant.parse().unwrap()).containers;
        containers.into_iter().map(|placed| placed.container.id.to_string()).collect()
    }

    /// A stolen device may claim anything; it must not show up in another tenant's lists.
    #[test]
    fn a_device_cannot_report_containers_of_a_tenant_without_a_share() {
        let (mut view, edge) = view_of_edge();
        let claimed = vec![container("acme", "own"), container("globex", "forged")];
        view.report(START, START, &edge, report(START, claimed)).unwrap();
        assert_eq!(ids(&view, "acme"), ["own"]);
        assert_eq!(ids(&view, "globex"), Vec::<String>::new());
        assert!(view.devices(START, &"globex".parse().unwrap()).devices.is_empty());
    }

    /// Each change is told once, when it happens, with how it was before.
    #[test]
    fn changes_are_told_once_and_in_time() {
        let (mut view, edge) = view_of_edge();
        assert_eq!(view.next_deadline(), None);
        let change = view.report(START, START, &edge, report(START, vec![])).unwrap().remove(0);
        assert_eq!((change.before, change.device.liveness), (Some(Liveness::Never), Liveness::Connected));
        assert_eq!(view.report(START + 1, START, &edge, report(START, vec![])), Ok(vec![]));
        let last = START + 1;
        assert_eq!(view.next_deadline(), Some(last + STALE_AFTER_MS));
        assert_eq!(view.due(last + STALE_AFTER_MS - 1), vec![]);
        let stale = view.due(last + STALE_AFTER_MS);
        assert_eq!(stale.len(), 1);
        assert_eq!(stale[0].device.liveness, Liveness::Stale);
        assert_eq!(view.due(last + STALE_AFTER_MS), vec![]);
        let offline = view.due(last + OFFLINE_AFTER_MS);
        assert_eq!(
            (offline[0].before, offline[0].device.liveness),
            (Some(Liveness::Stale), Liveness::Offline)
        );
        assert_eq!(view.next_deadline(), None);
        let back = view.report(last + 60_000, START, &edge, report(START, vec![])).unwrap().remove(0);
        assert_eq!((back.before, back.device.liveness), (Some(Liveness::Offline), Liveness::Connected));
    }

    /// After a restart of the control plane the containers are still listed, and the age goes on from the last report.
    #[test]
    fn what_was_stored_is_there_after_a_restart() {
        let (mut view, edge) = view_of_edge();
        view.report(START, START, &edge, report(START, vec![container("acme", "own")])).unwrap();
        let (_, stored) = view.last_reports().remove(0);
        let mut later = FleetView::default();
        later.add(START + STALE_AFTER_MS, device("edge", "acme"), Some(stored));
        assert_eq!(ids(&later, "acme"), ["own"]);
        let devices = later.devices(START + STALE_AFTER_MS, &"acme".parse().unwrap()).devices;
        assert_eq!((devices[0].liveness, devices[0].last_seen_at), (Liveness::Stale, Some(START)));
        assert_eq!(later.next_deadline(), Some(START + OFFLINE_AFTER_MS));
    }

    /// A clock that was ahead and has been set right must not keep a silent device connected.
    #[test]
    fn a_stored_time_in_the_future_is_now() {
        let (mut view, edge) = view_of_edge();
        view.report(START, START, &edge, report(START, vec![])).unwrap();
        let (_, stored) = view.last_reports().remove(0);
        let mut later = FleetView::default();
        let now = START - 1_000_000;
        later.add(now, device("edge", "acme"), Some(stored));
        assert_eq!(later.next_deadline(), Some(now + STALE_AFTER_MS));
    }

    /// A heartbeat every two seconds must not be a write every two seconds; news is stored soon.
    #[test]
    fn reports_are_stored_at_a_modest_rate() {
        let (mut view, edge) = view_of_edge();
        let mut stored = 0;
        for beat in 1..=60 {
            let now = START + beat * 2_000;
            view.report(now, now, &edge, report(now, vec![container("acme", "own")])).unwrap();
            stored += view.take_unsaved(now).len();
        }
        assert_eq!(stored, 2, "once for the news, once for the minute");
        let now = START + 61 * 2_000;
        view.report(now, now, &edge, report(now, vec![])).unwrap();
        assert_eq!(view.take_unsaved(now).len(), 1, "news");
        assert_eq!(view.take_unsaved(now).len(), 0);
    }

    /// A removed device is gone from everything, and its reports are refused with what to do.
    #[test]
    fn a_removed_device_is_forgotten() {
        let (mut view, edge) = view_of_edge();
        view.report(START, START, &edge, report(START, vec![container("acme", "own")])).unwrap();
        view.remove(&edge);
        assert_eq!(view.next_deadline(), None);
        assert_eq!(view.take_unsaved(START + SAVE_EVERY_MS), vec![]);
        assert_eq!(ids(&view, "acme"), Vec::<String>::new());
        let refused = view.report(START, START, &edge, report(START, vec![])).unwrap_err();
        assert_eq!(refused.uri, ErrorKind::Forbidden);
        assert!(refused.message.contains("Enrol it again"));
    }

    /// One device cannot fill the memory.
    #[test]
    fn an_endless_report_is_refused() {
        let (mut view, edge) = view_of_edge();
        let many = vec![container("acme", "own"); MAX_CONTAINERS + 1];
        let refused = view.report(START, START, &edge, report(START, many)).unwrap_err();
        assert_eq!(refused.uri, ErrorKind::InvalidArgument);
        let mut huge = container("acme", "own");
        huge.container.image = "x".repeat(MAX_PART_BYTES);
        let refused = view.report(START, START, &edge, report(START, vec![huge])).unwrap_err();
        assert!(refused.message.contains("16384 bytes"), "{refused}");
        let mut huge = facts();
        huge.hostname = "x".repeat(MAX_PART_BYTES);
        assert_eq!(view.hello(&edge, huge).unwrap_err().uri, ErrorKind::InvalidArgument);
    }
}

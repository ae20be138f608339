//! When something is wrong for so long that a person must be told, and when it is over.
//!
//! Owns the thresholds. Each alert is raised once and cleared once: to be cleared, a value must pass another
//! threshold than the one that raised it, and stay there for a while. Must not know where readings come from, who is
//! told, or where alerts are kept.
//!
//! All times are milliseconds on one clock that never goes back, whose zero the caller chooses.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ecep_proto::api::{
    alert::AlertKind,
    device::Liveness,
    name::{ContainerId, DeviceId, TenantSlug},
};

/// After a start nothing is known of a device for this long: every agent finds its way back to a restarted router
/// within 30 s, and then as long again.
pub const GRACE_MS: u64 = 60_000;
/// A device that is offline (which takes 15 s of silence) must stay so for this long: an agent that is restarted or
/// updated is back before.
pub const OFFLINE_RAISE_MS: u64 = 15_000;
/// And be back for this long: a device on a bad link that comes and goes is one alert, not one each time.
pub const OFFLINE_CLEAR_MS: u64 = 30_000;
/// Less free disk than this is low: an ordinary image does not fit any more, and the engine soon cannot write.
pub const DISK_LOW_BYTES: u64 = 1 << 30;
/// So much is enough again: half as much more, so that one deleted log file is no end of it.
pub const DISK_ENOUGH_BYTES: u64 = DISK_LOW_BYTES + DISK_LOW_BYTES / 2;
/// For this long in either case: an image that is unpacked needs room for a moment.
pub const DISK_HOLD_MS: u64 = 30_000;
/// More CPU than this, in percent of all cores, leaves nothing to spare.
pub const OVERLOAD_PERCENT: f64 = 90.0;
/// Less than this is no overload any more.
pub const OVERLOAD_OVER_PERCENT: f64 = 75.0;
/// A device is overloaded after this time: building an image or starting many containers is over sooner.
pub const OVERLOAD_RAISE_MS: u64 = 120_000;
/// And not any more after this time.
pub const OVERLOAD_CLEAR_MS: u64 = 60_000;
/// Figures come every 10 s; where two are missing, what was before is not known to have gone on.
pub const FIGURES_GAP_MS: u64 = 35_000;
/// So many restarts within [`RESTART_WINDOW_MS`] are a loop. The engine waits twice as long after each, up to a
/// minute, so a container that ends at once gets there in seconds, and a person who restarts one by hand does not.
pub const RESTARTS: usize = 5;
/// See [`RESTARTS`].
pub const RESTART_WINDOW_MS: u64 = 10 * 60_000;
/// Without a restart for this long the loop is over: ten times the longest that the engine waits.
pub const RESTART_CLEAR_MS: u64 = 10 * 60_000;
/// A failed move is told for this long, unless the container is moved before: a day, so that somebody has seen it.
pub const MOVE_FAILED_MS: u64 = 24 * 60 * 60_000;

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// A tenant's container.
    Container(TenantSlug, ContainerId),
}

/// An alert: one of each kind for each subject at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alert {
    /// What is wrong.
    pub kind: AlertKind,
    /// With what.
    pub subject: Subject,
}

/// What has come of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is wrong.
    Raised(Alert),
    /// It is over.
    Cleared(Alert),
}

/// A container in a report: whose, which, and when it was last started.
pub type Started = (TenantSlug, ContainerId, Option<u64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Bad,
    /// Neither: not bad enough to raise, not good enough to clear, or not known.
    Between,
    Good,
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    raise_ms: u64,
    clear_ms: u64,
    gap_ms: u64,
}

const OFFLINE: Rule = Rule { raise_ms: OFFLINE_RAISE_MS, clear_ms: OFFLINE_CLEAR_MS, gap_ms: u64::MAX };
const DISK: Rule = Rule { raise_ms: DISK_HOLD_MS, clear_ms: DISK_HOLD_MS, gap_ms: FIGURES_GAP_MS };
const OVERLOAD: Rule =
    Rule { raise_ms: OVERLOAD_RAISE_MS, clear_ms: OVERLOAD_CLEAR_MS, gap_ms: FIGURES_GAP_MS };
/// Their windows are their own.
const AT_ONCE: Rule = Rule { raise_ms: 0, clear_ms: 0, gap_ms: u64::MAX };

/// One alert, raised or about to be. Kept only while it is.
#[derive(Debug, Clone, Copy, Default)]
struct Condition {
    active: bool,
    /// Since when all readings speak for a change, and the last of them.
    run: Option<(u64, u64)>,
    /// When it was raised.
    raised_at: u64,
}

impl Condition {
    /// Whether it has changed.
    fn read(&mut self, now: u64, reading: Reading, rule: Rule) -> bool {
        let (towards, needed) =
            if self.active { (Reading::Good, rule.clear_ms) } else { (Reading::Bad, rule.raise_ms) };
        if reading != towards {
            self.run = None;
            return false;
        }
        let since = match self.run {
            Some((since, last)) if now.saturating_sub(last) <= rule.gap_ms => since,
            _ => now,
        };
        if now.saturating_sub(since) < needed {
            self.run = Some((since, now));
            return false;
        }
        *self = Self { active: !self.active, run: None, raised_at: now };
        true
    }
}

/// A container's starts, as reported.
#[derive(Debug, Default)]
struct Starts {
    last: Option<u64>,
    /// When it was seen restarted; the last [`RESTARTS`] of them.
    restarts: VecDeque<u64>,
}

/// All conditions. Bounded by what reports: three for each device, two for each container.
#[derive(Debug)]
pub struct Alerts {
    started_at: u64,
    conditions: BTreeMap<Alert, Condition>,
    starts: HashMap<DeviceId, HashMap<(TenantSlug, ContainerId), Starts>>,
}

impl Alerts {
    /// Goes on with those that are active since a time.
    pub fn new(now: u64, active: impl IntoIterator<Item = (Alert, u64)>) -> Self {
        let conditions = active.into_iter().map(|(alert, raised_at)| {
            // A time that lies ahead means that the clock was set back.
            (alert, Condition { active: true, run: None, raised_at: raised_at.min(now) })
        });
        Self { started_at: now, conditions: conditions.collect(), starts: HashMap::new() }
    }

    /// The active ones.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.conditions.iter().filter(|(_, condition)| condition.active).map(|(alert, _)| alert)
    }

    /// How a device is now. To be told every few seconds, since it may be told nothing else.
    pub fn liveness(&mut self, now: u64, device: &DeviceId, liveness: Liveness) -> Option<Outcome> {
        let reading = match liveness {
            Liveness::Offline if now < self.started_at.saturating_add(GRACE_MS) => Reading::Between,
            Liveness::Offline => Reading::Bad,
            // Two missing reports are not yet a device that is away, nor one that is back.
            Liveness::Stale | Liveness::Never => Reading::Between,
            Liveness::Connected | Liveness::Degraded => Reading::Good,
        };
        self.read(now, AlertKind::DeviceOffline, Subject::Device(device.clone()), reading, OFFLINE)
    }

    /// A device's newest figures: CPU in percent of all cores, and free bytes on the containers' disk.
    pub fn figures(
        &mut self,
        now: u64,
        device: &DeviceId,
        cpu_percent: Option<f64>,
        disk_free: u64,
    ) -> Vec<Outcome> {
        let disk = match disk_free {
            free if free < DISK_LOW_BYTES => Reading::Bad,
            free if free < DISK_ENOUGH_BYTES => Reading::Between,
            _ => Reading::Good,
        };
        let cpu = match cpu_percent {
            Some(percent) if percent > OVERLOAD_PERCENT => Reading::Bad,
            Some(percent) if percent < OVERLOAD_OVER_PERCENT => Reading::Good,
            _ => Reading::Between,
        };
        let subject = || Subject::Device(device.clone());
        let disk = self.read(now, AlertKind::DiskLow, subject(), disk, DISK);
        let overload = self.read(now, AlertKind::Overload, subject(), cpu, OVERLOAD);
        disk.into_iter().chain(overload).collect()
    }

    /// All containers on a device, from a report that is complete.
    pub fn containers(
        &mut self,
        now: u64,
        device: &DeviceId,
        containers: impl IntoIterator<Item = Started>,
    ) -> Vec<Outcome> {
        let mut before = self.starts.remove(device).unwrap_or_default();
        let mut seen = HashMap::new();
        let mut outcomes = Vec::new();
        for (tenant, id, started_at) in containers {
            let key = (tenant, id);
            let mut starts = before.remove(&key).unwrap_or_default();
            if starts.last.is_some() && started_at.is_some() && starts.last != started_at {
                if starts.restarts.len() == RESTARTS {
                    starts.restarts.pop_front();
                }
                starts.restarts.push_back(now);
            }
            starts.last = started_at.or(starts.last);
            let reading = self.loop_reading(now, &starts.restarts);
            let subject = Subject::Container(key.0.clone(), key.1.clone());
            outcomes.extend(self.read(now, AlertKind::RestartLoop, subject, reading, AT_ONCE));
            seen.insert(key, starts);
        }
        // Deleted, or on another device now, where its life begins anew.
        for (tenant, id) in before.into_keys() {
            let alert = Alert { kind: AlertKind::RestartLoop, subject: Subject::Container(tenant, id) };
            outcomes.extend(self.drop(alert));
        }
        if !seen.is_empty() {
            self.starts.insert(device.clone(), seen);
        }
        outcomes
    }

    fn loop_reading(&self, now: u64, restarts: &VecDeque<u64>) -> Reading {
        let is_loop = restarts.len() == RESTARTS
            && restarts.front().is_some_and(|first| now.saturating_sub(*first) <= RESTART_WINDOW_MS);
        // What was before the start is not known.
        let quiet_since = restarts.back().copied().unwrap_or(self.started_at);
        if is_loop {
            Reading::Bad
        } else if now.saturating_sub(quiet_since) >= RESTART_CLEAR_MS {
            Reading::Good
        } else {
            Reading::Between
        }
    }

    /// A move of a container has ended.
    pub fn moved(
        &mut self,
        now: u64,
        tenant: &TenantSlug,
        container: &ContainerId,
        went_well: bool,
    ) -> Option<Outcome> {
        let reading = if went_well { Reading::Good } else { Reading::Bad };
        let subject = Subject::Container(tenant.clone(), container.clone());
        self.read(now, AlertKind::MigrationFailed, subject, reading, AT_ONCE)
    }

    /// What is over because time has passed. To be asked every few seconds.
    pub fn due(&mut self, now: u64) -> Vec<Outcome> {
        let is_old = |(alert, condition): &(&Alert, &Condition)| {
            alert.kind == AlertKind::MigrationFailed
                && condition.active
                && now.saturating_sub(condition.raised_at) >= MOVE_FAILED_MS
        };
        let old: Vec<Alert> = self.conditions.iter().filter(is_old).map(|(alert, _)| alert.clone()).collect();
        old.into_iter().filter_map(|alert| self.drop(alert)).collect()
    }

    /// A device was removed.
    pub fn remove_device(&mut self, device: &DeviceId) -> Vec<Outcome> {
        let containers = self.starts.remove(device).unwrap_or_default().into_keys();
        let of_containers = containers.map(|(tenant, id)| Alert {
            kind: AlertKind::RestartLoop,
            subject: Subject::Container(tenant, id),
        });
        let of_device = [AlertKind::DeviceOffline, AlertKind::DiskLow, AlertKind::Overload]
            .map(|kind| Alert { kind, subject: Subject::Device(device.clone()) });
        let all: Vec<Alert> = of_device.into_iter().chain(of_containers).collect();
        all.into_iter().filter_map(|alert| self.drop(alert)).collect()
    }

    fn drop(&mut self, alert: Alert) -> Option<Outcome> {
        let condition = self.conditions.remove(&alert)?;
        condition.active.then_some(Outcome::Cleared(alert))
    }

    fn read(
        &mut self,
        now: u64,
        kind: AlertKind,
        subject: Subject,
        reading: Reading,
        rule: Rule,
    ) -> Option<Outcome> {
        let alert = Alert { kind, subject };
        let mut condition = self.conditions.get(&alert).copied().unwrap_or_default();
        let has_changed = condition.read(now, reading, rule);
        if condition.active || condition.run.is_some() {
            self.conditions.insert(alert.clone(), condition);
        } else {
            self.conditions.remove(&alert);
        }
        let outcome = if condition.active { Outcome::Raised(alert) } else { Outcome::Cleared(alert) };
        has_changed.then_some(outcome)
    }
}

#[cfg(test)]
mod tests;

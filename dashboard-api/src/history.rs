//! Statistics over time: an hour in steps of ten seconds in memory, 30 days in steps of five minutes on disk.
//!
//! What is new waits in memory until its five minutes are over, and is then written. So a process that is killed loses
//! at most the last five minutes and [`WRITE_EVERY`] of statistics, and the detail of the hour; one that is stopped loses
//! the detail only. Whatever cannot be written is logged and tried again: statistics hold up nothing else.
//!
//! Bounded: for each device `MAX_SERIES_OF_A_DEVICE` containers and itself, for each 8.6 kB of memory at most while
//! it reports and 405 KiB of disk. Must not know the store, WAMP or who may see what.

mod align;
mod bucket;
mod files;
mod hour;
mod query;
mod series;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    history::{
        COARSE_MS, DETAIL_MS, MAX_SUMMARIES, MAX_SUMMED_CONTAINERS, SUMMARY_MS, Span, StatsHistory,
        StatsReport,
    },
    name::{ContainerId, DeviceId, TenantSlug},
};

pub use self::files::ContainerKey;
use self::{
    align::Alignment,
    bucket::{Bucket, Flow, Point, Range},
    files::{FileKey, Files},
    hour::SLOTS_HELD,
    query::Plan,
    series::Series,
};
use crate::naming::invalid;

/// Five minutes that are over are written within this time.
pub const WRITE_EVERY: Duration = Duration::from_secs(10);
/// Containers on one device's account, of 30 days: many times what a device runs, and a stolen one that makes them up
/// fills 400 MiB at most. Policy: one more takes the place of the one that has been silent for longest, or since the
/// start; if all have reported within the hour, it has no history.
const MAX_SERIES_OF_A_DEVICE: usize = 1_000;
/// A slot that lies ahead of our clock by more than this is not believed.
const MAX_AHEAD_MS: u64 = 2 * SUMMARY_MS;
/// A figure is present for this long.
const PRESENT_MS: u64 = 30_000;
/// The largest percentage that is believed: 500 cores.
const MAX_PERCENT: f64 = 50_000.0;

/// All histories.
pub struct History {
    files: Files,
    /// The start: detail is known since then.
    since: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    devices: HashMap<DeviceId, OfDevice>,
    /// On whose account each container is.
    holders: HashMap<ContainerKey, DeviceId>,
    /// Whether the disk's last answer was an error, so that the log has it once.
    is_failing: bool,
}

#[derive(Default)]
struct OfDevice {
    alignment: Alignment,
    own: Option<Series>,
    containers: HashMap<ContainerKey, Series>,
}

/// How much there is of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Devices and containers that have reported since the start.
    pub series: usize,
    /// Bytes of memory for their hours.
    pub memory_bytes: usize,
}

/// A present figure of a device or a container.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Present {
    /// CPU in percent.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory.
    pub memory_bytes: Option<f64>,
    /// Free bytes on disk.
    pub disk_free_bytes: Option<f64>,
    /// Bytes per second received and sent.
    pub network: Option<[f64; 2]>,
    /// Bytes per second read from disk and written.
    pub disk: Option<[f64; 2]>,
}

impl History {
    /// Opens what is in the folder.
    ///
    /// # Errors
    /// The folder cannot be read or made.
    pub fn open(folder: PathBuf, now: u64) -> io::Result<Self> {
        let files = Files::open(folder)?;
        let mut state = State::default();
        let last = now / COARSE_MS;
        for (container, device) in files.containers()? {
            let of_device = state.devices.entry(device.clone()).or_default();
            of_device.containers.insert(container.clone(), Series::new(last));
            state.holders.insert(container, device);
        }
        Ok(Self { files, since: now, state: Mutex::new(state) })
    }

    /// Takes what a device tells. `may` says of which containers it may: a device must not tell of another's.
    ///
    /// # Errors
    /// `InvalidArgument` if it tells too much at once.
    pub fn take(
        &self,
        now: u64,
        device: &DeviceId,
        report: &StatsReport,
        may: impl Fn(&TenantSlug, &ContainerId) -> bool,
    ) -> Result<(), ApiError> {
        if report.summaries.len() > MAX_SUMMARIES {
            return Err(invalid(format!("A report may hold {MAX_SUMMARIES} summaries at most.")));
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        state.devices.entry(device.clone()).or_default().alignment.compare(now, report.clock);
        let mut is_full = false;
        for summary in &report.summaries {
            let Some(slot) = state.devices.get(device).and_then(|known| known.alignment.ours(summary.at))
            else {
                continue;
            };
            if slot > now.saturating_add(MAX_AHEAD_MS) || slot.saturating_add(DETAIL_MS) < now {
                continue;
            }
            let slot = slot / SUMMARY_MS;
            let host = &summary.host;
            let point = Point {
                cpu: host.cpu.and_then(range),
                memory: Some(single(host.memory_used_bytes)),
                disk: Some(single(host.disk_free_bytes)),
                network: host.network.map(flow),
                disk_io: host.disk.map(flow),
            };
            self.put(state, device, None, slot, &point);
            for container in summary.containers.iter().take(MAX_SUMMED_CONTAINERS) {
                if !may(&container.tenant, &container.id) {
                    continue;
                }
                let key = (container.tenant.clone(), container.id.clone());
                if state.holders.get(&key) != Some(device) {
                    // One that finds no room is enough to know that there is none.
                    is_full = is_full || !self.make_room(state, now, device, &key);
                    if is_full {
                        continue;
                    }
                }
                let point = Point {
                    cpu: container.cpu.and_then(range),
                    memory: container.memory_bytes.map(single),
                    disk: None,
                    network: container.network.map(flow),
                    disk_io: container.disk.map(flow),
                };
                self.put(state, device, Some(key), slot, &point);
            }
        }
        Ok(())
    }

    fn put(
        &self,
        state: &mut State,
        device: &DeviceId,
        container: Option<ContainerKey>,
        slot: u64,
        point: &Point,
    ) {
        if point.is_empty() {
            return;
        }
        let key = FileKey { device: device.clone(), container };
        let stored = |number: u64| {
            let rows = self.files.read(&key, number, number + 1).unwrap_or_default();
            rows.first().map(|(_, bucket)| *bucket)
        };
        let of_device = state.devices.entry(device.clone()).or_default();
        let until = self.since / COARSE_MS;
        let series = match &key.container {
            None => of_device.own.get_or_insert_with(|| Series::new(until)),
            Some(container) => {
                of_device.containers.entry(container.clone()).or_insert_with(|| Series::new(until))
            }
        };
        series.put(slot, point, stored);
    }

    /// Sees to it that the container is on this device's account; whether it is.
    fn make_room(&self, state: &mut State, now: u64, device: &DeviceId, container: &ContainerKey) -> bool {
        let room = state.devices.get(device).map_or(0, |of| of.containers.len()) < MAX_SERIES_OF_A_DEVICE;
        if !room && !self.evict_idlest(state, now, device) {
            return false;
        }
        let mut series = None;
        if let Some(holder) = state.holders.insert(container.clone(), device.clone()) {
            let moved = self.files.hand_over(container, &holder, device);
            note(&mut state.is_failing, moved);
            series = state.devices.get_mut(&holder).and_then(|of| of.containers.remove(container));
        }
        if let Some(series) = series {
            let of_device = state.devices.entry(device.clone()).or_default();
            of_device.containers.insert(container.clone(), series);
        }
        true
    }

    fn evict_idlest(&self, state: &mut State, now: u64, device: &DeviceId) -> bool {
        let Some(of_device) = state.devices.get_mut(device) else { return false };
        let slot_now = now / SUMMARY_MS;
        let is_busy = |series: &Series| {
            series.newest().is_some_and(|newest| newest + SLOTS_HELD as u64 > slot_now)
                || series.unwritten().next().is_some()
        };
        let idle = of_device.containers.iter().filter(|(_, series)| !is_busy(series));
        let idlest = idle.min_by_key(|(key, series)| (series.newest(), *key)).map(|(key, _)| key.clone());
        let Some(idlest) = idlest else { return false };
        let removed = self.files.remove(&FileKey { device: device.clone(), container: Some(idlest.clone()) });
        of_device.containers.remove(&idlest);
        state.holders.remove(&idlest);
        note(&mut state.is_failing, removed)
    }

    /// The history of a device: from when, until when, and the step, as [`StatsQuery`](ecep_proto::api::history::StatsQuery)
    /// has them.
    ///
    /// # Errors
    /// `InvalidArgument` for a question without an answer; `Unavailable` if the disk fails.
    pub fn of_device(
        &self,
        now: u64,
        device: &DeviceId,
        asked: (u64, u64, Option<u64>),
    ) -> Result<StatsHistory, ApiError> {
        self.answer(now, asked, Some(FileKey { device: device.clone(), container: None }))
    }

    /// The history of a tenant's container; only gaps if nothing is known of it.
    ///
    /// # Errors
    /// See [`History::of_device`].
    pub fn of_container(
        &self,
        now: u64,
        container: &ContainerKey,
        asked: (u64, u64, Option<u64>),
    ) -> Result<StatsHistory, ApiError> {
        let holder = self.lock().holders.get(container).cloned();
        self.answer(now, asked, holder.map(|device| FileKey { device, container: Some(container.clone()) }))
    }

    /// Whether anything is known of a tenant's container.
    pub fn knows(&self, container: &ContainerKey) -> bool {
        self.lock().holders.contains_key(container)
    }

    fn answer(
        &self,
        now: u64,
        (from, to, step_ms): (u64, u64, Option<u64>),
        key: Option<FileKey>,
    ) -> Result<StatsHistory, ApiError> {
        let held = now.saturating_sub((SLOTS_HELD as u64 - 1) * SUMMARY_MS);
        let plan = Plan::new(from, to, step_ms, now, held.max(self.since))?;
        let Some(key) = key else {
            return Ok(StatsHistory { step_ms: plan.step_ms, points: plan.of_buckets(|_| None) });
        };
        let waiting: Vec<(u64, Bucket)> = {
            let state = self.lock();
            let of_device = state.devices.get(&key.device);
            let series = of_device.and_then(|of| match &key.container {
                None => of.own.as_ref(),
                Some(container) => of.containers.get(container),
            });
            if plan.is_detailed {
                let points = plan.of_slots(|slot| series.and_then(|series| series.slot(slot)));
                return Ok(StatsHistory { step_ms: plan.step_ms, points });
            }
            series.into_iter().flat_map(Series::unwritten).map(|(number, bucket)| (number, *bucket)).collect()
        };
        let (first, end) = plan.range();
        let rows = self.files.read(&key, first, end).map_err(|error| {
            tracing::error!(%error, "statistics cannot be read");
            ApiError::new(
                ErrorKind::Unavailable,
                "The statistics cannot be read now. The control plane's log says why.",
            )
        })?;
        // What waits holds what is on disk already.
        let rows: HashMap<u64, Bucket> = rows.into_iter().chain(waiting).collect();
        let points = plan.of_buckets(|number| rows.get(&number).copied());
        Ok(StatsHistory { step_ms: plan.step_ms, points })
    }

    /// The present figures of a device, and those of its containers.
    pub fn present(
        &self,
        now: u64,
        device: &DeviceId,
        containers: &[ContainerKey],
    ) -> (Option<Present>, Vec<Option<Present>>) {
        let state = self.lock();
        let of_device = state.devices.get(device);
        let last = |series: Option<&Series>| {
            let newest = series.and_then(Series::newest)?;
            let is_present = (newest + 1) * SUMMARY_MS + PRESENT_MS > now;
            is_present.then(|| series?.slot(newest)).flatten().map(present)
        };
        let own = last(of_device.and_then(|of| of.own.as_ref()));
        let of = |key| last(of_device.and_then(|of| of.containers.get(key)));
        (own, containers.iter().map(of).collect())
    }

    /// Writes what is over, or all; blocks on the disk. Nobody is held up meanwhile.
    pub fn write(&self, now: u64, all: bool) {
        let present = now / COARSE_MS;
        let work: Vec<(FileKey, Vec<(u64, Bucket)>)> = {
            let mut state = self.lock();
            let mut work = Vec::new();
            for (device, of_device) in &mut state.devices {
                let own = of_device.own.iter_mut().map(|series| (None, series));
                let containers = of_device.containers.iter_mut().map(|(key, series)| (Some(key), series));
                for (container, series) in own.chain(containers) {
                    series.forget_before(now / SUMMARY_MS);
                    let is_over = |(number, _): &(u64, &Bucket)| all || *number < present;
                    let rows: Vec<_> = series
                        .unwritten()
                        .filter(is_over)
                        .map(|(number, bucket)| (number, *bucket))
                        .collect();
                    if !rows.is_empty() {
                        work.push((FileKey { device: device.clone(), container: container.cloned() }, rows));
                    }
                }
            }
            work
        };
        for (key, rows) in work {
            let written = self.files.write(&key, &rows);
            let mut state = self.lock();
            if !note(&mut state.is_failing, written) {
                continue;
            }
            let of_device = state.devices.get_mut(&key.device);
            let series = of_device.and_then(|of| match &key.container {
                None => of.own.as_mut(),
                Some(container) => of.containers.get_mut(container),
            });
            match series {
                Some(series) => series.written(&rows),
                // Removed or moved meanwhile: what was written is nobody's.
                None => drop(self.files.remove(&key)),
            }
        }
    }

    /// Forgets containers that have been silent for 30 days.
    pub fn sweep(&self) {
        let mut state = self.lock();
        match self.files.sweep(SystemTime::now()) {
            Ok(swept) => {
                for container in swept.into_iter().filter_map(|key| key.container) {
                    if let Some(holder) = state.holders.remove(&container)
                        && let Some(of_device) = state.devices.get_mut(&holder)
                    {
                        of_device.containers.remove(&container);
                    }
                }
            }
            Err(error) => tracing::error!(%error, "old statistics cannot be deleted"),
        }
    }

    /// Forgets a device and the containers on its account.
    pub fn remove_device(&self, device: &DeviceId) {
        let mut state = self.lock();
        if let Some(of_device) = state.devices.remove(device) {
            for container in of_device.containers.keys() {
                state.holders.remove(container);
            }
        }
        let removed = self.files.remove_device(device);
        note(&mut state.is_failing, removed);
    }

    /// How much there is.
    pub fn extent(&self) -> Extent {
        let state = self.lock();
        let all = state.devices.values().flat_map(|of| of.own.iter().chain(of.containers.values()));
        all.fold(Extent::default(), |sum, series| Extent {
            series: sum.series + usize::from(series.newest().is_some()),
            memory_bytes: sum.memory_bytes + series.bytes(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each series is sound between two steps, also after a panic elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs the disk's trouble once, until it is over. Whether it went well.
fn note(is_failing: &mut bool, outcome: io::Result<()>) -> bool {
    if let Err(error) = &outcome
        && !*is_failing
    {
        tracing::error!(%error, "statistics cannot be written; check the disk's space and health");
    }
    *is_failing = outcome.is_err();
    outcome.is_ok()
}

fn range(span: Span) -> Option<Range> {
    let is_good = |value: f64| (0.0..=MAX_PERCENT).contains(&value);
    let ordered = span.min <= span.avg && span.avg <= span.max;
    #[expect(clippy::cast_possible_truncation, reason = "single precision is enough")]
    let range = Range { min: span.min as f32, avg: span.avg as f32, max: span.max as f32 };
    (ordered && is_good(span.min) && is_good(span.max)).then_some(range)
}

#[expect(clippy::cast_precision_loss, reason = "single precision is enough")]
fn single(bytes: u64) -> f32 {
    bytes as f32
}

fn flow(rates: [u64; 2]) -> Flow {
    rates.map(single)
}

fn present(point: Point) -> Present {
    Present {
        cpu_percent: point.cpu.map(|cpu| f64::from(cpu.avg)),
        memory_bytes: point.memory.map(f64::from),
        disk_free_bytes: point.disk.map(f64::from),
        network: point.network.map(|flow| flow.map(f64::from)),
        disk: point.disk_io.map(|flow| flow.map(f64::from)),
    }
}

#[cfg(test)]
mod tests;

//! Ticks summed up in windows of ten seconds, which wait until the control plane has them. No I/O, no clock.
//!
//! Bounded: an hour, and [`MAX_SAMPLES`] samples of containers. Policy: the oldest windows go first.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ecep_proto::api::{
    history::{
        ContainerSummary, DETAIL_MS, HostSummary, MAX_SUMMARIES, MAX_SUMMED_CONTAINERS, SUMMARY_MS, Span,
        StatsReport, StatsSummary,
    },
    name::{ContainerId, TenantSlug},
};

use super::Tick;

/// Samples of containers that wait, 64 bytes each: an hour of 100 containers, or a part of it of more.
const MAX_SAMPLES: usize = 36_000;
/// Samples of containers in one report, about 200 bytes each: a report is well below what a message may have.
const MAX_SAMPLES_OF_A_REPORT: usize = 1_000;
/// A window that was over for longer than this when it was told is late: two heartbeats were missed.
const LATE_AFTER_MS: u64 = 10_000;

/// Whose container, and which: shared by all its samples.
type Who = Arc<(TenantSlug, ContainerId)>;

/// What is being summed up, and what waits.
#[derive(Debug, Default)]
pub struct Summaries {
    open: Option<Open>,
    waiting: VecDeque<Window>,
    samples: usize,
    names: HashMap<ContainerId, Who>,
}

/// A value read several times.
#[derive(Debug, Clone, Copy)]
struct Reads {
    count: u32,
    min: f64,
    max: f64,
    sum: f64,
}

impl Reads {
    fn add(reads: &mut Option<Self>, value: f64) {
        let known = reads.get_or_insert(Self { count: 0, min: value, max: value, sum: 0.0 });
        known.count += 1;
        known.min = known.min.min(value);
        known.max = known.max.max(value);
        known.sum += value;
    }

    fn mean(self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

/// Bytes per second in two directions, read several times: their number and their sums.
#[derive(Debug, Clone, Copy, Default)]
struct Flow(u32, [f64; 2]);

impl Flow {
    fn add(&mut self, rates: Option<[u64; 2]>) {
        if let Some([first, second]) = rates {
            self.0 += 1;
            self.1 = [self.1[0] + wide(first), self.1[1] + wide(second)];
        }
    }

    fn mean(self) -> Option<[f64; 2]> {
        (self.0 > 0).then(|| self.1.map(|sum| sum / f64::from(self.0)))
    }
}

#[derive(Debug)]
struct Open {
    at: u64,
    cpu: Option<Reads>,
    memory: Option<Reads>,
    disk_free: Option<Reads>,
    network: Flow,
    disk: Flow,
    containers: Vec<OpenContainer>,
}

#[derive(Debug)]
struct OpenContainer {
    who: Who,
    cpu: Option<Reads>,
    memory: Option<Reads>,
    network: Flow,
    disk: Flow,
}

#[derive(Debug)]
struct Window {
    at: u64,
    host: HostSummary,
    containers: Vec<Sample>,
}

/// What waits of a container.
#[derive(Debug, Clone)]
struct Sample {
    who: Who,
    cpu: Option<[f32; 3]>,
    memory: Option<u64>,
    network: Option<[f32; 2]>,
    disk: Option<[f32; 2]>,
}

/// When the window of this time began.
fn window_of(clock: u64) -> u64 {
    clock - clock % SUMMARY_MS
}

impl Summaries {
    /// Takes a tick at this time of a clock that never goes back.
    pub fn add(&mut self, clock: u64, tick: &Tick) {
        self.close(clock);
        let at = window_of(clock);
        let open = self.open.get_or_insert_with(|| Open {
            at,
            cpu: None,
            memory: None,
            disk_free: None,
            network: Flow::default(),
            disk: Flow::default(),
            containers: Vec::new(),
        });
        if let Some(percent) = tick.host.cpu_percent {
            Reads::add(&mut open.cpu, percent);
        }
        Reads::add(&mut open.memory, wide(tick.host.memory_used_bytes));
        Reads::add(&mut open.disk_free, wide(tick.host.disk_free_bytes));
        open.network.add(tick.host.rates.network());
        open.disk.add(tick.host.rates.disk());
        for (tenant, stats) in tick.containers.iter().take(MAX_SUMMED_CONTAINERS) {
            let who = self
                .names
                .entry(stats.id.clone())
                .or_insert_with(|| Arc::new((tenant.clone(), stats.id.clone())));
            let place = open.containers.iter().position(|known| Arc::ptr_eq(&known.who, who));
            let place = place.unwrap_or_else(|| {
                open.containers.push(OpenContainer {
                    who: Arc::clone(who),
                    cpu: None,
                    memory: None,
                    network: Flow::default(),
                    disk: Flow::default(),
                });
                open.containers.len() - 1
            });
            let known = &mut open.containers[place];
            if let Some(percent) = stats.cpu_percent {
                Reads::add(&mut known.cpu, percent);
            }
            if let Some(bytes) = stats.memory_bytes {
                Reads::add(&mut known.memory, wide(bytes));
            }
            known.network.add(stats.rates.network());
            known.disk.add(stats.rates.disk());
        }
    }

    /// Whether a tick was taken in the window of this time.
    pub fn has_tick(&self, clock: u64) -> bool {
        self.open.as_ref().is_some_and(|open| open.at == window_of(clock))
    }

    /// What the control plane lacks, the oldest first, as much as one report holds; `None` where it has all.
    pub fn next(&mut self, clock: u64) -> Option<StatsReport> {
        self.close(clock);
        let mut room = MAX_SAMPLES_OF_A_REPORT;
        let fits = |window: &&Window| {
            let is_first = room == MAX_SAMPLES_OF_A_REPORT;
            let left = room.checked_sub(window.containers.len());
            room = left.unwrap_or(0).min(MAX_SAMPLES_OF_A_REPORT - 1);
            left.is_some() || is_first
        };
        let next = self.waiting.iter().take(MAX_SUMMARIES).take_while(fits);
        let summaries: Vec<StatsSummary> = next.map(|window| window.told(clock)).collect();
        (!summaries.is_empty()).then_some(StatsReport { clock, summaries })
    }

    /// The control plane has these.
    pub fn taken(&mut self, report: &StatsReport) {
        let Some(last) = report.summaries.last() else { return };
        while self.waiting.front().is_some_and(|window| window.at <= last.at) {
            self.drop_oldest();
        }
    }

    /// Closes the window that is over, and drops what is too old or too much.
    fn close(&mut self, clock: u64) {
        let present = window_of(clock);
        if let Some(open) = self.open.take_if(|open| open.at != present) {
            let window = open.closed();
            self.samples += window.containers.len();
            self.waiting.push_back(window);
            self.names.retain(|_, who| Arc::strong_count(who) > 1);
        }
        while self.samples > MAX_SAMPLES
            || self.waiting.front().is_some_and(|window| window.at.saturating_add(DETAIL_MS) < clock)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(window) = self.waiting.pop_front() {
            self.samples -= window.containers.len();
        }
    }
}

impl Open {
    fn closed(self) -> Window {
        let mean = |reads: Option<Reads>| reads.map_or(0, |reads| bytes(reads.mean()));
        let samples = self.containers.into_iter().map(|container| Sample {
            who: container.who,
            cpu: container.cpu.map(|cpu| [cpu.min, cpu.mean(), cpu.max].map(narrow)),
            memory: container.memory.map(|memory| bytes(memory.mean())),
            network: container.network.mean().map(|mean| mean.map(narrow)),
            disk: container.disk.mean().map(|mean| mean.map(narrow)),
        });
        Window {
            at: self.at,
            host: HostSummary {
                cpu: self.cpu.map(|cpu| span([cpu.min, cpu.mean(), cpu.max])),
                memory_used_bytes: mean(self.memory),
                disk_free_bytes: mean(self.disk_free),
                network: self.network.mean().map(|mean| mean.map(bytes)),
                disk: self.disk.mean().map(|mean| mean.map(bytes)),
            },
            containers: samples.collect(),
        }
    }
}

impl Window {
    fn told(&self, clock: u64) -> StatsSummary {
        let container = |sample: &Sample| ContainerSummary {
            tenant: sample.who.0.clone(),
            id: sample.who.1.clone(),
            cpu: sample.cpu.map(|cpu| span(cpu.map(f64::from))),
            memory_bytes: sample.memory,
            network: sample.network.map(|mean| mean.map(|rate| bytes(f64::from(rate)))),
            disk: sample.disk.map(|mean| mean.map(|rate| bytes(f64::from(rate)))),
        };
        StatsSummary {
            at: self.at,
            late: clock.saturating_sub(self.at + SUMMARY_MS) > LATE_AFTER_MS,
            host: self.host,
            containers: self.containers.iter().map(container).collect(),
        }
    }
}

/// In hundredths of a percent: more digits are noise, and bytes in every report.
fn span(values: [f64; 3]) -> Span {
    let [min, avg, max] = values.map(|value| (value * 100.0).round() / 100.0);
    Span { min, avg, max }
}

#[expect(clippy::cast_possible_truncation, reason = "single precision is enough")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_precision_loss, reason = "a mean needs no single bytes")]
fn wide(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
fn bytes(mean: f64) -> u64 {
    mean.round() as u64
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::stats::{ContainerStats, HostStats, Rates};
    use proptest::prelude::*;

    use super::*;

    /// A hundred thousand bytes each second for each percent: known where it is.
    fn rates(percent: Option<f64>) -> Rates {
        let rate = percent.map(|percent| percent as u64 * 100_000);
        Rates::of(rate.map(|rate| [rate, 2 * rate]), rate.map(|rate| [3 * rate, 0]))
    }

    fn tick(percent: Option<f64>, containers: usize) -> Tick {
        let container = |number: usize| ContainerStats {
            id: format!("c{number}").parse().unwrap(),
            name: "web".parse().unwrap(),
            application: "web".parse().unwrap(),
            cpu_percent: percent,
            memory_bytes: Some(number as u64),
            rates: rates(percent),
        };
        Tick {
            sequence: 1,
            at: 0,
            host: HostStats {
                cpu_percent: percent,
                cores: 4,
                memory_used_bytes: 100,
                memory_total_bytes: 200,
                disk_free_bytes: 300,
                rates: rates(percent),
            },
            containers: (0..containers).map(|n| ("acme".parse().unwrap(), container(n))).collect(),
        }
    }

    /// A second that somebody watches and ten that nobody does make the same kind of summary, and each is told when
    /// its time is over.
    #[test]
    fn a_window_is_summed_up_when_it_is_over() {
        let mut summaries = Summaries::default();
        summaries.add(SUMMARY_MS, &tick(None, 1));
        for (second, percent) in [(1, 10.0), (2, 40.0), (3, 10.0)] {
            summaries.add(SUMMARY_MS + second * 1_000, &tick(Some(percent), 1));
        }
        assert_eq!(summaries.next(2 * SUMMARY_MS - 1), None);
        let report = summaries.next(2 * SUMMARY_MS).unwrap();
        assert_eq!((report.clock, report.summaries.len()), (2 * SUMMARY_MS, 1));
        let summary = &report.summaries[0];
        assert_eq!((summary.at, summary.late), (SUMMARY_MS, false));
        assert_eq!(summary.host.cpu, Some(Span { min: 10.0, avg: 20.0, max: 40.0 }));
        assert_eq!((summary.host.memory_used_bytes, summary.host.disk_free_bytes), (100, 300));
        assert_eq!(summary.containers[0].cpu, summary.host.cpu);
        let rates = (Some([2_000_000, 4_000_000]), Some([6_000_000, 0]));
        assert_eq!(
            (summary.host.network, summary.host.disk),
            rates,
            "the first tick, which has none, is no zero"
        );
        assert_eq!((summary.containers[0].network, summary.containers[0].disk), rates);
        assert_eq!(summaries.next(2 * SUMMARY_MS), Some(report.clone()), "until it is taken");
        summaries.taken(&report);
        assert_eq!(summaries.next(2 * SUMMARY_MS), None);
    }

    /// An hour of a busy device waits, marked late, and goes in pieces that a message holds; older than that is gone.
    #[test]
    fn an_hour_waits_and_goes_in_pieces() {
        let mut summaries = Summaries::default();
        for window in 0..500 {
            summaries.add(window * SUMMARY_MS, &tick(Some(1.0), 90));
        }
        let clock = 500 * SUMMARY_MS;
        let mut told = Vec::new();
        while let Some(report) = summaries.next(clock) {
            let samples: usize = report.summaries.iter().map(|summary| summary.containers.len()).sum();
            assert!(report.summaries.len() <= MAX_SUMMARIES && samples <= MAX_SAMPLES_OF_A_REPORT);
            assert!(serde_json::to_vec(&report).unwrap().len() < 250_000);
            summaries.taken(&report);
            told.extend(report.summaries);
        }
        let starts: Vec<u64> = told.iter().map(|summary| summary.at / SUMMARY_MS).collect();
        assert_eq!(starts, (140..500).collect::<Vec<u64>>());
        assert!(told[0].late && !told[359].late);
    }

    /// Whoever takes ticks seldom must know which window has none yet, however late they come: none may be missing.
    #[test]
    fn a_window_without_a_tick_is_known() {
        let mut summaries = Summaries::default();
        assert!(!summaries.has_tick(0));
        summaries.add(SUMMARY_MS - 1, &tick(None, 0));
        assert!(summaries.has_tick(0) && !summaries.has_tick(SUMMARY_MS));
        summaries.add(SUMMARY_MS, &tick(None, 0));
        assert!(summaries.has_tick(2 * SUMMARY_MS - 1));
    }

    /// A device of very many containers keeps less than an hour rather than more memory, and still tells each window.
    #[test]
    fn memory_is_bounded() {
        let mut summaries = Summaries::default();
        for window in 0..360 {
            summaries.add(window * SUMMARY_MS, &tick(Some(1.0), 2_000));
        }
        let report = summaries.next(360 * SUMMARY_MS).unwrap();
        assert!(summaries.samples <= MAX_SAMPLES);
        assert_eq!(report.summaries[0].containers.len(), MAX_SUMMED_CONTAINERS);
        assert_eq!(summaries.names.len(), MAX_SUMMED_CONTAINERS);
    }

    proptest! {
        /// Whatever ticks come and whenever reports get through, each tick is in exactly one window that is told, and
        /// windows without a tick are not made up.
        #[test]
        fn each_tick_counts_once(steps in prop::collection::vec((0u64..30_000, any::<bool>(), any::<bool>()), 1..100)) {
            let mut summaries = Summaries::default();
            let mut clock = 0;
            let mut expected = std::collections::BTreeMap::<u64, Vec<f64>>::new();
            let mut told = Vec::new();
            for (index, (wait, is_tick, is_answered)) in steps.into_iter().enumerate() {
                clock += wait;
                if is_tick {
                    summaries.add(clock, &tick(Some(index as f64), 0));
                    expected.entry(clock - clock % SUMMARY_MS).or_default().push(index as f64);
                }
                if let Some(report) = summaries.next(clock).filter(|_| is_answered) {
                    summaries.taken(&report);
                    told.extend(report.summaries);
                }
            }
            clock += SUMMARY_MS;
            while let Some(report) = summaries.next(clock) {
                summaries.taken(&report);
                told.extend(report.summaries);
            }
            let got: Vec<(u64, Span)> = told.iter().map(|one| (one.at, one.host.cpu.unwrap())).collect();
            let wanted: Vec<(u64, Span)> = expected.into_iter().map(|(at, values)| {
                let (min, max) = (values[0], values[values.len() - 1]);
                let avg = (values.iter().sum::<f64>() / values.len() as f64 * 100.0).round() / 100.0;
                (at, Span { min, avg, max })
            }).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}

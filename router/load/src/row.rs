//! What is told of one load.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::watch::{self, Watched};

/// One row of figures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// What happened in the measured time: calls that were answered, events that were received, sessions that were opened.
    pub operations: u64,
    /// The measured time.
    pub seconds: f64,
    /// Operations in each second.
    pub per_second: f64,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: Option<f64>,
    /// Of a hundred calls 99 took no longer, in microseconds.
    pub p99_us: Option<f64>,
    /// Processor time of the router for each operation, in microseconds.
    pub router_cpu_us: Option<f64>,
    /// The part of one core that the router used.
    pub router_cpu_share: Option<f64>,
    /// The part of one core that this program used.
    pub load_cpu_share: f64,
    /// Bytes of the router's memory for each idle session.
    pub memory_bytes: Option<u64>,
    /// In the whole run, warming up included:
    #[serde(flatten)]
    pub counts: Counts,
}

/// How everything ended that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls that were made, events that should have been received.
    pub begun: u64,
    /// Ended well: once, in order, with their own payload.
    pub good: u64,
    /// Answered with an error.
    pub errors: u64,
    /// Never came.
    pub lost: u64,
    /// Came twice, late, or with something else's payload.
    pub wrong: u64,
    /// What the router said, or did, first.
    pub first_error: Option<String>,
}

impl Counts {
    /// Whether everything ended well.
    pub fn is_clean(&self) -> bool {
        self.good == self.begun && self.errors + self.lost + self.wrong == 0 && self.first_error.is_none()
    }

    /// Remembers the first.
    pub fn fail(&mut self, reason: impl FnOnce() -> String) {
        self.first_error.get_or_insert_with(reason);
    }
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: Instant,
    router: Option<Duration>,
    own: Duration,
}

impl Moment {
    pub(crate) fn now(watched: Option<&Watched>) -> Result<Self> {
        let router = watched.map(Watched::processor_time).transpose()?;
        Ok(Self { at: Instant::now(), router, own: watch::own_processor_time() })
    }

    /// The row of so many operations from `self` to `end`.
    pub(crate) fn row(self, end: Self, operations: u64) -> Row {
        let seconds = (end.at - self.at).as_secs_f64();
        let router =
            end.router.zip(self.router).map(|(end, begin)| (end.saturating_sub(begin)).as_secs_f64());
        // Exact below 2^53.
        let count = operations as f64;
        Row {
            operations,
            seconds,
            per_second: count / seconds,
            router_cpu_us: router.filter(|_| operations > 0).map(|used| used * 1e6 / count),
            router_cpu_share: router.map(|used| used / seconds),
            load_cpu_share: (end.own - self.own).as_secs_f64() / seconds,
            ..Row::default()
        }
    }
}

/// The value that so many of a hundred do not exceed, from nanoseconds to microseconds.
pub(crate) fn percentile(sorted: &[u32], hundredth: usize) -> Option<f64> {
    let at = (sorted.len() * hundredth / 100).min(sorted.len().checked_sub(1)?);
    Some(f64::from(sorted[at]) / 1000.0)
}

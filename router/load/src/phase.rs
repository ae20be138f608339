//! The course of a load: warming up, being measured, and then waiting for what is still under way.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Common;
use crate::row::{Moment, Row};
use crate::watch::Watched;

/// How long answers are waited for at the end. A router with full queues needs a while; what has not come then is lost.
const DRAIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Drain,
}

/// Where a load stands.
#[derive(Debug)]
pub(crate) struct Course {
    phase: Phase,
    ends: Instant,
    measured: Duration,
    watched: Option<Watched>,
    begin: Option<Moment>,
    end: Option<Moment>,
}

impl Course {
    /// Begins to warm up.
    pub(crate) fn new(common: &Common) -> Self {
        Self {
            phase: Phase::WarmUp,
            ends: Instant::now() + common.warm_up,
            measured: common.measured,
            watched: common.watched.clone(),
            begin: None,
            end: None,
        }
    }

    /// Looks at the clock. `is_complete` is whether nothing is under way, `has_enough` whether no more may be begun.
    /// Answers whether the load goes on; when measuring begins, `reset` is called.
    pub(crate) fn goes_on(
        &mut self,
        is_complete: bool,
        has_enough: bool,
        reset: impl FnOnce(),
    ) -> Result<bool> {
        let now = Instant::now();
        let is_over = now >= self.ends;
        match self.phase {
            Phase::WarmUp if is_over || has_enough => {
                self.phase = Phase::Measured;
                self.ends = now + self.measured;
                reset();
                self.begin = Some(Moment::now(self.watched.as_ref())?);
            }
            Phase::Measured if is_over || has_enough => {
                self.phase = Phase::Drain;
                self.ends = now + DRAIN;
                self.end = Some(Moment::now(self.watched.as_ref())?);
            }
            Phase::Drain => return Ok(!is_complete && !is_over),
            _ => {}
        }
        Ok(true)
    }

    /// Whether more may be begun.
    pub(crate) fn sends(&self) -> bool {
        self.phase != Phase::Drain
    }

    /// Whether what ends now counts.
    pub(crate) fn is_measured(&self) -> bool {
        self.phase == Phase::Measured
    }

    /// The figures of the measured time.
    pub(crate) fn row(self, operations: u64) -> Row {
        match self.begin.zip(self.end) {
            Some((begin, end)) => begin.row(end, operations),
            // It broke off before.
            None => Row::default(),
        }
    }
}

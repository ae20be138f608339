//! Tells how many bytes of an operation have moved, thinned out: people read it, and a link is not for that.

use std::time::{Duration, Instant};

use ecep_proto::api::name::ContainerId;

use crate::{engine::PullProgress, reporter::Reporter};

/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Tells of one phase. What came last is told at the end, when this is dropped: before the next phase begins.
pub(crate) struct Telling {
    report: Reporter,
    container: Option<ContainerId>,
    phase: &'static str,
    told: Option<Instant>,
    /// Came too soon after what was told, and is told at the end if nothing follows it.
    held_back: Option<PullProgress>,
}

impl Telling {
    /// Of this phase.
    pub(crate) fn new(report: &Reporter, phase: &'static str, container: Option<&ContainerId>) -> Self {
        Self { report: report.clone(), container: container.cloned(), phase, told: None, held_back: None }
    }

    /// So far it has come.
    pub(crate) fn bytes(&mut self, progress: PullProgress) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            self.held_back = None;
            self.report.phase(self.phase, self.container.as_ref(), Some(progress));
        } else {
            self.held_back = Some(progress);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(progress) = self.held_back.take() {
            self.report.phase(self.phase, self.container.as_ref(), Some(progress));
        }
    }
}

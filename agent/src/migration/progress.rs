//! Tells the control plane how a move goes on: the newest state, thinned out, and the end until it is heard.

use std::time::{Duration, Instant};

use ecep_link::Link;
use ecep_proto::api::{
    MigrationTell, Procedure,
    migration::{MigrationPhase, MigrationReport, PhaseTook, RoundTook},
    name::OperationId,
};
use tokio::{sync::watch, time::sleep};

/// People cannot read faster.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// The control plane is out of reach: it is told when it is back.
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// An end that nobody hears for so long is not news any more; who has the container stands elsewhere.
const GIVE_UP: Duration = Duration::from_secs(600);

/// How a move goes on.
pub(super) struct Progress {
    report: watch::Sender<MigrationReport>,
    since: Instant,
    moved_before: u64,
}

impl Progress {
    /// Begins to tell.
    pub(super) fn start(migration: &OperationId, control: Link) -> Self {
        let report = MigrationReport {
            migration: migration.clone(),
            phase: MigrationPhase::Preparing,
            bytes_done: 0,
            bytes_total: None,
            phases: Vec::new(),
            rounds: Vec::new(),
            estimated_downtime_ms: None,
            went_cold: false,
            downtime_ms: None,
            ended: false,
        };
        let (report, latest) = watch::channel(report);
        tokio::spawn(tell(latest, control));
        Self { report, since: Instant::now(), moved_before: 0 }
    }

    /// The next phase begins; one that has begun goes on.
    pub(super) fn phase(&mut self, phase: MigrationPhase) {
        if self.report.borrow().phase == phase {
            return;
        }
        let (since, now) = (self.since, Instant::now());
        self.report.send_modify(|report| {
            let took = PhaseTook {
                phase: report.phase,
                milliseconds: milliseconds(now - since),
                bytes: report.bytes_done,
            };
            tracing::info!(migration = %report.migration, ended = ?took.phase, took.milliseconds, took.bytes, "move phase");
            report.phases.push(took);
            report.phase = phase;
            report.bytes_done = 0;
            report.bytes_total = None;
        });
        self.since = now;
        self.moved_before = 0;
    }

    /// Bytes of this phase; `is_item_over` where what follows is counted from 0 again.
    pub(super) fn bytes(&mut self, of_item: u64, is_item_over: bool) {
        let done = self.moved_before + of_item;
        self.report.send_modify(|report| report.bytes_done = done);
        if is_item_over {
            self.moved_before = done;
        }
    }

    /// How many bytes follow in this phase; 0 where it is not known.
    pub(super) fn total(&self, following: u64) {
        let total = (following > 0).then_some(self.moved_before.saturating_add(following));
        self.report.send_modify(|report| report.bytes_total = total);
    }

    /// The rounds of memory that are over.
    pub(super) fn rounds(&self, rounds: &[RoundTook]) {
        self.report.send_modify(|report| report.rounds = rounds.to_vec());
    }

    /// How long the container will stand still.
    pub(super) fn estimated(&self, downtime: Duration) {
        self.report.send_modify(|report| report.estimated_downtime_ms = Some(milliseconds(downtime)));
    }

    /// It moves without its memory after all.
    pub(super) fn went_cold(&self) {
        self.report.send_modify(|report| report.went_cold = true);
    }

    /// How long the container did not run.
    pub(super) fn downtime(&self, downtime: Duration) {
        self.report.send_modify(|report| report.downtime_ms = Some(milliseconds(downtime)));
    }

    /// Nothing is left to do.
    pub(super) fn end(self) {
        self.report.send_modify(|report| report.ended = true);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn tell(mut latest: watch::Receiver<MigrationReport>, control: Link) {
    let mut ended_at = None;
    loop {
        let report = latest.borrow_and_update().clone();
        let told = control.call::<MigrationTell>(MigrationTell::URI, &report).await;
        match told {
            Ok(_) if report.ended => return,
            Ok(_) => {
                sleep(TELL_EVERY).await;
                if latest.changed().await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let since = report.ended.then(|| *ended_at.get_or_insert_with(Instant::now));
                if since.is_some_and(|since| since.elapsed() > GIVE_UP) {
                    tracing::warn!(migration = %report.migration, %error, "nobody heard of the move's end");
                    return;
                }
                sleep(RETRY_EVERY).await;
            }
        }
    }
}

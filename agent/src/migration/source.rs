//! The source's end of a move: does what `ecep_fleet::migration::source` says, writes down the phase before it acts, and
//! tells how it went.

mod freezing;
mod line;
mod preparing;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use ecep_channel::{grant::Grant, transfer::Throttle};
use ecep_fleet::migration::{
    Outcome, Standing,
    source::{Action, Input, Phase, Source},
};
use ecep_precopy::sent::Sent;
use ecep_proto::api::migration::{Decision, MigrationPhase};
use ecep_runtime::{freezer, network};
use tokio::{
    sync::{SemaphorePermit, watch},
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use super::{
    Shared, files,
    journal::{Before, Journal, Record, SourceRecord},
    progress::Progress,
    saving,
    step::{Attempts, Why, advise, say, text_of, unwritten},
    verdict::Authority,
    wire::FromDestination,
};
use crate::engine::{Engine, EngineError};
use line::Line;

/// Once its copy stands, the destination commits within a second; then the move is given up, and the container goes on.
const DECISION_LIMIT: Duration = Duration::from_secs(15);
/// After the decision the destination lets its copy out within milliseconds.
const OUT_LIMIT: Duration = Duration::from_secs(5);
/// Between two questions while nothing is decided.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Said where this end works for a move that is decided already.
const GIVEN_UP: &str = "the move was given up meanwhile";

/// What must succeed, however long it takes.
#[derive(Debug, Clone, Copy)]
enum Duty {
    /// Let the container go on here.
    Resume,
    /// Remove the copy that the container left.
    Remove,
    /// Remove the move's files.
    ClearUp,
}

struct Move<'a, E> {
    shared: &'a Shared<E>,
    journal: Journal,
    record: SourceRecord,
    progress: Progress,
    authority: Authority,
    /// The way to the destination, once there is one.
    line: Option<Line>,
    /// What the move may take of the link, all its streams together.
    throttle: Throttle,
    frozen_at: Option<Instant>,
    /// The files, as they were when they went.
    tracked: Option<Arc<files::Tracked>>,
    /// Bytes of its memory when it was looked at.
    memory_bytes: u64,
    /// The memory that has gone ahead.
    sent: Option<Arc<Sent>>,
    /// A freeze that was begun: it must not come after what undoes it.
    freezing: Option<JoinHandle<Result<(), Why>>>,
    /// A dump that was begun: nothing may be undone under it.
    dump: Option<JoinHandle<Result<PathBuf, saving::Failure>>>,
    delivered_at: Option<Instant>,
    /// One of the turns at this device, from the first step until the move is decided.
    turn: Option<SemaphorePermit<'a>>,
}

/// Does its part of a move, to the end.
pub(super) async fn run<E: Engine>(
    shared: &Shared<E>,
    journal: Journal,
    record: SourceRecord,
    is_recovered: bool,
    mut stop: watch::Receiver<bool>,
) {
    let grant = record.grant.clone();
    let begun = if is_recovered { Source::recover(record.phase) } else { Some(Source::begin()) };
    let generation = grant.generation;
    let mut this = Move {
        shared,
        journal,
        throttle: Throttle::new(record.bytes_per_second),
        record,
        progress: Progress::start(&grant.migration, shared.control.clone()),
        authority: Authority { control: shared.control.clone(), grant: grant.clone(), generation },
        line: None,
        frozen_at: None,
        tracked: None,
        memory_bytes: 0,
        sent: None,
        freezing: None,
        dump: None,
        delivered_at: None,
        turn: None,
    };
    let Some((mut machine, mut action)) = begun else {
        this.insist(Duty::ClearUp).await;
        return;
    };
    let authority = this.authority.clone();
    let mut failure = None;
    loop {
        let input = match action.clone() {
            Action::End(outcome) => {
                this.end(&outcome).await;
                return;
            }
            Action::Prepare => tokio::select! {
                () = authority.decided() => Input::Failed(GIVEN_UP.to_owned()),
                prepared = this.prepare() => match prepared {
                    Ok(()) => Input::Prepared,
                    Err(why) => Input::Failed(why),
                },
                Ok(_) = stop.wait_for(|stop| *stop) => Input::Cancel,
            },
            Action::FreezeAndDeliver => tokio::select! {
                () = authority.decided() => Input::Failed(GIVEN_UP.to_owned()),
                delivered = this.freeze_and_deliver() => match delivered {
                    Ok(()) => Input::Delivered,
                    Err(why) => Input::Failed(why),
                },
            },
            Action::Ask { abort } => this.ask(abort, failure.as_deref()).await,
            Action::Resume => {
                this.resume().await;
                Input::Resumed
            }
            Action::Remove => {
                this.remove().await;
                Input::Removed
            }
        };
        let input = match input {
            Input::Failed(why) => Input::Failed(advise(why, "source")),
            input => input,
        };
        if let Input::Failed(why) = &input {
            tracing::warn!(migration = %grant.migration, container = %grant.container, %why, "move fails at its source");
            failure = Some(why.clone());
        }
        if input == Input::Cancel {
            failure = Some("cancelled".to_owned());
        }
        if input == Input::Overdue {
            failure = Some("the destination did not take the container over in time".to_owned());
        }
        let before = machine.clone();
        let Some(next) = machine.handle(input) else { continue };
        let is_freezing = before.phase() != Phase::Frozen && machine.phase() == Phase::Frozen;
        this.record.phase = machine.phase();
        if let Some(before) = this.record.before.as_mut().filter(|_| is_freezing) {
            before.is_frozen = true;
        }
        match this.write() {
            Ok(()) => action = next,
            // Nothing was done yet, so it can be left undone. Later phases are found again by asking.
            Err(why) if is_freezing => {
                let why = advise(why, "source");
                tracing::warn!(migration = %grant.migration, container = %grant.container, %why, "move fails at its source");
                machine = before;
                failure = Some(why.clone());
                if let Some(next) = machine.handle(Input::Failed(why)) {
                    action = next;
                }
            }
            Err(why) => {
                tracing::warn!(migration = %grant.migration, %why, "a move's phase was not written down");
                action = next;
            }
        }
        if matches!(action, Action::Resume | Action::Remove) && this.turn.is_some() {
            // What is left to do may take as long as an engine is away.
            tracing::info!(migration = %grant.migration, "a move's turn is over");
            this.turn = None;
        }
    }
}

impl<E: Engine> Move<'_, E> {
    fn grant(&self) -> &Grant {
        &self.record.grant
    }

    fn write(&self) -> Result<(), Why> {
        self.journal.write(&Record::Source(Box::new(self.record.clone()))).map_err(unwritten)
    }

    /// Asks the authority until it has decided.
    async fn ask(&mut self, abort: bool, failure: Option<&str>) -> Input {
        if abort {
            return Input::Answer(self.authority.decide(Decision::Abort, failure).await);
        }
        // The destination says when it lets its copy out; the authority's word is what counts.
        let said = timeout(ASK_EVERY, self.answer()).await;
        if let Ok(Ok(FromDestination::Out)) = said
            && let Some(frozen_at) = self.frozen_at.take()
        {
            self.progress.downtime(frozen_at.elapsed());
        }
        if matches!(said, Ok(Err(_))) {
            sleep(ASK_EVERY).await;
        }
        match self.authority.decide(Decision::Ask, None).await {
            Standing::Pending if self.delivered_at.is_some_and(|at| at.elapsed() > DECISION_LIMIT) => {
                Input::Overdue
            }
            standing => Input::Answer(standing),
        }
    }

    /// The container goes on here; this must succeed.
    async fn resume(&mut self) {
        // The destination hears of it by the end of the line, too.
        self.line = None;
        if let Some(freezing) = self.freezing.take() {
            drop(freezing.await);
        }
        if let Some(dump) = self.dump.take() {
            // How it went does not matter any more.
            drop(dump.await);
        }
        // One that an agent began which was killed since.
        let journal = self.journal.clone();
        let waited = spawn_blocking(move || {
            saving::wait_for_dumps(journal.folder());
            saving::wait_for_dumps(journal.memory());
        });
        drop(waited.await);
        self.insist(Duty::Resume).await;
    }

    async fn try_resume(&self) -> Result<(), Why> {
        let Some(before) = &self.record.before else { return Ok(()) };
        let (mobility, tenant) = (&self.shared.mobility, &self.grant().tenant);
        if let Some(address) = before.address.filter(|_| before.is_frozen) {
            self.shared.networks.arrived(tenant, &self.grant().container, address).await;
        }
        let portrait = match mobility.portrait(tenant, &before.engine_id, false).await {
            Ok(portrait) => portrait,
            // Somebody deleted it at the engine itself.
            Err(EngineError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(say(error)),
        };
        match portrait.pid {
            Some(pid) => {
                match network::reconnect(pid) {
                    // It was never cut, and cannot be.
                    Ok(()) | Err(network::NetworkError::Shared | network::NetworkError::NoCable(_)) => {}
                    Err(error) => return Err(error.to_string()),
                }
                // What a person has paused is that person's.
                if !portrait.is_paused {
                    freezer::thaw(pid).map_err(|error| error.to_string())?;
                }
            }
            // Unless it ended by itself before anything was done to it.
            None if before.was_running && before.is_frozen => {
                self.shared.engine.start(&before.engine_id).await.map_err(say)?;
            }
            None => {}
        }
        mobility.set_restart(&before.engine_id, before.restart.clone()).await.map_err(say)
    }

    /// The destination has the container: this copy goes while it is still cut off; this must succeed.
    async fn remove(&mut self) {
        self.progress.phase(MigrationPhase::Finishing);
        self.lead_on().await;
        if let Some(frozen_at) = self.frozen_at.take()
            && let Ok(Ok(FromDestination::Out)) = timeout(OUT_LIMIT, self.answer()).await
        {
            self.progress.downtime(frozen_at.elapsed());
        }
        self.line = None;
        self.insist(Duty::Remove).await;
    }

    /// Whoever reaches the container through this device is sent on.
    async fn lead_on(&self) {
        let grant = self.grant();
        let address = self.record.before.as_ref().and_then(|before| before.address);
        let sockets = self.record.addresses.iter().filter_map(|address| address.parse().ok());
        let to = sockets.filter_map(|socket: std::net::SocketAddr| match socket.ip() {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        });
        if let (Some(address), Some(to)) = (address, to.into_iter().next()) {
            let to = (&grant.destination, to);
            self.shared.networks.left(&grant.tenant, &grant.container, address, to).await;
        }
    }

    async fn try_remove(&self) -> Result<(), Why> {
        let Some(before) = &self.record.before else { return Ok(()) };
        let mobility = &self.shared.mobility;
        match mobility.portrait(&self.grant().tenant, &before.engine_id, false).await {
            Ok(portrait) => {
                if let Some(pid) = portrait.pid {
                    freezer::kill(pid).map_err(|error| error.to_string())?;
                }
                if self.record.options.keep_source {
                    return self.try_keep(before).await;
                }
                match self.shared.engine.remove(&before.engine_id, true).await {
                    Ok(()) | Err(EngineError::NotFound(_)) => {}
                    Err(error) => return Err(say(error)),
                }
            }
            Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(say(error)),
        }
        for volume in &before.volumes {
            mobility.remove_volume(volume).await.map_err(say)?;
        }
        Ok(())
    }

    /// What is left stays, as was asked for, but not as the container.
    async fn try_keep(&self, before: &Before) -> Result<(), Why> {
        let grant = self.grant();
        // Its processes have been killed; this waits until the engine knows.
        self.shared.engine.stop(&before.engine_id, 0).await.map_err(say)?;
        let (tenant, id) = (&grant.tenant, &before.engine_id);
        self.shared.mobility.keep(tenant, id, &grant.container, &grant.migration).await.map_err(say)
    }

    async fn end(mut self, outcome: &Outcome) {
        if *outcome == Outcome::Moved {
            self.progress.phase(MigrationPhase::Finishing);
        }
        let grant = self.grant().clone();
        tracing::info!(migration = %grant.migration, container = %grant.container, ?outcome, "move ended at its source");
        if let Some(before) = &self.record.before {
            // The inventory hears of it by events too; this is sooner.
            drop(self.shared.inventory.look(&before.engine_id).await);
        }
        self.insist(Duty::ClearUp).await;
        self.progress.end();
    }

    /// Tries until it succeeds; the log has each new reason once.
    async fn insist(&self, duty: Duty) {
        let mut attempts = Attempts::default();
        loop {
            let outcome = match duty {
                Duty::Resume => self.try_resume().await,
                Duty::Remove => self.try_remove().await,
                Duty::ClearUp => self.journal.remove().map_err(text_of),
            };
            let Err(why) = outcome else { return };
            attempts.failed(&self.grant().migration, &duty, why).await;
        }
    }
}

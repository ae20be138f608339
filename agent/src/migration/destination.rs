//! The destination's end of a move: does what `ecep_fleet::migration::destination` says, writes down the phase before it
//! acts, and tells how it went.

mod lots;
mod receiving;

use std::path::PathBuf;

use bollard::models::RestartPolicyNameEnum;
use ecep_channel::{
    channel::ChannelStream,
    frame::{FrameError, write_message},
    grant::Grant,
};
use ecep_fleet::migration::{
    Outcome,
    destination::{Action, Destination, Input},
};
use ecep_proto::api::{migration::Decision, network::Place};
use ecep_runtime::{
    freezer, network,
    order::{Connections, Order, Then},
    restore::REFUSED,
};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    Shared,
    journal::{DestinationRecord, Journal, Record},
    plan::Plan,
    progress::Progress,
    step::{Attempts, Why, advise, is_of_full_disk, say, text_of, unwritten},
    verdict::Authority,
    wire::{FromDestination, IMAGES, Lot, Opening},
};
use crate::{
    engine::{Engine, EngineError, engine_name},
    quotas::Admitted,
    restoring,
};

/// A lot is never larger than what the disk holds, which the pre-flight has looked at.
pub(super) const LOT_LIMIT: u64 = 1 << 40;
/// Said where something is to be told or heard and there is no way.
const LINE_LOST: &str = "the line to the source is lost";
/// The folder of what arrives, in the move's own.
const INBOX: &str = "inbox";

type Streams = mpsc::Receiver<(Opening, ChannelStream)>;

/// What must succeed, however long it takes.
#[derive(Debug, Clone, Copy)]
enum Duty {
    /// Let the container run here.
    LetOut,
    /// Remove the copy.
    Remove,
    /// Remove the move's files.
    ClearUp,
}

struct Move<'a, E> {
    shared: &'a Shared<E>,
    journal: Journal,
    record: DestinationRecord,
    authority: Authority,
    control: Option<ChannelStream>,
    /// Where the container was reached before this device began to wait for it.
    awaited: Option<Place>,
    progress: Progress,
    /// Its part of the tenant's quota.
    admitted: Option<Admitted>,
}

/// Does its part of a move, to the end.
pub(super) async fn run<E: Engine>(
    shared: &Shared<E>,
    journal: Journal,
    record: DestinationRecord,
    is_recovered: bool,
    mut streams: Streams,
) {
    let grant = record.grant.clone();
    let begun = if is_recovered { Destination::recover(record.phase) } else { Some(Destination::begin()) };
    let generation = grant.generation + 1;
    let mut this = Move {
        shared,
        journal,
        record,
        authority: Authority { control: shared.control.clone(), grant: grant.clone(), generation },
        control: None,
        awaited: None,
        progress: Progress::start(&grant.migration, shared.control.clone()),
        admitted: None,
    };
    let Some((mut machine, mut action)) = begun else {
        this.insist(Duty::ClearUp).await;
        return;
    };
    let mut failure = is_recovered.then(|| "the destination's agent was started again".to_owned());
    if let (true, Some(engine_id)) = (is_recovered, &this.record.engine_id)
        && let Err(why) = restoring::call_off(engine_id)
    {
        // What waits for images that do not come any more holds up whoever asks the engine for this container.
        tracing::warn!(migration = %grant.migration, %why, "a start that waits could not be called off");
    }
    loop {
        let input = match action.clone() {
            Action::End(outcome) => {
                this.end(&outcome).await;
                return;
            }
            Action::Receive => match this.receive_unless_decided(&mut streams).await {
                Ok(()) => Input::Restored,
                Err(why) => {
                    let why = advise(why, "destination");
                    tracing::warn!(migration = %grant.migration, container = %grant.container, %why, "move fails at its destination");
                    this.say(FromDestination::Failed(why.clone())).await;
                    failure = Some(why.clone());
                    Input::Failed(why)
                }
            },
            Action::Commit => Input::Answer(this.authority.decide(Decision::Commit, None).await),
            Action::Abort => Input::Answer(this.authority.decide(Decision::Abort, failure.as_deref()).await),
            Action::LetOut => {
                this.insist(Duty::LetOut).await;
                this.say(FromDestination::Out).await;
                Input::LetOut
            }
            Action::Remove => {
                this.control = None;
                this.insist(Duty::Remove).await;
                Input::Removed
            }
        };
        let Some(next) = machine.handle(input) else { continue };
        this.record.phase = machine.phase();
        // A phase that is not written down is found again by asking the authority.
        if let Err(why) = this.write() {
            tracing::warn!(migration = %grant.migration, %why, "a move's phase was not written down");
        }
        action = next;
    }
}

impl<E: Engine> Move<'_, E> {
    fn grant(&self) -> &Grant {
        &self.record.grant
    }

    fn write(&self) -> Result<(), Why> {
        self.journal.write(&Record::Destination(Box::new(self.record.clone()))).map_err(unwritten)
    }

    fn inbox(&self, lot: Lot) -> PathBuf {
        self.journal.folder().join(INBOX).join(lot.folder())
    }

    async fn receive_unless_decided(&mut self, streams: &mut Streams) -> Result<(), Why> {
        let authority = self.authority.clone();
        tokio::select! {
            received = self.receive(streams) => received,
            () = authority.decided() => Err("the move was given up".to_owned()),
        }
    }

    /// CRIU's images, where the runtime looks for them.
    fn images(&self) -> PathBuf {
        self.journal.images_folder().join(IMAGES)
    }

    /// What the runtime is told.
    fn order(&self, plan: &Plan) -> Order {
        Order {
            images: self.images(),
            isolated: true,
            then: Then::Freeze,
            connections: Connections::Keep,
            waits: false,
            addresses: plan.address.into_iter().collect(),
        }
    }

    /// Brings it up, cut off and frozen, and proves it.
    async fn restore(&self, plan: &Plan, engine_id: &str) -> Result<(), Why> {
        prove(restoring::restore(&self.shared.mobility, engine_id, self.order(plan)).await?)
    }

    async fn try_let_out(&mut self) -> Result<(), Why> {
        let plan = self.record.plan.clone().ok_or("the plan is lost")?;
        let engine_id = self.record.engine_id.clone().ok_or("the container's id is lost")?;
        let (mobility, grant) = (self.shared.mobility.clone(), self.grant().clone());
        let portrait = match mobility.portrait(&grant.tenant, &engine_id, false).await {
            // Somebody deleted it at the engine itself.
            Err(EngineError::NotFound(_)) => return Ok(()),
            portrait => portrait.map_err(say)?,
        };
        if self.record.is_live(&plan) && !self.journal.is_held() && portrait.pid.is_none() {
            // It has run here and ended since: what its restart policy says is the engine's business again, but for one thing
            // that the engine could not know.
            restoring::clear(&engine_id)?;
            let policy = plan.restart.as_ref().and_then(|policy| policy.name);
            if matches!(policy, Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED)) {
                self.shared.engine.start(&engine_id).await.map_err(say)?;
            }
        } else if self.record.is_live(&plan) {
            let pid = match portrait.pid {
                Some(pid) => pid,
                // The device was started again, or somebody killed it: it is brought up once more from its images.
                None => {
                    if let Err(why) = self.restore(&plan, &engine_id).await {
                        // The images are whole: what may pass is waited for.
                        if !why.starts_with(REFUSED) || is_of_full_disk(&why) {
                            return Err(why);
                        }
                        return self.without_memory(&plan, &engine_id, &why).await;
                    }
                    let now = mobility.portrait(&grant.tenant, &engine_id, false).await.map_err(say)?;
                    now.pid.ok_or("the container does not stay up")?
                }
            };
            self.journal.release().map_err(text_of)?;
            let bridge = self.shared.networks.bridge(&grant.tenant).await;
            let released = spawn_blocking(move || {
                network::reconnect(pid).map_err(|error| error.to_string())?;
                freezer::thaw(pid).map_err(|error| error.to_string())?;
                if let (Some(address), Some(bridge)) = (plan.address, bridge)
                    && let Err(error) = network::introduce(pid, address, &bridge)
                {
                    // ARP finds it within a second.
                    tracing::warn!(%address, %error, "what waits for a container waits longer");
                }
                Ok::<(), Why>(())
            });
            if let Some(address) = plan.address {
                self.shared.networks.arrived(&grant.tenant, &grant.container, address).await;
            }
            released.await.map_err(|error| error.to_string())??;
            restoring::clear(&engine_id)?;
        } else {
            if let Some(address) = plan.address {
                self.shared.networks.arrived(&grant.tenant, &grant.container, address).await;
            }
            if plan.needs.is_running && !portrait.is_running {
                self.shared.engine.start(&engine_id).await.map_err(say)?;
            }
        }
        let restarting = mobility.set_restart(&engine_id, plan.restart.clone()).await;
        if restarting.is_err() {
            // It runs, and what is left may take as long as a disk is full: people must see it meanwhile.
            self.shared.moving.reveal(&grant.container, &grant.migration);
        }
        restarting.map_err(say)
    }

    /// It cannot be restored any more, and nobody else has it: better started anew than lost.
    async fn without_memory(&self, plan: &Plan, engine_id: &str, why: &str) -> Result<(), Why> {
        let (tenant, container) = (&self.grant().tenant, &self.grant().container);
        tracing::error!(%container, %why, "a container that moved here cannot be restored again; it is started anew");
        // From here on its images are old.
        self.journal.release().map_err(text_of)?;
        restoring::clear(engine_id)?;
        if let Some(address) = plan.address {
            self.shared.networks.arrived(tenant, container, address).await;
        }
        self.shared.engine.start(engine_id).await.map_err(say)?;
        self.shared.mobility.set_restart(engine_id, plan.restart.clone()).await.map_err(say)
    }

    async fn try_remove(&mut self) -> Result<(), Why> {
        if let Some(before) = self.awaited.take() {
            self.shared.networks.does_not_come(before).await;
        }
        // By name too: the agent may have ended between making it and writing that down.
        let name = engine_name(&self.grant().container);
        if let Some(engine_id) = &self.record.engine_id {
            restoring::call_off(engine_id)?;
            // The engine is asked for it again, or it could not be removed.
            self.shared.mobility.release(engine_id);
        }
        for id in [self.record.engine_id.as_deref(), Some(name.as_str())].into_iter().flatten() {
            match self.shared.engine.remove(id, true).await {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(say(error)),
            }
        }
        if let Some(engine_id) = &self.record.engine_id {
            restoring::clear(engine_id)?;
        }
        for volume in &self.record.volumes {
            self.shared.mobility.remove_volume(volume).await.map_err(say)?;
        }
        Ok(())
    }

    async fn end(mut self, outcome: &Outcome) {
        let grant = self.grant().clone();
        tracing::info!(migration = %grant.migration, container = %grant.container, ?outcome, "move ended at its destination");
        self.insist(Duty::ClearUp).await;
        self.shared.moving.end(&grant.container, &grant.migration);
        if let Some(engine_id) = &self.record.engine_id {
            self.shared.inventory.announce(engine_id).await;
        }
        self.shared.networks.started().await;
        self.progress.end();
    }

    /// Tries until it succeeds; the log has each new reason once.
    async fn insist(&mut self, duty: Duty) {
        let mut attempts = Attempts::default();
        loop {
            let outcome = match duty {
                Duty::LetOut => self.try_let_out().await,
                Duty::Remove => self.try_remove().await,
                Duty::ClearUp => self.journal.remove().map_err(text_of),
            };
            let Err(why) = outcome else { return };
            attempts.failed(&self.grant().migration, &duty, why).await;
        }
    }

    async fn tell(&mut self, message: FromDestination) -> Result<(), Why> {
        let control = self.control.as_mut().ok_or(LINE_LOST)?;
        write_message(control, &message).await.map_err(|error| lost(&error))
    }

    /// Tells it if it can be told; the authority's word counts.
    async fn say(&mut self, message: FromDestination) {
        if let Err(why) = self.tell(message).await {
            tracing::debug!(migration = %self.grant().migration, %why, "the source was not told");
        }
    }
}

/// It is cut off and frozen.
fn prove(pid: i32) -> Result<(), Why> {
    let is_cut = network::is_cut(pid).map_err(|error| error.to_string())?;
    let is_frozen = freezer::is_frozen(pid).map_err(|error| error.to_string())?;
    if is_cut && is_frozen {
        return Ok(());
    }
    Err("the copy came up, but not cut off; it was removed".to_owned())
}

fn lost(error: &FrameError) -> Why {
    format!("the line to the source broke: {error}")
}

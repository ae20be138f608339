//! The destination's end of a move: does what `ecep_fleet::migration::destination` says, writes down the phase before it
//! acts, and tells how it went.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bollard::models::RestartPolicyNameEnum;
use ecep_channel::{
    channel::ChannelStream,
    frame::{FrameError, read_message, write_message},
    grant::{Grant, Mode},
    transfer::{self, Inbox, TransferError},
};
use ecep_fleet::migration::{
    Outcome,
    destination::{Action, Destination, Input},
};
use ecep_precopy::pool::Pool;
use ecep_proto::api::{
    fleet::REPORT_EVERY_MS,
    migration::{Decision, MigrationPhase, Verdict},
    network::{AssignedAddress, Place, Subnet},
};
use ecep_runtime::{
    freezer, network,
    order::{Connections, Order, Then},
    register::RUNTIME_NAME,
    restore::REFUSED,
};
use tokio::{
    io::AsyncWriteExt,
    sync::mpsc,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Shared,
    journal::{DestinationRecord, Journal, Record},
    memory,
    placing::{self, Places},
    plan::Plan,
    preflight,
    progress::Progress,
    room,
    step::{Attempts, Why, advise, blocking, is_of_full_disk, say, text_of, unwritten},
    verdict::Authority,
    wire::{FromDestination, FromSource, IMAGE, IMAGES, Lot, Opening, PLAN},
};
use crate::{
    creation,
    engine::{Engine, EngineError, NamedVolume, engine_name},
    policy::{AllowedBody, Policy},
    restoring,
};

/// The source may wait for its turn behind other moves; its grant is no good after that time. A move that was given up
/// meanwhile ends sooner.
const FIRST_CONTACT: Duration = Duration::from_secs(60 * 60);
/// The source saves memory, or makes an image's archive, before it sends the next lot: for so long not a byte may come.
const NEXT_LOT: Duration = Duration::from_secs(600);
/// The control plane tells a network with its answer to the next report, or the one after it.
const NETWORK_LIMIT: Duration = Duration::from_millis(4 * REPORT_EVERY_MS);
/// A lot is never larger than what the disk holds, which the pre-flight has looked at.
pub(super) const LOT_LIMIT: u64 = 1 << 40;
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
    };
    let Some((mut machine, mut action)) = begun else {
        this.insist(Duty::ClearUp).await;
        return;
    };
    let mut failure = is_recovered.then(|| "the destination's agent was started again".to_owned());
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

    async fn receive(&mut self, streams: &mut Streams) -> Result<(), Why> {
        let first = timeout(FIRST_CONTACT, streams.recv()).await;
        match first.map_err(|_| "the source did not come".to_owned())? {
            Some((Opening::Control, stream)) => self.control = Some(stream),
            _ => return Err("the source came without a control stream".to_owned()),
        }
        self.take_lot(Lot::Plan, streams).await?;
        let plan = self.read_plan().await?;
        let mobility = &self.shared.mobility;
        let has_image = mobility.image(&plan.needs.image_id).await.map_err(say)?.is_some();
        let layers_held =
            if has_image { 0 } else { mobility.layers_held(&plan.layers).await.map_err(say)? };
        self.tell(FromDestination::Wants { image: !has_image, layers_held }).await?;
        if !has_image {
            self.take_lot(Lot::Image, streams).await?;
            mobility.load_image(&self.inbox(Lot::Image).join(IMAGE)).await.map_err(say)?;
            if mobility.image(&plan.needs.image_id).await.map_err(say)?.is_none() {
                return Err(format!("the engine loaded the image, but not as {}", plan.needs.image_id));
            }
            fs::remove_dir_all(self.inbox(Lot::Image)).map_err(text_of)?;
        }
        let body = self.make_ready(&plan).await?;
        let engine_id = self.create(&plan, body).await?;
        let places = self.places(&plan, &engine_id).await?;
        self.tell(FromDestination::Prepared).await?;

        self.take_lot(Lot::Files, streams).await?;
        let (of, arrived) = (places.clone(), self.inbox(Lot::Files));
        blocking(move || {
            of.put(&arrived)?;
            // Where it could not be moved it was copied.
            fs::remove_dir_all(arrived)
        })
        .await?;
        room::claim(self.journal.memory(), plan.needs.memory_bytes);
        fs::DirBuilder::new().mode(0o700).create(self.images()).map_err(text_of)?;
        self.tell(FromDestination::Placed).await?;

        self.take_lot(Lot::State, streams).await?;
        if self.record.came_cold {
            // An agent that is started again must not look for its memory.
            self.write()?;
        }
        self.tell(FromDestination::At(MigrationPhase::Restoring)).await?;
        let arrived = self.inbox(Lot::State);
        let written = blocking(move || places.put_changes(&arrived)).await?;
        // The source deletes its files after the commit, so these must be on the disk before it; meanwhile it is restored.
        let flushing = tokio::spawn(blocking(move || placing::flush(&written)));
        if self.record.is_live(&plan) {
            self.complete_images().map_err(text_of)?;
            self.restore(&plan, &engine_id).await?;
        }
        flushing.await.map_err(|error| error.to_string())??;
        self.tell(FromDestination::Restored).await
    }

    /// What comes must be what the grant says, and be possible here.
    async fn read_plan(&mut self) -> Result<Plan, Why> {
        let path = self.inbox(Lot::Plan).join(PLAN);
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
            format!("the plan cannot be read ({error}); do both devices have the same version?")
        })?;
        plan.check(self.grant()).map_err(|error| error.to_string())?;
        let checks = preflight::check(self.shared, &plan.needs).await.map_err(|error| error.message)?.checks;
        let allowed = if plan.is_live(self.grant()) { Verdict::Live } else { Verdict::Cold };
        let hindering: Vec<&str> =
            checks.iter().filter(|check| check.verdict > allowed).map(|check| check.text.as_str()).collect();
        if !hindering.is_empty() {
            return Err(hindering.join("; "));
        }
        self.record.plan = Some(plan.clone());
        self.write()?;
        Ok(plan)
    }

    /// The image's name, the tenant's network and the volumes; answers the request for the container.
    async fn make_ready(&mut self, plan: &Plan) -> Result<AllowedBody, Why> {
        let tenant = self.grant().tenant.clone();
        let mobility = self.shared.mobility.clone();
        let mut body = plan.body.clone();
        mobility.tag_image(&plan.needs.image_id, &plan.image).await.map_err(say)?;
        let named = mobility.image(&plan.image).await.map_err(say)?;
        if named.is_none_or(|image| image.id != plan.needs.image_id) {
            // The name is another image's here.
            body.image = Some(plan.needs.image_id.clone());
        }
        if let Some(address) = plan.address {
            let subnet = self.subnet(&tenant).await?;
            if self.shared.networks.is_taken(address, &plan.needs.container).await {
                return Err(format!("another container of the tenant has the address {address}"));
            }
            self.shared.engine.ensure_network(&subnet).await.map_err(say)?;
            creation::join_network(&mut body, plan.name(), &AssignedAddress { address, subnet });
        }
        let host = body.host_config.get_or_insert_default();
        // It gets its policy back when it is let out: until then the engine must not start it by itself.
        host.restart_policy = None;
        let has_runtime = self.shared.engine.has_runtime(RUNTIME_NAME).await;
        host.runtime = has_runtime.then(|| RUNTIME_NAME.to_owned());
        let policy = Policy::load(&self.shared.orders.policy_folder).map_err(|error| error.to_string())?;
        let body = policy.check(&tenant, body).map_err(|error| error.message)?;
        for (engine_name, _) in &plan.needs.volumes {
            let prefix = creation::volume_prefix(&tenant);
            let name = engine_name.strip_prefix(&prefix).ok_or("a volume that is not the tenant's")?;
            let volume = NamedVolume {
                engine_name: engine_name.clone(),
                tenant: tenant.clone(),
                name: name.to_owned(),
            };
            // One that came meanwhile is somebody else's.
            if self.shared.mobility.volume(engine_name).await.map_err(say)?.is_some() {
                return Err(format!("a volume {name} was made here meanwhile; delete it, and move again"));
            }
            self.record.volumes.push(engine_name.clone());
            self.write()?;
            self.shared.engine.ensure_volume(&volume).await.map_err(say)?;
        }
        Ok(body)
    }

    async fn subnet(&self, tenant: &ecep_proto::api::name::TenantSlug) -> Result<Subnet, Why> {
        // The tenant's first container here may have come this moment.
        timeout(NETWORK_LIMIT, self.shared.networks.subnet(tenant)).await.map_err(|_| {
            "the control plane has not told this device the tenant's network; is the device connected?"
                .to_owned()
        })
    }

    async fn create(&mut self, plan: &Plan, body: AllowedBody) -> Result<String, Why> {
        let name = engine_name(&plan.needs.container);
        let engine_id = self.shared.engine.create(&name, body).await.map_err(say)?;
        self.record.engine_id = Some(engine_id.clone());
        self.journal.hold().map_err(unwritten)?;
        self.write()?;
        Ok(engine_id)
    }

    /// Where its files go.
    async fn places(&self, plan: &Plan, engine_id: &str) -> Result<Places, Why> {
        let mobility = &self.shared.mobility;
        let portrait = mobility.portrait(&self.grant().tenant, engine_id, false).await.map_err(say)?;
        let there: HashMap<String, PathBuf> = portrait.volumes.into_iter().collect();
        let volumes = plan.needs.volumes.iter().map(|(name, _)| {
            there.get(name).cloned().ok_or_else(|| format!("the volume {name} is not mounted here"))
        });
        let log =
            match portrait.log {
                Some(log) => Some(log),
                // An engine names the file when it starts a container for the first time.
                None => self.shared.engine.storage().await.map(|root| {
                    root.join("containers").join(engine_id).join(format!("{engine_id}-json.log"))
                }),
            };
        let volumes = volumes.collect::<Result<_, _>>()?;
        Ok(Places { upper: portrait.upper, volumes, log })
    }

    /// CRIU's images, where the runtime looks for them.
    fn images(&self) -> PathBuf {
        self.journal.images_folder().join(IMAGES)
    }

    /// The small images join those of pages.
    fn complete_images(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(self.inbox(Lot::State).join(IMAGES))? {
            let entry = entry?;
            // They are small and plain; the folder may be on another disk, or on none.
            fs::copy(entry.path(), self.images().join(entry.file_name()))?;
        }
        Ok(())
    }

    /// Brings it up, cut off and frozen, and proves it.
    async fn restore(&self, plan: &Plan, engine_id: &str) -> Result<(), Why> {
        let order = Order {
            images: self.images(),
            isolated: true,
            then: Then::Freeze,
            connections: Connections::Keep,
            addresses: plan.address.into_iter().collect(),
        };
        let pid = restoring::restore(&*self.shared.engine, engine_id, &order).await?;
        let is_cut = network::is_cut(pid).map_err(|error| error.to_string())?;
        let is_frozen = freezer::is_frozen(pid).map_err(|error| error.to_string())?;
        if is_cut && is_frozen {
            return Ok(());
        }
        Err("the copy came up, but not cut off; it was removed".to_owned())
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

    /// Receives a lot of files, and waits until the source says that it was all.
    async fn take_lot(&mut self, lot: Lot, streams: &mut Streams) -> Result<(), Why> {
        let folder = self.inbox(lot);
        // A machine that crashes meanwhile gives the move up.
        let inbox = Inbox::open(&folder, LOT_LIMIT).map_err(|error| error.to_string())?.without_flushing();
        let control = self.control.as_mut().ok_or("the line to the source is lost")?;
        let heard = Arc::new(Mutex::new(Instant::now()));
        let hearing = Arc::clone(&heard);
        let hear = move || *hearing.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let memory_bytes = self.record.plan.as_ref().map_or(0, |plan| plan.needs.memory_bytes);
        let (own, images) = (self.journal.folder().to_owned(), self.journal.images_folder().join(IMAGES));
        let (networks, awaited) = (&self.shared.networks, &mut self.awaited);
        let coming = self.record.plan.as_ref().and_then(|plan| Some((&plan.needs.container, plan.address?)));
        let receiving = async {
            let mut pool = None;
            loop {
                match streams.recv().await {
                    Some((Opening::Traffic, mut stream)) if lot == Lot::State => {
                        if let Some((container, address)) = coming {
                            *awaited = networks.awaits(container, address).await;
                        }
                        stream.write_u8(1).await.map_err(text_of)?;
                        stream.shutdown().await.map_err(text_of)?;
                    }
                    Some((Opening::Memory, stream)) if lot == Lot::State && pool.is_none() => {
                        let limit = memory::limit(memory_bytes);
                        let taken = memory::take_running(stream, own.clone(), limit, hear.clone()).await?;
                        pool = Some(Arc::new(taken));
                    }
                    Some((Opening::Pages { number, is_packed }, stream)) if lot == Lot::State => {
                        let pool = match &pool {
                            Some(pool) => Arc::clone(pool),
                            None => Arc::new(Pool::make(&own, 0).map_err(text_of)?),
                        };
                        let place = images.join(memory::name_of(number));
                        memory::rebuild_image(stream, pool, place, is_packed, hear.clone()).await?;
                    }
                    Some((Opening::Items(of), stream)) if of == lot => {
                        match transfer::receive(stream, &inbox, &mut |_| hear()).await {
                            Ok(_) => {}
                            // The source comes back with what is missing, or the control stream ends as well.
                            Err(TransferError::Stream(_)) => {}
                            Err(error) => return Err::<std::convert::Infallible, _>(error.to_string()),
                        }
                    }
                    Some(_) => return Err("the source sent something out of turn".to_owned()),
                    None => return Err("the agent is stopping".to_owned()),
                }
            }
        };
        let may_come_cold = lot == Lot::State && self.record.grant.mode == Mode::LiveOrCold;
        let came_cold = &mut self.record.came_cold;
        let said = async {
            loop {
                match read_message::<FromSource>(control).await {
                    Ok(FromSource::GoesCold) if may_come_cold => *came_cold = true,
                    Ok(FromSource::Sent(of)) if of == lot => return Ok(()),
                    Ok(other) => return Err(format!("the source spoke out of turn ({other:?})")),
                    Err(error) => return Err(lost(&error)),
                }
            }
        };
        // A lot may take hours on a slow link, or one that was limited; but not without a byte.
        let silence = async {
            loop {
                let quiet = heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                if quiet >= NEXT_LOT {
                    return;
                }
                sleep(NEXT_LOT - quiet).await;
            }
        };
        tokio::select! {
            Err(why) = receiving => Err(why),
            said = said => said,
            () = silence => Err("the source does nothing".to_owned()),
        }
    }

    async fn tell(&mut self, message: FromDestination) -> Result<(), Why> {
        let control = self.control.as_mut().ok_or("the line to the source is lost")?;
        write_message(control, &message).await.map_err(|error| lost(&error))
    }

    /// Tells it if it can be told; the authority's word counts.
    async fn say(&mut self, message: FromDestination) {
        if let Err(why) = self.tell(message).await {
            tracing::debug!(migration = %self.grant().migration, %why, "the source was not told");
        }
    }
}

fn lost(error: &FrameError) -> Why {
    format!("the line to the source broke: {error}")
}

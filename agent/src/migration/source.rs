//! The source's end of a move: does what `ecep_fleet::migration::source` says, writes down the phase before it acts, and
//! tells how it went.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ecep_channel::{
    channel::{Channel, ChannelStream},
    frame::{read_message, write_message},
    grant::Grant,
    header::Header,
    transfer::{self, Item, Options, Source as Content, Throttle, TransferError},
};
use ecep_fleet::migration::{
    Outcome, Standing,
    source::{Action, Input, Phase, Source},
};
use ecep_precopy::sent::Sent;
use ecep_proto::api::migration::{Decision, MigrationPhase};
use ecep_runtime::{freezer, network};
use tokio::{
    io::AsyncReadExt,
    sync::{SemaphorePermit, watch},
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};

use super::{
    Shared, ahead,
    estimate::{Course, Known},
    files,
    journal::{Before, Journal, Record, SourceRecord},
    memory,
    plan::Plan,
    preflight,
    progress::Progress,
    room, saving,
    step::{Attempts, SetOnDrop, Why, advise, blocking, say, text_of, unwritten},
    verdict::Authority,
    wire::{FromDestination, FromSource, IMAGE, IMAGES, Lot, Opening, PLAN},
};
use crate::engine::{Engine, EngineError};

/// The destination unpacks an image, or restores a container of gigabytes from a slow card.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// Once its copy stands, the destination commits within a second; then the move is given up, and the container goes on.
const DECISION_LIMIT: Duration = Duration::from_secs(15);
/// After the decision the destination lets its copy out within milliseconds.
const OUT_LIMIT: Duration = Duration::from_secs(5);
/// Between two questions while nothing is decided.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// A connection that was about to be accepted keeps CRIU from saving; the next moment it is not there.
const DUMP_ATTEMPTS: u32 = 4;
/// Seconds between SIGTERM and SIGKILL in a cold move: Docker's own default.
const STOP_GRACE: u32 = 10;

/// A destination that gives up says so at once, unless it is gone.
const WORD_LIMIT: Duration = Duration::from_secs(2);
/// How what it says then begins.
const GAVE_UP: &str = "the destination gave up";

/// CRIU numbers its images of pages from this on.
const FIRST_IMAGE: u32 = 1;
/// Between two looks at what CRIU has begun to write.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The destination has one route to take away. Meanwhile the container is frozen.
const LEAD_LIMIT: Duration = Duration::from_millis(500);

/// Said where something is to be sent and there is no way.
const LINE_LOST: &str = "the line to the destination is lost";
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

/// The way to the destination.
struct Line {
    /// Lives as long as it is held.
    channel: Channel,
    control: ChannelStream,
    /// Through the cloud, where the link is slower than the processor.
    is_relayed: bool,
}

/// A saved container.
struct Saved {
    /// CRIU's images.
    images: PathBuf,
    /// Its first process.
    pid: i32,
    /// How many images of pages have gone already.
    sent: u32,
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

    /// Copies what can be copied while the container runs.
    async fn prepare(&mut self) -> Result<(), Why> {
        let grant = self.grant().clone();
        self.turn = Some(self.shared.at_work.acquire().await.map_err(|error| error.to_string())?);
        tracing::info!(migration = %grant.migration, "a move has its turn");
        // Orders that were accepted before the move come to their end first; later ones are refused.
        self.shared.orders.drain(&grant.container).await;
        let found =
            self.shared.orders.find(&grant.tenant, &grant.container).await.map_err(|error| error.message)?;
        let engine_id = found.detail.engine_id.clone();
        let mobility = &self.shared.mobility;
        let portrait = mobility.portrait(&grant.tenant, &engine_id, true).await.map_err(say)?;
        let needs = preflight::needs(self.shared, &found, &portrait).await.map_err(|error| error.message)?;
        let image = mobility.image(&portrait.image_id).await.map_err(say)?;
        let image = image.ok_or_else(|| format!("the image {} of the container is gone", portrait.image))?;
        let plan = Plan::of(needs, &portrait, image.layers, found.view().address);
        self.record.before = Some(Before {
            engine_id,
            was_running: portrait.is_running,
            is_frozen: false,
            restart: portrait.restart.clone(),
            volumes: portrait.volumes.iter().map(|(name, _)| name.clone()).collect(),
            address: plan.address,
        });
        self.write()?;

        let channels = &self.shared.channels;
        let reached = channels.reach(&grant.destination, &self.record.addresses, &self.record.signed).await;
        let (channel, is_relayed) = reached.map_err(|error| error.to_string())?;
        tracing::info!(migration = %grant.migration, destination = %grant.destination, is_relayed, "the two ends have met");
        let control = self.open_on(&channel, Opening::Control).await?;
        self.line = Some(Line { channel, control, is_relayed });

        let path = self.journal.folder().join(PLAN);
        let text = serde_json::to_vec(&plan).map_err(|error| error.to_string())?;
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        self.send(Lot::Plan, vec![files::item(PLAN, Content::File(path)).map_err(text_of)?]).await?;
        let (wants_image, held) = match self.answer().await? {
            FromDestination::Wants { image, layers_held } => (image, layers_held),
            other => return Err(unexpected(&other)),
        };
        if wants_image {
            self.progress.phase(MigrationPhase::Copying);
            let path = self.journal.folder().join(IMAGE);
            let held = held.min(plan.layers.len());
            self.shared.mobility.save_image(&portrait.image_id, held, &path).await.map_err(say)?;
            let item = files::item(IMAGE, Content::File(path.clone())).map_err(text_of)?;
            self.send(Lot::Image, vec![item]).await?;
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        match self.answer().await? {
            FromDestination::Prepared => {}
            other => return Err(unexpected(&other)),
        }
        self.progress.phase(MigrationPhase::Copying);
        let of = portrait.clone();
        let tracked = blocking(move || files::Tracked::look(&of)).await?;
        self.send(Lot::Files, tracked.all().map_err(text_of)?).await?;
        self.tracked = Some(Arc::new(tracked));
        match self.answer().await? {
            FromDestination::Placed => {}
            other => return Err(unexpected(&other)),
        }
        if let (true, Some(pid)) = (self.record.is_live(), portrait.pid) {
            self.memory_bytes = plan.needs.memory_bytes;
            match self.send_ahead(pid).await? {
                Course::Freeze => {}
                Course::Stay(why) => return Err(why),
                Course::GoCold => self.go_cold().await?,
            }
        }
        // Whatever ends the container from the freeze on, the engine must not start it afresh.
        self.shared.mobility.set_restart(&portrait.engine_id, None).await.map_err(say)?;
        // Freezing is for nothing where nobody can decide.
        match self.authority.try_decide(Decision::Ask, None).await {
            Ok(Standing::Pending) => Ok(()),
            Ok(_) => Err(GIVEN_UP.to_owned()),
            Err(error) => Err(format!("the control plane cannot be reached to decide: {error}")),
        }
    }

    /// Sends the memory ahead while the container runs, and answers how to go on.
    async fn send_ahead(&mut self, pid: i32) -> Result<Course, Why> {
        let options = self.record.options.clone();
        let bytes_per_second = self.record.bytes_per_second;
        let known = Known { memory_bytes: self.memory_bytes, bytes_per_second, options: &options };
        let course = ahead::course_at_once(&known);
        if course != Course::Freeze {
            return Ok(course);
        }
        let stream = self.open(Opening::Memory).await?;
        let throttle = self.throttle.clone();
        match ahead::send(stream, pid, &known, throttle, &mut self.progress).await {
            Ok((sent, course)) => {
                self.sent = Some(Arc::new(sent));
                Ok(course)
            }
            Err(why) => Err(self.or_what_was_said(why).await),
        }
    }

    /// It goes without its memory after all.
    async fn go_cold(&mut self) -> Result<(), Why> {
        tracing::info!(migration = %self.grant().migration, "it would stand still for too long, and goes cold");
        self.record.goes_cold = true;
        self.progress.went_cold();
        let control = &mut self.line()?.control;
        write_message(control, &FromSource::GoesCold).await.map_err(|error| error.to_string())
    }

    /// Sends what has not gone ahead of CRIU's images of pages while it writes them, until it is over; answers how many went.
    async fn send_growing(&mut self, images: &Path, over: &Arc<AtomicBool>) -> Result<u32, Why> {
        let mut number = FIRST_IMAGE;
        loop {
            let is_over = over.load(Ordering::Acquire);
            if images.join(memory::name_of(number)).exists() {
                self.send_pages(number, images, over).await?;
                number += 1;
            } else if is_over {
                return Ok(number - FIRST_IMAGE);
            } else {
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Sends what has not gone ahead of one of CRIU's images, which may grow until `over` is set or the next one is begun.
    async fn send_pages(&mut self, number: u32, images: &Path, over: &Arc<AtomicBool>) -> Result<(), Why> {
        let sent = self.sent.clone().unwrap_or_else(|| Arc::new(Sent::new(0)));
        let is_packed = self.line()?.is_relayed;
        let stream = self.open(Opening::Pages { number, is_packed }).await?;
        let throttle = self.throttle.clone();
        let image = images.join(memory::name_of(number));
        let (next, over) = (images.join(memory::name_of(number + 1)), Arc::clone(over));
        let is_whole = move || over.load(Ordering::Acquire) || next.exists();
        let (sums, bytes) = match memory::send_image(stream, image, is_whole, sent, throttle, is_packed).await
        {
            Ok(gone) => gone,
            Err(why) => return Err(self.or_what_was_said(why).await),
        };
        self.progress.bytes(bytes, true);
        tracing::info!(migration = %self.grant().migration, pages = sums.pages, fresh = sums.fresh, "an image of memory has gone");
        Ok(())
    }

    /// A stream that breaks does not say why; the destination does, if it still can.
    async fn or_what_was_said(&mut self, why: Why) -> Why {
        match timeout(WORD_LIMIT, self.answer()).await {
            Ok(Err(said)) if said.starts_with(GAVE_UP) => said,
            _ => why,
        }
    }

    /// From here on the container does not run.
    async fn freeze_and_deliver(&mut self) -> Result<(), Why> {
        let before = self.record.before.clone().ok_or("the container was not looked at")?;
        let tracked = self.tracked.clone().ok_or("the container's files were not looked at")?;
        self.progress.phase(MigrationPhase::Freezing);
        self.frozen_at = Some(Instant::now());
        let mut items = Vec::new();
        let mut frozen = None;
        if self.record.is_live() && before.was_running {
            let Saved { images, pid, sent } = self.save(&before).await?;
            self.progress.phase(MigrationPhase::Sending);
            let (small, pages) = files::images(&images).map_err(text_of)?;
            let over = Arc::new(AtomicBool::new(true));
            for number in pages.into_iter().filter(|number| *number >= FIRST_IMAGE + sent) {
                self.send_pages(number, &images, &over).await?;
            }
            items.push(small);
            frozen = Some(pid);
        } else if before.was_running {
            self.shared.engine.stop(&before.engine_id, STOP_GRACE).await.map_err(say)?;
        }
        self.progress.phase(MigrationPhase::Sending);
        let scratch = self.journal.folder().to_owned();
        items.extend(blocking(move || tracked.changes(frozen, &scratch)).await?);
        self.send(Lot::State, items).await?;
        loop {
            match self.answer().await? {
                FromDestination::At(phase) => self.progress.phase(phase),
                FromDestination::Restored => break,
                other => return Err(unexpected(&other)),
            }
        }
        self.progress.phase(MigrationPhase::Committing);
        self.delivered_at = Some(Instant::now());
        Ok(())
    }

    /// Freezes it, cuts it off and saves it, while its pages travel already.
    async fn save(&mut self, before: &Before) -> Result<Saved, Why> {
        let mobility = self.shared.mobility.clone();
        let tenant = self.grant().tenant.clone();
        let mut attempt = 1;
        loop {
            let portrait = mobility.portrait(&tenant, &before.engine_id, false).await.map_err(say)?;
            let pid = portrait.pid.ok_or("the container has ended by itself")?;
            if portrait.is_paused {
                return Err("somebody has paused the container meanwhile; let it go on first".to_owned());
            }
            self.freezing = Some(spawn_blocking(move || saving::freeze_now(pid)));
            if attempt == 1
                && let Err(why) = self.lead_ahead().await
            {
                tracing::warn!(migration = %self.grant().migration, %why, "what is sent to the container meanwhile must be sent again");
            }
            let frozen = match &mut self.freezing {
                Some(freezing) => freezing.await,
                None => Ok(Ok(())),
            };
            self.freezing = None;
            frozen.map_err(|error| error.to_string())??;
            self.progress.phase(MigrationPhase::Saving);
            if attempt == 1 {
                room::claim(self.journal.memory(), self.memory_bytes);
            }
            let folder = self.journal.images_folder().join(format!("dump-{attempt}"));
            let (id, into) = (before.engine_id.clone(), folder.clone());
            let over = Arc::<AtomicBool>::default();
            // However CRIU ends.
            let ending = SetOnDrop(Arc::clone(&over));
            self.dump = Some(spawn_blocking(move || {
                let _ending = ending;
                saving::save(&id, pid, &into)
            }));
            let sent = self.send_growing(&folder.join(IMAGES), &over).await?;
            let Some(dump) = &mut self.dump else { return Err(GIVEN_UP.to_owned()) };
            let saved = dump.await;
            self.dump = None;
            match saved.map_err(|error| error.to_string())? {
                Ok(images) => return Ok(Saved { images, pid, sent }),
                Err(saving::Failure { is_passing: true, .. }) if attempt < DUMP_ATTEMPTS => {
                    network::reconnect(pid).map_err(|error| error.to_string())?;
                    freezer::thaw(pid).map_err(|error| error.to_string())?;
                    sleep(ASK_EVERY).await;
                    attempt += 1;
                }
                Err(saving::Failure { why, .. }) => return Err(why),
            }
        }
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

    /// What is sent to the container from now on waits at the destination, so that nobody has to send it again. It is asked before
    /// the container's cable is cut: until then the frozen container's kernel takes it, and it is saved.
    async fn lead_ahead(&self) -> Result<(), Why> {
        if self.record.before.as_ref().is_none_or(|before| before.address.is_none()) {
            return Ok(());
        }
        let line = self.line.as_ref().ok_or(LINE_LOST)?;
        let taken = async {
            let mut stream = self.open_on(&line.channel, Opening::Traffic).await?;
            stream.read_u8().await.map_err(text_of)
        };
        timeout(LEAD_LIMIT, taken).await.map_err(|_| "the destination does not answer".to_owned())??;
        self.lead_on().await;
        Ok(())
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

    fn line(&mut self) -> Result<&mut Line, Why> {
        self.line.as_mut().ok_or_else(|| LINE_LOST.to_owned())
    }

    /// A further stream on the line.
    async fn open(&mut self, opening: Opening) -> Result<ChannelStream, Why> {
        let channel = self.line()?.channel.clone();
        self.open_on(&channel, opening).await
    }

    async fn open_on(&self, channel: &Channel, opening: Opening) -> Result<ChannelStream, Why> {
        let header = Header::Migration { grant: self.record.signed.clone() };
        let mut stream = channel.open(&header).await.map_err(|error| error.to_string())?;
        write_message(&mut stream, &opening).await.map_err(|error| error.to_string())?;
        Ok(stream)
    }

    /// Sends a lot of files and says so.
    async fn send(&mut self, lot: Lot, items: Vec<Item>) -> Result<(), Why> {
        let stream = self.open(Opening::Items(lot)).await?;
        let options = Options { compress: self.line()?.is_relayed, throttle: self.throttle.clone() };
        let sizes = items.iter().map(|item| match &item.source {
            Content::File(path) => fs::metadata(path).map(|file| file.len()).unwrap_or_default(),
            Content::Tree(_) | Content::Part { .. } => 0,
        });
        self.progress.total(sizes.sum());
        let progress = &mut self.progress;
        let mut tell = |step: transfer::Progress| {
            progress.bytes(step.done, step.phase == transfer::Phase::Stored);
        };
        match transfer::send(stream, &items, &options, &mut tell).await {
            Ok(_) => {}
            Err(TransferError::Peer(why)) => {
                return Err(advise(format!("the destination could not go on: {why}"), "destination"));
            }
            Err(error) => return Err(self.or_what_was_said(error.to_string()).await),
        }
        let control = &mut self.line()?.control;
        write_message(control, &FromSource::Sent(lot)).await.map_err(|error| error.to_string())
    }

    async fn answer(&mut self) -> Result<FromDestination, Why> {
        let control = &mut self.line()?.control;
        let answer = timeout(ANSWER_LIMIT, read_message(control)).await;
        match answer.map_err(|_| "the destination does not answer".to_owned())? {
            Ok(FromDestination::Failed(why)) => Err(format!("{GAVE_UP}: {why}")),
            Ok(answer) => Ok(answer),
            Err(error) => Err(format!("the line to the destination broke: {error}")),
        }
    }
}

fn unexpected(answer: &FromDestination) -> Why {
    format!("the destination answered out of turn ({answer:?}); do both devices have the same version?")
}

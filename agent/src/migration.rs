//! Moves that this device takes part in: takes the control plane's orders, hands arriving streams to the move that they
//! belong to, and goes on after a restart with what the journals say.
//!
//! What to do in which order is decided by `ecep_fleet::migration`; `source` and `destination` do it.

mod ahead;
mod copying;
mod destination;
mod estimate;
mod files;
mod journal;
mod memory;
mod placing;
mod plan;
mod preflight;
mod progress;
mod room;
pub(crate) mod saving;
mod source;
mod step;
mod verdict;
mod wire;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ecep_channel::{
    channel::ChannelStream,
    frame::read_message,
    grant::{Grant, GrantId, Mode, SignedGrant},
    header::{Refusal, RefusalCode},
    ledger::GrantLedger,
    peer::Peer,
};
use ecep_link::Link;
use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    migration::{CancelMigration, Checks, ExpectMigration, Needs, StartMigration, Survey, SurveyRequest},
    name::{DeviceId, OperationId},
    reply::Nothing,
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    time::timeout,
};

use self::{
    journal::{DestinationRecord, Journal, Record, SourceRecord},
    wire::Opening,
};
use crate::{
    channel::{Arrival, Channels},
    engine::{Engine, docker::mobility::Mobility},
    inventory::Inventory,
    moving::{Moving, Part},
    network::Networks,
    orders::Orders,
};

/// Moves at a time that this device is the source of; the others wait. A small device's disk and network serve no more.
const MAX_AT_WORK: usize = 2;
/// Streams of one move that wait to be taken; it has four in all.
const STREAMS: usize = 8;
/// A stream says at once what it is for.
const OPENING_LIMIT: Duration = Duration::from_secs(10);
/// The folder of journals, in the agent's data folder.
const FOLDER: &str = "migrations";
/// The file of used grants, in the agent's data folder.
const LEDGER: &str = "grants.json";

/// What both ends of a move need.
struct Shared<E> {
    device: DeviceId,
    engine: Arc<E>,
    mobility: Mobility,
    inventory: Arc<Inventory<E>>,
    orders: Arc<Orders<E>>,
    networks: Arc<Networks<E>>,
    channels: Arc<Channels>,
    moving: Arc<Moving>,
    control: Link,
    /// Whether containers can be moved with their memory, and if not, why: see `preflight`.
    capability: Arc<Capability>,
    folder: PathBuf,
    at_work: Semaphore,
    /// Rung when a move has ended: the control plane should hear of it now, not with the next report.
    news: Arc<Notify>,
}

/// A move or a copy that brings something here.
struct Expected {
    /// What allows it; another one for the same operation does not.
    grant: GrantId,
    streams: mpsc::Sender<(Opening, ChannelStream)>,
}

/// All moves of this device.
pub struct Migrations<E> {
    shared: Arc<Shared<E>>,
    ledger: Mutex<GrantLedger>,
    /// The moves that bring something here: where their streams go.
    expected: Mutex<HashMap<OperationId, Expected>>,
    /// The moves that take something away: whether they shall stop.
    leaving: Mutex<HashMap<OperationId, watch::Sender<bool>>>,
}

/// What [`Migrations::new`] is made of.
pub struct Parts<E> {
    /// This device.
    pub device: DeviceId,
    /// Its engine.
    pub engine: Arc<E>,
    /// The containers.
    pub inventory: Arc<Inventory<E>>,
    /// The orders about them.
    pub orders: Arc<Orders<E>>,
    /// The networks.
    pub networks: Arc<Networks<E>>,
    /// The channels.
    pub channels: Arc<Channels>,
    /// Which containers are being moved.
    pub moving: Arc<Moving>,
    /// The link to the control plane.
    pub control: Link,
    /// Rung when a move has ended.
    pub news: Arc<Notify>,
}

impl<E: Engine> Migrations<E> {
    /// Moves of an engine whose containers can be moved; none where they cannot. `data` is the agent's folder.
    ///
    /// # Errors
    /// The list of used grants cannot be read.
    pub fn new(
        parts: Parts<E>,
        capability: Arc<Capability>,
        data: &Path,
    ) -> Result<Option<Arc<Self>>, ecep_channel::ledger::LedgerError> {
        let Some(mobility) = parts.engine.mobility() else { return Ok(None) };
        let Parts { device, engine, inventory, orders, networks, channels, moving, control, news } = parts;
        let shared = Shared {
            device,
            engine,
            mobility,
            inventory,
            orders,
            networks,
            channels,
            moving,
            control,
            capability,
            folder: data.join(FOLDER),
            at_work: Semaphore::new(MAX_AT_WORK),
            news,
        };
        Ok(Some(Arc::new(Self {
            shared: Arc::new(shared),
            ledger: Mutex::new(GrantLedger::open(&data.join(LEDGER))?),
            expected: Mutex::default(),
            leaving: Mutex::default(),
        })))
    }

    /// Goes on with the moves that were under way when the agent ended. Before anybody is told of containers.
    ///
    /// # Errors
    /// The journals cannot be read: nothing may be assumed then.
    pub fn recover(self: &Arc<Self>) -> std::io::Result<()> {
        for (journal, record) in Journal::read_all(&self.shared.folder)? {
            match record {
                Record::Source(record) => {
                    let migration = record.grant.migration.clone();
                    tracing::info!(%migration, phase = ?record.phase, "going on with a move, as its source");
                    // Nothing else can be under way at the start.
                    let _ = self.shared.moving.begin(&record.grant.container, Part::Source(migration));
                    self.spawn_source(journal, *record, true);
                }
                Record::Destination(record) => {
                    let migration = record.grant.migration.clone();
                    tracing::info!(%migration, phase = ?record.phase, "going on with a move, as its destination");
                    let _ = self.shared.moving.begin(&record.grant.container, Part::Destination(migration));
                    self.spawn_destination(journal, *record, true);
                }
            }
        }
        Ok(())
    }

    /// Hands arriving streams to their moves, for ever.
    pub async fn take_arrivals(self: Arc<Self>, mut arrivals: mpsc::Receiver<Arrival>) {
        while let Some(arrival) = arrivals.recv().await {
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                let (peer, grant) = (arrival.peer.clone(), arrival.grant.clone());
                let migration = match this.judge(&peer, &grant) {
                    Ok(migration) => migration,
                    Err(error) => {
                        tracing::warn!(%peer, %error, "a stream of a move was refused");
                        let why = step::advise(error.message, "destination");
                        let refusal = Refusal::new(RefusalCode::Forbidden, why);
                        // The peer is told, or it is gone.
                        drop(arrival.offer.refuse(refusal).await);
                        return;
                    }
                };
                let Ok(mut stream) = arrival.offer.take().await else { return };
                let opening = timeout(OPENING_LIMIT, read_message::<Opening>(&mut stream)).await;
                let Ok(Ok(opening)) = opening else { return };
                let streams = lock(&this.expected).get(&migration).map(|expected| expected.streams.clone());
                if let Some(streams) = streams {
                    // Ended in the meantime: dropping the stream says so.
                    let _ = streams.send((opening, stream)).await;
                }
            });
        }
    }

    /// What a container here needs, and what stands in the way.
    ///
    /// # Errors
    /// There is no such container, or the engine does not answer.
    pub async fn survey(&self, request: SurveyRequest) -> Result<Survey, ApiError> {
        preflight::survey(&self.shared, &request.tenant, &request.container).await
    }

    /// What stands in the way of a container coming here.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn check(&self, needs: Needs) -> Result<Checks, ApiError> {
        preflight::check(&self.shared, &needs).await
    }

    /// A container will be brought here.
    ///
    /// # Errors
    /// The grant is not good, or an earlier move of the container is not over.
    pub fn expect(self: &Arc<Self>, order: ExpectMigration) -> Result<Nothing, ApiError> {
        let signed = parse(order.grant)?;
        let grant = self.verify_move(&signed)?;
        if grant.destination != self.shared.device {
            return Err(ApiError::new(ErrorKind::Forbidden, "the grant is for another device"));
        }
        if lock(&self.expected).contains_key(&grant.migration) {
            return Ok(Nothing {});
        }
        let part = Part::Destination(grant.migration.clone());
        let record = DestinationRecord {
            phase: ecep_fleet::migration::destination::Phase::Receiving,
            plan: None,
            engine_id: None,
            volumes: Vec::new(),
            came_cold: false,
            grant,
        };
        let journal = self.begin(&record.grant, part, &Record::Destination(Box::new(record.clone())))?;
        self.spawn_destination(journal, record, false);
        Ok(Nothing {})
    }

    /// Takes a container away.
    ///
    /// # Errors
    /// The grant is not good, or an earlier move of the container is not over.
    pub fn start(self: &Arc<Self>, order: StartMigration) -> Result<Nothing, ApiError> {
        let signed = parse(order.grant)?;
        let grant = self.verify_move(&signed)?;
        if grant.source != self.shared.device {
            return Err(ApiError::new(ErrorKind::Forbidden, "the grant is for another device"));
        }
        if lock(&self.leaving).contains_key(&grant.migration) {
            return Ok(Nothing {});
        }
        let part = Part::Source(grant.migration.clone());
        let record = SourceRecord {
            phase: ecep_fleet::migration::source::Phase::Preparing,
            addresses: order.addresses,
            bytes_per_second: order.bytes_per_second,
            options: order.options,
            goes_cold: false,
            before: None,
            signed,
            grant,
        };
        let journal = self.begin(&record.grant, part, &Record::Source(Box::new(record.clone())))?;
        self.spawn_source(journal, record, false);
        Ok(Nothing {})
    }

    /// Gives a move up, if it is not too late.
    ///
    /// # Errors
    /// `NotFound` where it is not under way here. Whether it was too late, its end tells.
    pub fn stop(&self, order: &CancelMigration) -> Result<Nothing, ApiError> {
        let leaving = lock(&self.leaving);
        let stop = leaving.get(&order.migration).ok_or_else(|| {
            ApiError::new(ErrorKind::NotFound, format!("move {} is not under way here", order.migration))
        })?;
        stop.send_replace(true);
        Ok(Nothing {})
    }

    /// From here on nobody else touches the container, and a restart does not forget the move.
    fn begin(&self, grant: &Grant, part: Part, record: &Record) -> Result<Journal, ApiError> {
        self.shared.moving.begin(&grant.container, part)?;
        let journal = Journal::of(&self.shared.folder, record);
        if let Err(error) = journal.write(record) {
            self.shared.moving.end(&grant.container, &grant.migration);
            return Err(full(&error));
        }
        Ok(journal)
    }

    fn spawn_source(self: &Arc<Self>, journal: Journal, record: SourceRecord, is_recovered: bool) {
        let (stop, stopped) = watch::channel(false);
        let (migration, container) = (record.grant.migration.clone(), record.grant.container.clone());
        lock(&self.leaving).insert(migration.clone(), stop);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            source::run(&this.shared, journal, record, is_recovered, stopped).await;
            lock(&this.leaving).remove(&migration);
            this.shared.moving.end(&container, &migration);
            this.shared.news.notify_one();
        });
    }

    fn spawn_destination(self: &Arc<Self>, journal: Journal, record: DestinationRecord, is_recovered: bool) {
        let (streams, arriving) = mpsc::channel(STREAMS);
        let (migration, container) = (record.grant.migration.clone(), record.grant.container.clone());
        let grant = record.grant.id;
        lock(&self.expected).insert(migration.clone(), Expected { grant, streams });
        let this = Arc::clone(self);
        tokio::spawn(async move {
            destination::run(&this.shared, journal, record, is_recovered, arriving).await;
            lock(&this.expected).remove(&migration);
            this.shared.moving.end(&container, &migration);
            if let Err(error) = lock(&this.ledger).finish(grant) {
                tracing::warn!(%migration, %error, "a used grant was not written down; it ends by itself");
            }
            this.shared.news.notify_one();
        });
    }

    /// A grant for a move, and for nothing else.
    fn verify_move(&self, signed: &SignedGrant) -> Result<Grant, ApiError> {
        let grant = self.verify_order(signed)?;
        if grant.mode == Mode::Checkpoint {
            return Err(ApiError::new(ErrorKind::Forbidden, "the grant is for a checkpoint, not for a move"));
        }
        Ok(grant)
    }

    fn verify(&self, signed: &SignedGrant) -> Result<Grant, ApiError> {
        let key = self
            .shared
            .channels
            .grant_key()
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
        let grant = signed.verify(&key);
        Ok(grant.map_err(|error| ApiError::new(ErrorKind::Forbidden, error.to_string()))?.clone())
    }

    /// The grant of an order, which must not have ended.
    fn verify_order(&self, signed: &SignedGrant) -> Result<Grant, ApiError> {
        let grant = self.verify(signed)?;
        let in_time = grant.check_time(now_seconds());
        in_time.map_err(|error| ApiError::new(ErrorKind::Forbidden, error.to_string()))?;
        Ok(grant)
    }

    /// Whether this peer may open a stream of a move; the grant is used up by it. The first stream must come before the
    /// grant ends; a move that takes longer, on a slow link, opens its others later.
    fn judge(&self, peer: &Peer, signed: &SignedGrant) -> Result<OperationId, ApiError> {
        let grant = self.verify(signed)?;
        let forbidden = |text: String| ApiError::new(ErrorKind::Forbidden, text);
        grant
            .check_ends(peer, &Peer::Device(self.shared.device.clone()))
            .map_err(|error| forbidden(error.to_string()))?;
        if lock(&self.expected).get(&grant.migration).is_none_or(|expected| expected.grant != grant.id) {
            return Err(forbidden(format!("move {} is not expected here", grant.migration)));
        }
        lock(&self.ledger).claim(&grant, now_seconds()).map_err(|error| forbidden(error.to_string()))?;
        Ok(grant.migration)
    }
}

pub(crate) use files::size as size_of;
pub(crate) use placing::flush_disk_of;
pub use preflight::Capability;

fn parse(grant: serde_json::Value) -> Result<SignedGrant, ApiError> {
    serde_json::from_value(grant).map_err(|error| {
        ApiError::new(ErrorKind::InvalidArgument, format!("the grant cannot be read: {error}"))
    })
}

fn full(error: &std::io::Error) -> ApiError {
    ApiError::new(
        ErrorKind::Unavailable,
        format!("the move cannot be written down on the device ({error}); free some space and try again"),
    )
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

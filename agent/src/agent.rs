//! The running agent: the control link, a link for each tenant, the heartbeat and the statistics. It owns the
//! tasks; what they do is elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use ecep_link::{Credentials, CredentialsError, Link, LinkState};
use ecep_proto::api::{
    FleetHello, FleetReport, Procedure,
    device::{DeviceFacts, EngineFacts},
    fleet::{Grants, Hello, REPORT_EVERY_MS, Report, TenantContainer, TenantGrant},
    name::TenantSlug,
    stats::StatsEvent,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{MissedTickBehavior, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    applications::{Applications, cloud::Enrolled},
    audit::{self, Journal},
    channel::{Arrival, Channels},
    clock, cloud, control_procedures,
    engine::Engine,
    facts, fetching,
    identity::{self, Identity},
    inventory::Inventory,
    migration::{Capability, Migrations, Parts},
    moving::Moving,
    network::Networks,
    orders::Orders,
    outbox::Outbox,
    procedures,
    quotas::MEASURE_EVERY,
    rotation,
    stats::{Sampler, Summaries},
    views,
};

/// Statistics are published this often.
const STATS_EVERY: Duration = Duration::from_secs(1);
/// While nobody watches, one tick of so many is told: every 10 s.
const QUIET_TICKS: u32 = 10;
/// A container's change is reported after this time, with those that come meanwhile.
const NEWS_GATHER: Duration = Duration::from_millis(200);
/// The engine is asked for its facts this often: it costs milliseconds of its time.
const FACTS_EVERY: Duration = Duration::from_secs(10);
/// A ticket older than this is not used any more; the control plane's end of it is later.
const TICKET_FRESH: Duration = Duration::from_secs(20);
/// Whose disk is shown until the engine has told where it keeps containers.
const FALLBACK_STORAGE: &str = "/";

/// Everything that runs.
struct Agent<E> {
    data: PathBuf,
    identity: Identity,
    engine: Arc<E>,
    inventory: Arc<Inventory<E>>,
    orders: Arc<Orders<E>>,
    outbox: Arc<Outbox>,
    moving: Arc<Moving>,
    networks: Arc<Networks<E>>,
    channels: Arc<Channels>,
    capability: Arc<Capability>,
    audit: Arc<Journal>,
    /// Rung when something has happened that the control plane should hear of now.
    news: Arc<Notify>,
    channel_port: OnceLock<u16>,
    facts: watch::Sender<DeviceFacts>,
    storage: watch::Sender<PathBuf>,
    /// Statistics that the control plane lacks, by the clock that began with `started`.
    summaries: Mutex<Summaries>,
    started: Instant,
    /// Tickets for tenant realms that came with the last hello and were not used yet.
    tickets: Mutex<HashMap<TenantSlug, (Credentials, Instant)>>,
    /// Each tenant's link, and what ends it.
    tenants: Mutex<BTreeMap<TenantSlug, (CancellationToken, Link)>>,
    /// The router's address, as the control plane last told it.
    router: Mutex<String>,
    /// One hello at a time: it brings tickets for all tenants, so whoever waited finds its own already there.
    greeting: tokio::sync::Mutex<()>,
    /// One change of the key at a time: two would make two keys.
    rotating: tokio::sync::Mutex<()>,
}

/// What the control plane was told last, and has taken.
#[derive(Default)]
struct Told {
    /// The session in which hello was said, and the revision of the grants that came back.
    hello: Option<(u64, u64)>,
    facts: Option<DeviceFacts>,
}

/// How an agent is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of everything that it keeps.
    pub data: PathBuf,
    /// Where other devices bring containers.
    pub channel_listen: SocketAddr,
    /// The `ecep-runtime` program.
    pub runtime: PathBuf,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What it knows of grants is damaged.
    #[error(transparent)]
    Ledger(#[from] ecep_channel::ledger::LedgerError),
    /// What it knows of moves cannot be read.
    #[error("the journals of moves cannot be read: {0}; nothing may be done before that is mended")]
    Journals(std::io::Error),
    /// The folder of artifacts cannot be made.
    #[error(
        "the folder of artifacts cannot be made: {0}; look at the disk and at who may write the agent's folder"
    )]
    Artifacts(std::io::Error),
    /// The audit's journal cannot be opened.
    #[error(
        "the audit's journal cannot be opened: {0}; look at the disk and at who may write the agent's folder"
    )]
    Audit(std::io::Error),
    /// What it knows of checkpoints cannot be read.
    #[error("the folders of checkpoints cannot be read: {0}; mend that first, a container may be frozen")]
    Checkpoints(std::io::Error),
}

/// Runs until `stop` is cancelled. Containers go on after it.
///
/// # Errors
/// See [`RunError`].
pub async fn run<E: Engine>(
    identity: Identity,
    engine: Arc<E>,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let data = settings.data.as_path();
    let device = identity.enrolled.device.clone();
    tracing::info!(%device, cloud = %identity.enrolled.cloud, "agent starts");
    let outbox = Arc::new(Outbox::default());
    let moving = Arc::new(Moving::default());
    let inventory = Arc::new(Inventory::new(
        device.clone(),
        Arc::clone(&engine),
        Arc::clone(&outbox),
        Arc::clone(&moving),
    ));
    let networks = Arc::new(Networks::new(device.clone(), Arc::clone(&inventory), &engine));
    let (channels, opened) = Channels::new(data, identity.key.signing_key(), stop.clone());
    let capability = Arc::new(Capability::new(settings.runtime.clone(), data));
    let migrations: Arc<OnceLock<Arc<Migrations<E>>>> = Arc::default();
    let orders = Arc::new(Orders::new(
        device.clone(),
        Arc::clone(&engine),
        Arc::clone(&inventory),
        Arc::clone(&outbox),
        Arc::clone(&moving),
        data.to_owned(),
    ));
    if let Err(error) = fetching::sweep(data) {
        tracing::warn!(%error, "copies of an earlier run are still on the disk");
    }
    orders.stored.use_channels(Arc::clone(&channels));
    // An engine that hangs must not keep the agent from ending.
    let Some(engine_facts) = stop.run_until_cancelled(engine.facts()).await else { return Ok(()) };
    let (facts, _) = watch::channel(facts::gather(engine_facts));
    let (storage, _) = watch::channel(engine.storage().await.unwrap_or_else(|| FALLBACK_STORAGE.into()));
    let agent = Arc::new(Agent {
        data: settings.data.clone(),
        identity,
        engine,
        inventory,
        orders,
        outbox,
        moving,
        networks,
        channels,
        capability,
        audit: Arc::new(Journal::open(data).map_err(RunError::Audit)?),
        news: Arc::default(),
        channel_port: OnceLock::new(),
        facts,
        storage,
        summaries: Mutex::default(),
        started: Instant::now(),
        tickets: Mutex::default(),
        tenants: Mutex::default(),
        router: Mutex::default(),
        greeting: tokio::sync::Mutex::default(),
        rotating: tokio::sync::Mutex::default(),
    });
    let credentials_of = Arc::clone(&agent);
    let trust = agent.identity.trust.clone();
    let builder = Link::builder("control", move || {
        let agent = Arc::clone(&credentials_of);
        async move {
            // What cannot be ended now is tried again with the next session.
            {
                let _one_at_a_time = agent.rotating.lock().await;
                rotation::resume(&agent.data, &agent.identity, &agent.channels).await;
            }
            let credentials = cloud::credentials(&agent.identity).await?;
            lock(&agent.router).clone_from(&credentials.url);
            Ok(credentials)
        }
    })
    .trust(trust);
    let cloud = Enrolled::new(Arc::clone(&agent.channels));
    let applications =
        Applications::new(Arc::clone(&agent.orders), cloud, data).map_err(RunError::Artifacts)?;
    let builder = control_procedures::serve(builder, &device, &agent.orders, &migrations);
    let builder = control_procedures::serve_applications(builder, &device, &applications);
    let control = builder.spawn(stop.clone());
    agent.orders.addresses.ask_over(control.clone());
    applications.tell_over(control.clone());
    tokio::spawn(
        stop.clone().run_until_cancelled_owned(views::take(Arc::clone(&agent.orders), opened.views)),
    );
    agent.set_up_moves(&control, &migrations, opened.arrivals, &settings, &stop).await?;

    let work = async {
        tokio::join!(
            applications.recover(),
            applications.keep_runs(),
            agent.orders.end_left_terminals(),
            agent.inventory.keep(),
            agent.keep_facts(),
            agent.keep_networks(),
            agent.keep_stats(),
            agent.keep_measured(),
            agent.keep_reporting(&control, &stop),
            audit::keep_telling(Arc::clone(&agent.audit), control.clone())
        )
    };
    stop.run_until_cancelled(work).await;
    // Callers are told that it is gone, rather than left with a session that answers nothing.
    let links = lock(&agent.tenants).values().map(|(_, link)| link.clone()).collect::<Vec<_>>();
    for link in links.into_iter().chain([control]) {
        // Its channel closing says so too.
        let _ = link.state().wait_for(|state| *state == LinkState::Closed).await;
    }
    agent.orders.settled().await;
    tracing::info!("agent stopped; containers go on");
    Ok(())
}

impl<E: Engine> Agent<E> {
    /// Goes on with the moves that were under way, and takes new ones, where the engine's containers can be moved.
    async fn set_up_moves(
        self: &Arc<Self>,
        control: &Link,
        migrations: &OnceLock<Arc<Migrations<E>>>,
        arrivals: mpsc::Receiver<Arrival>,
        settings: &Settings,
        stop: &CancellationToken,
    ) -> Result<(), RunError> {
        let parts = Parts {
            device: self.identity.enrolled.device.clone(),
            engine: Arc::clone(&self.engine),
            inventory: Arc::clone(&self.inventory),
            orders: Arc::clone(&self.orders),
            networks: Arc::clone(&self.networks),
            channels: Arc::clone(&self.channels),
            moving: Arc::clone(&self.moving),
            control: control.clone(),
            news: Arc::clone(&self.news),
        };
        let Some(moves) = Migrations::new(parts, Arc::clone(&self.capability), &settings.data)? else {
            return Ok(());
        };
        moves.recover().map_err(RunError::Journals)?;
        self.orders.recover_checkpoints().map_err(RunError::Checkpoints)?;
        // Nobody else sets it.
        let _ = migrations.set(Arc::clone(&moves));
        tokio::spawn(stop.clone().run_until_cancelled_owned(moves.take_arrivals(arrivals)));
        match self.channels.listen(settings.channel_listen).await {
            Ok(port) => {
                // Nobody else sets it.
                let _ = self.channel_port.set(port);
            }
            Err(error) => tracing::warn!(
                address = %settings.channel_listen, %error,
                "cannot listen for other devices; containers come through the cloud only"
            ),
        }
        let capability = Arc::clone(&self.capability);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { capability.try_out().await }));
        Ok(())
    }

    fn gather(&self, engine: EngineFacts) -> DeviceFacts {
        DeviceFacts {
            channel_port: self.channel_port.get().copied(),
            migration: self.capability.facts(),
            ..facts::gather(engine)
        }
    }

    /// Containers that start get the others' names; an engine that is back may have changed the firewall.
    async fn keep_networks(&self) {
        let (mut changes, mut followed) = (self.inventory.changes(), self.inventory.followed());
        loop {
            tokio::select! {
                Ok(()) = changes.changed() => self.networks.started().await,
                Ok(()) = followed.changed() => {
                    let is_there = *followed.borrow_and_update();
                    if is_there {
                        self.networks.engine_is_there().await;
                    }
                }
                else => return,
            }
        }
    }

    async fn keep_facts(&self) {
        let mut ticks = tokio::time::interval(FACTS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut followed = self.inventory.followed();
        let mut capability = self.capability.changes();
        loop {
            // A lost engine, or one that is back, is told at once.
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = followed.changed() => {}
                Ok(()) = capability.changed() => {}
            }
            let now = self.gather(self.engine.facts().await);
            if let Some(storage) = self.engine.storage().await {
                self.storage.send_replace(storage);
            }
            self.facts.send_if_modified(|known| {
                let different = *known != now;
                *known = now;
                different
            });
        }
    }

    async fn keep_stats(&self) {
        let mut sampler = Sampler::new();
        let mut ticks = tokio::time::interval(STATS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let device = &self.identity.enrolled.device;
        // Devices that were started together do not tell together.
        let mut quiet = rand::random_range(0..QUIET_TICKS);
        loop {
            ticks.tick().await;
            quiet = (quiet + 1) % QUIET_TICKS;
            let is_base = quiet == 0;
            // Where ticks came late there may be no base in a whole window, and a window without a tick is missing.
            let is_due = is_base || !lock(&self.summaries).has_tick(self.steady_ms());
            if !is_due && !self.outbox.is_watched() {
                continue;
            }
            let storage = self.storage.borrow().clone();
            let tick = sampler.tick(clock::now_ms(), &self.inventory.containers(), &storage);
            lock(&self.summaries).add(self.steady_ms(), &tick);
            self.outbox.send_stats(is_base, |tenant| StatsEvent {
                device: device.clone(),
                sequence: tick.sequence,
                at: tick.at,
                host: tick.host.clone(),
                containers: tick
                    .containers
                    .iter()
                    .filter(|(owner, _)| owner == tenant)
                    .map(|(_, stats)| stats.clone())
                    .collect(),
            });
        }
    }

    /// A clock that is never set.
    fn steady_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tenants with a quota of the disk are told when they are over it.
    async fn keep_measured(&self) {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.orders.quotas.measure().await;
        }
    }

    /// Says hello after every join, then reports for as long as the session stands.
    async fn keep_reporting(self: &Arc<Self>, control: &Link, stop: &CancellationToken) {
        let mut state = control.state();
        let mut ticks = tokio::time::interval(Duration::from_millis(REPORT_EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::default();
        let mut trouble = None;
        let mut changes = self.inventory.changes();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.news.notified() => {}
                // Several changes often come together.
                Ok(()) = changes.changed() => sleep(NEWS_GATHER).await,
            }
            let LinkState::Joined { generation } = *state.borrow_and_update() else {
                // Wakes at once when the link has joined.
                if state.changed().await.is_err() {
                    return;
                }
                ticks.reset_immediately();
                continue;
            };
            let outcome = self.greet_and_report(control, stop, &mut told, generation).await;
            let now = outcome.err().map(|error| error.to_string());
            if now != trouble {
                match &now {
                    Some(error) => tracing::warn!(%error, "the control plane does not take the report"),
                    None => tracing::info!("the control plane takes reports"),
                }
                trouble = now;
            }
        }
    }

    async fn greet_and_report(
        self: &Arc<Self>,
        control: &Link,
        stop: &CancellationToken,
        told: &mut Told,
        generation: u64,
    ) -> Result<(), ecep_link::CallError> {
        let facts = self.facts.borrow().clone();
        if told.hello.is_none_or(|(greeted_generation, _)| greeted_generation != generation) {
            let _one_at_a_time = self.greeting.lock().await;
            let grants = self.hello(control, &facts).await?;
            told.hello = Some((generation, grants.revision));
            told.facts = Some(facts.clone());
            self.follow_grants(control, &grants, stop);
        }
        let changed = (told.facts.as_ref() != Some(&facts)).then(|| facts.clone());
        let problems = facts.engine.problems.clone();
        let containers = self.inventory.containers().into_iter().map(|container| TenantContainer {
            tenant: container.tenant.clone(),
            container: container.detail.container,
        });
        let stats = lock(&self.summaries).next(self.steady_ms());
        let report = Report {
            at: clock::now_ms(),
            problems,
            containers: containers.collect(),
            facts: changed,
            is_complete: self.inventory.is_complete(),
            migrations: self.moving.migrations(),
            network_revision: self.networks.revision(),
            stats,
            shares: self.orders.quotas.report(),
        };
        let reply = control.call::<FleetReport>(FleetReport::URI, &report).await?;
        if let Some(stats) = &report.stats {
            lock(&self.summaries).taken(stats);
        }
        told.facts = Some(facts);
        if let Some(table) = reply.network {
            self.networks.apply(table).await;
        }
        if told.hello.is_some_and(|(_, revision)| revision != reply.grants_revision) {
            told.hello = None;
        }
        if reply.rotate_key || identity::has_next_key(&self.data) {
            self.rotate_key().await;
        }
        Ok(())
    }

    /// Changes the device's key, as its owner has ordered.
    async fn rotate_key(&self) {
        let _one_at_a_time = self.rotating.lock().await;
        if let Err(error) = rotation::rotate(&self.data, &self.identity, &self.channels).await {
            tracing::warn!(%error, "the device's key was not changed; trying again");
        }
    }

    /// Says hello; the tickets that come back are kept for the tenants' links.
    async fn hello(&self, control: &Link, facts: &DeviceFacts) -> Result<Grants, ecep_link::CallError> {
        let hello = Hello { facts: facts.clone() };
        let grants = control.call::<FleetHello>(FleetHello::URI, &hello).await?;
        if let Some(papers) = &grants.papers
            && let Err(error) = self.channels.renew(papers)
        {
            tracing::warn!(%error, "the device's papers for the channel cannot be used");
        }
        let url = lock(&self.router).clone();
        let mut tickets = lock(&self.tickets);
        tickets.clear();
        // Before the tickets: who joins with one is bound by the terms that came with it.
        self.orders.quotas.follow(&grants);
        for TenantGrant { tenant, realm, ticket, .. } in &grants.tenants {
            let credentials = Credentials {
                url: url.clone(),
                realm: realm.clone(),
                authid: self.identity.enrolled.device.to_string(),
                ticket: ticket.clone(),
            };
            tickets.insert(tenant.clone(), (credentials, Instant::now()));
        }
        Ok(grants)
    }

    /// Opens a link for each tenant that is new, and closes those of tenants that have no share any more.
    fn follow_grants(self: &Arc<Self>, control: &Link, grants: &Grants, stop: &CancellationToken) {
        let mut tenants = lock(&self.tenants);
        let granted = |tenant: &TenantSlug| grants.tenants.iter().any(|grant| grant.tenant == *tenant);
        let gone: Vec<TenantSlug> = tenants.keys().filter(|tenant| !granted(tenant)).cloned().collect();
        for tenant in gone {
            tracing::info!(%tenant, "the tenant has no share in this device any more");
            self.outbox.close(&tenant);
            if let Some((cancel, _)) = tenants.remove(&tenant) {
                cancel.cancel();
            }
        }
        for grant in &grants.tenants {
            let tenant = grant.tenant.clone();
            if tenants.contains_key(&tenant) {
                continue;
            }
            let cancel = stop.child_token();
            let (agent, control) = (Arc::clone(self), control.clone());
            let of_tenant = tenant.clone();
            let builder = Link::builder(format!("tenant {tenant}"), move || {
                let (agent, control, tenant) = (Arc::clone(&agent), control.clone(), of_tenant.clone());
                async move { agent.tenant_credentials(&control, &tenant).await }
            })
            .trust(self.identity.trust.clone());
            let builder = audit::witness(builder, &self.audit, &tenant);
            let link = procedures::serve(builder, &self.orders, &tenant, self.facts.subscribe())
                .spawn(cancel.clone());
            self.outbox.open(&self.identity.enrolled.device, &tenant, link.clone(), cancel.clone());
            tenants.insert(tenant, (cancel, link));
        }
    }

    /// A ticket from the last hello, or from a new one.
    async fn tenant_credentials(
        &self,
        control: &Link,
        tenant: &TenantSlug,
    ) -> Result<Credentials, CredentialsError> {
        // After the router was restarted both links come back, and there is no ticket before this one has: to try meanwhile would
        // only make the next attempt late. The link gives up waiting by itself.
        let _ = control.state().wait_for(|state| matches!(state, LinkState::Joined { .. })).await;
        let _one_at_a_time = self.greeting.lock().await;
        if let Some(credentials) = self.take_ticket(tenant) {
            return Ok(credentials);
        }
        let facts = self.facts.borrow().clone();
        self.hello(control, &facts).await?;
        self.take_ticket(tenant)
            .ok_or_else(|| format!("tenant {tenant} has no share in this device now").into())
    }

    fn take_ticket(&self, tenant: &TenantSlug) -> Option<Credentials> {
        let (credentials, since) = lock(&self.tickets).remove(tenant)?;
        (since.elapsed() < TICKET_FRESH).then_some(credentials)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

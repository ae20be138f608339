//! The running agent: the control link, a link for each tenant, the heartbeat and the statistics. It owns the
//! tasks; what they do is elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ecep_link::{Credentials, CredentialsError, Link, LinkState};
use ecep_proto::api::{
    FleetHello, FleetReport, Procedure,
    device::DeviceFacts,
    fleet::{Grants, Hello, REPORT_EVERY_MS, Report, TenantContainer, TenantGrant},
    name::TenantSlug,
    stats::StatsEvent,
};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    clock, cloud, engine::Engine, facts, identity::Identity, inventory::Inventory, orders::Orders,
    outbox::Outbox, procedures, stats::Sampler,
};

/// Statistics are published this often.
const STATS_EVERY: Duration = Duration::from_secs(1);
/// The engine is asked for its facts this often: it costs milliseconds of its time.
const FACTS_EVERY: Duration = Duration::from_secs(10);
/// A ticket older than this is not used any more; the control plane's end of it is later.
const TICKET_FRESH: Duration = Duration::from_secs(20);
/// Whose disk is shown until the engine has told where it keeps containers.
const FALLBACK_STORAGE: &str = "/";

/// Everything that runs.
struct Agent<E> {
    identity: Identity,
    engine: Arc<E>,
    inventory: Arc<Inventory<E>>,
    orders: Arc<Orders<E>>,
    outbox: Arc<Outbox>,
    facts: watch::Sender<DeviceFacts>,
    storage: watch::Sender<PathBuf>,
    /// Tickets for tenant realms that came with the last hello and were not used yet.
    tickets: Mutex<HashMap<TenantSlug, (Credentials, Instant)>>,
    tenants: Mutex<BTreeMap<TenantSlug, CancellationToken>>,
    /// The router's address, as the control plane last told it.
    router: Mutex<String>,
    /// One hello at a time: it brings tickets for all tenants, so whoever waited finds its own already there.
    greeting: tokio::sync::Mutex<()>,
}

/// What the control plane was told last, and has taken.
#[derive(Default)]
struct Told {
    /// The session in which hello was said, and the revision of the grants that came back.
    hello: Option<(u64, u64)>,
    facts: Option<DeviceFacts>,
}

/// Runs until `stop` is cancelled. Containers go on after it.
pub async fn run<E: Engine>(identity: Identity, engine: Arc<E>, data: &Path, stop: CancellationToken) {
    let device = identity.enrolled.device.clone();
    tracing::info!(%device, cloud = %identity.enrolled.cloud, "agent starts");
    let outbox = Arc::new(Outbox::default());
    let inventory = Arc::new(Inventory::new(device.clone(), Arc::clone(&engine), Arc::clone(&outbox)));
    let orders = Arc::new(Orders::new(
        device,
        Arc::clone(&engine),
        Arc::clone(&inventory),
        Arc::clone(&outbox),
        data.to_owned(),
    ));
    // An engine that hangs must not keep the agent from ending.
    let Some(engine_facts) = stop.run_until_cancelled(engine.facts()).await else { return };
    let (facts, _) = watch::channel(facts::gather(engine_facts));
    let (storage, _) = watch::channel(engine.storage().await.unwrap_or_else(|| FALLBACK_STORAGE.into()));
    let agent = Arc::new(Agent {
        identity,
        engine,
        inventory,
        orders,
        outbox,
        facts,
        storage,
        tickets: Mutex::default(),
        tenants: Mutex::default(),
        router: Mutex::default(),
        greeting: tokio::sync::Mutex::default(),
    });
    let credentials_of = Arc::clone(&agent);
    let control = Link::builder("control", move || {
        let agent = Arc::clone(&credentials_of);
        async move {
            let credentials = cloud::credentials(&agent.identity).await?;
            lock(&agent.router).clone_from(&credentials.url);
            Ok(credentials)
        }
    })
    .spawn(stop.clone());

    let work = async {
        tokio::join!(
            agent.inventory.keep(),
            agent.keep_facts(),
            agent.keep_stats(),
            agent.keep_reporting(&control, &stop)
        )
    };
    stop.run_until_cancelled(work).await;
    let mut state = control.state();
    // The link's own task ends at once; its channel closing says so too.
    let _ = state.wait_for(|state| *state == LinkState::Closed).await;
    tracing::info!("agent stopped; containers go on");
}

impl<E: Engine> Agent<E> {
    async fn keep_facts(&self) {
        let mut ticks = tokio::time::interval(FACTS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut followed = self.inventory.followed();
        loop {
            // A lost engine, or one that is back, is told at once.
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = followed.changed() => {}
            }
            let now = facts::gather(self.engine.facts().await);
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
        loop {
            ticks.tick().await;
            let storage = self.storage.borrow().clone();
            let tick = sampler.tick(clock::now_ms(), &self.inventory.containers(), &storage);
            self.outbox.send_stats(|tenant| StatsEvent {
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

    /// Says hello after every join, then reports for as long as the session stands.
    async fn keep_reporting(self: &Arc<Self>, control: &Link, stop: &CancellationToken) {
        let mut state = control.state();
        let mut ticks = tokio::time::interval(Duration::from_millis(REPORT_EVERY_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told::default();
        let mut trouble = None;
        loop {
            ticks.tick().await;
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
        let report =
            Report { at: clock::now_ms(), problems, containers: containers.collect(), facts: changed };
        let reply = control.call::<FleetReport>(FleetReport::URI, &report).await?;
        told.facts = Some(facts);
        if told.hello.is_some_and(|(_, revision)| revision != reply.grants_revision) {
            told.hello = None;
        }
        Ok(())
    }

    /// Says hello; the tickets that come back are kept for the tenants' links.
    async fn hello(&self, control: &Link, facts: &DeviceFacts) -> Result<Grants, ecep_link::CallError> {
        let hello = Hello { facts: facts.clone() };
        let grants = control.call::<FleetHello>(FleetHello::URI, &hello).await?;
        let url = lock(&self.router).clone();
        let mut tickets = lock(&self.tickets);
        tickets.clear();
        for TenantGrant { tenant, realm, ticket } in &grants.tenants {
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
            if let Some(cancel) = tenants.remove(&tenant) {
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
            });
            let link = procedures::serve(builder, &self.orders, &tenant).spawn(cancel.clone());
            self.outbox.open(&self.identity.enrolled.device, &tenant, link, cancel.clone());
            tenants.insert(tenant, cancel);
        }
    }

    /// A ticket from the last hello, or from a new one.
    async fn tenant_credentials(
        &self,
        control: &Link,
        tenant: &TenantSlug,
    ) -> Result<Credentials, CredentialsError> {
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

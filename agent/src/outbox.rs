//! The ways out to the tenants: one bounded queue of events and one place for the latest statistics each.
//!
//! Events of a tenant leave in order, and wait while its link is not joined. When the queue is full, new events
//! are dropped and the log says how many: watchers list anew whenever a device comes back, so an event is a hint
//! and the list is the truth. Statistics are never queued: a tick that cannot leave at once is skipped, and its
//! gap shows in `sequence`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ecep_link::{CallError, Link, LinkState};
use ecep_proto::api::{
    ContainerEvents, DeviceStats, OperationEvents, Topic, container::ContainerEvent, name::DeviceId,
    name::TenantSlug, operation::OperationEvent, stats::StatsEvent,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Events that wait for one tenant's link; beyond it they are dropped.
const MAX_WAITING: usize = 256;
/// Between attempts on a session that fails but is not yet known as lost.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// An event for a tenant.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A container's life goes on.
    Container(ContainerEvent),
    /// An operation goes on.
    Operation(OperationEvent),
}

/// All ways out.
#[derive(Debug, Default)]
pub struct Outbox {
    tenants: Mutex<BTreeMap<TenantSlug, Way>>,
}

#[derive(Debug)]
struct Way {
    events: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
    stats: watch::Sender<Option<StatsEvent>>,
    state: watch::Receiver<LinkState>,
    /// Whether anybody subscribes to the statistics.
    watched: watch::Receiver<bool>,
}

impl Outbox {
    /// Opens the way to a tenant over this link, until `cancel` is cancelled.
    pub fn open(&self, device: &DeviceId, tenant: &TenantSlug, link: Link, cancel: CancellationToken) {
        let (events, waiting) = mpsc::channel(MAX_WAITING);
        let (stats, latest) = watch::channel(None);
        let dropped = Arc::new(AtomicU64::new(0));
        let watched = link.watched(DeviceStats::on(device), cancel.child_token());
        let way = Way { events, dropped: Arc::clone(&dropped), stats, state: link.state(), watched };
        self.lock().insert(tenant.clone(), way);
        let carrier = Carrier {
            tenant: tenant.clone(),
            link,
            containers: ContainerEvents::on(device),
            operations: OperationEvents::on(device),
            stats: DeviceStats::on(device),
            dropped,
            trouble: None,
        };
        tokio::spawn(cancel.run_until_cancelled_owned(carrier.carry(waiting, latest)));
    }

    /// Closes the way to a tenant.
    pub fn close(&self, tenant: &TenantSlug) {
        self.lock().remove(tenant);
    }

    /// Sends an event to a tenant, if there is a way to it.
    pub fn send(&self, tenant: &TenantSlug, event: Event) {
        if let Some(way) = self.lock().get(tenant)
            && way.events.try_send(event).is_err()
        {
            way.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether any tenant watches the statistics now.
    pub fn is_watched(&self) -> bool {
        self.lock().values().any(|way| is_joined(&way.state) && *way.watched.borrow())
    }

    /// Sends statistics to every tenant whose link is joined, or only to those who watch; `event_for` makes each tenant's own.
    pub fn send_stats(&self, to_all: bool, event_for: impl Fn(&TenantSlug) -> StatsEvent) {
        for (tenant, way) in self.lock().iter() {
            if is_joined(&way.state) && (to_all || *way.watched.borrow()) {
                way.stats.send_replace(Some(event_for(tenant)));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantSlug, Way>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_joined(state: &watch::Receiver<LinkState>) -> bool {
    matches!(*state.borrow(), LinkState::Joined { .. })
}

/// Whether the router has judged the event: then it is no use to send it again.
fn is_refusal(error: &CallError) -> bool {
    match error {
        CallError::NotJoined | CallError::TimedOut => false,
        // Without a URI it is the client that failed, not the router that answered.
        CallError::Remote { uri, .. } => !uri.is_empty(),
        CallError::Malformed(_) => true,
    }
}

/// Carries one tenant's events to its link.
struct Carrier {
    tenant: TenantSlug,
    link: Link,
    containers: String,
    operations: String,
    stats: String,
    dropped: Arc<AtomicU64>,
    /// What was last told as wrong, so that the log has it once.
    trouble: Option<CallError>,
}

impl Carrier {
    async fn carry(
        mut self,
        mut waiting: mpsc::Receiver<Event>,
        mut latest: watch::Receiver<Option<StatsEvent>>,
    ) {
        loop {
            tokio::select! {
                biased;
                Some(event) = waiting.recv() => self.deliver(&event).await,
                Ok(()) = latest.changed() => {
                    let event = latest.borrow_and_update().clone();
                    if let Some(event) = event.filter(|_| is_joined(&self.link.state())) {
                        let outcome = self.link.publish::<DeviceStats>(&self.stats, &event).await;
                        self.note(outcome.err());
                    }
                }
                else => return,
            }
        }
    }

    /// Publishes an event in whatever session comes next, until the router has it or refuses it.
    async fn deliver(&mut self, event: &Event) {
        let mut state = self.link.state();
        loop {
            if state.wait_for(|state| matches!(state, LinkState::Joined { .. })).await.is_err() {
                return;
            }
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(tenant = %self.tenant, dropped, "events were dropped, too many waited");
            }
            let outcome = match event {
                Event::Container(event) => {
                    self.link.publish::<ContainerEvents>(&self.containers, event).await
                }
                Event::Operation(event) => {
                    self.link.publish::<OperationEvents>(&self.operations, event).await
                }
            };
            let error = outcome.err();
            let again = error.as_ref().is_some_and(|error| !is_refusal(error));
            self.note(error);
            if !again {
                return;
            }
            // The session that failed may not be marked as lost yet.
            let _ = timeout(RETRY_EVERY, state.changed()).await;
        }
    }

    /// Logs trouble once, until it changes. "Not joined" is told by the link itself.
    fn note(&mut self, error: Option<CallError>) {
        let trouble = error.filter(|error| *error != CallError::NotJoined);
        if trouble != self.trouble {
            if let Some(error) = &trouble {
                tracing::warn!(tenant = %self.tenant, %error, "events cannot be published");
            }
            self.trouble = trouble;
        }
    }
}

//! The realms that are in use: started when the first session enters. A realm of the platform is gone when the last
//! one has left; one of the configuration stays, with the events that it retains.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ecep_router_core::{RealmConfig, SessionKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::auth::Change;
use crate::budget::Budget;
use crate::config::Limits;
use crate::live_limits::LiveLimits;
use crate::metrics::{Metrics, RealmReport};
use crate::platform;
use crate::realm_configs::RealmConfigs;
use crate::realm_task::{self, INBOX_MESSAGES, ToRealm};
use crate::revocations::Revocations;

/// How many bytes of messages may wait for a realm, at least: a message that alone is larger has room too.
const INBOX_BYTES: usize = 16 << 20;

/// No more than this part of a client's queue may wait for a realm: all of it could be for one client, whose queue
/// must not overflow before its senders are slowed.
const QUEUE_PART: usize = 4;

/// No more than this part of what waits for a realm may be of one session: whoever floods a realm leaves the others room.
/// By default that is 256 KiB, some hundred small messages.
const SESSION_PART: usize = 32;

/// All realms.
#[derive(Debug)]
pub(crate) struct Hub {
    running: Mutex<Running>,
    /// The memory of all clients' queues.
    pub(crate) budget: Arc<Budget>,
    /// The limits of connections that are there.
    pub(crate) limits: Arc<LiveLimits>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whose access has ended or changed lately.
    pub(crate) revocations: Revocations,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Running {
    /// What those that are started are made from.
    configs: RealmConfigs,
    realms: HashMap<String, Entry>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    inbox: Inbox,
    /// How many seats there are. The last one to go takes a realm of the platform along.
    seats: usize,
}

/// The way into a realm.
#[derive(Clone, Debug)]
struct Inbox {
    sender: mpsc::Sender<ToRealm>,
    /// [`INBOX_BYTES`] permits, whatever a byte costs at the moment: see [`Hub::inbox_bytes`].
    room: Arc<Semaphore>,
}

/// Room for messages in a realm's inbox, given back when the realm has handled them.
#[derive(Debug)]
#[expect(dead_code, reason = "they give it back when they are dropped")]
pub(crate) struct InboxPermit {
    of_session: OwnedSemaphorePermit,
    of_realm: OwnedSemaphorePermit,
}

impl Hub {
    pub(crate) fn new(configs: RealmConfigs, limits: &Limits, tasks: TaskTracker) -> Arc<Self> {
        let running = Mutex::new(Running { configs, ..Running::default() });
        let (revocations, budget) = (Revocations::default(), Budget::new(limits.max_total_queue_bytes));
        let limits = LiveLimits::new(limits);
        Arc::new(Self { running, budget, limits, metrics: Arc::default(), revocations, tasks })
    }

    /// How many bytes of messages may wait for a realm.
    fn inbox_bytes(&self) -> usize {
        INBOX_BYTES.min(self.limits.queue_bytes() / QUEUE_PART)
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat in the realm, which is started if nobody is in it. None if there is no such realm, or the router
    /// shuts down.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> Option<Seat> {
        let mut running = self.running();
        if running.closed {
            return None;
        }
        let entry = match running.realms.get_mut(name) {
            Some(entry) => entry,
            None => {
                let config = running.configs.get(name)?;
                let (sender, receiver) = mpsc::channel(INBOX_MESSAGES);
                let (budget, metrics) = (self.budget.clone(), self.metrics.clone());
                self.tasks.spawn(realm_task::run(config, rand::random(), budget, metrics, receiver));
                let inbox = Inbox { sender, room: Arc::new(Semaphore::new(INBOX_BYTES)) };
                running.realms.entry(name.to_owned()).or_insert(Entry { inbox, seats: 0 })
            }
        };
        entry.seats += 1;
        let room = Arc::new(Semaphore::new(INBOX_BYTES / SESSION_PART));
        Some(Seat { hub: self.clone(), realm: name.to_owned(), inbox: entry.inbox.clone(), room })
    }

    /// Ends all sessions of this authid on that platform realm, or on all of them; how many there were.
    pub(crate) async fn end_sessions(&self, authid: &str, realm: Option<&str>, reason: &str) -> u64 {
        self.revocations.add(realm, authid);
        let wanted =
            |name: &str| platform::is_platform_realm(name) && realm.is_none_or(|realm| realm == name);
        let inboxes: Vec<Inbox> = {
            let running = self.running();
            let realms = running.realms.iter().filter(|(name, _)| wanted(name));
            realms.map(|(_, entry)| entry.inbox.clone()).collect()
        };
        let mut sum = 0;
        for inbox in inboxes {
            let (ended, counted) = oneshot::channel();
            let (authid, reason) = (authid.to_owned(), reason.to_owned());
            // A realm that has ended has no sessions.
            let _ = inbox.sender.send(ToRealm::EndSessions { authid, reason, ended }).await;
            sum += counted.await.unwrap_or(0);
        }
        sum
    }

    /// Puts new roles and limits into force, and ends or moves the sessions of those whose access has changed.
    pub(crate) async fn reconfigure(&self, configs: RealmConfigs, changes: &[Change]) {
        for Change { realm, authid, .. } in changes {
            self.revocations.add(realm.as_deref(), authid);
        }
        let running: Vec<(Inbox, RealmConfig, Vec<Change>)> = {
            let mut running = self.running();
            running.configs = configs;
            let Running { configs, realms, .. } = &*running;
            let concerns = |change: &Change, name: &str| match &change.realm {
                Some(realm) => realm == name,
                None => platform::is_platform_realm(name),
            };
            let changes =
                |name: &str| changes.iter().filter(|change| concerns(change, name)).cloned().collect();
            let told = |(name, entry): (&String, &Entry)| {
                Some((entry.inbox.clone(), configs.get(name)?, changes(name)))
            };
            realms.iter().filter_map(told).collect()
        };
        for (inbox, config, changes) in running {
            let (done, wait) = oneshot::channel();
            // A realm that has ended is made from the new ones when it starts again.
            let _ = inbox.sender.send(ToRealm::Reconfigure { config, changes, done }).await;
            let _ = wait.await;
        }
    }

    /// What every realm says of itself; none of one that has not answered by then.
    pub(crate) async fn reports(&self, by: Instant) -> Vec<(String, Option<RealmReport>)> {
        let inboxes: Vec<(String, Inbox)> = {
            let running = self.running();
            running.realms.iter().map(|(name, entry)| (name.clone(), entry.inbox.clone())).collect()
        };
        let ask = async |inbox: &Inbox| {
            let (answer, answered) = oneshot::channel();
            inbox.sender.send(ToRealm::Report(answer)).await.ok()?;
            answered.await.ok()
        };
        let mut reports = Vec::new();
        for (name, inbox) in inboxes {
            match timeout_at(by, ask(&inbox)).await {
                Ok(Some(report)) => reports.push((name, Some(report))),
                // It has ended meanwhile.
                Ok(None) => {}
                Err(_) => reports.push((name, None)),
            }
        }
        reports
    }

    /// Says good-bye to every session; nobody enters any more.
    pub(crate) async fn shutdown(&self) {
        let inboxes: Vec<Inbox> = {
            let mut running = self.running();
            running.closed = true;
            // Seats have their own way in: each realm ends when the last of them is given up.
            std::mem::take(&mut running.realms).into_values().map(|entry| entry.inbox).collect()
        };
        for inbox in inboxes {
            // A realm that has ended needs no telling.
            let _ = inbox.sender.send(ToRealm::Shutdown).await;
        }
    }
}

/// The right to be in a realm; a realm of the platform lives while somebody has one.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    realm: String,
    inbox: Inbox,
    /// What of the inbox's room this session may have.
    room: Arc<Semaphore>,
}

impl Seat {
    /// The realm's name.
    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// What the router counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.hub.metrics
    }

    /// The memory of all clients' queues.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.hub.budget
    }

    /// Tells the realm something; waits while its inbox is full. A realm can't end while there is a seat.
    pub(crate) async fn tell(&self, what: ToRealm) {
        let _ = self.inbox.sender.send(what).await;
    }

    /// Room for messages of that many bytes. What alone is larger than all room there is gets all of it.
    pub(crate) async fn room(&self, bytes: usize) -> Option<InboxPermit> {
        let all = self.hub.inbox_bytes().max(1);
        let permits = bytes.min(all).saturating_mul(INBOX_BYTES) / all;
        let of_session = take(&self.room, permits.min(INBOX_BYTES / SESSION_PART)).await?;
        let of_realm = take(&self.inbox.room, permits).await?;
        Some(InboxPermit { of_session, of_realm })
    }

    /// Leaves: the realm is told.
    pub(crate) async fn leave(self, session: SessionKey) {
        self.tell(ToRealm::Lost { session }).await;
    }
}

async fn take(room: &Arc<Semaphore>, permits: usize) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    room.clone().acquire_many_owned(permits).await.ok()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut running = self.hub.running();
        let stays = running.configs.is_configured(&self.realm);
        if let Some(entry) = running.realms.get_mut(&self.realm) {
            entry.seats -= 1;
            if entry.seats == 0 && !stays {
                running.realms.remove(&self.realm);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config::Config;

    const REALM: &str = "realm1";

    /// One session can't take all room of a realm's inbox, whatever the limits are now.
    #[tokio::test]
    async fn a_flood_leaves_room() {
        let config = Config { realm: vec![Config::open_realm(REALM)], ..Config::default() };
        let hub = Hub::new(RealmConfigs::of(&config), &config.limits, TaskTracker::new());
        let (flooder, other) = (hub.enter(REALM).unwrap(), hub.enter(REALM).unwrap());
        for max_queue_bytes in [config.limits.max_queue_bytes, 1 << 20] {
            hub.limits.set(&Limits { max_queue_bytes, ..config.limits.clone() });
            let mut taken = Vec::new();
            // The runtime lets a task have so much at once.
            tokio::task::yield_now().await;
            while let Some(room) = flooder.room(8192).now_or_never() {
                taken.push(room.unwrap());
            }
            let most = hub.inbox_bytes() / SESSION_PART / 8192;
            assert_eq!(taken.len(), most, "{max_queue_bytes}");
            assert!(other.room(8192).now_or_never().is_some());
            drop(taken);
            assert!(flooder.room(usize::MAX).now_or_never().is_some(), "a large message has room too");
        }
    }
}

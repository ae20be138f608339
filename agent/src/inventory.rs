//! The containers of the platform on this device, kept up to date: by the engine's events, by a full list every
//! minute and after every loss of the engine, and by whoever has just changed one.
//!
//! What a difference means is decided by pure functions; each difference is told to the container's tenant.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ecep_proto::api::{
    container::{ContainerChange, ContainerEvent, ContainerState},
    name::{ContainerId, DeviceId},
};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    clock,
    engine::{Engine, EngineContainer, EngineError, engine_name},
    moving::Moving,
    outbox::{Event, Outbox},
};

/// An event that was lost is made good after this long.
const RELIST_EVERY: Duration = Duration::from_secs(60);
/// Between attempts to reach a lost engine: an engine restarts within a second or two.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The containers, by the engine's id.
pub struct Inventory<E> {
    device: DeviceId,
    engine: Arc<E>,
    outbox: Arc<Outbox>,
    moving: Arc<Moving>,
    known: Mutex<Known>,
    /// One look at a time: an older one must not overwrite what a newer one saw.
    looking: tokio::sync::Mutex<()>,
    /// Counts what has happened to containers.
    changes: watch::Sender<u64>,
    /// Whether the engine's events are being followed.
    followed: watch::Sender<bool>,
}

#[derive(Default)]
struct Known {
    containers: BTreeMap<String, EngineContainer>,
    /// False until the first list: what is found then is not news.
    listed: bool,
}

impl Known {
    /// Answers what was known of this container before: also where it was another one at the engine, that this one replaces.
    fn insert(&mut self, container: &EngineContainer) -> Option<EngineContainer> {
        let (id, engine_id) = (&container.view().id, container.detail.engine_id.as_str());
        let mut others = self.containers.iter().filter(|(_, known)| known.view().id == *id);
        let replaced = others.find(|(other, _)| *other != engine_id).map(|(other, _)| other.clone());
        let replaced = replaced.and_then(|other| self.containers.remove(&other));
        self.containers.insert(engine_id.to_owned(), container.clone()).or(replaced)
    }

    /// Forgets the container of this id or name at the engine.
    fn remove(&mut self, engine_id: &str) -> Option<EngineContainer> {
        self.containers.remove(engine_id).or_else(|| {
            let named = |known: &&EngineContainer| engine_name(&known.view().id) == engine_id;
            let found = self.containers.values().find(named)?.detail.engine_id.clone();
            self.containers.remove(&found)
        })
    }
}

impl<E: Engine> Inventory<E> {
    /// Knows nothing yet.
    pub fn new(device: DeviceId, engine: Arc<E>, outbox: Arc<Outbox>, moving: Arc<Moving>) -> Self {
        Self {
            device,
            engine,
            outbox,
            moving,
            known: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(0),
            followed: watch::Sender::new(false),
        }
    }

    /// All containers, oldest first, but for copies that are not theirs yet.
    pub fn containers(&self) -> Vec<EngineContainer> {
        let known: Vec<_> = self.lock().containers.values().cloned().collect();
        let mut containers: Vec<_> =
            known.into_iter().filter(|known| !self.moving.is_hidden(&known.view().id)).collect();
        containers
            .sort_by(|a, b| (a.view().created_at, &a.view().id).cmp(&(b.view().created_at, &b.view().id)));
        containers
    }

    /// The engine's id of a container; `None` where it was never seen.
    pub fn engine_id(&self, container: &ContainerId) -> Option<String> {
        let known = self.lock();
        let found = known.containers.values().find(|known| known.view().id == *container)?;
        Some(found.detail.engine_id.clone())
    }

    /// Whether the engine is there and its events are followed, and each change of it.
    pub fn followed(&self) -> watch::Receiver<bool> {
        self.followed.subscribe()
    }

    /// Rises whenever something has happened to a container.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Looks at one container again, by the engine's id or name.
    ///
    /// # Errors
    /// The engine's own, except that it has no such container: then it is gone.
    pub async fn look(&self, engine_id: &str) -> Result<Option<EngineContainer>, EngineError> {
        let _one_at_a_time = self.looking.lock().await;
        let now = match self.engine.inspect(engine_id).await {
            Ok(container) => Some(container),
            Err(EngineError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        let is_replaced = now.is_none() && self.is_replaced(self.lock().containers.get(engine_id));
        if is_replaced {
            // Another one has its id, or the one before has it again.
            self.list_anew().await?;
            return Ok(None);
        }
        let before = match &now {
            Some(container) => self.lock().insert(container),
            None => self.lock().remove(engine_id),
        };
        self.tell(before.as_ref(), now.as_ref());
        Ok(now)
    }

    fn is_replaced(&self, known: Option<&EngineContainer>) -> bool {
        known.is_some_and(|known| self.moving.is_replaced(&known.view().id))
    }

    /// Looks at all containers again.
    ///
    /// # Errors
    /// The engine's own; nothing is forgotten then.
    pub async fn relist(&self) -> Result<(), EngineError> {
        let _one_at_a_time = self.looking.lock().await;
        self.list_anew().await
    }

    async fn list_anew(&self) -> Result<(), EngineError> {
        let listed = self.engine.list().await?;
        let now: BTreeMap<String, EngineContainer> =
            listed.into_iter().map(|container| (container.detail.engine_id.clone(), container)).collect();
        let (before, was_listed) = {
            let mut known = self.lock();
            (
                std::mem::replace(&mut known.containers, now.clone()),
                std::mem::replace(&mut known.listed, true),
            )
        };
        if was_listed {
            let same = |among: &BTreeMap<String, EngineContainer>, one: &EngineContainer| {
                let known = among.get(&one.detail.engine_id);
                known.or_else(|| among.values().find(|other| other.view().id == one.view().id)).cloned()
            };
            for container in now.values() {
                self.tell(same(&before, container).as_ref(), Some(container));
            }
            for gone in before.values().filter(|gone| same(&now, gone).is_none()) {
                if !self.is_replaced(Some(gone)) {
                    self.tell(Some(gone), None);
                }
            }
        }
        Ok(())
    }

    /// Tells a container that was hidden until now as if it had just come; looks at it first.
    pub async fn announce(&self, engine_id: &str) {
        self.lock().remove(engine_id);
        if let Err(error) = self.look(engine_id).await {
            tracing::warn!(%error, "a container that came cannot be looked at");
        }
    }

    /// Whether all containers are known: the engine answers, and has been asked.
    pub fn is_complete(&self) -> bool {
        self.lock().listed && *self.followed.borrow()
    }

    /// Keeps the inventory up to date, for ever.
    pub async fn keep(&self) {
        let mut lost = false;
        loop {
            if let Err(error) = self.follow(&mut lost).await {
                if !lost {
                    tracing::warn!(%error, "engine lost; containers go on, trying to reach it");
                }
                lost = true;
                self.followed.send_if_modified(|followed| std::mem::replace(followed, false));
                sleep(RETRY_EVERY).await;
            }
        }
    }

    /// Listens, lists, and follows events until the engine is lost. It listens first, so that nothing falls
    /// between the two.
    async fn follow(&self, lost: &mut bool) -> Result<(), EngineError> {
        let mut events = self.engine.events().await?;
        self.relist().await?;
        if std::mem::take(lost) {
            tracing::info!("engine is back");
        }
        self.followed.send_replace(true);
        let mut relist_at = Instant::now() + RELIST_EVERY;
        loop {
            match timeout_at(relist_at, events.next()).await {
                Ok(Some(Ok(event))) => match self.look(&event.engine_id).await {
                    Err(error @ EngineError::Unreachable(_)) => return Err(error),
                    Err(error) => tracing::warn!(%error, "a container cannot be looked at"),
                    Ok(_) => {}
                },
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => {
                    return Err(EngineError::Unreachable("its stream of events has ended".to_owned()));
                }
                Err(_) => {
                    self.relist().await?;
                    relist_at = Instant::now() + RELIST_EVERY;
                }
            }
        }
    }

    fn tell(&self, before: Option<&EngineContainer>, now: Option<&EngineContainer>) {
        let Some(container) = now.or(before) else { return };
        if self.moving.is_hidden(&container.view().id) {
            return;
        }
        for change in changes(before, now) {
            self.changes.send_modify(|count| *count += 1);
            tracing::info!(container = %container.view().id, tenant = %container.tenant, ?change, "container changed");
            let event = ContainerEvent {
                device: self.device.clone(),
                change,
                container: container.view().clone(),
                at: clock::now_ms(),
            };
            self.outbox.send(&container.tenant, Event::Container(event));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happened between two looks at a container.
fn changes(before: Option<&EngineContainer>, now: Option<&EngineContainer>) -> Vec<ContainerChange> {
    // Another one at the engine, as after an update, is another start, also within one millisecond.
    let is_another =
        before.zip(now).is_some_and(|(one, other)| one.detail.engine_id != other.detail.engine_id);
    let (before, now) = match (before, now) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![ContainerChange::Deleted],
        (None, Some(now)) => {
            let mut changes = vec![ContainerChange::Created];
            changes.extend(arrival(now.view().state));
            return changes;
        }
        (Some(before), Some(now)) => (before.view(), now.view()),
    };
    let restarted = is_another || now.started_at != before.started_at;
    match (before.state, now.state) {
        (ContainerState::Paused, ContainerState::Running) if !restarted => vec![ContainerChange::Unpaused],
        (ContainerState::Running, ContainerState::Running) if restarted => {
            vec![ContainerChange::Exited, ContainerChange::Started]
        }
        (ContainerState::Exited, ContainerState::Exited) if restarted => {
            vec![ContainerChange::Started, ContainerChange::Exited]
        }
        (old, new) if old != new => arrival(new).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn arrival(state: ContainerState) -> Option<ContainerChange> {
    match state {
        ContainerState::Running => Some(ContainerChange::Started),
        ContainerState::Paused => Some(ContainerChange::Paused),
        ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting => {
            Some(ContainerChange::Exited)
        }
        ContainerState::Created | ContainerState::Removing => None,
    }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::container::{ContainerDetail, ContainerView, Limits, RestartPolicy};

    use super::*;

    fn container(state: ContainerState, started_at: u64) -> EngineContainer {
        let view = ContainerView {
            id: "c1".parse().unwrap(),
            name: "web".parse().unwrap(),
            application: "web".parse().unwrap(),
            image: "app:1".to_owned(),
            state,
            exit_code: None,
            created_at: 1,
            started_at: Some(started_at),
            ports: vec![],
            address: None,
            version: None,
            run_once: false,
        };
        let detail = ContainerDetail {
            container: view,
            tenant: "acme".parse().unwrap(),
            engine_id: "e1".to_owned(),
            command: vec![],
            env_names: vec![],
            volumes: vec![],
            limits: Limits::default(),
            restart: RestartPolicy::No,
            tty: false,
            pid: None,
            restart_count: 0,
            oom_killed: false,
        };
        EngineContainer {
            tenant: "acme".parse().unwrap(),
            operation: None,
            detail,
            hosts_file: None,
            health: None,
            healthy_after_seconds: None,
            replacing: None,
        }
    }

    /// Orders look at a container by its name, events by its id: one that was seen by the one and is gone by the other stayed in lists
    /// for a minute.
    #[test]
    fn a_container_is_known_once_whatever_it_is_called_by() {
        let seen = container(ContainerState::Exited, 1);
        for name in ["e1", "ecep-c1"] {
            let mut known = Known::default();
            assert_eq!(known.insert(&seen), None);
            assert_eq!(known.remove("another"), None);
            assert_eq!(known.remove(name).as_ref(), Some(&seen));
            assert!(known.containers.is_empty());
        }
    }

    /// Two looks must tell all that happened between them, and nothing twice: events come from here alone.
    #[test]
    fn a_difference_becomes_what_happened() {
        use ContainerChange as Change;
        use ContainerState::{Created, Exited, Paused, Running};
        let at = |state, started_at| Some((state, started_at));
        for (before, now, expected) in [
            (None, at(Created, 0), vec![Change::Created]),
            (None, at(Running, 1), vec![Change::Created, Change::Started]),
            (at(Created, 0), at(Running, 1), vec![Change::Started]),
            (at(Running, 1), at(Running, 1), vec![]),
            (at(Running, 1), at(Running, 2), vec![Change::Exited, Change::Started]),
            (at(Running, 1), at(Exited, 1), vec![Change::Exited]),
            (at(Exited, 1), at(Exited, 2), vec![Change::Started, Change::Exited]),
            (at(Running, 1), at(Paused, 1), vec![Change::Paused]),
            (at(Paused, 1), at(Running, 1), vec![Change::Unpaused]),
            (at(Running, 1), None, vec![Change::Deleted]),
        ] {
            let look = |seen: Option<(ContainerState, u64)>| seen.map(|(state, at)| container(state, at));
            assert_eq!(changes(look(before).as_ref(), look(now).as_ref()), expected, "{before:?} {now:?}");
        }
    }
}

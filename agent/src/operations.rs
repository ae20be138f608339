//! Which orders are under way, and which have ended and how: the same operation id is the same order.
//!
//! Pure bookkeeping behind a lock; it knows nothing of engines.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::{
    container::ContainerView,
    error::{ApiError, ErrorKind},
    name::{ContainerId, OperationId, TenantSlug},
};
use serde::Serialize;
use tokio::sync::{OwnedMutexGuard, watch};

/// Operations that are remembered after their end, so that a repeated order is answered and not done twice.
/// Beyond it the oldest is forgotten.
const MAX_REMEMBERED: usize = 1024;
/// Operations under way at once; more are refused, since a device is small.
const MAX_RUNNING: usize = 64;

/// How far an operation has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// At work, on this container if there is one yet.
    Running(Option<ContainerId>),
    /// Ended well.
    Done {
        /// The container it was about.
        container_id: Option<ContainerId>,
        /// The container now, if it is there.
        container: Option<ContainerView>,
    },
    /// Ended badly.
    Failed(ApiError),
}

impl Progress {
    /// Whether nothing more comes.
    pub fn is_final(&self) -> bool {
        !matches!(self, Progress::Running(_))
    }
}

/// What came of an order to begin.
#[derive(Debug)]
pub enum Begun {
    /// It is new: do it, and tell how it goes.
    New(watch::Sender<Progress>),
    /// It is known: this is how it goes.
    Known(watch::Receiver<Progress>),
}

/// The operations of this device.
#[derive(Debug, Default)]
pub struct Operations {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: HashMap<Key, Entry>,
    by_age: VecDeque<Key>,
}

type Key = (TenantSlug, OperationId);

#[derive(Debug)]
struct Entry {
    what: What,
    progress: watch::Receiver<Progress>,
}

/// What is ordered: the same id with something else is another order, and a mistake of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What {
    /// The last part of the procedure's URI, such as `container.create`.
    pub kind: &'static str,
    content: u64,
}

impl What {
    /// An order of that kind with these arguments.
    pub fn new(kind: &'static str, arguments: &impl Serialize) -> Self {
        let mut hasher = DefaultHasher::new();
        // Orders came as JSON, so they can be written as JSON.
        serde_json::to_string(arguments).unwrap_or_default().hash(&mut hasher);
        Self { kind, content: hasher.finish() }
    }
}

impl Operations {
    /// Begins an operation, or finds it.
    ///
    /// # Errors
    /// `Conflict` if the id was used for another order; `Limit` if too many are under way.
    pub fn begin(&self, tenant: &TenantSlug, operation: &OperationId, what: What) -> Result<Begun, ApiError> {
        let mut table = lock(&self.table);
        let key = (tenant.clone(), operation.clone());
        if let Some(entry) = table.known.get(&key) {
            if entry.what == what {
                return Ok(Begun::Known(entry.progress.clone()));
            }
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "operation {operation} was another order, a {}; choose another id, or leave it out",
                    entry.what.kind
                ),
            ));
        }
        let running = table.known.values().filter(|entry| !entry.progress.borrow().is_final()).count();
        if running >= MAX_RUNNING {
            return Err(ApiError::new(
                ErrorKind::Limit,
                format!(
                    "{MAX_RUNNING} operations are under way on this device; wait for some of them to end"
                ),
            ));
        }
        table.forget_old();
        let (sender, progress) = watch::channel(Progress::Running(None));
        table.by_age.push_back(key.clone());
        table.known.insert(key, Entry { what, progress });
        Ok(Begun::New(sender))
    }
}

impl Table {
    fn forget_old(&mut self) {
        while self.by_age.len() >= MAX_REMEMBERED {
            let ended = self
                .by_age
                .iter()
                .position(|key| self.known.get(key).is_none_or(|entry| entry.progress.borrow().is_final()));
            let Some(key) = ended.and_then(|at| self.by_age.remove(at)) else { return };
            self.known.remove(&key);
        }
    }
}

/// Locks by name, so that two orders about the same thing are done one after the other.
#[derive(Debug, Default)]
pub struct Locks {
    by_name: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    /// Waits until nobody else holds this name.
    pub async fn hold(&self, name: &str) -> OwnedMutexGuard<()> {
        self.of(name).lock_owned().await
    }

    /// Holds this name, unless somebody else does.
    pub fn try_hold(&self, name: &str) -> Option<OwnedMutexGuard<()>> {
        self.of(name).try_lock_owned().ok()
    }

    fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut by_name = lock(&self.by_name);
        by_name.retain(|_, mutex| Arc::strong_count(mutex) > 1);
        Arc::clone(by_name.entry(name.to_owned()).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantSlug {
        name.parse().unwrap()
    }

    fn what(kind: &'static str) -> What {
        What::new(kind, &"the same arguments")
    }

    fn id(name: &str) -> OperationId {
        name.parse().unwrap()
    }

    fn new(begun: Result<Begun, ApiError>) -> watch::Sender<Progress> {
        match begun {
            Ok(Begun::New(sender)) => sender,
            other => panic!("expected a new operation, got {other:?}"),
        }
    }

    /// A repeated order must not be done twice, nor may another tenant's same id be taken for it.
    #[test]
    fn the_same_id_is_the_same_order_within_a_tenant() {
        let operations = Operations::default();
        let sender = new(operations.begin(&tenant("a"), &id("x"), what("container.stop")));
        let _other = new(operations.begin(&tenant("b"), &id("x"), what("container.stop")));
        sender.send_replace(Progress::Done { container_id: None, container: None });
        match operations.begin(&tenant("a"), &id("x"), what("container.stop")) {
            Ok(Begun::Known(progress)) => assert!(progress.borrow().is_final()),
            other => panic!("{other:?}"),
        }
        let error = operations.begin(&tenant("a"), &id("x"), what("container.start")).unwrap_err();
        assert_eq!(error.uri, ErrorKind::Conflict);
        // The same kind of order about something else must not be answered with what was done before.
        let other = What::new("container.stop", &"other arguments");
        let error = operations.begin(&tenant("a"), &id("x"), other).unwrap_err();
        assert_eq!(error.uri, ErrorKind::Conflict);
    }

    /// The memory must stay bounded, and what is under way must never be forgotten.
    #[test]
    fn old_ones_are_forgotten_but_never_running_ones() {
        let operations = Operations::default();
        let running = new(operations.begin(&tenant("a"), &id("running"), what("image.pull")));
        for number in 0..3 * MAX_REMEMBERED {
            let sender =
                new(operations.begin(&tenant("a"), &id(&format!("n{number}")), what("container.stop")));
            sender.send_replace(Progress::Done { container_id: None, container: None });
        }
        assert!(lock(&operations.table).known.len() <= MAX_REMEMBERED);
        assert!(matches!(
            operations.begin(&tenant("a"), &id("running"), what("image.pull")),
            Ok(Begun::Known(_))
        ));
        drop(running);
    }

    /// A flood of orders must be refused, not queued without end.
    #[test]
    fn too_many_at_once_are_refused() {
        let operations = Operations::default();
        let held: Vec<_> = (0..MAX_RUNNING)
            .map(|number| new(operations.begin(&tenant("a"), &id(&format!("n{number}")), what("image.pull"))))
            .collect();
        let error = operations.begin(&tenant("a"), &id("more"), what("image.pull")).unwrap_err();
        assert_eq!(error.uri, ErrorKind::Limit);
        drop(held);
    }
}

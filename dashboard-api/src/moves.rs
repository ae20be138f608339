//! The moves, as people see them: what the devices told of each, and how each ended. Who has a container is not decided
//! here but by the authority.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    migration::{MAX_ROUNDS, MigrationPhase, MigrationReport, MigrationState, MigrationView},
    name::{ContainerId, DeviceId, OperationId, TenantSlug},
};

use crate::{
    authority::Decided,
    clock::unix_ms,
    store::{Store, StoreError, StoredMigration},
};

/// Moves remembered for each tenant: some days of a busy fleet. Past it the oldest that has ended is forgotten.
const MAX_REMEMBERED: usize = 200;
/// Moves of one tenant at a time: the devices do two at a time each, the others wait there.
const MAX_RUNNING: usize = 16;
/// Phases that a device may tell of: each once, and some again after a start of an agent. A stolen device that tells more grows
/// neither the memory nor what the tenant's people are sent.
const MAX_PHASES: usize = 32;
/// What a person is told of a failure, at most.
const MAX_REASON: usize = 2_000;

type Key = (TenantSlug, OperationId);

/// All moves that are remembered.
pub struct Moves {
    store: Store,
    known: Mutex<HashMap<Key, MigrationView>>,
}

/// What a move that is ordered came to.
#[derive(Debug)]
pub enum Ordered {
    /// It is new.
    New,
    /// It was ordered before.
    Known(Box<MigrationView>),
}

/// What a device's report has changed.
#[derive(Debug)]
pub struct Told {
    /// Whose move.
    pub tenant: TenantSlug,
    /// The move now.
    pub view: MigrationView,
    /// It has just ended.
    pub has_ended: bool,
}

impl Moves {
    /// Reads what is stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: Store) -> Result<Self, StoreError> {
        let known = store.migrations()?.into_iter().map(|stored| {
            let key = (stored.tenant, stored.view.operation.clone());
            (key, stored.view)
        });
        Ok(Self { known: Mutex::new(known.collect()), store })
    }

    /// Whether this order is known.
    ///
    /// # Errors
    /// `Conflict` if the id was another order's, `Limit` if too many are under way.
    pub fn ordered(&self, tenant: &TenantSlug, wanted: &MigrationView) -> Result<Ordered, ApiError> {
        let known = self.lock();
        if let Some(view) = known.get(&(tenant.clone(), wanted.operation.clone())) {
            let same = view.container == wanted.container
                && view.destination == wanted.destination
                && view.mode == wanted.mode
                && view.bytes_per_second == wanted.bytes_per_second
                && view.options == wanted.options;
            if same {
                return Ok(Ordered::Known(Box::new(view.clone())));
            }
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "operation {} was another move; choose another id, or leave it out",
                    wanted.operation
                ),
            ));
        }
        let running = known
            .iter()
            .filter(|((of, _), view)| of == tenant && view.state == MigrationState::Running)
            .count();
        if running >= MAX_RUNNING {
            return Err(ApiError::new(
                ErrorKind::Limit,
                format!("{MAX_RUNNING} moves are under way; wait for some of them to end"),
            ));
        }
        Ok(Ordered::New)
    }

    /// Remembers a move that begins.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn add(&self, tenant: &TenantSlug, view: MigrationView) -> Result<(), StoreError> {
        let mut known = self.lock();
        let mut ended: Vec<(u64, Key)> = known
            .iter()
            .filter(|((of, _), view)| of == tenant && view.state != MigrationState::Running)
            .map(|(key, view)| (view.started_at, key.clone()))
            .collect();
        if ended.len() >= MAX_REMEMBERED {
            ended.sort_by_key(|(started_at, _)| *started_at);
            for (_, key) in ended.into_iter().take(1) {
                self.store.remove_migration(&key.0, &key.1)?;
                known.remove(&key);
            }
        }
        self.keep(&mut known, tenant, view)
    }

    /// One move of the tenant.
    pub fn get(&self, tenant: &TenantSlug, operation: &OperationId) -> Option<MigrationView> {
        self.lock().get(&(tenant.clone(), operation.clone())).cloned()
    }

    /// The tenant's moves, the newest first.
    pub fn list(&self, tenant: &TenantSlug, container: Option<&ContainerId>) -> Vec<MigrationView> {
        let known = self.lock();
        let wanted = known.iter().filter(|((of, _), view)| {
            of == tenant && container.is_none_or(|container| view.container == *container)
        });
        let mut views: Vec<MigrationView> = wanted.map(|(_, view)| view.clone()).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.started_at));
        views
    }

    /// A device told how a move goes on. Answers the move where there is something new to tell.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn told(&self, device: &DeviceId, report: &MigrationReport) -> Result<Option<Told>, StoreError> {
        let mut known = self.lock();
        let found = known.iter().find(|((_, operation), view)| {
            *operation == report.migration && (view.source == *device || view.destination == *device)
        });
        let Some(((tenant, _), view)) = found else { return Ok(None) };
        let (tenant, mut next) = (tenant.clone(), view.clone());
        if next.source == *device {
            // What the authority decided is not taken back by a report that was under way.
            if next.phase != MigrationPhase::Finishing {
                next.phase = report.phase;
            }
            next.bytes_done = report.bytes_done;
            next.bytes_total = report.bytes_total;
            next.phases = report.phases.iter().take(MAX_PHASES).copied().collect();
            next.bytes_sent =
                next.phases.iter().fold(report.bytes_done, |sum, took| sum.saturating_add(took.bytes));
            next.rounds = report.rounds.iter().take(MAX_ROUNDS as usize).copied().collect();
            next.estimated_downtime_ms = report.estimated_downtime_ms.or(next.estimated_downtime_ms);
            next.went_cold |= report.went_cold;
            next.downtime_ms = report.downtime_ms.or(next.downtime_ms);
            next.cancellable = next.state == MigrationState::Running && before_freeze(report.phase);
        }
        if report.ended && next.state == MigrationState::Running {
            if next.phase == MigrationPhase::Finishing {
                end(&mut next, MigrationState::Done);
            } else if next.source == *device {
                // The decision was told while a crash took what was not on disk yet.
                next.error.get_or_insert_with(|| "it was given up; why was lost in a crash".to_owned());
                end(&mut next, MigrationState::Failed);
            }
        }
        if next == *view {
            return Ok(None);
        }
        let has_ended = next.state != view.state;
        self.keep(&mut known, &tenant, next.clone())?;
        Ok(Some(Told { tenant, view: next, has_ended }))
    }

    /// The authority has decided.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn decided(&self, decided: &Decided) -> Result<Option<MigrationView>, StoreError> {
        let mut known = self.lock();
        let found = known.get(&(decided.tenant.clone(), decided.migration.clone()));
        let Some(view) = found.filter(|view| view.state == MigrationState::Running) else { return Ok(None) };
        let mut next = view.clone();
        next.cancellable = false;
        if decided.is_committed {
            next.phase = MigrationPhase::Finishing;
        } else {
            let reason =
                decided.reason.clone().unwrap_or_else(|| "one of the two devices gave up".to_owned());
            next.error = Some(reason.chars().take(MAX_REASON).collect());
            end(&mut next, MigrationState::Failed);
        }
        self.keep(&mut known, &decided.tenant, next.clone())?;
        Ok(Some(next))
    }

    fn keep(
        &self,
        known: &mut HashMap<Key, MigrationView>,
        tenant: &TenantSlug,
        view: MigrationView,
    ) -> Result<(), StoreError> {
        self.store.put_migration(&StoredMigration { tenant: tenant.clone(), view: view.clone() })?;
        known.insert((tenant.clone(), view.operation.clone()), view);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, MigrationView>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn before_freeze(phase: MigrationPhase) -> bool {
    matches!(phase, MigrationPhase::Preparing | MigrationPhase::Copying)
}

fn end(view: &mut MigrationView, state: MigrationState) {
    view.state = state;
    view.cancellable = false;
    view.ended_at = Some(unix_ms());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A device that makes up a long story of a move must not have it kept, nor sent to everybody.
    #[test]
    fn what_a_device_tells_of_a_move_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let moves = Moves::load(Store::open(folder.path()).unwrap()).unwrap();
        let view = json!({
            "operation": "m", "container": "c", "name": "c", "source": "a", "destination": "b", "mode": "cold",
            "bytes_per_second": null, "state": "running", "phase": "copying", "cancellable": true, "bytes_done": 0,
            "bytes_total": null, "phases": [], "downtime_ms": null, "started_at": 1, "ended_at": null, "error": null,
        });
        moves.add(&"acme".parse().unwrap(), serde_json::from_value(view).unwrap()).unwrap();
        let took = json!({ "phase": "copying", "milliseconds": 1, "bytes": 1 });
        let report = json!({
            "migration": "m", "phase": "sending", "bytes_done": 0, "bytes_total": null, "phases": vec![took; 10_000],
            "downtime_ms": null, "ended": false,
        });
        let report: MigrationReport = serde_json::from_value(report).unwrap();
        let told = moves.told(&"a".parse().unwrap(), &report).unwrap().unwrap();
        assert_eq!(told.view.phases.len(), MAX_PHASES);
    }
}

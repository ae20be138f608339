//! Which containers are being moved, so that nobody else touches them meanwhile, and nobody sees a copy that is not the
//! container yet. Pure bookkeeping behind a lock.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{ContainerId, OperationId},
};

/// This device's part in a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The container is here, still or already; orders about it are refused.
    Source(OperationId),
    /// A copy comes; it does not exist for anybody.
    Destination(OperationId),
}

/// The containers that are being moved.
#[derive(Debug, Default)]
pub struct Moving {
    parts: Mutex<HashMap<ContainerId, Part>>,
}

impl Moving {
    /// A move begins.
    ///
    /// # Errors
    /// `Conflict` while another one of the same container is not over here.
    pub fn begin(&self, container: &ContainerId, part: Part) -> Result<(), ApiError> {
        let mut parts = self.lock();
        match parts.get(container) {
            Some(known) if *known != part => Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "an earlier move of container {container} is not over on this device; try again in a moment"
                ),
            )),
            _ => {
                parts.insert(container.clone(), part);
                Ok(())
            }
        }
    }

    /// This move of it is over; a later one goes on.
    pub fn end(&self, container: &ContainerId, migration: &OperationId) {
        let mut parts = self.lock();
        if matches!(parts.get(container), Some(Part::Source(of) | Part::Destination(of)) if of == migration) {
            parts.remove(container);
        }
    }

    /// A copy that came has become the container, though its move is not over.
    pub fn reveal(&self, container: &ContainerId, migration: &OperationId) {
        let mut parts = self.lock();
        if let Some(part) = parts.get_mut(container)
            && *part == Part::Destination(migration.clone())
        {
            *part = Part::Source(migration.clone());
        }
    }

    /// Whether it is a copy that nobody may see.
    pub fn is_hidden(&self, container: &ContainerId) -> bool {
        matches!(self.lock().get(container), Some(Part::Destination(_)))
    }

    /// Refuses orders about a container that is being moved.
    ///
    /// # Errors
    /// `Conflict`.
    pub fn refuse_if_moving(&self, container: &ContainerId) -> Result<(), ApiError> {
        match self.lock().get(container) {
            Some(Part::Source(migration)) => Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "container {container} is being moved ({migration}); wait for the end, or cancel the move"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The moves that this device takes part in.
    pub fn migrations(&self) -> Vec<OperationId> {
        let parts = self.lock();
        let of = |part: &Part| match part {
            Part::Source(migration) | Part::Destination(migration) => migration.clone(),
        };
        parts.values().map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

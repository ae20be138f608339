//! Which containers are being moved or replaced, so that nobody else touches them meanwhile, and nobody sees a copy that is not the
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
    /// No move: an update replaces the container by another one with its id.
    Replaced(OperationId),
}

impl Part {
    fn operation(&self) -> &OperationId {
        let (Part::Source(operation) | Part::Destination(operation) | Part::Replaced(operation)) = self;
        operation
    }
}

fn being_replaced(container: &ContainerId) -> ApiError {
    ApiError::new(
        ErrorKind::Conflict,
        format!("container {container} is being updated; wait for the end of that"),
    )
}

/// The containers that are being moved or replaced.
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
            Some(Part::Replaced(_)) if !matches!(part, Part::Replaced(_)) => Err(being_replaced(container)),
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
        if parts.get(container).is_some_and(|part| part.operation() == migration) {
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

    /// Whether an update is replacing it: what the engine tells of it meanwhile is not its end.
    pub fn is_replaced(&self, container: &ContainerId) -> bool {
        matches!(self.lock().get(container), Some(Part::Replaced(_)))
    }

    /// Refuses orders about a container that is being moved or replaced.
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
            Some(Part::Replaced(_)) => Err(being_replaced(container)),
            _ => Ok(()),
        }
    }

    /// The moves that this device takes part in.
    pub fn migrations(&self) -> Vec<OperationId> {
        let parts = self.lock();
        let moves = parts.values().filter(|part| !matches!(part, Part::Replaced(_)));
        moves.map(|part| part.operation().clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

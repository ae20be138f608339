//! The authority's record of one container, and the only ways in which it may change. Whoever stores it
//! replaces the old value by the new one in one compare-and-set.

use ecep_proto::api::name::{DeviceId, OperationId};
use serde::{Deserialize, Serialize};

use super::Standing;

/// Who has a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// The device whose copy is the container.
    pub holder: DeviceId,
    /// Counts the moves, from 1. A copy of an older generation is not the container any more.
    pub generation: u64,
    /// The move that is under way.
    pub moving: Option<Move>,
}

/// A move that is not decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Move {
    /// The migration.
    pub migration: OperationId,
    /// Where the container would go.
    pub destination: DeviceId,
}

/// Why a move cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The container is elsewhere.
    #[error("the container is on device {0}, not on the one it was to be moved from; look at the list again")]
    Elsewhere(DeviceId),
    /// One at a time.
    #[error("migration {0} of this container is under way; wait for its end, or cancel it")]
    AlreadyMoving(OperationId),
    /// Nothing to do.
    #[error("the container is on that device already")]
    SameDevice,
}

impl Holding {
    /// A container that was just created on this device.
    pub fn new(holder: DeviceId) -> Self {
        Self { holder, generation: 1, moving: None }
    }

    /// The record once this move is under way. The same move again changes nothing.
    ///
    /// # Errors
    /// See [`BeginError`].
    pub fn begin(
        &self,
        migration: &OperationId,
        source: &DeviceId,
        destination: &DeviceId,
    ) -> Result<Self, BeginError> {
        if self.holder != *source {
            return Err(BeginError::Elsewhere(self.holder.clone()));
        }
        if source == destination {
            return Err(BeginError::SameDevice);
        }
        let moving = Move { migration: migration.clone(), destination: destination.clone() };
        match &self.moving {
            Some(other) if *other != moving => Err(BeginError::AlreadyMoving(other.migration.clone())),
            _ => Ok(Self { moving: Some(moving), ..self.clone() }),
        }
    }

    /// The record once the destination has the container. Without effect unless this move is under way and
    /// `by` is its destination.
    #[must_use]
    pub fn commit(&self, migration: &OperationId, by: &DeviceId) -> Self {
        match &self.moving {
            Some(moving) if moving.migration == *migration && moving.destination == *by => {
                Self { holder: by.clone(), generation: self.generation + 1, moving: None }
            }
            _ => self.clone(),
        }
    }

    /// The record once this move is given up. Without effect unless it is under way.
    #[must_use]
    pub fn abort(&self, migration: &OperationId) -> Self {
        match &self.moving {
            Some(moving) if moving.migration == *migration => Self { moving: None, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// What a device is told about its copy of that generation in that migration.
    pub fn standing(&self, migration: &OperationId, device: &DeviceId, generation: u64) -> Standing {
        let undecided = self.moving.as_ref().is_some_and(|moving| {
            let as_source = *device == self.holder && generation == self.generation;
            let as_destination = *device == moving.destination && generation == self.generation + 1;
            moving.migration == *migration && (as_source || as_destination)
        });
        if undecided {
            Standing::Pending
        } else if *device == self.holder && generation == self.generation {
            Standing::Holder
        } else {
            Standing::NotHolder
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> DeviceId {
        name.parse().expect("a good name")
    }

    fn migration(name: &str) -> OperationId {
        name.parse().expect("a good name")
    }

    /// Two moves of one container at once would make two destinations: the second must be refused.
    #[test]
    fn a_second_move_is_refused_while_one_is_under_way() {
        let (a, b, c) = (device("a"), device("b"), device("c"));
        let moving = Holding::new(a.clone()).begin(&migration("m1"), &a, &b).expect("begins");
        assert_eq!(moving.begin(&migration("m1"), &a, &b), Ok(moving.clone()), "the same order again");
        assert_eq!(moving.begin(&migration("m2"), &a, &c), Err(BeginError::AlreadyMoving(migration("m1"))));
        assert_eq!(moving.begin(&migration("m2"), &b, &c), Err(BeginError::Elsewhere(a.clone())));
        assert_eq!(Holding::new(a.clone()).begin(&migration("m"), &a, &a), Err(BeginError::SameDevice));
    }

    /// Whichever of commit and abort comes first must stand.
    #[test]
    fn the_first_decision_stands() {
        let (a, b) = (device("a"), device("b"));
        let m = migration("m");
        let moving = Holding::new(a.clone()).begin(&m, &a, &b).expect("begins");
        let committed = moving.commit(&m, &b);
        assert_eq!(committed.abort(&m), committed);
        assert_eq!(committed.standing(&m, &a, 1), Standing::NotHolder);
        assert_eq!(committed.standing(&m, &b, 2), Standing::Holder);
        let aborted = moving.abort(&m);
        assert_eq!(aborted.commit(&m, &b), aborted);
        assert_eq!(aborted.standing(&m, &a, 1), Standing::Holder);
        assert_eq!(aborted.standing(&m, &b, 2), Standing::NotHolder);
        assert_eq!(moving.commit(&m, &a), moving, "only the destination commits");
    }

    /// A → B → A: the copy that the first move left on A must not be taken for the one that came back.
    #[test]
    fn an_old_copy_is_not_the_one_that_came_back() {
        let (a, b) = (device("a"), device("b"));
        let there = Holding::new(a.clone()).begin(&migration("m1"), &a, &b).expect("begins");
        let there = there.commit(&migration("m1"), &b);
        let back = there.begin(&migration("m2"), &b, &a).expect("begins").commit(&migration("m2"), &a);
        assert_eq!(back.standing(&migration("m1"), &a, 1), Standing::NotHolder);
        assert_eq!(back.standing(&migration("m2"), &a, 3), Standing::Holder);
    }
}

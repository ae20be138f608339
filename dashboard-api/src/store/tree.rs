//! A sled tree that is changed only through the gate, and transactions over several.
//!
//! Must not know what the rows mean.

use std::{ops::RangeBounds, sync::Arc};

use sled::{
    IVec,
    transaction::{ConflictableTransactionResult, TransactionalTree},
};

use super::{StoreError, gate::Gate};

/// A tree. Clones share it.
#[derive(Clone)]
pub(super) struct Tree {
    sled: sled::Tree,
    gate: Arc<Gate>,
}

impl Tree {
    pub(super) fn open(db: &sled::Db, gate: &Arc<Gate>, name: &str) -> Result<Self, StoreError> {
        Ok(Self { sled: db.open_tree(name)?, gate: Arc::clone(gate) })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<IVec>, StoreError> {
        Ok(self.sled.get(key)?)
    }

    pub(super) fn insert(&self, key: &str, row: Vec<u8>) -> Result<(), StoreError> {
        self.gate.change(|| self.sled.insert(key, row))?;
        Ok(())
    }

    /// Whether there was such a row.
    pub(super) fn remove(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.gate.change(|| self.sled.remove(key))?.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sled.is_empty()
    }

    pub(super) fn iter(&self) -> sled::Iter {
        self.sled.iter()
    }

    pub(super) fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> sled::Iter {
        self.sled.range(keys)
    }

    pub(super) fn scan_prefix(&self, prefix: &str) -> sled::Iter {
        self.sled.scan_prefix(prefix)
    }

    /// A transaction over this tree alone; as [`Transactional::transaction`].
    pub(super) fn transaction<A>(
        &self,
        change: impl Fn(&TransactionalTree) -> ConflictableTransactionResult<A, StoreError>,
    ) -> Result<A, StoreError> {
        self.gate.change(|| self.sled.transaction(change))
    }
}

/// Trees that are changed together: all of it happens, or nothing.
pub(super) trait Transactional {
    /// The trees inside the transaction.
    type Within;

    /// Runs the change, more than once if another one comes in between. An error of it undoes everything.
    fn transaction<A>(
        &self,
        change: impl Fn(&Self::Within) -> ConflictableTransactionResult<A, StoreError>,
    ) -> Result<A, StoreError>;
}

/// The same type for each index.
macro_rules! for_each {
    ($index:tt, $type:ty) => {
        $type
    };
}

macro_rules! transactional {
    ($($index:tt),+) => {
        impl Transactional for ($(for_each!($index, &Tree),)+) {
            type Within = ($(for_each!($index, TransactionalTree),)+);

            fn transaction<A>(
                &self,
                change: impl Fn(&Self::Within) -> ConflictableTransactionResult<A, StoreError>,
            ) -> Result<A, StoreError> {
                self.0.gate.change(|| sled::Transactional::transaction(&($(&self.$index.sled,)+), change))
            }
        }
    };
}

transactional!(0, 1);
transactional!(0, 1, 2);
transactional!(0, 1, 2, 3);
transactional!(0, 1, 2, 3, 4);
transactional!(0, 1, 2, 3, 4, 5);
transactional!(0, 1, 2, 3, 4, 5, 6);
transactional!(0, 1, 2, 3, 4, 5, 6, 7);
transactional!(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

//! A typed table: a sled tree whose keys are text and whose values are JSON.

use std::{marker::PhantomData, ops::Bound, str, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use sled::transaction::{
    ConflictableTransactionError, ConflictableTransactionResult, TransactionError, TransactionalTree,
};

use super::{StoreError, gate::Gate, tree::Tree};

/// One table.
pub(super) struct Table<T> {
    pub(super) tree: Tree,
    name: &'static str,
    rows: PhantomData<fn() -> T>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { tree: self.tree.clone(), name: self.name, rows: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    pub(super) fn open(db: &sled::Db, gate: &Arc<Gate>, name: &'static str) -> Result<Self, StoreError> {
        Ok(Self { tree: Tree::open(db, gate, name)?, name, rows: PhantomData })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.tree.get(key)?.map(|bytes| self.decode(key.as_bytes(), &bytes)).transpose()
    }

    pub(super) fn put(&self, key: &str, row: &T) -> Result<(), StoreError> {
        self.tree.insert(key, self.encode(key, row)?)
    }

    /// Whether there was such a row.
    pub(super) fn remove(&self, key: &str) -> Result<bool, StoreError> {
        self.tree.remove(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// All rows, by key.
    pub(super) fn rows(&self) -> Result<Vec<(String, T)>, StoreError> {
        self.decoded(self.tree.iter())
    }

    /// At most `limit` rows behind the key `after`, by key; and whether there are more.
    pub(super) fn page(&self, after: &str, limit: usize) -> Result<(Vec<(String, T)>, bool), StoreError> {
        let behind = (Bound::Excluded(after.as_bytes()), Bound::Unbounded);
        let mut rows = self.decoded(self.tree.range::<&[u8]>(behind).take(limit.saturating_add(1)))?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        Ok((rows, more))
    }

    /// Changes the row of this key in one step, if there is one; gives the changed one.
    pub(super) fn change(&self, key: &str, change: impl Fn(&mut T)) -> Result<Option<T>, StoreError> {
        let changed = self.tree.transaction(|tree| {
            let within = self.within(tree);
            let Some(mut row) = within.get(key)? else { return Ok(None) };
            change(&mut row);
            within.put(key, &row)?;
            Ok(Some(row))
        })?;
        Ok(changed)
    }

    /// The rows whose keys begin so, by key.
    pub(super) fn rows_under(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        self.decoded(self.tree.scan_prefix(prefix))
    }

    /// The keys that begin so, in order.
    pub(super) fn keys_under(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let keys = self.tree.scan_prefix(prefix).keys();
        keys.map(|key| Ok(String::from_utf8_lossy(&key?).into_owned())).collect()
    }

    /// How many rows have keys that begin so.
    pub(super) fn count_under(&self, prefix: &str) -> usize {
        self.tree.scan_prefix(prefix).keys().count()
    }

    /// Deletes the rows that are not to be kept.
    pub(super) fn retain(&self, keep: impl Fn(&T) -> bool) -> Result<(), StoreError> {
        for (key, row) in self.rows()? {
            if !keep(&row) {
                self.tree.remove(&key)?;
            }
        }
        Ok(())
    }

    fn decoded(
        &self,
        rows: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
    ) -> Result<Vec<(String, T)>, StoreError> {
        rows.map(|row| {
            let (key, bytes) = row?;
            let decoded = self.decode(&key, &bytes)?;
            Ok((String::from_utf8_lossy(&key).into_owned(), decoded))
        })
        .collect()
    }

    fn encode(&self, key: &str, row: &T) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(row).map_err(|error| StoreError::Row {
            table: self.name,
            key: key.to_owned(),
            error,
        })
    }

    pub(super) fn decode(&self, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| StoreError::Row {
            table: self.name,
            key: str::from_utf8(key).unwrap_or("(not text)").to_owned(),
            error,
        })
    }

    /// The table inside a transaction.
    pub(super) fn within<'a>(&'a self, tree: &'a TransactionalTree) -> TableWithin<'a, T> {
        TableWithin { table: self, tree }
    }
}

/// A table inside a transaction. An error of ours aborts it, and nothing is changed.
pub(super) struct TableWithin<'a, T> {
    table: &'a Table<T>,
    tree: &'a TransactionalTree,
}

impl<T: Serialize + DeserializeOwned> TableWithin<'_, T> {
    pub(super) fn get(&self, key: &str) -> ConflictableTransactionResult<Option<T>, StoreError> {
        match self.tree.get(key)? {
            Some(bytes) => self.table.decode(key.as_bytes(), &bytes).map(Some).map_err(abort),
            None => Ok(None),
        }
    }

    pub(super) fn put(&self, key: &str, row: &T) -> ConflictableTransactionResult<(), StoreError> {
        self.tree.insert(key, self.table.encode(key, row).map_err(abort)?)?;
        Ok(())
    }

    /// Adds a row; `conflict` says what is wrong if the key is taken.
    pub(super) fn add(
        &self,
        key: &str,
        row: &T,
        conflict: impl FnOnce() -> String,
    ) -> ConflictableTransactionResult<(), StoreError> {
        if self.tree.get(key)?.is_some() {
            return Err(abort(StoreError::Conflict(conflict())));
        }
        self.put(key, row)
    }

    pub(super) fn remove(&self, key: &str) -> ConflictableTransactionResult<bool, StoreError> {
        Ok(self.tree.remove(key)?.is_some())
    }
}

pub(super) fn abort(error: StoreError) -> ConflictableTransactionError<StoreError> {
    ConflictableTransactionError::Abort(error)
}

impl From<TransactionError<StoreError>> for StoreError {
    fn from(error: TransactionError<StoreError>) -> Self {
        match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => StoreError::Sled(error),
        }
    }
}

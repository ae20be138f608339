//! Orders over HTTP that carry a key, and what they were answered, so that the same order sent again is not done again.
//!
//! A row is on disk before the order is begun, and gets its answer afterwards. A row without an answer is therefore an order
//! of which nobody knows whether it was done: the program was killed in the middle of it.

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, table::Table};

/// How long an answer is kept: a day, by when every retry has ended.
pub const KEEP_ORDERS_MS: u64 = 24 * 60 * 60 * 1_000;
/// Orders that are kept of one actor. Policy: the oldest is forgotten.
const MAX_ORDERS_OF_AN_ACTOR: usize = 500;

/// An order with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// When it was begun, in milliseconds since 1970.
    pub at: u64,
    /// SHA-256 of its key, method, path and body.
    pub request: String,
    /// What it was answered; none while nobody knows.
    pub answer: Option<OrderAnswer>,
}

/// What an order was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderAnswer {
    /// The status.
    pub status: u16,
    /// The body, or none where it held a secret: secrets are kept as hashes alone.
    pub body: Option<String>,
    /// The id of what was made.
    pub made: Option<String>,
}

/// The rows, by `<actor>/<hash of the key>`.
pub(super) type Orders = Table<Order>;

fn key_of(actor: &str, key: &str) -> String {
    format!("{actor}/{key}")
}

impl Store {
    /// The actor's order of this key.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn order(&self, actor: &str, key: &str) -> Result<Option<Order>, StoreError> {
        self.orders.get(&key_of(actor, key))
    }

    /// The keys of the actor's orders.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn order_keys(&self, actor: &str) -> Result<Vec<String>, StoreError> {
        let prefix = format!("{actor}/");
        let rows = self.orders.rows_under(&prefix)?.into_iter();
        Ok(rows.filter_map(|(key, _)| key.strip_prefix(&prefix).map(str::to_owned)).collect())
    }

    /// Keeps an order, as begun or as answered.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_order(&self, actor: &str, key: &str, order: &Order) -> Result<(), StoreError> {
        let key = key_of(actor, key);
        if self.orders.get(&key)?.is_none() {
            let mut others = self.orders.rows_under(&format!("{actor}/"))?;
            others.sort_by_key(|(_, order)| order.at);
            let too_many = (others.len() + 1).saturating_sub(MAX_ORDERS_OF_AN_ACTOR);
            for (old, _) in others.into_iter().take(too_many) {
                self.orders.remove(&old)?;
            }
        }
        self.orders.put(&key, order)?;
        self.flush().await
    }

    /// Forgets an order that was refused: nothing was done, and it may be sent again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_order(&self, actor: &str, key: &str) -> Result<(), StoreError> {
        self.orders.remove(&key_of(actor, key))?;
        self.flush().await
    }

    /// Forgets orders that were begun before this time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_orders(&self, before: u64) -> Result<(), StoreError> {
        self.orders.retain(|order| order.at >= before)?;
        self.flush().await
    }
}

//! All rows of a store at one moment, as text: what copies, migrations and the check work on.
//!
//! A fleet of ten thousand containers has some ten megabytes of them. Must not know what the rows mean.

use std::{collections::BTreeMap, str};

use super::StoreError;

/// The tree that sled makes by itself.
const SLEDS_OWN: &[u8] = b"__sled__default";
/// The table of what is about the store itself.
const META: &str = "meta";
/// The row of it that holds the layout's version.
const SCHEMA: &str = "schema";

/// One table: its rows by key.
pub type Rows = BTreeMap<String, String>;

/// The tables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(pub BTreeMap<String, Rows>);

impl Tables {
    /// Reads everything. Whoever needs one moment keeps the store still meanwhile.
    pub(super) fn read(db: &sled::Db) -> Result<Self, StoreError> {
        let mut tables = BTreeMap::new();
        for name in db.tree_names().into_iter().filter(|name| name != SLEDS_OWN) {
            let table = text("(names)", &name)?;
            let mut rows = Rows::new();
            for row in db.open_tree(&name)?.iter() {
                let (key, row) = row?;
                rows.insert(text(&table, &key)?, text(&table, &row)?);
            }
            tables.insert(table, rows);
        }
        Ok(Self(tables))
    }

    /// Writes all of it into an empty sled, and waits for sled.
    pub(super) fn write(&self, db: &sled::Db) -> Result<(), StoreError> {
        for (name, rows) in &self.0 {
            let tree = db.open_tree(name)?;
            for (key, row) in rows {
                tree.insert(key, row.as_str())?;
            }
        }
        db.flush()?;
        Ok(())
    }

    /// The layout's version, if the store has one: an empty store has none.
    ///
    /// # Errors
    /// `Damaged` if it is no number, or there are rows without it.
    pub fn schema(&self) -> Result<Option<u64>, StoreError> {
        let damaged =
            |what: &str| StoreError::Damaged(format!("meta/schema: {what}. Restore the last backup."));
        match self.rows(META).get(SCHEMA) {
            Some(text) => match text.parse() {
                Ok(schema) if schema > 0 => Ok(Some(schema)),
                _ => Err(damaged(&format!("the schema's version is {text:?}"))),
            },
            None if self.0.values().all(Rows::is_empty) => Ok(None),
            None => Err(damaged("the store holds rows but not the schema's version")),
        }
    }

    pub(super) fn set_schema(&mut self, schema: u64) {
        self.rows_mut(META).insert(SCHEMA.to_owned(), schema.to_string());
    }

    /// The rows of a table; none of one that is not there.
    pub fn rows(&self, table: &str) -> &Rows {
        static NONE: Rows = Rows::new();
        self.0.get(table).unwrap_or(&NONE)
    }

    /// The rows of a table, made if it is not there.
    pub fn rows_mut(&mut self, table: &str) -> &mut Rows {
        self.0.entry(table.to_owned()).or_default()
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.0.values().map(Rows::len).sum()
    }
}

fn text(table: &str, bytes: &[u8]) -> Result<String, StoreError> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        StoreError::Damaged(format!(
            "{table}: a key or row is not text ({start:?}). Restore the last backup."
        ))
    })
}

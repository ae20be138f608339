//! The chain of changes from each layout of the tables to the next. Pure: rows in, rows out.
//!
//! Whoever changes the tables in a way that `serde(default)` does not cover adds a step at the end of [`STEPS`], and
//! never changes one that was released. A step is applied once; a crash before the end of all of them leaves the
//! store as it was.

use serde_json::Value;

use super::{StoreError, tables::Tables};

/// Changes the rows of one layout into those of the next.
type Step = fn(&mut Tables) -> Result<(), StoreError>;

/// The first leads from version 1 to version 2, and so on.
const STEPS: [Step; 1] = [from_1];

/// The layout that this program reads and writes.
pub const SCHEMA_VERSION: u64 = 1 + STEPS.len() as u64;

/// Brings the rows of an older layout to the present one.
///
/// # Errors
/// `Schema` for a layout that is newer than the program, `Damaged` for a row that cannot be read.
pub fn migrate(tables: &mut Tables, from: u64) -> Result<(), StoreError> {
    if from == 0 || from > SCHEMA_VERSION {
        return Err(StoreError::Schema { found: from });
    }
    for (version, step) in (1..).zip(STEPS).filter(|(version, _)| *version >= from) {
        step(tables)?;
        tables.set_schema(version + 1);
    }
    Ok(())
}

/// Placements say always by which move their holder got them. In the first days they did not.
fn from_1(tables: &mut Tables) -> Result<(), StoreError> {
    each_row(tables, "placements", |row| {
        row.entry("came_by").or_insert(Value::Null);
    })
}

fn each_row(
    tables: &mut Tables,
    table: &str,
    change: impl Fn(&mut serde_json::Map<String, Value>),
) -> Result<(), StoreError> {
    for (key, row) in tables.rows_mut(table) {
        let mut read: serde_json::Map<String, Value> = serde_json::from_str(row).map_err(|error| {
            StoreError::Damaged(format!(
                "{table}/{key}: the row cannot be read: {error}. Restore the last backup."
            ))
        })?;
        change(&mut read);
        *row = Value::Object(read).to_string();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step must touch what it is about and nothing else, and a second run of the chain nothing at all.
    #[test]
    fn the_first_step_fills_in_what_placements_lacked() {
        let mut tables = Tables::default();
        tables.set_schema(1);
        tables.rows_mut("placements").insert("a".into(), r#"{"since":1}"#.into());
        tables.rows_mut("placements").insert("b".into(), r#"{"came_by":"m1","since":2}"#.into());
        tables.rows_mut("networks").insert("acme".into(), "7".into());
        migrate(&mut tables, 1).unwrap();
        assert_eq!(tables.schema().unwrap(), Some(SCHEMA_VERSION));
        assert_eq!(tables.rows("placements")["a"], r#"{"came_by":null,"since":1}"#);
        assert_eq!(tables.rows("placements")["b"], r#"{"came_by":"m1","since":2}"#);
        assert_eq!(tables.rows("networks")["acme"], "7");
        let once = tables.clone();
        migrate(&mut tables, SCHEMA_VERSION).unwrap();
        assert_eq!(tables, once);
    }

    /// A layout that nobody knows must not be taken for one that is known.
    #[test]
    fn unknown_layouts_are_refused() {
        for found in [0, SCHEMA_VERSION + 1] {
            let refused = migrate(&mut Tables::default(), found).unwrap_err();
            assert!(matches!(refused, StoreError::Schema { found: told } if told == found), "{refused}");
        }
    }
}

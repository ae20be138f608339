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
const STEPS: [Step; 2] = [from_1, from_2];

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

/// Applications, artifacts and runs came. Rows of before are as they were, but what a device last told says of each container which version
/// it is of and whether it runs once; and an older program, which would leave a deleted tenant's artifacts behind, is kept out.
fn from_2(tables: &mut Tables) -> Result<(), StoreError> {
    each_row(tables, "reports", |row| {
        let containers = row.get_mut("containers").and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(|one| one.get_mut("container")?.as_object_mut()) {
            container.entry("version").or_insert(Value::Null);
            container.entry("run_once").or_insert(Value::Bool(false));
        }
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

    /// Containers that were reported before there were versions are of none, and go on for good.
    #[test]
    fn the_second_step_fills_in_what_containers_lacked() {
        let mut tables = Tables::default();
        tables.set_schema(2);
        let report = r#"{"at":1,"containers":[{"tenant":"acme","container":{"id":"c1"}},{"tenant":"acme","container":{"id":"c2","run_once":true}}]}"#;
        tables.rows_mut("reports").insert("edge".into(), report.into());
        migrate(&mut tables, 2).unwrap();
        let row: Value = serde_json::from_str(&tables.rows("reports")["edge"]).unwrap();
        assert_eq!(row["containers"][0]["container"]["run_once"], false);
        assert_eq!(row["containers"][0]["container"]["version"], Value::Null);
        assert_eq!(row["containers"][1]["container"]["run_once"], true);
        assert_eq!(tables.schema().unwrap(), Some(SCHEMA_VERSION));
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

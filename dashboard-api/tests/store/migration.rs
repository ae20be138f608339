//! An older layout.

use std::{path::Path, time::Duration};

use ecep_dashboard_api::{
    secret::SecretHash,
    store::{Archive, SCHEMA_VERSION, Store, StoreError, restore},
};

use crate::{assert_sound, backup, free, of_version_1, support::program::Program, write};

/// Every row of the old store must be there, and readable, in the new one.
fn assert_all_there(data: &Path) {
    let old = of_version_1();
    let new = backup(data);
    for (table, rows) in &old.tables.0 {
        let found = new.tables.rows(table);
        assert!(rows.keys().all(|key| found.contains_key(key)), "{table}: {rows:?} became {found:?}");
    }
    assert_eq!(new.tables.schema().unwrap(), Some(SCHEMA_VERSION));
    assert_sound(data);
}

/// A store that the first version wrote is opened with everything in it, and the old one stays beside it.
#[tokio::test]
async fn a_store_of_version_1_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write(&of_version_1().tables, folder.path());
    let store = Store::open(folder.path()).unwrap();
    let maria = store.account_of_email("maria@example.org").unwrap().unwrap();
    assert!(maria.admin && store.memberships(&maria.id).unwrap().len() == 2);
    assert!(store.session(SecretHash::of("cookie")).unwrap().is_some());
    let device = store.devices().unwrap().remove(0);
    assert_eq!(store.report(&device.id).unwrap().unwrap().containers.len(), 1);
    let acme = "acme".parse().unwrap();
    assert_eq!(store.join_tokens(&acme).unwrap().len(), 1);
    assert_eq!(store.api_tokens(&acme).unwrap().len(), 1);
    assert_eq!(store.placements().unwrap().len(), 2);
    assert_eq!(store.known_network_number(&acme).unwrap(), Some(0));
    assert_eq!(store.migrations().unwrap().len(), 1);
    assert_eq!(store.last_generation(&"gone".parse().unwrap()).unwrap(), Some(3));
    assert!(store.key("grant", || unreachable!()).unwrap().starts_with("AAEC"));
    assert!(folder.path().join("store.before-migration/db").exists());
}

/// Whenever it is cut short, the next start finds the one store or the other.
#[test]
fn a_migration_that_is_cut_short_loses_nothing() {
    let old = of_version_1().tables;
    let new = {
        let folder = tempfile::tempdir().unwrap();
        write(&old, folder.path());
        drop(Store::open(folder.path()).unwrap());
        free(folder.path());
        backup(folder.path()).tables
    };
    type Names = [(&'static str, bool); 3];
    let cases: [Names; 3] = [
        // While the new one was written; before the two changed places; and half way of that.
        [("store", false), ("store.new", false), ("store.before-migration", false)],
        [("store", false), ("store.new", true), ("", false)],
        [("store.before-migration", false), ("store.new", true), ("", false)],
    ];
    for names in cases {
        let folder = tempfile::tempdir().unwrap();
        for (name, is_new) in names.into_iter().filter(|(name, _)| !name.is_empty()) {
            let made = tempfile::tempdir().unwrap();
            write(if is_new { &new } else { &old }, made.path());
            std::fs::rename(made.path().join("store"), folder.path().join(name)).unwrap();
            if name == "store.new" && !is_new {
                std::fs::File::options()
                    .write(true)
                    .open(folder.path().join(name).join("db"))
                    .unwrap()
                    .set_len(100)
                    .unwrap();
            }
        }
        drop(Store::open(folder.path()).unwrap());
        free(folder.path());
        assert_all_there(folder.path());
        assert!(!folder.path().join("store.new").exists(), "{names:?}");
    }
}

/// The same, with the real program and a real SIGKILL at any moment of its start.
#[test]
fn a_kill_during_the_migration_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for number in 0..10 {
        let _ = std::fs::remove_dir_all(&data);
        write(&of_version_1().tables, &data);
        let mut child = Program::command(folder.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(number * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        Program::start(folder.path()).kill();
        assert_all_there(&data);
    }
}

/// A backup that an older program took is brought to the present layout; logins are left out.
#[test]
fn a_backup_of_version_1_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    restore(of_version_1(), &data).unwrap();
    free(&data);
    let mut old: Archive = of_version_1();
    old.tables.0.remove("sessions");
    let new = backup(&data);
    let keys = |archive: &Archive| {
        archive
            .tables
            .0
            .iter()
            .map(|(name, rows)| (name.clone(), rows.keys().cloned().collect::<Vec<_>>()))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&new), keys(&old));
    assert_sound(&data);
}

/// What a newer program wrote must be refused, not misread; nor is anything changed.
#[test]
fn a_newer_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut newer = of_version_1().tables;
    newer.rows_mut("meta").insert("schema".into(), (SCHEMA_VERSION + 1).to_string());
    write(&newer, folder.path());
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, StoreError::Schema { found } if found == SCHEMA_VERSION + 1), "{refused}");
    free(folder.path());
    assert_eq!(backup(folder.path()).tables, newer);
}

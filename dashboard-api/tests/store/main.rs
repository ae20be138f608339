//! The store as whoever runs the platform meets it: brought to a new layout, checked, backed up and put back, and on a
//! full disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod check;
mod full_disk;
mod killed;
mod migration;
mod uploads;

use std::{fs::File, io::BufReader, path::Path};

use ecep_dashboard_api::store::{Archive, Tables};
use support::program::run;

/// A store as version 1 of the layout had it: text, never to be changed.
fn of_version_1() -> Archive {
    Archive::read(include_bytes!("schema-1.jsonl").as_slice()).unwrap()
}

/// Puts these rows into a data folder, as an earlier program would have left them.
fn write(tables: &Tables, data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let db = sled::open(data.join("store")).unwrap();
    for (name, rows) in &tables.0 {
        let tree = db.open_tree(name).unwrap();
        for (key, row) in rows {
            tree.insert(key, row.as_str()).unwrap();
        }
    }
    db.flush().unwrap();
    drop(db);
    free(data);
}

/// Waits until nobody holds a store that was closed in this process: sled's threads let go of it in their own time, and so does a child
/// that another test was starting meanwhile.
fn free(data: &Path) {
    for name in ["lock", "store/db"] {
        let Ok(file) = File::open(data.join(name)) else { continue };
        file.lock().unwrap();
        file.unlock().unwrap();
    }
}

/// Takes a backup by the program and reads it.
fn backup(data: &Path) -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let (done, said) = run(&["backup", "--to", file.to_str().unwrap()], data);
    assert!(done, "{said}");
    Archive::read(BufReader::new(File::open(file).unwrap())).unwrap()
}

/// What `check` says must be that all is well.
fn assert_sound(data: &Path) {
    let (sound, said) = run(&["check"], data);
    assert!(sound && said.contains("all fit together"), "{said}");
}

//! The store as a whole: brought to the present layout when it is opened, copied while it runs or stands still, and
//! put back.
//!
//! Must not know what the rows mean, nor who asks.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{
    Store, StoreError,
    archive::Archive,
    check::{Finding, check, missing_bytes},
    folder::Folder,
    migrations::{SCHEMA_VERSION, migrate},
    tables::Tables,
};
use crate::{artifacts, clock::unix_ms};

/// Files of the data folder without which a restored control plane would shut out its devices.
pub const SAVED_FILES: [&str; 2] = ["channel-ca.pem", "channel-ca.key"];
/// What else lies in the data folder: it is made anew, or belongs to one run. `stats` are gigabytes of the past, and
/// `files` and `inbox` gigabytes of what devices brought, which nothing needs to go on. `uploads` go on by themselves; `artifacts`
/// are gigabytes that are copied as files, since they never change.
pub const LEFT_OUT: [&str; 10] = [
    "store",
    "store.before-migration",
    "lock",
    "admin.sock",
    "setup-code",
    "stats",
    "files",
    "inbox",
    "uploads",
    "artifacts",
];
/// The table of logins. They are not restored: one that was ended since would open the door again.
const SESSIONS: &str = "sessions";

impl Store {
    /// A copy of everything at one moment; changes wait meanwhile.
    ///
    /// # Errors
    /// `Folder`, `Damaged` or `Sled` of [`StoreError`].
    pub fn copy(&self) -> Result<Archive, StoreError> {
        let tables = self.gate.still(|| Tables::read(&self.db))?;
        copy(&self.folder, tables)
    }
}

/// The store of a control plane that does not run, as it lies there.
pub struct Stopped {
    folder: Folder,
    db: sled::Db,
}

impl Stopped {
    /// Opens it and changes nothing.
    ///
    /// # Errors
    /// `Folder`, `InUse`, `HalfRestored`, `Damaged` where there is none, or `Sled` of [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let none = || StoreError::Damaged(format!("There is no store in {}.", folder.display()));
        if !folder.is_dir() {
            return Err(none());
        }
        let opened = Folder::open(folder)?;
        if !opened.has_store() {
            return Err(none());
        }
        let db = opened.open_store()?;
        Ok(Self { folder: opened, db })
    }

    /// A copy of everything.
    ///
    /// # Errors
    /// `Folder`, `Damaged` or `Sled` of [`StoreError`].
    pub fn copy(&self) -> Result<Archive, StoreError> {
        copy(&self.folder, Tables::read(&self.db)?)
    }

    /// What does not fit together, as the next start would find it; and how many rows there are.
    ///
    /// # Errors
    /// `Damaged`, `Schema` or `Sled` of [`StoreError`].
    pub fn check(&self) -> Result<(usize, Vec<Finding>), StoreError> {
        let mut tables = Tables::read(&self.db)?;
        if let Some(schema) = tables.schema()? {
            migrate(&mut tables, schema)?;
        }
        let mut findings = check(&tables, unix_ms());
        let folder = self.folder.path();
        findings.extend(missing_bytes(&tables, |artifact| artifacts::is_there(folder, artifact)));
        Ok((tables.count(), findings))
    }

    /// Removes one row; whether it was there.
    ///
    /// # Errors
    /// [`StoreError::Sled`].
    pub fn remove(&self, table: &str, key: &str) -> Result<bool, StoreError> {
        let names = self.db.tree_names();
        if !names.iter().any(|name| name == table.as_bytes()) {
            return Ok(false);
        }
        let was_there = self.db.open_tree(table)?.remove(key)?.is_some();
        self.db.flush()?;
        Ok(was_there)
    }
}

fn copy(folder: &Folder, mut tables: Tables) -> Result<Archive, StoreError> {
    if tables.schema()?.is_none() {
        return Err(StoreError::Damaged("The store is empty: it was never started.".to_owned()));
    }
    tables.0.retain(|_, rows| !rows.is_empty());
    let mut files = BTreeMap::new();
    for name in SAVED_FILES {
        match fs::read_to_string(folder.path().join(name)) {
            Ok(text) => drop(files.insert(name.to_owned(), text)),
            // It was never started.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(folder.failed(error)),
        }
    }
    Ok(Archive { tables, files, made_at: unix_ms() })
}

/// Puts a backup into an empty folder. An older layout is brought to the present one.
///
/// # Errors
/// `NotEmpty`, `InUse`, `Schema`, `Damaged`, `Folder` or `Sled` of [`StoreError`]; the folder is empty then.
pub fn restore(archive: Archive, folder: &Path) -> Result<(), StoreError> {
    let Archive { mut tables, files, .. } = archive;
    let schema = tables.schema()?.unwrap_or_default();
    migrate(&mut tables, schema)?;
    tables.0.remove(SESSIONS);
    if let Some(unknown) = files.keys().find(|name| !SAVED_FILES.contains(&name.as_str())) {
        return Err(StoreError::Damaged(format!(
            "The backup holds a file {unknown:?} that belongs to no backup."
        )));
    }
    let folder = Folder::open_empty(folder)?;
    let done = fill(&folder, &tables, &files);
    if done.is_err() {
        // What went wrong is told; what is left would only stand in the way of the next try.
        for name in SAVED_FILES {
            let _ = fs::remove_file(folder.path().join(name));
        }
        let _ = folder.discard();
    }
    done
}

fn fill(folder: &Folder, tables: &Tables, files: &BTreeMap<String, String>) -> Result<(), StoreError> {
    folder.make(|db| tables.write(db))?;
    for (name, text) in files {
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.path().join(name));
        let written =
            written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| folder.failed(error))?;
    }
    folder.place()
}

/// Opens the store in its present layout. The old one is kept beside it.
pub(super) fn open_migrated(folder: &Folder) -> Result<sled::Db, StoreError> {
    let db = folder.open_store()?;
    let mut tables = Tables::read(&db)?;
    match tables.schema()? {
        Some(SCHEMA_VERSION) => Ok(db),
        Some(found) => {
            migrate(&mut tables, found)?;
            folder.make(|new| tables.write(new))?;
            folder.replace(db)?;
            tracing::info!(
                from = found,
                to = SCHEMA_VERSION,
                "the store was brought to the present layout; the old one is kept as store.before-migration"
            );
            folder.open_store()
        }
        None => {
            tables.set_schema(SCHEMA_VERSION);
            tables.write(&db)?;
            Ok(db)
        }
    }
}

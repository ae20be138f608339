//! What the control plane must not forget: one typed store over sled.
//!
//! Owns the tables, the schema's version and every invariant between tables; a change that touches several is
//! one transaction, so a crash leaves all of it or nothing. A method that changes something returns once the
//! change is on disk. Secrets are here only as hashes, but for the environment variables that devices need. Must not know HTTP or
//! WAMP.
//!
//! sled answers from its cache and its calls are short, so they run on the async threads; only the wait for the
//! disk is awaited. The data folder is locked: a second process on the same data is refused.

mod accounts;
mod alerts;
mod applications;
mod archive;
mod artifacts;
pub mod audit;
mod backup;
mod check;
mod devices;
mod disk;
mod folder;
mod gate;
mod invitations;
mod members;
mod migrations;
pub mod orders;
mod placements;
mod records;
mod runs;
mod sessions;
mod stored_files;
mod table;
mod tables;
mod tenants;
mod tokens;
mod tree;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ecep_proto::api::roles::Role;

pub use alerts::StoredAlert;
pub use applications::{Application, StoredDeployment, Version};
pub use archive::{Archive, ArchiveError, write_error};
pub use artifacts::{Artifact, DELIVER_WITHIN_MS, Delivery, KEEP_UPLOADS_MS, Upload, UploadEnd};
pub use backup::{LEFT_OUT, SAVED_FILES, Stopped, restore};
pub use check::{Finding, Remedy, check, missing_bytes};
pub use devices::{Enrolment, Rotation};
pub use gate::{Health, KEEP_FREE_BYTES};
pub use invitations::Acceptance;
pub use migrations::SCHEMA_VERSION;
pub use placements::{Gone, Placement, StoredMigration};
pub use records::{Account, ApiToken, Device, Invitation, JoinToken, LastReport, Session, Share, Tenant};
pub use runs::{MAX_RUNS_OF_A_TENANT, StoredRun};
pub use stored_files::StoredRow;
pub use tables::{Rows, Tables};

use disk::Disk;
use folder::Folder;
use gate::Gate;
use table::Table;

use crate::clock::unix_ms;

/// A flush that takes longer is asked whether it will ever end: sled tells not everybody that waits of a failed write.
const ASK_AFTER: Duration = Duration::from_secs(2);

/// Why the store could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {error}. It must be a folder that this user may write, on a disk with room.", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another process has the store open.
    #[error("the data folder {} is in use by another process; stop that one first, or choose another folder with --data", folder.display())]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// The data folder must be empty for a restore.
    #[error("the data folder {} holds {} already; restore into an empty folder", folder.display(), name.display())]
    NotEmpty {
        /// Which.
        folder: PathBuf,
        /// What is in it.
        name: PathBuf,
    },
    /// A restore was cut short.
    #[error("a restore into {} was cut short; empty the folder and restore again", folder.display())]
    HalfRestored {
        /// Which.
        folder: PathBuf,
    },
    /// The store was written by a newer version of this program.
    #[error(
        "the store has schema version {found}, this program knows {SCHEMA_VERSION}; run the version that wrote it"
    )]
    Schema {
        /// What was found.
        found: u64,
    },
    /// What is stored does not fit together; a sentence for each.
    #[error("the store is damaged:\n{0}")]
    Damaged(String),
    /// The disk is nearly full.
    #[error("the disk of {} is full: fewer than {} MiB are free. Nothing was changed; make room and try again.", folder.display(), KEEP_FREE_BYTES >> 20)]
    Full {
        /// The data folder.
        folder: PathBuf,
    },
    /// sled failed before; it takes no more changes.
    #[error(
        "the store takes no more changes since a write failed: {why}. See to the disk, then start the control plane again."
    )]
    Failed {
        /// What the system said.
        why: String,
    },
    /// sled failed: disk full, disk broken, files damaged.
    #[error("the store failed: {0}. Check the disk's space and health.")]
    Sled(#[from] sled::Error),
    /// A row does not have the expected form.
    #[error("table {table} holds a row {key:?} that cannot be read: {error}")]
    Row {
        /// Which table.
        table: &'static str,
        /// Which row.
        key: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The change stands against what is stored; a sentence for whoever asked.
    #[error("{0}")]
    Conflict(String),
    /// A bound of the store is reached; a sentence for whoever asked.
    #[error("{0}")]
    Limit(String),
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store {
    db: sled::Db,
    gate: Arc<Gate>,
    disk: Arc<Disk>,
    /// sled's file: sled itself waits for the data, not for the file's length and the disk's cache.
    file: Arc<File>,
    accounts: Table<Account>,
    account_of_email: Table<String>,
    sessions: Table<Session>,
    tenants: Table<Tenant>,
    memberships: Table<Role>,
    devices: Table<Device>,
    device_of_key: Table<String>,
    join_tokens: Table<JoinToken>,
    api_tokens: Table<ApiToken>,
    reports: Table<LastReport>,
    placements: Table<Placement>,
    networks: Table<u32>,
    migrations: Table<StoredMigration>,
    gone: Table<Gone>,
    keys: Table<String>,
    audit: audit::AuditLog,
    orders: orders::Orders,
    invitations: Table<Invitation>,
    alerts: Table<StoredAlert>,
    stored_files: stored_files::StoredFiles,
    uploads: Table<Upload>,
    artifacts: Table<Artifact>,
    deliveries: Table<Delivery>,
    applications: Table<Application>,
    versions: Table<Version>,
    deployments: Table<StoredDeployment>,
    runs: Table<StoredRun>,
    meta: Table<u64>,
    alone: Arc<Mutex<()>>,
    /// Last, so that sled is closed before another process may come.
    folder: Arc<Folder>,
}

impl Store {
    /// Opens the store in this folder, or makes both. An older layout is brought to the present one, and what does
    /// not fit together is mended where no guess is needed.
    ///
    /// # Errors
    /// `Folder`, `InUse`, `Schema`, `HalfRestored`, `Damaged` or `Sled` of [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_keeping_free(folder, KEEP_FREE_BYTES)
    }

    fn open_keeping_free(folder: &Path, keep_free: u64) -> Result<Self, StoreError> {
        let folder = Folder::open(folder)?;
        let db = backup::open_migrated(&folder)?;
        let gate = Arc::new(Gate::new(db.clone(), folder.path(), keep_free));
        let store = Self {
            file: Arc::new(folder.file()?),
            accounts: Table::open(&db, &gate, "accounts")?,
            account_of_email: Table::open(&db, &gate, "account_of_email")?,
            sessions: Table::open(&db, &gate, "sessions")?,
            tenants: Table::open(&db, &gate, "tenants")?,
            memberships: Table::open(&db, &gate, "memberships")?,
            devices: Table::open(&db, &gate, "devices")?,
            device_of_key: Table::open(&db, &gate, "device_of_key")?,
            join_tokens: Table::open(&db, &gate, "join_tokens")?,
            api_tokens: Table::open(&db, &gate, "api_tokens")?,
            reports: Table::open(&db, &gate, "reports")?,
            placements: Table::open(&db, &gate, "placements")?,
            networks: Table::open(&db, &gate, "networks")?,
            migrations: Table::open(&db, &gate, "migrations")?,
            gone: Table::open(&db, &gate, "gone")?,
            keys: Table::open(&db, &gate, "keys")?,
            audit: audit::AuditLog::open(&db, &gate)?,
            orders: Table::open(&db, &gate, "orders")?,
            invitations: Table::open(&db, &gate, "invitations")?,
            alerts: Table::open(&db, &gate, "alerts")?,
            stored_files: Table::open(&db, &gate, "stored_files")?,
            uploads: Table::open(&db, &gate, "uploads")?,
            artifacts: Table::open(&db, &gate, "artifacts")?,
            deliveries: Table::open(&db, &gate, "deliveries")?,
            applications: Table::open(&db, &gate, "applications")?,
            versions: Table::open(&db, &gate, "versions")?,
            deployments: Table::open(&db, &gate, "deployments")?,
            runs: Table::open(&db, &gate, "runs")?,
            meta: Table::open(&db, &gate, "meta")?,
            alone: Arc::default(),
            disk: Arc::default(),
            folder: Arc::new(folder),
            gate,
            db,
        };
        store.mend()?;
        Ok(store)
    }

    /// Checks that all fits together, and mends what needs no guess.
    fn mend(&self) -> Result<(), StoreError> {
        let mut refused = Vec::new();
        let mut has_mended = false;
        for finding in check(&Tables::read(&self.db)?, unix_ms()) {
            let (table, key, what) = (finding.table, &finding.key, &finding.what);
            match &finding.remedy {
                Remedy::Refuse => refused.push(finding.to_string()),
                Remedy::Look => {
                    tracing::warn!(table, key, what, "the store holds something that does not fit")
                }
                Remedy::Mend(mends) => {
                    has_mended = true;
                    for mend in mends {
                        let tree = self.db.open_tree(mend.table)?;
                        match &mend.row {
                            Some(row) => tree.insert(&mend.key, row.as_str())?,
                            None => tree.remove(&mend.key)?,
                        };
                    }
                    tracing::warn!(table, key, what, "the store was mended");
                }
            }
        }
        if has_mended {
            self.db.flush()?;
        }
        if refused.is_empty() { Ok(()) } else { Err(StoreError::Damaged(refused.join("\n"))) }
    }

    /// Whether it takes changes.
    pub fn health(&self) -> Health {
        self.gate.health()
    }

    /// Whether it has failed, and a new start would find room on the disk.
    pub fn should_start_again(&self) -> bool {
        matches!(self.gate.health(), Health::Failed(_)) && self.gate.has_room_to_start()
    }

    /// The key of that name; `make` makes it where there is none, and it is on disk before it is answered.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn key(&self, name: &str, make: impl FnOnce() -> String) -> Result<String, StoreError> {
        if let Some(key) = self.keys.get(name)? {
            return Ok(key);
        }
        let key = make();
        self.keys.put(name, &key)?;
        self.gate.judge(self.db.flush().map_err(StoreError::from))?;
        self.gate.judge(self.file.sync_data().map_err(|error| StoreError::Sled(error.into())))?;
        Ok(key)
    }

    /// How many bytes of disk it takes.
    ///
    /// # Errors
    /// [`StoreError::Sled`].
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(self.db.size_on_disk()?)
    }

    /// Waits until every change so far is on disk.
    ///
    /// # Errors
    /// `Failed` of [`StoreError`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        let store = self.clone();
        self.disk.flushed(move || async move { store.flush_alone().await }).await
    }

    async fn flush_alone(&self) -> Result<(), StoreError> {
        self.gate.has_not_failed()?;
        let mut flush = std::pin::pin!(self.db.flush_async());
        let flushed = loop {
            match tokio::time::timeout(ASK_AFTER, &mut flush).await {
                Ok(flushed) => break flushed,
                // A slow disk answers sometime. A failed one answers whoever asks anew, or has told another change.
                Err(_) => {
                    self.gate.has_not_failed()?;
                    if let Ok(Err(error)) = tokio::time::timeout(ASK_AFTER, self.db.flush_async()).await {
                        break Err(error);
                    }
                }
            }
        };
        self.gate.judge(flushed.map_err(StoreError::from))?;
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        let synced = synced.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.gate.judge(synced.map_err(|error| StoreError::Sled(error.into())))
    }

    /// Deletes sessions and invitations that have ended, and tokens that ended before `tokens_before`. (A token is kept for a
    /// while after its end, so that its holder can be told why it is refused.)
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(&self, now: u64, tokens_before: u64) -> Result<(), StoreError> {
        self.sessions.retain(|session| session.expires_at > now)?;
        self.invitations.retain(|invitation| invitation.expires_at > now)?;
        self.join_tokens.retain(|token| token.expires_at > tokens_before)?;
        self.api_tokens.retain(|token| token.expires_at > tokens_before)?;
        // As long as tokens: a device that was off longer asks about a copy that a person has to look at.
        self.gone.retain(|gone| gone.at > tokens_before)?;
        self.flush().await
    }

    /// What is only noted must not fail the request it is noted of: where no change is taken, it is lost.
    fn noted(outcome: Result<(), StoreError>) -> Result<(), StoreError> {
        match outcome {
            Err(StoreError::Full { .. } | StoreError::Failed { .. }) => Ok(()),
            outcome => outcome,
        }
    }

    /// Held around a change that depends on a scan, which sled's transactions cannot do: the number of a tenant's owners,
    /// members or devices. The gate does not do this: it lets changes in beside each other and holds up only copies.
    /// Taken before the gate, which each single change goes through; never held over an await.
    fn alone(&self) -> MutexGuard<'_, ()> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;
    use crate::secret::SecretHash;

    /// A store of another version must be refused, not misread.
    #[test]
    fn another_schema_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.meta.put("schema", &(SCHEMA_VERSION + 1)).unwrap();
        drop(store);
        // sled's own thread may hold the lock a moment longer.
        let deadline = Instant::now() + Duration::from_secs(60);
        let refused = loop {
            match Store::open(folder.path()).err().unwrap() {
                StoreError::InUse { .. } if Instant::now() < deadline => std::thread::yield_now(),
                refused => break refused,
            }
        };
        assert!(matches!(refused, StoreError::Schema { found } if found == SCHEMA_VERSION + 1), "{refused}");
    }

    /// What has ended goes away, a token only after its holder had time to be told; the rest stays.
    #[tokio::test]
    async fn the_sweep_deletes_what_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let cookie = |name: &str| SecretHash::of(name);
        let session = |expires_at| Session { account: "maria".to_owned(), expires_at, ..Session::default() };
        let maria = Account::maria();
        let acme = Tenant {
            slug: "acme".parse().unwrap(),
            name: "Acme".to_owned(),
            created_at: 0,
            deleted_at: None,
        };
        store.add_first_account(&maria, &acme).await.unwrap();
        store.log_in(&maria, cookie("old"), &session(1_000)).await.unwrap();
        store.log_in(&maria, cookie("new"), &session(1_001)).await.unwrap();
        for (id, expires_at) in [("old", 500), ("ended", 600), ("good", 2_000)] {
            let token = JoinToken {
                id: id.to_owned(),
                tenant: "acme".parse().unwrap(),
                secret: SecretHash::of(id),
                uses_left: 1,
                expires_at,
                device: None,
            };
            store.add_join_token(&token, "maria").await.unwrap();
        }
        store.sweep(1_000, 500).await.unwrap();
        assert!(store.session(cookie("old")).unwrap().is_none());
        assert!(store.session(cookie("new")).unwrap().is_some());
        let left: Vec<_> = store.join_tokens(&"acme".parse().unwrap()).unwrap();
        assert_eq!(left.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["ended", "good"]);
    }

    /// If the disk is full all the same, say because another program was faster: whoever is not told of a failure has
    /// his change on disk, and nobody waits for ever, not even at the end.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_write_is_told_and_stays_so() {
        for row_bytes in [1_000, 50_000] {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            std::fs::create_dir(&data).unwrap();
            let mount =
                Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "ecep-test"]).arg(&data).output();
            if !mount.is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: this user cannot mount a small disk");
                return;
            }
            let store = Store::open_keeping_free(&data, 0).unwrap();
            let acme: ecep_proto::api::name::TenantSlug = "acme".parse().unwrap();
            let placement = |number: u32| Placement {
                tenant: acme.clone(),
                container: number.to_string().parse().unwrap(),
                name: "web".parse().unwrap(),
                address: None,
                holding: ecep_fleet::migration::authority::Holding {
                    holder: "edge".parse().unwrap(),
                    generation: 1,
                    moving: None,
                },
                came_by: None,
                is_seen: true,
                since: 0,
                left: vec![("edge".parse().unwrap(), vec![]); row_bytes / 10],
            };
            let mut kept = 0;
            let failed = loop {
                match store.put_placement(&placement(kept)).await {
                    Ok(()) => kept += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(failed, StoreError::Failed { .. }), "{failed}");
            assert!(kept > 0 && matches!(store.health(), Health::Failed(_)));
            let again = store.put_placement(&placement(kept)).await;
            assert!(matches!(again, Err(StoreError::Failed { .. })));
            assert!(store.flush().await.is_err());
            // sled may have to write to read; it answers, at least.
            let _ = store.placements();
            drop(store);
            // As after a new start: the failed one holds its lock while the process lives.
            let after = folder.path().join("after");
            assert!(Command::new("cp").arg("-r").args([&data, &after]).status().unwrap().success());
            assert!(Command::new("umount").arg("-l").arg(&data).status().unwrap().success());
            let db = sled::open(after.join("store")).unwrap();
            let tables = Tables::read(&db).unwrap();
            for number in 0..kept {
                assert!(tables.rows("placements").contains_key(&number.to_string()), "{number} of {kept}");
            }
        }
    }
}

//! What the control plane must not forget: one typed store over sled.
//!
//! Owns the tables, the schema's version and every invariant between tables; a change that touches several is
//! one transaction, so a crash leaves all of it or nothing. A method that changes something returns once the
//! change is on disk. Secrets are here only as hashes. Must not know HTTP or WAMP.
//!
//! sled answers from its cache and its calls are short, so they run on the async threads; only the wait for the
//! disk is awaited. sled locks its folder: a second process on the same data is refused.

mod accounts;
mod devices;
mod disk;
mod placements;
mod records;
mod table;
mod tenants;
mod tokens;

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_proto::api::roles::Role;

pub use devices::Enrolment;
use disk::Disk;
pub use placements::{Gone, Placement, StoredMigration};
pub use records::{Account, ApiToken, Device, JoinToken, LastReport, Session, Tenant};
use table::Table;

use crate::secret::SecretHash;

/// The layout of the tables. A store of another version is refused, not misread.
const SCHEMA_VERSION: u64 = 1;
/// sled's cache. All of a fleet of ten thousand devices fits in it.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Why the store could not be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used: {error}. It must be a folder that this user may write.", folder.display())]
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
    /// The store was written by another version of this program.
    #[error(
        "the store has schema version {found}, this program knows {SCHEMA_VERSION}; run the version that wrote it"
    )]
    Schema {
        /// What was found.
        found: u64,
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
    disk: Arc<Disk>,
    meta: Table<u64>,
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
}

impl Store {
    /// Opens the store in this folder, or makes both.
    ///
    /// # Errors
    /// `Folder`, `InUse`, `Schema` or `Sled` of [`StoreError`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        make_private(folder).map_err(|error| StoreError::Folder { folder: folder.to_owned(), error })?;
        let db = sled::Config::new().path(folder.join("store")).cache_capacity(CACHE_BYTES).open().map_err(
            |error| match error {
                sled::Error::Io(io) if io.kind() == io::ErrorKind::WouldBlock || is_lock_error(&io) => {
                    StoreError::InUse { folder: folder.to_owned() }
                }
                sled::Error::Io(error) => StoreError::Folder { folder: folder.to_owned(), error },
                other => StoreError::Sled(other),
            },
        )?;
        let meta: Table<u64> = Table::open(&db, "meta")?;
        match meta.get("schema")? {
            Some(SCHEMA_VERSION) => {}
            Some(found) => return Err(StoreError::Schema { found }),
            None => {
                meta.put("schema", &SCHEMA_VERSION)?;
                db.flush()?;
            }
        }
        Ok(Self {
            accounts: Table::open(&db, "accounts")?,
            account_of_email: Table::open(&db, "account_of_email")?,
            sessions: Table::open(&db, "sessions")?,
            tenants: Table::open(&db, "tenants")?,
            memberships: Table::open(&db, "memberships")?,
            devices: Table::open(&db, "devices")?,
            device_of_key: Table::open(&db, "device_of_key")?,
            join_tokens: Table::open(&db, "join_tokens")?,
            api_tokens: Table::open(&db, "api_tokens")?,
            reports: Table::open(&db, "reports")?,
            placements: Table::open(&db, "placements")?,
            networks: Table::open(&db, "networks")?,
            migrations: Table::open(&db, "migrations")?,
            gone: Table::open(&db, "gone")?,
            keys: Table::open(&db, "keys")?,
            meta,
            disk: Disk::new(db.clone()),
            db,
        })
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
        self.db.flush()?;
        Ok(key)
    }

    /// Waits until every change so far is on disk.
    ///
    /// # Errors
    /// [`StoreError::Sled`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.disk.flush().await
    }

    /// Deletes sessions that have ended, and tokens that ended before `tokens_before`. (A token is kept for a
    /// while after its end, so that its holder can be told why it is refused.)
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(&self, now: u64, tokens_before: u64) -> Result<(), StoreError> {
        self.sessions.retain(|session| session.expires_at > now)?;
        self.join_tokens.retain(|token| token.expires_at > tokens_before)?;
        self.api_tokens.retain(|token| token.expires_at > tokens_before)?;
        // As long as tokens: a device that was off longer asks about a copy that a person has to look at.
        self.gone.retain(|gone| gone.at > tokens_before)?;
        self.flush().await
    }

    /// Remembers a login under the hash of its cookie. Of an account's logins only the newest few are kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_session(&self, cookie: SecretHash, session: &Session) -> Result<(), StoreError> {
        /// Browsers in which one person is logged in at a time. Policy: one more ends the oldest login.
        const MAX_SESSIONS_OF_AN_ACCOUNT: usize = 32;
        let mut own: Vec<(String, Session)> = self.sessions.rows()?;
        own.retain(|(_, other)| other.account == session.account);
        own.sort_by_key(|(_, other)| other.expires_at);
        let too_many = (own.len() + 1).saturating_sub(MAX_SESSIONS_OF_AN_ACCOUNT);
        for (key, _) in own.into_iter().take(too_many) {
            self.sessions.remove(&key)?;
        }
        self.sessions.put(&cookie.to_key(), session)?;
        self.flush().await
    }

    /// The login with this cookie.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn session(&self, cookie: SecretHash) -> Result<Option<Session>, StoreError> {
        self.sessions.get(&cookie.to_key())
    }

    /// Ends a login.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn close_session(&self, cookie: SecretHash) -> Result<(), StoreError> {
        self.sessions.remove(&cookie.to_key())?;
        self.flush().await
    }
}

/// Only this user may look into the data folder.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

/// sled wraps the lock's error into one of kind `Other` and keeps only its text.
fn is_lock_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("could not acquire lock")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

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
        let session = |expires_at| Session { account: "maria".to_owned(), expires_at };
        store.open_session(cookie("old"), &session(1_000)).await.unwrap();
        store.open_session(cookie("new"), &session(1_001)).await.unwrap();
        for (id, expires_at) in [("old", 500), ("ended", 600), ("good", 2_000)] {
            let token = JoinToken {
                id: id.to_owned(),
                tenant: "acme".parse().unwrap(),
                secret: SecretHash::of(id),
                uses_left: 1,
                expires_at,
            };
            store.add_join_token(&token).await.unwrap();
        }
        store.sweep(1_000, 500).await.unwrap();
        assert!(store.session(cookie("old")).unwrap().is_none());
        assert!(store.session(cookie("new")).unwrap().is_some());
        let left: Vec<_> = store.join_tokens(&"acme".parse().unwrap()).unwrap();
        assert_eq!(left.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["ended", "good"]);
    }

    /// One person cannot fill the store with logins; the newest are kept.
    #[tokio::test]
    async fn an_account_has_a_bounded_number_of_logins() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for number in 0..40 {
            let session = Session { account: "maria".to_owned(), expires_at: number };
            store.open_session(SecretHash::of(&number.to_string()), &session).await.unwrap();
        }
        assert_eq!(store.sessions.rows().unwrap().len(), 32);
        assert!(store.session(SecretHash::of("7")).unwrap().is_none());
        assert!(store.session(SecretHash::of("8")).unwrap().is_some());
    }
}

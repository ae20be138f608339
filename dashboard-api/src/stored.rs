//! Files that devices bring, on the control plane's disk: what comes, what is there, and what goes by itself. A file is told
//! of in the store once all its bytes are on the disk. It must not know channels' streams nor HTTP.
//!
//! Below the data folder: `inbox/<tenant>/<id>/` is what has come of a file so far, `files/<tenant>/<id>` is a whole one.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ecep_channel::{
    header::{Refusal, RefusalCode},
    transfer::{self, Inbox, TransferError},
};
use ecep_proto::api::{
    file::{FileId, MAX_STORED_BYTES, StoreFile, StoredFile, StoredKind},
    name::{DeviceId, TenantSlug},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
    time::timeout,
};

use crate::{
    clock::unix_ms,
    store::{Store, StoreError},
};

/// Where whole files are.
pub const FILES: &str = "files";
/// Where files are that come.
pub const INBOX: &str = "inbox";
/// A fetched file or log goes by itself after a day: it was fetched to be downloaded now, and can be fetched again.
const KEEP_FETCHED_MS: u64 = 24 * 60 * 60 * 1_000;
/// What came of a file is kept this long for its device to go on: as long as the file itself would be.
const KEEP_PARTS: Duration = Duration::from_secs(24 * 60 * 60);
/// Files of one tenant: as many as a person can look through. Policy: more are refused.
const MAX_FILES: usize = 10_000;
/// Files of one tenant on their way at a time; each holds some megabytes of memory. Policy: devices try again.
const MAX_COMING: usize = 16;
/// An earlier stream of the same file has this long to end: the device asks again right after its last byte whether the file is
/// kept. Shorter than it waits for an answer.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);
/// Characters of a file's name for people.
const MAX_NAME: usize = 200;

/// The files of all tenants.
pub struct StoredFiles {
    folder: PathBuf,
    store: Store,
    quota_bytes: u64,
    coming: Mutex<Coming>,
    /// Rung when a file is not on its way any more.
    settled: Notify,
}

/// Bytes that are promised to files on their way.
type Coming = HashMap<(TenantSlug, FileId), u64>;

/// A place for a file that comes; given back when dropped.
pub struct Place {
    files: Arc<StoredFiles>,
    tenant: TenantSlug,
    device: DeviceId,
    file: StoreFile,
    bytes: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.files.lock().remove(&(self.tenant.clone(), self.file.file.clone()));
        self.files.settled.notify_waiters();
    }
}

/// Why a file was not kept. What came of it stays for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It did not come whole.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It cannot be put in its place.
    #[error("a stored file cannot be put in its place: {0}")]
    Disk(#[from] io::Error),
    /// It cannot be told of.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not what was announced.
    #[error("the device sent something else than it had announced")]
    Unexpected,
}

impl StoredFiles {
    /// Those below this data folder. What a crash left without a row goes.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(data: &Path, store: Store, quota_bytes: u64) -> Result<Arc<Self>, StoreError> {
        let failed = |error| StoreError::Folder { folder: data.to_owned(), error };
        for folder in [FILES, INBOX] {
            DirBuilder::new().recursive(true).mode(0o700).create(data.join(folder)).map_err(failed)?;
        }
        let files = Self {
            folder: data.to_owned(),
            store,
            quota_bytes,
            coming: Mutex::default(),
            settled: Notify::new(),
        };
        files.remove_orphans().map_err(failed)?;
        Ok(Arc::new(files))
    }

    fn remove_orphans(&self) -> io::Result<()> {
        for tenant in fs::read_dir(self.folder.join(FILES))? {
            let tenant = tenant?;
            let slug = tenant.file_name().to_str().and_then(|name| name.parse::<TenantSlug>().ok());
            for file in fs::read_dir(tenant.path())? {
                let file = file?;
                let id = file.file_name().to_str().and_then(|name| name.parse::<FileId>().ok());
                let row = slug.as_ref().zip(id).map(|(slug, id)| self.store.stored_file(slug, &id));
                // One whose row cannot be read stays.
                if matches!(row, None | Some(Ok(None))) {
                    tracing::info!(path = %file.path().display(), "a file that nothing tells of is removed");
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Coming> {
        // Each change of it is one step.
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the tenant's files and of those on their way, and how many it may have.
    ///
    /// # Errors
    /// The store's.
    pub fn usage(&self, tenant: &TenantSlug) -> Result<(u64, u64), StoreError> {
        let stored: u64 = self.store.stored_files_of(tenant)?.iter().map(|file| file.bytes).sum();
        let coming: u64 =
            self.lock().iter().filter(|((of, _), _)| of == tenant).map(|(_, bytes)| *bytes).sum();
        Ok((stored.saturating_add(coming), self.quota_bytes))
    }

    /// Makes a place for a file that this device wants to bring. Whether it has a share in the tenant is judged already. Waits for
    /// an earlier stream of the same file to end.
    ///
    /// # Errors
    /// `AlreadyDone` where it is there, `Busy` where it may come later, else why it may not.
    pub async fn admit(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        device: &DeviceId,
        file: &StoreFile,
        bytes: u64,
    ) -> Result<Place, Refusal> {
        let is_coming = || self.lock().contains_key(&(tenant.clone(), file.file.clone()));
        let settled = async {
            loop {
                let mut settled = std::pin::pin!(self.settled.notified());
                settled.as_mut().enable();
                if !is_coming() {
                    return;
                }
                settled.await;
            }
        };
        // If it does not end in time, the device is told so.
        let _ = timeout(SETTLES_WITHIN, settled).await;
        self.admit_now(tenant, device, file, bytes)
    }

    fn admit_now(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        device: &DeviceId,
        file: &StoreFile,
        bytes: u64,
    ) -> Result<Place, Refusal> {
        let refused = |code, text: String| Err(Refusal::new(code, text));
        if bytes > MAX_STORED_BYTES {
            let text = format!("a stored file has {MAX_STORED_BYTES} bytes at most, this one has {bytes}");
            return refused(RefusalCode::Failed, text);
        }
        let failed = |error: StoreError| {
            tracing::error!(%error, "the store failed");
            Refusal::new(RefusalCode::Busy, "the control plane cannot reach its data now; try again later")
        };
        // Held to the end, so that two do not get the same room.
        let mut coming = self.lock();
        if let Some(known) = self.store.stored_file(tenant, &file.file).map_err(failed)? {
            let is_same =
                known.device == *device && known.container == file.container && known.kind == file.kind;
            return match is_same {
                true => refused(RefusalCode::AlreadyDone, format!("file {} is stored", file.file)),
                false => refused(
                    RefusalCode::Failed,
                    format!("there is another file {}; order it again under another id", file.file),
                ),
            };
        }
        let key = (tenant.clone(), file.file.clone());
        if coming.contains_key(&key) {
            let text = format!("file {} is on its way over another stream", file.file);
            return refused(RefusalCode::Busy, text);
        }
        let of_tenant = || coming.iter().filter(|((of, _), _)| of == tenant);
        if of_tenant().count() >= MAX_COMING {
            let text =
                format!("{MAX_COMING} files of the tenant are on their way already; wait for one of them");
            return refused(RefusalCode::Busy, text);
        }
        let stored = self.store.stored_files_of(tenant).map_err(failed)?;
        if stored.len() >= MAX_FILES {
            let text = format!("the tenant has {MAX_FILES} stored files; delete some of them");
            return refused(RefusalCode::Failed, text);
        }
        let used =
            stored.iter().map(|file| file.bytes).chain(of_tenant().map(|(_, bytes)| *bytes)).sum::<u64>();
        let left = self.quota_bytes.saturating_sub(used);
        if bytes > left {
            let text = format!(
                "the tenant may have {} bytes of stored files, and {left} of them are left; the file has {bytes}. Delete some \
                 stored files",
                self.quota_bytes
            );
            return refused(RefusalCode::Failed, text);
        }
        coming.insert(key, bytes);
        drop(coming);
        Ok(Place {
            files: Arc::clone(self),
            tenant: tenant.clone(),
            device: device.clone(),
            file: file.clone(),
            bytes,
        })
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// The disk's.
    pub async fn read(&self, tenant: &TenantSlug, file: &FileId) -> io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path(tenant, file)).await
    }

    /// Deletes a file; whether there was one. Who downloads it gets the rest of it.
    ///
    /// # Errors
    /// The store's. A file that cannot be removed from the disk goes with the next start.
    pub async fn delete(&self, tenant: &TenantSlug, file: &FileId) -> Result<bool, StoreError> {
        let was_there = self.store.remove_stored_file(tenant, file).await?;
        match tokio::fs::remove_file(self.path(tenant, file)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%tenant, %file, %error, "a deleted file is still on the disk");
            }
            _ => {}
        }
        Ok(was_there)
    }

    /// Deletes what has had its time, what belonged to tenants that are not there any more, and what came of files that do not
    /// come any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self, now: u64) -> Result<(), StoreError> {
        for row in self.store.stored_files()? {
            let is_over = row.file.deleted_at.is_some_and(|at| at <= now);
            let is_gone = self.store.tenant(&row.tenant)?.is_none_or(|tenant| tenant.deleted_at.is_some());
            // After a restore: files are in no backup.
            let is_lost = !self.path(&row.tenant, &row.file.file).exists();
            if is_over || is_gone || is_lost {
                self.delete(&row.tenant, &row.file.file).await?;
                tracing::info!(tenant = %row.tenant, file = %row.file.file, "a stored file has had its time");
            }
        }
        if let Err(error) = self.sweep_inbox() {
            tracing::warn!(%error, "what came of files that do not come any more cannot be removed");
        }
        Ok(())
    }

    fn sweep_inbox(&self) -> io::Result<()> {
        for tenant in fs::read_dir(self.folder.join(INBOX))? {
            let tenant = tenant?;
            for part in fs::read_dir(tenant.path())? {
                let part = part?;
                let name = (tenant.file_name(), part.file_name());
                let is_coming = self.lock().keys().any(|(slug, id)| {
                    name.0.to_str() == Some(slug.as_str()) && name.1.to_str() == Some(id.as_str())
                });
                if !is_coming && newest(&part.path())?.elapsed().is_ok_and(|age| age >= KEEP_PARTS) {
                    fs::remove_dir_all(part.path())?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, tenant: &TenantSlug, file: &FileId) -> PathBuf {
        self.folder.join(FILES).join(tenant.as_str()).join(file.as_str())
    }
}

/// When something in the folder was changed last.
fn newest(folder: &Path) -> io::Result<SystemTime> {
    let mut newest = fs::metadata(folder)?.modified()?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let at = if entry.file_type()?.is_dir() {
            self::newest(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        newest = newest.max(at);
    }
    Ok(newest)
}

impl Place {
    /// Takes the file's bytes from the stream, goes on where an earlier stream broke, and keeps the file. The device hears that it is
    /// stored once it is on the disk and told of in the store.
    ///
    /// # Errors
    /// See [`KeepError`].
    pub async fn keep<S>(self, stream: S) -> Result<StoredFile, KeepError>
    where
        S: AsyncRead + AsyncWrite + Send,
    {
        let came = self.files.folder.join(INBOX).join(self.tenant.as_str()).join(self.file.file.as_str());
        let inbox = Inbox::open(&came, self.bytes)?;
        let received = transfer::receive(stream, &inbox, &mut |_| {}).await?;
        let [received] = &received[..] else { return Err(KeepError::Unexpected) };
        let metadata = fs::symlink_metadata(&received.path)?;
        if !metadata.is_file() || metadata.len() != self.bytes {
            fs::remove_dir_all(&came)?;
            return Err(KeepError::Unexpected);
        }
        let path = self.files.path(&self.tenant, &self.file.file);
        let from = received.path.clone();
        tokio::task::spawn_blocking(move || put_in_place(&from, &path)).await.map_err(io::Error::other)??;
        let stored_at = unix_ms();
        let file = StoredFile {
            file: self.file.file.clone(),
            kind: self.file.kind,
            name: clean(&self.file.name),
            device: self.device.clone(),
            container: self.file.container.clone(),
            application: self.file.application.clone(),
            bytes: self.bytes,
            stored_at,
            deleted_at: (!self.file.keep).then(|| stored_at.saturating_add(KEEP_FETCHED_MS)),
        };
        self.files.store.put_stored_file(&self.tenant, &file).await?;
        if let Err(error) = fs::remove_dir_all(&came) {
            tracing::warn!(%error, "an emptied inbox is left");
        }
        tracing::info!(file = %file.file, tenant = %self.tenant, device = %self.device, bytes = self.bytes, "file is stored");
        Ok(file)
    }
}

/// Its bytes are on the disk already; that it is there is, too, when this returns.
fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    let Some(folder) = to.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::rename(from, to)?;
    File::open(folder)?.sync_all()?;
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// A name that a person can save a file under.
fn clean(name: &str) -> String {
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c };
    let name: String = name.chars().map(plain).take(MAX_NAME).collect();
    if name.trim_matches(['.', ' ']).is_empty() { "file".to_owned() } else { name }
}

/// Whether this is for whoever may only look: what a container writes into its log is, what lies in its files is not.
pub fn is_for_readers(kind: StoredKind) -> bool {
    kind == StoredKind::Log
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device names the file that a person saves: nothing in it may lead elsewhere or break a header.
    #[test]
    fn names_are_harmless() {
        for (name, harmless) in [
            ("../../etc/passwd", ".._.._etc_passwd"),
            ("a\r\nb", "a__b"),
            ("..", "file"),
            ("", "file"),
            ("ä.txt", "ä.txt"),
        ] {
            assert_eq!(clean(name), harmless);
        }
        assert_eq!(clean(&"x".repeat(500)).len(), MAX_NAME);
    }
}

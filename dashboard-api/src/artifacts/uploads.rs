//! Uploads: begun with their length, continued part by part, judged when they are whole. What is on the disk is the truth about how far
//! one has come: a program that was killed goes on where its predecessor was.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_proto::api::{
    artifact::{ArtifactDigest, UploadView},
    name::TenantSlug,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    Artifacts, UPLOADS, UploadError,
    append::{Appender, recovered, unchecked},
    disk, judge,
    work::{AtWork, Claim, Room},
};
use crate::{
    clock::unix_ms,
    secret::random_suffix,
    store::{Artifact, KEEP_UPLOADS_MS, Store, StoreError, Upload, UploadEnd},
};

/// Random characters of an upload's id; it says which, and opens nothing.
const ID_LENGTH: usize = 24;
/// Files that are judged at once: each keeps a core busy, and small machines have two.
const MAX_JUDGED: usize = 2;

/// What an upload that was looked after has become.
#[derive(Debug, PartialEq, Eq)]
pub enum Finished {
    /// So many bytes have arrived; more are to come.
    Open(u64),
    /// It is an artifact.
    Artifact(ArtifactDigest),
}

/// All uploads.
pub struct Uploads {
    folder: PathBuf,
    store: Store,
    artifacts: Arc<Artifacts>,
    keep_free: u64,
    at_work: AtWork,
    judges: Semaphore,
    stop: CancellationToken,
}

impl Uploads {
    /// Of this data folder; what belongs to no upload any more is removed.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(
        data: &Path,
        store: Store,
        artifacts: Arc<Artifacts>,
        keep_free: u64,
    ) -> Result<Self, StoreError> {
        let folder = data.join(UPLOADS);
        let uploads = Self {
            folder: folder.clone(),
            store,
            artifacts,
            keep_free,
            at_work: AtWork::default(),
            judges: Semaphore::new(MAX_JUDGED),
            stop: CancellationToken::new(),
        };
        let swept = disk::make_folder(&folder).map_err(|error| StoreError::Folder { folder, error });
        swept.and_then(|()| uploads.settle())?;
        Ok(uploads)
    }

    /// Removes the files of uploads that have ended, and forgets those whose file is gone: their client begins anew.
    fn settle(&self) -> Result<(), StoreError> {
        let failed = |error| StoreError::Folder { folder: self.folder.clone(), error };
        let uploads = self.store.uploads()?;
        let open: Vec<&Upload> = uploads.iter().filter(|upload| upload.end.is_none()).collect();
        let is_open = |file: &PathBuf| {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            open.iter().any(|upload| upload.id == stem)
        };
        for file in disk::files(&self.folder).map_err(failed)?.iter().filter(|file| !is_open(file)) {
            disk::remove(file).map_err(failed)?;
        }
        for upload in open.iter().filter(|upload| !self.path(upload).exists()) {
            tracing::warn!(upload = upload.id, tenant = %upload.tenant, "an upload's file is not there; it is forgotten");
            self.store.forget_upload(&upload.tenant, &upload.id)?;
        }
        Ok(())
    }

    fn path(&self, upload: &Upload) -> PathBuf {
        self.folder.join(&upload.id)
    }

    /// What is judged now is left as it is, to be judged after the next start.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Begins an upload of so many bytes. Whoever begins it is told so only if there is room for all of it.
    ///
    /// # Errors
    /// `Full`, `Disk`, or `Store` with its `Limit` for a quota that is used up.
    pub async fn begin(
        &self,
        tenant: &TenantSlug,
        name: String,
        bytes: u64,
        digest: Option<ArtifactDigest>,
    ) -> Result<Upload, UploadError> {
        let id = random_suffix(ID_LENGTH);
        let begun_at = unix_ms();
        let upload = Upload { id, tenant: tenant.clone(), name, bytes, digest, begun_at, end: None };
        let (folder, keep_free) = (self.folder.clone(), self.keep_free);
        let free = disk::blocking(move || disk::free(&folder)).await?;
        if free < keep_free.saturating_add(bytes) {
            return Err(UploadError::Full);
        }
        let path = self.path(&upload);
        // The file first: a row without one is an upload that was lost.
        let made = path.clone();
        disk::blocking(move || disk::make_file(&made).map(drop)).await?;
        if let Err(error) = self.store.begin_upload(&upload, self.artifacts.quota()).await {
            disk::blocking(move || disk::remove(&path)).await?;
            return Err(error.into());
        }
        tracing::info!(upload = upload.id, %tenant, bytes, "upload begins");
        Ok(upload)
    }

    /// The tenant's upload of this id.
    ///
    /// # Errors
    /// `Gone`, or `Store`.
    pub fn get(&self, tenant: &TenantSlug, id: &str) -> Result<Upload, UploadError> {
        let upload = self.store.upload(tenant, id)?;
        upload.filter(|upload| unix_ms() < expires_at(upload)).ok_or(UploadError::Gone)
    }

    /// Claims it, for a part.
    ///
    /// # Errors
    /// `Locked` while another request is at it, `Busy` while there are too many.
    pub fn claim_for_part(&self, upload: &Upload) -> Result<(Claim, Room), UploadError> {
        let claim = self.at_work.claim(&upload.id).ok_or(UploadError::Locked)?;
        let room = self.at_work.room(upload.tenant.as_str()).ok_or(UploadError::Busy)?;
        Ok((claim, room))
    }

    /// Claims it to go on; a request that hangs gives way.
    ///
    /// # Errors
    /// `Locked` while another request is at it.
    pub async fn claim(&self, upload: &Upload) -> Result<Claim, UploadError> {
        self.at_work.claim_from(&upload.id, false).await.ok_or(UploadError::Locked)
    }

    /// Goes on behind the bytes that have arrived, which must be `offset`.
    ///
    /// # Errors
    /// `Offset`, or `Disk`.
    pub async fn append(
        &self,
        _claim: &Claim,
        upload: &Upload,
        offset: u64,
        checksum: Option<[u8; 32]>,
    ) -> Result<Appender, UploadError> {
        let path = self.path(upload);
        let arrived = self.arrived(upload).await?;
        if arrived != offset {
            return Err(UploadError::Offset(arrived));
        }
        Appender::open(path, offset, upload.bytes, self.keep_free, checksum).await
    }

    async fn arrived(&self, upload: &Upload) -> Result<u64, UploadError> {
        let path = self.path(upload);
        let arrived = disk::blocking(move || recovered(&path)).await;
        arrived.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => UploadError::Gone,
            _ => error.into(),
        })
    }

    /// Looks after an upload: if it is whole it is judged, and becomes an artifact or is refused.
    ///
    /// # Errors
    /// `Refused`, also each time it is asked again; `Stopping`, `Disk` or `Store`, after which it can be asked again.
    pub async fn finish(&self, claim: &Claim, upload: &Upload) -> Result<Finished, UploadError> {
        // Read under the claim: the request before this one may have ended it.
        let upload = self.get(&upload.tenant, &upload.id)?;
        match upload.end {
            Some(UploadEnd::Artifact(digest)) => return Ok(Finished::Artifact(digest)),
            Some(UploadEnd::Refused { kind, detail }) => return Err(UploadError::Refused { kind, detail }),
            None => {}
        }
        let arrived = self.arrived(&upload).await?;
        if arrived < upload.bytes {
            return Ok(Finished::Open(arrived));
        }
        let judged = self.judge(&upload).await;
        let path = self.path(&upload);
        let outcome = match judged {
            Ok(artifact) => self
                .artifacts
                .keep(&upload, &path, &artifact)
                .await
                .map(|()| Finished::Artifact(artifact.digest.clone())),
            Err(UploadError::Refused { kind, detail }) => {
                tracing::info!(upload = upload.id, tenant = %upload.tenant, detail, "upload refused");
                self.store.refuse_upload(&upload, kind, &detail).await?;
                Err(UploadError::Refused { kind, detail })
            }
            Err(error) => return Err(error),
        };
        if let Ok(Finished::Artifact(digest)) = &outcome {
            tracing::info!(upload = upload.id, tenant = %upload.tenant, %digest, bytes = upload.bytes, "upload has become an artifact");
        }
        if matches!(outcome, Ok(_) | Err(UploadError::Refused { .. })) {
            self.remove_files(claim, &upload).await?;
        }
        outcome
    }

    async fn judge(&self, upload: &Upload) -> Result<Artifact, UploadError> {
        let Ok(_place) = self.judges.acquire().await else { return Err(UploadError::Stopping) };
        let (path, wanted, stop) = (self.path(upload), upload.digest.clone(), self.stop.clone());
        let judged = tokio::task::spawn_blocking(move || judge::judge(&path, wanted.as_ref(), &stop));
        let judge::Judged { digest, inspection } =
            judged.await.unwrap_or_else(|error| Err(UploadError::Disk(std::io::Error::other(error))))?;
        Ok(Artifact {
            tenant: upload.tenant.clone(),
            digest,
            name: upload.name.clone(),
            kind: inspection.kind,
            bytes: upload.bytes,
            unpacked_bytes: inspection.unpacked_bytes,
            architectures: inspection.architectures,
            uploaded_at: unix_ms(),
        })
    }

    async fn remove_files(&self, _claim: &Claim, upload: &Upload) -> Result<(), UploadError> {
        let path = self.path(upload);
        let removed = disk::blocking(move || {
            disk::remove(&unchecked(&path))?;
            disk::remove(&path)
        });
        Ok(removed.await?)
    }

    /// Gives an upload up; the artifact that it may have become stays.
    ///
    /// # Errors
    /// `Gone`, `Locked` while it is judged, `Disk` or `Store`.
    pub async fn terminate(&self, tenant: &TenantSlug, id: &str) -> Result<(), UploadError> {
        let upload = self.get(tenant, id)?;
        let claim = self.at_work.claim_from(id, true).await.ok_or(UploadError::Locked)?;
        if !self.store.remove_upload(tenant, id).await? {
            return Err(UploadError::Gone);
        }
        self.remove_files(&claim, &upload).await
    }

    /// How an upload stands, for people.
    pub fn view(&self, upload: &Upload) -> UploadView {
        let (artifact, error) = match &upload.end {
            Some(UploadEnd::Artifact(digest)) => (Some(digest.clone()), None),
            Some(UploadEnd::Refused { detail, .. }) => (None, Some(detail.clone())),
            None => (None, None),
        };
        let on_disk = || std::fs::metadata(self.path(upload)).map_or(0, |file| file.len());
        UploadView {
            id: upload.id.clone(),
            name: upload.name.clone(),
            bytes: upload.bytes,
            received: if upload.end.is_some() { upload.bytes } else { on_disk() },
            expires_at: expires_at(upload),
            artifact,
            error,
        }
    }

    /// Forgets what is a day old. An upload that somebody is at work on ends the next time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(&self, now: u64) -> Result<(), StoreError> {
        for upload in self.store.sweep_uploads(now).await? {
            let claim = self.at_work.claim_from(&upload.id, true).await;
            let removed = match &claim {
                Some(claim) => self.remove_files(claim, &upload).await,
                None => Err(UploadError::Locked),
            };
            if let Err(error) = removed {
                tracing::warn!(upload = upload.id, %error, "an old upload's file stays until the next start");
            }
        }
        if let Err(error) = self.remove_ownerless() {
            tracing::warn!(%error, "files of uploads that are forgotten stay until the next start");
        }
        Ok(())
    }

    /// Files of a tenant's uploads that was deleted. A new one's file is there before its row, so only old ones go.
    fn remove_ownerless(&self) -> std::io::Result<()> {
        for file in disk::files(&self.folder)? {
            let age = std::fs::metadata(&file)?.modified()?.elapsed().unwrap_or_default();
            if age.as_millis() < u128::from(KEEP_UPLOADS_MS) {
                continue;
            }
            let id = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if self.store.uploads().is_ok_and(|all| all.iter().all(|upload| upload.id != id)) {
                disk::remove(&file)?;
            }
        }
        Ok(())
    }
}

/// When an upload is forgotten.
pub fn expires_at(upload: &Upload) -> u64 {
    upload.begun_at.saturating_add(KEEP_UPLOADS_MS)
}

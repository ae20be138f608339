//! The bytes of artifacts: each content once on disk, by its digest, whoever has uploaded it. And uploads, until they are artifacts.
//!
//! ```text
//! <data>/uploads/<id>              what has arrived of an upload: its length is the offset
//! <data>/uploads/<id>.unchecked    where a part began whose checksum has not been compared yet
//! <data>/artifacts/ab/abcd…        an artifact
//! ```
//!
//! The store says whose an artifact is; bytes that nobody has are removed. Must not know HTTP or WAMP.

mod append;
mod bundle;
mod disk;
mod judge;
mod uploads;
mod work;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_proto::api::{
    artifact::{ArtifactDigest, ArtifactList, ArtifactView, MAX_UPLOAD_BYTES},
    error::{ApiError, ErrorKind},
    name::TenantSlug,
};

use tokio::sync::Semaphore;

pub use append::Appender;
pub use uploads::{Finished, Uploads, expires_at};
pub use work::{Claim, Room};

use crate::store::{Artifact, Store, StoreError, Upload};

/// The folder of artifacts in the data folder.
pub const ARTIFACTS: &str = "artifacts";
/// The folder of uploads in the data folder.
pub const UPLOADS: &str = "uploads";
/// Bytes of artifacts that a tenant may have, unless the configuration says otherwise: some hundred applications.
pub const DEFAULT_QUOTA_BYTES: u64 = 20 << 30;
/// Bytes of the disk that uploads leave free, unless the configuration says otherwise: the store and the log go on for long with them.
pub const DEFAULT_KEEP_FREE_BYTES: u64 = 512 << 20;

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such upload, or not any more.
    #[error("There is no such upload; it ends a day after it was begun. Begin a new one.")]
    Gone,
    /// Another request is at it.
    #[error("Another request is at work on this upload. Ask again in a few seconds.")]
    Locked,
    /// It has another length.
    #[error("The upload has {0} bytes; go on from there.")]
    Offset(u64),
    /// A part is longer than the rest.
    #[error("More was sent than the upload's length of {0} bytes. Begin a new upload with the right length.")]
    TooLong(u64),
    /// A part arrived damaged, and was dropped.
    #[error("This part does not have its checksum. It was dropped; send it again.")]
    Checksum,
    /// No room.
    #[error("The control plane's disk is full. What has arrived is kept; go on when there is room.")]
    Full,
    /// Too many at once.
    #[error("Too many parts are uploaded at this moment. Try again in a few seconds.")]
    Busy,
    /// The control plane is stopping.
    #[error("The control plane is stopping. What has arrived is kept; go on when it runs again.")]
    Stopping,
    /// The file is refused.
    #[error("{detail}")]
    Refused {
        /// For programs.
        kind: ErrorKind,
        /// For people.
        detail: String,
    },
    /// The disk.
    #[error("The upload cannot be read or written: {0}. See to the control plane's disk.")]
    Disk(io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error),
        }
    }
}

/// The bytes of all artifacts.
pub struct Artifacts {
    folder: PathBuf,
    store: Store,
    quota: u64,
    /// Bundles that are read while somebody waits.
    reading: Semaphore,
    /// Held while bytes and rows change together: of an artifact that comes while its last owner deletes it one of the two is later.
    placing: tokio::sync::Mutex<()>,
}

impl Artifacts {
    /// Of this data folder; what nobody has any more is removed.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub fn open(data: &Path, store: Store, quota: u64) -> Result<Arc<Self>, StoreError> {
        let folder = data.join(ARTIFACTS);
        disk::make_folder(&folder).map_err(|error| StoreError::Folder { folder: folder.clone(), error })?;
        let reading = Semaphore::new(bundle::MAX_READ);
        let artifacts = Self { folder, store, quota, reading, placing: tokio::sync::Mutex::default() };
        artifacts.remove_unowned()?;
        let missing = artifacts.store.all_artifacts()?.iter().filter(|one| !artifacts.has_bytes(one)).count();
        if missing > 0 {
            tracing::warn!(
                missing,
                folder = %artifacts.folder.display(),
                "the bytes of artifacts are not there, so they cannot be deployed; copy the folder from where the backup was taken, or upload the files again"
            );
        }
        Ok(Arc::new(artifacts))
    }

    /// Bytes that a tenant may have.
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// Where an artifact's bytes are.
    pub fn path(&self, digest: &ArtifactDigest) -> PathBuf {
        path_in(&self.folder, digest)
    }

    /// Whether the bytes are there: a backup leaves them out.
    pub fn has_bytes(&self, artifact: &Artifact) -> bool {
        has_bytes(&self.folder, artifact)
    }

    /// Keeps the bytes of `from`, which are on disk, as this artifact. They are the tenant's when this returns; before that they are
    /// an upload still, whatever happens.
    async fn keep(&self, upload: &Upload, from: &Path, artifact: &Artifact) -> Result<(), UploadError> {
        let _placing = self.placing.lock().await;
        let (folder, to) = (self.folder.clone(), self.path(&artifact.digest));
        let (from, id) = (from.to_owned(), upload.id.clone());
        // The same steps whether or not somebody has these bytes: nobody shall be able to tell.
        disk::blocking(move || disk::place(&from, &folder, &to, &id)).await?;
        if let Err(error) = self.store.end_upload(upload, artifact).await {
            self.remove_if_unowned(&artifact.digest).await?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Takes an artifact from a tenant; the bytes go with the last one that has it.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` while versions need it, or `Unavailable`.
    pub async fn remove(&self, tenant: &TenantSlug, digest: &ArtifactDigest) -> Result<(), ApiError> {
        let _placing = self.placing.lock().await;
        if !self.store.remove_artifact(tenant, digest).await? {
            return Err(no_artifact(digest));
        }
        self.remove_if_unowned(digest).await.map_err(|error| {
            tracing::error!(%digest, %error, "an artifact's bytes could not be removed");
            ApiError::new(ErrorKind::Unavailable, error.to_string())
        })
    }

    async fn remove_if_unowned(&self, digest: &ArtifactDigest) -> Result<(), UploadError> {
        if self.store.has_artifact(digest)? {
            return Ok(());
        }
        let path = self.path(digest);
        Ok(disk::blocking(move || disk::remove(&path)).await?)
    }

    /// Removes the bytes that nobody has: what a crash or a deleted tenant has left.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep(self: &Arc<Self>) -> Result<(), StoreError> {
        let _placing = self.placing.lock().await;
        let artifacts = Arc::clone(self);
        let swept = tokio::task::spawn_blocking(move || artifacts.remove_unowned());
        swept.await.unwrap_or_else(|error| Err(StoreError::Conflict(error.to_string())))
    }

    fn remove_unowned(&self) -> Result<(), StoreError> {
        let owned: BTreeSet<PathBuf> =
            self.store.all_artifacts()?.iter().map(|artifact| self.path(&artifact.digest)).collect();
        let removed = disk::files(&self.folder).and_then(|files| {
            let unowned: Vec<PathBuf> = files.into_iter().filter(|file| !owned.contains(file)).collect();
            unowned.iter().try_for_each(|file| disk::remove(file)).map(|()| unowned.len())
        });
        match removed {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "bytes of artifacts that nobody has were removed"),
            Err(error) => tracing::error!(%error, "bytes of artifacts that nobody has could not be removed"),
        }
        Ok(())
    }

    /// A tenant's artifacts, and how much room they take.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn list(&self, tenant: &TenantSlug) -> Result<ArtifactList, StoreError> {
        let mut users = self.store.artifact_users(tenant)?;
        let artifacts = self.store.artifacts(tenant)?.into_iter().map(|artifact| ArtifactView {
            applications: users.remove(&artifact.digest).unwrap_or_default().into_iter().collect(),
            digest: artifact.digest,
            name: artifact.name,
            kind: artifact.kind,
            bytes: artifact.bytes,
            unpacked_bytes: artifact.unpacked_bytes,
            architectures: artifact.architectures,
            uploaded_at: artifact.uploaded_at,
        });
        Ok(ArtifactList {
            artifacts: artifacts.collect(),
            used_bytes: self.store.artifact_bytes(tenant)?,
            quota_bytes: self.quota,
            max_upload_bytes: MAX_UPLOAD_BYTES,
        })
    }
}

/// There is no such artifact of the tenant.
pub fn no_artifact(digest: &ArtifactDigest) -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        format!("There is no artifact {digest}. List the artifacts for their digests, or upload the file."),
    )
}

/// Whether the data folder has this artifact's bytes.
pub(crate) fn is_there(data: &Path, artifact: &Artifact) -> bool {
    has_bytes(&data.join(ARTIFACTS), artifact)
}

fn has_bytes(folder: &Path, artifact: &Artifact) -> bool {
    fs::metadata(path_in(folder, &artifact.digest)).is_ok_and(|file| file.len() == artifact.bytes)
}

fn path_in(folder: &Path, digest: &ArtifactDigest) -> PathBuf {
    folder.join(&digest.as_str()[..2]).join(digest.as_str())
}

//! What tenants have uploaded, and what they are uploading. The bytes lie beside the store (`crate::artifacts`); here is whose they
//! are, what they are, and to which devices they may be sent.
//!
//! The bytes of an artifact may belong to several tenants: each has a row of its own and pays for it, and none sees another's.

use ecep_proto::api::{
    artifact::{ArtifactDigest, ArtifactKind},
    error::ErrorKind,
    name::{ApplicationName, DeviceId, TenantSlug},
};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, table::abort, tree::Transactional};

/// How long an upload is kept after it was begun, and what came of it after its end: a day, in which whoever lost the answer asks.
pub const KEEP_UPLOADS_MS: u64 = 24 * 60 * 60 * 1_000;
/// Uploads of a tenant that have not ended: many people's at once.
const MAX_OPEN_UPLOADS: usize = 100;
/// Uploads of a tenant that have ended and are remembered. Policy: the oldest is forgotten.
const MAX_ENDED_UPLOADS: usize = 500;
/// Artifacts of a tenant: what a list in one message may hold.
const MAX_ARTIFACTS: usize = 2_000;
/// How long a device may fetch an artifact after it was ordered to run it: a day. A later attempt comes with a new order.
pub const DELIVER_WITHIN_MS: u64 = 24 * 60 * 60 * 1_000;

/// A file that is being uploaded, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id, which is also its file's name.
    pub id: String,
    /// Whose.
    pub tenant: TenantSlug,
    /// What the file is called.
    pub name: String,
    /// Bytes of the whole file.
    pub bytes: u64,
    /// What the client says that its digest is.
    pub digest: Option<ArtifactDigest>,
    /// When it was begun, in milliseconds since 1970.
    pub begun_at: u64,
    /// What came of it; none while it goes on.
    pub end: Option<UploadEnd>,
}

/// What came of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadEnd {
    /// An artifact.
    Artifact(ArtifactDigest),
    /// Nothing.
    Refused {
        /// For programs.
        kind: ErrorKind,
        /// For people.
        detail: String,
    },
}

/// An artifact of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Whose.
    pub tenant: TenantSlug,
    /// The digest of its bytes.
    pub digest: ArtifactDigest,
    /// What the file was called.
    pub name: String,
    /// What it was found to be.
    pub kind: ArtifactKind,
    /// Bytes, as they were uploaded.
    pub bytes: u64,
    /// Bytes of all that is in it.
    pub unpacked_bytes: u64,
    /// For which architectures its image is.
    pub architectures: Vec<String>,
    /// When it was uploaded, in milliseconds since 1970.
    pub uploaded_at: u64,
}

/// A device was ordered to run an artifact of a tenant, and may fetch it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// To which device.
    pub device: DeviceId,
    /// Whose.
    pub tenant: TenantSlug,
    /// Which.
    pub digest: ArtifactDigest,
    /// When it was ordered, in milliseconds since 1970.
    pub at: u64,
}

impl Store {
    /// Begins an upload, if the quota has room for all of it.
    ///
    /// # Errors
    /// `Limit` where it has not, or too many uploads go on; `Conflict` where the tenant was deleted; else see [`StoreError`].
    pub async fn begin_upload(&self, upload: &Upload, quota: u64) -> Result<(), StoreError> {
        {
            let _alone = self.alone();
            self.check_tenant(&upload.tenant)?;
            let used = self.artifact_bytes(&upload.tenant)?;
            let left = quota.saturating_sub(used);
            if upload.bytes > left {
                return Err(StoreError::Limit(format!(
                    "The file has {} bytes, and {left} of the tenant's {quota} bytes are left. Delete artifacts that no version needs, or give unfinished uploads up.",
                    upload.bytes
                )));
            }
            let mut uploads = self.uploads_of(&upload.tenant)?;
            let open = uploads.iter().filter(|one| one.end.is_none()).count();
            if open >= MAX_OPEN_UPLOADS {
                return Err(StoreError::Limit(format!(
                    "{open} uploads of this tenant have not ended, and no more are kept. Finish or cancel some; they end by themselves after a day."
                )));
            }
            uploads.retain(|one| one.end.is_some());
            uploads.sort_by_key(|one| one.begun_at);
            let too_many = (uploads.len() + 1).saturating_sub(MAX_ENDED_UPLOADS);
            for old in uploads.into_iter().take(too_many) {
                self.uploads.remove(&upload_key(&old.tenant, &old.id))?;
            }
            self.uploads.put(&upload_key(&upload.tenant, &upload.id), upload)?;
        }
        self.flush().await
    }

    /// The tenant's upload of this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn upload(&self, tenant: &TenantSlug, id: &str) -> Result<Option<Upload>, StoreError> {
        // What stands in a path may be anything; ids have letters and digits only.
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        self.uploads.get(&upload_key(tenant, id))
    }

    /// Every upload, of all tenants.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn uploads(&self) -> Result<Vec<Upload>, StoreError> {
        Ok(self.uploads.rows()?.into_iter().map(|(_, upload)| upload).collect())
    }

    /// The upload has become this artifact, which is the tenant's from now on. One that it had already stays as it was.
    ///
    /// # Errors
    /// `Limit` where the tenant has too many; `Conflict` where the upload was given up meanwhile; else see [`StoreError`].
    pub async fn end_upload(&self, upload: &Upload, artifact: &Artifact) -> Result<(), StoreError> {
        let key = upload_key(&upload.tenant, &upload.id);
        let of_tenant = artifact_key(&artifact.tenant, &artifact.digest);
        {
            let _alone = self.alone();
            let is_new = self.artifacts.get(&of_tenant)?.is_none();
            if is_new && self.artifacts.count_under(&prefix(&artifact.tenant)) >= MAX_ARTIFACTS {
                return Err(StoreError::Limit(format!(
                    "This tenant has {MAX_ARTIFACTS} artifacts, and no more are kept. Delete some that no version needs."
                )));
            }
            (&self.uploads.tree, &self.artifacts.tree).transaction(|(uploads, artifacts)| {
                let (uploads, artifacts) = (self.uploads.within(uploads), self.artifacts.within(artifacts));
                let Some(mut row) = uploads.get(&key)? else {
                    return Err(abort(StoreError::Conflict("This upload was given up.".to_owned())));
                };
                row.end = Some(UploadEnd::Artifact(artifact.digest.clone()));
                uploads.put(&key, &row)?;
                if is_new {
                    artifacts.put(&of_tenant, artifact)?;
                }
                Ok(())
            })?;
        }
        self.flush().await
    }

    /// Nothing has come of the upload; its bytes count no more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn refuse_upload(
        &self,
        upload: &Upload,
        kind: ErrorKind,
        detail: &str,
    ) -> Result<(), StoreError> {
        let end = UploadEnd::Refused { kind, detail: detail.to_owned() };
        self.uploads.change(&upload_key(&upload.tenant, &upload.id), |row| row.end = Some(end.clone()))?;
        self.flush().await
    }

    /// Forgets an upload; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_upload(&self, tenant: &TenantSlug, id: &str) -> Result<bool, StoreError> {
        let was_there = self.uploads.remove(&upload_key(tenant, id))?;
        self.flush().await?;
        Ok(was_there)
    }

    /// Forgets an upload that nobody was answered about yet; not awaited to disk.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn forget_upload(&self, tenant: &TenantSlug, id: &str) -> Result<(), StoreError> {
        self.uploads.remove(&upload_key(tenant, id))?;
        Ok(())
    }

    /// A tenant's artifacts, the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn artifacts(&self, tenant: &TenantSlug) -> Result<Vec<Artifact>, StoreError> {
        let rows = self.artifacts.rows_under(&prefix(tenant))?;
        let mut artifacts: Vec<Artifact> = rows.into_iter().map(|(_, artifact)| artifact).collect();
        artifacts.sort_by(|a, b| b.uploaded_at.cmp(&a.uploaded_at).then_with(|| a.digest.cmp(&b.digest)));
        Ok(artifacts)
    }

    /// Every artifact, of all tenants.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn all_artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        Ok(self.artifacts.rows()?.into_iter().map(|(_, artifact)| artifact).collect())
    }

    /// One of the tenant's artifacts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn artifact(
        &self,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<Option<Artifact>, StoreError> {
        self.artifacts.get(&artifact_key(tenant, digest))
    }

    /// Bytes of the tenant's artifacts, and of what it is uploading.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn artifact_bytes(&self, tenant: &TenantSlug) -> Result<u64, StoreError> {
        let stored: u64 = self.artifacts(tenant)?.iter().map(|artifact| artifact.bytes).sum();
        let open = self.uploads_of(tenant)?.into_iter().filter(|upload| upload.end.is_none());
        Ok(stored.saturating_add(open.map(|upload| upload.bytes).sum()))
    }

    /// Takes an artifact from its tenant; whether it had it.
    ///
    /// # Errors
    /// `Conflict` while versions need it; else see [`StoreError`].
    pub async fn remove_artifact(
        &self,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<bool, StoreError> {
        let was_there = {
            let _alone = self.alone();
            if let Some(users) = self.artifact_users(tenant)?.get(digest) {
                let users: Vec<&str> = users.iter().map(ApplicationName::as_str).collect();
                return Err(StoreError::Conflict(format!(
                    "Versions of {} need this artifact. Delete these versions, then the artifact.",
                    users.join(", ")
                )));
            }
            self.artifacts.remove(&artifact_key(tenant, digest))?
        };
        self.flush().await?;
        Ok(was_there)
    }

    /// Whether any tenant has an artifact of this digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn has_artifact(&self, digest: &ArtifactDigest) -> Result<bool, StoreError> {
        Ok(self.all_artifacts()?.iter().any(|artifact| artifact.digest == *digest))
    }

    /// The devices may fetch the artifacts from now on.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_deliveries(&self, deliveries: &[Delivery]) -> Result<(), StoreError> {
        for one in deliveries {
            self.deliveries.put(&delivery_key(&one.device, &one.tenant, &one.digest), one)?;
        }
        self.flush().await
    }

    /// Whether the device was ordered lately to run this artifact of the tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn may_fetch(
        &self,
        now: u64,
        device: &DeviceId,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<bool, StoreError> {
        let delivery = self.deliveries.get(&delivery_key(device, tenant, digest))?;
        Ok(delivery.is_some_and(|delivery| now.saturating_sub(delivery.at) < DELIVER_WITHIN_MS))
    }

    /// Forgets uploads that were begun before this time, and gives their ids; and orders that are as old.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_uploads(&self, now: u64) -> Result<Vec<Upload>, StoreError> {
        let is_old = |at: u64, keep: u64| now.saturating_sub(at) >= keep;
        let old = self.uploads()?.into_iter().filter(|upload| is_old(upload.begun_at, KEEP_UPLOADS_MS));
        let old: Vec<Upload> = old.collect();
        for upload in &old {
            self.uploads.remove(&upload_key(&upload.tenant, &upload.id))?;
        }
        self.deliveries.retain(|delivery| !is_old(delivery.at, DELIVER_WITHIN_MS))?;
        self.flush().await?;
        Ok(old)
    }

    fn uploads_of(&self, tenant: &TenantSlug) -> Result<Vec<Upload>, StoreError> {
        Ok(self.uploads.rows_under(&prefix(tenant))?.into_iter().map(|(_, upload)| upload).collect())
    }
}

pub(super) fn prefix(tenant: &TenantSlug) -> String {
    format!("{tenant}/")
}

pub(super) fn upload_key(tenant: &TenantSlug, id: &str) -> String {
    format!("{tenant}/{id}")
}

pub(super) fn artifact_key(tenant: &TenantSlug, digest: &ArtifactDigest) -> String {
    format!("{tenant}/{digest}")
}

pub(super) fn delivery_key(device: &DeviceId, tenant: &TenantSlug, digest: &ArtifactDigest) -> String {
    format!("{device}/{tenant}/{digest}")
}

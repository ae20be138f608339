//! Files that devices brought: what they are. Their bytes lie beside the store, and are not known here.

use ecep_proto::api::{
    file::{FileId, StoredFile},
    name::TenantSlug,
};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, table::Table};

/// A file of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRow {
    /// Whose.
    pub tenant: TenantSlug,
    /// What it is.
    pub file: StoredFile,
}

/// The rows, by `<tenant>/<id>`.
pub(super) type StoredFiles = Table<StoredRow>;

pub(super) fn key_of(tenant: &TenantSlug, file: &FileId) -> String {
    format!("{tenant}/{file}")
}

impl Store {
    /// A file of the tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn stored_file(&self, tenant: &TenantSlug, file: &FileId) -> Result<Option<StoredFile>, StoreError> {
        Ok(self.stored_files.get(&key_of(tenant, file))?.map(|row| row.file))
    }

    /// All files of the tenant, the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn stored_files_of(&self, tenant: &TenantSlug) -> Result<Vec<StoredFile>, StoreError> {
        let rows = self.stored_files.rows_under(&format!("{tenant}/"))?;
        let mut files: Vec<StoredFile> = rows.into_iter().map(|(_, row)| row.file).collect();
        files.sort_by(|a, b| (b.stored_at, &b.file).cmp(&(a.stored_at, &a.file)));
        Ok(files)
    }

    /// All files of all tenants.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn stored_files(&self) -> Result<Vec<StoredRow>, StoreError> {
        Ok(self.stored_files.rows()?.into_iter().map(|(_, row)| row).collect())
    }

    /// Keeps a file, whose bytes are on the disk.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_stored_file(&self, tenant: &TenantSlug, file: &StoredFile) -> Result<(), StoreError> {
        let row = StoredRow { tenant: tenant.clone(), file: file.clone() };
        self.stored_files.put(&key_of(tenant, &file.file), &row)?;
        self.flush().await
    }

    /// Forgets a file; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_stored_file(&self, tenant: &TenantSlug, file: &FileId) -> Result<bool, StoreError> {
        let was_there = self.stored_files.remove(&key_of(tenant, file))?;
        self.flush().await?;
        Ok(was_there)
    }
}

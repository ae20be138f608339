//! Checkpoints on this device's disk: orders to save a container, to bring it back, to delete what was saved. A checkpoint
//! is a folder that is there whole or not at all; it holds memory and processes, the writable layer and the volumes.

mod copy;
mod disk;
mod note;
mod recovery;
mod restore;
mod save;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_fleet::quota::Action;
use ecep_proto::api::{
    checkpoint::{CheckpointContainer, CheckpointList, CheckpointQuery, DeleteCheckpoint, RestoreContainer},
    error::{ApiError, ErrorKind},
    name::{CheckpointName, ContainerId, DeviceId, TenantSlug},
};
use tokio::task::spawn_blocking;

pub(crate) use copy::{CHECKPOINT, Copy};

use crate::{
    engine::{Engine, EngineContainer, docker::mobility::Mobility},
    operations::What,
    orders::{Accepted, Orders},
    policy::Policy,
};

/// The folder of checkpoints, in the agent's data folder.
const FOLDER: &str = "checkpoints";
/// The folder of checkpoints that were put into none.
const COMMON: &str = "common";

impl<E: Engine> Orders<E> {
    /// Saves a container.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn checkpoint(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: CheckpointContainer,
    ) -> Result<Accepted, ApiError> {
        self.quotas.allow(tenant, Action::Checkpoint)?;
        let what = What::new("container.checkpoint", &order);
        let (operation, container) = (order.operation.clone(), order.container.clone());
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name)?;
        let (this, tenant_of) = (Arc::clone(self), tenant.clone());
        self.with_container(tenant, operation, what, container, move |engine, found, report| {
            Box::pin(async move {
                this.quotas.allow_on_disk(&tenant_of, Action::Checkpoint, 0).await?;
                let places = (place.as_path(), this.policy_folder.as_path());
                let saved = save::save(&*engine, &tenant_of, &found, places, &order, &report).await;
                if saved.is_err() {
                    this.settle(&found.view().id).await;
                }
                saved
            })
        })
    }

    /// Brings a container back as it was saved.
    ///
    /// # Errors
    /// Why it cannot be accepted.
    pub fn restore(
        self: &Arc<Self>,
        tenant: &TenantSlug,
        order: RestoreContainer,
    ) -> Result<Accepted, ApiError> {
        self.quotas.allow(tenant, Action::Restore)?;
        let what = What::new("container.restore", &order);
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name)?;
        let target = order.into.clone().unwrap_or_else(|| order.container.clone());
        let (this, tenant_of) = (Arc::clone(self), tenant.clone());
        self.with_container(tenant, order.operation, what, target, move |engine, found, report| {
            Box::pin(async move {
                this.quotas.allow_on_disk(&tenant_of, Action::Restore, 0).await?;
                let places = (place.as_path(), this.policy_folder.as_path());
                let restored = restore::restore(&*engine, &tenant_of, &found, places, &report).await;
                if restored.is_err() {
                    this.settle(&found.view().id).await;
                }
                restored
            })
        })
    }

    /// Deletes a checkpoint.
    ///
    /// # Errors
    /// `NotFound`, or the disk refuses.
    pub async fn delete_checkpoint(
        &self,
        tenant: &TenantSlug,
        order: DeleteCheckpoint,
    ) -> Result<(), ApiError> {
        let place = self.place(tenant, order.directory.as_ref(), &order.container, &order.name)?;
        disk::read(&place).ok_or_else(not_found)?;
        blocking(move || disk::delete(&place)).await
    }

    /// The tenant's checkpoints, the newest first.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn checkpoints(
        &self,
        tenant: &TenantSlug,
        query: CheckpointQuery,
    ) -> Result<CheckpointList, ApiError> {
        let (roots, tenant) = (self.roots()?, tenant.clone());
        let mut checkpoints = blocking(move || disk::list(&roots, &tenant)).await?;
        checkpoints
            .retain(|view| query.container.as_ref().is_none_or(|container| view.container == *container));
        checkpoints.sort_by_key(|view| std::cmp::Reverse(view.created_at));
        Ok(CheckpointList { checkpoints })
    }

    /// Where a checkpoint is: in a directory that the device's owner has named, or else in the agent's own folder.
    pub(super) fn place(
        &self,
        tenant: &TenantSlug,
        directory: Option<&CheckpointName>,
        container: &ContainerId,
        name: &CheckpointName,
    ) -> Result<PathBuf, ApiError> {
        let named = directory.map(CheckpointName::as_str);
        let policy = self.policy()?;
        let root = match named.and_then(|named| policy.checkpoint_directory(named)) {
            // Devices may share a disk.
            Some(root) if root.is_dir() => root.join(self.device.as_str()),
            Some(_) => {
                return Err(ApiError::new(
                    ErrorKind::Unavailable,
                    format!(
                        "the device's checkpoint directory {} is not there; is its disk mounted?",
                        named.unwrap_or_default()
                    ),
                ));
            }
            None => self.policy_folder.join(FOLDER),
        };
        Ok(disk::place(&root, tenant, named.unwrap_or(COMMON), container, name))
    }

    /// Every folder that may have checkpoints.
    fn roots(&self) -> Result<Vec<PathBuf>, ApiError> {
        let own = self.policy_folder.join(FOLDER);
        let policy = self.policy()?;
        let named = policy.checkpoint_directories().map(|root| root.join(self.device.as_str()));
        Ok(std::iter::once(own).chain(named).collect())
    }
}

/// Bytes of all checkpoints of a tenant, in the agent's folder and in those that the device's owner has named in the policy there.
///
/// # Errors
/// The disk refuses.
pub(crate) async fn bytes_of(data: &Path, device: &DeviceId, tenant: &TenantSlug) -> Result<u64, ApiError> {
    let policy =
        Policy::load(data).map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
    let named = policy.checkpoint_directories().map(|root| root.join(device.as_str()));
    let roots: Vec<PathBuf> = std::iter::once(data.join(FOLDER)).chain(named).collect();
    let tenant = tenant.clone();
    let listed = blocking(move || disk::list(&roots, &tenant)).await?;
    Ok(listed.iter().map(|view| view.bytes).sum())
}

fn mobility<E: Engine>(engine: &E) -> Result<Mobility, ApiError> {
    engine
        .mobility()
        .ok_or_else(|| ApiError::new(ErrorKind::Unavailable, "this device's engine makes no checkpoints"))
}

fn targets(found: &EngineContainer) -> Vec<String> {
    found.detail.volumes.iter().map(|mount| mount.target.clone()).collect()
}

fn not_found() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "there is no such checkpoint; list the checkpoints for their names")
}

fn failed(error: &io::Error) -> ApiError {
    ApiError::new(ErrorKind::Engine, format!("the checkpoint: {error}"))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    outcome.map_err(|error| failed(&error))
}

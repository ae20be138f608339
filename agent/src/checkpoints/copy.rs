//! A checkpoint that comes from another device: a draft until it is whole. How it travels is not known here.

use std::path::{Path, PathBuf};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{CheckpointName, ContainerId, TenantSlug},
};
use tokio::sync::OwnedMutexGuard;

use super::{blocking, disk, failed, not_found};
use crate::{engine::Engine, orders::Orders};

/// What arrives, in the draft's folder.
const INBOX: &str = "inbox";
/// The checkpoint's name in the inbox.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// A checkpoint on its way here.
pub(crate) struct Copy {
    container: ContainerId,
    name: CheckpointName,
    directory: Option<CheckpointName>,
    place: PathBuf,
    draft: PathBuf,
    inbox: PathBuf,
    /// Two copies to the same place would write into each other.
    _held: OwnedMutexGuard<()>,
}

impl<E: Engine> Orders<E> {
    /// A checkpoint is about to come.
    ///
    /// # Errors
    /// `Conflict` where there is one of that name or one is coming.
    pub(crate) fn begin_copy(
        &self,
        tenant: &TenantSlug,
        directory: Option<&CheckpointName>,
        container: &ContainerId,
        name: &CheckpointName,
    ) -> Result<Copy, ApiError> {
        let place = self.place(tenant, directory, container, name)?;
        let conflict = |text: String| ApiError::new(ErrorKind::Conflict, text);
        if place.exists() {
            return Err(conflict(format!(
                "this device has a checkpoint {name} of container {container} already; delete it there first"
            )));
        }
        let held = self.locks.try_hold(&format!("copy/{}", place.display()));
        let held = held.ok_or_else(|| conflict(format!("checkpoint {name} is being copied here already")))?;
        let draft = disk::begin_copy(&place).map_err(|error| failed(&error))?;
        Ok(Copy {
            container: container.clone(),
            name: name.clone(),
            directory: directory.cloned(),
            place,
            inbox: draft.join(INBOX),
            draft,
            _held: held,
        })
    }

    /// Where a checkpoint lies that is whole.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn whole_checkpoint(
        &self,
        tenant: &TenantSlug,
        directory: Option<&CheckpointName>,
        container: &ContainerId,
        name: &CheckpointName,
    ) -> Result<PathBuf, ApiError> {
        let place = self.place(tenant, directory, container, name)?;
        disk::read(&place).map(|_| place).ok_or_else(not_found)
    }
}

impl Copy {
    /// Where it arrives, as an item named [`CHECKPOINT`].
    pub(crate) fn inbox(&self) -> &Path {
        &self.inbox
    }

    /// It is whole: from now on it is a checkpoint of this device.
    ///
    /// # Errors
    /// It is not what was announced, or the disk refuses; nothing of it is left then.
    pub(crate) async fn keep(self) -> Result<(), ApiError> {
        let arrived = self.inbox.join(CHECKPOINT);
        let record = disk::read(&arrived);
        let expected =
            record.filter(|record| record.view.container == self.container && record.view.name == self.name);
        let Some(mut record) = expected else {
            return Err(ApiError::new(
                ErrorKind::Engine,
                "what arrived is not the checkpoint that was announced",
            ));
        };
        record.view.directory.clone_from(&self.directory);
        let place = self.place.clone();
        blocking(move || disk::take_over(&arrived, &record, &place)).await
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left of it goes at the agent's next start.
        if let Err(error) = disk::remove(&self.draft) {
            tracing::warn!(draft = %self.draft.display(), %error, "a draft is left");
        }
    }
}

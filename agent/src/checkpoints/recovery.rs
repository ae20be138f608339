//! Ends what an agent that was killed has begun: a container that it froze goes on, a checkpoint is whole or gone, a container
//! that it was bringing back is stopped with the files of the checkpoint, or runs.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use ecep_proto::api::{error::ApiError, name::TenantSlug};
use ecep_runtime::freezer;
use tokio::{sync::OwnedMutexGuard, time::sleep};

use super::{
    blocking, disk, mobility,
    restore::Mark,
    save::{end, thaw},
};
use crate::{
    engine::{Engine, EngineError},
    migration::saving,
    orders::Orders,
    restoring,
};

/// Between attempts: the engine may be starting, too.
const RETRY_EVERY: Duration = Duration::from_secs(1);

impl<E: Engine> Orders<E> {
    /// Ends what was under way when the agent ended. To be called before orders are taken: whoever orders something for such a
    /// container waits.
    ///
    /// # Errors
    /// The folders cannot be read.
    pub fn recover_checkpoints(self: &Arc<Self>) -> io::Result<()> {
        // A policy that cannot be read allows no directories either.
        let roots = self.roots().unwrap_or_else(|_| vec![self.policy_folder.join(super::FOLDER)]);
        for (tenant, container, draft) in disk::drafts(&roots)? {
            let (this, held) = (Arc::clone(self), self.locks.try_hold(container.as_str()));
            tracing::info!(%container, draft = %draft.display(), "ending a checkpoint that was under way");
            tokio::spawn(async move { this.insist(held, || this.end_draft(&tenant, &draft)).await });
        }
        for (file, mark) in Mark::read_all(&self.policy_folder)? {
            let (this, held) = (Arc::clone(self), self.locks.try_hold(mark.container.as_str()));
            tracing::info!(container = %mark.container, "ending a restore that was under way");
            tokio::spawn(async move { this.insist(held, || this.end_restore(&file, &mark)).await });
        }
        Ok(())
    }

    async fn insist<F: Future<Output = Result<(), ApiError>>>(
        &self,
        held: Option<OwnedMutexGuard<()>>,
        step: impl Fn() -> F,
    ) {
        let mut last = None;
        while let Err(error) = step().await {
            if last.as_ref() != Some(&error.message) {
                tracing::warn!(%error, "cannot end this yet; trying again");
            }
            last = Some(error.message);
            sleep(RETRY_EVERY).await;
        }
        drop(held);
    }

    async fn end_draft(&self, tenant: &TenantSlug, draft: &Path) -> Result<(), ApiError> {
        let mobility = mobility(&*self.engine)?;
        let folder = draft.to_owned();
        blocking(move || {
            saving::wait_for_dumps(&folder);
            Ok(())
        })
        .await?;
        let is_complete = disk::is_complete(draft);
        if let Some(begun) = disk::read_draft(draft) {
            let portrait = match mobility.portrait(tenant, &begun.engine_id, false).await {
                Ok(portrait) => Some(portrait),
                Err(EngineError::NotFound(_)) => None,
                Err(error) => return Err(error.into_api()),
            };
            let frozen = portrait.filter(|portrait| {
                !portrait.is_paused
                    && portrait.pid.is_some_and(|pid| freezer::is_frozen(pid).unwrap_or_default())
            });
            match frozen {
                Some(portrait) if is_complete && !begun.leave_running => end(&mobility, &portrait).await?,
                Some(portrait) => thaw(&portrait).await?,
                None => {}
            }
        }
        let folder = draft.to_owned();
        blocking(move || if is_complete { disk::finish(&folder) } else { disk::remove(&folder) }).await
    }

    async fn end_restore(&self, file: &Path, mark: &Mark) -> Result<(), ApiError> {
        let mobility = mobility(&*self.engine)?;
        match mobility.portrait(&mark.tenant, &mark.engine_id, false).await {
            Ok(portrait) if !portrait.is_running && disk::is_complete(&mark.place) => {
                let place = mark.place.clone();
                blocking(move || disk::put_back(&place, &portrait)).await?;
            }
            Ok(_) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error.into_api()),
        }
        let (engine_id, file) = (mark.engine_id.clone(), file.to_owned());
        blocking(move || {
            restoring::clear(&engine_id).map_err(io::Error::other)?;
            fs::remove_file(&file)
        })
        .await
    }
}

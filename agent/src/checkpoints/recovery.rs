//! Ends what was begun and did not end by itself, because the agent was killed or the engine went away: a container that was
//! frozen goes on, a checkpoint is whole or gone, a container that was being brought back runs so, or is stopped.

use std::{io, sync::Arc, time::Duration};

use ecep_proto::api::{error::ApiError, name::ContainerId};
use ecep_runtime::{
    freezer::{self, FreezeError},
    order::{Orders as RestoreOrders, Outcome, Progress},
};
use tokio::time::{Instant, sleep};

use super::{
    blocking, disk, mobility,
    note::{Note, Work},
    save::end,
};
use crate::{
    engine::{Engine, EngineError},
    migration::saving,
    orders::Orders,
    restoring,
};

/// Between attempts: the engine may be starting, too.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// An agent that is told to end lets what it has frozen go on first: within systemd's own patience.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at whether everything is settled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl<E: Engine> Orders<E> {
    /// Ends what was under way when the agent ended. To be called before orders are taken: whoever orders something for such a
    /// container waits.
    ///
    /// # Errors
    /// The agent's folder cannot be read.
    pub fn recover_checkpoints(self: &Arc<Self>) -> io::Result<()> {
        disk::sweep(&self.policy_folder.join(super::FOLDER))?;
        for note in Note::read_all(&self.policy_folder)? {
            let (this, held) = (Arc::clone(self), self.locks.try_hold(note.container.as_str()));
            tracing::info!(container = %note.container, "ending a checkpoint or a restore that was under way");
            tokio::spawn(async move {
                this.settle(&note.container).await;
                drop(held);
            });
        }
        Ok(())
    }

    /// Ends what is noted about a container, however long that takes. Whoever calls it holds the container.
    pub(super) async fn settle(&self, container: &ContainerId) {
        let mut last = None;
        while let Some(note) = Note::read(&self.policy_folder, container) {
            let settled = self.try_settle(&note).await;
            let removed = settled.and_then(|()| {
                Note::remove(&self.policy_folder, container).map_err(|error| super::failed(&error))
            });
            let Err(error) = removed else { return };
            if last.as_ref() != Some(&error.message) {
                tracing::warn!(%container, %error, "cannot end this yet; trying again");
            }
            last = Some(error.message);
            sleep(RETRY_EVERY).await;
        }
    }

    /// Waits until nothing is under way any more, since an agent that ends leaves frozen what it has frozen; not for ever.
    pub async fn settled(&self) {
        let since = Instant::now();
        let is_busy = || Note::read_all(&self.policy_folder).is_ok_and(|notes| !notes.is_empty());
        while since.elapsed() < SETTLE_LIMIT && is_busy() {
            sleep(LOOK_EVERY).await;
        }
    }

    async fn try_settle(&self, note: &Note) -> Result<(), ApiError> {
        let mobility = mobility(&*self.engine)?;
        match note.work.clone() {
            Work::Saving { draft, leave_running, process } => {
                let folder = draft.clone();
                blocking(move || {
                    saving::wait_for_dumps(&folder);
                    Ok(())
                })
                .await?;
                let is_complete = disk::is_complete(&draft);
                // In a move it is frozen for that, and the authority decides.
                let is_moving = self.moving.refuse_if_moving(&note.container).is_err();
                if process.is_there() && !is_moving {
                    if is_complete && !leave_running {
                        end(&mobility, &note.engine_id, process.pid).await?;
                    } else {
                        // One that is only about to freeze must not do so either.
                        match freezer::thaw(process.pid) {
                            Ok(()) | Err(FreezeError::NoCgroup(_)) => {}
                            Err(error) => return Err(super::failed(&io::Error::other(error))),
                        }
                    }
                }
                let ended =
                    blocking(move || if is_complete { disk::finish(&draft) } else { disk::remove(&draft) })
                        .await;
                if let Err(error) = ended {
                    // The container is settled, which is what others wait for.
                    tracing::warn!(container = %note.container, %error, "a checkpoint's files could not be put in order");
                }
            }
            Work::PuttingBack { place } => {
                match mobility.portrait(&note.tenant, &note.engine_id, false).await {
                    Ok(portrait) if !portrait.is_running => {
                        blocking(move || disk::put_back(&place, &portrait)).await?;
                    }
                    Ok(_) | Err(EngineError::NotFound(_)) => {}
                    Err(error) => return Err(error.into_api()),
                }
            }
            Work::Starting => {
                let progress = RestoreOrders::from_environment().progress(&note.engine_id);
                let is_restored = matches!(progress, Ok(Some(Progress::Finished(Outcome::Restored { .. }))));
                if !is_restored {
                    // Should it have come up afresh: better stopped than without its state.
                    match self.engine.stop(&note.engine_id, 0).await {
                        Ok(()) | Err(EngineError::NotFound(_)) => {}
                        Err(error) => return Err(error.into_api()),
                    }
                }
                let engine_id = note.engine_id.clone();
                blocking(move || restoring::clear(&engine_id).map_err(io::Error::other)).await?;
            }
        }
        Ok(())
    }
}

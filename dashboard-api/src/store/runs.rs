//! Applications that ran once: how each ended, and what it left. The device deletes the container after the answer, so a row is on disk
//! before.

use ecep_proto::api::{application::RunView, name::TenantSlug};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, artifacts::prefix};

/// Runs that are kept of a tenant: one an hour for six weeks. Policy: the oldest is forgotten; the files that it left stay.
pub const MAX_RUNS_OF_A_TENANT: usize = 1_000;

/// A run, and whose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// Whose.
    pub tenant: TenantSlug,
    /// As people see it.
    pub view: RunView,
}

impl Store {
    /// Keeps a run, on disk when this returns. One that is known stays as it was first told; it is given then. No two of a tenant end at the
    /// same time, so that a list can go on behind any of them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn add_run(&self, mut run: StoredRun) -> Result<StoredRun, StoreError> {
        let kept = {
            let _alone = self.alone();
            self.check_tenant(&run.tenant)?;
            let key = run_key(&run);
            match self.runs.get(&key)? {
                Some(known) => known,
                None => {
                    let mut others = self.runs.rows_under(&prefix(&run.tenant))?;
                    others.sort_by_key(|(_, other)| other.view.ended_at);
                    let newest = others.last().map_or(0, |(_, newest)| newest.view.ended_at);
                    run.view.ended_at = run.view.ended_at.max(newest + 1);
                    let too_many = (others.len() + 1).saturating_sub(MAX_RUNS_OF_A_TENANT);
                    for (old, _) in others.into_iter().take(too_many) {
                        self.runs.remove(&old)?;
                    }
                    self.runs.put(&key, &run)?;
                    run
                }
            }
        };
        self.flush().await?;
        Ok(kept)
    }

    /// A tenant's runs, the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn runs(&self, tenant: &TenantSlug) -> Result<Vec<RunView>, StoreError> {
        let mut runs: Vec<RunView> =
            self.runs.rows_under(&prefix(tenant))?.into_iter().map(|(_, run)| run.view).collect();
        runs.sort_by(|a, b| {
            b.ended_at.cmp(&a.ended_at).then_with(|| a.container.id.as_str().cmp(b.container.id.as_str()))
        });
        Ok(runs)
    }
}

/// A container runs once.
pub(super) fn run_key(run: &StoredRun) -> String {
    format!("{}/{}", run.tenant, run.view.container.id)
}

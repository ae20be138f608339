//! Copies that stay on this device, stopped, after their containers have moved away: to list them and to delete them. Deleting is
//! the only thing that is ever done with one.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    kept::{DeleteKept, KeptList, KeptQuery},
    name::TenantSlug,
};

use crate::{
    engine::{Engine, EngineError, docker::kept::Kept},
    orders::Orders,
};

impl<E: Engine> Orders<E> {
    /// The tenant's kept copies, the newest first.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn kept(&self, tenant: &TenantSlug, query: KeptQuery) -> Result<KeptList, ApiError> {
        let mut kept: Vec<_> = self.all_kept(tenant).await?.into_iter().map(|kept| kept.view).collect();
        kept.retain(|view| query.container.as_ref().is_none_or(|container| view.container == *container));
        kept.sort_by_key(|view| std::cmp::Reverse(view.kept_at));
        Ok(KeptList { kept })
    }

    /// Deletes one.
    ///
    /// # Errors
    /// `NotFound`, or the engine's own.
    pub async fn delete_kept(&self, tenant: &TenantSlug, order: DeleteKept) -> Result<(), ApiError> {
        let is_meant =
            |kept: &Kept| kept.view.container == order.container && kept.view.migration == order.migration;
        let found = self.all_kept(tenant).await?.into_iter().find(is_meant).ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotFound,
                format!(
                    "move {} has left no copy of {} on device {}; list the kept copies",
                    order.migration, order.container, self.device
                ),
            )
        })?;
        let Some(mobility) = self.engine.mobility() else { return Ok(()) };
        mobility.remove_kept(&found).await.map_err(EngineError::into_api)
    }

    /// An engine whose containers cannot be moved keeps none.
    async fn all_kept(&self, tenant: &TenantSlug) -> Result<Vec<Kept>, ApiError> {
        match self.engine.mobility() {
            Some(mobility) => mobility.kept(tenant).await.map_err(EngineError::into_api),
            None => Ok(Vec::new()),
        }
    }
}

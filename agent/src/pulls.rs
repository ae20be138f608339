//! How many images are pulled at once, and how many orders of one tenant may wait for a pull.
//!
//! Knows nothing of engines: a registry that does not answer must not use up the device's other orders.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::TenantSlug,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Pulls at once, counted apart from other work: they take minutes, and nothing else may wait for them.
const MAX_AT_ONCE: usize = 2;
/// Orders of one tenant that pull or wait for it; more are refused. An application of a dozen images can be ordered
/// at once, and a registry that does not answer leaves three quarters of the device's operations to other orders.
const MAX_OF_TENANT: usize = 16;

/// The places for pulls.
#[derive(Debug)]
pub(crate) struct Pulls {
    at_once: Semaphore,
    by_tenant: Mutex<HashMap<TenantSlug, Arc<Semaphore>>>,
}

impl Default for Pulls {
    fn default() -> Self {
        Self { at_once: Semaphore::new(MAX_AT_ONCE), by_tenant: Mutex::default() }
    }
}

impl Pulls {
    /// One of the tenant's places, to wait and to pull in.
    ///
    /// # Errors
    /// `Limit` if the tenant has all of them.
    pub(crate) fn enter(&self, tenant: &TenantSlug) -> Result<OwnedSemaphorePermit, ApiError> {
        let mut by_tenant = self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner);
        by_tenant.retain(|_, places| Arc::strong_count(places) > 1);
        let places =
            by_tenant.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(MAX_OF_TENANT)));
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            ApiError::new(
                ErrorKind::Limit,
                format!(
                    "{MAX_OF_TENANT} orders of tenant {tenant} pull images on this device or wait for it; let some \
                     of them end, then order again"
                ),
            )
        })
    }

    /// Waits for the turn to pull.
    ///
    /// # Errors
    /// `Unavailable` while the agent stops.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let turn = self.at_once.acquire().await;
        turn.map_err(|_| ApiError::new(ErrorKind::Unavailable, "the agent is stopping"))
    }
}

//! What each tenant may begin on this device: the terms of its share, kept on disk so that they hold while the cloud is away, and
//! what is left of its quota by what the engine and the disk say.
//!
//! The rules are `ecep_fleet::quota`. The device's owner has no terms, and is refused nothing here.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ecep_fleet::quota::{self, Action, Book, Demand, Holdings, Refused};
use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    fleet::Grants,
    name::{ContainerId, DeviceId, TenantSlug},
    share::{Allowance, GrantedTerms, ShareReport, TenantProblem},
};
use serde::{Deserialize, Serialize};

use crate::{
    durable,
    engine::{Engine, EngineError},
};

/// The file of the terms, in the agent's data folder.
const FILE: &str = "terms.json";
/// A measurement of the disk is good for this long: one order after the other must not measure each time.
const DISK_FRESH: Duration = Duration::from_secs(10);
/// The disk is measured this often while somebody has a quota of it: it costs the engine some work.
pub(crate) const MEASURE_EVERY: Duration = Duration::from_secs(60);

/// Who has a share, as the control plane said last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    revision: u64,
    /// None for the device's owner.
    tenants: BTreeMap<TenantSlug, Option<GrantedTerms>>,
}

/// The quotas of all tenants.
pub struct Quotas<E> {
    device: DeviceId,
    engine: Arc<E>,
    folder: PathBuf,
    /// None as long as the control plane has never told anything: then whoever has a way here is the owner.
    known: Mutex<Option<Known>>,
    book: Arc<Mutex<Book>>,
    /// One admission at a time: each lists what is there.
    admitting: tokio::sync::Mutex<()>,
    disk: Mutex<BTreeMap<TenantSlug, (u64, Instant)>>,
}

/// A container that was admitted: it holds its part of the quota until this is dropped, by when the engine lists it or it has failed.
#[must_use]
#[derive(Debug)]
pub struct Admitted(Option<(Arc<Mutex<Book>>, TenantSlug, ContainerId)>);

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some((book, tenant, container)) = self.0.take() {
            lock(&book).release(&tenant, &container);
        }
    }
}

impl<E: Engine> Quotas<E> {
    /// With the terms that are on disk, if there are any. A file that cannot be read is like terms that end all: the control plane
    /// tells them anew as soon as it is reached.
    pub fn new(device: DeviceId, engine: Arc<E>, folder: &Path) -> Self {
        let known = match std::fs::read(folder.join(FILE)) {
            Ok(text) => Some(serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, "{FILE} is damaged; nothing is begun until the control plane tells the terms");
                Known::default()
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "{FILE} cannot be read; nothing is begun until the control plane tells the terms");
                Some(Known::default())
            }
        };
        Self {
            device,
            engine,
            folder: folder.to_owned(),
            known: Mutex::new(known),
            book: Arc::default(),
            admitting: tokio::sync::Mutex::default(),
            disk: Mutex::default(),
        }
    }

    /// Takes over what the control plane has granted. They hold at once, also where the disk refuses them.
    pub fn follow(&self, grants: &Grants) {
        let tenants = grants.tenants.iter().map(|grant| (grant.tenant.clone(), grant.granted.clone()));
        let next = Known { revision: grants.revision, tenants: tenants.collect() };
        let mut known = lock(&self.known);
        if known.as_ref() == Some(&next) {
            return;
        }
        let text = serde_json::to_vec(&next).unwrap_or_default();
        *known = Some(next);
        if let Err(error) = durable::write(&self.folder.join(FILE), &text) {
            tracing::error!(%error, "the terms of shares are not on disk; they hold until the agent ends");
        }
    }

    /// A tenant's terms; none for the device's owner.
    ///
    /// # Errors
    /// `Unavailable` where the device does not know of any share of it.
    pub(crate) fn granted(&self, tenant: &TenantSlug) -> Result<Option<GrantedTerms>, ApiError> {
        let known = lock(&self.known);
        let Some(known) = known.as_ref() else { return Ok(None) };
        known.tenants.get(tenant).cloned().ok_or_else(|| {
            ApiError::new(
                ErrorKind::Unavailable,
                format!("the device has not heard yet that it is shared with tenant {tenant}; try again in a moment"),
            )
        })
    }

    /// Whether the tenant's terms name this; the owner's always do.
    ///
    /// # Errors
    /// As [`Quotas::granted`].
    pub(crate) fn is_allowed(&self, tenant: &TenantSlug, allowance: Allowance) -> Result<bool, ApiError> {
        Ok(self.granted(tenant)?.is_none_or(|granted| granted.terms.allow.contains(&allowance)))
    }

    /// Whether another tenant than the owner asks.
    pub(crate) fn is_guest(&self, tenant: &TenantSlug) -> bool {
        !matches!(self.granted(tenant), Ok(None))
    }

    /// Refuses what the terms do not allow.
    ///
    /// # Errors
    /// `Forbidden`, or as [`Quotas::granted`].
    pub(crate) fn allow(&self, tenant: &TenantSlug, action: Action) -> Result<(), ApiError> {
        match self.granted(tenant)? {
            None => Ok(()),
            Some(granted) => quota::allows(&granted, action).map_err(told),
        }
    }

    /// Refuses what the terms do not allow, or the disk quota has no room for.
    ///
    /// # Errors
    /// `Forbidden` or `Limit`; the engine's own.
    pub(crate) async fn allow_on_disk(
        &self,
        tenant: &TenantSlug,
        action: Action,
        bytes: u64,
    ) -> Result<(), ApiError> {
        let Some(granted) = self.granted(tenant)? else { return Ok(()) };
        quota::allows(&granted, action).map_err(told)?;
        self.check_disk(tenant, &granted, bytes).await
    }

    /// Bytes that the tenant may still bring here; none where it has no quota of the disk.
    ///
    /// # Errors
    /// As [`Quotas::allow_on_disk`].
    pub(crate) async fn disk_left(&self, tenant: &TenantSlug) -> Result<Option<u64>, ApiError> {
        let Some(most) = self.granted(tenant)?.and_then(|granted| granted.terms.quota.disk_bytes) else {
            return Ok(None);
        };
        Ok(Some(most.saturating_sub(self.disk_used(tenant).await?)))
    }

    /// Admits a container of the tenant: made here, or brought here with so many bytes.
    ///
    /// # Errors
    /// `Forbidden`, `Limit` or `InvalidArgument` with what is left and what to set; the engine's own.
    pub(crate) async fn admit(
        &self,
        tenant: &TenantSlug,
        container: &ContainerId,
        action: Action,
        wanted: Demand,
        bytes: u64,
    ) -> Result<Admitted, ApiError> {
        let Some(granted) = self.granted(tenant)? else { return Ok(Admitted(None)) };
        quota::allows(&granted, action).map_err(told)?;
        let _one_at_a_time = self.admitting.lock().await;
        self.check_disk(tenant, &granted, bytes).await?;
        let held = self.held(tenant).await?;
        // They may have changed meanwhile.
        let granted = self.granted(tenant)?.unwrap_or_default();
        quota::allows(&granted, action).map_err(told)?;
        let mut book = lock(&self.book);
        book.admit(tenant, container, &granted.terms.quota, &held, wanted).map_err(told)?;
        Ok(Admitted(Some((Arc::clone(&self.book), tenant.clone(), container.clone()))))
    }

    /// Why a container of the tenant would not be admitted now.
    ///
    /// # Errors
    /// The engine's own.
    pub(crate) async fn hindrance(
        &self,
        tenant: &TenantSlug,
        container: &ContainerId,
        action: Action,
        wanted: Demand,
        bytes: u64,
    ) -> Result<Option<String>, ApiError> {
        let granted = match self.granted(tenant) {
            Ok(None) => return Ok(None),
            Ok(Some(granted)) => granted,
            Err(error) => return Ok(Some(error.message)),
        };
        let held = self.held(tenant).await?;
        let used = if granted.terms.quota.disk_bytes.is_some() { self.disk_used(tenant).await? } else { 0 };
        let judged = quota::allows(&granted, action)
            .and_then(|()| quota::has_room(&granted.terms.quota, container, &held, wanted))
            .and_then(|()| quota::has_disk(&granted.terms.quota, used, bytes));
        Ok(judged.err().map(|refused| refused.to_string()))
    }

    /// Measures the disk of those who have a quota of it.
    pub(crate) async fn measure(&self) {
        for tenant in self.with_disk_quota() {
            if let Err(error) = self.measured(&tenant).await {
                tracing::debug!(%tenant, %error, "the disk's use was not measured");
            }
        }
    }

    /// What the control plane is to be told.
    pub(crate) fn report(&self) -> ShareReport {
        let known = lock(&self.known).clone().unwrap_or_default();
        let disk = lock(&self.disk);
        let problem = |(tenant, granted): (&TenantSlug, &Option<GrantedTerms>)| {
            let (used, _) = disk.get(tenant)?;
            let text = quota::disk_problem(&granted.as_ref()?.terms.quota, *used)?;
            Some(TenantProblem { tenant: tenant.clone(), text })
        };
        ShareReport {
            grants_revision: known.revision,
            busy: lock(&self.book).busy(),
            problems: known.tenants.iter().filter_map(problem).collect(),
        }
    }

    /// What is on its way, then what is there: whatever becomes a container between the two is in one of them.
    async fn held(&self, tenant: &TenantSlug) -> Result<Holdings, ApiError> {
        let mut held = lock(&self.book).on_its_way(tenant);
        let listed = self.engine.list().await.map_err(EngineError::into_api)?;
        let own = listed.into_iter().filter(|container| container.tenant == *tenant);
        held.extend(own.map(|container| (container.view().id.clone(), Demand::of(&container.detail.limits))));
        Ok(held)
    }

    async fn check_disk(
        &self,
        tenant: &TenantSlug,
        granted: &GrantedTerms,
        bytes: u64,
    ) -> Result<(), ApiError> {
        if granted.terms.quota.disk_bytes.is_none() {
            return Ok(());
        }
        let used = self.disk_used(tenant).await?;
        quota::has_disk(&granted.terms.quota, used, bytes).map_err(told)
    }

    async fn disk_used(&self, tenant: &TenantSlug) -> Result<u64, ApiError> {
        let known = lock(&self.disk).get(tenant).copied();
        match known.filter(|(_, at)| at.elapsed() < DISK_FRESH) {
            Some((used, _)) => Ok(used),
            None => self.measured(tenant).await,
        }
    }

    /// Bytes of a tenant's containers, volumes and checkpoints, measured now.
    async fn measured(&self, tenant: &TenantSlug) -> Result<u64, ApiError> {
        let used = self.engine.disk_used(tenant).await.map_err(EngineError::into_api)?;
        let saved = crate::checkpoints::bytes_of(&self.folder, &self.device, tenant).await?;
        let used = used.saturating_add(saved);
        lock(&self.disk).insert(tenant.clone(), (used, Instant::now()));
        Ok(used)
    }

    fn with_disk_quota(&self) -> Vec<TenantSlug> {
        let known = lock(&self.known).clone().unwrap_or_default();
        let has_one = |granted: &Option<GrantedTerms>| {
            granted.as_ref().is_some_and(|granted| granted.terms.quota.disk_bytes.is_some())
        };
        let with: Vec<TenantSlug> = known
            .tenants
            .into_iter()
            .filter(|(_, granted)| has_one(granted))
            .map(|(tenant, _)| tenant)
            .collect();
        lock(&self.disk).retain(|tenant, _| with.contains(tenant));
        with
    }
}

fn told(refused: Refused) -> ApiError {
    let kind = match &refused {
        Refused::Terms(_) => ErrorKind::Forbidden,
        Refused::Quota(_) => ErrorKind::Limit,
        Refused::NoLimit(_) => ErrorKind::InvalidArgument,
    };
    ApiError::new(kind, refused.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::{
        fleet::TenantGrant,
        share::{Quota, Terms},
    };

    use super::*;
    use crate::engine::sim::SimEngine;

    fn quotas(folder: &Path) -> Quotas<SimEngine> {
        Quotas::new("edge-1".parse().unwrap(), Arc::default(), folder)
    }

    fn grants(granted: Option<GrantedTerms>) -> Grants {
        let grant = |tenant: &str, granted| TenantGrant {
            tenant: tenant.parse().unwrap(),
            realm: String::new(),
            ticket: "never on disk".to_owned(),
            granted,
        };
        Grants { revision: 7, tenants: vec![grant("acme", None), grant("globex", granted)], papers: None }
    }

    /// Terms must hold while the cloud is away, also for an agent that was started again; and no ticket may be kept with them.
    #[tokio::test]
    async fn terms_outlive_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let quota = Quota { containers: Some(0), ..Quota::default() };
        let granted = GrantedTerms { terms: Terms { quota, allow: vec![] }, is_ending: false };
        quotas(folder.path()).follow(&grants(Some(granted)));
        assert!(!std::fs::read_to_string(folder.path().join(FILE)).unwrap().contains("never on disk"));
        let later = quotas(folder.path());
        let create = Action::Create { publishes: false };
        let admit = async |tenant: &str| {
            let tenant: TenantSlug = tenant.parse().unwrap();
            later.admit(&tenant, &"c1".parse().unwrap(), create, Demand::default(), 0).await.map(drop)
        };
        assert_eq!(admit("acme").await, Ok(()));
        assert_eq!(admit("globex").await.unwrap_err().uri, ErrorKind::Limit);
        assert_eq!(admit("initech").await.unwrap_err().uri, ErrorKind::Unavailable);
        assert_eq!(later.report().grants_revision, 7);
    }

    /// Terms that cannot be read must not become none.
    #[test]
    fn damaged_terms_allow_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(quotas(folder.path()).granted(&"acme".parse().unwrap()).is_err());
        // A device that was never told anything is its owner's alone.
        let fresh = tempfile::tempdir().unwrap();
        assert_eq!(quotas(fresh.path()).granted(&"acme".parse().unwrap()), Ok(None));
    }
}

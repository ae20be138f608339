//! The control plane's state, and the small decisions that both HTTP and WAMP need.
//!
//! Owns what is shared. The locks are held for a computation, never over an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{DeviceId, TenantSlug},
    realm,
    roles::Role,
};

use crate::{
    alerts::AlertBook,
    artifacts::{Artifacts, Uploads},
    audit::Audit,
    authority::Authority,
    channel::{ChannelStartError, Channels},
    clock::SteadyClock,
    config::Config,
    fleet_view::FleetView,
    history::History,
    known_browsers::KnownBrowsers,
    limits::LoginLimits,
    metrics::Metrics,
    moves::Moves,
    nonces::Nonces,
    password::{PasswordError, Passwords},
    secret::{SecretHash, random_secret},
    store::{Store, StoreError},
    stored::StoredFiles,
    telemetry::Pages,
    tickets::{BROWSER_TICKET_MS, Basis, DEVICE_TICKET_MS, Opens, Tickets, TooManyTickets},
    viewers::Viewers,
};

/// All shared state.
pub struct ControlPlane {
    /// The settings.
    pub config: Config,
    /// What must not be forgotten.
    pub store: Store,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Limits logins.
    pub limits: LoginLimits,
    /// Writes down who does what.
    pub audit: Audit,
    /// Knows browsers that logged in before.
    pub known_browsers: KnownBrowsers,
    /// Judges ages.
    pub clock: SteadyClock,
    /// Who has each container.
    pub authority: Authority,
    /// The moves, as people see them.
    pub moves: Moves,
    /// The agents' channels for bulk bytes.
    pub channels: std::sync::Arc<Channels>,
    /// The files that devices brought.
    pub stored: std::sync::Arc<StoredFiles>,
    /// What tenants have uploaded.
    pub artifacts: std::sync::Arc<Artifacts>,
    /// What they are uploading.
    pub uploads: Uploads,
    /// Who looks at containers now.
    pub viewers: std::sync::Arc<Viewers>,
    /// Statistics over time.
    pub history: std::sync::Arc<History>,
    /// What is or was wrong.
    pub alerts: AlertBook,
    /// What is counted.
    pub metrics: Metrics,
    /// The tenants' figures for Prometheus.
    pub telemetry: Pages,
    tickets: Mutex<Tickets>,
    nonces: Mutex<Nonces>,
    view: Mutex<FleetView>,
}

impl ControlPlane {
    /// Loads the fleet from the store.
    ///
    /// # Errors
    /// If the store cannot be read, or the channels' certificate authority not be made.
    pub fn load(config: Config, store: Store, passwords: Passwords) -> Result<Self, ChannelStartError> {
        let clock = SteadyClock::start();
        let mut view = FleetView::default();
        for device in store.devices()? {
            let last = store.report(&device.id)?;
            view.add(clock.now(), device, last);
        }
        let known_browsers = KnownBrowsers::new(&store.key("known-browsers", random_secret)?);
        let folder = config.data.join("stats");
        let history = History::open(folder.clone(), clock.now())
            .map_err(|error| StoreError::Folder { folder, error })?;
        let stored = StoredFiles::open(&config.data, store.clone(), config.stored_bytes)?;
        let artifacts = Artifacts::open(&config.data, store.clone(), config.artifact_quota)?;
        let uploads =
            Uploads::open(&config.data, store.clone(), std::sync::Arc::clone(&artifacts), config.keep_free)?;
        let channels = Channels::load(
            &config.data,
            store.clone(),
            std::sync::Arc::clone(&artifacts),
            config.device_channel.clone(),
            std::sync::Arc::clone(&stored),
        )?;
        Ok(Self {
            authority: Authority::load(store.clone(), config.address_pool)?,
            moves: Moves::load(store.clone())?,
            channels: std::sync::Arc::new(channels),
            stored,
            viewers: std::sync::Arc::default(),
            audit: Audit::new(store.clone()),
            artifacts,
            uploads,
            history: std::sync::Arc::new(history),
            alerts: AlertBook::load(store.clone(), clock.now())?,
            metrics: Metrics::default(),
            telemetry: Pages::default(),
            config,
            store,
            passwords,
            limits: LoginLimits::default(),
            known_browsers,
            clock,
            tickets: Mutex::default(),
            nonces: Mutex::default(),
            view: Mutex::new(view),
        })
    }

    /// The fleet.
    pub fn view(&self) -> MutexGuard<'_, FleetView> {
        lock(&self.view)
    }

    /// The nonces of signed requests.
    pub(crate) fn nonces(&self) -> MutexGuard<'_, Nonces> {
        lock(&self.nonces)
    }

    /// The outstanding tickets.
    pub(crate) fn tickets(&self) -> MutexGuard<'_, Tickets> {
        lock(&self.tickets)
    }

    /// A new single-use ticket by which this device may join the control realm, as long as the key that it has signed with
    /// is good.
    ///
    /// # Errors
    /// `Limit` when too many are outstanding.
    pub(crate) fn issue_device_ticket(&self, device: &DeviceId, key: &str) -> Result<String, ApiError> {
        let basis = Basis::Key(key.to_owned());
        let opens = Opens { realm: realm::CONTROL.to_owned(), role: Role::Device, basis };
        self.issue(device.as_str(), opens, DEVICE_TICKET_MS)
    }

    /// A new single-use ticket by which this device may join the realm of a tenant, as long as it has a share in the device.
    ///
    /// # Errors
    /// `Limit` when too many are outstanding.
    pub(crate) fn issue_share_ticket(
        &self,
        device: &DeviceId,
        tenant: &TenantSlug,
    ) -> Result<String, ApiError> {
        let basis = Basis::Share(tenant.clone());
        let opens = Opens { realm: realm::of_tenant(tenant), role: Role::Device, basis };
        self.issue(device.as_str(), opens, DEVICE_TICKET_MS)
    }

    /// A new single-use ticket by which this account's browser may join the tenant's realm until its login, by this cookie,
    /// ends.
    ///
    /// # Errors
    /// `Limit` when too many are outstanding.
    pub(crate) fn issue_browser_ticket(
        &self,
        account: &str,
        tenant: &TenantSlug,
        role: Role,
        (cookie, ends_at): (SecretHash, u64),
    ) -> Result<String, ApiError> {
        let basis = Basis::Login { cookie, ends_at };
        let opens = Opens { realm: realm::of_tenant(tenant), role, basis };
        self.issue(account, opens, BROWSER_TICKET_MS)
    }

    fn issue(&self, authid: &str, opens: Opens, valid_ms: u64) -> Result<String, ApiError> {
        let ticket = random_secret();
        self.tickets().issue(self.clock.now(), authid, opens, &ticket, valid_ms)?;
        Ok(ticket)
    }

    /// Removes the tenant's device: its key and its outstanding tickets open nothing any more. Whether there was
    /// such a device.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn remove_device(&self, tenant: &TenantSlug, device: &DeviceId) -> Result<bool, ApiError> {
        let removed = self.authority.remove_device(tenant, device).await?;
        if removed {
            self.view().remove(device);
            self.history.remove_device(device);
            self.alerts.remove_device(self.clock.now(), device);
            self.tickets().revoke(device.as_str());
            self.channels.remove_device(device).await;
            tracing::info!(%device, %tenant, "device removed");
        }
        Ok(removed)
    }

    /// The realm of a tenant that exists.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub(crate) fn tenant_of_realm(&self, name: &str) -> Result<Option<TenantSlug>, ApiError> {
        match realm::tenant_of(name) {
            Some(slug) => Ok(self.store.tenant(&slug)?.map(|tenant| tenant.slug)),
            None => Ok(None),
        }
    }
}

/// What is behind a lock is changed in one step each, so it is sound also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(sentence) => ApiError::new(ErrorKind::Conflict, sentence),
            StoreError::Limit(sentence) => ApiError::new(ErrorKind::Limit, sentence),
            // The gate has logged it once.
            StoreError::Full { .. } => ApiError::new(
                ErrorKind::Unavailable,
                "The control plane's disk is full. Nothing was changed; try again when there is room.",
            ),
            StoreError::Failed { .. } => ApiError::new(
                ErrorKind::Unavailable,
                "The control plane could not write to its disk and takes no more changes until it is started again.",
            ),
            error => {
                tracing::error!(%error, "the store failed");
                ApiError::new(
                    ErrorKind::Unavailable,
                    "The control plane cannot reach its data now. Its log says why; try again later.",
                )
            }
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        if let PasswordError::Hash(_) = error {
            tracing::error!(%error, "password hashing failed");
            return ApiError::new(
                ErrorKind::Unavailable,
                "The control plane cannot check passwords now. Its log says why.",
            );
        }
        ApiError::new(
            ErrorKind::Unavailable,
            "Too many people log in at this moment. Try again in a few seconds.",
        )
    }
}

impl From<TooManyTickets> for ApiError {
    fn from(_: TooManyTickets) -> Self {
        ApiError::new(ErrorKind::Limit, "Too many clients join at this moment. Try again in a minute.")
    }
}

//! Starts everything in order, and stops it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use ecep_tls::{CertificateError, ServerTls};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, AdminError},
    channel::ChannelStartError,
    clock::unix_ms,
    config::Config,
    control::ControlPlane,
    history,
    http::{self, App, AtWork},
    listener, metrics,
    password::{PasswordError, Passwords},
    setup::SetupCode,
    store::{Store, StoreError, audit::KEEP_ENTRIES_MS, orders::KEEP_ORDERS_MS},
    uplink::{self, RouterAuthorityError, Uplink},
};

/// Open requests and sessions may end within this time after the signal; then they are cut.
const GRACE: Duration = Duration::from_secs(1);
/// How often what has ended is deleted from the store.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// A token that has ended is kept this long, so that its holder is told why it is refused.
const KEEP_ENDED_TOKENS_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// How often a store that has failed is looked after.
const LOOK_AT_STORE_EVERY: Duration = Duration::from_secs(2);

/// Why the control plane ends by itself.
#[derive(Debug, thiserror::Error)]
#[error("the store could not be written, and there is room on its disk now: start the control plane again")]
pub struct StoreFailed;

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}. Is another process using it?")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The data cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The channels cannot be set up.
    #[error(transparent)]
    Channels(#[from] ChannelStartError),
    /// Backups could not be asked for.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The router's authority cannot be used.
    #[error(transparent)]
    RouterAuthority(#[from] RouterAuthorityError),
    /// The setup code cannot be written.
    #[error("the setup code cannot be kept in the data folder: {0}")]
    SetupCode(io::Error),
    /// Passwords cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// A control plane that runs.
pub struct Running {
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Where it listens for Prometheus.
    pub metrics_address: Option<SocketAddr>,
    uplink: Arc<Uplink>,
    control: Arc<ControlPlane>,
    tls: Option<Arc<ServerTls>>,
    tasks: JoinSet<()>,
}

/// Starts the control plane. It stops after `stop`; await [`Running::stopped`] then.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config, stop: CancellationToken) -> Result<Running, StartError> {
    let tls = config.certificate().map(ServerTls::load).transpose()?;
    if let Some(tls) = &tls {
        tell_fingerprint(tls);
        warn_of_plain_router(&config);
    }
    let sockets = listen(&config.listen).await?;
    let channel_sockets = listen(&config.channel_listen).await?;
    let metrics_sockets = listen(config.metrics_listen.as_slice()).await?;
    let store = Store::open(&config.data)?;
    let admin = admin::listen(&config.data)?;
    let setup = SetupCode::prepare(&config.data, store.has_no_account()).map_err(StartError::SetupCode)?;
    let router_trust = uplink::router_trust(config.router_ca.as_deref())?;
    let control = Arc::new(ControlPlane::load(config, store, Passwords::new()?)?);
    let uplink = Uplink::start(Arc::clone(&control), router_trust, stop.clone())?;
    let routes = http::routes(Arc::new(App {
        control: Arc::clone(&control),
        uplink: Arc::clone(&uplink),
        setup,
        at_work: AtWork::default(),
    }));
    let mut tasks = JoinSet::new();
    tasks.spawn(sweep(Arc::clone(&control), stop.clone()));
    tasks.spawn(write_repeats(Arc::clone(&control), stop.clone()));
    tasks.spawn(admin::serve(admin, control.store.clone(), stop.clone()));
    tasks.spawn(Arc::clone(&uplink).watch());
    tasks.spawn(keep_history(Arc::clone(&control), stop.clone()));
    for socket in channel_sockets {
        tasks.spawn(Arc::clone(&control.channels).serve(socket, stop.clone()));
    }
    let mut metrics_address = None;
    for socket in metrics_sockets {
        metrics_address = socket.local_addr().ok();
        let routes = metrics::routes(Arc::clone(&control), Arc::clone(&uplink));
        // Places of its own: it is looked at most closely when there are no others.
        tasks.spawn(listener::serve(socket, None, routes, listener::places(), stop.clone()));
    }
    if let Some(tls) = &tls {
        tasks.spawn(Arc::clone(tls).follow(stop.clone()));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let places = listener::places();
    let mut addresses = Vec::new();
    for socket in sockets {
        if let Ok(address) = socket.local_addr() {
            tracing::info!("listening on {scheme}://{address}");
            addresses.push(address);
        }
        let (tls, routes) = (tls.clone(), routes.clone());
        tasks.spawn(listener::serve(socket, tls, routes, Arc::clone(&places), stop.clone()));
    }
    Ok(Running { addresses, metrics_address, uplink, control, tls, tasks })
}

/// For whoever enrols devices that do not know our authority.
fn tell_fingerprint(tls: &ServerTls) {
    let Some(fingerprint) = tls.fingerprint() else { return };
    let ends = tls.ends();
    if tls.stands_alone() {
        tracing::info!(%fingerprint, ends, "serving one certificate without an authority: devices that pin it must be told of its successor");
    } else {
        tracing::info!(%fingerprint, ends, "serving a certificate; this is its authority's fingerprint, for ecep-agent enroll --fingerprint");
    }
}

/// Browsers open no plain connection from a page that came over TLS, and agents send no tickets there.
fn warn_of_plain_router(config: &Config) {
    for (option, url) in [("--wamp-url", &config.wamp_url), ("--device-wamp-url", &config.device_wamp_url)] {
        if !url.is_secure() {
            tracing::warn!(
                "{option} is {}, without TLS, though this is served over TLS: nobody will use it; give an address that begins with wss://",
                url.as_str()
            );
        }
    }
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut sockets = Vec::new();
    for address in addresses {
        let bound = TcpListener::bind(address).await;
        sockets.push(bound.map_err(|error| StartError::Bind { address: *address, error })?);
    }
    Ok(sockets)
}

impl Running {
    /// Takes up the certificate that the files hold now; a wrong one changes nothing, and the log says why.
    pub fn reload_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.reload();
        }
    }

    /// Waits until the store has failed and a new start would find room on its disk. Until then what can be read is
    /// answered.
    pub async fn failed(&mut self) -> StoreFailed {
        let mut every = tokio::time::interval(LOOK_AT_STORE_EVERY);
        loop {
            every.tick().await;
            if self.control.store.should_start_again() {
                return StoreFailed;
            }
        }
    }

    /// Waits until all has ended after `stop`, for a limited time, and the data is on disk.
    pub async fn stopped(mut self) {
        self.control.uploads.stop();
        let ended = async {
            while self.tasks.join_next().await.is_some() {}
            self.uplink.closed().await;
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("some connections did not end in time and were cut");
        }
        self.tasks.shutdown().await;
        self.control.history.write(self.control.clock.now(), true);
        let reports = self.control.view().last_reports();
        for (device, report) in reports {
            if let Err(error) = self.control.store.put_report(&device, &report) {
                tracing::error!(%device, %error, "a report could not be stored");
            }
        }
        self.control.audit.write_repeats(unix_ms(), true).await;
        if let Err(error) = self.control.store.flush().await {
            tracing::error!(%error, "the store could not be written at the end");
        }
    }
}

/// Writes statistics, and forgets old ones; on a thread that may wait for the disk.
async fn keep_history(control: Arc<ControlPlane>, stop: CancellationToken) {
    let mut every = tokio::time::interval(history::WRITE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut swept_at = None;
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let (history, now) = (Arc::clone(&control.history), control.clock.now());
        let sweep_after = u64::try_from(SWEEP_EVERY.as_millis()).unwrap_or(u64::MAX);
        let is_time = swept_at.is_none_or(|at: u64| now.saturating_sub(at) >= sweep_after);
        if is_time {
            swept_at = Some(now);
        }
        let written = tokio::task::spawn_blocking(move || {
            history.write(now, false);
            if is_time {
                history.sweep();
            }
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "statistics could not be written");
        }
    }
}

async fn sweep(control: Arc<ControlPlane>, stop: CancellationToken) {
    let store = &control.store;
    let mut every = tokio::time::interval(SWEEP_EVERY);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let now = unix_ms();
        if let Err(error) = store.sweep(now, now.saturating_sub(KEEP_ENDED_TOKENS_MS)).await {
            tracing::error!(%error, "what has ended could not be deleted from the store");
        }
        if let Err(error) = store.sweep_orders(now.saturating_sub(KEEP_ORDERS_MS)).await {
            tracing::error!(%error, "old orders could not be forgotten");
        }
        if let Err(error) = store.sweep_audit(now.saturating_sub(KEEP_ENTRIES_MS)).await {
            tracing::error!(%error, "old entries of the audit could not be deleted");
        }
        if let Err(error) = control.stored.sweep(now).await {
            tracing::error!(%error, "stored files that have had their time could not be deleted");
        }
        if let Err(error) = control.uploads.sweep(now).await {
            tracing::error!(%error, "old uploads could not be forgotten");
        }
        if let Err(error) = control.artifacts.sweep().await {
            tracing::error!(%error, "artifacts that nobody has could not be removed");
        }
    }
}

/// Writes down how often refusals were repeated.
async fn write_repeats(control: Arc<ControlPlane>, stop: CancellationToken) {
    /// An entry may be so much later than the end of the time that it counts.
    const EVERY: Duration = Duration::from_secs(30);
    let mut every = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        control.audit.write_repeats(unix_ms(), false).await;
    }
}

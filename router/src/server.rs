//! The router as a whole: listening sockets, accepting within limits, shutting down in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ecep_proto::codec::MAX_MESSAGE_BYTES;
use ecep_proto::rawsocket::Handshake;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Gatekeeper;
use crate::authenticator::Authenticator;
use crate::config::{Config, ConfigError, TransportKind};
use crate::connection::{Connection, Shared};
use crate::hub::Hub;
use crate::realm_configs::RealmConfigs;
use crate::transport::{rawsocket, websocket};

/// How long clients get to take their GOODBYE when the router shuts down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept: it fails when files have run out, and soon succeeds again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the router can't start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken, or not of this machine.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A router whose sockets are bound: clients can connect, and are served once it runs.
pub struct Router {
    listeners: Vec<(TransportKind, TcpListener)>,
    addresses: Vec<(TransportKind, SocketAddr)>,
    shared: Arc<Shared>,
    connections: TaskTracker,
    realms: TaskTracker,
    slots: Arc<Semaphore>,
}

impl Router {
    /// Checks the configuration, reads the tickets and binds the sockets. Needs a tokio runtime.
    ///
    /// # Errors
    /// Says what is wrong with the configuration, or which address can't be bound.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        config.check()?;
        let realms = TaskTracker::new();
        let hub = Hub::new(RealmConfigs::of(&config), realms.clone());
        let authenticator = Authenticator::new(&hub, &config.limits).map(|(authenticator, session)| {
            realms.spawn(session);
            authenticator
        });
        let gatekeeper = Gatekeeper::new(&config, authenticator)?;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for listen in &config.listen {
            let failed = |source| BindError::Listen { address: listen.address, source };
            let listener = TcpListener::bind(listen.address).await.map_err(failed)?;
            addresses.push((listen.kind, listener.local_addr().map_err(failed)?));
            listeners.push((listen.kind, listener));
        }
        let slots = Arc::new(Semaphore::new(config.limits.max_connections));
        let shutdown = CancellationToken::new();
        let shared = Arc::new(Shared { hub, gatekeeper, limits: config.limits, shutdown });
        Ok(Self { listeners, addresses, shared, connections: TaskTracker::new(), realms, slots })
    }

    /// Where it listens, in the order of the configuration, with the ports that were chosen for port 0.
    pub fn addresses(&self) -> &[(TransportKind, SocketAddr)] {
        &self.addresses
    }

    /// Serves clients until the token is cancelled; then says GOODBYE to all of them and waits a few seconds for
    /// them to go.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listeners, shared, connections, realms, slots, .. } = self;
        let accepting = TaskTracker::new();
        for (kind, listener) in listeners {
            accepting.spawn(accept(kind, listener, shared.clone(), connections.clone(), slots.clone()));
        }
        shutdown.cancelled().await;
        tracing::info!("router shuts down");
        shared.shutdown.cancel();
        shared.hub.shutdown().await;
        accepting.close();
        accepting.wait().await;
        connections.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, connections.wait()).await.is_err() {
            tracing::warn!(left = connections.len(), "some clients did not hang up in time");
        }
        // The gatekeeper holds the way to the control plane; without it the router's own session ends.
        drop(shared);
        realms.close();
    }
}

async fn accept(
    kind: TransportKind,
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: TaskTracker,
    slots: Arc<Semaphore>,
) {
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.shutdown.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, transport = kind.name(), "can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            if !full {
                tracing::warn!(
                    limit = shared.limits.max_connections,
                    "all connections are taken; further ones are closed"
                );
            }
            full = true;
            continue;
        };
        full = false;
        connections.spawn(serve(kind, stream, peer, shared.clone(), slot));
    }
}

async fn serve(
    kind: TransportKind,
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
) {
    // Messages are small and wait for answers: they must not wait for each other. Where it can't be set, they do.
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + shared.limits.handshake_timeout();
    let max = shared.limits.max_message_bytes;
    let ready = async {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(match kind {
            TransportKind::WebSocket => {
                let (reader, writer, serializer) = websocket::accept(stream, max).await?;
                let peer_limit = MAX_MESSAGE_BYTES;
                Ready::WebSocket(Connection { reader, writer, kind, peer, serializer, peer_limit, deadline })
            }
            TransportKind::RawSocket => {
                let (reader, writer, Handshake { serializer, max_bytes }) =
                    rawsocket::accept(stream, max).await?;
                // The frame's length field ends one short of what the handshake can announce.
                let peer_limit = max_bytes.min(MAX_MESSAGE_BYTES - 1);
                Ready::RawSocket(Connection { reader, writer, kind, peer, serializer, peer_limit, deadline })
            }
        })
    };
    let ready = tokio::select! {
        ready = tokio::time::timeout_at(deadline, ready) => ready,
        () = shared.shutdown.cancelled() => return,
    };
    match ready {
        Ok(Ok(Ready::WebSocket(connection))) => connection.serve(shared).await,
        Ok(Ok(Ready::RawSocket(connection))) => connection.serve(shared).await,
        Ok(Err(error)) => {
            tracing::debug!(%peer, transport = kind.name(), %error, "no client of this transport")
        }
        Err(_) => tracing::debug!(%peer, transport = kind.name(), "the client took too long to begin"),
    }
}

/// A connection whose transport is agreed.
enum Ready {
    WebSocket(Connection<websocket::Reader, websocket::Writer>),
    RawSocket(Connection<rawsocket::Reader, rawsocket::Writer>),
}

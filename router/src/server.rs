//! The router as a whole: listening sockets, accepting within limits, shutting down in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ecep_proto::codec::MAX_MESSAGE_BYTES;
use ecep_proto::rawsocket::{Handshake, MAGIC};
use ecep_tls::{CertificateError, ServerTls};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Gatekeeper;
use crate::authenticator::Authenticator;
use crate::config::{Address, Config, ConfigError, HttpConfig, Listen, TlsConfig, TransportKind};
use crate::connection::{Connection, LINGER, Shared};
use crate::http::{self, Monitor};
use crate::hub::Hub;
use crate::listener::Listener;
use crate::live::Live;
use crate::realm_configs::RealmConfigs;
use crate::reload::Reloader;
use crate::slots::{Slot, Slots};
use crate::transport::stream::{Prefixed, Stream};
use crate::transport::{Deframer, Framer, rawsocket, websocket};

/// How long clients get to take their GOODBYE when the router shuts down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept: it fails when files have run out, and soon succeeds again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients are told at once that there is no room for them; further ones are only closed. More would be
/// connections of their own.
const REFUSALS: usize = 64;

/// Why the router can't start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is taken, or not of this machine.
    #[error("can't listen on {address}: {error}{}", advice(error.kind()))]
    Listen {
        /// Which.
        address: Address,
        /// Why.
        error: std::io::Error,
    },
    /// A listener's certificate can't be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What to do about an address that can't be listened on; nothing where the reason alone says it.
fn advice(reason: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    match reason {
        AddrInUse => "; end the program that uses it, or choose another one",
        AddrNotAvailable => "; choose one that this machine has (`ip addr` lists them)",
        PermissionDenied => {
            "; choose a port from 1024 on or a folder that this user may write to, or run as a user that may"
        }
        _ => "",
    }
}

/// A listening socket, what it is for, and its certificate if it speaks TLS.
struct Door {
    listen: Arc<Listen>,
    listener: Listener,
    tls: Option<Arc<ServerTls>>,
}

/// A router whose sockets are bound: clients can connect, and are served once it runs.
pub struct Router {
    doors: Vec<Door>,
    listening: Vec<(TransportKind, Address)>,
    addresses: Vec<(TransportKind, SocketAddr)>,
    shared: Arc<Shared>,
    connections: TaskTracker,
    realms: TaskTracker,
    slots: Slots,
    reloader: Reloader,
    http: Option<(TcpListener, Option<Arc<ServerTls>>)>,
}

impl Router {
    /// Checks the configuration, reads the tickets and binds the sockets. Needs a tokio runtime.
    ///
    /// # Errors
    /// Says what is wrong with the configuration, or which address can't be bound.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        config.check()?;
        let realms = TaskTracker::new();
        let hub = Hub::new(RealmConfigs::of(&config), &config.limits, realms.clone());
        let authenticator = Authenticator::new(&hub).map(|(authenticator, session)| {
            realms.spawn(session);
            authenticator
        });
        let gatekeeper = Gatekeeper::new(&config, authenticator)?;
        let mut doors = Vec::new();
        let (mut listening, mut addresses) = (Vec::new(), Vec::new());
        for listen in &config.listen {
            let failed = |error| BindError::Listen { address: listen.address.clone(), error };
            let listener = Listener::bind(&listen.address).await.map_err(failed)?;
            let chosen = listener.tcp_address();
            addresses.extend(chosen.map(|address| (listen.kind, address)));
            listening.push((listen.kind, chosen.map_or_else(|| listen.address.clone(), Address::from)));
            doors.push(Door { listen: Arc::new(listen.clone()), listener, tls: load(listen.tls.as_ref())? });
        }
        let mut http = None;
        if let Some(HttpConfig { address, tls }) = &config.http {
            let failed = |error| BindError::Listen { address: (*address).into(), error };
            http = Some((TcpListener::bind(address).await.map_err(failed)?, load(tls.as_ref())?));
        }
        let shutdown = CancellationToken::new();
        let (gatekeeper, limits) = (Live::new(gatekeeper), Live::new(config.limits.clone()));
        let shared = Arc::new(Shared { hub, gatekeeper, limits, shutdown });
        let certificates = doors.iter().map(|door| &door.tls).chain(http.iter().map(|(_, tls)| tls));
        let reloader = Reloader::new(&shared, config, certificates.flatten().cloned().collect());
        let (connections, slots) = (TaskTracker::new(), Slots::default());
        Ok(Self { doors, listening, addresses, shared, connections, realms, slots, reloader, http })
    }

    /// Where it listens, in the order of the configuration, with the ports that were chosen for port 0.
    pub fn listening(&self) -> &[(TransportKind, Address)] {
        &self.listening
    }

    /// Where it listens for TCP: [`Router::listening`] without Unix sockets.
    pub fn addresses(&self) -> &[(TransportKind, SocketAddr)] {
        &self.addresses
    }

    /// Where `/metrics` and `/healthz` are, if they are served.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Whether TLS is spoken at this address.
    pub fn speaks_tls(&self, address: SocketAddr) -> bool {
        let door = self.doors.iter().find(|door| door.listener.tcp_address() == Some(address));
        match door {
            Some(door) => door.tls.is_some(),
            None => {
                self.http_address() == Some(address)
                    && self.http.as_ref().is_some_and(|(_, tls)| tls.is_some())
            }
        }
    }

    /// The way to give the router another configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves clients until the token is cancelled; then says GOODBYE to all of them and waits a few seconds for
    /// them to go.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { doors, shared, connections, realms, slots, http, reloader, .. } = self;
        let accepting = TaskTracker::new();
        for door in doors {
            accepting.spawn(accept(door, shared.clone(), connections.clone(), slots.clone()));
        }
        let watching = CancellationToken::new();
        for certificate in reloader.certificates() {
            accepting.spawn(certificate.clone().follow(shared.shutdown.clone()));
        }
        if let Some((listener, tls)) = http {
            let monitor = Monitor { hub: shared.hub.clone(), slots: slots.clone() };
            realms.spawn(http::serve(listener, tls, Arc::new(monitor), watching.clone()));
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
        watching.cancel();
        // The gatekeeper holds the way to the control plane; without it the router's own session ends.
        drop(shared);
        realms.close();
    }
}

fn load(tls: Option<&TlsConfig>) -> Result<Option<Arc<ServerTls>>, CertificateError> {
    tls.map(|tls| ServerTls::load(tls.into())).transpose()
}

async fn accept(door: Door, shared: Arc<Shared>, connections: TaskTracker, slots: Slots) {
    let Door { listen, listener, tls } = door;
    let kind = listen.kind;
    let mut full = false;
    let refusals = Arc::new(Semaphore::new(REFUSALS));
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
        let limit = shared.limits.get().max_connections;
        let client = peer.parse::<SocketAddr>().ok().map(|peer| peer.ip());
        let Some(slot) = slots.take(limit, client) else {
            if !full {
                tracing::warn!(
                    limit,
                    "all connections are taken (limits.max_connections), or one client has taken as many as are left; further ones are refused"
                );
            }
            full = true;
            // By TLS it would cost more to say so than to serve.
            if tls.is_none()
                && let Ok(place) = refusals.clone().try_acquire_owned()
            {
                connections.spawn(refuse(kind, stream, place));
            }
            continue;
        };
        full = false;
        connections.spawn(serve(listen.clone(), tls.clone(), stream, peer, shared.clone(), slot));
    }
}

async fn serve(
    listen: Arc<Listen>,
    tls: Option<Arc<ServerTls>>,
    stream: Stream,
    peer: String,
    shared: Arc<Shared>,
    slot: Slot,
) {
    let kind = listen.kind;
    let limits = shared.limits.get();
    let deadline = Instant::now() + limits.handshake_timeout();
    // Boxed, as a connection lasts much longer than its handshake and needs less.
    let ready = Box::pin(async {
        let stream = match (tls, stream) {
            (Some(tls), Stream::Tcp(stream)) => Stream::Tls(Box::new(tls.accept(stream).await?)),
            (_, stream) => stream,
        };
        shake_hands(listen, stream, peer.clone(), limits.max_message_bytes, deadline).await
    });
    let ready = tokio::select! {
        ready = tokio::time::timeout_at(deadline, ready) => ready,
        () = shared.shutdown.cancelled() => return,
    };
    match ready {
        Ok(Ok(connection)) => connection.serve(shared, slot).await,
        Ok(Err(error)) => {
            tracing::debug!(%peer, transport = kind.name(), %error, "no client of this transport")
        }
        Err(_) => tracing::debug!(%peer, transport = kind.name(), "the client took too long to begin"),
    }
}

/// Agrees with the client on the transport and its serializer.
async fn shake_hands(
    listen: Arc<Listen>,
    mut stream: Stream,
    peer: String,
    max: usize,
    deadline: Instant,
) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
    let mut first = None;
    let kind = match listen.kind {
        TransportKind::Any => {
            let byte = stream.read_u8().await?;
            first = Some(byte);
            if byte == MAGIC { TransportKind::RawSocket } else { TransportKind::WebSocket }
        }
        kind => kind,
    };
    Ok(if kind == TransportKind::RawSocket {
        let (deframer, Handshake { serializer, max_bytes }) =
            rawsocket::accept(&mut stream, first, max).await?;
        let (deframer, framer) = (Deframer::RawSocket(deframer), Framer::RawSocket);
        // The frame's length field ends one short of what the handshake can announce.
        let peer_limit = max_bytes.min(MAX_MESSAGE_BYTES - 1);
        Connection { stream, deframer, framer, kind, peer, serializer, peer_limit, deadline }
    } else {
        let prefixed = Prefixed { first, stream: &mut stream };
        let (deframer, subprotocol) = websocket::accept(prefixed, max, &listen.allowed_origins).await?;
        let (deframer, framer) = (Deframer::WebSocket(deframer), Framer::websocket(subprotocol));
        let serializer = subprotocol.serializer;
        let peer_limit = MAX_MESSAGE_BYTES;
        Connection { stream, deframer, framer, kind, peer, serializer, peer_limit, deadline }
    })
}

/// Tells a client for whom there is no room so, in its transport.
async fn refuse(kind: TransportKind, mut stream: Stream, _place: OwnedSemaphorePermit) {
    let told = async {
        let mut request = [0; 1024];
        let read = stream.read(&mut request).await?;
        let answer = match (kind, request[..read].first()) {
            (TransportKind::RawSocket, _) | (TransportKind::Any, Some(&MAGIC)) => &rawsocket::TOO_MANY[..],
            _ => websocket::TOO_MANY,
        };
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // Closing with bytes unread would take the answer back.
        while stream.read(&mut request).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // One that is slow, or has gone, is not waited for.
    let _ = tokio::time::timeout(LINGER, told).await;
}

//! Accepts HTTP connections, within limits that `warp::serve` does not set: how many at once and of whom, how long a client
//! may be silent, and how long it may read nothing. It speaks TLS where there is a certificate.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use ecep_tls::ServerTls;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use warp::{
    filters::BoxedFilter,
    hyper::{
        Request,
        body::Incoming,
        server::conn::http1,
        service::{Service, service_fn},
    },
    reply::Response,
};

use crate::places::Places;

/// Open connections over all listeners: browsers keep a few each, devices ask once in a while. Policy: see [`Places`]; further
/// ones are closed.
const MAX_CONNECTIONS: usize = 4_096;
/// A TLS handshake must be over within this time: two round trips on a slow line.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A request's headers must have arrived within this time, and a connection without a request is closed after it.
const SILENCE: Duration = Duration::from_secs(60);
/// A client that has an answer waiting takes some of it within this time: far longer than a bad line is away.
const STALL: Duration = Duration::from_secs(30);
/// The longest headers in bytes.
const MAX_HEADERS: usize = 32 * 1024;
/// That connections are closed is told this often: each could be told otherwise by whoever opens them.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long to wait after a failed accept: it fails when files have run out, and soon succeeds again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who connected; an extension of every request.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The places that all listeners share.
pub fn places() -> Arc<Places> {
    Places::new(MAX_CONNECTIONS)
}

/// Serves clients until `stop`, and then lets open requests end. Dropping the future cuts them.
pub async fn serve(
    socket: TcpListener,
    tls: Option<Arc<ServerTls>>,
    routes: BoxedFilter<(Response,)>,
    places: Arc<Places>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(place) = places.take(peer.ip()) else {
                        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                            told = Some(Instant::now());
                            tracing::warn!(address = %peer.ip(), "this client has as many connections as are left free; further ones of it are closed");
                        }
                        continue;
                    };
                    let (tls, routes, stop) = (tls.clone(), routes.clone(), stop.clone());
                    connections.spawn(async move {
                        match tls {
                            None => connection(stream, peer, routes, stop).await,
                            Some(tls) => secured(stream, &tls, peer, routes, stop).await,
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// Whoever speaks no TLS, or does not like our certificate, is closed.
async fn secured(
    stream: TcpStream,
    tls: &ServerTls,
    peer: SocketAddr,
    routes: BoxedFilter<(Response,)>,
    stop: CancellationToken,
) {
    let handshake = tokio::time::timeout(HANDSHAKE, tls.accept(stream));
    match stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => connection(stream, peer, routes, stop).await,
        Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "no TLS came about"),
        Some(Err(_)) => tracing::debug!(%peer, "no TLS handshake in time"),
        None => {}
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    routes: BoxedFilter<(Response,)>,
    stop: CancellationToken,
) {
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        routes.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(MAX_HEADERS);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALL));
    let mut connection = pin!(http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection was cut");
    }
}

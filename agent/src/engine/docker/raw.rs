//! Requests to the engine whose answers never end or are no HTTP: a container's output and terminals. `bollard` keeps what has no
//! line end in memory, however much it is, and takes a terminal's first bytes for frames; here bytes are passed on as they come.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::http1::handshake,
    header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, task::JoinHandle};

use super::failure::{self, Doing};
use crate::engine::EngineError;

/// An error's text is short.
const MAX_ERROR: usize = 64 * 1024;

/// Ends the connection with whoever reads from it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What comes back to a `GET`, as it comes. Dropped, the connection is closed.
pub(super) async fn get(
    socket: &str,
    path: &str,
    doing: Doing<'_>,
) -> Result<impl Stream<Item = Result<Bytes, EngineError>> + Send + use<>, EngineError> {
    let request = Request::builder().method(Method::GET).uri(path).header(HOST, "docker");
    let request = request.body(Full::default()).map_err(unreachable)?;
    let (response, connection) = send(socket, request, doing).await?;
    let read = |(mut body, connection): (Incoming, Connection)| async move {
        loop {
            let read = match body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => Ok(bytes),
                    // Trailers.
                    Err(_) => continue,
                },
                Err(error) => Err(unreachable(error)),
            };
            return Some((read, (body, connection)));
        }
    };
    Ok(stream::unfold((response.into_body(), connection), read).fuse())
}

/// Posts a document, and takes the connection over for raw bytes both ways.
pub(super) async fn upgrade(
    socket: &str,
    path: &str,
    body: Vec<u8>,
    doing: Doing<'_>,
) -> Result<TokioIo<Upgraded>, EngineError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, "docker")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp");
    let request = request.body(Full::from(body)).map_err(unreachable)?;
    let (response, connection) = send(socket, request, doing).await?;
    let upgraded = hyper::upgrade::on(response).await.map_err(unreachable)?;
    // It has nothing more to do: the bytes do not pass through it.
    drop(connection);
    Ok(TokioIo::new(upgraded))
}

async fn send(
    socket: &str,
    request: Request<Full<Bytes>>,
    doing: Doing<'_>,
) -> Result<(Response<Incoming>, Connection), EngineError> {
    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    let connection = Connection(tokio::spawn(async move {
        // Whoever reads the answer is told.
        let _ = connection.with_upgrades().await;
    }));
    let response = sender.send_request(request).await.map_err(unreachable)?;
    let status = response.status();
    if status.is_success() || status.as_u16() == 101 {
        return Ok((response, connection));
    }
    let body = Limited::new(response.into_body(), MAX_ERROR).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let message = told.as_ref().and_then(|told| told["message"].as_str()).unwrap_or("it does not say why");
    Err(failure::of_status(&doing, status.as_u16(), message))
}

fn unreachable(error: impl std::fmt::Display) -> EngineError {
    EngineError::Unreachable(error.to_string())
}

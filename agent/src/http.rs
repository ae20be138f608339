//! One HTTP request to the control plane, over TLS where its address says so. It must not know what is asked.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use ecep_tls::{ConnectError, Trust, client::TlsStream};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Incoming,
    client::conn::http1::handshake,
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// An answer is small; more is not from a control plane.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The address cannot be used.
    #[error("this is no address of a control plane")]
    Address,
    /// The network says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// TLS.
    #[error("{0}")]
    Tls(#[from] ConnectError),
    /// HTTP.
    #[error("{0}")]
    Http(hyper::Error),
    /// Something else answers.
    #[error("it does not speak plain HTTP there; if it is the right place, its address begins with https://")]
    NotHttp,
    /// More than a control plane would say.
    #[error("a huge answer")]
    Huge,
}

/// Sends a document to this address, `http` or `https`, and gives the answer's status and body. The time limit is the
/// caller's.
pub(crate) async fn post(url: &str, trust: &Trust, body: Vec<u8>) -> Result<(StatusCode, Bytes), HttpError> {
    let uri: Uri = url.parse().map_err(|_| HttpError::Address)?;
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else { return Err(HttpError::Address) };
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((plain, port)).await?;
    stream.set_nodelay(true)?;
    let stream = if is_tls {
        Stream::Tls(Box::new(trust.connect(stream, host).await?))
    } else {
        Stream::Plain(stream)
    };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, authority.as_str())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| HttpError::Address)?;
    let exchange = async { read(sender.send_request(request).await?).await };
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // It ends when all is said, or with an error that the exchange tells too.
        _ = connection => exchange.await,
    }
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() { Self::NotHttp } else { Self::Http(error) }
    }
}

async fn read(response: hyper::Response<Incoming>) -> Result<(StatusCode, Bytes), HttpError> {
    let status = response.status();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok((status, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(HttpError::Huge),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// A connection, with TLS or without.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

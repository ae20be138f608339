//! TLS for `wamp_async`, which can be given no authority of ours: the connection to the router is made here, and the crate
//! gets a loopback end of it.
//!
//! That end is for this process alone, and for one connection. The crate must ask for a path of 256 random bits, which no
//! other process knows: whoever asks for anything else is closed, and does not use the end up. Once the right one has come, nothing
//! listens any more; if it does not come in time, the connection to the router is closed.

use std::{io, net::Ipv4Addr, time::Duration};

use ecep_tls::{ConnectError, Trust, client::TlsStream};
use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use url::Url;

/// The crate connects at once; a loaded machine may take this long.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Strangers that are listened to at once; further ones are closed. There should be none at all.
const MAX_STRANGERS: usize = 16;
/// The longest head of the crate's request in bytes; it has about 250.
const MAX_HEAD: usize = 4 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Why there is no connection to the router.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelError {
    /// The router cannot be reached, or this machine has no socket left.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] ConnectError),
    /// The address has no host or port.
    #[error("the address has no host")]
    Address,
}

/// A connection to a router; dropping it ends it.
pub(crate) struct Tunnel {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tunnel {
    /// Connects to the router at this `wss` address, and checks that it is the right one.
    pub(crate) async fn open(url: &Url, trust: &Trust) -> Result<Self, TunnelError> {
        let host = url.host_str().ok_or(TunnelError::Address)?;
        let port = url.port_or_known_default().ok_or(TunnelError::Address)?;
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((plain, port)).await?;
        stream.set_nodelay(true)?;
        let router = trust.connect(stream, host).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let secret: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let own = format!("ws://{}/{secret}", listener.local_addr()?);
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let task = tokio::spawn(async move {
            let taken = timeout(TAKEN_WITHIN, take(listener, &secret)).await;
            let ended = match taken {
                Ok(Ok((local, head))) => join(local, router, &head.renamed(&target, &authority)).await,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "the TLS connection to the router has ended");
            }
        });
        Ok(Self { url: own, task })
    }

    /// Where the crate must connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Waits for the one that knows the secret.
async fn take(listener: TcpListener, secret: &str) -> io::Result<(TcpStream, Head)> {
    let mut strangers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                if strangers.len() < MAX_STRANGERS {
                    strangers.spawn(listen(stream, secret.to_owned()));
                }
            }
            Some(heard) = strangers.join_next() => match heard {
                Ok(Ok(Some(taken))) => return Ok(taken),
                Ok(Ok(None) | Err(_)) | Err(_) => {
                    tracing::warn!("another process on this machine tried the link's own connection; it was refused");
                }
            },
        }
    }
}

async fn listen(mut stream: TcpStream, secret: String) -> io::Result<Option<(TcpStream, Head)>> {
    let mut bytes = Vec::new();
    while !bytes.windows(HEAD_END.len()).any(|window| window == HEAD_END) {
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let expected = format!("GET /{secret} HTTP/1.1\r\n");
    let Some((first, rest)) = bytes.split_at_checked(expected.len()) else { return Ok(None) };
    if !bool::from(first.ct_eq(expected.as_bytes())) {
        return Ok(None);
    }
    stream.set_nodelay(true)?;
    let rest = rest.to_vec();
    Ok(Some((stream, Head { rest })))
}

async fn join(mut local: TcpStream, mut router: TlsStream<TcpStream>, head: &[u8]) -> io::Result<()> {
    router.write_all(head).await?;
    router.flush().await?;
    copy_bidirectional(&mut local, &mut router).await.map(|_| ())
}

/// A request after its first line.
struct Head {
    rest: Vec<u8>,
}

impl Head {
    /// The request as the router must see it: for the path and the host of its real address.
    fn renamed(&self, target: &str, authority: &str) -> Vec<u8> {
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        for line in self.rest.split_inclusive(|byte| *byte == b'\n') {
            if !line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"host:")) {
                request.extend_from_slice(line);
            }
        }
        request
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use super::*;

    /// Another process must not get the connection: not without the path, not with a wrong one, and not by coming first
    /// or in numbers; and after the right one nobody is let in.
    #[tokio::test]
    async fn only_who_knows_the_path_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let secret = "ab".repeat(32);
        let taking = tokio::spawn({
            let secret = secret.clone();
            async move { take(listener, &secret).await }
        });
        for request in
            ["GET / HTTP/1.1\r\n\r\n", "\r\n\r\n", &format!("GET /{} HTTP/1.1\r\n\r\n", "ac".repeat(32))]
        {
            let mut stranger = TcpStream::connect(address).await.unwrap();
            stranger.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // Closed or reset.
            let _ = stranger.read_to_end(&mut answer).await;
            assert!(answer.is_empty());
        }
        let mut right = TcpStream::connect(address).await.unwrap();
        right
            .write_all(
                format!("GET /{secret} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\r\n").as_bytes(),
            )
            .await
            .unwrap();
        let (_stream, head) = taking.await.unwrap().unwrap();
        let renamed = String::from_utf8(head.renamed("/ws?x=1", "router.example:8443")).unwrap();
        assert_eq!(
            renamed,
            "GET /ws?x=1 HTTP/1.1\r\nHost: router.example:8443\r\nUpgrade: websocket\r\n\r\n"
        );
        assert!(TcpStream::connect(address).await.is_err(), "it is used up");
    }
}

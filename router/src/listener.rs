//! Listening sockets: TCP ones, and Unix ones with the file that stands for them.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Address;
use crate::outbound::SEND_BUFFER;
use crate::transport::stream::Stream;

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "it removes the file when it is dropped")] SocketFile),
}

/// The file of a Unix socket; it goes with the listener, unless somebody else has put another in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Binds it. The file of a Unix socket that nobody listens on any more is taken over.
    pub(crate) async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Address::Unix(path) => {
                remove_stale(path).await?;
                let listener = UnixListener::bind(path)?;
                let file = SocketFile { path: path.clone(), identity: identity(path) };
                Ok(Self::Unix(listener, file))
            }
        }
    }

    /// Where it listens, if that is a TCP address.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// The next client, and where it is.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Messages are small and wait for answers: they must not wait for each other. Where it can't be set,
                // they do.
                let _ = stream.set_nodelay(true);
                // Where it can't be set, a slow client is judged by larger steps.
                let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER);
                Ok((Stream::Tcp(stream), peer.to_string()))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = match stream.peer_cred() {
                    Ok(peer) => match peer.pid() {
                        Some(pid) => format!("unix:uid={},pid={pid}", peer.uid()),
                        None => format!("unix:uid={}", peer.uid()),
                    },
                    Err(_) => "unix".to_owned(),
                };
                Ok((Stream::Unix(stream), peer))
            }
        }
    }
}

/// Removes the file of a socket that nobody listens on. What is no socket stays, and the bind fails.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "takes over the socket file that a process left behind");
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Whoever removed it meanwhile has done the work.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

//! The socket in the data folder by which whoever may read the data has a running control plane do what needs the
//! open store: `backup`.
//!
//! Must not know what is in a backup. A client sends one line, gets an `Archive` and is closed.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::store::{ArchiveError, Store, write_error};

/// The socket's name in the data folder.
pub const SOCKET: &str = "admin.sock";
/// What a client asks for.
const BACKUP: &str = "backup";
/// A client that reads or writes nothing for so long is cut off; the next one waits for it.
const STALLS_AFTER: Duration = Duration::from_secs(30);
/// Longest line that a client may send.
const MAX_REQUEST: u64 = 64;
/// After a failure to accept: out of file descriptors, most often.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the socket {} for backups cannot be made: {error}", path.display())]
pub struct AdminError {
    path: PathBuf,
    error: io::Error,
}

/// Makes the socket, in the folder that belongs to this process alone.
///
/// # Errors
/// What the system said.
pub fn listen(data: &Path) -> Result<UnixListener, AdminError> {
    let path = data.join(SOCKET);
    let made = || {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let folder = File::open(data)?;
        let listener = UnixListener::bind(reachable(&folder))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    made().map_err(|error| AdminError { path: path.clone(), error })
}

/// Serves one client at a time until `stop`: each copy takes as much memory as the store has rows.
pub async fn serve(listener: UnixListener, store: Store, stop: CancellationToken) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => match serve_one(stream, store.clone(), &stop).await {
                Ok(rows) => tracing::info!(rows, "backup taken"),
                Err(error) => tracing::warn!(%error, "a backup was not taken"),
            },
            Err(error) => {
                tracing::warn!(%error, "a client of the data folder's socket could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
}

async fn serve_one(stream: UnixStream, store: Store, stop: &CancellationToken) -> io::Result<usize> {
    // The folder and the socket are this user's alone; this holds also if somebody has opened them wider.
    let (peer, own) = (stream.peer_cred()?.uid(), rustix::process::geteuid().as_raw());
    if peer != own && peer != 0 {
        return Err(io::Error::other(format!("user {peer} may not ask for it")));
    }
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STALLS_AFTER))?;
    stream.set_write_timeout(Some(STALLS_AFTER))?;
    let cut = stream.try_clone()?;
    let mut served = tokio::task::spawn_blocking(move || answer(&stream, &store));
    let served = tokio::select! {
        served = &mut served => served,
        () = stop.cancelled() => {
            cut.shutdown(Shutdown::Both)?;
            served.await
        }
    };
    served.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn answer(stream: &std::os::unix::net::UnixStream, store: &Store) -> io::Result<usize> {
    let mut request = String::new();
    BufReader::new(stream).take(MAX_REQUEST).read_line(&mut request)?;
    let out = BufWriter::new(stream);
    if request.trim_end() != BACKUP {
        return write_error(out, "only backup can be asked for here")
            .and(Err(io::Error::other("unknown request")));
    }
    match store.copy() {
        Ok(copy) => {
            copy.write(out).map_err(io::Error::other)?;
            Ok(copy.tables.count())
        }
        Err(error) => write_error(out, &error.to_string()).and(Err(io::Error::other(error))),
    }
}

/// Asks the control plane that runs on this folder for a backup, and writes it as it comes; `false` if none runs.
///
/// # Errors
/// What the system said. Whether the backup is whole is for the reader to check.
pub fn ask_for_backup(data: &Path, mut out: impl Write) -> Result<bool, ArchiveError> {
    let connected =
        File::open(data).and_then(|folder| std::os::unix::net::UnixStream::connect(reachable(&folder)));
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    writeln!(stream, "{BACKUP}")?;
    io::copy(&mut stream, &mut out)?;
    out.flush()?;
    Ok(true)
}

/// A socket's path may have 107 bytes, a data folder's more.
fn reachable(folder: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))
}

//! Other people's routers, to measure ours beside them. Only the bench needs them, so an ordinary set-up leaves them out.

use std::path::PathBuf;

use anyhow::Result;

use super::{apt, cache_dir, lock, python};

/// It requires what speeds it up: native code for WebSocket, and faster modules. Under PyPy it would be faster still, but
/// Debian's is older than what it needs.
const CROSSBAR: &str = include_str!("crossbar.txt");

/// Their programs.
#[derive(Debug, Clone)]
pub struct Peers {
    /// crossbar, a WAMP router in Python.
    pub crossbar: PathBuf,
    /// NATS, which is no WAMP.
    pub nats: PathBuf,
}

/// Installs what is missing of them.
///
/// # Errors
/// There is no network, or no apt; the message says what failed.
pub fn peers() -> Result<Peers> {
    let _lock = lock()?;
    let environment = cache_dir().join("crossbar");
    python::install_into(&environment, CROSSBAR, "crossbar")?;
    Ok(Peers { crossbar: environment.join("bin/crossbar"), nats: apt::unpack_nats()? })
}

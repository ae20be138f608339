//! Where the load goes: a URL, and what is spoken there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};

/// A router's address. Only addresses of this machine are taken: a load is never let loose on somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `ws://127.0.0.1:8080/path`: WAMP over WebSocket.
    WebSocket {
        /// Where.
        address: SocketAddr,
        /// With its slash.
        path: String,
    },
    /// `rs://127.0.0.1:8081` or `tcp://127.0.0.1:8081`: WAMP over RawSocket.
    RawSocket(SocketAddr),
    /// `unix:///run/router.sock`: WAMP over RawSocket.
    Unix(PathBuf),
    /// `nats://127.0.0.1:4222`: NATS.
    Nats(SocketAddr),
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").context("a URL looks like ws://127.0.0.1:8080/")?;
        Ok(match scheme {
            "ws" => {
                let (address, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
                Self::WebSocket { address: local(address)?, path: path.into() }
            }
            "rs" | "tcp" => Self::RawSocket(local(rest.trim_end_matches('/'))?),
            "unix" => Self::Unix(rest.into()),
            "nats" => Self::Nats(local(rest.trim_end_matches('/'))?),
            _ => bail!("{scheme}:// is not known; use ws, rs (or tcp), unix or nats"),
        })
    }
}

fn local(address: &str) -> Result<SocketAddr> {
    let numeric = address.replace("localhost", "127.0.0.1");
    let address: SocketAddr = numeric
        .parse()
        .with_context(|| format!("`{address}` is no address and port, as in 127.0.0.1:8080"))?;
    ensure!(
        address.ip().is_loopback(),
        "{} is not this machine: a load goes to 127.0.0.1 or [::1] only",
        address.ip()
    );
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        for url in
            ["ws://10.0.0.1:80/", "rs://192.168.1.1:80", "nats://[2001:db8::1]:4222", "http://127.0.0.1:80"]
        {
            assert!(url.parse::<Target>().is_err(), "{url}");
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(
            "ws://localhost:80/ws".parse::<Target>().unwrap(),
            Target::WebSocket { address, path: "/ws".into() }
        );
        assert_eq!("tcp://127.0.0.1:80".parse::<Target>().unwrap(), Target::RawSocket(address));
    }
}

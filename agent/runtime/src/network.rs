//! Cutting a container off, and connecting it again: by switching the host's end of its cables off and on.
//!
//! The container's own end stays configured and only loses its carrier, so its addresses, routes and sockets stay as they
//! are, CRIU can dump and restore them, and TCP goes on by retransmission after the reconnection. Nothing passes in either
//! direction, ARP included. The link's state is all there is to know, so it survives the agent, and doing it twice is
//! fine. The caller must be in the network of the engine, as an agent on the host is.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use crate::netlink::{self, Link};

/// Why a container's network could not be cut, connected or looked at.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The container shares the host's network: cutting it would cut off the device.
    #[error("the container shares its host's network, so it cannot be isolated")]
    Shared,
    /// No cable leads from the container to here.
    #[error(
        "the container has no interface whose other end is here (it has: {0}); only bridge networks can be isolated, \
         by a process in the engine's own network"
    )]
    NoCable(String),
    /// The process is gone, or the system refuses.
    #[error("cannot reach the network of process {pid}: {error}")]
    Io {
        /// The container's first process.
        pid: i32,
        /// Why.
        error: io::Error,
    },
}

/// Cuts the network of the container whose first process is `pid`. Nothing happens when it is cut.
///
/// # Errors
/// It has no network of its own, or the system refuses. It may be cut in part then; [`reconnect`] mends it.
pub fn cut(pid: i32) -> Result<(), NetworkError> {
    set_all(pid, false)
}

/// Connects the container's network again. Nothing happens when it is connected.
///
/// # Errors
/// It has no network of its own, or the system refuses.
pub fn reconnect(pid: i32) -> Result<(), NetworkError> {
    set_all(pid, true)
}

/// Whether all cables of the container are cut.
///
/// # Errors
/// It has no network of its own, or the system refuses to say.
pub fn is_cut(pid: i32) -> Result<bool, NetworkError> {
    Ok(cables(pid)?.iter().all(|link| !link.is_up))
}

/// Makes the container whose first process is `pid` forget where a neighbour was, so that it asks anew.
///
/// # Errors
/// The process is gone, or the system refuses.
pub fn forget_neighbour(pid: i32, address: Ipv4Addr) -> io::Result<()> {
    netlink::in_network_of(pid, || netlink::delete_neighbour(address))
}

/// A cable that was switched on passes frames some milliseconds later.
const RUNNING_LIMIT: Duration = Duration::from_millis(200);
/// Between two looks at that.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Makes the bridge of that name and the container with that address known to each other, once its cable passes frames: what waits
/// for the one or the other goes at once, and not when the kernel asks next, which it does each second.
///
/// # Errors
/// There is no such bridge, or the system refuses.
pub fn introduce(pid: i32, address: Ipv4Addr, bridge: &str) -> Result<(), NetworkError> {
    let failed = |error| NetworkError::Io { pid, error };
    let start = Instant::now();
    while start.elapsed() < RUNNING_LIMIT && !cables(pid)?.iter().all(|link| link.is_running) {
        thread::sleep(LOOK_EVERY);
    }
    let ours = netlink::links().map_err(failed)?;
    let bridge = ours
        .iter()
        .find(|link| link.name == bridge)
        .ok_or_else(|| failed(io::Error::other(format!("there is no bridge {bridge}"))))?;
    let theirs = netlink::in_network_of(pid, || {
        let links = netlink::links()?;
        let ends: Vec<_> = links.into_iter().filter(|link| link.veth_peer.is_some()).collect();
        // Of several it is not known which has the address; ARP finds out.
        let Ok([end]) = <[Link; 1]>::try_from(ends) else { return Ok(None) };
        // What it has tried to send while it was cut off waits for the gateway's answer.
        if let Some(gateway) = netlink::gateway()? {
            netlink::set_neighbour(end.index, gateway, &bridge.hardware)?;
        }
        Ok(Some(end.hardware))
    });
    match theirs.map_err(failed)? {
        Some(hardware) => netlink::set_neighbour(bridge.index, address, &hardware).map_err(failed),
        None => Ok(()),
    }
}

/// How often ARP asks before it gives up, once a second: as long as a move takes, so that whoever begins to speak to a
/// container on the move waits for it. The kernel's own patience is three seconds.
pub const ARP_PATIENCE: &str = "60";

/// Makes the container whose first process is `pid` ask longer for neighbours that do not answer.
///
/// # Errors
/// The process is gone, or the system refuses.
pub fn be_patient(pid: i32) -> io::Result<()> {
    netlink::in_network_of(pid, || {
        for link in netlink::links()?.into_iter().filter(|link| link.index != netlink::LOOPBACK) {
            // /proc/sys/net shows the network of the thread that opens it.
            let path = format!("/proc/sys/net/ipv4/neigh/{}/mcast_solicit", link.name);
            fs::write(path, ARP_PATIENCE)?;
        }
        Ok(())
    })
}

fn set_all(pid: i32, up: bool) -> Result<(), NetworkError> {
    for link in cables(pid)?.into_iter().filter(|link| link.is_up != up) {
        netlink::set_up(link.index, up).map_err(|error| NetworkError::Io { pid, error })?;
    }
    Ok(())
}

/// The host's ends of a container's cables.
fn cables(pid: i32) -> Result<Vec<Link>, NetworkError> {
    let failed = |error| NetworkError::Io { pid, error };
    let network = |of: &str| fs::metadata(format!("/proc/{of}/ns/net")).map(|found| found.ino());
    if network("thread-self").map_err(failed)? == network(&pid.to_string()).map_err(failed)? {
        return Err(NetworkError::Shared);
    }
    let theirs = netlink::in_network_of(pid, netlink::links).map_err(failed)?;
    let ours = netlink::links().map_err(failed)?;
    let cables = pair(&theirs, ours);
    if cables.is_empty() && theirs.iter().any(|link| link.index != netlink::LOOPBACK) {
        let names: Vec<_> = theirs.iter().map(|link| link.name.as_str()).collect();
        return Err(NetworkError::NoCable(names.join(", ")));
    }
    Ok(cables)
}

/// An index alone is not unique between networks, but both ends naming each other is as good as that.
fn pair(theirs: &[Link], ours: Vec<Link>) -> Vec<Link> {
    let is_pair = |our: &Link| {
        theirs.iter().any(|their| their.veth_peer == Some(our.index) && our.veth_peer == Some(their.index))
    };
    ours.into_iter().filter(is_pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, veth_peer: Option<u32>) -> Link {
        let name = format!("i{index}");
        Link { index, name, is_up: true, is_running: true, hardware: Vec::new(), veth_peer }
    }

    /// Cutting the wrong container's cable would be worse than cutting none.
    #[test]
    fn only_ends_that_name_each_other_are_a_cable() {
        let theirs = [link(1, None), link(5, Some(6)), link(7, Some(3))];
        let ours = vec![link(1, None), link(3, Some(9)), link(5, None), link(6, Some(5)), link(8, Some(5))];
        assert_eq!(pair(&theirs, ours), [link(6, Some(5))]);
    }
}

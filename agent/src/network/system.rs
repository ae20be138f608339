//! Routes, firewall and switches of the kernel, by the tools that every Docker host has (`ip`, `iptables`). Each function
//! brings a state about; doing it twice changes nothing.

use std::{collections::BTreeMap, io, net::Ipv4Addr, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::rules::{DNAT, FORWARD, SNAT};

/// Marks our routes among the system's (rtnetlink(7), `rtm_protocol`).
const PROTOCOL: &str = "197";
/// They answer within milliseconds; the firewall's lock may be held by the engine for a moment.
const LIMIT: Duration = Duration::from_secs(20);
/// Seconds that iptables waits for its lock.
const LOCK: &str = "10";

/// Why the kernel is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum SystemError {
    /// A tool is missing or hangs.
    #[error("cannot run {tool}: {error}; install it on the device")]
    Tool {
        /// Which.
        tool: &'static str,
        /// Why.
        error: io::Error,
    },
    /// A tool refused.
    #[error("{tool} refused: {said}")]
    Refused {
        /// Which.
        tool: &'static str,
        /// What it said.
        said: String,
    },
    /// A switch under /proc/sys.
    #[error("cannot write {path}: {error}")]
    Switch {
        /// Which.
        path: String,
        /// Why.
        error: io::Error,
    },
}

#[derive(Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    gateway: Option<String>,
}

/// Makes these our only routes: container's address → device's address.
pub(super) async fn set_routes(wanted: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> Result<(), SystemError> {
    let listed = run("ip", &["-json", "-4", "route", "show", "proto", PROTOCOL], "").await?;
    let routes: Vec<Route> = if listed.trim().is_empty() {
        Vec::new()
    } else {
        serde_json::from_str(&listed)
            .map_err(|error| SystemError::Refused { tool: "ip", said: format!("{error}: {listed}") })?
    };
    let actual: BTreeMap<Ipv4Addr, Option<Ipv4Addr>> = routes
        .into_iter()
        .filter_map(|route| {
            let gateway = route.gateway.and_then(|gateway| gateway.parse().ok());
            Some((route.dst.trim_end_matches("/32").parse().ok()?, gateway))
        })
        .collect();
    for address in actual.keys().filter(|address| !wanted.contains_key(address)) {
        delete_route(*address).await?;
    }
    let missing = wanted.iter().filter(|(address, via)| actual.get(address) != Some(&Some(**via)));
    for (address, via) in missing {
        // A device that is not of this site: there is no way to its containers, but there is to the others'.
        if let Err(error) = set_route(*address, *via).await {
            tracing::warn!(%address, %via, %error, "a container on another device cannot be reached from here");
        }
    }
    Ok(())
}

/// Sends what is meant for a container to a device.
pub(super) async fn set_route(address: Ipv4Addr, via: Ipv4Addr) -> Result<(), SystemError> {
    let (address, via) = (format!("{address}/32"), via.to_string());
    run("ip", &["route", "replace", &address, "via", &via, "proto", PROTOCOL], "").await.map(drop)
}

/// Removes our route to a container, if there is one.
pub(super) async fn delete_route(address: Ipv4Addr) -> Result<(), SystemError> {
    let address = format!("{address}/32");
    match run("ip", &["route", "del", &address, "proto", PROTOCOL], "").await {
        Err(SystemError::Refused { said, .. }) if said.contains("No such process") => Ok(()),
        other => other.map(drop),
    }
}

/// Fills our chains, and makes sure that they are called.
pub(super) async fn set_rules(filter: &str, nat: &str) -> Result<(), SystemError> {
    run("iptables-restore", &["--noflush", "--wait", LOCK], &format!("{filter}{nat}")).await?;
    let local = ["-m", "addrtype", "--dst-type", "LOCAL", "-j", DNAT];
    let calls: [(&str, &str, &str, &[&str]); 4] = [
        ("filter", "-I", "DOCKER-USER", &["-j", FORWARD]),
        // After the engine's own: a port that a container here publishes is that container's.
        ("nat", "-A", "PREROUTING", &local),
        ("nat", "-A", "OUTPUT", &local),
        // Before the engine's own, which would give every packet the device's address.
        ("nat", "-I", "POSTROUTING", &["-j", SNAT]),
    ];
    for (table, how, chain, rule) in calls {
        let words = |how| {
            let fixed = ["--wait", LOCK, "-t", table, how, chain];
            fixed.into_iter().chain(rule.iter().copied()).collect::<Vec<_>>()
        };
        if how == "-A" {
            // The engine puts its own at the end when it starts again; ours comes after it.
            drop(run("iptables", &words("-D"), "").await);
        }
        if run("iptables", &words("-C"), "").await.is_err() {
            run("iptables", &words(how), "").await?;
        }
    }
    Ok(())
}

/// Lets the kernel forward, and answer ARP on a tenant's bridge for containers that are behind it.
pub(super) async fn set_switches(bridges: impl Iterator<Item = String>) -> Result<(), SystemError> {
    let switches = vec!["/proc/sys/net/ipv4/ip_forward".to_owned()];
    let mut switches: Vec<(String, &str)> = switches.into_iter().map(|path| (path, "1")).collect();
    for bridge in bridges {
        switches.push((format!("/proc/sys/net/ipv4/conf/{bridge}/proxy_arp"), "1"));
        // A container on the move does not answer for as long as that takes.
        let path = format!("/proc/sys/net/ipv4/neigh/{bridge}/mcast_solicit");
        switches.push((path, ecep_runtime::network::ARP_PATIENCE));
        // What waits on the bridge for a container on the move must not go when the bridge has no other port (Linux 5.16; kernels
        // before lose it).
        switches.push((format!("/proc/sys/net/ipv4/conf/{bridge}/arp_evict_nocarrier"), "0"));
        // Whoever asks for a container on another device waits for our answer; the kernel's own delay is up to 0.8 s.
        switches.push((format!("/proc/sys/net/ipv4/neigh/{bridge}/proxy_delay"), "0"));
    }
    for (path, value) in switches {
        match tokio::fs::write(&path, value).await {
            // The engine makes the bridge with the tenant's first container here.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SystemError::Switch { path, error });
            }
            _ => {}
        }
    }
    Ok(())
}

async fn run(tool: &'static str, arguments: &[&str], input: &str) -> Result<String, SystemError> {
    let failed = |error| SystemError::Tool { tool, error };
    let mut command = Command::new(tool);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    let answer = timeout(LIMIT, async {
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()).await {
                // It ended before it had read all; what it says is the reason.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        child.wait_with_output().await
    });
    let output = answer.await.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(SystemError::Refused { tool, said: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

//! Ports for the cloud's programs: the usual ones where they are free, so that a person can remember the address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use super::Ports;

const HTTP: u16 = 8080;
const WAMP: u16 = 8081;
const CHANNEL: u16 = 8082;

/// What is tried next where one is taken. All of them are below the ports that the system gives to clients: one of these would be
/// somebody else's by the time that a program that listens was killed and started again.
const STEP: u16 = 10;
const ATTEMPTS: u16 = 50;

/// Chooses ports that are free on loopback and at the cloud's address.
///
/// # Errors
/// There are none.
pub(super) fn choose(cloud: Ipv4Addr) -> Result<Ports> {
    let mut held = Vec::new();
    let mut choose = |wanted, what| {
        let (port, listeners) = free(wanted, cloud)?;
        if port != wanted {
            eprintln!("port {wanted} is taken, so the {what} listens on {port}");
        }
        // Held until all are chosen, so that they differ.
        held.push(listeners);
        Ok::<_, anyhow::Error>(port)
    };
    Ok(Ports {
        http: choose(HTTP, "dashboard")?,
        wamp: choose(WAMP, "router")?,
        channel: choose(CHANNEL, "agents' channel")?,
    })
}

fn free(wanted: u16, cloud: Ipv4Addr) -> Result<(u16, [TcpListener; 2])> {
    for attempt in 0..ATTEMPTS {
        let number = wanted + attempt * STEP;
        let Ok(local) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) else { continue };
        if let Ok(other) = TcpListener::bind((cloud, number)) {
            return Ok((number, [local, other]));
        }
    }
    bail!("no port from {wanted} on is free both on {} and at {cloud}", Ipv4Addr::LOCALHOST)
}

//! What the agent tells of its device.

use std::{fs, thread};

use ecep_proto::api::device::{DeviceFacts, EngineFacts};

use crate::stats;

/// Gathers them; `engine` is told by the engine itself.
pub fn gather(engine: EngineFacts) -> DeviceFacts {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    DeviceFacts {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        architecture: text(system.machine()),
        kernel: text(system.release()),
        cores: thread::available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_total_bytes: stats::memory_total(),
        engine,
        hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        addresses: addresses(),
        channel_port: None,
        migration: None,
    }
}

/// The device's own addresses: not loopback, not link-local, not those of the containers' bridges.
fn addresses() -> Vec<String> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces.into_iter().filter(|interface| {
        let of_containers =
            ["docker", "br-", "veth", "ecep"].iter().any(|start| interface.name.starts_with(start));
        !interface.is_loopback() && !interface.is_link_local() && !of_containers
    });
    let mut addresses: Vec<String> = own.map(|interface| interface.ip().to_string()).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

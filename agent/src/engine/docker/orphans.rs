//! What an engine that was killed in the middle of starting a container leaves for good: the programs that listen at the
//! container's published ports. The next engine does not know of them, and nobody could publish these ports again.

use std::{fs, net::Ipv4Addr, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// Docker's program that listens at a published port.
const PROXY: &str = "docker-proxy";
/// Its argument before the container's address.
const ADDRESS: &str = "-container-ip";
/// The engine, which looks after its own.
const ENGINE: &str = "dockerd";

/// Ends the orphaned listeners of a container that is gone, in this device's network.
pub(super) fn end_listeners(address: Ipv4Addr) {
    let own = network_of("self");
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let is_orphan = listens_for(&command, address)
            && network_of(&pid.to_string()) == own
            && parent_of(&entry.path()).is_some_and(|parent| parent != ENGINE);
        if let (true, Some(process)) = (is_orphan, Pid::from_raw(pid)) {
            tracing::info!(%address, pid, "ending a listener that a killed engine has left");
            // It fails where it has ended.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn listens_for(command: &[u8], address: Ipv4Addr) -> bool {
    let text = String::from_utf8_lossy(command);
    let mut words = text.split('\0');
    let is_proxy = words.next().is_some_and(|program| Path::new(program).ends_with(PROXY));
    is_proxy && words.skip_while(|word| *word != ADDRESS).nth(1) == Some(address.to_string().as_str())
}

fn network_of(pid: &str) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// The name of a process's parent.
fn parent_of(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?;
    Some(fs::read_to_string(format!("/proc/{parent}/comm")).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another container's listener must not be ended.
    #[test]
    fn only_this_containers_listeners() {
        let command =
            b"/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\x000.0.0.0\0-host-port\x008090\0-container-ip\0\
            10.128.0.3\0-container-port\x008080\0";
        assert!(listens_for(command, Ipv4Addr::new(10, 128, 0, 3)));
        assert!(!listens_for(command, Ipv4Addr::new(10, 128, 0, 30)));
        assert!(!listens_for(b"/bin/sh\0-container-ip\x0010.128.0.3\0", Ipv4Addr::new(10, 128, 0, 3)));
    }
}

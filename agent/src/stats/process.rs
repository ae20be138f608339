//! The network of a container, as its first process has it.
//!
//! The process's folder stays open rather than the file in it: an open `net/dev` would keep the container's network
//! alive after its end, while a folder of a process that has ended just has no files any more, whoever has its number
//! by then.

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

use rustix::fs::{Mode, OFlags, openat};

use super::{counters::interfaces, reread, table::Table};

/// Whose network is the device's: this agent's, and where it runs in a container itself, that of the first of all.
const OF_DEVICE: [&str; 2] = ["self", "1"];

/// A container's network.
#[derive(Debug)]
pub(super) struct ContainerNetwork {
    process: File,
    table: Table,
}

impl ContainerNetwork {
    /// None where the process is gone, or has the device's network: what goes over that is not the container's.
    pub(super) fn open(proc: &Path, pid: u32) -> Option<Self> {
        let folder = proc.join(pid.to_string());
        let network = |process: &Path| fs::read_link(process.join("ns/net"));
        let own = network(&folder).ok()?;
        if OF_DEVICE.iter().any(|one| network(&proc.join(one)).is_ok_and(|devices| devices == own)) {
            return None;
        }
        Some(Self { process: File::open(folder).ok()?, table: Table::default() })
    }

    /// Bytes per second received and sent over all its interfaces but the loopback.
    pub(super) fn sample(&mut self, at: Duration) -> Option<[u64; 2]> {
        let text = openat(&self.process, "net/dev", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .ok()
            .and_then(|file| reread::read(&File::from(file)))
            .unwrap_or_default();
        let rows: Vec<_> = interfaces(&text).collect();
        self.table.sample(at, &rows, <[_]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn second(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn process(proc: &Path, id: &str, network: &str, table: &str) {
        fs::create_dir_all(proc.join(id).join("ns")).unwrap();
        fs::create_dir_all(proc.join(id).join("net")).unwrap();
        symlink(network, proc.join(id).join("ns/net")).unwrap();
        fs::write(proc.join(id).join("net/dev"), table).unwrap();
    }

    /// A container is measured by its own interfaces; one that vanishes, a table that is gone, or no interface at all
    /// gives no rate, never a huge one.
    #[test]
    fn a_container_is_measured_by_its_own_interfaces() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path();
        process(proc, "self", "net:[1]", "");
        let table = |rows: &str| fs::write(proc.join("42/net/dev"), format!("head\n{rows}")).unwrap();
        let row = |name: &str, received: u64, sent: u64| {
            format!("{name}: {received} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n")
        };
        process(proc, "42", "net:[2]", &row("lo", 7, 7));
        let mut network = ContainerNetwork::open(proc, 42).unwrap();
        assert_eq!(network.sample(second(0)), None);
        assert_eq!(network.sample(second(1)), None, "nothing but the loopback");
        table(&row("eth0", 1_000, 100));
        assert_eq!(network.sample(second(2)), None);
        table(&(row("eth0", 1_500, 200) + &row("lo", 99_999, 99_999)));
        assert_eq!(network.sample(second(4)), Some([250, 50]));
        table(&(row("eth0", 1_500, 200) + &row("eth1", 1 << 60, 1 << 60)));
        assert_eq!(network.sample(second(5)), None, "an interface that brings a past");
        table(&(row("eth0", 1_501, 200) + &row("eth1", 1 + (1 << 60), 1 << 60)));
        assert_eq!(network.sample(second(6)), Some([2, 0]));
        table(&row("eth0", 1_600, 300));
        assert_eq!(network.sample(second(7)), None, "an interface vanished");
        table(&row("eth0", 1_601, 302));
        assert_eq!(network.sample(second(8)), Some([1, 2]));
        fs::remove_dir_all(proc.join("42")).unwrap();
        process(proc, "42", "net:[3]", &row("eth0", 1 << 60, 1 << 60));
        assert_eq!(network.sample(second(9)), None, "another process has the number");
        assert_eq!(network.sample(second(10)), None);
    }

    /// What a container does over the device's own network cannot be told from what others do there.
    #[test]
    fn the_devices_network_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        process(folder.path(), "self", "net:[1]", "");
        process(folder.path(), "1", "net:[2]", "");
        for (id, network) in [("42", "net:[1]"), ("43", "net:[2]")] {
            process(folder.path(), id, network, "eth0: 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0\n");
            assert!(ContainerNetwork::open(folder.path(), id.parse().unwrap()).is_none());
        }
        assert!(ContainerNetwork::open(folder.path(), 44).is_none(), "there is no such process");
    }
}

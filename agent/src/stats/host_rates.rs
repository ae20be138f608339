//! What moves through the device as a whole: over its uplinks, and to and from the disk that holds the containers.
//!
//! *Uplinks* are the interfaces of hardware (those with a `device` in `/sys/class/net`), so that what a container sends
//! counts once and not at its bridge, its tunnel and its pair of ends too. Where there is none, as in a network of its
//! own, they are all interfaces but bridges, what is plugged into one, and what engines name as theirs.
//!
//! *The disk* is the whole one that the containers' file system lies on, whichever of its partitions that is; where
//! the file system does not say (btrfs, ZFS, overlay), all disks of hardware together.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ecep_proto::api::stats::Rates;
use rustix::fs::{major, minor};

use super::{
    counters::{disks, interfaces},
    reread,
    table::Table,
};

/// What engines call their bridges and their ends of the containers' pairs.
const OF_ENGINES: [&str; 3] = ["veth", "docker", "br-"];

/// The device's tables, and what was seen of them.
#[derive(Debug)]
pub(super) struct HostRates {
    sys: PathBuf,
    interfaces: Option<File>,
    disks: Option<File>,
    network: Table,
    disk: Table,
    /// The number of the file system that holds the containers.
    file_system: Option<u64>,
}

impl HostRates {
    /// Opens the tables; where one is missing there are no rates.
    pub(super) fn open(proc: &Path, sys: &Path) -> Self {
        Self {
            sys: sys.to_owned(),
            interfaces: File::open(proc.join("self/net/dev")).ok(),
            disks: File::open(proc.join("diskstats")).ok(),
            network: Table::default(),
            disk: Table::default(),
            file_system: None,
        }
    }

    /// Since the sample before. `storage` is the folder whose disk holds the containers.
    pub(super) fn sample(&mut self, at: Duration, storage: &Path) -> Rates {
        let file_system = fs::metadata(storage).ok().map(|metadata| metadata.dev());
        if self.file_system != file_system {
            self.file_system = file_system;
            self.disk = Table::default();
        }
        let sys = &self.sys;
        let text = |file: &Option<File>| file.as_ref().and_then(reread::read).unwrap_or_default();
        let (net, disk) = (text(&self.interfaces), text(&self.disks));
        let (net, disk): (Vec<_>, Vec<_>) = (interfaces(&net).collect(), disks(&disk).collect());
        Rates::of(
            self.network.sample(at, &net, |all| uplinks(sys, all)),
            self.disk.sample(at, &disk, |all| disks_of(sys, file_system, all)),
        )
    }
}

fn uplinks<'a>(sys: &Path, all: &[&'a str]) -> Vec<&'a str> {
    let has = |name: &str, what: &str| sys.join("class/net").join(name).join(what).exists();
    let hardware: Vec<&str> = all.iter().copied().filter(|name| has(name, "device")).collect();
    if !hardware.is_empty() {
        return hardware;
    }
    let is_inside = |name: &str| {
        OF_ENGINES.iter().any(|start| name.starts_with(start)) || has(name, "bridge") || has(name, "brport")
    };
    all.iter().copied().filter(|name| !is_inside(name)).collect()
}

fn disks_of<'a>(sys: &Path, file_system: Option<u64>, all: &[&'a str]) -> Vec<&'a str> {
    let name = file_system.and_then(|number| {
        let entry = sys.join(format!("dev/block/{}:{}", major(number), minor(number)));
        let entry = fs::canonicalize(entry).ok()?;
        let whole = if entry.join("partition").exists() { entry.parent()? } else { &entry };
        Some(whole.file_name()?.to_str()?.to_owned())
    });
    if let Some(holds) = all.iter().copied().find(|one| Some(*one) == name.as_deref()) {
        return vec![holds];
    }
    let is_hardware = |name: &&str| sys.join("block").join(name).join("device").exists();
    all.iter().copied().filter(is_hardware).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::makedev;

    use super::*;

    fn folders(root: &Path, paths: &[&str]) {
        for path in paths {
            fs::create_dir_all(root.join(path)).unwrap();
        }
    }

    /// What containers send passes a pair, a bridge and the uplink: it must count once.
    #[test]
    fn uplinks_are_the_interfaces_of_hardware() {
        let sys = tempfile::tempdir().unwrap();
        let all = ["eth0", "eth0.10", "docker0", "br-1a2b", "vethc0ffee", "ecepbr0", "ecep0v1", "wlan0"];
        folders(sys.path(), &["class/net/ecepbr0/bridge", "class/net/ecep0v1/brport"]);
        assert_eq!(uplinks(sys.path(), &all), ["eth0", "eth0.10", "wlan0"], "none of hardware is known");
        folders(sys.path(), &["class/net/eth0/device", "class/net/wlan0/device", "class/net/gone/device"]);
        assert_eq!(uplinks(sys.path(), &all), ["eth0", "wlan0"]);
        assert_eq!(uplinks(sys.path(), &["docker0"]), [""; 0]);
    }

    /// A partition's whole disk counts, one on top of others counts alone, and without any of it all of hardware.
    #[test]
    fn the_disk_is_that_of_the_containers() {
        let sys = tempfile::tempdir().unwrap();
        let root = sys.path();
        folders(root, &["dev/block", "devices/sda/sda1/partition", "devices/dm-0"]);
        folders(root, &["block/sda/device", "block/sdb/device", "block/loop0"]);
        symlink(root.join("devices/sda/sda1"), root.join("dev/block/8:1")).unwrap();
        symlink(root.join("devices/dm-0"), root.join("dev/block/253:0")).unwrap();
        let all = ["loop0", "sda", "sda1", "sdb", "dm-0"];
        let of = |major, minor| disks_of(root, Some(makedev(major, minor)), &all);
        assert_eq!(of(8, 1), ["sda"]);
        assert_eq!(of(253, 0), ["dm-0"]);
        assert_eq!(of(0, 44), ["sda", "sdb"]);
        assert_eq!(disks_of(root, None, &all), ["sda", "sdb"]);
    }

    /// Both tables are read anew each time; where they are missing nothing is made up.
    #[test]
    fn tables_are_read_again_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let storage = Path::new("/");
        let second = Duration::from_secs;
        let mut missing = HostRates::open(root, root);
        assert_eq!(missing.sample(second(0), storage), Rates::default());
        assert_eq!(missing.sample(second(1), storage), Rates::default());
        folders(root, &["self/net", "block/vda/device"]);
        let write = |received: u64, sectors: u64| {
            let table = format!("eth0: {received} 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n");
            fs::write(root.join("self/net/dev"), table).unwrap();
            let table = format!("254 0 vda 1 0 {sectors} 1 1 0 16 1 0 1 1\n");
            fs::write(root.join("diskstats"), table).unwrap();
        };
        write(100, 8);
        let mut rates = HostRates::open(root, root);
        assert_eq!(rates.sample(second(1), storage), Rates::default());
        write(300, 12);
        assert_eq!(rates.sample(second(3), storage), Rates::of(Some([100, 0]), Some([1_024, 0])));
        write(0, 12);
        assert_eq!(rates.sample(second(4), storage), Rates::of(None, Some([0, 0])), "the driver began anew");
    }
}

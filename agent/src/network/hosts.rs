//! The names of a tenant's containers in a container's hosts file. The file is the engine's, mounted into the container,
//! so it is written in place; what stands above our mark stays as it is.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use ecep_proto::api::{name::ContainerId, network::Place};

/// Our part begins with this line and goes to the end of the file.
const MARK: &str = "# the tenant's containers, kept by ecep";

/// Our part of the hosts file of one container: all others. Of two with one name, the one with the lower address counts.
pub(super) fn lines(places: &[Place], own: &ContainerId) -> String {
    let mut others: Vec<&Place> = places.iter().filter(|place| place.container != *own).collect();
    others.sort_by_key(|place| place.address);
    others.iter().map(|place| format!("{}\t{}\n", place.address, place.name)).collect()
}

/// Writes our part.
pub(super) fn write(path: &Path, lines: &str) -> io::Result<()> {
    let old = fs::read_to_string(path)?;
    let new = merged(&old, lines);
    if new == old {
        return Ok(());
    }
    // In place, as the container has this very file mounted.
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(new.as_bytes())
}

fn merged(old: &str, lines: &str) -> String {
    let engines = old.find(MARK).map_or(old, |at| &old[..at]);
    if lines.is_empty() { engines.to_owned() } else { format!("{engines}{MARK}\n{lines}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's own lines must survive any number of writes, and ours must not pile up.
    #[test]
    fn only_our_part_changes() {
        let engines = "127.0.0.1\tlocalhost\n10.192.0.2\tabc\n";
        let once = merged(engines, "10.192.0.3\tredis\n");
        assert!(once.starts_with(engines) && once.ends_with("10.192.0.3\tredis\n"));
        let twice = merged(&once, "10.192.0.4\tweb\n");
        assert!(twice.starts_with(engines) && twice.ends_with("10.192.0.4\tweb\n"));
        assert!(!twice.contains("redis"));
        assert_eq!(merged(&twice, ""), engines);
    }
}

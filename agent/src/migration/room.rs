//! Where a move's images of memory lie: in memory where they fit, so that they are never written to a disk; else in the move's
//! folder. Those in memory do not outlive the machine's end, and neither would they on a disk that nobody has flushed.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Files that are kept in memory, on every Linux (Filesystem Hierarchy; systemd mounts it with half of the memory).
const SHARED_MEMORY: &str = "/dev/shm";
/// Images and what is restored of them are in memory at one time, and something is left for everybody else.
const SPARE_BYTES: u64 = 64 << 20;

/// The folder in memory of what has this name.
pub(super) fn in_memory(name: &str) -> PathBuf {
    Path::new(SHARED_MEMORY).join(format!("ecep-{name}"))
}

/// Makes the folder in memory, if images of that many bytes fit; whether they do.
pub(super) fn claim(folder: &Path, bytes: u64) -> bool {
    // One that is there was made by this agent for the same move, or by somebody who must not read it.
    fits(bytes, room()) && fs::DirBuilder::new().mode(0o700).create(folder).is_ok()
}

/// Removes it.
pub(super) fn give_back(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn fits(bytes: u64, room: u64) -> bool {
    bytes.saturating_mul(2).saturating_add(SPARE_BYTES) <= room
}

/// Bytes that the agent and what it starts can have.
fn room() -> u64 {
    let shared = rustix::fs::statvfs(SHARED_MEMORY).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    let available = available(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    shared.min(available).min(allowed())
}

/// `MemAvailable` (proc(5), meminfo).
fn available(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// What the agent's own control groups leave: what is written into memory is theirs, too.
fn allowed() -> u64 {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut least = u64::MAX;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, limit, usage) = match (parts.next(), parts.next()) {
            (Some(""), Some(path)) => (("/sys/fs/cgroup", path), "memory.max", "memory.current"),
            (Some("memory"), Some(path)) => {
                (("/sys/fs/cgroup/memory", path), "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => continue,
        };
        for group in Path::new(root.1).ancestors() {
            let folder = Path::new(root.0).join(group.strip_prefix("/").unwrap_or(group));
            let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
            if let (Some(limit), Some(usage)) = (number(limit), number(usage)) {
                least = least.min(limit.saturating_sub(usage));
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that may have 1 GB must not save a container of 2 GB into memory: the kernel would end it.
    #[test]
    fn only_what_fits_twice_goes_into_memory() {
        let gigabyte = 1 << 30;
        assert!(!fits(2 * gigabyte, gigabyte));
        assert!(!fits(gigabyte / 2, gigabyte));
        assert!(fits(200 << 20, gigabyte));
        assert!(!fits(u64::MAX, u64::MAX - 1));
    }

    /// What the kernel does not say is no room.
    #[test]
    fn memory_is_read_as_the_kernel_says_it() {
        assert_eq!(available("MemTotal:  100 kB\nMemAvailable:    2048 kB\n"), 2 << 20);
        assert_eq!(available("MemTotal:  100 kB\n"), 0);
        assert!(room() <= available(&fs::read_to_string("/proc/meminfo").unwrap()) * 2);
    }
}

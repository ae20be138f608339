//! What the router costs: processor time and memory of a process with all its threads and children, as the system counts
//! them; and our own processor time.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// A process and what descends from it.
#[derive(Clone, Debug)]
pub struct Watched(Vec<u32>);

impl Watched {
    /// The process, and the children that it has now.
    ///
    /// # Errors
    /// There is no such process.
    pub fn new(process: u32) -> Result<Self> {
        let mut parents = HashMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(parent) = parent(pid) {
                parents.insert(pid, parent);
            }
        }
        parents.get(&process).with_context(|| format!("there is no process {process}"))?;
        let descends = |mut pid: u32| {
            while pid != process {
                match parents.get(&pid) {
                    Some(parent) => pid = *parent,
                    None => return false,
                }
            }
            true
        };
        Ok(Self(parents.keys().copied().filter(|pid| descends(*pid)).collect()))
    }

    /// Processor time so far, of user and system.
    ///
    /// # Errors
    /// It has ended.
    pub fn processor_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for pid in &self.0 {
            let threads = fs::read_dir(format!("/proc/{pid}/task"));
            for thread in threads.with_context(|| format!("process {pid} has ended"))?.flatten() {
                // A thread that ends just now has no say any more.
                let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                let used = text.split(' ').next().and_then(|used| used.parse::<u64>().ok());
                nanoseconds += used.unwrap_or_default();
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory; what is shared with other processes counts in part.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(&self) -> Result<u64> {
        let mut kilobytes = 0;
        for pid in &self.0 {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            let text = text.with_context(|| format!("process {pid} has ended"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kilobytes += number.context("the system tells no Pss")?;
        }
        Ok(kilobytes * 1024)
    }
}

/// Our own processor time so far.
pub fn own_processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// From `pid (name) state parent ...`; the name may contain anything.
fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

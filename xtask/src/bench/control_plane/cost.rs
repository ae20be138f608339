//! What a process costs, as the system counts it: memory in MiB, processor time.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

const KIB_IN_MIB: f64 = 1024.0;

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Now.
    pub resident_mib: f64,
    /// At most since it was started.
    pub peak_mib: f64,
}

/// Memory of a process.
///
/// # Errors
/// It has ended.
pub(super) fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"));
    let text = text.with_context(|| format!("process {pid} has ended"))?;
    let mib = |key: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.with_context(|| format!("the system tells no {key}"))?.parse()?;
        Ok(kib / KIB_IN_MIB)
    };
    Ok(Memory { resident_mib: mib("VmRSS:")?, peak_mib: mib("VmHWM:")? })
}

/// Processor time of a process so far, of all its threads that run, user and system.
///
/// # Errors
/// It has ended.
pub(super) fn processor_time(pid: u32) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let mut nanoseconds = 0;
    for thread in threads.with_context(|| format!("process {pid} has ended"))?.flatten() {
        // A thread that ends just now has no say any more.
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let used = text.split(' ').next().and_then(|used| used.parse::<u64>().ok());
        nanoseconds += used.unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// How many programs of this machine wanted a processor in the last minute: what else went on beside a measurement.
///
/// # Errors
/// The system does not say.
pub(in crate::bench) fn load_of_machine() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().context("no load")?.parse()?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    /// The figures of a process must be there at all, and its peak no less than what it has.
    #[test]
    fn a_process_has_memory_and_uses_time() {
        // Not this one: threads of other tests end meanwhile, and their time with them.
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        // It has used none that is told before it was stopped for the first time.
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut before = processor_time(child.id());
        while matches!(before, Ok(Duration::ZERO)) && Instant::now() < deadline {
            std::thread::yield_now();
            before = processor_time(child.id());
        }
        let memory = memory(child.id());
        let after = processor_time(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let memory = memory.unwrap();
        assert!(memory.resident_mib > 0.0 && memory.peak_mib >= memory.resident_mib, "{memory:?}");
        let (before, after) = (before.unwrap(), after.unwrap());
        assert!(before > Duration::ZERO && after >= before, "{before:?}, then {after:?}");
        assert!(memory_of_nobody().is_err());
    }

    fn memory_of_nobody() -> Result<Memory> {
        memory(u32::MAX)
    }
}

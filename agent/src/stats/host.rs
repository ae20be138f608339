//! The device as a whole, from `/proc` and its disk.

use std::{fs, path::Path, time::Duration};

use ecep_proto::api::stats::HostStats;

use super::{
    host_rates::HostRates,
    meter::{HostMeter, HostTicks},
};

#[derive(Debug)]
pub(super) struct HostSampler {
    meter: HostMeter,
    rates: HostRates,
}

impl HostSampler {
    /// A sampler that has seen nothing yet.
    pub(super) fn new() -> Self {
        Self { meter: HostMeter::default(), rates: HostRates::open(Path::new("/proc"), Path::new("/sys")) }
    }

    /// At a monotonic time. What cannot be read counts as 0, and a rate as none: a device that hides its files still
    /// has containers to show.
    pub(super) fn sample(&mut self, at: Duration, storage: &Path) -> HostStats {
        let (ticks, cores) = fs::read_to_string("/proc/stat").ok().as_deref().map_or((None, 0), parse_stat);
        let (total, available) =
            fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(parse_meminfo).unwrap_or_default();
        let disk = rustix::fs::statvfs(storage).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        HostStats {
            cpu_percent: ticks.and_then(|ticks| self.meter.sample(ticks)),
            cores,
            memory_used_bytes: total.saturating_sub(available),
            memory_total_bytes: total,
            disk_free_bytes: disk,
            rates: self.rates.sample(at, storage),
        }
    }
}

/// Bytes of memory in total; 0 where the kernel does not say.
pub(crate) fn memory_total() -> u64 {
    fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(parse_meminfo).unwrap_or_default().0
}

/// The counters of all cores (proc_stat(5)), and how many cores are online.
fn parse_stat(text: &str) -> (Option<HostTicks>, u32) {
    let cores = text
        .lines()
        .filter(|line| {
            line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
        .count();
    let ticks = text.lines().find_map(|line| {
        let fields: Vec<u64> =
            line.strip_prefix("cpu ")?.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; the guest fields after them are in user already.
        let counted = fields.get(..8)?;
        let total = counted.iter().sum();
        let at_work = counted[0] + counted[1] + counted[2] + counted[5] + counted[6];
        Some(HostTicks { busy: at_work, total })
    });
    (ticks, u32::try_from(cores).unwrap_or(u32::MAX))
}

/// Total and available bytes (proc_meminfo(5)).
fn parse_meminfo(text: &str) -> Option<(u64, u64)> {
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((bytes("MemTotal")?, bytes("MemAvailable")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Idle, iowait and stolen time is not work; guest time must not count twice.
    #[test]
    fn reads_the_kernels_counters() {
        let text =
            "cpu  10 1 5 100 20 2 3 4 9 9\ncpu0 5 0 2 50 10 1 1 2 0 0\ncpu1 5 1 3 50 10 1 2 2 0 0\nintr 5\n";
        assert_eq!(parse_stat(text), (Some(HostTicks { busy: 21, total: 145 }), 2));
        assert_eq!(parse_stat("nothing"), (None, 0));
        assert_eq!(parse_meminfo("MemTotal:  100 kB\nMemAvailable:  40 kB\n"), Some((102_400, 40_960)));
    }

    /// On the machine that runs the test, everything must be readable.
    #[test]
    fn this_machine_can_be_sampled() {
        let stats = HostSampler::new().sample(Duration::ZERO, Path::new("/"));
        assert!(stats.cores > 0 && stats.memory_used_bytes > 0 && stats.disk_free_bytes > 0, "{stats:?}");
    }
}

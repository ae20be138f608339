//! The process' own figures from `/proc`, under the names that every Prometheus client gives them. What cannot be read
//! is left out.

use std::fs;

use crate::exposition::{Kind, Page, count};

/// Ticks of a second in `/proc` (proc_pid_stat(5)): 100 on every Linux that we run on.
const TICKS: f64 = 100.0;

pub(super) fn write(page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(figures) = parse(&stat) {
        let help = "Seconds of CPU in user and kernel mode.";
        page.single("process_cpu_seconds_total", Kind::Counter, help, figures.cpu_seconds);
        page.single("process_threads", Kind::Gauge, "Threads.", figures.threads);
        let help = "Bytes of address space.";
        page.single("process_virtual_memory_bytes", Kind::Gauge, help, figures.virtual_bytes);
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(boot) = boot.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok()) {
            let help = "When the process began, in seconds since 1970.";
            page.single("process_start_time_seconds", Kind::Gauge, help, boot + figures.started_after);
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kibibytes) = value(&status, "VmRSS:") {
        let help = "Bytes of memory in use.";
        page.single("process_resident_memory_bytes", Kind::Gauge, help, kibibytes * 1_024.0);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.single("process_open_fds", Kind::Gauge, "Open file descriptors.", count(open.count()));
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = value(&limits, "Max open files") {
        page.single("process_max_fds", Kind::Gauge, "File descriptors that may be open.", most);
    }
}

#[derive(Debug, PartialEq)]
struct Figures {
    cpu_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
    started_after: f64,
}

/// The fields after the name, which may itself hold spaces and parentheses.
fn parse(stat: &str) -> Option<Figures> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Numbered from 3, `state`, on.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Figures {
        cpu_seconds: (field(14)? + field(15)?) / TICKS,
        threads: field(20)?,
        started_after: field(22)? / TICKS,
        virtual_bytes: field(23)?,
    })
}

/// The first number after this key.
fn value(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process' name can look like other fields; the figures must not be taken from it.
    #[test]
    fn the_name_does_not_shift_the_fields() {
        let stat = "7 (a) 1 2) S 1 1 1 0 -1 0 10 0 0 0 250 50 0 0 20 0 9 0 1234 4096000 100 0";
        let figures =
            Figures { cpu_seconds: 3.0, threads: 9.0, started_after: 12.34, virtual_bytes: 4_096_000.0 };
        assert_eq!(parse(stat), Some(figures));
        assert_eq!(parse("nonsense"), None);
    }

    /// This very process must be found, on whatever kernel.
    #[test]
    fn this_process_has_figures() {
        let mut page = Page::default();
        write(&mut page);
        let text = page.finish();
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
            assert!(text.contains(&format!("\n{name} ")), "{name}: {text}");
        }
    }
}

//! What the histories of a large fleet cost: 1,000 devices with ten containers each, for an hour. Prints figures and
//! asserts only that memory stays bounded: run it by
//! `cargo test --release -p ecep-dashboard-api --test history_load -- --ignored --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use ecep_dashboard_api::history::History;
use ecep_proto::api::{
    history::{COARSE_MS, ContainerSummary, HostSummary, SUMMARY_MS, Span, StatsReport, StatsSummary},
    name::DeviceId,
};

const START: u64 = 1_800_000_000_000;
const DEVICES: usize = 1_000;
const CONTAINERS: usize = 10;

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1_024
}

/// Files, their lengths, and what they take of the disk.
fn usage(folder: &Path) -> (u64, u64, u64) {
    fs::read_dir(folder).unwrap().flatten().fold((0, 0, 0), |sum, entry| {
        let metadata = entry.metadata().unwrap();
        let (files, length, blocks) = match metadata.is_dir() {
            true => usage(&entry.path()),
            false => (1, metadata.len(), metadata.blocks() * 512),
        };
        (sum.0 + files, sum.1 + length, sum.2 + blocks)
    })
}

fn report(device: usize, slot: u64) -> StatsReport {
    let value = (device as u64 + slot) as f64 % 97.0;
    let cpu = Some(Span { min: value / 2.0, avg: value, max: value + 1.0 });
    let container = |number: usize| ContainerSummary {
        tenant: format!("tenant-{}", device % 200).parse().unwrap(),
        id: format!("container-{device}-{number}").parse().unwrap(),
        cpu,
        memory_bytes: Some(100_000_000 + slot),
        network: Some([slot, 1_000]),
        disk: Some([0, slot]),
    };
    let summary = StatsSummary {
        at: slot * SUMMARY_MS,
        late: false,
        host: HostSummary {
            cpu,
            memory_used_bytes: 1 << 30,
            disk_free_bytes: 1 << 34,
            network: Some([slot, 1_000]),
            disk: Some([0, slot]),
        },
        containers: (0..CONTAINERS).map(container).collect(),
    };
    StatsReport { clock: (slot + 1) * SUMMARY_MS, summaries: vec![summary] }
}

/// The bound that is promised: 80 MB for the hours of 11,000 series.
#[test]
#[ignore = "measures"]
fn a_large_fleet_for_an_hour() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::open(folder.path().join("stats"), START).unwrap();
    let devices: Vec<DeviceId> = (0..DEVICES).map(|n| format!("device-{n}").parse().unwrap()).collect();
    let before = resident();
    let (mut taking, mut writing, mut writes) = (Duration::ZERO, Vec::new(), 0);
    for slot in 0..390 {
        let now = START + (slot + 1) * SUMMARY_MS;
        for (number, device) in devices.iter().enumerate() {
            let report = report(number, slot);
            let begun = Instant::now();
            history.take(now, device, &report, |_, _| true).unwrap();
            taking += begun.elapsed();
        }
        let begun = Instant::now();
        history.write(now, false);
        if now % COARSE_MS < SUMMARY_MS {
            writing.push(begun.elapsed());
            writes += 1;
        }
    }
    let now = START + 390 * SUMMARY_MS;
    let grown = resident().saturating_sub(before);
    let extent = history.extent();
    eprintln!(
        "{} series, hours {} bytes, resident memory grew by {grown} bytes",
        extent.series, extent.memory_bytes
    );
    eprintln!("taking: {:?} for each report of {} series", taking / 390 / DEVICES as u32, CONTAINERS + 1);
    writing.sort();
    eprintln!("writing 11,000 rows: median {:?}, {writes} times", writing[writing.len() / 2]);
    let (files, length, taken) = usage(&folder.path().join("stats"));
    eprintln!("disk: {files} files, {length} bytes long, {taken} bytes taken");
    let mut asking: Vec<Duration> = devices
        .iter()
        .take(200)
        .map(|device| {
            let begun = Instant::now();
            history.of_device(now, device, (now - 30 * 24 * 3_600_000, now, None)).unwrap();
            begun.elapsed()
        })
        .collect();
    asking.sort();
    eprintln!("asking for 30 days: median {:?}, worst {:?}", asking[100], asking[199]);
    assert!(extent.series == DEVICES * (CONTAINERS + 1) && extent.memory_bytes < 80_000_000);
}

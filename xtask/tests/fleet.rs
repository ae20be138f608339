//! A small fleet of real agents with engines in memory, on a real router and a real control plane, each a process: what the bench of
//! the control plane measures, without a clock. Needs no engine and no root.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;
use xtask::{
    bench::control_plane::{Platform, Programs, Size},
    wait, workspace,
};

const SIZE: Size = Size { tenants: 20, devices: 60, containers: 600 };
/// Beside the devices', on the control realm: the router's own session and the control plane's.
const OF_THE_CLOUD: u64 = 2;
/// Only a fleet that does not come back takes as long.
const LIMIT: Duration = Duration::from_secs(120);

/// After the router or the control plane was killed, every device must be back by itself, with all its containers and with one
/// session on each of its realms: none is lost, and none is left over from before.
#[test]
fn a_fleet_comes_back_after_its_cloud_was_killed() {
    run(&workspace().join(format!("target/test-fleet-{}", std::process::id()))).unwrap();
}

fn run(folder: &Path) -> Result<()> {
    let mut platform = Platform::start(folder, Programs::build_with_tests()?, &SIZE)?;
    platform.start_fleet(2)?;
    back(&platform, None, 0)?;
    let each = SIZE.each().to_string();
    let created: Value = platform.measure(&["create", "--each", &each])?;
    ensure!(created["containers"] == SIZE.containers, "{created}");

    let killed = platform.restart_router()?;
    back(&platform, Some(killed), SIZE.containers)?;
    let (killed, ..) = platform.restart_control_plane()?;
    back(&platform, Some(killed), SIZE.containers)?;

    let orders: Value = platform.measure(&["orders", "--orders", "40"])?;
    ensure!(orders["told"]["count"] == 40, "{orders}");
    platform.take_down()?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Each device answers its tenant with all its containers; then the sessions are counted.
fn back(platform: &Platform, since: Option<u64>, containers: u32) -> Result<()> {
    let each = (containers / SIZE.devices).to_string();
    let limit = LIMIT.as_secs().to_string();
    let mut arguments = vec!["connected", "--each", &each, "--limit", &limit];
    let since = since.map(|since| since.to_string());
    since.iter().for_each(|since| arguments.extend(["--since", since.as_str()]));
    let connected: Value = platform.measure(&arguments)?;
    ensure!(connected["devices"] == SIZE.devices && connected["containers"] == containers, "{connected}");
    let devices = u64::from(SIZE.devices);
    let expected = (devices + OF_THE_CLOUD, devices + u64::from(SIZE.tenants));
    wait::until("every device has one session on each realm", LIMIT, || {
        let metrics = platform.metrics()?;
        let sessions = (metrics.control_sessions, metrics.tenant_sessions);
        ensure!(sessions == expected, "{sessions:?} sessions, not {expected:?}");
        Ok(Some(()))
    })
}

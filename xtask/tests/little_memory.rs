//! A container larger than what both agents may have in memory moves live all the same: its images go by the disk, and nothing
//! else grows with it. Real engines and control groups; needs root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ecep_proto::api::{
    container::CreateContainer,
    migration::{MigrationMode, MigrationState},
};
use xtask::{
    lab,
    report::Report,
    stack::{Counting, Programs, Stack, agent_name},
    wait,
};

const PORT: u16 = 8080;
/// Two gigabytes are written to a disk and read again, twice.
const LIMIT: Duration = Duration::from_secs(300);

/// A control group that may have little memory.
struct Group {
    folder: PathBuf,
    is_unified: bool,
}

impl Group {
    fn make(name: &str, megabytes: u64) -> Result<Self> {
        let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let root = if is_unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
        let folder = Path::new(root).join(name);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let group = Self { folder, is_unified };
        let limit = if is_unified { "memory.max" } else { "memory.limit_in_bytes" };
        group.write(limit, &(megabytes << 20).to_string())?;
        Ok(group)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    fn take(&self, process: u32) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    /// How many processes the kernel ended because there was no memory left.
    fn killed(&self) -> Result<u64> {
        let file = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.context("the kernel does not count them")?.trim().parse().context("no number")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended with the stack.
        if let Err(error) = fs::remove_dir(&self.folder) {
            println!("{}: {error}", self.folder.display());
        }
    }
}

fn moves_between_agents_with_little_memory(container_megabytes: u64, agent_megabytes: u64) {
    let name = format!("little-{container_megabytes}-{}", std::process::id());
    let groups =
        [1, 2].map(|number| Group::make(&format!("agent-of-{name}-{number}"), agent_megabytes).unwrap());
    let stack =
        Stack::start(&mut Report::new(), &name, &lab::default_data_root(), 2, Programs::build_with_tests)
            .unwrap();
    for (number, group) in (1..).zip(&groups) {
        group.take(stack.supervisor().pid(&agent_name(number)).unwrap().0).unwrap();
    }
    let route = stack.route_through(1).unwrap();
    let mut order = CreateContainer::new("large".parse().unwrap(), lab::COUNTER_IMAGE);
    order.env.insert("BALLAST_MB".into(), container_megabytes.to_string());
    let (container, address) = stack.create(1, &order, LIMIT).unwrap();
    stack.await_movable(&container, 2, LIMIT).unwrap();
    let client = Counting::start(address, PORT).unwrap();
    client.wait_on(LIMIT).unwrap();
    for to in [2, 1] {
        let operation = wait::until("the move can be ordered", LIMIT, || {
            stack.order_move(&container, stack.id(to), MigrationMode::Live).map(Some)
        });
        let view = stack.await_move(&operation.unwrap(), LIMIT).unwrap();
        assert_eq!(view.state, MigrationState::Done, "{:?}", view.error);
        assert!(!view.went_cold, "{view:?}");
        println!(
            "{container_megabytes} MB, agents of {agent_megabytes} MB: longest wait {:?}",
            client.take_longest_wait()
        );
    }
    client.wait_on(LIMIT).unwrap();
    client.stop().unwrap();
    for group in &groups {
        assert_eq!(group.killed().unwrap(), 0, "the kernel ended something of {}", group.folder.display());
    }
    let alive = || -> Result<()> {
        let ended = stack.supervisor().ended();
        ensure!(ended.is_empty(), "{ended:?} ended");
        Ok(())
    };
    alive().unwrap();
    drop(route);
    stack.take_down().unwrap();
}

#[test]
fn a_container_moves_that_is_twice_what_its_agents_may_have() {
    moves_between_agents_with_little_memory(512, 256);
}

/// As above, as large as a small device's container gets. Takes minutes on a slow disk.
#[test]
#[ignore = "writes eight gigabytes: cargo test -p xtask --test little_memory -- --ignored"]
fn two_gigabytes_move_between_agents_that_may_have_one() {
    moves_between_agents_with_little_memory(2048, 1024);
}

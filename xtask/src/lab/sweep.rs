//! Ends everything that belongs to a lab, from its plan alone: processes, control groups, wires, folders. A process
//! belongs to a lab when it lives in one of its namespaces or control groups, or bears its token in the environment, or
//! descends from one that does. Nobody is killed for having a number that was written down earlier.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::plan::{self, Exclusive, Plan, TOKEN_VARIABLE, start_time};
use super::process::POLL;
use super::{disks, network};

/// A killed process that holds much memory or a busy disk takes its time.
const KILL_LIMIT: Duration = Duration::from_secs(60);

const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Removes the lab, or what there is of it.
///
/// # Errors
/// Something would not go; the record stays, so that a later run can try again.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    let _lock = plan::lock(Exclusive::Sweeping)?;
    if plan::all()?.iter().all(|other| other.token != plan.token) {
        // Another process was quicker.
        return Ok(());
    }
    kill_processes(plan)?;
    remove_cgroups(plan)?;
    network::remove(plan)?;
    disks::remove(plan)?;
    remove_folder(&plan.data_dir)?;
    remove_folder(&plan.run_dir())
}

/// Removes every lab whose owner is no more, and answers their names.
///
/// # Errors
/// Something would not go.
pub(super) fn remove_orphans() -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for plan in plan::all()? {
        if !plan.owner.is_alive() {
            remove(&plan)
                .with_context(|| format!("cannot clean up lab {}, left by an earlier run", plan.name))?;
            removed.push(plan.name);
        }
    }
    Ok(removed)
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn kill_processes(plan: &Plan) -> Result<()> {
    let start = Instant::now();
    loop {
        let living = members(plan)?;
        if living.is_empty() {
            return Ok(());
        }
        if start.elapsed() > KILL_LIMIT {
            bail!("processes of lab {} survive SIGKILL: {living:?}", plan.name);
        }
        for process in &living {
            process.kill();
        }
        // Whatever is frozen (a container in the middle of a move) hears of it only then.
        for group in cgroups(plan) {
            thaw(&group);
        }
        std::thread::sleep(POLL);
    }
}

/// A process as the scan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen {
    pid: u32,
    parent: u32,
    started: u64,
}

impl Seen {
    fn read(pid: u32) -> Option<Self> {
        let started = start_time(pid)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        Some(Self { pid, parent, started })
    }

    /// Kills just the process that was seen: the descriptor pins it, the start time proves that it is the one.
    fn kill(&self) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return };
        if start_time(self.pid) == Some(self.started) {
            // It may end by itself in between, which is as good.
            let _ = pidfd_send_signal(descriptor, Signal::KILL);
        }
    }
}

fn members(plan: &Plan) -> Result<Vec<Seen>> {
    let namespaces = namespaces(plan);
    let cgroups: HashSet<String> = plan.numbers().map(|number| plan.device_name(number)).collect();
    let token = format!("{TOKEN_VARIABLE}={}", plan.token);
    let this = std::process::id();
    let all: Vec<Seen> = fs::read_dir("/proc")
        .context("cannot read /proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != this)
        .filter_map(Seen::read)
        .collect();
    let mut members: HashSet<&Seen> = all
        .iter()
        .filter(|seen| {
            let folder = PathBuf::from(format!("/proc/{}", seen.pid));
            is_inside(&folder, &namespaces) || is_controlled(&folder, &cgroups) || bears(&folder, &token)
        })
        .collect();
    loop {
        let pids: HashSet<u32> = members.iter().map(|seen| seen.pid).collect();
        let before = members.len();
        members.extend(all.iter().filter(|seen| pids.contains(&seen.parent)));
        if members.len() == before {
            return Ok(members.into_iter().cloned().collect());
        }
    }
}

/// A namespace is told by the device and inode of its file (namespaces(7)).
type Namespace = (u64, u64);

fn namespace(path: &Path) -> Option<Namespace> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The devices' network namespaces; all of a device but the insides of its containers is in one.
fn namespaces(plan: &Plan) -> HashSet<Namespace> {
    plan.numbers().filter_map(|number| namespace(&plan.netns_path(number))).collect()
}

fn is_inside(process: &Path, namespaces: &HashSet<Namespace>) -> bool {
    namespace(&process.join("ns/net")).is_some_and(|namespace| namespaces.contains(&namespace))
}

fn is_controlled(process: &Path, cgroups: &HashSet<String>) -> bool {
    let Ok(table) = fs::read_to_string(process.join("cgroup")) else { return false };
    table.lines().flat_map(|line| line.split(['/', ':'])).any(|part| cgroups.contains(part))
}

fn bears(process: &Path, token: &str) -> bool {
    let Ok(environment) = fs::read(process.join("environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| variable == token.as_bytes())
}

/// The devices' control groups, as far as they are there.
fn cgroups(plan: &Plan) -> Vec<PathBuf> {
    // Version 1 has a tree for each controller, version 2 one tree; a hybrid has both.
    let trees = fs::read_dir(CGROUP_ROOT).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let trees = trees.chain([PathBuf::from(CGROUP_ROOT)]);
    let groups = trees.flat_map(|tree| plan.numbers().map(move |number| tree.join(plan.device_name(number))));
    groups.filter(|group| group.is_dir()).collect()
}

/// Thaws a group and all below it. One that goes meanwhile needs no thawing.
fn thaw(group: &Path) {
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if group.join(file).exists() {
            let _ = fs::write(group.join(file), word);
        }
    }
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            thaw(&entry.path());
        }
    }
}

fn remove_cgroups(plan: &Plan) -> Result<()> {
    cgroups(plan).iter().try_for_each(|group| remove_cgroup(group))
}

fn remove_cgroup(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group).with_context(|| format!("cannot read {}", group.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    // A group is busy until the kernel has let go of the last process that was in it.
    let start = Instant::now();
    loop {
        match fs::remove_dir(group) {
            Err(error)
                if error.kind() == std::io::ErrorKind::ResourceBusy && start.elapsed() < KILL_LIMIT =>
            {
                std::thread::sleep(POLL);
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", group.display()));
            }
            _ => return Ok(()),
        }
    }
}

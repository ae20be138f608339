//! Freezing a container's processes behind the engine's back, by the cgroup freezer of either version: within a
//! millisecond, where a `pause` through the engine takes tens. The engine goes on calling it running.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::stat;

/// The kernel freezes a process when it next returns from a system call; one that waits for a dead disk never does.
const LIMIT: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_micros(500);

/// The state of a process in proc(5), `stat`.
const STATE: usize = 3;

/// What a control group's file says when the group is removed while it is open.
const ENODEV: i32 = 19;

/// Signal 9 in a mask of signals.
const SIGKILL: u64 = 1 << 8;

/// Why a container could not be frozen or thawed.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The process is in no cgroup of its own.
    #[error("process {0} has no freezer cgroup of its own; is cgroup v1's freezer or cgroup v2 mounted?")]
    NoCgroup(i32),
    /// The kernel did not get there.
    #[error("the processes did not freeze within {LIMIT:?}; one of them may be waiting for a disk")]
    Slow,
    /// The system refuses.
    #[error("{path}: {error}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Freezes the container whose first process is `pid`; returns when nothing of it runs any more.
///
/// # Errors
/// It has no cgroup, or does not freeze; it runs on then.
pub fn freeze(pid: i32) -> Result<(), FreezeError> {
    let cgroup = Cgroup::of(pid)?;
    cgroup.set(true)?;
    let start = Instant::now();
    while !cgroup.is_frozen()? {
        if start.elapsed() > LIMIT {
            cgroup.set(false)?;
            return Err(FreezeError::Slow);
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A process of the container that somebody has stopped (SIGSTOP), if there is one. To be asked before the freeze, which hides
/// it (proc(5), `stat`: a frozen one is told as waiting for the disk).
///
/// # Errors
/// It has no cgroup, or the system refuses to say.
pub fn stopped(pid: i32) -> Result<Option<i32>, FreezeError> {
    let is_stopped = |process: &i32| stat::field(*process, STATE).is_some_and(|state| state == "T");
    Ok(processes(pid)?.into_iter().find(is_stopped))
}

/// Lets the container's processes run on.
///
/// # Errors
/// It has no cgroup, or the system refuses.
pub fn thaw(pid: i32) -> Result<(), FreezeError> {
    Cgroup::of(pid)?.set(false)
}

/// Ends the container without letting it run on: its first process gets SIGKILL, and only then all are thawed. The
/// engine sees it exit by itself, and does what its restart policy says.
///
/// # Errors
/// It has no cgroup, or the system refuses.
pub fn kill(pid: i32) -> Result<(), FreezeError> {
    let cgroup = Cgroup::of(pid)?;
    if let Some(process) = rustix::process::Pid::from_raw(pid) {
        // It fails where the process is gone, which is what is wanted.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
    cgroup.release()
}

/// Waits until somebody has sent the container's first process SIGKILL, or `limit`, and thaws all: version 1 keeps the
/// signal from frozen processes, and whoever waits for their end would wait for ever.
///
/// # Errors
/// It has no cgroup, or the system refuses.
pub fn thaw_once_killed(pid: i32, limit: Duration) -> Result<(), FreezeError> {
    let cgroup = Cgroup::of(pid)?;
    let start = Instant::now();
    while start.elapsed() < limit && !is_killed(pid) {
        thread::sleep(POLL);
    }
    cgroup.release()
}

/// Whether SIGKILL waits for the process (`ShdPnd` of proc(5)), or it is gone.
fn is_killed(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let mask = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & SIGKILL != 0 || status.lines().any(|line| line.starts_with("State:\tZ"))
}

/// Whether nothing of the container runs.
///
/// # Errors
/// It has no cgroup, or the system refuses to say.
pub fn is_frozen(pid: i32) -> Result<bool, FreezeError> {
    Cgroup::of(pid)?.is_frozen()
}

/// All processes of the container whose first process is `pid`, also those in groups below its own.
///
/// # Errors
/// It has no cgroup, or the system refuses to say.
pub fn processes(pid: i32) -> Result<Vec<i32>, FreezeError> {
    let (Cgroup::V1(folder) | Cgroup::V2(folder)) = Cgroup::of(pid)?;
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let list = read(&folder.join("cgroup.procs"))?;
        found.extend(list.lines().filter_map(|line| line.parse::<i32>().ok()));
        let entries =
            fs::read_dir(&folder).map_err(|error| FreezeError::Io { path: folder.clone(), error })?;
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
enum Cgroup {
    V1(PathBuf),
    V2(PathBuf),
}

impl Cgroup {
    fn of(pid: i32) -> Result<Self, FreezeError> {
        let memberships = read(&PathBuf::from(format!("/proc/{pid}/cgroup")))?;
        let mounts = read(Path::new("/proc/self/mountinfo"))?;
        Self::find(&memberships, &mounts).ok_or(FreezeError::NoCgroup(pid))
    }

    /// From /proc/PID/cgroup (cgroups(7)) and /proc/self/mountinfo (proc(5)). Freezing the root would freeze the device.
    fn find(memberships: &str, mounts: &str) -> Option<Self> {
        let member = |is_it: fn(&str, &str) -> bool| {
            memberships.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                (is_it(number, controllers) && path != "/").then(|| path.trim_start_matches('/'))
            })
        };
        let mount = |is_it: fn(&str, &str) -> bool| {
            mounts.lines().find_map(|line| {
                let (front, back) = line.split_once(" - ")?;
                let (kind, options) = (back.split(' ').next()?, back.rsplit(' ').next()?);
                is_it(kind, options).then(|| front.split(' ').nth(4)).flatten().map(PathBuf::from)
            })
        };
        if let Some(path) = member(|_, controllers| lists_freezer(controllers)) {
            let root = mount(|kind, options| kind == "cgroup" && lists_freezer(options))?;
            return Some(Self::V1(root.join(path)));
        }
        let path = member(|number, controllers| number == "0" && controllers.is_empty())?;
        Some(Self::V2(mount(|kind, _| kind == "cgroup2")?.join(path)))
    }

    fn set(&self, frozen: bool) -> Result<(), FreezeError> {
        let (file, value) = match (self, frozen) {
            (Self::V1(folder), true) => (folder.join("freezer.state"), "FROZEN"),
            (Self::V1(folder), false) => (folder.join("freezer.state"), "THAWED"),
            (Self::V2(folder), true) => (folder.join("cgroup.freeze"), "1"),
            (Self::V2(folder), false) => (folder.join("cgroup.freeze"), "0"),
        };
        fs::write(&file, value).map_err(|error| FreezeError::Io { path: file, error })
    }

    /// Thaws it; one whose processes are gone needs it no more.
    fn release(&self) -> Result<(), FreezeError> {
        match self.set(false) {
            Err(FreezeError::Io { error, .. })
                if matches!(error.kind(), io::ErrorKind::NotFound)
                    || error.raw_os_error() == Some(ENODEV) =>
            {
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn is_frozen(&self) -> Result<bool, FreezeError> {
        Ok(match self {
            Self::V1(folder) => read(&folder.join("freezer.state"))?.trim() == "FROZEN",
            Self::V2(folder) => read(&folder.join("cgroup.events"))?.lines().any(|line| line == "frozen 1"),
        })
    }
}

fn lists_freezer(words: &str) -> bool {
    words.split(',').any(|word| word == "freezer")
}

fn read(path: &Path) -> Result<String, FreezeError> {
    fs::read_to_string(path).map_err(|error| FreezeError::Io { path: path.into(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "30 25 0:26 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
                      31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V2: &str = "31 25 0:27 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    /// Both layouts that devices have, and the mixed one, where the freezer is v1's.
    #[test]
    fn finds_the_freezer() {
        let v1 = "6:freezer:/docker/24ce\n5:cpu,cpuacct:/docker/24ce\n0::/\n";
        assert_eq!(Cgroup::find(v1, V1), Some(Cgroup::V1("/sys/fs/cgroup/freezer/docker/24ce".into())));
        let v2 = "0::/system.slice/docker-24ce.scope\n";
        let expected = Cgroup::V2("/sys/fs/cgroup/system.slice/docker-24ce.scope".into());
        assert_eq!(Cgroup::find(v2, V2), Some(expected));
    }

    /// A process outside any container must not freeze the whole device.
    #[test]
    fn never_the_root() {
        assert_eq!(Cgroup::find("6:freezer:/\n0::/\n", V1), None);
        assert_eq!(Cgroup::find("0::/\n", V2), None);
    }
}

//! Who runs where: the routers on one core, the generator on another, and both before what else this machine does.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::shell;

/// Two cores.
#[derive(Debug)]
pub(super) struct Cores {
    all: CpuSet,
    router: CpuSet,
    load: CpuSet,
    is_preferred: bool,
}

/// Runs a program before all others of its core, however many wait. The system leaves those a twentieth of each second.
const PREFER: [&str; 3] = ["chrt", "--rr", "1"];

impl Cores {
    /// The first two that we may use.
    ///
    /// # Errors
    /// There are not two.
    pub(super) fn take() -> Result<Self> {
        let all = sched_getaffinity(None).context("the system does not tell our cores")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).map(|core| {
            let mut set = CpuSet::new();
            set.set(core);
            set
        });
        let (router, load) = (cores.next(), cores.next());
        ensure!(load.is_some(), "a router and its load need a core each");
        // Without leave it is measured all the same, only less steadily.
        let is_preferred = shell::run(PREFER[0], [PREFER[1], PREFER[2], "true"]).is_ok();
        if !is_preferred {
            eprintln!("not root: other programs of this machine will disturb the figures");
        }
        Ok(Self { all, router: router.context("no core")?, load: load.context("no core")?, is_preferred })
    }

    /// The command that runs a program as it is measured. It ends with us, even if we are killed.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if self.is_preferred {
            command.args(PREFER);
        }
        command.arg(program);
        command
    }

    /// What `start` starts runs on the routers' core.
    ///
    /// # Errors
    /// Those of `start`.
    pub(super) fn with_router<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.on(&self.router, start)
    }

    /// What `start` starts runs on the generator's core.
    ///
    /// # Errors
    /// Those of `start`.
    pub(super) fn with_load<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.on(&self.load, start)
    }

    /// Moves a process that somebody else has started, with all its threads, to the routers' core. Some programs count the
    /// cores once, when they start, and do badly with fewer: those should be started there.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn move_router(&self, process: u32) -> Result<()> {
        let pid = |id: &str| id.parse().ok().and_then(Pid::from_raw);
        if sched_getaffinity(pid(&process.to_string()))? == self.router {
            return Ok(());
        }
        let core = (0..CpuSet::MAX_CPU).find(|core| self.router.is_set(*core)).unwrap_or_default();
        eprintln!(
            "process {process} is moved to core {core}; it would do better if it were started by `taskset -c {core} {} ...`",
            PREFER.join(" ")
        );
        let threads = fs::read_dir(format!("/proc/{process}/task")).context("the router has ended")?;
        for thread in threads.flatten() {
            let id = thread.file_name().to_str().and_then(pid);
            sched_setaffinity(id, &self.router).context("cannot move the router to its core")?;
        }
        Ok(())
    }

    /// A process runs where the thread that starts it runs.
    fn on<T>(&self, set: &CpuSet, start: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, set).context("cannot choose a core")?;
        let started = start();
        sched_setaffinity(None, &self.all).context("cannot choose all cores again")?;
        started
    }
}

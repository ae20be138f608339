//! How much processor time a device uses: its engine, its agent, all that these start, and its containers, by the account
//! of a control group. The clients that order a move are not in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Device;
use crate::shell;

/// Where version 1 of the control groups keeps the account; some systems join it with the controller `cpu`.
const VERSION_1: [&str; 2] = ["/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"];
const VERSION_2: &str = "/sys/fs/cgroup";

/// The account of one device.
#[derive(Debug)]
pub(super) struct Cpu {
    /// The group above the device's containers, which the lab removes.
    group: PathBuf,
    programs: PathBuf,
}

impl Cpu {
    /// Opens the account: what runs in the device's network now is in it from here on, and whatever that starts.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn of(device: &Device) -> Result<Self> {
        let tree = VERSION_1.into_iter().find(|tree| Path::new(tree).is_dir()).unwrap_or(VERSION_2);
        let group = Path::new(tree).join(device.name());
        let programs = group.join("programs");
        fs::create_dir_all(&programs).with_context(|| format!("cannot make {}", programs.display()))?;
        let cpu = Self { group, programs };
        let network = fs::metadata(device.network_namespace())?.ino();
        for process in fs::read_dir("/proc")?.flatten() {
            let inside = fs::metadata(process.path().join("ns/net")).is_ok_and(|file| file.ino() == network);
            let pid = process.file_name().to_str().and_then(|name| name.parse().ok());
            if let (true, Some(pid)) = (inside, pid) {
                cpu.count(pid)?;
            }
        }
        Ok(cpu)
    }

    /// Counts a process that somebody else has started for the device.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn count(&self, pid: u32) -> Result<()> {
        match fs::write(self.programs.join("cgroup.procs"), pid.to_string()) {
            // It has ended.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            written => written.with_context(|| format!("cannot count process {pid}")),
        }
    }

    /// Runs a command of the device to its end, counted.
    ///
    /// # Errors
    /// It fails, with what it said.
    pub(super) fn run(&self, mut command: Command) -> Result<()> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        self.count(child.id())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "a command failed ({}):\n{}",
            output.status,
            shell::last_lines(&said)
        );
        Ok(())
    }

    /// Processor time used so far.
    ///
    /// # Errors
    /// The account cannot be read.
    pub(super) fn used(&self) -> Result<Duration> {
        let read = |file| fs::read_to_string(self.group.join(file));
        if let Ok(nanoseconds) = read("cpuacct.usage") {
            return Ok(Duration::from_nanos(nanoseconds.trim().parse()?));
        }
        let text = read("cpu.stat").with_context(|| format!("no account in {}", self.group.display()))?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        Ok(Duration::from_micros(used.context("the account has no usage_usec")?.parse()?))
    }
}

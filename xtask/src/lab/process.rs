//! One process of a lab: started with its output in a file, watched, stopped or killed. The handle's drop kills it, so
//! that no early return leaves it behind.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{interrupt, shell};

/// How often an event that sends no notice is looked for.
pub(super) const POLL: Duration = Duration::from_millis(20);

/// A running (or ended) process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in a process group of its own, so that a terminal's Ctrl-C reaches only us; its output is
    /// added to `log`.
    pub(crate) fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.into(), child, log: log.into() })
    }

    /// What it was started as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        shell::last_lines(&String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()))
    }

    /// Its exit status, or none while it runs.
    ///
    /// # Errors
    /// The system refuses to say.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask for the state of {}", self.name))
    }

    /// Fails when it has ended, with what it said last.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_running(&mut self) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            bail!(
                "{} ended ({status}); its log {} closes with:\n{}",
                self.name,
                self.log.display(),
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Waits until `ready` holds, watching that the process lives meanwhile.
    ///
    /// # Errors
    /// It ended, `limit` passed, or somebody pressed Ctrl-C.
    pub fn wait_until(&mut self, what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            self.check_running()?;
            if start.elapsed() > limit {
                bail!(
                    "{} was not {what} after {limit:?}; its log {} closes with:\n{}",
                    self.name,
                    self.log.display(),
                    self.log_tail()
                );
            }
            interrupt::wait(POLL);
            interrupt::check()?;
        }
        Ok(())
    }

    /// Asks it to end (SIGTERM) and waits; kills it when `limit` passes first.
    ///
    /// # Errors
    /// It had to be killed.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        self.signal(Signal::TERM)?;
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                self.kill()?;
                bail!("{} did not end within {limit:?} after SIGTERM and was killed", self.name);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .and_then(|()| self.child.wait())
            .with_context(|| format!("cannot kill {}", self.name))?;
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // Not yet reaped, so the number is still its own.
        if self.exit_status()?.is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

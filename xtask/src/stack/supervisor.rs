//! Starts a program again when it has ended, as systemd does on a real machine. So a router or an agent can be killed
//! by whoever wants to see what happens: the tour, a browser test, a curious person.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lab::Process;
use crate::wait;

/// How often the programs are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Long enough that everybody notices the loss, and that a program that cannot start does not take the machine.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// A program that does not come up by then never will.
const RESTART_LIMIT: Duration = Duration::from_secs(60);

/// From SIGTERM to SIGKILL: far beyond what a program needs to end, also on a busy machine.
const STOP_LIMIT: Duration = Duration::from_secs(60);

type Start = Box<dyn Fn() -> Result<Process> + Send>;

struct Program {
    name: String,
    start: Start,
    process: Process,
    /// Since when it is down.
    ended: Option<Instant>,
    /// How long it stays down this time.
    down_for: Duration,
    /// How often it was started.
    starts: u32,
    /// Holds the process id, so that a shell command can kill it.
    pid_file: PathBuf,
}

#[derive(Default)]
struct State {
    programs: Vec<Program>,
    is_stopping: bool,
    /// What ended by itself.
    ended: Vec<String>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The programs of a stack, kept running until it is stopped or dropped.
pub struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    pid_dir: PathBuf,
}

impl Supervisor {
    /// Starts with no program. Process ids are written to `<pid_dir>/<name>.pid`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(pid_dir: &Path) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || watched.watch())
            .context("cannot start the supervisor's thread")?;
        Ok(Self { shared, thread: Some(thread), pid_dir: pid_dir.into() })
    }

    /// Starts a program, waits until `ready` holds, and keeps it running from then on.
    ///
    /// # Errors
    /// It cannot be started, ends, or is not ready within `limit`.
    pub(super) fn add(
        &self,
        name: &str,
        limit: Duration,
        ready: impl FnMut() -> bool,
        start: impl Fn() -> Result<Process> + Send + 'static,
    ) -> Result<()> {
        let mut process = start()?;
        process.wait_until("ready", limit, ready)?;
        let pid_file = self.pid_file(name);
        write_pid(&pid_file, &process);
        let start = Box::new(start);
        let program = Program {
            name: name.into(),
            start,
            process,
            ended: None,
            down_for: RESTART_DELAY,
            starts: 1,
            pid_file,
        };
        self.shared.lock().programs.push(program);
        Ok(())
    }

    /// The file with a program's process id.
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.pid_dir.join(format!("{name}.pid"))
    }

    /// A program's process id, and how often it was started.
    ///
    /// # Errors
    /// There is no such program.
    pub fn pid(&self, name: &str) -> Result<(u32, u32)> {
        self.shared.lock().find(name).map(|program| (program.process.pid(), program.starts))
    }

    /// Kills a program (SIGKILL) and waits until it has been started again; answers the old and the new process id.
    ///
    /// # Errors
    /// There is no such program, or it does not start again.
    pub fn kill(&self, name: &str) -> Result<(u32, u32)> {
        let (pid, starts) = self.kill_for(name, RESTART_DELAY)?;
        let new = wait::until(&format!("{name} starts again"), RESTART_LIMIT, || {
            let (pid, now) = self.pid(name)?;
            Ok((now > starts).then_some(pid))
        })?;
        Ok((pid, new))
    }

    /// Kills a program (SIGKILL); it is started again after that time. Answers its process id, and how often it was started.
    ///
    /// # Errors
    /// There is no such program.
    pub fn kill_for(&self, name: &str, down_for: Duration) -> Result<(u32, u32)> {
        let mut state = self.shared.lock();
        let program = state.find(name)?;
        program.process.kill()?;
        // Noted here, so that it does not count as one that ended by itself.
        program.ended = Some(Instant::now());
        program.down_for = down_for;
        Ok((program.process.pid(), program.starts))
    }

    /// What has ended though nobody killed it, with its last words.
    pub fn ended(&self) -> Vec<String> {
        self.shared.lock().ended.clone()
    }

    /// Stops everything, the last started first.
    ///
    /// # Errors
    /// A program did not end when it was asked to, and was killed.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end_thread();
        let mut state = self.shared.lock();
        let mut failures = Vec::new();
        while let Some(mut program) = state.programs.pop() {
            if let Err(error) = program.process.stop(STOP_LIMIT) {
                failures.push(format!("{error:#}"));
            }
        }
        if !failures.is_empty() {
            bail!("{}", failures.join("; "));
        }
        Ok(())
    }

    fn end_thread(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It only ends early by a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end_thread();
    }
}

impl State {
    fn find(&mut self, name: &str) -> Result<&mut Program> {
        let program = self.programs.iter_mut().find(|program| program.name == name);
        program.with_context(|| format!("there is no program named {name}"))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut state = self.lock();
        while !state.is_stopping {
            let mut ended = Vec::new();
            for program in &mut state.programs {
                if let Err(error) = program.look(&mut ended) {
                    eprintln!("{}: {error:#}", program.name);
                }
            }
            state.ended.append(&mut ended);
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Program {
    fn look(&mut self, ended: &mut Vec<String>) -> Result<()> {
        match (self.ended, self.process.exit_status()?) {
            (_, None) => {}
            (None, Some(status)) => {
                self.ended = Some(Instant::now());
                ended.push(format!("{} ended ({status}): {}", self.name, self.process.log_tail()));
            }
            (Some(at), Some(_)) if at.elapsed() > self.down_for => {
                // Tried again after the next delay, should it fail.
                self.ended = Some(Instant::now());
                self.process = (self.start)()?;
                write_pid(&self.pid_file, &self.process);
                self.starts += 1;
                self.down_for = RESTART_DELAY;
                self.ended = None;
            }
            (Some(_), Some(_)) => {}
        }
        Ok(())
    }
}

fn write_pid(file: &Path, process: &Process) {
    if let Err(error) = fs::write(file, process.pid().to_string()) {
        eprintln!("cannot write {}: {error}", file.display());
    }
}

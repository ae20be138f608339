//! Terminals that were opened and wait to be attached. Opening is judged by the device's policy and by the terms of the share;
//! one is attached once, soon, and by who opened it. How its bytes travel is not known here.
//!
//! The engine would let a command go on whose agent was killed. So each has a note on disk from before it is begun until it has ended,
//! and an agent that starts ends those of which there are notes. A note is the engine's own id of the command: it is the engine that
//! says which process that is, and none if it has ended.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ecep_channel::header::{Refusal, RefusalCode};
use ecep_fleet::quota::Action;
use ecep_proto::api::{
    container::ContainerState,
    error::{ApiError, ErrorKind},
    name::TenantSlug,
    terminal::{OpenTerminal, OpenedTerminal, TerminalId, TerminalSize},
};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::{
    durable,
    engine::{Engine, EngineError},
    orders::Orders,
    random,
};

/// A browser attaches it at once; one that was opened and left open nothing.
const WAITS: Duration = Duration::from_secs(30);
/// Terminals of one tenant that wait.
const MAX_WAITING: usize = 8;
/// Words of a command, and bytes of all of them.
const MAX_WORDS: usize = 64;
const MAX_COMMAND: usize = 4_096;
/// As the catalogue says.
const MAX_SIDE: u16 = 1_000;
const DEFAULT_SIZE: TerminalSize = TerminalSize { columns: 80, rows: 24 };
/// The folder of the notes, in the agent's data folder; each is an empty file.
const FOLDER: &str = "terminals";
/// Between attempts to reach an engine that is not there when the agent starts.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Runs what is there.
const SHELL: [&str; 3] =
    ["/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"];

/// Those that wait, and the notes of all.
#[derive(Debug)]
pub(crate) struct Terminals {
    folder: PathBuf,
    /// Commands of an earlier agent that may still run.
    left: Mutex<Vec<String>>,
    waiting: Mutex<HashMap<(TenantSlug, TerminalId), Waiting>>,
}

/// One that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The engine's id of the command.
    pub(crate) command: String,
    /// How large it is at first.
    pub(crate) size: TerminalSize,
    authid: String,
    until: Instant,
}

impl Terminals {
    /// None waits yet.
    pub(crate) fn new(data: &Path) -> Self {
        let folder = data.join(FOLDER);
        let left = read_notes(&folder).unwrap_or_else(|error| {
            tracing::warn!(folder = %folder.display(), %error, "terminals of an earlier run may go on");
            Vec::new()
        });
        Self { folder, left: Mutex::new(left), waiting: Mutex::default() }
    }

    /// To be called before the command begins. Where the disk refuses, it may go on after an agent that is killed: a full disk must not
    /// keep out who comes to empty it.
    pub(crate) fn begins(&self, command: &str) {
        let noted = fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(self.folder.join(command), []))
            .and_then(|()| durable::flush_folder(&self.folder));
        if let Err(error) = noted {
            tracing::warn!(%error, "a terminal's command may go on if the agent is killed");
        }
    }

    /// The command has ended.
    pub(crate) fn ended(&self, command: &str) {
        match fs::remove_file(self.folder.join(command)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the note of a terminal stays");
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantSlug, TerminalId), Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one, for who opened it.
    ///
    /// # Errors
    /// A refusal in the same words whether there is none, or it is another's.
    pub(crate) fn take(
        &self,
        tenant: &TenantSlug,
        terminal: &TerminalId,
        authid: &str,
    ) -> Result<Waiting, Refusal> {
        let mut waiting = self.lock();
        waiting.retain(|_, one| one.until > Instant::now());
        let key = (tenant.clone(), terminal.clone());
        let is_own = waiting.get(&key).is_some_and(|one| one.authid == authid);
        let taken = if is_own { waiting.remove(&key) } else { None };
        taken.ok_or_else(|| {
            let text = format!(
                "no terminal {terminal} waits for you; one can be attached once, within {} seconds, by who opened it",
                WAITS.as_secs()
            );
            Refusal::new(RefusalCode::NotFound, text)
        })
    }
}

/// Ids that the engine gives have nothing in them that could lead out of a folder.
fn read_notes(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
    }
}

impl<E: Engine> Orders<E> {
    /// Ends the commands of terminals that were open when an earlier agent was killed.
    pub async fn end_left_terminals(&self) {
        let left = std::mem::take(&mut *self.terminals.left.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(left.iter().map(|command| self.end_left_terminal(command))).await;
    }

    async fn end_left_terminal(&self, command: &str) {
        loop {
            match self.engine.end_terminal(command).await {
                Ok(()) => {
                    tracing::info!(command, "a terminal's command that an earlier run has left was ended")
                }
                // Its container, or the engine, was started again meanwhile: with it, the command has ended.
                Err(EngineError::NotFound(_)) => {}
                Err(EngineError::Unreachable(_)) => {
                    sleep(RETRY_EVERY).await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(command, %error, "a terminal's command may go on; the next start tries again");
                    return;
                }
            }
            return self.terminals.ended(command);
        }
    }

    /// Opens a terminal in a running container, for who has this authid.
    ///
    /// # Errors
    /// `Forbidden` by the device's policy or the share's terms; `Conflict` where the container does not run; `InvalidArgument`;
    /// `Limit`; the engine's own.
    pub async fn open_terminal(
        &self,
        tenant: &TenantSlug,
        authid: &str,
        order: OpenTerminal,
    ) -> Result<OpenedTerminal, ApiError> {
        let size = order.size.unwrap_or(DEFAULT_SIZE);
        let is_side = |side| (1..=MAX_SIDE).contains(&side);
        if !is_side(size.columns) || !is_side(size.rows) {
            let text = format!("a terminal has 1 to {MAX_SIDE} columns and rows");
            return Err(ApiError::new(ErrorKind::InvalidArgument, text));
        }
        let command = match order.command {
            None => SHELL.map(str::to_owned).to_vec(),
            Some(command) => {
                let bytes: usize = command.iter().map(String::len).sum();
                if command.is_empty() || command.len() > MAX_WORDS || bytes > MAX_COMMAND {
                    let text =
                        format!("a command has 1 to {MAX_WORDS} words, of {MAX_COMMAND} bytes together");
                    return Err(ApiError::new(ErrorKind::InvalidArgument, text));
                }
                command
            }
        };
        let found = self.find(tenant, &order.container).await?;
        self.policy()?.check_terminals()?;
        self.quotas.allow(tenant, Action::OpenTerminal)?;
        self.moving.refuse_if_moving(&order.container)?;
        if found.view().state != ContainerState::Running {
            let text = format!("container {} does not run; start it first", found.view().name);
            return Err(ApiError::new(ErrorKind::Conflict, text));
        }
        let terminal = random::operation_id()
            .map_err(|error| ApiError::new(ErrorKind::Unavailable, error.to_string()))?;
        let made = self.engine.prepare_terminal(&found.detail.engine_id, command).await;
        let command = made.map_err(EngineError::into_api)?;
        let waiting = Waiting { command, size, authid: authid.to_owned(), until: Instant::now() + WAITS };
        let mut all = self.terminals.lock();
        all.retain(|_, one| one.until > Instant::now());
        if all.keys().filter(|(of, _)| of == tenant).count() >= MAX_WAITING {
            let text = format!("{MAX_WAITING} terminals wait on this device; attach them, or wait a moment");
            return Err(ApiError::new(ErrorKind::Limit, text));
        }
        all.insert((tenant.clone(), terminal.clone()), waiting);
        let waits_seconds = u32::try_from(WAITS.as_secs()).unwrap_or(u32::MAX);
        Ok(OpenedTerminal { terminal, waits_seconds })
    }
}

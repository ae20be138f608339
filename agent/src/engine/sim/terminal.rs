//! Terminals of simulated containers: what is typed comes back. `exit 3` ends one with that code, `size` tells its size.

use std::sync::{Arc, Mutex};

use ecep_proto::api::terminal::TerminalSize;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::{lock, state::World};
use crate::engine::{EngineError, TerminalIo};

/// What is between the two ends.
const BUFFER: usize = 4 * 1024;
/// The exit code of a program that SIGKILL ended.
const KILLED: i64 = 137;

/// A command with a terminal.
#[derive(Default)]
pub(super) struct Terminal {
    pub(super) size: Option<TerminalSize>,
    pub(super) exit_code: Option<i64>,
    command: Vec<String>,
    ended: CancellationToken,
}

impl Terminal {
    pub(super) fn end(&mut self) {
        self.exit_code.get_or_insert(KILLED);
        self.ended.cancel();
    }
}

pub(super) fn prepare(world: &mut World, command: Vec<String>) -> String {
    let id = format!("terminal-{}", world.terminals.len());
    world.terminals.insert(id.clone(), Terminal { command, ..Terminal::default() });
    id
}

pub(super) fn find<'a>(world: &'a mut World, id: &str) -> Result<&'a mut Terminal, EngineError> {
    world.terminals.get_mut(id).ok_or_else(|| EngineError::NotFound(format!("there is no terminal {id}")))
}

pub(super) fn start(
    world: &Arc<Mutex<World>>,
    id: &str,
    size: TerminalSize,
) -> Result<Box<dyn TerminalIo>, EngineError> {
    let (near, far) = tokio::io::duplex(BUFFER);
    let ended = {
        let mut world = lock(world);
        let terminal = find(&mut world, id)?;
        terminal.size = Some(size);
        if terminal.command.iter().any(|word| word.starts_with("missing")) {
            return Err(EngineError::Invalid("the command is not in the container".to_owned()));
        }
        terminal.ended.clone()
    };
    let (world, id) = (Arc::clone(world), id.to_owned());
    tokio::spawn(async move { ended.run_until_cancelled(echo(far, &world, &id)).await });
    Ok(Box::new(near))
}

async fn echo(mut io: DuplexStream, world: &Mutex<World>, id: &str) {
    let (mut line, mut bytes) = (String::new(), [0; 256]);
    while let Ok(read @ 1..) = io.read(&mut bytes).await {
        for byte in &bytes[..read] {
            if !matches!(byte, b'\r' | b'\n') {
                line.push(char::from(*byte));
                continue;
            }
            let said = match line.split_once(' ') {
                Some(("exit", code)) => {
                    if let Ok(terminal) = find(&mut lock(world), id) {
                        terminal.exit_code = Some(code.parse().unwrap_or(0));
                    }
                    return;
                }
                _ if line == "size" => {
                    match find(&mut lock(world), id).ok().and_then(|terminal| terminal.size) {
                        Some(TerminalSize { columns, rows }) => format!("{columns}x{rows}\r\n"),
                        None => return,
                    }
                }
                _ => format!("{line}\r\n"),
            };
            line.clear();
            if io.write_all(said.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

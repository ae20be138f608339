//! A terminal that somebody attaches: bytes both ways, within bounds, until the command ends or nobody is there any more. Then the
//! command is ended, too.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ecep_channel::{channel::Offer, terminal::TerminalFrame};
use ecep_proto::api::{
    name::TenantSlug,
    terminal::{TerminalEnd, TerminalId, TerminalSize},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::refuse;
use crate::{
    engine::{Engine, TerminalIo},
    orders::Orders,
};

/// Read from the command at once.
const BUFFER: usize = 16 * 1024;
/// Frames that are typed and not taken by the command yet, each of 64 KiB at most. Policy: the browser waits.
const TYPED: usize = 16;
/// A command that reads nothing for so long while somebody types is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// A terminal in which nothing is typed or shown for so long was forgotten.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// The engine knows the exit code a moment after the last byte.
const CODE_WITHIN: Duration = Duration::from_secs(2);
/// Between looks for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// As the catalogue says.
const MAX_SIDE: u16 = 1_000;

/// Answers an offer with a terminal that waits, and stays until its end.
pub(super) async fn serve<E: Engine>(
    orders: &Orders<E>,
    offer: Offer,
    tenant: &TenantSlug,
    terminal: &TerminalId,
    authid: &str,
) {
    let waiting = match orders.terminals.take(tenant, terminal, authid) {
        Ok(waiting) => waiting,
        Err(refusal) => return refuse(offer, refusal).await,
    };
    let Ok(stream) = offer.take().await else { return };
    let (from, mut to) = tokio::io::split(stream);
    let engine = &*orders.engine;
    orders.terminals.begins(&waiting.command);
    let end = match engine.start_terminal(&waiting.command, waiting.size).await {
        Err(error) => {
            orders.terminals.ended(&waiting.command);
            TerminalEnd { exit_code: None, reason: Some(error.to_string()) }
        }
        Ok(io) => {
            tracing::info!(%tenant, %terminal, authid, "terminal attached");
            let end = Session { engine, command: &waiting.command }.run(io, from, &mut to).await;
            match engine.end_terminal(&waiting.command).await {
                Ok(()) => orders.terminals.ended(&waiting.command),
                Err(error) => tracing::warn!(%tenant, %terminal, %error, "a terminal's command may go on"),
            }
            tracing::info!(%tenant, %terminal, ?end, "terminal ended");
            end
        }
    };
    // Whoever is gone needs no word.
    drop(TerminalFrame::End(end).write(&mut to).await);
    drop(to.shutdown().await);
}

struct Session<'a, E> {
    engine: &'a E,
    command: &'a str,
}

/// When something was last typed or shown.
#[derive(Clone)]
struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    async fn ceased(&self) {
        loop {
            let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if last.elapsed() >= IDLE {
                return;
            }
            sleep_until(last + IDLE).await;
        }
    }
}

impl<E: Engine> Session<'_, E> {
    /// `from` and `to` are the two halves of the way to whoever attached it.
    async fn run<S: AsyncRead + AsyncWrite>(
        &self,
        io: Box<dyn TerminalIo>,
        mut from: ReadHalf<S>,
        to: &mut WriteHalf<S>,
    ) -> TerminalEnd {
        let (mut shown, typed) = tokio::io::split(io);
        let (typing, queue) = mpsc::channel(TYPED);
        let activity = Activity(Arc::new(Mutex::new(Instant::now())));
        let reading = async {
            while let Ok(Some(frame)) = TerminalFrame::read(&mut from).await {
                activity.now();
                if typing.send(frame).await.is_err() {
                    break;
                }
            }
        };
        let showing = async {
            let mut bytes = vec![0; BUFFER];
            loop {
                // Some systems say at a terminal's end that it is broken.
                let read = match shown.read(&mut bytes).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => read,
                };
                activity.now();
                if TerminalFrame::Bytes(bytes[..read].to_vec()).write(to).await.is_err() {
                    return;
                }
            }
        };
        let because = |reason: &str| TerminalEnd { exit_code: None, reason: Some(reason.to_owned()) };
        tokio::select! {
            () = showing => match self.exit_code().await {
                Some(code) => TerminalEnd { exit_code: Some(code), reason: None },
                None => because("the connection to the command broke"),
            },
            () = reading => because("it was closed"),
            Err(error) = self.pass_on(typed, queue) => because(&error.to_string()),
            () = activity.ceased() => because(&format!("nothing was typed or shown for {} minutes", IDLE.as_secs() / 60)),
        }
    }

    /// What is typed, and sizes. Ends only with an error.
    async fn pass_on(
        &self,
        mut typed: WriteHalf<Box<dyn TerminalIo>>,
        mut queue: mpsc::Receiver<TerminalFrame>,
    ) -> io::Result<()> {
        while let Some(frame) = queue.recv().await {
            match frame {
                TerminalFrame::Bytes(bytes) => {
                    let write = async {
                        typed.write_all(&bytes).await?;
                        typed.flush().await
                    };
                    match timeout(STUCK, write).await {
                        // It has ended: what it has shown until then tells so.
                        Ok(Err(_)) => return std::future::pending().await,
                        Ok(Ok(())) => {}
                        Err(_) => {
                            let text =
                                format!("the command has read nothing for {} seconds", STUCK.as_secs());
                            return Err(io::Error::other(text));
                        }
                    }
                }
                TerminalFrame::Size(TerminalSize { columns, rows }) => {
                    let size =
                        TerminalSize { columns: columns.clamp(1, MAX_SIDE), rows: rows.clamp(1, MAX_SIDE) };
                    if let Err(error) = self.engine.resize_terminal(self.command, size).await {
                        tracing::debug!(%error, "a terminal keeps its size");
                    }
                }
                TerminalFrame::End(_) => {}
            }
        }
        std::future::pending().await
    }

    async fn exit_code(&self) -> Option<i64> {
        let look = async {
            loop {
                match self.engine.terminal_exit(self.command).await {
                    Ok(Some(code)) => return Some(code),
                    Ok(None) => sleep(LOOK_EVERY).await,
                    Err(_) => return None,
                }
            }
        };
        timeout(CODE_WITHIN, look).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sim::SimEngine;

    /// A forgotten terminal must not stay open for ever; one in which something is typed, or only shown, must.
    #[tokio::test(start_paused = true)]
    async fn one_in_which_nothing_happens_ends() {
        const ALMOST: Duration = Duration::from_secs(29 * 60);
        let engine = SimEngine::default();
        let (browser, device) = tokio::io::duplex(1024);
        let (mut command, io) = tokio::io::duplex(1024);
        let (_shown, mut typed) = tokio::io::split(browser);
        let (from, mut to) = tokio::io::split(device);
        let begun = Instant::now();
        let happening = async {
            sleep(ALMOST).await;
            TerminalFrame::Bytes(b"x".to_vec()).write(&mut typed).await.unwrap();
            sleep(ALMOST).await;
            command.write_all(b"y").await.unwrap();
            std::future::pending::<()>().await;
        };
        let session = Session { engine: &engine, command: "none" };
        let end = tokio::select! {
            end = session.run(Box::new(io), from, &mut to) => end,
            () = happening => unreachable!("it waits for ever"),
        };
        assert_eq!(begun.elapsed().as_secs(), (2 * ALMOST + IDLE).as_secs());
        let reason = "nothing was typed or shown for 30 minutes".to_owned();
        assert_eq!(end, TerminalEnd { exit_code: None, reason: Some(reason) });
    }
}

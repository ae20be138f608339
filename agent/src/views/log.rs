//! A container's output for somebody who reads along: what is there, and then what comes, over restarts of the container and of
//! the engine, until one of the two ends is gone. Holds a few lines at a time: whoever reads slowly slows the engine's reading.

use std::{collections::VecDeque, io, time::Duration};

use ecep_channel::{
    channel::{ChannelStream, Offer},
    output::Output,
};
use ecep_proto::api::{
    container::{ContainerState, LogLine},
    error::{ApiError, ErrorKind},
    file::{LogEnd, LogEnding, LogWish},
    name::{ContainerId, TenantSlug},
};
use futures_util::{FutureExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufWriter, WriteHalf},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{refusal, refuse};
use crate::{
    engine::{Engine, EngineContainer, OutputPiece, OutputWish},
    lines::Lines,
    orders::Orders,
};

/// Lines at the beginning, unless the wish says otherwise.
const DEFAULT_TAIL: u32 = 200;
/// More would be a download.
const MAX_TAIL: u32 = 10_000;
/// Bytes of text that are searched for.
const MAX_SEARCH: usize = 1_000;
/// Bytes of lines that are held until it is known which are the last. Policy: the oldest go.
const MAX_HELD: usize = 4 << 20;
/// What a line costs beside its text.
const LINE_OVERHEAD: usize = 64;
/// Written at once.
const BUFFER: usize = 64 * 1024;
/// A container that stops is started again within this time, or it has stopped: a restart is a stop and a start.
const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// An engine that is restarted is back by then.
const ENGINE_WITHIN: Duration = Duration::from_secs(60);
/// Between attempts to read on where the engine has just said nothing.
const PAUSE: Duration = Duration::from_millis(500);
/// Attempts without a line, after which an engine that says nothing of a running container is given up.
const ATTEMPTS: u32 = 20;

/// Answers an offer with the lines that are wished for, and stays until the end.
pub(super) async fn serve<E: Engine>(
    orders: &Orders<E>,
    offer: Offer,
    tenant: &TenantSlug,
    container: ContainerId,
    wish: LogWish,
) {
    let found = match check(&wish) {
        Ok(()) => orders.find(tenant, &container).await,
        Err(error) => Err(error),
    };
    let found = match found {
        Ok(found) => found,
        Err(error) => return refuse(offer, refusal(error)).await,
    };
    let Ok(stream) = offer.take().await else { return };
    let (mut reader, writer) = tokio::io::split(stream);
    let mut view = View {
        orders,
        tenant,
        container,
        search: wish.search.as_ref().map(|text| text.to_lowercase()),
        wish,
        lines: Lines::default(),
        position: 0,
        writer: BufWriter::with_capacity(BUFFER, writer),
    };
    let gone = async {
        // The cloud says nothing: whatever comes is its end.
        let _ = reader.read_u8().await;
    };
    tokio::select! {
        () = gone => {}
        // Where it fails, nobody is there to be told.
        _ = view.show(found) => {}
    }
}

fn check(wish: &LogWish) -> Result<(), ApiError> {
    let invalid = |text: String| Err(ApiError::new(ErrorKind::InvalidArgument, text));
    if let Some(tail) = wish.tail.filter(|tail| *tail > MAX_TAIL) {
        return invalid(format!("tail is {tail}; use 0 to {MAX_TAIL}"));
    }
    match wish.search.as_ref().map(String::len) {
        Some(length) if length > MAX_SEARCH => {
            invalid(format!("the text to search for has {MAX_SEARCH} bytes at most"))
        }
        _ => Ok(()),
    }
}

/// Somebody who reads.
struct View<'a, E> {
    orders: &'a Orders<E>,
    tenant: &'a TenantSlug,
    container: ContainerId,
    wish: LogWish,
    /// In lower case.
    search: Option<String>,
    lines: Lines,
    /// The time of the last piece that was read, in nanoseconds since 1970.
    position: u64,
    writer: BufWriter<WriteHalf<ChannelStream>>,
}

impl<E: Engine> View<'_, E> {
    async fn show(&mut self, found: EngineContainer) -> io::Result<()> {
        let end = match self.history(&found).await? {
            Ok(()) if self.wish.follow => self.follow(found).await?,
            Ok(()) => LogEnd { end: LogEnding::Complete, message: "That is all.".to_owned() },
            Err(error) => LogEnd { end: LogEnding::Failed, message: error.message },
        };
        Output::End(end).write(&mut self.writer).await?;
        self.writer.shutdown().await
    }

    /// Whether a line is wanted.
    fn wants(&self, line: &LogLine) -> bool {
        self.wish.since.is_none_or(|since| line.at >= since)
            && self.search.as_ref().is_none_or(|search| line.text.to_lowercase().contains(search))
    }

    async fn write(&mut self, line: LogLine) -> io::Result<()> {
        Output::Line(line).write(&mut self.writer).await
    }

    /// What is there already: all of it, or the last lines of what is wanted.
    async fn history(&mut self, found: &EngineContainer) -> io::Result<Result<(), ApiError>> {
        let tail = self.wish.tail.unwrap_or(DEFAULT_TAIL);
        let is_filtered = self.search.is_some() || self.wish.stream.is_some();
        let wish = OutputWish {
            // The engine counts lines of both streams, whatever is in them. Of none, the last one still says where to go on.
            tail: (!self.wish.all && !is_filtered).then_some(tail.max(1)),
            since_seconds: self.wish.since.unwrap_or(0) / 1_000,
            stream: self.wish.stream,
            follow: false,
        };
        let detail = &found.detail;
        let mut output = match self.orders.engine.output(&detail.engine_id, detail.tty, wish).await {
            Ok(output) => output,
            Err(error) => return Ok(Err(error.into_api())),
        };
        let mut last = Last { lines: VecDeque::new(), bytes: 0, most: tail as usize };
        while let Some(piece) = output.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Err(error.into_api())),
            };
            self.position = self.position.max(piece.at);
            if let Some(line) = self.lines.push(&piece) {
                self.old(line, &mut last).await?;
            }
        }
        let open: Vec<LogLine> = self.lines.finish().collect();
        for line in open {
            self.old(line, &mut last).await?;
        }
        for line in last.lines {
            self.write(line).await?;
        }
        Ok(Ok(()))
    }

    async fn old(&mut self, line: LogLine, last: &mut Last) -> io::Result<()> {
        if !self.wants(&line) {
            return Ok(());
        }
        if self.wish.all {
            return self.write(line).await;
        }
        last.push(line);
        Ok(())
    }

    /// What comes from now on.
    async fn follow(&mut self, mut found: EngineContainer) -> io::Result<LogEnd> {
        let mut attempts = 0;
        loop {
            let before = self.position;
            let failure = self.read_on(&found).await?;
            attempts = if self.position > before { 0 } else { attempts + 1 };
            if attempts > ATTEMPTS {
                let message =
                    failure.unwrap_or_else(|| "the engine says nothing of the container".to_owned());
                return Ok(LogEnd { end: LogEnding::Failed, message });
            }
            self.writer.flush().await?;
            found = match self.running_again().await {
                Ok(found) => found,
                Err(end) => return Ok(end),
            };
            if attempts > 1 {
                sleep(PAUSE).await;
            }
        }
    }

    /// Passes lines on until the engine ends them, and says why if it was no good end.
    async fn read_on(&mut self, found: &EngineContainer) -> io::Result<Option<String>> {
        let wish = OutputWish {
            tail: None,
            since_seconds: self.position / 1_000_000_000,
            stream: self.wish.stream,
            follow: true,
        };
        let after = self.position;
        let detail = &found.detail;
        let mut output = match self.orders.engine.output(&detail.engine_id, detail.tty, wish).await {
            Ok(output) => output,
            Err(error) => return Ok(Some(error.to_string())),
        };
        loop {
            // What is there already goes together; then it goes at once.
            let next = match output.next().now_or_never() {
                Some(next) => next,
                None => {
                    self.writer.flush().await?;
                    output.next().await
                }
            };
            let piece: OutputPiece = match next {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Ok(Some(error.to_string())),
                None => break,
            };
            // The engine counts in seconds: these were told before.
            if piece.at <= after {
                continue;
            }
            self.position = self.position.max(piece.at);
            if let Some(line) = self.lines.push(&piece).filter(|line| self.wants(line)) {
                self.write(line).await?;
            }
        }
        let open: Vec<LogLine> = self.lines.finish().collect();
        for line in open {
            if self.wants(&line) {
                self.write(line).await?;
            }
        }
        Ok(None)
    }

    /// Waits until the container runs again.
    async fn running_again(&self) -> Result<EngineContainer, LogEnd> {
        let mut changes = self.orders.inventory.changes();
        let (stopped_at, mut lost_at) = (Instant::now() + RESTARTS_WITHIN, None);
        loop {
            changes.mark_unchanged();
            let until = match self.orders.find(self.tenant, &self.container).await {
                Ok(found) => match found.view().state {
                    ContainerState::Running | ContainerState::Paused => return Ok(found),
                    // By its policy; it may take a minute.
                    ContainerState::Restarting => None,
                    _ if Instant::now() >= stopped_at => {
                        let message = match found.view().exit_code {
                            Some(code) => format!("The container has ended with exit code {code}."),
                            None => "The container does not run.".to_owned(),
                        };
                        return Err(LogEnd { end: LogEnding::Stopped, message });
                    }
                    _ => Some(stopped_at),
                },
                Err(error) if error.uri == ErrorKind::NotFound => {
                    let message = "The container is not on this device any more.".to_owned();
                    return Err(LogEnd { end: LogEnding::Gone, message });
                }
                Err(error) => {
                    let lost_at = *lost_at.get_or_insert(Instant::now());
                    if lost_at.elapsed() >= ENGINE_WITHIN {
                        return Err(LogEnd { end: LogEnding::Failed, message: error.message });
                    }
                    // An engine that is back is told of by no container.
                    let _ = timeout(PAUSE, changes.changed()).await;
                    continue;
                }
            };
            match until {
                // It is looked at again, whatever came first.
                Some(until) => drop(timeout_at(until, changes.changed()).await),
                None => drop(changes.changed().await),
            }
        }
    }
}

/// The last lines.
struct Last {
    lines: VecDeque<LogLine>,
    bytes: usize,
    most: usize,
}

impl Last {
    fn push(&mut self, line: LogLine) {
        self.bytes += line.text.len() + LINE_OVERHEAD;
        self.lines.push_back(line);
        while self.lines.len() > self.most || self.bytes > MAX_HELD {
            match self.lines.pop_front() {
                Some(oldest) => self.bytes -= oldest.text.len() + LINE_OVERHEAD,
                None => return,
            }
        }
    }
}

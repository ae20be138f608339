//! A client's socket with its transport: `Inlet` reads all that is there at once, `Outlet` writes what waits, and says
//! when the socket takes nothing. An idle connection has no buffers but a small one of its transport.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::stream::{ReadHalf, WriteHalf};
use super::{Deframer, Framer, Incoming};
use crate::live_limits::LiveLimits;
use crate::outbound::Frame;
use crate::room::{NoRoom, Room};

/// How much is read at once: what a busy client has sent meanwhile, in one system call. One buffer for each thread.
const READ_BYTES: usize = 64 << 10;

/// Messages up to this length are copied into one buffer with their neighbours: that costs less than a part each in a
/// vectored write.
const COPIED_BYTES: usize = 4 << 10;

/// How many parts a vectored write has at most.
const PARTS: usize = 32;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// What comes from a client.
pub(crate) struct Inlet<'a> {
    half: ReadHalf<'a>,
    deframer: Deframer,
    /// For a message that has come in part.
    room: Room,
    /// What says how large a message may be, once the session has joined; and what it said last.
    limits: Option<(Arc<LiveLimits>, usize)>,
    /// What was read and not yet looked at.
    pub(crate) incoming: VecDeque<Incoming>,
}

impl<'a> Inlet<'a> {
    pub(crate) fn new(half: ReadHalf<'a>, deframer: Deframer, room: Room) -> Self {
        Self { half, deframer, limits: None, room, incoming: VecDeque::new() }
    }

    /// From now on messages may be as large as these limits say, whatever they say later.
    pub(crate) fn follow(&mut self, limits: Arc<LiveLimits>) {
        let max_bytes = limits.message_bytes();
        self.deframer.limit(max_bytes);
        self.limits = Some((limits, max_bytes));
    }

    /// Waits until there is room for the rest of a message that has come in part.
    pub(crate) async fn prepare(&mut self) {
        let wanted = self.room.want(self.deframer.needs()).await;
        self.go_on(wanted);
    }

    /// Reads once, unless there is something already, when there is room.
    pub(crate) async fn fill(&mut self) {
        self.prepare().await;
        if self.incoming.is_empty() {
            let read = self.read().await;
            self.go_on(read);
        }
    }

    /// Listens to nothing any more if there is no room.
    fn go_on(&mut self, room: Result<(), NoRoom>) {
        if let Err(reason) = room {
            self.deframer.abandon();
            self.room.leave();
            self.incoming.push_back(Incoming::NoRoom(reason));
        }
    }

    /// Waits until others need the room of a message that has come in part; then the next [`Inlet::fill`] says so.
    pub(crate) async fn room_ends(&self) {
        self.room.ends().await;
    }

    /// The next thing that comes.
    pub(crate) async fn next(&mut self) -> Incoming {
        loop {
            if let Some(incoming) = self.incoming.pop_front() {
                return incoming;
            }
            self.fill().await;
        }
    }

    /// Reads once, unless others need the room.
    async fn read(&mut self) -> Result<(), NoRoom> {
        let ended = self.room.end();
        let Some(ended) = ended else {
            poll_fn(|cx| self.poll_fill(cx)).await;
            return Ok(());
        };
        tokio::select! {
            biased;
            // What is there was sent in time.
            () = poll_fn(|cx| self.poll_fill(cx)) => Ok(()),
            () = ended.cancelled() => Err(NoRoom::TooSlow),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            match ready!(Pin::new(&mut self.half).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    if let Some((limits, known)) = &mut self.limits
                        && *known != limits.message_bytes()
                    {
                        *known = limits.message_bytes();
                        self.deframer.limit(*known);
                    }
                    self.deframer.feed(buffer.filled(), &mut self.room, &mut self.incoming);
                    if self.deframer.needs() == 0 {
                        self.room.leave();
                    }
                    self.room.moved();
                }
                Ok(()) | Err(_) => self.incoming.push_back(Incoming::Closed),
            }
            Poll::Ready(())
        })
    }

    /// Gives back what a burst needed.
    pub(crate) fn shrink(&mut self) {
        if self.incoming.is_empty() {
            self.incoming = VecDeque::new();
        }
    }
}

/// What goes to a client.
pub(crate) struct Outlet<'a> {
    half: WriteHalf<'a>,
    framer: Framer,
    /// What is to be written, in order; `copied` comes after them.
    parts: VecDeque<Bytes>,
    copied: Vec<u8>,
    /// The messages of a frame that is not complete; they come after `copied`.
    batch: Vec<u8>,
}

impl<'a> Outlet<'a> {
    pub(crate) fn new(half: WriteHalf<'a>, framer: Framer) -> Self {
        Self { half, framer, parts: VecDeque::new(), copied: Vec::new(), batch: Vec::new() }
    }

    /// Whether everything is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.copied.is_empty() && self.batch.is_empty()
    }

    /// Adds a frame to what is to be written.
    pub(crate) fn add(&mut self, frame: Frame) {
        match frame {
            Frame::Message(bytes) => {
                if let Framer::WebSocket { batches: Some(framing), .. } = self.framer {
                    framing.append(&bytes, &mut self.batch);
                } else {
                    self.framer.begin(bytes.len(), &mut self.copied);
                    self.append(bytes);
                }
            }
            Frame::Raw(bytes) => {
                self.end_batch();
                self.append(bytes);
            }
        }
    }

    fn append(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED_BYTES {
            self.copied.extend_from_slice(&bytes);
        } else {
            self.end_copied();
            self.parts.push_back(bytes);
        }
    }

    fn end_batch(&mut self) {
        if !self.batch.is_empty() {
            let batch = Bytes::from(std::mem::take(&mut self.batch));
            self.framer.begin(batch.len(), &mut self.copied);
            self.append(batch);
        }
    }

    fn end_copied(&mut self) {
        if !self.copied.is_empty() {
            self.parts.push_back(Bytes::from(std::mem::take(&mut self.copied)));
        }
    }

    /// Adds what asks for a sign of life.
    pub(crate) fn ping(&mut self) {
        self.end_batch();
        self.framer.ping(&mut self.copied);
    }

    /// Tells the messages of a batch apart as the client does.
    pub(crate) fn answer_like(&mut self, inlet: &Inlet<'_>) {
        if let Framer::WebSocket { batches, .. } = &mut self.framer {
            *batches = inlet.deframer.batches();
        }
    }

    /// Writes once, as much as the socket takes.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end_batch();
        self.end_copied();
        let written = if let [part] = self.parts.make_contiguous() {
            ready!(Pin::new(&mut self.half).poll_write(cx, part))?
        } else {
            let mut slices = [IoSlice::new(&[]); PARTS];
            let count = self.parts.len().min(PARTS);
            for (slice, part) in slices.iter_mut().zip(&self.parts) {
                *slice = IoSlice::new(part);
            }
            ready!(Pin::new(&mut self.half).poll_write_vectored(cx, &slices[..count]))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.forget(written);
        Poll::Ready(Ok(()))
    }

    fn forget(&mut self, mut written: usize) {
        while let Some(part) = self.parts.front_mut() {
            if written < part.len() {
                part.advance(written);
                return;
            }
            written -= part.len();
            self.parts.pop_front();
        }
        self.parts = VecDeque::new();
    }

    /// Writes everything.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while !self.is_empty() {
            poll_fn(|cx| self.poll_write(cx)).await?;
        }
        Ok(())
    }

    /// Writes everything, and ends the connection in the transport's own way.
    pub(crate) async fn close(&mut self, code: Option<u16>) -> io::Result<()> {
        if let Some(code) = code {
            self.end_batch();
            self.framer.close(code, &mut self.copied);
        }
        self.flush().await?;
        self.half.shutdown().await
    }
}

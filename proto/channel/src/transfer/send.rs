//! The sending end of a transfer.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncWrite, WriteHalf},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{
    CHUNK_QUEUE, MAX_ITEMS, Phase, Progress, STALL_LIMIT, TransferError, WORKING_INTERVAL,
    name::ItemName,
    rate::Throttle,
    source::{self, Held, Piece, Source},
    wire::{Announcement, Frame, ReadError, read_frame, write_bytes},
};

/// After a write failed, the receiver's reason may still be on its way.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name at the receiver. Each name once in a transfer.
    pub name: ItemName,
    /// Its content.
    pub source: Source,
}

/// How to send.
#[derive(Debug, Clone)]
pub struct Options {
    /// zstd for each chunk that it makes smaller: for links slower than the CPU.
    pub compress: bool,
    /// How fast.
    pub throttle: Throttle,
}

/// What was sent over this connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of content of all items.
    pub content: u64,
    /// Those of them that travelled now; the rest was there already.
    pub moved: u64,
    /// Bytes on the stream for them.
    pub wire: u64,
}

/// Aborts the task with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the items in their order. After a cut connection: the same call on a new stream; what arrived is not sent again.
pub async fn send<S>(
    stream: S,
    items: &[Item],
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Sent, TransferError>
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if items.len() > MAX_ITEMS {
        return Err(TransferError::Protocol(format!(
            "{} items; at most {MAX_ITEMS} in one transfer",
            items.len()
        )));
    }
    let (mut reader, writer) = tokio::io::split(stream);
    // The receiver speaks seldom; it waits on its side.
    let (answer, answers) = mpsc::channel(1);
    let _reading = Task(tokio::spawn(async move {
        loop {
            let frame = read_frame(&mut reader).await;
            let is_last = frame.is_err();
            if answer.send(frame).await.is_err() || is_last {
                return;
            }
        }
    }));
    let mut sender = Sender { writer, answers, options, sent: Sent::default() };
    for item in items {
        sender.item(item, progress).await?;
    }
    sender.write(Frame::Finished).await?;
    match sender.answer().await? {
        Frame::Finished => Ok(sender.sent),
        other => Err(unexpected(&other)),
    }
}

struct Sender<'a, S> {
    writer: WriteHalf<S>,
    answers: mpsc::Receiver<Result<Frame, ReadError>>,
    options: &'a Options,
    sent: Sent,
}

impl<S: AsyncRead + AsyncWrite> Sender<'_, S> {
    async fn item(
        &mut self,
        item: &Item,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), TransferError> {
        let file = |source| TransferError::File { path: item.source.path().to_owned(), source };
        let total = item.source.length().map_err(file)?;
        let mut tell = |phase, done| progress(Progress { item: item.name.clone(), phase, done, total });
        let announcement = Announcement { name: item.name.clone(), kind: item.source.kind(), length: total };
        tell(Phase::Checking, 0);
        self.write(Frame::Item(announcement)).await?;
        let held = match self.answer().await? {
            Frame::Have { offset, hash } => Held { offset, hash },
            other => return Err(unexpected(&other)),
        };

        let (pieces, mut read) = mpsc::channel::<Piece>(CHUNK_QUEUE);
        let (source, compress) = (item.source.clone(), self.options.compress);
        let reading = tokio::task::spawn_blocking(move || source::read(&source, held, compress, &pieces));
        let mut done = 0;
        loop {
            let Ok(piece) = timeout(WORKING_INTERVAL, read.recv()).await else {
                self.write(Frame::Working).await?;
                continue;
            };
            let Some(piece) = piece else { break };
            match piece.frame {
                Frame::Start { offset } => done = offset,
                Frame::End { length, .. } => self.sent.content += length,
                _ => {}
            }
            self.pass(piece.frame, piece.content).await?;
            done += piece.content;
            tell(Phase::Moving, done);
        }
        if let Err(error) = reading.await.map_err(|error| TransferError::Worker(error.to_string()))? {
            let error = file(error);
            // The receiver keeps what it has; whether it hears this makes no difference to us.
            drop(self.write(Frame::Failed(error.to_string())).await);
            return Err(error);
        }
        tell(Phase::Storing, done);
        match self.answer().await? {
            Frame::Stored => tell(Phase::Stored, done),
            other => return Err(unexpected(&other)),
        }
        Ok(())
    }

    async fn pass(&mut self, frame: Frame, content: u64) -> Result<(), TransferError> {
        let bytes = frame.encode()?;
        if content > 0 {
            self.options.throttle.take(bytes.len()).await;
            self.sent.moved += content;
            self.sent.wire += bytes.len() as u64;
        }
        self.write_raw(&bytes).await
    }

    async fn write(&mut self, frame: Frame) -> Result<(), TransferError> {
        let bytes = frame.encode()?;
        self.write_raw(&bytes).await
    }

    /// Writes, but hears the receiver give up meanwhile.
    async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let writing = timeout(STALL_LIMIT, write_bytes(&mut self.writer, bytes));
        tokio::pin!(writing);
        loop {
            tokio::select! {
                biased;
                written = &mut writing => return match written {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(last_words(&mut self.answers, error).await),
                    Err(_) => Err(TransferError::Stalled),
                },
                answer = self.answers.recv() => match answer {
                    Some(Ok(Frame::Working)) => {}
                    other => return Err(not_now(other)),
                },
            }
        }
    }

    async fn answer(&mut self) -> Result<Frame, TransferError> {
        loop {
            match timeout(STALL_LIMIT, self.answers.recv()).await {
                Err(_) => return Err(TransferError::Stalled),
                Ok(Some(Ok(Frame::Working))) => {}
                Ok(Some(Ok(frame @ (Frame::Have { .. } | Frame::Stored | Frame::Finished)))) => {
                    return Ok(frame);
                }
                Ok(other) => return Err(not_now(other)),
            }
        }
    }
}

async fn last_words(
    answers: &mut mpsc::Receiver<Result<Frame, ReadError>>,
    error: std::io::Error,
) -> TransferError {
    match timeout(LAST_WORDS, answers.recv()).await {
        Ok(Some(Ok(Frame::Failed(why)))) => TransferError::Peer(why),
        _ => TransferError::Stream(error),
    }
}

fn not_now(answer: Option<Result<Frame, ReadError>>) -> TransferError {
    match answer {
        Some(Ok(Frame::Failed(why))) => TransferError::Peer(why),
        Some(Ok(other)) => unexpected(&other),
        Some(Err(ReadError::Stream(error))) => TransferError::Stream(error),
        Some(Err(ReadError::Wire(error))) => TransferError::Wire(error),
        None => TransferError::Stream(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

pub(crate) fn unexpected(frame: &Frame) -> TransferError {
    let name = match frame {
        Frame::Item(_) => "Item",
        Frame::Have { .. } => "Have",
        Frame::Start { .. } => "Start",
        Frame::Chunk { .. } => "Chunk",
        Frame::End { .. } => "End",
        Frame::Stored => "Stored",
        Frame::Finished => "Finished",
        Frame::Working => "Working",
        Frame::Failed(_) => "Failed",
    };
    TransferError::Protocol(format!("{name} came out of turn"))
}

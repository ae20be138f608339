//! The receiving end of a transfer.

use std::{path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{
    CHUNK_QUEUE, MAX_ITEMS, Phase, Progress, STALL_LIMIT, TransferError, WORKING_INTERVAL,
    inbox::{Inbox, Incoming},
    name::ItemName,
    send::unexpected,
    wire::{Announcement, CHUNK, Frame, HASH, Kind, ReadError, read_frame, write_bytes},
};

/// After a failure the sender's bytes are read away this long, so that it gets our reason and not a reset.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// An item that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub name: ItemName,
    /// Whether it is a file or a directory.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of content that travelled over this connection; the rest was here.
    pub moved: u64,
}

/// A chunk on its way to the disk.
struct Chunk {
    hash: [u8; HASH],
    is_compressed: bool,
    data: Vec<u8>,
}

/// Receives items into the inbox until the sender has no more. After a cut connection: the same call on a new stream.
pub async fn receive<S>(
    stream: S,
    inbox: &Inbox,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Received>, TransferError>
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (reader, writer) = tokio::io::split(stream);
    let mut receiver = Receiver { reader, writer, inbox };
    let result = receiver.run(progress).await;
    if let Err(error) = &result
        && !matches!(error, TransferError::Stream(_) | TransferError::Peer(_) | TransferError::Stalled)
    {
        tracing::warn!(inbox = %inbox.directory().display(), %error, "transfer failed");
        let last_words = async {
            receiver.write(Frame::Failed(error.to_string())).await?;
            receiver.writer.shutdown().await.map_err(TransferError::Stream)?;
            let mut rest = vec![0; 64 * 1024];
            while receiver.reader.read(&mut rest).await.map_err(TransferError::Stream)? > 0 {}
            Ok::<_, TransferError>(())
        };
        // Whether the sender hears it makes no difference to us.
        drop(timeout(DRAIN_TIMEOUT, last_words).await);
    }
    result
}

/// What a chunk holds, by its own word: for the progress only. The disk's thread counts what it really writes.
fn content_length(is_compressed: bool, data: &[u8]) -> u64 {
    if !is_compressed {
        return data.len() as u64;
    }
    let claimed = zstd::zstd_safe::get_frame_content_size(data).ok().flatten().unwrap_or(0);
    claimed.min(CHUNK as u64)
}

struct Receiver<'a, S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    inbox: &'a Inbox,
}

impl<S: AsyncRead + AsyncWrite> Receiver<'_, S> {
    async fn run(
        &mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Vec<Received>, TransferError> {
        let mut received = Vec::new();
        loop {
            match self.read().await? {
                Frame::Item(_) if received.len() == MAX_ITEMS => {
                    return Err(TransferError::Protocol(format!("more than {MAX_ITEMS} items")));
                }
                Frame::Item(item) => received.push(self.item(item, progress).await?),
                Frame::Finished => {
                    self.write(Frame::Finished).await?;
                    self.writer.shutdown().await.map_err(TransferError::Stream)?;
                    return Ok(received);
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    async fn item(
        &mut self,
        item: Announcement,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Received, TransferError> {
        let mut tell =
            |phase, done| progress(Progress { item: item.name.clone(), phase, done, total: item.length });
        tell(Phase::Checking, 0);
        let (inbox, announcement) = (self.inbox.clone(), item.clone());
        let opening = tokio::task::spawn_blocking(move || Incoming::open(&inbox, announcement));
        let (mut incoming, held) = self.at_work(opening).await?;
        self.write(Frame::Have { offset: held.offset, hash: held.hash }).await?;
        let start = match self.read().await? {
            Frame::Start { offset } => offset,
            other => return Err(unexpected(&other)),
        };
        let starting = tokio::task::spawn_blocking(move || incoming.start(start).map(|()| incoming));
        incoming = self.at_work(starting).await?;

        let (chunks, mut to_write) = mpsc::channel::<Chunk>(CHUNK_QUEUE);
        let writing = tokio::task::spawn_blocking(move || {
            while let Some(Chunk { hash, is_compressed, data }) = to_write.blocking_recv() {
                incoming.chunk(&hash, is_compressed, data)?;
            }
            Ok(incoming)
        });
        let end = self.chunks(chunks, start, &mut tell).await;
        // Also when the connection broke: what came is on the disk before the next attempt asks for it.
        let incoming = self.at_work(writing).await?;
        let (length, hash, moved) = end?;
        tell(Phase::Storing, length);
        let storing = tokio::task::spawn_blocking(move || incoming.store(length, &hash));
        self.at_work(storing).await?;
        self.write(Frame::Stored).await?;
        tell(Phase::Stored, length);
        Ok(Received { path: self.inbox.path(&item.name), name: item.name, kind: item.kind, moved })
    }

    /// Hands chunks to the disk until the end of the item: its length, its hash and how much came.
    async fn chunks(
        &mut self,
        chunks: mpsc::Sender<Chunk>,
        start: u64,
        tell: &mut (impl FnMut(Phase, u64) + Send),
    ) -> Result<(u64, [u8; HASH], u64), TransferError> {
        let mut moved = 0;
        loop {
            match self.read().await? {
                Frame::Chunk { hash, is_compressed, data } => {
                    moved += content_length(is_compressed, &data);
                    if chunks.send(Chunk { hash, is_compressed, data }).await.is_err() {
                        // The disk's thread ended; its own error says why.
                        return Err(TransferError::Protocol("the disk refused the bytes".to_owned()));
                    }
                    tell(Phase::Moving, start + moved);
                }
                Frame::End { length, hash } => return Ok((length, hash, length.saturating_sub(start))),
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Waits for a worker, and tells the sender now and then that somebody is there.
    async fn at_work<T>(
        &mut self,
        mut worker: JoinHandle<Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        loop {
            match timeout(WORKING_INTERVAL, &mut worker).await {
                Ok(done) => return done.map_err(|error| TransferError::Worker(error.to_string()))?,
                Err(_) => {
                    // A cut connection shows at the next word; the worker is let finish first.
                    drop(self.write(Frame::Working).await);
                }
            }
        }
    }

    async fn read(&mut self) -> Result<Frame, TransferError> {
        loop {
            match timeout(STALL_LIMIT, read_frame(&mut self.reader)).await {
                Err(_) => return Err(TransferError::Stalled),
                Ok(Ok(Frame::Working)) => {}
                Ok(Ok(Frame::Failed(why))) => return Err(TransferError::Peer(why)),
                Ok(Ok(frame)) => return Ok(frame),
                Ok(Err(ReadError::Stream(error))) => return Err(TransferError::Stream(error)),
                Ok(Err(ReadError::Wire(error))) => return Err(error.into()),
            }
        }
    }

    async fn write(&mut self, frame: Frame) -> Result<(), TransferError> {
        let bytes = frame.encode()?;
        match timeout(STALL_LIMIT, write_bytes(&mut self.writer, &bytes)).await {
            Err(_) => Err(TransferError::Stalled),
            Ok(written) => written.map_err(TransferError::Stream),
        }
    }
}

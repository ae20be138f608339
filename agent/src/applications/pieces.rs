//! From what writes to what is read: an archive that is made on a thread of its own, and goes to the engine piece by piece. Nothing of it
//! is on a disk, and no more than some pieces are in memory.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use ecep_archive::ArchiveError;
use futures_util::{StreamExt, stream};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use crate::engine::ByteStream;

/// Bytes of a piece.
const PIECE: usize = 64 * 1024;
/// Pieces between the thread and the engine; whoever makes them waits beyond that.
const QUEUE: usize = 8;

/// The writing end.
pub(crate) struct Pieces {
    out: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
}

impl Pieces {
    fn pass(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = self.piece.split().freeze();
        self.out
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine takes no more"))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.pass()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass()
    }
}

/// How the making went.
pub(crate) struct Making(JoinHandle<Result<(), ArchiveError>>);

/// Begins to make it. Where that fails, the stream ends with an error, so that nobody takes a part for the whole.
pub(crate) fn make(
    make: impl FnOnce(&mut Pieces) -> Result<(), ArchiveError> + Send + 'static,
) -> (ByteStream, Making) {
    let (out, pieces) = mpsc::channel(QUEUE);
    let making = spawn_blocking(move || {
        let mut writer = Pieces { out: out.clone(), piece: BytesMut::with_capacity(PIECE) };
        let made = make(&mut writer).and_then(|()| writer.flush().map_err(ArchiveError::Write));
        if made.is_err() {
            // Whoever reads is told, or is gone.
            drop(out.blocking_send(Err(io::Error::other("the archive was not made to its end"))));
        }
        made
    });
    let stream = stream::unfold(pieces, |mut pieces| async move { Some((pieces.recv().await?, pieces)) });
    (stream.boxed(), Making(making))
}

impl Making {
    /// Why it failed by itself; none where it went well, or only because nobody took it any more.
    pub(crate) async fn fault(self) -> Option<String> {
        match self.0.await {
            Ok(Ok(()) | Err(ArchiveError::Write(_))) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    /// An archive that broke off must not be loaded as if it were whole; what went well must come as it was written.
    #[tokio::test]
    async fn what_breaks_off_ends_in_an_error() {
        let whole: Vec<u8> = (0..3 * PIECE + 7).map(|at| at.to_le_bytes()[0]).collect();
        let written = whole.clone();
        let (stream, making) = make(move |out| out.write_all(&written).map_err(ArchiveError::Write));
        let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), whole);
        assert_eq!(making.fault().await, None);
        let (stream, making) = make(|out| {
            out.write_all(&[0; 10]).map_err(ArchiveError::Write)?;
            Err(ArchiveError::Truncated)
        });
        assert!(stream.try_collect::<Vec<_>>().await.is_err());
        assert!(making.fault().await.is_some());
    }

    /// An engine that gives up must not leave a thread behind that waits for it.
    #[tokio::test]
    async fn whoever_makes_ends_when_nobody_takes_it() {
        let (stream, making) = make(|out| {
            loop {
                out.write_all(&[0; PIECE]).map_err(ArchiveError::Write)?;
            }
        });
        drop(stream);
        assert_eq!(making.fault().await, None);
    }
}

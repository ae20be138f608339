//! Reads an item's content on a thread of its own, chunk by chunk, past what the receiver has already. Owns no
//! connection. The content must be readable again from the start: that is what resuming rests on.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::mpsc;

use super::{
    pack,
    wire::{CHUNK, Frame, HASH, Kind},
};

/// zstd's fastest ordinary level: an ARM core does about 100 MB/s, more than the links for which it is switched on.
const ZSTD_LEVEL: i32 = 1;

/// Where an item's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One file.
    File(PathBuf),
    /// A directory with everything in it: owners, modes, times, extended attributes, links, devices, holes. It should
    /// not change meanwhile; if it did between two connections, its transfer begins anew.
    Tree(PathBuf),
    /// Of such a directory only these paths, each without what is below it, and the directories that lead to them. Arrives as
    /// a tree of just these.
    Part {
        /// The directory.
        root: PathBuf,
        /// The paths below it.
        paths: Arc<BTreeSet<PathBuf>>,
    },
}

impl Source {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Tree(_) | Self::Part { .. } => Kind::Tree,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Tree(path) | Self::Part { root: path, .. } => path,
        }
    }

    /// The content's length where it is known beforehand.
    pub(crate) fn length(&self) -> io::Result<Option<u64>> {
        match self {
            Self::File(path) => Ok(Some(std::fs::metadata(path)?.len())),
            Self::Tree(_) | Self::Part { .. } => Ok(None),
        }
    }

    fn write_to(&self, out: &mut Chunker) -> io::Result<()> {
        match self {
            Self::File(path) => {
                let mut file = File::open(path)?;
                let mut buffer = vec![0; CHUNK];
                loop {
                    match file.read(&mut buffer)? {
                        0 => return Ok(()),
                        read => out.write_all(&buffer[..read])?,
                    }
                }
            }
            Self::Tree(path) => pack::pack(path, None, out),
            Self::Part { root, paths } => pack::pack(root, Some(paths), out),
        }
    }
}

/// Something for the sender to pass on: an encoded frame and the bytes of content that it stands for.
pub(crate) struct Piece {
    pub(crate) frame: Frame,
    pub(crate) content: u64,
}

/// What the receiver says it has.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) offset: u64,
    pub(crate) hash: [u8; HASH],
}

/// Reads everything; blocks. It ends early when nobody takes its pieces any more.
pub(crate) fn read(source: &Source, held: Held, compress: bool, out: &mpsc::Sender<Piece>) -> io::Result<()> {
    let attempt = |held: Option<Held>| -> io::Result<bool> {
        let mut chunker = Chunker::new(held, compress, out)?;
        match source.write_to(&mut chunker) {
            Ok(()) => chunker.end(),
            Err(_) if chunker.is_other => Ok(false),
            Err(error) => Err(error),
        }
    };
    // What the receiver has is of another content: from the start.
    if held.offset > 0 && attempt(Some(held))? {
        return Ok(());
    }
    attempt(None).map(|_| ())
}

struct Chunker<'a> {
    out: &'a mpsc::Sender<Piece>,
    held: Option<Held>,
    is_other: bool,
    position: u64,
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
}

impl<'a> Chunker<'a> {
    fn new(held: Option<Held>, compress: bool, out: &'a mpsc::Sender<Piece>) -> io::Result<Self> {
        let compressor = if compress { Some(zstd::bulk::Compressor::new(ZSTD_LEVEL)?) } else { None };
        let chunker = Self {
            out,
            held,
            is_other: false,
            position: 0,
            hasher: blake3::Hasher::new(),
            buffer: Vec::with_capacity(CHUNK),
            compressor,
        };
        if chunker.held.is_none() {
            chunker.pass(Frame::Start { offset: 0 }, 0)?;
        }
        Ok(chunker)
    }

    fn pass(&self, frame: Frame, content: u64) -> io::Result<()> {
        self.out
            .blocking_send(Piece { frame, content })
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the transfer ended"))
    }

    /// Compares what the receiver has with what we read up to there.
    fn compare(&mut self, held: Held) -> io::Result<()> {
        if self.position == held.offset && *self.hasher.finalize().as_bytes() == held.hash {
            self.held = None;
            return self.pass(Frame::Start { offset: held.offset }, 0);
        }
        self.is_other = true;
        Err(io::Error::other("the receiver holds another content"))
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let content = self.buffer.len() as u64;
        let hash = *blake3::hash(&self.buffer).as_bytes();
        let packed = match &mut self.compressor {
            Some(compressor) => {
                Some(compressor.compress(&self.buffer)?).filter(|packed| packed.len() < self.buffer.len())
            }
            None => None,
        };
        let (is_compressed, data) = match packed {
            Some(packed) => {
                self.buffer.clear();
                (true, packed)
            }
            None => (false, std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK))),
        };
        self.pass(Frame::Chunk { hash, is_compressed, data }, content)
    }

    /// Whether the content was passed on; if not, the receiver holds another one.
    fn end(mut self) -> io::Result<bool> {
        if let Some(held) = self.held
            && let Err(error) = self.compare(held)
        {
            return if self.is_other { Ok(false) } else { Err(error) };
        }
        self.flush_chunk()?;
        let hash = *self.hasher.finalize().as_bytes();
        self.pass(Frame::End { length: self.position, hash }, 0)?;
        Ok(true)
    }
}

impl Write for Chunker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.held {
            Some(held) => {
                let left = held.offset - self.position;
                if left == 0 {
                    self.compare(held)?;
                    return self.write(bytes);
                }
                bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))
            }
            None => bytes.len().min(CHUNK - self.buffer.len()),
        };
        let bytes = &bytes[..taken];
        self.hasher.update(bytes);
        self.position += taken as u64;
        if self.held.is_none() {
            self.buffer.extend_from_slice(bytes);
            if self.buffer.len() == CHUNK {
                self.flush_chunk()?;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! The frame of a tar archive: headers, the bytes behind them, and the end. The `tar` crate's own iterator takes an archive that merely stops
//! for one that has ended, and does not look at what is behind the end.

use std::{
    io::{self, Cursor, Read},
    rc::Rc,
};

use tar::Header;

use crate::{
    ArchiveError, Limits,
    budget::{Budget, Counted},
    compression::{Compression, MAGIC, other_format},
};

/// Bytes of a header; everything is padded to as many.
pub(crate) const BLOCK: usize = 512;

/// An archive, block by block.
pub(crate) struct Blocks<'a> {
    source: Box<dyn Read + 'a>,
    budget: Rc<Budget>,
    /// Bytes of the entry that are still to be read.
    remaining: u64,
    /// Bytes behind these, up to the next block.
    padding: u64,
}

impl<'a> Blocks<'a> {
    /// Looks what the source is, and unpacks it.
    pub(crate) fn open(source: impl Read + 'a, limits: &Limits) -> Result<Self, ArchiveError> {
        let budget = Rc::new(Budget::new(*limits));
        let mut source = Counted { inner: source, budget: budget.clone() };
        let head = take(&mut source, BLOCK)?;
        if head.is_empty() {
            return Err(ArchiveError::Empty);
        }
        let magic = &head[..head.len().min(MAGIC)];
        if let Some(name) = other_format(magic) {
            return Err(ArchiveError::OtherFormat(name));
        }
        let compression = Compression::of(magic);
        if compression.is_none() && !begins_archive(&head) {
            return Err(ArchiveError::NotAnArchive);
        }
        let whole = Cursor::new(head).chain(source);
        let source: Box<dyn Read + 'a> = match compression {
            Some(compression) => {
                let mut unpacked = compression.unpack(whole)?;
                let head = take(&mut unpacked, BLOCK)?;
                if !begins_archive(&head) {
                    return Err(ArchiveError::NotAnArchive);
                }
                Box::new(Cursor::new(head).chain(unpacked))
            }
            None => Box::new(io::BufReader::with_capacity(64 * 1024, whole)),
        };
        Ok(Self { source, budget, remaining: 0, padding: 0 })
    }

    pub(crate) fn budget(&self) -> &Rc<Budget> {
        &self.budget
    }

    /// The next header; none behind the mark of the end, up to which everything has been read and looked at. `after` is the entry before.
    pub(crate) fn header(&mut self, after: &str) -> Result<Option<Header>, ArchiveError> {
        io::copy(self, &mut io::sink())?;
        self.skip_padding()?;
        let mut header = Header::new_old();
        self.block(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.end()?;
            return Ok(None);
        }
        let malformed = |reason| ArchiveError::Malformed { after: after.to_owned(), reason };
        if !has_checksum(&header) {
            return Err(malformed("its next header has a wrong checksum"));
        }
        let size =
            header.entry_size().map_err(|_| malformed("its next header has a size that is no number"))?;
        self.budget.claim(size)?;
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(Some(header))
    }

    /// Two blocks of zeros end an archive. Behind them are zeros only, which fill up a tape's record.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut block = [0; BLOCK];
        self.block(&mut block)?;
        if block != [0; BLOCK] {
            return Err(ArchiveError::Garbage);
        }
        let mut buffer = [0; 8 * BLOCK];
        loop {
            let count = self.source.read(&mut buffer)?;
            self.budget.spend(count as u64)?;
            if count == 0 {
                return Ok(());
            }
            if buffer[..count].iter().any(|byte| *byte != 0) {
                return Err(ArchiveError::Garbage);
            }
        }
    }

    fn skip_padding(&mut self) -> Result<(), ArchiveError> {
        let padding = std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut self.source.by_ref().take(padding), &mut io::sink())?;
        self.budget.spend(skipped)?;
        if skipped == padding { Ok(()) } else { Err(ArchiveError::Truncated) }
    }

    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<(), ArchiveError> {
        self.source.read_exact(block)?;
        self.budget.spend(BLOCK as u64)
    }
}

/// The bytes of the entry whose header was read last.
impl Read for Blocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(ArchiveError::Truncated.into_io());
        }
        self.budget.spend(count as u64).map_err(ArchiveError::into_io)?;
        self.remaining -= count as u64;
        Ok(count)
    }
}

/// As many bytes, or all that there are.
pub(crate) fn take(source: &mut impl Read, count: usize) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = Vec::new();
    source.by_ref().take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A header, or the end of an archive that has nothing in it. What ends within the first block is cut off, if it is an archive at all.
fn begins_archive(head: &[u8]) -> bool {
    head.len() == BLOCK && (has_checksum(Header::from_byte_slice(head)) || head.iter().all(|byte| *byte == 0))
}

/// The sum of all bytes, with the sum's own counted as spaces; some old programs took bytes as signed.
fn has_checksum(header: &Header) -> bool {
    let Ok(claimed) = header.cksum() else { return false };
    let bytes = header.as_bytes().iter().enumerate();
    let bytes = bytes.map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
    let signed: i64 = bytes.clone().map(|byte| i64::from(byte.cast_signed())).sum();
    let unsigned: u32 = bytes.map(u32::from).sum();
    claimed == unsigned || i64::from(claimed) == signed
}

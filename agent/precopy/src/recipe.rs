//! CRIU's `pages-*.img` as it travels after the freeze: which pages of the pool come where, and those that are not in it. Ends
//! with a digest of all pages' names, in order, which the receiver checks against what it has named itself.

use std::fs::File;
use std::io::{self, Read, Write};

use crate::page::{PAGE, PageHash, hash, is_zero};
use crate::pool::{Pool, PoolError};
use crate::sent::Sent;

/// Pages of one piece: 1 MiB, so that the receiver works while the sender reads on, and memory stays bounded.
const MAX_RUN: u32 = 256;

const END: u8 = 0;
const POOL: u8 = 1;
const ZERO: u8 = 2;
const DATA: u8 = 3;

/// Why an image cannot be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The line broke, or the disk refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The recipe asks for what has not come.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Against the rules.
    #[error("the source broke the recipe's rules: {0}")]
    Rules(&'static str),
    /// The pages are others than the source's.
    #[error("the image differs from the source's: it cannot be restored")]
    Differs,
}

/// What a recipe was made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Pages of the image.
    pub pages: u64,
    /// Of these, those that had to go with it.
    pub fresh: u64,
}

/// Writes a recipe piece by piece, as an image grows.
pub struct Writer<'a, W> {
    out: W,
    sent: &'a Sent,
    names: blake3::Hasher,
    run: Option<(Kind, u32)>,
    data: Vec<u8>,
    sums: Sums,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The number of the run's first page.
    Pool(u32),
    Zero,
    Data,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Begins a recipe.
    pub fn new(out: W, sent: &'a Sent) -> Self {
        Self { out, sent, names: blake3::Hasher::new(), run: None, data: Vec::new(), sums: Sums::default() }
    }

    /// Adds the image's next page.
    ///
    /// # Errors
    /// The line broke.
    pub fn page(&mut self, page: &[u8]) -> io::Result<()> {
        let name = hash(page);
        self.names.update(&name);
        self.sums.pages += 1;
        let kind =
            if is_zero(page) { Kind::Zero } else { self.sent.number(&name).map_or(Kind::Data, Kind::Pool) };
        let goes_on = match (&self.run, kind) {
            (Some((_, count)), _) if *count == MAX_RUN => false,
            (Some((Kind::Pool(from), count)), Kind::Pool(number)) => number == from + count,
            (Some((known, _)), kind) => *known == kind,
            (None, _) => false,
        };
        if !goes_on {
            self.flush_run()?;
            self.run = Some((kind, 0));
        }
        if let Some((_, count)) = &mut self.run {
            *count += 1;
        }
        if kind == Kind::Data {
            self.data.extend_from_slice(page);
            self.sums.fresh += 1;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// The line broke.
    pub fn finish(mut self) -> io::Result<(W, Sums)> {
        self.flush_run()?;
        self.out.write_all(&[END])?;
        self.out.write_all(self.names.finalize().as_bytes())?;
        Ok((self.out, self.sums))
    }

    fn flush_run(&mut self) -> io::Result<()> {
        let Some((kind, count)) = self.run.take() else { return Ok(()) };
        let tag = match kind {
            Kind::Pool(_) => POOL,
            Kind::Zero => ZERO,
            Kind::Data => DATA,
        };
        self.out.write_all(&[tag])?;
        self.out.write_all(&count.to_le_bytes())?;
        if let Kind::Pool(from) = kind {
            self.out.write_all(&from.to_le_bytes())?;
        }
        self.out.write_all(&self.data)?;
        self.data.clear();
        Ok(())
    }
}

/// Rebuilds an image from its recipe into an empty file; at most `limit` pages.
///
/// # Errors
/// See [`RecipeError`]; what is in the file is of no use then.
pub fn rebuild(mut from: impl Read, pool: &Pool, into: &File, limit: u64) -> Result<Sums, RecipeError> {
    let mut names = blake3::Hasher::new();
    let zero = hash(&[0; PAGE]);
    let mut sums = Sums::default();
    let mut buffer = Vec::new();
    loop {
        let tag = read_u8(&mut from)?;
        if tag == END {
            break;
        }
        let count = read_u32(&mut from)?;
        if count == 0 || count > MAX_RUN {
            return Err(RecipeError::Rules("a run of no or too many pages"));
        }
        sums.pages += u64::from(count);
        if sums.pages > limit {
            return Err(RecipeError::Rules("more pages than were agreed upon"));
        }
        match tag {
            POOL => {
                let first = read_u32(&mut from)?;
                for name in pool.hashes(first, count)? {
                    names.update(name);
                }
                pool.copy(first, count, into)?;
            }
            ZERO => {
                (0..count).for_each(|_| {
                    names.update(&zero);
                });
                buffer.clear();
                buffer.resize(count as usize * PAGE, 0);
                (&*into).write_all(&buffer)?;
            }
            DATA => {
                buffer.resize(count as usize * PAGE, 0);
                from.read_exact(&mut buffer)?;
                for page in buffer.chunks_exact(PAGE) {
                    names.update(&hash(page));
                }
                (&*into).write_all(&buffer)?;
                sums.fresh += u64::from(count);
            }
            _ => return Err(RecipeError::Rules("an unknown kind of run")),
        }
    }
    let mut digest = PageHash::default();
    from.read_exact(&mut digest)?;
    if digest == *names.finalize().as_bytes() { Ok(sums) } else { Err(RecipeError::Differs) }
}

fn read_u8(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

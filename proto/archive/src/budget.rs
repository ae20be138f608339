//! Counts what has been read and what became of it, and says when that is too much.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use crate::{ArchiveError, Limits};

/// Bytes so far.
pub(crate) struct Budget {
    limits: Limits,
    packed: Cell<u64>,
    unpacked: Cell<u64>,
    nested: Cell<u64>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, packed: Cell::new(0), unpacked: Cell::new(0), nested: Cell::new(0) }
    }

    /// So many more bytes came out of the archive.
    pub(crate) fn spend(&self, bytes: u64) -> Result<(), ArchiveError> {
        self.unpacked.set(self.unpacked.get().saturating_add(bytes));
        self.check(self.unpacked.get())
    }

    /// So many more bytes came out of something compressed in the archive. Beyond the limit the archive is not refused by that: only an engine
    /// would unpack them, and only those of an image.
    pub(crate) fn spend_nested(&self, bytes: u64) -> Result<(), ArchiveError> {
        self.nested.set(self.nested.get().saturating_add(bytes));
        self.check(self.unpacked.get().saturating_add(self.nested.get()))
    }

    /// Whether an entry that claims so many bytes can fit: said before they are read.
    pub(crate) fn claim(&self, bytes: u64) -> Result<(), ArchiveError> {
        let limit = self.limits.unpacked_bytes;
        if self.unpacked.get().saturating_add(bytes) > limit {
            Err(ArchiveError::TooLarge { limit })
        } else {
            Ok(())
        }
    }

    fn check(&self, unpacked: u64) -> Result<(), ArchiveError> {
        let Limits { unpacked_bytes, ratio, ratio_from_bytes, .. } = self.limits;
        if unpacked > unpacked_bytes {
            return Err(ArchiveError::TooLarge { limit: unpacked_bytes });
        }
        if unpacked > ratio_from_bytes && unpacked > self.packed.get().saturating_mul(ratio) {
            return Err(ArchiveError::Bomb { ratio });
        }
        Ok(())
    }
}

/// The upload as it is read.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) budget: Rc<Budget>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.budget.packed.set(self.budget.packed.get().saturating_add(count as u64));
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(ArchiveError::Read(error).into_io()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is small may be packed as well as it likes; what is large is judged by its ratio; nothing exceeds the limit.
    #[test]
    fn bytes_beyond_the_limits_are_refused() {
        let limits = Limits { unpacked_bytes: 1000, ratio: 10, ratio_from_bytes: 100, ..Limits::default() };
        let budget = Rc::new(Budget::new(limits));
        assert!(budget.spend(100).is_ok());
        assert!(matches!(budget.spend(1), Err(ArchiveError::Bomb { ratio: 10 })));
        let mut source = Counted { inner: &[0; 90][..], budget: budget.clone() };
        assert_eq!(io::copy(&mut source, &mut io::sink()).ok(), Some(90));
        assert!(budget.spend(799).is_ok());
        assert!(matches!(
            budget.spend_nested(101),
            Err(ArchiveError::Bomb { .. } | ArchiveError::TooLarge { .. })
        ));
        assert!(budget.spend(0).is_ok(), "what is nested does not count against the archive itself");
        assert!(matches!(budget.claim(101), Err(ArchiveError::TooLarge { limit: 1000 })));
        assert!(matches!(budget.spend(101), Err(ArchiveError::TooLarge { limit: 1000 })));
    }
}

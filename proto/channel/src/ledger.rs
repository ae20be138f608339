//! Keeps the used grants on disk: what was claimed before a restart stays claimed. Writes before it answers.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    file,
    grant::{Grant, GrantId},
    spent::{Claim, SpentError, SpentGrants},
};

/// Why the ledger could not answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not accepted.
    #[error(transparent)]
    Spent(#[from] SpentError),
    /// The disk.
    #[error("the list of used grants {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Unreadable: taking it for empty would make used grants usable again.
    #[error("the list of used grants {} is damaged ({source}); no migration is accepted until it is removed by hand, at \
             least a day after the last one", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it breaks.
        source: serde_json::Error,
    },
}

/// The used grants, in one file.
#[derive(Debug)]
pub struct GrantLedger {
    path: PathBuf,
    spent: SpentGrants,
}

impl GrantLedger {
    /// Opens it; a file that is not there is an empty ledger.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let spent = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| LedgerError::Damaged { path: path.to_owned(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => SpentGrants::default(),
            Err(source) => return Err(LedgerError::File { path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), spent })
    }

    /// As [`SpentGrants::claim`]. Blocks for one small write.
    pub fn claim(&mut self, grant: &Grant, now: u64) -> Result<Claim, LedgerError> {
        let mut next = self.spent.clone();
        let claim = next.claim(grant, now)?;
        self.save(next)?;
        Ok(claim)
    }

    /// As [`SpentGrants::finish`]. Blocks for one small write.
    pub fn finish(&mut self, id: GrantId) -> Result<(), LedgerError> {
        let mut next = self.spent.clone();
        next.finish(id);
        self.save(next)
    }

    fn save(&mut self, next: SpentGrants) -> Result<(), LedgerError> {
        if next == self.spent {
            return Ok(());
        }
        serde_json::to_vec(&next)
            .map_err(io::Error::from)
            .and_then(|bytes| file::replace(&self.path, &bytes))
            .map_err(|source| LedgerError::File { path: self.path.clone(), source })?;
        self.spent = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Mode;

    /// A restart must not make a grant usable again, and a damaged file must not be taken for an empty one.
    #[test]
    fn survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("grants.json");
        let grant = Grant {
            id: GrantId::random(),
            migration: "m".parse().unwrap(),
            container: "c".parse().unwrap(),
            tenant: "t".parse().unwrap(),
            source: "a".parse().unwrap(),
            destination: "b".parse().unwrap(),
            generation: 1,
            mode: Mode::Cold,
            not_after: 100,
        };
        assert_eq!(GrantLedger::open(&path).unwrap().claim(&grant, 50).unwrap(), Claim::First);
        let mut ledger = GrantLedger::open(&path).unwrap();
        assert_eq!(ledger.claim(&grant, 50).unwrap(), Claim::Again);
        ledger.finish(grant.id).unwrap();
        let refused = GrantLedger::open(&path).unwrap().claim(&grant, 50);
        assert!(matches!(refused, Err(LedgerError::Spent(SpentError::Spent(_)))), "{refused:?}");
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(GrantLedger::open(&path), Err(LedgerError::Damaged { .. })));
    }
}

//! Remembers which grants were used, so that each is used for one migration only. A state machine: no clock, no disk
//! ([`crate::ledger`] keeps it on one), bounded memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::grant::{Grant, GrantError, GrantId};

/// Grants remembered at a time: a device that takes part in a migration every 20 seconds for a day. Past it new ones are
/// refused, since an unexpired one may never be forgotten.
pub const MAX_GRANTS: usize = 4096;
/// A claimed grant that nobody finished is forgotten (and refused from then on) this long after its end, in seconds:
/// a migration over a link that was cut may be resumed for a week.
pub const RESUME_LIMIT: u64 = 7 * 24 * 60 * 60;

/// How a grant came to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Never seen before.
    First,
    /// Of a migration that is not finished: a connection that was cut comes back.
    Again,
}

/// Why a grant was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpentError {
    /// Its migration is over.
    #[error("grant {0} was used already: order the migration again")]
    Spent(GrantId),
    /// Its time is over or not plausible.
    #[error(transparent)]
    Time(#[from] GrantError),
    /// [`MAX_GRANTS`] are remembered.
    #[error("too many migrations within a day; grants end within a day, try again then")]
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    not_after: u64,
    finished: bool,
}

/// The grants that were used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentGrants {
    entries: BTreeMap<GrantId, Entry>,
    /// The latest end among the forgotten ones. An unknown grant that ends no later may be one of them, whatever the
    /// clock says now.
    forgotten_up_to: u64,
}

impl SpentGrants {
    /// Uses a (verified) grant at `now`, in seconds since 1970. A new state must be on disk before anything is done.
    pub fn claim(&mut self, grant: &Grant, now: u64) -> Result<Claim, SpentError> {
        self.forget(now);
        match self.entries.get(&grant.id) {
            Some(Entry { finished: true, .. }) => return Err(SpentError::Spent(grant.id)),
            Some(Entry { finished: false, .. }) => return Ok(Claim::Again),
            None => {}
        }
        grant.check_time(now)?;
        if grant.not_after <= self.forgotten_up_to {
            return Err(SpentError::Spent(grant.id));
        }
        if self.entries.len() >= MAX_GRANTS {
            return Err(SpentError::Full);
        }
        self.entries.insert(grant.id, Entry { not_after: grant.not_after, finished: false });
        Ok(Claim::First)
    }

    /// The migration is over, well or not: the grant is good for nothing any more.
    pub fn finish(&mut self, id: GrantId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.finished = true;
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn forget(&mut self, now: u64) {
        let forgotten_up_to = &mut self.forgotten_up_to;
        self.entries.retain(|_, entry| {
            let kept_until =
                if entry.finished { entry.not_after } else { entry.not_after.saturating_add(RESUME_LIMIT) };
            let is_over = now > kept_until;
            if is_over {
                *forgotten_up_to = (*forgotten_up_to).max(entry.not_after);
            }
            !is_over
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::grant::Mode;

    fn grant(id: u8, not_after: u64) -> Grant {
        Grant {
            id: format!("{id:032x}").parse().unwrap(),
            migration: "m".parse().unwrap(),
            container: "c".parse().unwrap(),
            tenant: "t".parse().unwrap(),
            source: "a".parse().unwrap(),
            destination: "b".parse().unwrap(),
            generation: 1,
            mode: Mode::Cold,
            not_after,
        }
    }

    /// A cut connection may come back; a finished migration may not.
    #[test]
    fn resumes_until_finished() {
        let mut spent = SpentGrants::default();
        let grant = grant(1, 100);
        assert_eq!(spent.claim(&grant, 50), Ok(Claim::First));
        assert_eq!(spent.claim(&grant, 500), Ok(Claim::Again));
        spent.finish(grant.id);
        assert_eq!(spent.claim(&grant, 60), Err(SpentError::Spent(grant.id)));
    }

    /// A clock that falls back to 1970 must not make a forgotten grant usable again.
    #[test]
    fn a_clock_set_back_revives_nothing() {
        let mut spent = SpentGrants::default();
        let (one, two) = (grant(1, 100), grant(2, 1000));
        assert_eq!(spent.claim(&one, 50), Ok(Claim::First));
        spent.finish(one.id);
        assert_eq!(spent.claim(&two, 900), Ok(Claim::First));
        assert_eq!(spent.len(), 1, "the first one is forgotten");
        assert_eq!(spent.claim(&one, 50), Err(SpentError::Spent(one.id)));
    }

    /// Memory is bounded, and what is full says so instead of forgetting.
    #[test]
    fn full_refuses_and_forgets_nothing() {
        let mut spent = SpentGrants::default();
        for id in 0..MAX_GRANTS {
            let grant = Grant { id: format!("{id:032x}").parse().unwrap(), ..grant(0, 100) };
            assert_eq!(spent.claim(&grant, 50), Ok(Claim::First));
            spent.finish(grant.id);
        }
        let late = Grant { id: format!("{MAX_GRANTS:032x}").parse().unwrap(), ..grant(0, 100) };
        assert_eq!(spent.claim(&late, 50), Err(SpentError::Full));
        assert!(matches!(spent.claim(&grant(0, 100), 50), Err(SpentError::Spent(_))));
        assert_eq!(spent.claim(&grant(9, 300), 200), Ok(Claim::First));
        assert_eq!(spent.len(), 1);
    }

    proptest! {
        /// Whatever the clock does, in whatever order: `First` comes once for each grant, and never after `finish`.
        #[test]
        fn first_comes_once(steps in proptest::collection::vec((0u8..4, any::<bool>(), 0u64..2_000_000), 1..200)) {
            let mut spent = SpentGrants::default();
            let mut first = [false; 4];
            let mut finished = [false; 4];
            for (id, finish, now) in steps {
                let grant = grant(id, 1000 * (u64::from(id) + 1));
                let at = usize::from(id);
                if finish && first[at] {
                    spent.finish(grant.id);
                    finished[at] = true;
                }
                match spent.claim(&grant, now) {
                    Ok(Claim::First) => {
                        prop_assert!(!first[at]);
                        first[at] = true;
                    }
                    Ok(Claim::Again) => prop_assert!(first[at] && !finished[at]),
                    Err(_) => {}
                }
            }
        }
    }
}

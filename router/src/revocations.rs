//! Whose sessions were ended lately, so that nobody slips in who was let in just before and joins just after.
//!
//! A client takes a mark before it is judged. Once it has joined, either the mark shows that its access has ended in
//! the meantime, or the order to end its sessions reaches the realm after it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many are remembered. More than people can cause during one handshake; a client whose mark is older than all of
/// them counts as revoked, and comes again.
const REMEMBERED: u64 = 256;

/// The latest revocations.
#[derive(Debug, Default)]
pub(crate) struct Revocations(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    count: u64,
    authids: VecDeque<String>,
}

/// A moment between two revocations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

impl Revocations {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.latest().count)
    }

    /// The access of this authid ends now.
    pub(crate) fn add(&self, authid: &str) {
        let mut latest = self.latest();
        latest.count += 1;
        latest.authids.push_front(authid.to_owned());
        latest.authids.truncate(REMEMBERED as usize);
    }

    /// Whether the access of this authid has ended since then.
    pub(crate) fn since(&self, mark: Mark, authid: &str) -> bool {
        let latest = self.latest();
        let newer = latest.count - mark.0;
        newer > REMEMBERED || latest.authids.iter().take(newer as usize).any(|revoked| revoked == authid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who was let in before and joins after must be found; who was let in after must not be.
    #[test]
    fn a_mark_divides_before_from_after() {
        let revocations = Revocations::default();
        let before = revocations.mark();
        assert!(!revocations.since(before, "token"));
        revocations.add("token");
        let after = revocations.mark();
        revocations.add("other");
        assert!(revocations.since(before, "token"));
        assert!(!revocations.since(after, "token"));
        assert!(!revocations.since(before, "third"));
    }

    /// What is forgotten must not count as never having been.
    #[test]
    fn a_mark_that_is_too_old_is_revoked() {
        let revocations = Revocations::default();
        let mark = revocations.mark();
        for _ in 0..REMEMBERED {
            revocations.add("other");
        }
        assert!(!revocations.since(mark, "token"));
        revocations.add("other");
        assert!(revocations.since(mark, "token"));
        assert_eq!(revocations.latest().authids.len(), 256);
    }
}

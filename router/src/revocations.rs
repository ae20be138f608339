//! Whose sessions were ended lately, so that nobody slips in who was let in just before and joins just after.
//!
//! A client takes a mark before it is judged. Once it has joined, either the mark shows that its access has ended in
//! the meantime, or the order to end its sessions reaches the realm after it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::platform::is_platform_realm;

/// How many are remembered. More than people can cause during one handshake; a client whose mark is older than all of
/// them counts as revoked, and comes again.
const REMEMBERED: u64 = 256;

/// The latest revocations.
#[derive(Debug, Default)]
pub(crate) struct Revocations(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    count: u64,
    revoked: VecDeque<Revoked>,
}

#[derive(Debug)]
struct Revoked {
    authid: String,
    /// On that realm; on all of the platform's if none is named.
    realm: Option<String>,
}

impl Revoked {
    fn concerns(&self, realm: &str, authid: &str) -> bool {
        self.authid == authid
            && self.realm.as_ref().map_or_else(|| is_platform_realm(realm), |own| own == realm)
    }
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

    /// The access of this authid ends now on that realm, or on all of the platform's.
    pub(crate) fn add(&self, realm: Option<&str>, authid: &str) {
        let mut latest = self.latest();
        latest.count += 1;
        let (realm, authid) = (realm.map(str::to_owned), authid.to_owned());
        latest.revoked.push_front(Revoked { authid, realm });
        latest.revoked.truncate(REMEMBERED as usize);
    }

    /// Whether the access of this authid to that realm has ended since then.
    pub(crate) fn since(&self, mark: Mark, realm: &str, authid: &str) -> bool {
        let latest = self.latest();
        let newer = latest.count - mark.0;
        newer > REMEMBERED
            || latest.revoked.iter().take(newer as usize).any(|revoked| revoked.concerns(realm, authid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::CONTROL;

    /// Who was let in before and joins after must be found; who was let in after must not be.
    #[test]
    fn a_mark_divides_before_from_after() {
        let revocations = Revocations::default();
        let before = revocations.mark();
        assert!(!revocations.since(before, CONTROL, "token"));
        revocations.add(None, "token");
        let after = revocations.mark();
        revocations.add(None, "other");
        assert!(revocations.since(before, CONTROL, "token"));
        assert!(!revocations.since(after, CONTROL, "token"));
        assert!(!revocations.since(before, CONTROL, "third"));
        revocations.add(Some("realm1"), "fourth");
        assert!(revocations.since(after, "realm1", "fourth"));
        assert!(!revocations.since(after, CONTROL, "fourth"), "on another realm");
        assert!(!revocations.since(before, "realm1", "token"), "on no platform realm");
    }

    /// What is forgotten must not count as never having been.
    #[test]
    fn a_mark_that_is_too_old_is_revoked() {
        let revocations = Revocations::default();
        let mark = revocations.mark();
        for _ in 0..REMEMBERED {
            revocations.add(None, "other");
        }
        assert!(!revocations.since(mark, CONTROL, "token"));
        revocations.add(None, "other");
        assert!(revocations.since(mark, CONTROL, "token"));
        assert_eq!(revocations.latest().revoked.len(), 256);
    }
}

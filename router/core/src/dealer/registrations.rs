//! The table of registrations: which procedure or pattern has which callees, and which of them is next.
//!
//! Pure: knows neither messages nor calls beyond their number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ecep_proto::id::{RegistrationId, SessionId};
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};

use super::policy::Policy;
use crate::clock::WallClock;
use crate::id_map::IdMap;
use crate::ids::GlobalIds;
use crate::matcher::PatternMap;
use crate::session::SessionKey;

/// One procedure or pattern with at least one callee.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) kind: Match,
    pub(crate) procedure: Uri,
    pub(crate) policy: Policy,
    /// When its first callee registered.
    created: Instant,
    /// In the order in which they registered.
    pub(crate) callees: Vec<Callee>,
    /// Where the search for the next callee begins.
    next: usize,
    /// The calls for which no callee has room, by their number: who came first is served first.
    pub(super) waiting: BTreeMap<u64, usize>,
}

/// One session's part in a registration.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(super) session: SessionKey,
    /// For meta procedures and events.
    pub(crate) id: SessionId,
    /// Tells this part from an earlier one of the same session.
    pub(super) seat: u64,
    /// It wants to know who calls.
    pub(super) disclose_caller: bool,
    /// How many calls it takes at once.
    pub(super) concurrency: Option<u64>,
    /// How many calls it works on.
    pub(super) running: u64,
}

impl Callee {
    pub(super) fn has_room(&self) -> bool {
        self.concurrency.is_none_or(|most| self.running < most)
    }
}

/// What the search for a callee has found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// This one, by its place in the list.
    Callee(usize),
    /// There is one, but it has no room at the moment.
    Full,
    /// There are some, but none can do what the call needs.
    Unfit,
    /// All have been tried.
    Nobody,
}

impl Registration {
    /// The next callee of those whose seats have not been tried and who are fit.
    pub(super) fn pick(
        &mut self,
        tried: &[u64],
        fit: impl Fn(SessionKey) -> bool,
        random: &mut GlobalIds,
    ) -> Pick {
        let count = self.callees.len();
        let untried = |callee: &Callee| !tried.contains(&callee.seat);
        let usable = |callee: &&Callee| untried(callee) && fit(callee.session);
        let found = match self.policy {
            Policy::Single | Policy::First => self
                .callees
                .iter()
                .position(|callee| usable(&callee))
                .filter(|at| self.callees[*at].has_room()),
            Policy::Last => self
                .callees
                .iter()
                .rposition(|callee| usable(&callee))
                .filter(|at| self.callees[*at].has_room()),
            Policy::RoundRobin => (self.next..count)
                .chain(0..self.next)
                .find(|at| self.callees[*at].has_room() && usable(&&self.callees[*at])),
            Policy::Load => (self.next..count)
                .chain(0..self.next)
                .filter(|at| self.callees[*at].has_room() && usable(&&self.callees[*at]))
                .min_by_key(|at| self.callees[*at].running),
            Policy::Random => {
                let free = |callee: &&Callee| callee.has_room() && usable(callee);
                let most = self.callees.iter().filter(free).count();
                let chosen = if most > 1 { random.below(most) } else { 0 };
                let mut places = self.callees.iter().enumerate().filter(|(_, callee)| free(callee));
                places.nth(chosen).map(|(at, _)| at)
            }
        };
        match found {
            Some(at) => {
                self.next = if at + 1 == count { 0 } else { at + 1 };
                Pick::Callee(at)
            }
            None if self.callees.iter().any(|callee| usable(&callee)) => Pick::Full,
            None if self.callees.iter().any(untried) => Pick::Unfit,
            None => Pick::Nobody,
        }
    }

    /// What it is, for meta procedures and events.
    pub(crate) fn details(&self, id: RegistrationId, clock: &WallClock) -> Dict {
        Dict::from([
            ("created".into(), Value::from(clock.iso_8601(self.created))),
            ("id".into(), Value::from(id.get())),
            ("invoke".into(), Value::from(self.policy.name())),
            ("match".into(), Value::from(self.kind.name())),
            ("uri".into(), Value::from(self.procedure.as_str())),
        ])
    }

    pub(super) fn has_room(&self) -> bool {
        self.callees.iter().any(Callee::has_room)
    }
}

/// All registrations of a realm.
#[derive(Debug)]
pub(crate) struct Registrations {
    by_id: IdMap<RegistrationId, Registration>,
    by_pattern: PatternMap<RegistrationId>,
    by_callee: IdMap<SessionKey, BTreeSet<RegistrationId>>,
    next_id: RegistrationId,
    next_seat: u64,
}

impl Default for Registrations {
    fn default() -> Self {
        Self {
            by_id: IdMap::default(),
            by_pattern: PatternMap::default(),
            by_callee: IdMap::default(),
            next_id: RegistrationId::FIRST,
            next_seat: 0,
        }
    }
}

impl Registrations {
    pub(crate) fn get(&self, id: RegistrationId) -> Option<&Registration> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: RegistrationId) -> Option<&mut Registration> {
        self.by_id.get_mut(&id)
    }

    /// The registration of this very URI or pattern.
    pub(crate) fn lookup(&self, kind: Match, procedure: &str) -> Option<RegistrationId> {
        self.by_pattern.get(kind, procedure)
    }

    /// The registration that a call of this URI reaches: an exact one, or else the longest prefix, or else the most
    /// selective wildcard.
    pub(crate) fn best(&self, procedure: &str) -> Option<RegistrationId> {
        self.by_pattern.best(procedure)
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RegistrationId, &Registration)> {
        let mut all: Vec<_> = self.by_id.iter().map(|(id, registration)| (*id, registration)).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter()
    }

    /// What the session is a callee of, in order.
    pub(super) fn of_callee(&self, session: SessionKey) -> Vec<RegistrationId> {
        self.by_callee.get(&session).into_iter().flatten().copied().collect()
    }

    pub(super) fn count(&self, session: SessionKey) -> usize {
        self.by_callee.get(&session).map_or(0, BTreeSet::len)
    }

    pub(super) fn is_callee(&self, session: SessionKey, id: RegistrationId) -> bool {
        self.by_callee.get(&session).is_some_and(|ids| ids.contains(&id))
    }

    pub(super) fn create(
        &mut self,
        kind: Match,
        procedure: Uri,
        policy: Policy,
        created: Instant,
    ) -> RegistrationId {
        let id = self.next_id;
        self.next_id = id.next();
        self.by_pattern.insert(kind, procedure.as_str(), id);
        let registration = Registration {
            kind,
            procedure,
            policy,
            created,
            callees: Vec::new(),
            next: 0,
            waiting: BTreeMap::new(),
        };
        self.by_id.insert(id, registration);
        id
    }

    pub(super) fn add(&mut self, id: RegistrationId, mut callee: Callee) {
        let Some(registration) = self.by_id.get_mut(&id) else { return };
        self.next_seat += 1;
        callee.seat = self.next_seat;
        self.by_callee.entry(callee.session).or_default().insert(id);
        registration.callees.push(callee);
    }

    /// Takes a callee out.
    pub(super) fn remove(&mut self, id: RegistrationId, session: SessionKey) -> Option<Callee> {
        let registration = self.by_id.get_mut(&id)?;
        let at = registration.callees.iter().position(|callee| callee.session == session)?;
        let callee = registration.callees.remove(at);
        if registration.next > at {
            registration.next -= 1;
        }
        if registration.next >= registration.callees.len() {
            registration.next = 0;
        }
        if let Some(ids) = self.by_callee.get_mut(&session) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_callee.remove(&session);
            }
        }
        Some(callee)
    }

    /// Forgets a registration without callees.
    pub(super) fn delete(&mut self, id: RegistrationId) -> Option<Registration> {
        let registration = self.by_id.remove(&id)?;
        self.by_pattern.remove(registration.kind, registration.procedure.as_str());
        Some(registration)
    }

    /// The callee in this seat has one call less to work on; its registration, if it still sits there.
    pub(super) fn release(&mut self, id: RegistrationId, seat: u64) -> Option<&mut Registration> {
        let registration = self.by_id.get_mut(&id)?;
        let callee = registration.callees.iter_mut().find(|callee| callee.seat == seat)?;
        callee.running = callee.running.saturating_sub(1);
        Some(registration)
    }

    /// Panics if the tables do not agree.
    pub(super) fn check(&self) {
        let mut seats = 0;
        for (id, registration) in &self.by_id {
            assert!(!registration.callees.is_empty(), "registration {id} has no callee");
            let found = self.by_pattern.get(registration.kind, registration.procedure.as_str());
            assert_eq!(found, Some(*id), "registration {id} is found by its pattern");
            assert!(registration.next < registration.callees.len(), "registration {id}: the next callee");
            for callee in &registration.callees {
                assert!(self.is_callee(callee.session, *id), "registration {id} is found by its callees");
            }
            seats += registration.callees.len();
        }
        let known: usize = self.by_callee.values().map(BTreeSet::len).sum();
        assert_eq!(seats, known, "callees have no registrations that are gone");
    }
}

//! The table of calls that wait for their answers: found by (caller, request), by (callee, invocation) and by
//! deadline, never by a request id alone.
//!
//! Pure: knows neither messages nor registrations beyond their id.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::payload::Payload;
use slab::Slab;

use super::kept::{self, Kept};
use super::{MAX_KEPT_BYTES, MAX_KEPT_BYTES_OF_SESSION, MAX_PENDING_CALLS};
use crate::id_map::IdMap;
use crate::session::SessionKey;

/// A table that has held more than this is made anew when it is empty: memory follows the load down, too.
const KEPT_CAPACITY: usize = 64;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) caller: SessionKey,
    pub(super) request: RequestId,
    pub(super) registration: RegistrationId,
    /// Calls are numbered as they come.
    pub(super) number: u64,
    pub(super) place: Place,
    /// How long the callee may keep silent.
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    /// The callee was told that the caller takes the result in pieces.
    pub(super) takes_progress: bool,
    /// The caller has got a piece of the result, or the callee a further piece of the call: nobody else can take it
    /// over any more.
    pub(super) is_settled: bool,
    /// The caller has canceled it, and waits for what the callee says to that.
    pub(super) is_canceled: bool,
    pub(super) kept: Option<Box<Kept>>,
    /// The seats of the callees that could not take it.
    pub(super) tried: Vec<u64>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// No callee has room for it.
    Waiting,
    /// A callee works on it.
    Running(Invoked),
    /// The caller has its answer, but the callee still works on it, which counts for how much it can take.
    Abandoned(Invoked),
}

/// To whom a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invoked {
    pub(super) callee: SessionKey,
    pub(super) invocation: RequestId,
    pub(super) seat: u64,
    /// The callee wants to know who calls.
    pub(super) disclose_caller: bool,
}

impl Call {
    pub(super) const fn invoked(&self) -> Option<Invoked> {
        match self.place {
            Place::Waiting => None,
            Place::Running(invoked) | Place::Abandoned(invoked) => Some(invoked),
        }
    }

    pub(super) const fn is_abandoned(&self) -> bool {
        matches!(self.place, Place::Abandoned(_))
    }

    /// More of the call is to come.
    pub(super) fn is_open(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.wish.progress)
    }
}

/// What one session has to do with calls.
#[derive(Debug, Default)]
struct Party {
    made: IdMap<RequestId, usize>,
    taken: IdMap<RequestId, usize>,
    /// Calls that ended while more of them was to come: what comes still is not a new call.
    late: VecDeque<RequestId>,
    /// How many calls were abandoned that it still works on.
    abandoned: usize,
    /// The weight of the payloads that are kept for its calls.
    kept_bytes: usize,
}

/// All calls of a realm.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Slab<Call>,
    parties: Vec<Party>,
    deadlines: BTreeSet<(Instant, usize)>,
    next_number: u64,
    kept_bytes: usize,
}

impl Calls {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn get(&self, key: usize) -> Option<&Call> {
        self.calls.get(key)
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Call> {
        self.calls.get_mut(key)
    }

    fn party(&mut self, session: SessionKey) -> &mut Party {
        if self.parties.len() <= session.0 {
            self.parties.resize_with(session.0 + 1, Party::default);
        }
        &mut self.parties[session.0]
    }

    /// How many calls of the session wait for their answers.
    pub(super) fn count(&self, caller: SessionKey) -> usize {
        self.parties.get(caller.0).map_or(0, |party| party.made.len())
    }

    pub(super) fn of_caller(&self, caller: SessionKey, request: RequestId) -> Option<usize> {
        self.parties.get(caller.0)?.made.get(&request).copied()
    }

    pub(super) fn of_callee(&self, callee: SessionKey, invocation: RequestId) -> Option<usize> {
        self.parties.get(callee.0)?.taken.get(&invocation).copied()
    }

    /// The calls that the session has made, by request id.
    pub(super) fn made(&self, caller: SessionKey) -> Vec<usize> {
        self.parties.get(caller.0).map_or_else(Vec::new, |party| sorted(&party.made))
    }

    /// The calls that the session works on, by invocation id.
    pub(super) fn taken(&self, callee: SessionKey) -> Vec<usize> {
        self.parties.get(callee.0).map_or_else(Vec::new, |party| sorted(&party.taken))
    }

    /// A number for a new call.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Adds a call, wherever it is.
    pub(super) fn insert(&mut self, call: Call) -> usize {
        let (caller, request, place, deadline) = (call.caller, call.request, call.place, call.deadline);
        let weight = call.kept.as_ref().map_or(0, |kept| kept.weight);
        self.count_kept(caller, weight);
        let key = self.calls.insert(call);
        self.party(caller).made.insert(request, key);
        if let Place::Running(invoked) = place {
            self.party(invoked.callee).taken.insert(invoked.invocation, key);
        }
        self.deadlines.extend(deadline.map(|deadline| (deadline, key)));
        key
    }

    /// A waiting call has found its callee.
    pub(super) fn run(&mut self, key: usize, invoked: Invoked, takes_progress: bool) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.place = Place::Running(invoked);
        call.takes_progress = takes_progress;
        self.party(invoked.callee).taken.insert(invoked.invocation, key);
    }

    /// The callee does not work on it any more, but the call goes on.
    pub(super) fn wait(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Place::Running(invoked) = std::mem::replace(&mut call.place, Place::Waiting) {
            self.leave_callee(invoked);
        }
    }

    /// The call is over for its caller; its callee still works on it. False if too many are kept like that already.
    pub(super) fn abandon(&mut self, key: usize) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let Place::Running(invoked) = call.place else { return false };
        if self.party(invoked.callee).abandoned >= MAX_PENDING_CALLS {
            return false;
        }
        self.leave_caller(key);
        self.party(invoked.callee).abandoned += 1;
        if let Some(call) = self.calls.get_mut(key) {
            call.place = Place::Abandoned(invoked);
        }
        true
    }

    /// The call is over. Every index names calls that are in the slab, and leaves here together with them.
    pub(super) fn remove(&mut self, key: usize) -> Call {
        if !self.calls[key].is_abandoned() {
            self.leave_caller(key);
        }
        let call = self.calls.remove(key);
        if let Some(invoked) = call.invoked() {
            self.leave_callee(invoked);
        }
        if let Place::Abandoned(invoked) = call.place {
            self.party(invoked.callee).abandoned -= 1;
        }
        call
    }

    fn leave_callee(&mut self, invoked: Invoked) {
        let taken = &mut self.party(invoked.callee).taken;
        taken.remove(&invoked.invocation);
        shrink(taken);
    }

    fn leave_caller(&mut self, key: usize) {
        self.release(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        let (caller, request, is_open) = (call.caller, call.request, call.is_open());
        call.kept = None;
        if let Some(deadline) = call.deadline.take() {
            self.deadlines.remove(&(deadline, key));
        }
        let party = self.party(caller);
        party.made.remove(&request);
        shrink(&mut party.made);
        if is_open {
            party.late.push_back(request);
            if party.late.len() > MAX_PENDING_CALLS {
                party.late.pop_front();
            }
        }
    }

    /// Whether this is what was still to come of a call that has ended.
    pub(super) fn is_late(&self, caller: SessionKey, request: RequestId) -> bool {
        self.parties.get(caller.0).is_some_and(|party| party.late.contains(&request))
    }

    /// Nothing more is to come of it.
    pub(super) fn end_late(&mut self, caller: SessionKey, request: RequestId) {
        let late = &mut self.party(caller).late;
        late.retain(|known| *known != request);
    }

    /// Whether a payload of this weight can be kept for the caller.
    pub(super) fn can_keep(&self, caller: SessionKey, weight: usize) -> bool {
        let of_caller = self.parties.get(caller.0).map_or(0, |party| party.kept_bytes);
        of_caller + weight <= MAX_KEPT_BYTES_OF_SESSION && self.kept_bytes + weight <= MAX_KEPT_BYTES
    }

    /// Keeps a further payload of a call that waits.
    pub(super) fn keep(&mut self, key: usize, payload: Payload) {
        let weight = kept::weight(&payload);
        let Some(call) = self.calls.get_mut(key) else { return };
        let kept = call.kept.get_or_insert_default();
        kept.payloads.push_back(payload);
        kept.weight += weight;
        let caller = call.caller;
        self.count_kept(caller, weight);
    }

    /// Keeps no payloads of the call any longer, and gives them back.
    pub(super) fn release(&mut self, key: usize) -> VecDeque<Payload> {
        let Some(call) = self.calls.get_mut(key) else { return VecDeque::new() };
        let Some(kept) = &mut call.kept else { return VecDeque::new() };
        let (payloads, weight) = (std::mem::take(&mut kept.payloads), std::mem::take(&mut kept.weight));
        let caller = call.caller;
        self.kept_bytes -= weight;
        self.party(caller).kept_bytes -= weight;
        payloads
    }

    fn count_kept(&mut self, caller: SessionKey, weight: usize) {
        self.kept_bytes += weight;
        self.party(caller).kept_bytes += weight;
    }

    /// The callee has shown that it is alive: its time begins again.
    pub(super) fn restart(&mut self, key: usize, now: Instant) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (Some(timeout), Some(old)) = (call.timeout, call.deadline) else { return };
        let new = now + timeout;
        call.deadline = Some(new);
        self.deadlines.remove(&(old, key));
        self.deadlines.insert((new, key));
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A call whose time is up.
    pub(super) fn overdue(&self, now: Instant) -> Option<usize> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, key)| *key)
    }

    /// Forgets what a session leaves when all its calls have ended: its key may be used again.
    pub(super) fn forget(&mut self, session: SessionKey) {
        if let Some(party) = self.parties.get_mut(session.0) {
            *party = Party::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Call)> {
        self.calls.iter()
    }

    /// Panics if the tables do not agree.
    pub(super) fn check(&self) {
        let (mut made, mut taken, mut deadlines, mut abandoned, mut weight) = (0, 0, 0, 0, 0);
        for (key, call) in &self.calls {
            if call.is_abandoned() {
                abandoned += 1;
                assert!(call.kept.is_none() && call.deadline.is_none(), "an abandoned call keeps nothing");
            } else {
                made += 1;
                assert_eq!(self.of_caller(call.caller, call.request), Some(key), "found by its caller");
            }
            if let Some(invoked) = call.invoked() {
                taken += 1;
                assert_eq!(
                    self.of_callee(invoked.callee, invoked.invocation),
                    Some(key),
                    "found by its callee"
                );
            }
            if let Some(deadline) = call.deadline {
                deadlines += 1;
                assert!(self.deadlines.contains(&(deadline, key)), "found by its deadline");
            }
            if let Some(kept) = &call.kept {
                weight += kept.weight;
                let payloads: usize = kept.payloads.iter().map(kept::weight).sum();
                assert_eq!(kept.weight, payloads, "the weight of what is kept");
            }
        }
        assert_eq!(made, self.parties.iter().map(|party| party.made.len()).sum::<usize>(), "calls made");
        assert_eq!(taken, self.parties.iter().map(|party| party.taken.len()).sum::<usize>(), "calls taken");
        assert_eq!(deadlines, self.deadlines.len(), "deadlines");
        assert_eq!(abandoned, self.parties.iter().map(|party| party.abandoned).sum::<usize>(), "abandoned");
        assert_eq!(weight, self.kept_bytes, "what is kept of all");
        assert_eq!(weight, self.parties.iter().map(|party| party.kept_bytes).sum::<usize>(), "kept of each");
    }
}

fn sorted(index: &IdMap<RequestId, usize>) -> Vec<usize> {
    let mut entries: Vec<(RequestId, usize)> = index.iter().map(|(id, key)| (*id, *key)).collect();
    entries.sort_unstable();
    entries.into_iter().map(|(_, key)| key).collect()
}

fn shrink(index: &mut IdMap<RequestId, usize>) {
    if index.is_empty() && index.capacity() > KEPT_CAPACITY {
        *index = IdMap::default();
    }
}

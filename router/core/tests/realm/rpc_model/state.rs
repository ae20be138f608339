//! What the model knows.

use std::collections::BTreeMap;

use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::uri::Match;
use ecep_router_core::features::Feature;

pub const CLIENTS: usize = 4;

pub const PROCEDURES: [&str; 4] = ["a.b", "a.c", "b.c", "b.d"];

/// What can be registered, and the two policies that its callees may want.
pub const PATTERNS: [(&str, Match, [&str; 2]); 4] = [
    ("a.b", Match::Exact, ["roundrobin", "single"]),
    ("a.", Match::Prefix, ["first", "last"]),
    (".c", Match::Wildcard, ["random", "load"]),
    ("", Match::Prefix, ["single", "last"]),
];

/// The first two can do everything, the third nothing, the last can be interrupted.
pub fn features(client: usize) -> Vec<Feature> {
    let caller = [Feature::CallerProgressiveResults, Feature::CallerProgressiveInvocations];
    let callee = [Feature::CalleeProgressiveResults, Feature::CalleeProgressiveInvocations];
    match client {
        0 | 1 => [&caller[..], &callee, &[Feature::CalleeCanceling]].concat(),
        2 => Vec::new(),
        _ => [&caller[..], &[Feature::CalleeCanceling]].concat(),
    }
}

pub fn has(client: usize, feature: Feature) -> bool {
    features(client).contains(&feature)
}

#[derive(Clone, Debug)]
pub struct Seat {
    pub number: u64,
    pub client: usize,
    pub concurrency: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Registration {
    pub id: RegistrationId,
    pub policy: &'static str,
    pub seats: Vec<Seat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invoked {
    pub client: usize,
    pub seat: u64,
    pub invocation: RequestId,
}

#[derive(Clone, Debug)]
pub struct Call {
    /// Payloads are numbers: this one, and those after it for further pieces.
    pub mark: i64,
    pub caller: usize,
    pub request: RequestId,
    pub procedure: usize,
    pub registration: RegistrationId,
    pub wants_progress: bool,
    /// More is to come.
    pub is_open: bool,
    /// The pieces that no callee has got; with the first, whether more follows is told by `is_open`.
    pub pieces: Vec<i64>,
    pub timeout: u64,
    pub deadline: Option<u64>,
    pub tried: Vec<u64>,
    pub invoked: Option<Invoked>,
    /// Its callee has got more than one piece, or its caller a piece of the result.
    pub has_begun: bool,
    /// Another callee could take it, if it has not begun.
    pub can_move: bool,
    pub takes_progress: bool,
    pub is_canceled: bool,
}

#[derive(Default)]
pub struct State {
    pub now: u64,
    /// By pattern.
    pub registrations: BTreeMap<usize, Registration>,
    pub calls: Vec<Call>,
    /// Invocations whose callers have their answers, and that count for what a callee can take.
    pub ghosts: Vec<Invoked>,
    /// Other invocations that will be answered too late.
    pub late_answers: Vec<Invoked>,
    /// Calls in pieces that ended while more was to come.
    pub late_pieces: Vec<Call>,
}

impl State {
    /// The pattern that a call of this procedure reaches.
    pub fn best(&self, procedure: usize) -> Option<usize> {
        let rank = |pattern: usize| {
            let (text, kind, _) = PATTERNS[pattern];
            (kind != Match::Exact, kind != Match::Prefix, std::cmp::Reverse(text.len()))
        };
        let covers =
            |pattern: &usize| PATTERNS[*pattern].1.covers(PATTERNS[*pattern].0, PROCEDURES[procedure]);
        self.registrations.keys().copied().filter(covers).min_by_key(|pattern| rank(*pattern))
    }

    pub fn registration(&self, id: RegistrationId) -> Option<&Registration> {
        self.registrations.values().find(|registration| registration.id == id)
    }

    fn running(&self, seat: u64) -> usize {
        let calls = self.calls.iter().filter_map(|call| call.invoked);
        calls.chain(self.ghosts.iter().copied()).filter(|invoked| invoked.seat == seat).count()
    }

    fn has_room(&self, seat: &Seat) -> bool {
        seat.concurrency.is_none_or(|most| self.running(seat.number) < most)
    }

    pub fn limits_are_kept(&self) -> bool {
        let mut seats = self.registrations.values().flat_map(|registration| &registration.seats);
        seats.all(|seat| seat.concurrency.is_none_or(|most| self.running(seat.number) <= most))
    }

    /// Those that could take the call, sooner or later.
    pub fn candidates(&self, call: &Call) -> impl Iterator<Item = &Seat> {
        let needs_pieces = call.is_open || call.pieces.len() > 1;
        let fits = move |seat: &Seat| {
            let takes_pieces = || {
                has(seat.client, Feature::CalleeProgressiveInvocations)
                    && has(seat.client, Feature::CalleeCanceling)
            };
            !call.tried.contains(&seat.number) && (!needs_pieces || takes_pieces())
        };
        let seats = self.registration(call.registration).into_iter();
        seats.flat_map(|registration| &registration.seats).filter(move |seat| fits(seat))
    }

    /// Those that its policy allows, whether or not they have room.
    pub fn wanted(&self, call: &Call) -> Vec<&Seat> {
        let candidates: Vec<&Seat> = self.candidates(call).collect();
        match self.registration(call.registration).map_or("", |registration| registration.policy) {
            "single" | "first" => candidates.first().copied().into_iter().collect(),
            "last" => candidates.last().copied().into_iter().collect(),
            _ => candidates,
        }
    }

    /// Whether there is one that may get it now.
    pub fn is_placeable(&self, call: &Call) -> bool {
        self.wanted(call).into_iter().any(|seat| self.has_room(seat))
    }
}

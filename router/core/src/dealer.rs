//! The dealer: who has registered what, and which call waits for whom.
//!
//! Owns registrations and pending calls. A call is known by (caller, request) and by (callee, invocation): never by
//! a request id alone. Every call ends in exactly one RESULT or ERROR to its caller, unless the caller has gone.
//!
//! `register` offers and takes back, `invoke` finds a callee for a call, `answer` brings its answers, `cancel` ends
//! calls before that; `registrations` and `calls` are the tables.

mod answer;
mod calls;
mod cancel;
mod invoke;
mod kept;
mod policy;
mod register;
mod registrations;

use std::time::{Duration, Instant};

use ecep_proto::error::CANCELED;
use ecep_proto::id::{RegistrationId, RequestId};

pub(crate) use answer::ANSWER_TOO_LARGE;
use calls::{Call, Calls, Place};
pub(crate) use registrations::{Registration, Registrations};

use crate::realm::Context;
use crate::session::SessionKey;

/// What works of the dealer's.
pub(crate) const FEATURES: &[&str] = &[
    "call_canceling",
    "call_reroute",
    "call_timeout",
    "call_trustlevels",
    "caller_identification",
    "pattern_based_registration",
    "payload_passthru_mode",
    "progressive_call_invocations",
    "progressive_call_results",
    "registration_meta_api",
    "registration_revocation",
    "session_meta_api",
    "shared_registration",
    "testament_meta_api",
];

/// Registrations of one session, if nothing else is configured. An agent has about a dozen, a program one for each of its procedures; each costs
/// the router about half a kilobyte.
pub const MAX_REGISTRATIONS: usize = 1024;

/// Calls of one session that wait for their answer, if nothing else is configured. A dashboard has a few; each costs the router about half a
/// kilobyte, for as long as its callee keeps silent.
pub const MAX_PENDING_CALLS: usize = 1024;

/// Calls of one registration that wait until one of its callees has room. More would wait longer than callers do.
pub const MAX_WAITING_CALLS: usize = 1024;

/// The payloads that are kept for the calls of one session, while they wait for a callee or could go to another: the
/// largest message that there can be.
pub(crate) const MAX_KEPT_BYTES_OF_SESSION: usize = 16 << 20;

/// The same for a whole realm, so that many sessions together can't fill the memory.
pub(crate) const MAX_KEPT_BYTES: usize = 256 << 20;

/// The longest time-out that is kept track of. Who asks for more gets this.
const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Default)]
pub(crate) struct Dealer {
    pub(crate) registrations: Registrations,
    calls: Calls,
    /// Where something may have changed for calls that wait.
    freed: Vec<Freed>,
}

/// A registration one of whose callees may have room, or has gone.
#[derive(Debug)]
struct Freed {
    registration: RegistrationId,
    callee_lost: bool,
}

impl Dealer {
    /// How many calls wait for their answer.
    pub(crate) fn pending(&self) -> usize {
        self.calls.len()
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.calls.next_deadline()
    }

    /// Drops what the session offered and ends the calls that it was in.
    pub(crate) fn forget(&mut self, cx: &mut Context, session: SessionKey) {
        for key in self.calls.made(session) {
            self.drop_call(cx, key, CANCELED);
        }
        for id in self.registrations.of_callee(session) {
            self.remove_callee(cx, id, session);
        }
        for key in self.calls.taken(session) {
            if self.calls.get(key).is_some_and(Call::is_abandoned) {
                self.finish(key);
            } else {
                self.end(cx, key, CANCELED, "the callee left before it answered");
            }
        }
        self.calls.forget(session);
        self.settle(cx);
    }

    /// The call is over, for caller and callee.
    fn finish(&mut self, key: usize) -> Call {
        let call = self.calls.remove(key);
        match call.place {
            Place::Waiting => {
                if let Some(registration) = self.registrations.get_mut(call.registration) {
                    registration.waiting.remove(&call.number);
                }
            }
            Place::Running(invoked) | Place::Abandoned(invoked) => self.free(call.registration, invoked.seat),
        }
        call
    }

    /// A callee has done with a call.
    fn free(&mut self, id: RegistrationId, seat: u64) {
        if let Some(registration) = self.registrations.release(id, seat)
            && !registration.waiting.is_empty()
        {
            self.freed.push(Freed { registration: id, callee_lost: false });
        }
    }

    /// Whether the router has sent this INVOCATION to the session: what it answers may be late, but not made up.
    fn was_issued(cx: &Context, callee: SessionKey, invocation: RequestId) -> bool {
        cx.sessions.get(callee).is_some_and(|session| invocation < session.next_invocation)
    }

    /// Panics if the tables do not agree with each other.
    pub(crate) fn check(&self) {
        self.registrations.check();
        self.calls.check();
        assert!(self.freed.is_empty(), "nobody waits for a callee that has room");
        for (id, registration) in self.registrations.iter() {
            for callee in &registration.callees {
                let works_on = |call: &Call| {
                    call.registration == id
                        && call.invoked().is_some_and(|invoked| invoked.seat == callee.seat)
                };
                let running = self.calls.iter().filter(|(_, call)| works_on(call)).count();
                assert_eq!(callee.running, running as u64, "registration {id}: calls of a callee");
                assert!(callee.concurrency.is_none_or(|most| callee.running <= most), "a limit is kept");
            }
            for (number, key) in &registration.waiting {
                let call = self.calls.get(*key);
                assert!(call.is_some_and(|call| call.number == *number && call.place == Place::Waiting));
            }
        }
        let waiting = self.calls.iter().filter(|(_, call)| call.place == Place::Waiting).count();
        let known: usize =
            self.registrations.iter().map(|(_, registration)| registration.waiting.len()).sum();
        assert_eq!(waiting, known, "every call that waits is in its registration's queue");
    }
}

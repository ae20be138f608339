//! The procedures that the router itself answers, `wamp.*` (specification, "WAMP Meta API"): which one a call means, and that the
//! caller may call it.

pub(crate) mod sessions;

use std::time::Instant;

use ecep_proto::error::NO_SUCH_PROCEDURE;
use ecep_proto::message::{Call, CallResult};
use ecep_proto::meta::SESSION_COUNT;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::Dict;

use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Realm;
use crate::session::SessionKey;

/// Answers a call of a meta procedure.
///
/// # Errors
/// The caller may not, there is no such procedure, or its arguments are wrong.
pub(crate) fn call(realm: &mut Realm, now: Instant, from: SessionKey, message: Call) -> Result<(), Failure> {
    let strictness = realm.config.strictness;
    let procedure = options::uri(message.procedure, Match::Exact, strictness)?;
    let (_, _, cx) = realm.parts(now);
    cx.permit(from, Action::Call, Match::Exact, procedure.as_str())?;
    let payload = answer(realm, procedure.as_str(), &message.payload)?;
    let (_, _, mut cx) = realm.parts(now);
    cx.send(from, CallResult { request: message.request, details: Dict::new(), payload });
    Ok(())
}

fn answer(realm: &mut Realm, procedure: &str, arguments: &Payload) -> Result<Payload, Failure> {
    match procedure {
        SESSION_COUNT => Ok(sessions::count(&realm.sessions, arguments)),
        other => Err(Failure::refused(NO_SUCH_PROCEDURE, format!("this router has no procedure {other}"))),
    }
}

//! The procedures that the router itself answers, `wamp.*` (specification, "WAMP Meta API"): which one a call
//! means, and that the caller may call it.

mod arguments;
mod ids;
mod registrations;
pub(crate) mod sessions;
mod subscriptions;
pub(crate) mod testaments;

use std::time::Instant;

use ecep_proto::error::NO_SUCH_PROCEDURE;
use ecep_proto::message::{Call, CallResult};
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::Dict;

use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Realm;
use crate::session::SessionKey;
use arguments::Arguments;

/// Answers a call of a meta procedure.
///
/// # Errors
/// The caller may not, there is no such procedure, or its arguments are wrong.
pub(crate) fn call(realm: &mut Realm, now: Instant, from: SessionKey, message: Call) -> Result<(), Failure> {
    let strictness = realm.config.strictness;
    let procedure = options::uri(message.procedure, Match::Exact, strictness)?;
    let (_, _, cx) = realm.parts(now);
    cx.permit(from, Action::Call, Match::Exact, procedure.as_str())?;
    let procedure = procedure.as_str();
    let arguments = Arguments(&message.payload);
    let payload = if procedure.starts_with("wamp.session.") {
        sessions::answer(realm, now, from, procedure, arguments)?
    } else if procedure.starts_with("wamp.registration.") {
        registrations::answer(realm, now, procedure, arguments)?
    } else if procedure.starts_with("wamp.subscription.") {
        subscriptions::answer(realm, now, procedure, arguments)?
    } else {
        return Err(unknown(procedure));
    };
    let (_, _, mut cx) = realm.parts(now);
    cx.send(from, CallResult { request: message.request, details: Dict::new(), payload });
    Ok(())
}

fn unknown(procedure: &str) -> Failure {
    Failure::refused(NO_SUCH_PROCEDURE, format!("this router has no procedure {procedure}"))
}

/// The answer of a procedure that has nothing to say.
fn nothing() -> Payload {
    Payload::default()
}

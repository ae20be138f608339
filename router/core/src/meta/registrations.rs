//! Registration meta procedures: which procedures there are, and who offers them.

use std::time::Instant;

use ecep_proto::error::{NO_SUCH_REGISTRATION, NO_SUCH_SESSION};
use ecep_proto::id::{RegistrationId, SessionId};
use ecep_proto::meta::{
    REGISTRATION_COUNT_CALLEES, REGISTRATION_GET, REGISTRATION_LIST, REGISTRATION_LIST_CALLEES,
    REGISTRATION_LOOKUP, REGISTRATION_MATCH, REGISTRATION_REMOVE_CALLEE,
};
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};

use super::arguments::{Arguments, as_argument};
use super::{nothing, unknown};
use crate::dealer::Registration;
use crate::options::{self, Failure};
use crate::realm::Realm;

/// Why a callee is removed, if nobody says.
const REMOVED: &str = "an operator has taken this registration away";

/// Answers `wamp.registration.*`.
pub(super) fn answer(
    realm: &mut Realm,
    now: Instant,
    procedure: &str,
    arguments: Arguments,
) -> Result<Payload, Failure> {
    let registrations = &realm.dealer.registrations;
    match procedure {
        REGISTRATION_LIST => {
            let of_kind = |kind: Match| {
                let of_kind = registrations.iter().filter(|(_, registration)| registration.kind == kind);
                (kind.name().to_owned(), Value::List(of_kind.map(|(id, _)| Value::from(id.get())).collect()))
            };
            let lists = [Match::Exact, Match::Prefix, Match::Wildcard].map(of_kind);
            Ok(Payload::of(Value::Map(lists.into())))
        }
        REGISTRATION_LOOKUP => {
            let procedure = arguments.text(0, "procedure")?;
            let none = Dict::new();
            let options = arguments.dict(1, "options")?.unwrap_or(&none);
            let kind = options::matching(options).map_err(as_argument)?;
            Ok(id_or_null(registrations.lookup(kind, procedure)))
        }
        REGISTRATION_MATCH => Ok(id_or_null(registrations.best(arguments.text(0, "procedure")?))),
        REGISTRATION_GET => {
            let (id, registration) = named(realm, arguments)?;
            Ok(Payload::of(Value::Map(registration.details(id, &realm.clock))))
        }
        REGISTRATION_LIST_CALLEES => {
            let (_, registration) = named(realm, arguments)?;
            let ids = registration.callees.iter().map(|callee| Value::from(callee.id.get()));
            Ok(Payload::of(Value::List(ids.collect())))
        }
        REGISTRATION_COUNT_CALLEES => {
            let (_, registration) = named(realm, arguments)?;
            Ok(Payload::of(registration.callees.len() as u64))
        }
        REGISTRATION_REMOVE_CALLEE => {
            let (id, _) = named(realm, arguments)?;
            let session = arguments.id(1, "session")?;
            let reason = arguments.keyword_text("reason")?.unwrap_or(REMOVED);
            let callee = SessionId::new(session).and_then(|session| realm.sessions.key_of(session));
            let (_, dealer, mut cx) = realm.parts(now);
            if callee.is_some_and(|callee| dealer.remove_registration(&mut cx, id, callee, reason)) {
                return Ok(nothing());
            }
            let text = format!("session {session} has no part in registration {id}");
            Err(Failure::refused(NO_SUCH_SESSION, text))
        }
        other => Err(unknown(other)),
    }
}

fn named<'a>(realm: &'a Realm, arguments: Arguments) -> Result<(RegistrationId, &'a Registration), Failure> {
    let number = arguments.id(0, "registration")?;
    let found = RegistrationId::new(number).and_then(|id| Some((id, realm.dealer.registrations.get(id)?)));
    found.ok_or_else(|| {
        Failure::refused(NO_SUCH_REGISTRATION, format!("there is no registration {number} in this realm"))
    })
}

fn id_or_null(id: Option<RegistrationId>) -> Payload {
    Payload::of(id.map_or(Value::Null, |id| Value::from(id.get())))
}

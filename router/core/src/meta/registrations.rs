//! Registration meta procedures: which procedures there are, and who offers them.

use std::time::Instant;

use ecep_proto::error::NO_SUCH_REGISTRATION;
use ecep_proto::id::RegistrationId;
use ecep_proto::meta::{
    REGISTRATION_COUNT_CALLEES, REGISTRATION_GET, REGISTRATION_LIST, REGISTRATION_LIST_CALLEES,
    REGISTRATION_LOOKUP, REGISTRATION_MATCH, REGISTRATION_REMOVE_CALLEE,
};
use ecep_proto::payload::Payload;
use ecep_proto::value::Value;

use super::arguments::Arguments;
use super::{ids, nothing, sessions, unknown};
use crate::dealer::Registration;
use crate::options::Failure;
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
            let all: Vec<_> = registrations.iter().map(|(id, known)| (id.get(), known.kind)).collect();
            Ok(ids::by_match(|kind| all.iter().filter(move |(_, of)| *of == kind).map(|(id, _)| *id)))
        }
        REGISTRATION_LOOKUP => {
            let (kind, procedure) = arguments.pattern("procedure")?;
            Ok(ids::one_or_null(registrations.lookup(kind, procedure).map(RegistrationId::get)))
        }
        REGISTRATION_MATCH => {
            let best = registrations.best(arguments.text(0, "procedure")?);
            Ok(ids::one_or_null(best.map(RegistrationId::get)))
        }
        REGISTRATION_GET => {
            let (id, registration) = named(realm, arguments)?;
            Ok(Payload::of(Value::Map(registration.details(id, &realm.clock))))
        }
        REGISTRATION_LIST_CALLEES => {
            let (_, registration) = named(realm, arguments)?;
            Ok(Payload::of(ids::list(registration.callees.iter().map(|callee| callee.id.get()))))
        }
        REGISTRATION_COUNT_CALLEES => {
            let (_, registration) = named(realm, arguments)?;
            Ok(Payload::of(registration.callees.len() as u64))
        }
        REGISTRATION_REMOVE_CALLEE => {
            let (id, _) = named(realm, arguments)?;
            let session = arguments.id(1, "session")?;
            let reason = arguments.keyword_text("reason")?.unwrap_or(REMOVED);
            let callee = sessions::named(&realm.sessions, session);
            let (_, dealer, mut cx) = realm.parts(now);
            if callee.is_some_and(|callee| dealer.remove_registration(&mut cx, id, callee, reason)) {
                return Ok(nothing());
            }
            Err(ids::no_part(session, "registration", id.get()))
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

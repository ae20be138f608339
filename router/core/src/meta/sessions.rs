//! Session meta events and procedures.

use ecep_proto::meta::{SESSION_ON_JOIN, SESSION_ON_LEAVE};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

use crate::realm::News;
use crate::session::{Session, Sessions};

/// Tells that a session has joined.
pub(crate) fn joined(session: &Session) -> News {
    News { topic: SESSION_ON_JOIN, payload: Payload::of(Value::Map(details(session))) }
}

/// Tells that a session has left.
pub(crate) fn left(session: &Session) -> News {
    let args = vec![
        Value::from(session.id.get()),
        Value::from(session.identity.authid.as_str()),
        Value::from(session.identity.authrole.as_str()),
    ];
    News { topic: SESSION_ON_LEAVE, payload: Payload::new(args, Dict::new()) }
}

/// `wamp.session.count`: of all sessions, or of those whose role is in the list that the caller gave.
pub(crate) fn count(sessions: &Sessions, arguments: &Payload) -> Payload {
    let filter = arguments.args().first().and_then(Value::as_list);
    let counts =
        |authrole: &str| filter.is_none_or(|roles| roles.iter().any(|role| role.as_str() == Some(authrole)));
    let count = match filter {
        None => sessions.len(),
        Some(_) => sessions.iter().filter(|(_, session)| counts(&session.identity.authrole)).count(),
    };
    Payload::of(count as u64)
}

fn details(session: &Session) -> Dict {
    let identity = &session.identity;
    Dict::from([
        ("authid".into(), Value::from(identity.authid.as_str())),
        ("authmethod".into(), Value::from(identity.authmethod.as_str())),
        ("authprovider".into(), Value::from(identity.authprovider.as_str())),
        ("authrole".into(), Value::from(identity.authrole.as_str())),
        ("session".into(), Value::from(session.id.get())),
    ])
}

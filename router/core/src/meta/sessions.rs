//! Session meta events and procedures: who is here, and how to end it.

use std::collections::HashSet;
use std::time::Instant;

use ecep_proto::error::{CLOSE_KILLED, INVALID_URI, NO_SUCH_SESSION};
use ecep_proto::id::SessionId;
use ecep_proto::meta::{
    SESSION_ADD_TESTAMENT, SESSION_COUNT, SESSION_FLUSH_TESTAMENTS, SESSION_GET, SESSION_KILL,
    SESSION_KILL_ALL, SESSION_KILL_BY_AUTHID, SESSION_KILL_BY_AUTHROLE, SESSION_LIST, SESSION_ON_JOIN,
    SESSION_ON_LEAVE,
};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Strictness, Uri};
use ecep_proto::value::{Dict, Value};

use super::arguments::Arguments;
use super::{nothing, testaments, unknown};
use crate::options::Failure;
use crate::realm::{Farewell, News, Realm};
use crate::session::{Session, SessionKey, Sessions};

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

/// Answers `wamp.session.*`.
pub(super) fn answer(
    realm: &mut Realm,
    now: Instant,
    from: SessionKey,
    procedure: &str,
    arguments: Arguments,
) -> Result<Payload, Failure> {
    match procedure {
        SESSION_COUNT => {
            let roles = arguments.texts(0, "filter_authroles")?;
            Ok(Payload::of(of_roles(&realm.sessions, roles).count() as u64))
        }
        SESSION_LIST => {
            let roles = arguments.texts(0, "filter_authroles")?;
            let ids = of_roles(&realm.sessions, roles).map(|(_, session)| Value::from(session.id.get()));
            Ok(Payload::of(Value::List(ids.collect())))
        }
        SESSION_GET => {
            let id = arguments.id(0, "session")?;
            let session = named(&realm.sessions, id).and_then(|key| realm.sessions.get(key));
            let session = session.ok_or_else(|| no_such_session(id))?;
            Ok(Payload::of(Value::Map(details(session))))
        }
        SESSION_KILL => {
            let id = arguments.id(0, "session")?;
            let farewell = farewell(arguments)?;
            let victim = named(&realm.sessions, id).filter(|victim| *victim != from);
            realm.end(now, victim.ok_or_else(|| no_such_session(id))?, &farewell);
            Ok(nothing())
        }
        SESSION_KILL_BY_AUTHID => {
            let authid = arguments.text(0, "authid")?;
            let farewell = farewell(arguments)?;
            let killed = kill(realm, now, from, &farewell, |session| session.identity.authid == authid);
            Ok(Payload::of(Value::List(killed)))
        }
        SESSION_KILL_BY_AUTHROLE => {
            let authrole = arguments.text(0, "authrole")?;
            let farewell = farewell(arguments)?;
            let killed = kill(realm, now, from, &farewell, |session| session.identity.authrole == authrole);
            Ok(Payload::of(killed.len() as u64))
        }
        SESSION_KILL_ALL => {
            let farewell = farewell(arguments)?;
            let everybody = realm.sessions.iter().map(|(key, _)| key);
            let victims: Vec<SessionKey> = everybody.filter(|key| *key != from).collect();
            for victim in &victims {
                realm.end_silently(now, *victim, &farewell);
            }
            Ok(Payload::of(victims.len() as u64))
        }
        SESSION_ADD_TESTAMENT => testaments::add(&mut realm.parts(now).2, from, arguments),
        SESSION_FLUSH_TESTAMENTS => testaments::flush(&mut realm.parts(now).2, from, arguments),
        other => Err(unknown(other)),
    }
}

fn of_roles<'a>(
    sessions: &'a Sessions,
    roles: Option<Vec<&'a str>>,
) -> impl Iterator<Item = (SessionKey, &'a Session)> {
    let roles: Option<HashSet<&str>> = roles.map(|roles| roles.into_iter().collect());
    let counts = move |authrole: &str| roles.as_ref().is_none_or(|roles| roles.contains(authrole));
    sessions.iter().filter(move |(_, session)| counts(&session.identity.authrole))
}

/// The session of this id.
pub(super) fn named(sessions: &Sessions, id: u64) -> Option<SessionKey> {
    sessions.key_of(SessionId::new(id)?)
}

fn no_such_session(id: u64) -> Failure {
    Failure::refused(NO_SUCH_SESSION, format!("there is no other session {id} in this realm"))
}

/// Ends all sessions but the caller's that are meant; their ids.
fn kill(
    realm: &mut Realm,
    now: Instant,
    from: SessionKey,
    farewell: &Farewell,
    meant: impl Fn(&Session) -> bool,
) -> Vec<Value> {
    let others = realm.sessions.iter().filter(|(key, session)| *key != from && meant(session));
    let victims: Vec<(SessionKey, SessionId)> = others.map(|(key, session)| (key, session.id)).collect();
    for (victim, _) in &victims {
        realm.end(now, *victim, farewell);
    }
    victims.into_iter().map(|(_, id)| Value::from(id.get())).collect()
}

/// The keyword arguments `reason` and `message`.
fn farewell(arguments: Arguments) -> Result<Farewell, Failure> {
    let reason = match arguments.keyword("reason") {
        None => CLOSE_KILLED.to_owned(),
        Some(Value::Str(text)) => Uri::parse(text.as_str(), Strictness::Loose)
            .map_err(|error| Failure::refused(INVALID_URI, format!("reason: {error}")))?
            .into_string(),
        Some(other) => {
            let text = format!("reason must be a URI, not {}", other.kind());
            return Err(Failure::refused(INVALID_URI, text));
        }
    };
    Ok(Farewell { reason, message: arguments.keyword_text("message")?.map(str::to_owned) })
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

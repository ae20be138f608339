//! Subscription meta procedures: which subscriptions there are, and who has them.

use std::time::Instant;

use ecep_proto::error::{NO_SUCH_SESSION, NO_SUCH_SUBSCRIPTION};
use ecep_proto::id::{SessionId, SubscriptionId};
use ecep_proto::meta::{
    SUBSCRIPTION_COUNT_SUBSCRIBERS, SUBSCRIPTION_GET, SUBSCRIPTION_LIST, SUBSCRIPTION_LIST_SUBSCRIBERS,
    SUBSCRIPTION_LOOKUP, SUBSCRIPTION_MATCH, SUBSCRIPTION_REMOVE_SUBSCRIBER,
};
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};

use super::arguments::{Arguments, as_argument};
use super::{nothing, unknown};
use crate::broker::Subscription;
use crate::options::{self, Failure};
use crate::realm::Realm;

/// Why a subscriber is removed, if nobody says.
const REMOVED: &str = "an operator has taken this subscription away";

/// Answers `wamp.subscription.*`.
pub(super) fn answer(
    realm: &mut Realm,
    now: Instant,
    procedure: &str,
    arguments: Arguments,
) -> Result<Payload, Failure> {
    match procedure {
        SUBSCRIPTION_LIST => {
            let of_kind = |kind: Match| (kind.name().to_owned(), ids(realm.broker.of_kind(kind)));
            let lists = [Match::Exact, Match::Prefix, Match::Wildcard].map(of_kind);
            Ok(Payload::of(Value::Map(lists.into())))
        }
        SUBSCRIPTION_LOOKUP => {
            let topic = arguments.text(0, "topic")?;
            let none = Dict::new();
            let options = arguments.dict(1, "options")?.unwrap_or(&none);
            let kind = options::matching(options).map_err(as_argument)?;
            let found = realm.broker.lookup(kind, topic);
            Ok(Payload::of(found.map_or(Value::Null, |id| Value::from(id.get()))))
        }
        SUBSCRIPTION_MATCH => {
            let found = realm.broker.covering(arguments.text(0, "topic")?);
            Ok(Payload::of(if found.is_empty() { Value::Null } else { ids(found) }))
        }
        SUBSCRIPTION_GET => {
            let (id, subscription) = named(realm, arguments)?;
            Ok(Payload::of(Value::Map(subscription.details(id, &realm.clock))))
        }
        SUBSCRIPTION_LIST_SUBSCRIBERS => {
            let (_, subscription) = named(realm, arguments)?;
            let sessions = subscription.subscribers().filter_map(|key| realm.sessions.get(key));
            Ok(Payload::of(Value::List(sessions.map(|session| Value::from(session.id.get())).collect())))
        }
        SUBSCRIPTION_COUNT_SUBSCRIBERS => {
            let (_, subscription) = named(realm, arguments)?;
            Ok(Payload::of(subscription.subscribers().count() as u64))
        }
        SUBSCRIPTION_REMOVE_SUBSCRIBER => {
            let (id, _) = named(realm, arguments)?;
            let session = arguments.id(1, "session")?;
            let reason = arguments.keyword_text("reason")?.unwrap_or(REMOVED);
            let subscriber = SessionId::new(session).and_then(|session| realm.sessions.key_of(session));
            let (broker, _, mut cx) = realm.parts(now);
            if subscriber.is_some_and(|subscriber| broker.remove_subscriber(&mut cx, id, subscriber, reason))
            {
                return Ok(nothing());
            }
            let text = format!("session {session} has no part in subscription {id}");
            Err(Failure::refused(NO_SUCH_SESSION, text))
        }
        other => Err(unknown(other)),
    }
}

fn named<'a>(realm: &'a Realm, arguments: Arguments) -> Result<(SubscriptionId, &'a Subscription), Failure> {
    let number = arguments.id(0, "subscription")?;
    let id = SubscriptionId::new(number);
    let found = id.and_then(|id| Some((id, realm.broker.get(id)?)));
    found.ok_or_else(|| {
        Failure::refused(NO_SUCH_SUBSCRIPTION, format!("there is no subscription {number} in this realm"))
    })
}

fn ids(ids: Vec<SubscriptionId>) -> Value {
    Value::List(ids.into_iter().map(|id| Value::from(id.get())).collect())
}

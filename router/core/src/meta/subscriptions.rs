//! Subscription meta procedures: which subscriptions there are, and who has them.

use std::time::Instant;

use ecep_proto::error::NO_SUCH_SUBSCRIPTION;
use ecep_proto::id::SubscriptionId;
use ecep_proto::meta::{
    SUBSCRIPTION_COUNT_SUBSCRIBERS, SUBSCRIPTION_GET, SUBSCRIPTION_LIST, SUBSCRIPTION_LIST_SUBSCRIBERS,
    SUBSCRIPTION_LOOKUP, SUBSCRIPTION_MATCH, SUBSCRIPTION_REMOVE_SUBSCRIBER,
};
use ecep_proto::payload::Payload;
use ecep_proto::value::Value;

use super::arguments::Arguments;
use super::{ids, nothing, sessions, unknown};
use crate::broker::Subscription;
use crate::options::Failure;
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
            let of_kind = |kind| realm.broker.of_kind(kind).into_iter().map(SubscriptionId::get);
            Ok(ids::by_match(of_kind))
        }
        SUBSCRIPTION_LOOKUP => {
            let (kind, topic) = arguments.pattern("topic")?;
            Ok(ids::one_or_null(realm.broker.lookup(kind, topic).map(SubscriptionId::get)))
        }
        SUBSCRIPTION_MATCH => {
            let found = realm.broker.covering(arguments.text(0, "topic")?);
            let list = || ids::list(found.iter().map(|id| id.get()));
            Ok(Payload::of(if found.is_empty() { Value::Null } else { list() }))
        }
        SUBSCRIPTION_GET => {
            let (id, subscription) = named(realm, arguments)?;
            Ok(Payload::of(Value::Map(subscription.details(id, &realm.clock))))
        }
        SUBSCRIPTION_LIST_SUBSCRIBERS => {
            let (_, subscription) = named(realm, arguments)?;
            let sessions = subscription.subscribers().filter_map(|key| realm.sessions.get(key));
            Ok(Payload::of(ids::list(sessions.map(|session| session.id.get()))))
        }
        SUBSCRIPTION_COUNT_SUBSCRIBERS => {
            let (_, subscription) = named(realm, arguments)?;
            Ok(Payload::of(subscription.subscribers().count() as u64))
        }
        SUBSCRIPTION_REMOVE_SUBSCRIBER => {
            let (id, _) = named(realm, arguments)?;
            let session = arguments.id(1, "session")?;
            let reason = arguments.keyword_text("reason")?.unwrap_or(REMOVED);
            let subscriber = sessions::named(&realm.sessions, session);
            let (broker, _, mut cx) = realm.parts(now);
            if subscriber.is_some_and(|subscriber| broker.remove_subscriber(&mut cx, id, subscriber, reason))
            {
                return Ok(nothing());
            }
            Err(ids::no_part(session, "subscription", id.get()))
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

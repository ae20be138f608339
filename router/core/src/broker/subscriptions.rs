//! Who subscribes to what.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ecep_proto::error::{LIMIT_EXCEEDED, NO_SUCH_SUBSCRIPTION};
use ecep_proto::id::{SessionId, SubscriptionId};
use ecep_proto::message::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
use ecep_proto::meta::{
    RESERVED_PREFIX, SUBSCRIPTION_ON_CREATE, SUBSCRIPTION_ON_DELETE, SUBSCRIPTION_ON_SUBSCRIBE,
    SUBSCRIPTION_ON_UNSUBSCRIBE,
};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};

use super::Broker;
use crate::clock::WallClock;
use crate::features::Feature;
use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Context;
use crate::session::SessionKey;

/// One topic or pattern with at least one subscriber.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) kind: Match,
    topic: Uri,
    created: Instant,
    /// Sorted, so that the same inputs give the same outputs.
    subscribers: BTreeSet<SessionKey>,
    /// The same, as events go out to them; made anew when it is needed after a change.
    shared: Option<Arc<[SessionKey]>>,
}

impl Subscription {
    fn new(kind: Match, topic: Uri, created: Instant) -> Self {
        Self { kind, topic, created, subscribers: BTreeSet::new(), shared: None }
    }

    /// What meta events and procedures tell about it.
    pub(crate) fn details(&self, id: SubscriptionId, clock: &WallClock) -> Dict {
        Dict::from([
            ("created".into(), Value::from(clock.iso_8601(self.created))),
            ("id".into(), Value::from(id.get())),
            ("match".into(), Value::from(self.kind.name())),
            ("uri".into(), Value::from(self.topic.as_str())),
        ])
    }

    /// All subscribers.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = SessionKey> {
        self.subscribers.iter().copied()
    }

    /// All subscribers, for many events.
    pub(super) fn shared(&mut self) -> Arc<[SessionKey]> {
        self.shared.get_or_insert_with(|| self.subscribers.iter().copied().collect()).clone()
    }

    fn add(&mut self, session: SessionKey) {
        if self.subscribers.insert(session) {
            self.shared = None;
        }
    }

    fn remove(&mut self, session: SessionKey) {
        if self.subscribers.remove(&session) {
            self.shared = None;
        }
    }
}

impl Broker {
    /// "A Subscriber that subscribes to the same topic again gets the same subscription."
    pub(crate) fn subscribe(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Subscribe,
    ) -> Result<(), Failure> {
        options::not_offered(&message.options)?;
        let kind = options::matching(&message.options)?;
        let get_retained = options::flag(&message.options, "get_retained")?;
        let pattern = options::uri(message.topic, kind, cx.strictness)?;
        cx.permit(from, Action::Subscribe, kind, pattern.as_str())?;
        let known = self.by_pattern.get(kind, pattern.as_str());
        let of_session = self.by_session.get(&from);
        let is_new = known.is_none_or(|id| of_session.is_none_or(|ids| !ids.contains(&id)));
        if is_new && of_session.map_or(0, BTreeSet::len) >= cx.limits.subscriptions {
            let text = format!(
                "this session has {} subscriptions already (limits.max_subscriptions): subscribe to a pattern instead",
                cx.limits.subscriptions
            );
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.next_id;
                self.next_id = id.next();
                self.by_pattern.insert(kind, pattern.as_str(), id);
                self.subscriptions.insert(id, Subscription::new(kind, pattern.clone(), cx.now));
                id
            }
        };
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.add(from);
        }
        self.by_session.entry(from).or_default().insert(id);
        cx.send(from, Subscribed { request: message.request, subscription: id });
        if let Some(session) = cx.sessions.get(from).filter(|_| is_new).map(|session| session.id) {
            if known.is_none() {
                self.announce(cx, SUBSCRIPTION_ON_CREATE, session, id);
            }
            self.announce(cx, SUBSCRIPTION_ON_SUBSCRIBE, session, id);
        }
        if get_retained {
            self.send_retained(cx, from, id, kind, pattern.as_str());
        }
        Ok(())
    }

    /// Tells whoever wants to hear it what has become of a subscription. Subscriptions to the router's own topics
    /// are not worth telling: everybody who watches would hear of everybody else who watches.
    fn announce(&self, cx: &mut Context, topic: &'static str, session: SessionId, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        if subscription.topic.as_str().starts_with(RESERVED_PREFIX) || self.covering(topic).is_empty() {
            return;
        }
        let about = if topic == SUBSCRIPTION_ON_CREATE {
            Value::Map(subscription.details(id, &cx.clock))
        } else {
            Value::from(id.get())
        };
        cx.announce(topic, Payload::new(vec![Value::from(session.get()), about], Dict::new()));
    }

    /// The subscription of that id.
    pub(crate) fn get(&self, id: SubscriptionId) -> Option<&Subscription> {
        self.subscriptions.get(&id)
    }

    /// The subscription of that very topic or pattern.
    pub(crate) fn lookup(&self, kind: Match, topic: &str) -> Option<SubscriptionId> {
        self.by_pattern.get(kind, topic)
    }

    /// The subscriptions that get an event of that topic.
    pub(crate) fn covering(&self, topic: &str) -> Vec<SubscriptionId> {
        self.by_pattern.covering(topic)
    }

    /// All subscriptions that match in this way, sorted.
    pub(crate) fn of_kind(&self, kind: Match) -> Vec<SubscriptionId> {
        let of_kind = self.subscriptions.iter().filter(|(_, subscription)| subscription.kind == kind);
        let mut ids: Vec<SubscriptionId> = of_kind.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Takes a subscription away from one of its subscribers, which is told if it has announced that it understands.
    /// False if it is none of them.
    pub(crate) fn remove_subscriber(
        &mut self,
        cx: &mut Context,
        id: SubscriptionId,
        subscriber: SessionKey,
        reason: &str,
    ) -> bool {
        let Some(session) = cx.sessions.get(subscriber) else { return false };
        let (number, understands) = (session.id, session.features.has(Feature::SubscriberRevocation));
        if !self.has(subscriber, id) {
            return false;
        }
        self.leave(cx, subscriber, number, id);
        if understands {
            cx.send(subscriber, Unsubscribed::revoked(id, reason));
        }
        true
    }

    /// Takes those subscriptions away that the session may no longer have.
    pub(crate) fn revoke_forbidden(&mut self, cx: &mut Context, key: SessionKey) {
        let (Some(ids), Some(session)) = (self.by_session.get(&key), cx.sessions.get(key)) else { return };
        let forbidden = |id: &SubscriptionId| {
            self.subscriptions.get(id).is_some_and(|subscription| {
                !session.may(Action::Subscribe, subscription.kind, subscription.topic.as_str())
            })
        };
        let forbidden: Vec<SubscriptionId> = ids.iter().copied().filter(forbidden).collect();
        for id in forbidden {
            self.remove_subscriber(cx, id, key, "no longer authorized");
        }
    }

    fn has(&self, session: SessionKey, id: SubscriptionId) -> bool {
        self.by_session.get(&session).is_some_and(|ids| ids.contains(&id))
    }

    pub(crate) fn unsubscribe(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Unsubscribe,
    ) -> Result<(), Failure> {
        if !self.has(from, message.subscription) {
            let text = format!("this session has no subscription {}", message.subscription);
            return Err(Failure::refused(NO_SUCH_SUBSCRIPTION, text));
        }
        cx.send(from, Unsubscribed::answer(message.request));
        if let Some(session) = cx.sessions.get(from).map(|session| session.id) {
            self.leave(cx, from, session, message.subscription);
        }
        Ok(())
    }

    /// Ends all subscriptions of a session.
    pub(crate) fn forget(&mut self, cx: &mut Context, key: SessionKey, session: SessionId) {
        for id in self.by_session.get(&key).cloned().unwrap_or_default() {
            self.leave(cx, key, session, id);
        }
    }

    fn leave(&mut self, cx: &mut Context, key: SessionKey, session: SessionId, id: SubscriptionId) {
        if let Some(ids) = self.by_session.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_session.remove(&key);
            }
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.remove(key);
        let is_last = subscription.subscribers.is_empty();
        self.announce(cx, SUBSCRIPTION_ON_UNSUBSCRIBE, session, id);
        if is_last {
            self.announce(cx, SUBSCRIPTION_ON_DELETE, session, id);
        }
        if let Some(subscription) = self.subscriptions.get(&id).filter(|_| is_last) {
            self.by_pattern.remove(subscription.kind, subscription.topic.as_str());
            self.subscriptions.remove(&id);
        }
    }
}

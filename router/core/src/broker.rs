//! The broker: who subscribes to what, and who gets an event.
//!
//! Owns the subscriptions. Must not know permissions beyond asking for them, nor what an event says.

use std::collections::{BTreeSet, HashMap};

use ecep_proto::error::{LIMIT_EXCEEDED, NO_SUCH_SUBSCRIPTION};
use ecep_proto::id::SubscriptionId;
use ecep_proto::message::{Event, Publish, Published, Subscribe, Subscribed, Unsubscribe, Unsubscribed};
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};

use crate::matcher::PatternMap;
use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Context;
use crate::session::SessionKey;

/// Subscriptions of one session. A dashboard has about ten, a client without patterns one for each device that it
/// watches; each costs the router about a kilobyte.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

/// One topic or pattern with at least one subscriber.
#[derive(Debug)]
struct Subscription {
    kind: Match,
    topic: Uri,
    /// Sorted, so that the same inputs give the same outputs.
    subscribers: BTreeSet<SessionKey>,
}

#[derive(Debug)]
pub(crate) struct Broker {
    subscriptions: HashMap<SubscriptionId, Subscription>,
    by_pattern: PatternMap<SubscriptionId>,
    by_session: BTreeSet<(SessionKey, SubscriptionId)>,
    next_id: SubscriptionId,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            subscriptions: HashMap::new(),
            by_pattern: PatternMap::default(),
            by_session: BTreeSet::new(),
            next_id: SubscriptionId::FIRST,
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
        let kind = options::matching(&message.options)?;
        let topic = options::uri(message.topic, kind, cx.strictness)?;
        cx.permit(from, Action::Subscribe, kind, topic.as_str())?;
        let known = self.by_pattern.get(kind, topic.as_str());
        let is_new = known.is_none_or(|id| !self.by_session.contains(&(from, id)));
        if is_new && self.count(from) >= MAX_SUBSCRIPTIONS {
            let text = format!(
                "this session has {MAX_SUBSCRIPTIONS} subscriptions already: subscribe to a pattern instead"
            );
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.next_id;
                self.next_id = id.next();
                self.by_pattern.insert(kind, topic.as_str(), id);
                self.subscriptions.insert(id, Subscription { kind, topic, subscribers: BTreeSet::new() });
                id
            }
        };
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.subscribers.insert(from);
        }
        self.by_session.insert((from, id));
        cx.send(from, Subscribed { request: message.request, subscription: id });
        Ok(())
    }

    fn count(&self, session: SessionKey) -> usize {
        let after = SessionKey(session.0 + 1);
        let of_session = (session, SubscriptionId::FIRST)..(after, SubscriptionId::FIRST);
        self.by_session.range(of_session).count()
    }

    pub(crate) fn unsubscribe(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Unsubscribe,
    ) -> Result<(), Failure> {
        if !self.by_session.contains(&(from, message.subscription)) {
            let text = format!("this session has no subscription {}", message.subscription);
            return Err(Failure::refused(NO_SUCH_SUBSCRIPTION, text));
        }
        self.leave(from, message.subscription);
        cx.send(from, Unsubscribed::answer(message.request));
        Ok(())
    }

    /// Delivers an event once for each subscription that matches: a subscriber with two of them gets it twice, each
    /// under its own subscription id, as the specification has it.
    pub(crate) fn publish(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Publish,
    ) -> Result<(), Failure> {
        let acknowledge = options::flag(&message.options, "acknowledge")?;
        let exclude_me = options::flag_or(&message.options, "exclude_me", true)?;
        let disclose = options::flag(&message.options, "disclose_me")?;
        let checked = options::uri(message.topic, Match::Exact, cx.strictness).and_then(|topic| {
            options::unreserved(&topic)?;
            cx.permit(from, Action::Publish, Match::Exact, topic.as_str())?;
            Ok(topic)
        });
        let topic = match checked {
            Ok(topic) => topic,
            // "If the publication fails and acknowledge is not set, the publisher is not told."
            Err(Failure::Refused { .. }) if !acknowledge => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let publication = cx.ids.publication();
        if acknowledge {
            cx.send(from, Published { request: message.request, publication });
        }
        let mut details = Dict::new();
        if disclose && let Some(publisher) = cx.sessions.get(from) {
            details.insert("publisher".into(), Value::from(publisher.id.get()));
            details.insert("publisher_authid".into(), Value::from(publisher.identity.authid.as_str()));
            details.insert("publisher_authrole".into(), Value::from(publisher.identity.authrole.as_str()));
        }
        for id in self.by_pattern.covering(topic.as_str()) {
            let Some(subscription) = self.subscriptions.get(&id) else { continue };
            let receivers: Vec<SessionKey> =
                subscription.subscribers.iter().copied().filter(|to| !(exclude_me && *to == from)).collect();
            if receivers.is_empty() {
                continue;
            }
            let mut details = details.clone();
            if subscription.kind != Match::Exact {
                details.insert("topic".into(), Value::from(topic.as_str()));
            }
            let event = Event { subscription: id, publication, details, payload: message.payload.clone() };
            cx.broadcast(receivers, event);
        }
        Ok(())
    }

    pub(crate) fn forget(&mut self, session: SessionKey) {
        let range = (session, SubscriptionId::FIRST)..(SessionKey(session.0 + 1), SubscriptionId::FIRST);
        let ids: Vec<SubscriptionId> = self.by_session.range(range).map(|(_, id)| *id).collect();
        for id in ids {
            self.leave(session, id);
        }
    }

    fn leave(&mut self, session: SessionKey, id: SubscriptionId) {
        self.by_session.remove(&(session, id));
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.subscribers.remove(&session);
        if subscription.subscribers.is_empty() {
            self.by_pattern.remove(subscription.kind, subscription.topic.as_str());
            self.subscriptions.remove(&id);
        }
    }
}

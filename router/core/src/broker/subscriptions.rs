//! Who subscribes to what.

use std::collections::BTreeSet;
use std::sync::Arc;

use ecep_proto::error::{LIMIT_EXCEEDED, NO_SUCH_SUBSCRIPTION};
use ecep_proto::id::SubscriptionId;
use ecep_proto::message::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
use ecep_proto::uri::{Match, Uri};

use super::Broker;
use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::realm::Context;
use crate::session::SessionKey;

/// One topic or pattern with at least one subscriber.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) kind: Match,
    pub(super) topic: Uri,
    /// Sorted, so that the same inputs give the same outputs.
    subscribers: BTreeSet<SessionKey>,
    /// The same, as events go out to them; made anew when it is needed after a change.
    shared: Option<Arc<[SessionKey]>>,
}

impl Subscription {
    fn new(kind: Match, topic: Uri) -> Self {
        Self { kind, topic, subscribers: BTreeSet::new(), shared: None }
    }

    /// All subscribers.
    pub(super) fn subscribers(&mut self) -> Arc<[SessionKey]> {
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
        let kind = options::matching(&message.options)?;
        let topic = options::uri(message.topic, kind, cx.strictness)?;
        cx.permit(from, Action::Subscribe, kind, topic.as_str())?;
        let known = self.by_pattern.get(kind, topic.as_str());
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
                self.by_pattern.insert(kind, topic.as_str(), id);
                self.subscriptions.insert(id, Subscription::new(kind, topic));
                id
            }
        };
        if let Some(subscription) = self.subscriptions.get_mut(&id) {
            subscription.add(from);
        }
        self.by_session.entry(from).or_default().insert(id);
        cx.send(from, Subscribed { request: message.request, subscription: id });
        Ok(())
    }

    pub(crate) fn unsubscribe(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Unsubscribe,
    ) -> Result<(), Failure> {
        if !self.by_session.get(&from).is_some_and(|ids| ids.contains(&message.subscription)) {
            let text = format!("this session has no subscription {}", message.subscription);
            return Err(Failure::refused(NO_SUCH_SUBSCRIPTION, text));
        }
        self.leave(from, message.subscription);
        cx.send(from, Unsubscribed::answer(message.request));
        Ok(())
    }

    /// Ends all subscriptions of a session.
    pub(crate) fn forget(&mut self, session: SessionKey) {
        for id in self.by_session.get(&session).cloned().unwrap_or_default() {
            self.leave(session, id);
        }
    }

    fn leave(&mut self, session: SessionKey, id: SubscriptionId) {
        if let Some(ids) = self.by_session.get_mut(&session) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_session.remove(&session);
            }
        }
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.remove(session);
        if subscription.subscribers.is_empty() {
            self.by_pattern.remove(subscription.kind, subscription.topic.as_str());
            self.subscriptions.remove(&id);
        }
    }
}

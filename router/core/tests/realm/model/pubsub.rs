//! The part of publishers and subscribers.

use super::*;

impl Run {
    pub(super) fn subscribe(&mut self, client: usize, pattern: usize) {
        let (topic, kind) = PATTERNS[pattern];
        let id = self.world.subscribe(&name(client), topic, kind.name());
        let known = self.model.subscribers.entry(pattern).or_default();
        let is_created = known.is_empty();
        if !is_created {
            assert_eq!(self.model.ids[&pattern], id);
        }
        let is_added = known.insert(client);
        self.model.ids.insert(pattern, id);
        if is_created {
            self.told("wamp.subscription.on_create");
        }
        if is_added {
            self.told("wamp.subscription.on_subscribe");
        }
    }

    pub(super) fn unsubscribe(&mut self, client: usize, pattern: usize) {
        let subscribed = self.model.subscribers.entry(pattern).or_default().remove(&client);
        let Some(subscription) = self.model.ids.get(&pattern).copied() else { return };
        let request = self.world.request();
        self.world.send(&name(client), Unsubscribe { request, subscription });
        match self.world.receive(&name(client)) {
            Message::Unsubscribed(_) => {
                assert!(subscribed);
                self.unsubscribed(pattern);
            }
            Message::Error(error) => {
                assert!(!subscribed);
                assert_eq!(error.error, "wamp.error.no_such_subscription");
            }
            other => panic!("{other:?}"),
        }
    }

    fn unsubscribed(&mut self, pattern: usize) {
        self.told("wamp.subscription.on_unsubscribe");
        if self.model.subscribers[&pattern].is_empty() {
            self.told("wamp.subscription.on_delete");
        }
    }

    /// The client has gone.
    pub(super) fn end_subscriptions(&mut self, client: usize) {
        let mut ended: Vec<(SubscriptionId, usize)> = Vec::new();
        for (pattern, subscribers) in &mut self.model.subscribers {
            if subscribers.remove(&client) {
                ended.push((self.model.ids[pattern], *pattern));
            }
        }
        ended.sort();
        for (_, pattern) in ended {
            self.unsubscribed(pattern);
        }
    }

    pub(super) fn publish(&mut self, client: usize, topic: usize, exclude_me: bool) {
        let payload = Payload::of(self.next_mark());
        let options = dict(&[("exclude_me", exclude_me.into())]);
        self.world.publish(&name(client), TOPICS[topic], options, payload.clone());
        for receiver in 0..CLIENTS {
            let mut expected: Vec<SubscriptionId> = Vec::new();
            for (pattern, subscribers) in &self.model.subscribers {
                let (text, kind) = PATTERNS[*pattern];
                let excluded = exclude_me && receiver == client;
                if subscribers.contains(&receiver) && kind.covers(text, TOPICS[topic]) && !excluded {
                    expected.push(self.model.ids[pattern]);
                }
            }
            let mut found: Vec<SubscriptionId> = Vec::new();
            for _ in &expected {
                let event = self.world.event(&name(receiver));
                assert_eq!(event.payload, payload);
                found.push(event.subscription);
            }
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{receiver}");
        }
    }

    /// The router's own events reach whoever has a pattern that covers them.
    pub(super) fn told(&mut self, topic: &str) {
        for (pattern, subscribers) in &self.model.subscribers {
            let (text, kind) = PATTERNS[*pattern];
            for client in subscribers.iter().filter(|_| kind.covers(text, topic)) {
                match self.world.receive(&name(*client)) {
                    Message::Event(event) => {
                        assert_eq!(event.details.get("topic").and_then(Value::as_str), Some(topic));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

//! The part of publishers and subscribers: who gets what, now or later.

use super::*;

/// What a publisher wants of one publication.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    exclude_me: bool,
    retain: bool,
    eligible: Option<Listed>,
    exclude: Option<Listed>,
}

/// Clients, as bits, and by what they are listed.
#[derive(Clone, Debug)]
struct Listed {
    by: &'static str,
    clients: u8,
}

impl Wish {
    /// From a source of numbers below a bound.
    pub(super) fn read(below: &mut impl FnMut(usize) -> Option<usize>) -> Option<Self> {
        let flags = below(16)?;
        let mut listed = |wanted: bool| {
            if !wanted {
                return Some(None);
            }
            let by = ["", "_authid", "_authrole"][below(3)?];
            Some(Some(Listed { by, clients: below(1 << CLIENTS)? as u8 }))
        };
        let (eligible, exclude) = (listed(flags & 4 != 0)?, listed(flags & 8 != 0)?);
        Some(Self { exclude_me: flags & 1 != 0, retain: flags & 2 != 0, eligible, exclude })
    }
}

pub(super) fn wish() -> impl Strategy<Value = Wish> {
    let listed = || {
        let by = prop_oneof![Just(""), Just("_authid"), Just("_authrole")];
        prop::option::weighted(0.3, (by, 0..1_u8 << CLIENTS).prop_map(|(by, clients)| Listed { by, clients }))
    };
    (any::<bool>(), prop::bool::weighted(0.4), listed(), listed())
        .prop_map(|(exclude_me, retain, eligible, exclude)| Wish { exclude_me, retain, eligible, exclude })
}

/// One publication, with its lists as they were then.
pub(super) struct Sent {
    publisher: u64,
    exclude_me: bool,
    eligible: Option<Vec<Value>>,
    exclude: Option<Vec<Value>>,
    mark: i64,
}

impl Sent {
    /// Whether the client's session may get it.
    fn reaches(&self, client: usize, session: u64) -> bool {
        let names = [session.into(), name(client).into(), role(client).into()];
        let is_in = |list: &Vec<Value>| names.iter().any(|name| list.contains(name));
        !(self.exclude_me && session == self.publisher)
            && self.eligible.as_ref().is_none_or(is_in)
            && !self.exclude.as_ref().is_some_and(is_in)
    }
}

impl Run {
    pub(super) fn subscribe(&mut self, client: usize, pattern: usize, get_retained: bool) {
        let (topic, kind) = PATTERNS[pattern];
        let request = self.world.request();
        let options = dict(&[("match", kind.name().into()), ("get_retained", get_retained.into())]);
        self.world.send(&name(client), Subscribe { request, options, topic: topic.into() });
        let Message::Subscribed(message) = self.world.receive(&name(client)) else { panic!("no SUBSCRIBED") };
        assert_eq!(message.request, request);
        let known = self.model.subscribers.entry(pattern).or_default();
        let is_created = known.is_empty();
        if !is_created {
            assert_eq!(self.model.ids[&pattern], message.subscription);
        }
        let is_added = known.insert(client);
        self.model.ids.insert(pattern, message.subscription);
        if get_retained {
            self.get_retained(client, pattern);
        }
        if is_created {
            self.told("wamp.subscription.on_create");
        }
        if is_added {
            self.told("wamp.subscription.on_subscribe");
        }
    }

    /// Of each topic, the last event that the client would have got.
    fn get_retained(&mut self, client: usize, pattern: usize) {
        let (text, kind) = PATTERNS[pattern];
        for (topic, all) in &self.model.retained {
            let session = self.model.sessions[client];
            let last = all.iter().rev().find(|sent| sent.reaches(client, session));
            let Some(sent) = last.filter(|_| kind.covers(text, TOPICS[*topic])) else { continue };
            let event = self.world.event(&name(client));
            assert_eq!(event.payload, Payload::of(sent.mark), "{}", TOPICS[*topic]);
            assert_eq!(
                (event.subscription, &event.details["retained"]),
                (self.model.ids[&pattern], &true.into())
            );
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

    pub(super) fn unsubscribed(&mut self, pattern: usize) {
        self.told("wamp.subscription.on_unsubscribe");
        if self.model.subscribers[&pattern].is_empty() {
            self.told("wamp.subscription.on_delete");
        }
    }

    /// The client has gone; what it subscribed to, in the order of their ids.
    pub(super) fn end_subscriptions(&mut self, client: usize) -> Vec<usize> {
        let mut ended: Vec<(SubscriptionId, usize)> = Vec::new();
        for (pattern, subscribers) in &mut self.model.subscribers {
            if subscribers.remove(&client) {
                ended.push((self.model.ids[pattern], *pattern));
            }
        }
        ended.sort();
        ended.into_iter().map(|(_, pattern)| pattern).collect()
    }

    pub(super) fn publish(&mut self, client: usize, topic: usize, wish: Wish) {
        let mark = self.next_mark();
        let mut options = dict(&[("exclude_me", wish.exclude_me.into()), ("retain", wish.retain.into())]);
        let mut list = |option: &str, listed: Option<Listed>| {
            let listed = listed?;
            let clients = (0..CLIENTS).filter(|client| listed.clients & (1 << client) != 0);
            let entry = |client: usize| match listed.by {
                "" => Value::from(self.model.sessions[client]),
                "_authid" => Value::from(name(client)),
                _ => Value::from(role(client)),
            };
            let list: Vec<Value> = clients.map(entry).collect();
            options.insert(format!("{option}{}", listed.by), Value::List(list.clone()));
            Some(list)
        };
        let (eligible, exclude) = (list("eligible", wish.eligible), list("exclude", wish.exclude));
        let (publisher, exclude_me) = (self.model.sessions[client], wish.exclude_me);
        self.world.publish(&name(client), TOPICS[topic], options, Payload::of(mark));
        let sent = Sent { publisher, exclude_me, eligible, exclude, mark };
        self.delivered(topic, &sent);
        if wish.retain {
            self.model.retained.entry(topic).or_default().push(sent);
        }
    }

    fn delivered(&mut self, topic: usize, sent: &Sent) {
        for receiver in 0..CLIENTS {
            let reached = sent.reaches(receiver, self.model.sessions[receiver]);
            let mut expected: Vec<SubscriptionId> = Vec::new();
            for (pattern, subscribers) in &self.model.subscribers {
                let (text, kind) = PATTERNS[*pattern];
                if subscribers.contains(&receiver) && kind.covers(text, TOPICS[topic]) && reached {
                    expected.push(self.model.ids[pattern]);
                }
            }
            let mut found: Vec<SubscriptionId> = Vec::new();
            for _ in &expected {
                let event = self.world.event(&name(receiver));
                assert_eq!(event.payload, Payload::of(sent.mark));
                found.push(event.subscription);
            }
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{receiver}");
        }
    }

    pub(super) fn leave(&mut self, client: usize, topic: usize, detached: bool) {
        let mark = self.next_mark();
        let scope = if detached { "detached" } else { "destroyed" };
        let args = vec![TOPICS[topic].into(), Value::List(vec![mark.into()])];
        let payload = Payload::new(args, dict(&[("scope", scope.into())]));
        self.world.call(&name(client), "wamp.session.add_testament", Dict::new(), payload);
        let testaments = &mut self.model.testaments[client];
        if testaments.iter().map(Vec::len).sum::<usize>() == MAX_TESTAMENTS {
            assert_eq!(self.world.error(&name(client)).error, "wamp.error.limit_exceeded");
        } else {
            self.world.result(&name(client));
            testaments[usize::from(!detached)].push((topic, mark));
        }
    }

    pub(super) fn flush(&mut self, client: usize, detached: bool) {
        let scope = if detached { "detached" } else { "destroyed" };
        let payload = Payload::new(vec![], dict(&[("scope", scope.into())]));
        self.world.call(&name(client), "wamp.session.flush_testaments", Dict::new(), payload);
        self.world.result(&name(client));
        self.model.testaments[client][usize::from(!detached)].clear();
    }

    /// What a client that has gone has left.
    pub(super) fn testaments(&mut self, client: usize) {
        for (topic, mark) in std::mem::take(&mut self.model.testaments[client]).into_iter().flatten() {
            let publisher = self.model.sessions[client];
            self.delivered(topic, &Sent { publisher, exclude_me: true, eligible: None, exclude: None, mark });
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

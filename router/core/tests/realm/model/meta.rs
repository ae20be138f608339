//! What the router itself tells, compared with what it did.

use super::*;

impl Run {
    pub(super) fn ask(&mut self, client: usize, topic: usize) {
        let mut ask = |procedure: &str, args: Vec<Value>| -> Value {
            self.world.call(&name(client), procedure, Dict::new(), Payload::new(args, Dict::new()));
            self.world.result(&name(client)).payload.args()[0].clone()
        };
        let numbers = |ids: &mut dyn Iterator<Item = u64>| {
            let mut ids: Vec<u64> = ids.collect();
            ids.sort_unstable();
            ids
        };
        let read = |list: &Value| numbers(&mut list.as_list().unwrap().iter().map(|id| id.as_u64().unwrap()));

        let sessions = numbers(&mut self.model.sessions.iter().copied());
        assert_eq!(read(&ask("wamp.session.list", vec![])), sessions);
        let even = Value::List(vec![ROLES[0].into()]);
        assert_eq!(ask("wamp.session.count", vec![even]), (CLIENTS.div_ceil(2) as u64).into());

        let live: BTreeMap<usize, SubscriptionId> = self
            .model
            .ids
            .iter()
            .filter(|(pattern, _)| !self.model.subscribers[pattern].is_empty())
            .map(|(pattern, id)| (*pattern, *id))
            .collect();
        let of = |wanted: &dyn Fn(&str, Match) -> bool| {
            let chosen =
                live.iter().filter(|(pattern, _)| wanted(PATTERNS[**pattern].0, PATTERNS[**pattern].1));
            numbers(&mut chosen.map(|(_, id)| id.get()))
        };
        let lists = ask("wamp.subscription.list", vec![]);
        for kind in [Match::Exact, Match::Prefix, Match::Wildcard] {
            let listed = read(&lists.as_map().unwrap()[kind.name()]);
            assert_eq!(listed, of(&|_, of_pattern| of_pattern == kind));
        }
        let matched = match ask("wamp.subscription.match", vec![TOPICS[topic].into()]) {
            Value::Null => Vec::new(),
            list => read(&list),
        };
        assert_eq!(matched, of(&|text, kind| kind.covers(text, TOPICS[topic])));
        for (pattern, id) in &live {
            let (text, kind) = PATTERNS[*pattern];
            let options = Value::Map(dict(&[("match", kind.name().into())]));
            assert_eq!(ask("wamp.subscription.lookup", vec![text.into(), options]), id.get().into());
            let subscribers =
                self.model.subscribers[pattern].iter().map(|client| self.model.sessions[*client]);
            let subscribers = numbers(&mut subscribers.into_iter());
            let id = || vec![id.get().into()];
            assert_eq!(read(&ask("wamp.subscription.list_subscribers", id())), subscribers);
            let count = ask("wamp.subscription.count_subscribers", id());
            assert_eq!(count, (subscribers.len() as u64).into());
        }
    }

    /// Clients here don't announce that they understand it: nobody but an observer is told.
    pub(super) fn revoke(&mut self, client: usize, pattern: usize, victim: usize) {
        let Some(id) = self.model.ids.get(&pattern).copied() else { return };
        let args = vec![id.get().into(), self.model.sessions[victim].into()];
        let procedure = "wamp.subscription.remove_subscriber";
        self.world.call(&name(client), procedure, Dict::new(), Payload::new(args, Dict::new()));
        let subscribers = self.model.subscribers.get_mut(&pattern).unwrap();
        let is_alive = !subscribers.is_empty();
        if subscribers.remove(&victim) {
            self.world.result(&name(client));
            self.unsubscribed(pattern);
        } else {
            let error = if is_alive { "no_such_session" } else { "no_such_subscription" };
            assert_eq!(self.world.error(&name(client)).error, format!("wamp.error.{error}"));
        }
    }
}

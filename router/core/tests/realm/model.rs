//! Random operations of a few clients, against a model that is too simple to be wrong.

mod pubsub;

use std::collections::{BTreeMap, BTreeSet};

use ecep_proto::id::{RegistrationId, RequestId, SubscriptionId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};
use proptest::prelude::*;

use crate::world::{World, dict};

const CLIENTS: usize = 4;
const TOPICS: [&str; 4] = ["a", "a.b", "a.c", "b.b.c"];
const PATTERNS: [(&str, Match); 7] = [
    ("a", Match::Exact),
    ("a.b", Match::Exact),
    ("a", Match::Prefix),
    ("", Match::Prefix),
    ("a.", Match::Wildcard),
    (".b", Match::Wildcard),
    ("..", Match::Wildcard),
];

#[derive(Clone, Debug)]
enum Operation {
    Subscribe {
        client: usize,
        pattern: usize,
    },
    Unsubscribe {
        client: usize,
        pattern: usize,
    },
    Publish {
        client: usize,
        topic: usize,
        exclude_me: bool,
    },
    Register {
        client: usize,
        procedure: usize,
    },
    Unregister {
        client: usize,
        procedure: usize,
    },
    Call {
        client: usize,
        procedure: usize,
    },
    /// Answers the oldest, or the newest, invocation that the client has not answered.
    Answer {
        client: usize,
        newest: bool,
        fail: bool,
    },
    /// The client goes, and comes back as another session.
    Reconnect {
        client: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = 0..CLIENTS;
    let topic = 0..TOPICS.len();
    let pattern = 0..PATTERNS.len();
    prop_oneof![
        4 => (client.clone(), pattern.clone()).prop_map(|(client, pattern)| Operation::Subscribe { client, pattern }),
        2 => (client.clone(), pattern).prop_map(|(client, pattern)| Operation::Unsubscribe { client, pattern }),
        4 => (client.clone(), topic.clone(), any::<bool>())
            .prop_map(|(client, topic, exclude_me)| Operation::Publish { client, topic, exclude_me }),
        3 => (client.clone(), topic.clone())
            .prop_map(|(client, procedure)| Operation::Register { client, procedure }),
        1 => (client.clone(), topic.clone())
            .prop_map(|(client, procedure)| Operation::Unregister { client, procedure }),
        5 => (client.clone(), topic).prop_map(|(client, procedure)| Operation::Call { client, procedure }),
        5 => (client.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(client, newest, fail)| Operation::Answer { client, newest, fail }),
        1 => client.prop_map(|client| Operation::Reconnect { client }),
    ]
}

/// A call that waits: whose it is, and what only it can be answered with.
#[derive(Clone, Debug)]
struct Waiting {
    caller: usize,
    request: RequestId,
    invocation: RequestId,
    mark: i64,
}

#[derive(Default)]
struct Model {
    subscribers: BTreeMap<usize, BTreeSet<usize>>,
    ids: BTreeMap<usize, SubscriptionId>,
    /// By procedure: the callee and its registration.
    callees: BTreeMap<usize, (usize, RegistrationId)>,
    waiting: Vec<Vec<Waiting>>,
}

struct Run {
    world: World,
    model: Model,
    mark: i64,
}

fn name(client: usize) -> String {
    format!("client{client}")
}

impl Run {
    fn new() -> Self {
        let mut world = World::new();
        for client in 0..CLIENTS {
            world.join(&name(client));
        }
        Self { world, model: Model { waiting: vec![Vec::new(); CLIENTS], ..Model::default() }, mark: 0 }
    }

    fn next_mark(&mut self) -> i64 {
        self.mark += 1;
        self.mark
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Subscribe { client, pattern } => self.subscribe(client, pattern),
            Operation::Unsubscribe { client, pattern } => self.unsubscribe(client, pattern),
            Operation::Publish { client, topic, exclude_me } => self.publish(client, topic, exclude_me),
            Operation::Register { client, procedure } => {
                let request = self.world.request();
                let procedure_uri = TOPICS[procedure].to_owned();
                self.world.send(
                    &name(client),
                    Register { request, options: Dict::new(), procedure: procedure_uri },
                );
                match self.world.receive(&name(client)) {
                    Message::Registered(message) => {
                        let registered = self.model.callees.insert(procedure, (client, message.registration));
                        assert_eq!(registered, None);
                        self.told("wamp.registration.on_create");
                        self.told("wamp.registration.on_register");
                    }
                    Message::Error(_) => assert!(self.model.callees.contains_key(&procedure)),
                    other => panic!("{other:?}"),
                }
            }
            Operation::Unregister { client, procedure } => self.unregister(client, procedure),
            Operation::Call { client, procedure } => self.call(client, procedure),
            Operation::Answer { client, newest, fail } => self.answer(client, newest, fail),
            Operation::Reconnect { client } => self.reconnect(client),
        }
        for client in 0..CLIENTS {
            self.world.nothing(&name(client));
        }
    }

    fn unregister(&mut self, client: usize, procedure: usize) {
        let Some((callee, registration)) = self.model.callees.get(&procedure).copied() else { return };
        let request = self.world.request();
        self.world.send(&name(client), Unregister { request, registration });
        match self.world.receive(&name(client)) {
            Message::Unregistered(_) => {
                assert_eq!(client, callee);
                self.model.callees.remove(&procedure);
                self.told("wamp.registration.on_unregister");
                self.told("wamp.registration.on_delete");
            }
            Message::Error(_) => assert_ne!(client, callee),
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, client: usize, procedure: usize) {
        let mark = self.next_mark();
        let request = self.world.call(&name(client), TOPICS[procedure], Dict::new(), Payload::of(mark));
        match self.model.callees.get(&procedure) {
            Some((callee, _)) => {
                let invocation = self.world.invocation(&name(*callee));
                assert_eq!(invocation.payload, Payload::of(mark));
                let waiting = Waiting { caller: client, request, invocation: invocation.request, mark };
                self.model.waiting[*callee].push(waiting);
            }
            None => {
                let error = self.world.error(&name(client));
                assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.no_such_procedure"));
            }
        }
    }

    fn answer(&mut self, client: usize, newest: bool, fail: bool) {
        let waiting = &mut self.model.waiting[client];
        if waiting.is_empty() {
            return;
        }
        let Waiting { caller, request, invocation, mark } =
            waiting.remove(if newest { waiting.len() - 1 } else { 0 });
        if fail {
            let error = Error {
                request_type: Invocation::CODE,
                request: invocation,
                details: Dict::new(),
                error: "com.failed".into(),
                payload: Payload::of(mark),
            };
            self.world.send(&name(client), error);
        } else {
            self.world.answer(&name(client), invocation, Payload::of(mark));
        }
        // A caller that has reconnected since is another session: the answer is not for it.
        if caller == usize::MAX {
            return;
        }
        let (answered, payload) = match self.world.receive(&name(caller)) {
            Message::CallResult(result) if !fail => (result.request, result.payload),
            Message::Error(error) if fail => (error.request, error.payload),
            other => panic!("{other:?}"),
        };
        assert_eq!((answered, payload.args()), (request, [Value::from(mark)].as_slice()));
    }

    fn reconnect(&mut self, client: usize) {
        self.world.lose(&name(client));
        let ended = std::mem::take(&mut self.model.waiting[client]);
        for call in ended.iter().filter(|call| call.caller != client && call.caller != usize::MAX) {
            let error = self.world.error(&name(call.caller));
            assert_eq!((error.request, error.error.as_str()), (call.request, "wamp.error.canceled"));
        }
        self.end_subscriptions(client);
        let before = self.model.callees.len();
        self.model.callees.retain(|_, (callee, _)| *callee != client);
        for _ in self.model.callees.len()..before {
            self.told("wamp.registration.on_unregister");
            self.told("wamp.registration.on_delete");
        }
        for call in self.model.waiting.iter_mut().flatten().filter(|call| call.caller == client) {
            call.caller = usize::MAX;
        }
        self.told("wamp.session.on_leave");
        self.world.join(&name(client));
        self.told("wamp.session.on_join");
    }
}

proptest! {
    /// Every event reaches exactly its subscribers, every call gets exactly one answer, and it is its own.
    #[test]
    fn agrees_with_the_model(operations in prop::collection::vec(operation(), 1..120)) {
        let mut run = Run::new();
        for operation in operations {
            run.apply(operation);
        }
        // In the end, whoever still waits gets its answer.
        for client in 0..CLIENTS {
            while !run.model.waiting[client].is_empty() {
                run.answer(client, false, false);
            }
        }
    }
}

//! Random operations of a few clients, against a model that is too simple to be wrong.

mod meta;
mod pubsub;

use std::collections::{BTreeMap, BTreeSet};

use ecep_proto::id::{RegistrationId, RequestId, SubscriptionId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::MAX_TESTAMENTS;
use ecep_router_core::permissions::Role;
use proptest::prelude::*;

use crate::world::{World, dict};
use pubsub::{Sent, Wish};

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
        get_retained: bool,
    },
    Unsubscribe {
        client: usize,
        pattern: usize,
    },
    Publish {
        client: usize,
        topic: usize,
        wish: Wish,
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
    /// The same, at another's request.
    Kill {
        client: usize,
        victim: usize,
    },
    /// Takes a subscription away from whoever has it.
    Revoke {
        client: usize,
        pattern: usize,
        victim: usize,
    },
    Leave {
        client: usize,
        topic: usize,
        detached: bool,
    },
    Flush {
        client: usize,
        detached: bool,
    },
    /// Asks for everything that the router itself can tell.
    Ask {
        client: usize,
        topic: usize,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let client = 0..CLIENTS;
    let topic = 0..TOPICS.len();
    let pattern = 0..PATTERNS.len();
    prop_oneof![
        4 => (client.clone(), pattern.clone(), any::<bool>())
            .prop_map(|(client, pattern, get_retained)| Operation::Subscribe { client, pattern, get_retained }),
        2 => (client.clone(), pattern.clone())
            .prop_map(|(client, pattern)| Operation::Unsubscribe { client, pattern }),
        6 => (client.clone(), topic.clone(), pubsub::wish())
            .prop_map(|(client, topic, wish)| Operation::Publish { client, topic, wish }),
        1 => (client.clone(), pattern, client.clone())
            .prop_map(|(client, pattern, victim)| Operation::Revoke { client, pattern, victim }),
        1 => (client.clone(), client.clone()).prop_map(|(client, victim)| Operation::Kill { client, victim }),
        2 => (client.clone(), topic.clone(), any::<bool>())
            .prop_map(|(client, topic, detached)| Operation::Leave { client, topic, detached }),
        1 => (client.clone(), any::<bool>()).prop_map(|(client, detached)| Operation::Flush { client, detached }),
        1 => (client.clone(), topic.clone()).prop_map(|(client, topic)| Operation::Ask { client, topic }),
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
    /// By client: the id of its session.
    sessions: Vec<u64>,
    /// By topic: everything that was ever retained, the oldest first.
    retained: BTreeMap<usize, Vec<Sent>>,
    /// By client, first what is published first: topics and marks.
    testaments: Vec<[Vec<(usize, i64)>; 2]>,
    /// By procedure: the callee and its registration.
    callees: BTreeMap<usize, (usize, RegistrationId)>,
    waiting: Vec<Vec<Waiting>>,
}

struct Run {
    world: World,
    model: Model,
    mark: i64,
}

const ROLES: [&str; 2] = ["even", "odd"];

fn role(client: usize) -> &'static str {
    ROLES[client % 2]
}

fn name(client: usize) -> String {
    format!("client{client}")
}

impl Run {
    fn new() -> Self {
        let mut world = World::with_roles(ROLES.map(Role::unrestricted).to_vec());
        let join = |client| world.join_as(&name(client), &name(client), role(client));
        let sessions = (0..CLIENTS).map(join).collect();
        let waiting = vec![Vec::new(); CLIENTS];
        let testaments = vec![Default::default(); CLIENTS];
        Self { world, model: Model { waiting, sessions, testaments, ..Model::default() }, mark: 0 }
    }

    fn all(mut self, operations: impl IntoIterator<Item = Operation>) {
        for operation in operations {
            self.apply(operation);
        }
        // In the end, whoever still waits gets its answer.
        for client in 0..CLIENTS {
            while !self.model.waiting[client].is_empty() {
                self.answer(client, false, false);
            }
        }
    }

    fn next_mark(&mut self) -> i64 {
        self.mark += 1;
        self.mark
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Subscribe { client, pattern, get_retained } => {
                self.subscribe(client, pattern, get_retained);
            }
            Operation::Unsubscribe { client, pattern } => self.unsubscribe(client, pattern),
            Operation::Publish { client, topic, wish } => self.publish(client, topic, wish),
            Operation::Revoke { client, pattern, victim } => self.revoke(client, pattern, victim),
            Operation::Leave { client, topic, detached } => self.leave(client, topic, detached),
            Operation::Flush { client, detached } => self.flush(client, detached),
            Operation::Ask { client, topic } => self.ask(client, topic),
            Operation::Kill { client, victim } => self.kill(client, victim),
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
        self.ended(client, None);
        self.join_again(client);
    }

    fn kill(&mut self, client: usize, victim: usize) {
        let session = Payload::of(self.model.sessions[victim]);
        self.world.call(&name(client), "wamp.session.kill", Dict::new(), session);
        if client == victim {
            assert_eq!(self.world.error(&name(client)).error, "wamp.error.no_such_session");
            return;
        }
        assert!(matches!(self.world.receive(&name(victim)), Message::Goodbye(_)));
        self.ended(victim, Some(client));
        self.world.lose(&name(victim));
        self.join_again(victim);
    }

    fn join_again(&mut self, client: usize) {
        self.model.sessions[client] = self.world.join_as(&name(client), &name(client), role(client));
        self.told("wamp.session.on_join");
    }

    /// What the others hear when a client's session has ended; if another wanted it, that one is answered.
    fn ended(&mut self, client: usize, killer: Option<usize>) {
        let ended = std::mem::take(&mut self.model.waiting[client]);
        for call in ended.iter().filter(|call| call.caller != client && call.caller != usize::MAX) {
            let error = self.world.error(&name(call.caller));
            assert_eq!((error.request, error.error.as_str()), (call.request, "wamp.error.canceled"));
        }
        let left = self.end_subscriptions(client);
        self.testaments(client);
        if let Some(killer) = killer {
            self.world.result(&name(killer));
        }
        for pattern in left {
            self.unsubscribed(pattern);
        }
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
    }
}

/// Bytes as operations, for a fuzzer.
pub fn run_bytes(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    Run::new().all(std::iter::from_fn(|| read(&mut bytes)));
}

fn read(bytes: &mut impl Iterator<Item = u8>) -> Option<Operation> {
    let kind = bytes.next()? % 14;
    let mut below = |bound: usize| Some(usize::from(bytes.next()?) % bound);
    let client = below(CLIENTS)?;
    Some(match kind {
        0 => Operation::Subscribe { client, pattern: below(PATTERNS.len())?, get_retained: below(2)? == 0 },
        1 => Operation::Unsubscribe { client, pattern: below(PATTERNS.len())? },
        2 | 3 => Operation::Publish { client, topic: below(TOPICS.len())?, wish: Wish::read(&mut below)? },
        4 => Operation::Register { client, procedure: below(TOPICS.len())? },
        5 => Operation::Unregister { client, procedure: below(TOPICS.len())? },
        6 => Operation::Call { client, procedure: below(TOPICS.len())? },
        7 => Operation::Answer { client, newest: below(2)? == 0, fail: below(2)? == 0 },
        8 => Operation::Reconnect { client },
        9 => Operation::Kill { client, victim: below(CLIENTS)? },
        10 => Operation::Revoke { client, pattern: below(PATTERNS.len())?, victim: below(CLIENTS)? },
        11 => Operation::Leave { client, topic: below(TOPICS.len())?, detached: below(2)? == 0 },
        12 => Operation::Flush { client, detached: below(2)? == 0 },
        _ => Operation::Ask { client, topic: below(TOPICS.len())? },
    })
}

/// What the fuzzer runs works without it, too.
#[test]
fn bytes_are_operations() {
    crate::histories::run_each(run_bytes);
}

proptest! {
    /// Every event reaches exactly its subscribers, every call gets exactly one answer, and it is its own.
    #[test]
    fn agrees_with_the_model(operations in prop::collection::vec(operation(), 1..120)) {
        Run::new().all(operations);
    }
}

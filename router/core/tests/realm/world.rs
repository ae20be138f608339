//! A realm with named clients and a clock that only the test moves.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ecep_proto::id::{RegistrationId, RequestId, SubscriptionId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Strictness;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::Role;
use ecep_router_core::{
    Identity, Input, Limits, Output, Realm, RealmConfig, RetainedUse, SessionKey, WallClock,
};

/// The role of clients that a test has no rules for.
pub const FREE: &str = "free";

pub struct World {
    realm: Realm,
    now: Instant,
    keys: BTreeMap<String, SessionKey>,
    inboxes: Vec<VecDeque<Message>>,
    closed: Vec<bool>,
    next_request: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with_roles(vec![Role::unrestricted(FREE)])
    }

    pub fn with_roles(roles: Vec<Role>) -> Self {
        Self::with_config(RealmConfig {
            name: "test.realm".into(),
            roles,
            strictness: Strictness::Loose,
            strict_requests: false,
            limits: Limits::default(),
        })
    }

    pub fn with_config(config: RealmConfig) -> Self {
        let now = Instant::now();
        let clock = WallClock { instant: now, since_epoch: Duration::ZERO };
        Self {
            realm: Realm::new(config, 7, clock),
            now,
            keys: BTreeMap::new(),
            inboxes: Vec::new(),
            closed: Vec::new(),
            next_request: 0,
        }
    }

    /// A client joins and takes its WELCOME.
    pub fn join(&mut self, name: &str) -> u64 {
        self.join_as(name, name, FREE)
    }

    pub fn join_as(&mut self, name: &str, authid: &str, authrole: &str) -> u64 {
        self.join_with(name, authid, authrole, Features::default())
    }

    /// A client joins that has announced these features.
    pub fn join_able(&mut self, name: &str, features: &[Feature]) -> u64 {
        let features = features.iter().fold(Features::default(), |set, feature| set.with(*feature));
        self.join_with(name, name, FREE, features)
    }

    /// A client joins that has announced what it can do.
    pub fn join_with(&mut self, name: &str, authid: &str, authrole: &str, features: Features) -> u64 {
        let key = SessionKey(self.inboxes.len());
        self.inboxes.push(VecDeque::new());
        self.closed.push(false);
        self.keys.insert(name.to_owned(), key);
        let identity = Identity {
            authid: authid.into(),
            authrole: authrole.into(),
            authmethod: "ticket".into(),
            authprovider: "static".into(),
        };
        self.input(Input::Join { session: key, identity, features });
        match self.receive(name) {
            Message::Welcome(welcome) => welcome.session.get(),
            other => panic!("{name} got {other:?} instead of WELCOME"),
        }
    }

    /// Like `join`, for a client that may not be let in.
    pub fn try_join(&mut self, name: &str, authrole: &str) -> Message {
        let key = SessionKey(self.inboxes.len());
        self.inboxes.push(VecDeque::new());
        self.closed.push(false);
        self.keys.insert(name.to_owned(), key);
        let identity = Identity {
            authid: name.into(),
            authrole: authrole.into(),
            authmethod: "ticket".into(),
            authprovider: "static".into(),
        };
        self.input(Input::Join { session: key, identity, features: Features::default() });
        self.receive(name)
    }

    pub fn key(&self, name: &str) -> SessionKey {
        self.keys[name]
    }

    pub fn input(&mut self, input: Input) {
        self.realm.handle(self.now, input);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.realm.poll_output() {
            match output {
                Output::Send { to, message } => self.deliver(to, message),
                Output::Broadcast { to, except, message } => {
                    for to in to.iter().filter(|to| Some(**to) != except) {
                        self.deliver(*to, message.clone());
                    }
                }
                Output::Close { session } => self.closed[session.0] = true,
            }
        }
        self.realm.check();
    }

    fn deliver(&mut self, to: SessionKey, message: Message) {
        assert!(!self.closed[to.0], "{message:?} for a session that was closed");
        self.inboxes[to.0].push_back(message);
    }

    pub fn send(&mut self, from: &str, message: impl Into<Message>) {
        self.input(Input::Received { session: self.keys[from], message: message.into() });
    }

    /// The next message that the client got.
    #[track_caller]
    pub fn receive(&mut self, name: &str) -> Message {
        let inbox = &mut self.inboxes[self.keys[name].0];
        inbox.pop_front().unwrap_or_else(|| panic!("{name} got nothing"))
    }

    #[track_caller]
    pub fn nothing(&mut self, name: &str) {
        let inbox = &self.inboxes[self.keys[name].0];
        assert!(inbox.is_empty(), "{name} got {inbox:?}");
    }

    pub fn has_mail(&self, name: &str) -> bool {
        !self.inboxes[self.keys[name].0].is_empty()
    }

    pub fn is_closed(&self, name: &str) -> bool {
        self.closed[self.keys[name].0]
    }

    /// The connection is gone.
    pub fn lose(&mut self, name: &str) {
        self.input(Input::Lost { session: self.keys[name] });
    }

    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        while self.realm.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.realm.handle_timeout(self.now);
            self.collect();
        }
    }

    pub fn has_timeout(&self) -> bool {
        self.realm.poll_timeout().is_some()
    }

    pub fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId::new(self.next_request).unwrap()
    }

    #[track_caller]
    pub fn subscribe(&mut self, name: &str, topic: &str, matching: &str) -> SubscriptionId {
        let request = self.request();
        let options = dict(&[("match", matching.into())]);
        self.send(name, Subscribe { request, options, topic: topic.into() });
        match self.receive(name) {
            Message::Subscribed(message) if message.request == request => message.subscription,
            other => panic!("{name} got {other:?} instead of SUBSCRIBED"),
        }
    }

    #[track_caller]
    pub fn register(&mut self, name: &str, procedure: &str) -> RegistrationId {
        self.register_with(name, procedure, Dict::new())
    }

    #[track_caller]
    pub fn register_with(&mut self, name: &str, procedure: &str, options: Dict) -> RegistrationId {
        let request = self.request();
        self.send(name, Register { request, options, procedure: procedure.into() });
        match self.receive(name) {
            Message::Registered(message) if message.request == request => message.registration,
            other => panic!("{name} got {other:?} instead of REGISTERED"),
        }
    }

    pub fn publish(&mut self, name: &str, topic: &str, options: Dict, payload: Payload) -> RequestId {
        let request = self.request();
        self.send(name, Publish { request, options, topic: topic.into(), payload });
        request
    }

    pub fn call(&mut self, name: &str, procedure: &str, options: Dict, payload: Payload) -> RequestId {
        let request = self.request();
        self.send(name, Call { request, options, procedure: procedure.into(), payload });
        request
    }

    pub fn answer(&mut self, name: &str, request: RequestId, payload: Payload) {
        self.send(name, Yield { request, options: Dict::new(), payload });
    }

    /// Answers an INVOCATION by an ERROR of this URI.
    pub fn fail(&mut self, name: &str, request: RequestId, error: &str, payload: Payload) {
        let (request_type, details) = (Invocation::CODE, Dict::new());
        self.send(name, Error { request_type, request, details, error: error.into(), payload });
    }

    #[track_caller]
    pub fn event(&mut self, name: &str) -> Event {
        match self.receive(name) {
            Message::Event(event) => event,
            other => panic!("{name} got {other:?} instead of EVENT"),
        }
    }

    /// What the client has got and not taken.
    pub fn take(&mut self, name: &str) -> Vec<Message> {
        std::mem::take(&mut self.inboxes[self.keys[name].0]).into()
    }

    /// The same, if it is events only.
    #[track_caller]
    pub fn events(&mut self, name: &str) -> Vec<Event> {
        let event = |message| match message {
            Message::Event(event) => event,
            other => panic!("{name} got {other:?} instead of EVENT"),
        };
        self.take(name).into_iter().map(event).collect()
    }

    pub fn retained(&self) -> RetainedUse {
        self.realm.retained()
    }

    #[track_caller]
    pub fn invocation(&mut self, name: &str) -> Invocation {
        match self.receive(name) {
            Message::Invocation(invocation) => invocation,
            other => panic!("{name} got {other:?} instead of INVOCATION"),
        }
    }

    #[track_caller]
    pub fn interrupt(&mut self, name: &str) -> Interrupt {
        match self.receive(name) {
            Message::Interrupt(interrupt) => interrupt,
            other => panic!("{name} got {other:?} instead of INTERRUPT"),
        }
    }

    /// The call was refused, or ended by the router or its callee; the error's URI.
    #[track_caller]
    pub fn failed(&mut self, name: &str, request: RequestId) -> String {
        let error = self.error(name);
        assert_eq!((error.request_type, error.request), (Call::CODE, request));
        error.error
    }

    #[track_caller]
    pub fn result(&mut self, name: &str) -> CallResult {
        match self.receive(name) {
            Message::CallResult(result) => result,
            other => panic!("{name} got {other:?} instead of RESULT"),
        }
    }

    #[track_caller]
    pub fn error(&mut self, name: &str) -> Error {
        match self.receive(name) {
            Message::Error(error) => error,
            other => panic!("{name} got {other:?} instead of ERROR"),
        }
    }

    /// The session was ended for breaking the protocol; the sentence it was told.
    #[track_caller]
    pub fn violation(&mut self, name: &str) -> String {
        let message = match self.receive(name) {
            Message::Abort(abort) if abort.reason == "wamp.error.protocol_violation" => abort,
            other => panic!("{name} got {other:?} instead of ABORT"),
        };
        assert!(self.is_closed(name));
        message.details["message"].as_str().unwrap().to_owned()
    }
}

pub fn dict(entries: &[(&str, Value)]) -> Dict {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

pub fn text(payload: &Payload) -> &str {
    payload.args()[0].as_str().unwrap()
}

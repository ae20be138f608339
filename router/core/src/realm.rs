//! A realm: which message is legal, and who handles it.
//!
//! Owns the sessions and the queue of outputs; broker and dealer work on both through [`Context`].

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use ecep_proto::error::{
    CLOSE_GOODBYE_AND_OUT, CLOSE_KILLED, CLOSE_SYSTEM_SHUTDOWN, NO_SUCH_ROLE, NO_SUCH_SESSION,
    NOT_AUTHORIZED, PAYLOAD_SIZE_EXCEEDED, PROTOCOL_VIOLATION,
};
use ecep_proto::id::{RequestId, SessionId};
use ecep_proto::message::{Error, Goodbye, Message, Welcome};
use ecep_proto::meta::RESERVED_PREFIX;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Strictness};
use ecep_proto::value::{Dict, Value};

use crate::broker::{Broker, RetainedUse};
use crate::clock::WallClock;
use crate::dealer::{ANSWER_TOO_LARGE, Dealer};
use crate::features::Features;
use crate::greeting::abort;
use crate::ids::GlobalIds;
use crate::interface::{Input, Output};
use crate::limits::Limits;
use crate::options::Failure;
use crate::permissions::{Action, Grants, Role, SharedRole};
use crate::profile::{self, Profile};
use crate::session::{Identity, Session, SessionKey, Sessions};
use crate::{meta, welcome};

/// What a realm is made from.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    /// The realm's URI.
    pub name: String,
    /// The roles that a session can have in it.
    pub roles: Vec<Role>,
    /// How URIs are checked.
    pub strictness: Strictness,
    /// The ids of a session's requests must be 1, 2, 3 and so on; otherwise they can come in any order. Not for a realm
    /// with clients like `wamp_async`, which draw them at random.
    pub strict_requests: bool,
    /// What one session may have at once.
    pub limits: Limits,
}

/// One realm.
#[derive(Debug)]
pub struct Realm {
    pub(crate) config: RealmConfig,
    /// By name.
    pub(crate) roles: HashMap<String, Arc<SharedRole>>,
    pub(crate) sessions: Sessions,
    pub(crate) broker: Broker,
    pub(crate) dealer: Dealer,
    pub(crate) clock: WallClock,
    ids: GlobalIds,
    outputs: VecDeque<Output>,
    /// Meta events that wait until the input is handled.
    news: Vec<News>,
}

/// A meta event: the router itself publishes it.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) topic: &'static str,
    pub(crate) payload: Payload,
}

/// Why the router ends a session.
#[derive(Debug)]
pub(crate) struct Farewell {
    /// A URI.
    pub(crate) reason: String,
    /// A sentence for people.
    pub(crate) message: Option<String>,
}

impl Farewell {
    fn goodbye(&self) -> Goodbye {
        let message = self.message.iter().map(|text| ("message".to_owned(), Value::from(text.as_str())));
        Goodbye { details: message.collect(), reason: self.reason.clone() }
    }
}

/// What broker and dealer work with while they handle one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) sessions: &'a mut Sessions,
    pub(crate) ids: &'a mut GlobalIds,
    pub(crate) strictness: Strictness,
    pub(crate) clock: WallClock,
    pub(crate) limits: Limits,
    outputs: &'a mut VecDeque<Output>,
    news: &'a mut Vec<News>,
}

impl Context<'_> {
    pub(crate) fn send(&mut self, to: SessionKey, message: impl Into<Message>) {
        self.outputs.push_back(Output::Send { to, message: message.into() });
    }

    pub(crate) fn broadcast(
        &mut self,
        to: Arc<[SessionKey]>,
        except: Option<SessionKey>,
        message: impl Into<Message>,
    ) {
        self.outputs.push_back(Output::Broadcast { to, except, message: message.into() });
    }

    /// Publishes a meta event once the input is handled.
    pub(crate) fn announce(&mut self, topic: &'static str, payload: Payload) {
        self.news.push(News { topic, payload });
    }

    pub(crate) fn send_error(
        &mut self,
        to: SessionKey,
        request_type: u64,
        request: RequestId,
        error: String,
        payload: Payload,
    ) {
        self.send_error_message(to, Error { request_type, request, details: Dict::new(), error, payload });
    }

    pub(crate) fn send_error_message(&mut self, to: SessionKey, mut message: Error) {
        if self.sessions.get(to).is_some_and(|session| session.profile == Profile::WampAsync) {
            profile::repeat_in_details(&mut message);
        }
        self.send(to, message);
    }

    /// The session of a client that is there; who has gone asks for nothing.
    pub(crate) fn session(&self, key: SessionKey) -> Result<&Session, Failure> {
        let gone = || Failure::refused(NO_SUCH_SESSION, "the session has gone");
        self.sessions.get(key).ok_or_else(gone)
    }

    pub(crate) fn permit(
        &self,
        from: SessionKey,
        action: Action,
        kind: Match,
        uri: &str,
    ) -> Result<(), Failure> {
        let Some(session) = self.sessions.get(from) else { return Ok(()) };
        if session.may(action, kind, uri) {
            return Ok(());
        }
        let Identity { authid, authrole, .. } = &session.identity;
        let message = format!("{authid} as {authrole} may not {} {uri}", action.name());
        Err(Failure::refused(NOT_AUTHORIZED, message))
    }
}

impl Realm {
    /// An empty realm. Session and publication ids are drawn from the seed.
    pub fn new(config: RealmConfig, seed: u64, clock: WallClock) -> Self {
        Self {
            roles: shared(&config.roles),
            config,
            sessions: Sessions::default(),
            broker: Broker::default(),
            dealer: Dealer::default(),
            clock,
            ids: GlobalIds::new(seed),
            outputs: VecDeque::new(),
            news: Vec::new(),
        }
    }

    /// How many sessions have joined.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many calls wait for their answer.
    pub fn pending_calls(&self) -> usize {
        self.dealer.pending()
    }

    /// How much is retained for whoever subscribes later.
    pub fn retained(&self) -> RetainedUse {
        self.broker.retained()
    }

    /// The sessions of this authid.
    pub fn sessions_of(&self, authid: &str) -> Vec<SessionKey> {
        let of_authid = self.sessions.iter().filter(|(_, session)| session.identity.authid == authid);
        of_authid.map(|(key, _)| key).collect()
    }

    /// Panics if the realm's tables do not agree with each other: for tests, after each input.
    pub fn check(&self) {
        self.dealer.check();
    }

    /// Takes what happened. Messages of sessions that have left are ignored.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.take(now, input);
        self.publish_news(now);
    }

    fn take(&mut self, now: Instant, input: Input) {
        match input {
            Input::Join { session, identity, features } => self.join(session, identity, features),
            Input::Received { session, message } => self.received(now, session, message),
            Input::Malformed { session, reason } => self.violation(now, session, &reason),
            Input::TooLarge { session, message } => self.too_large(now, session, message),
            Input::Stalled { callee, invocation } => {
                let (_, dealer, mut cx) = self.parts(now);
                dealer.stalled(&mut cx, callee, invocation);
            }
            Input::Expel { session, reason } => self.expel(now, session, &reason),
            Input::Reconfigure { config, moved } => self.reconfigure(now, config, moved),
            Input::Lost { session } => self.forget(now, session),
            Input::Shutdown => self.shutdown(),
        }
    }

    /// The next thing to do, in the order in which it must be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Realm::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.dealer.next_deadline()
    }

    /// Ends what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (_, dealer, mut cx) = self.parts(now);
        dealer.end_overdue(&mut cx);
        self.publish_news(now);
    }

    fn publish_news(&mut self, now: Instant) {
        for News { topic, payload } in std::mem::take(&mut self.news) {
            let (broker, _, mut cx) = self.parts(now);
            broker.publish_meta(&mut cx, topic, payload);
        }
    }

    pub(crate) fn parts(&mut self, now: Instant) -> (&mut Broker, &mut Dealer, Context<'_>) {
        let cx = Context {
            now,
            sessions: &mut self.sessions,
            ids: &mut self.ids,
            strictness: self.config.strictness,
            clock: self.clock,
            limits: self.config.limits,
            outputs: &mut self.outputs,
            news: &mut self.news,
        };
        (&mut self.broker, &mut self.dealer, cx)
    }

    fn send(&mut self, to: SessionKey, message: impl Into<Message>) {
        self.outputs.push_back(Output::Send { to, message: message.into() });
    }

    fn join(&mut self, key: SessionKey, identity: Identity, features: Features) {
        let Some(role) = self.roles.get(&identity.authrole).cloned() else {
            let text = format!("realm {} has no role {:?}", self.config.name, identity.authrole);
            self.send(key, abort(NO_SUCH_ROLE, &text));
            self.outputs.push_back(Output::Close { session: key });
            return;
        };
        let session = Session {
            id: self.ids.session(),
            profile: role.profile,
            grants: Grants::new(role, &identity.authid),
            features,
            identity,
            next_invocation: RequestId::FIRST,
            next_request: RequestId::FIRST,
            testaments: None,
        };
        self.news.push(meta::sessions::joined(&session));
        let welcome =
            Welcome { session: session.id, details: welcome::details(&self.config.name, &session.identity) };
        self.sessions.insert(key, session);
        self.send(key, welcome);
    }

    fn received(&mut self, now: Instant, from: SessionKey, message: Message) {
        if self.sessions.get(from).is_none() {
            return;
        }
        let (code, request) = (message.code(), request_of(&message));
        if self.config.strict_requests
            && let Err(reason) = self.check_order(from, &message, request)
        {
            self.violation(now, from, &reason);
            return;
        }
        let (broker, dealer, mut cx) = self.parts(now);
        let done = match message {
            Message::Publish(message) => broker.publish(&mut cx, from, message),
            Message::Subscribe(message) => broker.subscribe(&mut cx, from, message),
            Message::Unsubscribe(message) => broker.unsubscribe(&mut cx, from, &message),
            Message::Call(message) if message.procedure.starts_with(RESERVED_PREFIX) => {
                meta::call(self, now, from, message)
            }
            Message::Call(message) => dealer.call(&mut cx, from, message),
            Message::Register(message) => dealer.register(&mut cx, from, message),
            Message::Unregister(message) => dealer.unregister(&mut cx, from, &message),
            Message::Yield(message) => dealer.result(&mut cx, from, message),
            Message::Error(message) => dealer.error(&mut cx, from, message),
            Message::Cancel(message) => dealer.cancel(&mut cx, from, &message),
            Message::Goodbye(_) => {
                cx.send(from, Goodbye { details: Dict::new(), reason: CLOSE_GOODBYE_AND_OUT.to_owned() });
                self.close(now, from);
                return;
            }
            Message::Abort(_) => {
                self.close(now, from);
                return;
            }
            other => Err(Failure::Violation(match other {
                Message::Hello(_) => "HELLO in a session that has joined already".to_owned(),
                other => format!("a client can't send {} in a session that has joined", other.name()),
            })),
        };
        match (done, request) {
            (Ok(()), _) => {}
            (Err(Failure::Refused { error, message }), Some(request)) => {
                let (_, _, mut cx) = self.parts(now);
                cx.send_error(from, code, request, error.to_owned(), Payload::of(message));
            }
            (Err(Failure::Refused { message, .. } | Failure::Violation(message)), _) => {
                self.violation(now, from, &message);
            }
        }
    }

    /// Whether the request is the one that follows the last, or what was still to come of an earlier one.
    fn check_order(
        &mut self,
        from: SessionKey,
        message: &Message,
        request: Option<RequestId>,
    ) -> Result<(), String> {
        let (Some(request), Some(session)) = (request, self.sessions.get_mut(from)) else { return Ok(()) };
        let expected = session.next_request;
        if request == expected {
            session.next_request = expected.next();
            return Ok(());
        }
        if matches!(message, Message::Call(_)) && self.dealer.continues(from, request) {
            return Ok(());
        }
        Err(format!("request {request} is out of sequence: {expected} is next"))
    }

    /// "A Peer that breaks the protocol is sent ABORT, and its session is over."
    fn violation(&mut self, now: Instant, session: SessionKey, reason: &str) {
        if self.sessions.get(session).is_some() {
            self.send(session, abort(PROTOCOL_VIOLATION, reason));
            self.close(now, session);
        }
    }

    pub(crate) fn expel(&mut self, now: Instant, session: SessionKey, message: &str) {
        if self.sessions.get(session).is_some() {
            let farewell = Farewell { reason: CLOSE_KILLED.to_owned(), message: Some(message.to_owned()) };
            self.end(now, session, &farewell);
        }
    }

    /// Says good-bye to a session that is there.
    pub(crate) fn end(&mut self, now: Instant, session: SessionKey, farewell: &Farewell) {
        self.send(session, farewell.goodbye());
        self.close(now, session);
    }

    /// The same where nobody is to hear of it: everybody else goes too.
    pub(crate) fn end_silently(&mut self, now: Instant, session: SessionKey, farewell: &Farewell) {
        self.send(session, farewell.goodbye());
        self.outputs.push_back(Output::Close { session });
        if let Some(gone) = self.sessions.remove(session) {
            self.release(now, session, gone.id);
        }
    }

    /// Whoever waits for what can't be delivered is told; if it is the receiver itself, it is told too. It has done
    /// nothing wrong, so it goes on: an EVENT is not for it, and only what it can't do without ends its session.
    fn too_large(&mut self, now: Instant, session: SessionKey, message: Message) {
        let (_, dealer, mut cx) = self.parts(now);
        match message {
            Message::Event(_) => {}
            Message::Invocation(message) => dealer.too_large_call(&mut cx, session, message.request),
            Message::CallResult(message) => dealer.too_large_result(&mut cx, session, message.request),
            Message::Error(message) if !is_too_large(&message) => {
                let error = PAYLOAD_SIZE_EXCEEDED.to_owned();
                let payload = Payload::of(ANSWER_TOO_LARGE);
                cx.send_error(session, message.request_type, message.request, error, payload);
            }
            other => {
                let reason = format!("{} is larger than this session takes", other.name());
                self.expel(now, session, &reason);
            }
        }
    }

    fn close(&mut self, now: Instant, session: SessionKey) {
        self.outputs.push_back(Output::Close { session });
        self.forget(now, session);
    }

    fn forget(&mut self, now: Instant, session: SessionKey) {
        if let Some(mut gone) = self.sessions.remove(session) {
            self.release(now, session, gone.id);
            if let Some(testaments) = gone.testaments.take() {
                let (broker, _, mut cx) = self.parts(now);
                for testament in testaments.into_all() {
                    broker.publish_testament(&mut cx, session, &gone, testament);
                }
            }
            self.news.push(meta::sessions::left(&gone));
        }
    }

    /// Drops what a session that has gone had.
    fn release(&mut self, now: Instant, session: SessionKey, id: SessionId) {
        let (broker, dealer, mut cx) = self.parts(now);
        broker.forget(&mut cx, session, id);
        dealer.forget(&mut cx, session);
    }

    fn shutdown(&mut self) {
        let keys: Vec<SessionKey> = self.sessions.iter().map(|(key, _)| key).collect();
        let message = Some("the router shuts down".to_owned());
        let farewell = Farewell { reason: CLOSE_SYSTEM_SHUTDOWN.to_owned(), message };
        for session in keys {
            self.send(session, farewell.goodbye());
            self.outputs.push_back(Output::Close { session });
            self.sessions.remove(session);
        }
        self.broker = Broker::default();
        self.dealer = Dealer::default();
    }
}

/// The roles as their sessions share them, by name.
pub(crate) fn shared(roles: &[Role]) -> HashMap<String, Arc<SharedRole>> {
    roles.iter().map(|role| (role.name.clone(), Arc::new(SharedRole::from(role)))).collect()
}

/// Whether this is what stands for an ERROR that was too large: nothing smaller can. A callee may use the same URI.
fn is_too_large(message: &Error) -> bool {
    message.error == PAYLOAD_SIZE_EXCEEDED && message.payload == Payload::of(ANSWER_TOO_LARGE)
}

/// The id that an ERROR must name.
fn request_of(message: &Message) -> Option<RequestId> {
    match message {
        Message::Publish(message) => Some(message.request),
        Message::Subscribe(message) => Some(message.request),
        Message::Unsubscribe(message) => Some(message.request),
        Message::Call(message) => Some(message.request),
        Message::Register(message) => Some(message.request),
        Message::Unregister(message) => Some(message.request),
        _ => None,
    }
}

//! The messages of WAMP (specification, "Messages"): one struct each, and how they are laid out as lists.
//!
//! Owns the order and type of a message's elements. Options and details stay dictionaries, and URIs stay text:
//! what they may say is judged by whoever acts on the message, who can answer with an ERROR instead of ending
//! the session. Must not know serializers.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::error::DecodeError;
use crate::id::{MAX_ID, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use crate::payload::Payload;
use crate::value::{Dict, Value};

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($code:literal, $text:literal) { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            impl $name {
                /// The number that the message begins with.
                pub const CODE: u64 = $code;
            }

            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )*

        /// Any message.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message { $($(#[$doc])* $name($name),)* }

        impl Message {
            /// The number that the message begins with.
            pub const fn code(&self) -> u64 {
                match self { $(Self::$name(_) => $code,)* }
            }

            /// The name in the specification.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            /// The message that this value is.
            ///
            /// # Errors
            /// Says which element is missing, wrong or too much.
            pub fn from_value(value: Value) -> Result<Self, DecodeError> {
                let Value::List(list) = value else { return Err(DecodeError::NotAMessage) };
                let mut elements = list.into_iter();
                let code = elements.next().and_then(|code| code.as_u64()).ok_or(DecodeError::NotAMessage)?;
                match code {
                    $($code => {
                        let mut elements = Elements { message: $text, rest: elements };
                        let message = $name { $($field: Element::take(&mut elements, stringify!($field))?,)* };
                        elements.end()?;
                        Ok(Self::$name(message))
                    })*
                    unknown => Err(DecodeError::UnknownType(unknown)),
                }
            }
        }

        impl Serialize for Message {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {$(
                    Self::$name(message) => {
                        let count = 1 $(+ message.$field.count())*;
                        let mut seq = serializer.serialize_seq(Some(count))?;
                        seq.serialize_element(&$name::CODE)?;
                        $(message.$field.write(&mut seq)?;)*
                        seq.end()
                    }
                )*}
            }
        }
    };
}

messages! {
    /// A client asks to join a realm.
    Hello(1, "HELLO") {
        /// The realm's URI.
        realm: String,
        /// `roles`, `authmethods`, `authid` and more.
        details: Dict,
    }
    /// The router has let the client in.
    Welcome(2, "WELCOME") {
        /// The session's id.
        session: SessionId,
        /// `roles` of the router with their features; who the client is.
        details: Dict,
    }
    /// The sender ends a session that is not open yet, or one whose peer broke the protocol.
    Abort(3, "ABORT") {
        /// `message`: a sentence for people.
        details: Dict,
        /// An error URI.
        reason: String,
        /// What went wrong, for programs. Rarely used.
        payload: Payload,
    }
    /// The router asks for proof.
    Challenge(4, "CHALLENGE") {
        /// `ticket` and so on.
        method: String,
        /// What the method needs.
        extra: Dict,
    }
    /// The client's proof.
    Authenticate(5, "AUTHENTICATE") {
        /// The ticket, or a signature.
        signature: String,
        /// What the method needs.
        extra: Dict,
    }
    /// The sender leaves, or has understood that its peer leaves.
    Goodbye(6, "GOODBYE") {
        /// `message`: a sentence for people.
        details: Dict,
        /// A reason URI.
        reason: String,
    }
    /// A request failed.
    Error(8, "ERROR") {
        /// The type of the request that failed.
        request_type: u64,
        /// The request that failed.
        request: RequestId,
        /// More about it.
        details: Dict,
        /// An error URI.
        error: String,
        /// What went wrong.
        payload: Payload,
    }
    /// A publisher has an event for a topic.
    Publish(16, "PUBLISH") {
        /// Chosen by the publisher.
        request: RequestId,
        /// `acknowledge`, `exclude_me` and more.
        options: Dict,
        /// The topic.
        topic: String,
        /// The event.
        payload: Payload,
    }
    /// The publication was taken.
    Published(17, "PUBLISHED") {
        /// The PUBLISH.
        request: RequestId,
        /// The event's id.
        publication: PublicationId,
    }
    /// A subscriber wants the events of a topic.
    Subscribe(32, "SUBSCRIBE") {
        /// Chosen by the subscriber.
        request: RequestId,
        /// `match` and more.
        options: Dict,
        /// The topic, or a pattern.
        topic: String,
    }
    /// The subscription stands.
    Subscribed(33, "SUBSCRIBED") {
        /// The SUBSCRIBE.
        request: RequestId,
        /// What the subscription's events will name.
        subscription: SubscriptionId,
    }
    /// A subscriber wants no more events.
    Unsubscribe(34, "UNSUBSCRIBE") {
        /// Chosen by the subscriber.
        request: RequestId,
        /// Which.
        subscription: SubscriptionId,
    }
    /// The subscription is gone: because the peer asked, or because the router took it back.
    Unsubscribed(35, "UNSUBSCRIBED") {
        /// The UNSUBSCRIBE; none if the router took it back.
        request: Option<RequestId>,
        /// `subscription` and `reason`, if the router took it back.
        details: Option<Dict>,
    }
    /// An event, on its way to a subscriber.
    Event(36, "EVENT") {
        /// The subscription it is sent for.
        subscription: SubscriptionId,
        /// The event's id.
        publication: PublicationId,
        /// `topic`, `publisher` and more.
        details: Dict,
        /// The event.
        payload: Payload,
    }
    /// A caller calls a procedure.
    Call(48, "CALL") {
        /// Chosen by the caller.
        request: RequestId,
        /// `disclose_me`, `timeout` and more.
        options: Dict,
        /// Which.
        procedure: String,
        /// The arguments.
        payload: Payload,
    }
    /// A caller no longer wants the result.
    Cancel(49, "CANCEL") {
        /// The CALL.
        request: RequestId,
        /// `mode`.
        options: Dict,
    }
    /// The result, on its way to the caller.
    CallResult(50, "RESULT") {
        /// The CALL.
        request: RequestId,
        /// `progress` and more.
        details: Dict,
        /// The result.
        payload: Payload,
    }
    /// A callee offers a procedure.
    Register(64, "REGISTER") {
        /// Chosen by the callee.
        request: RequestId,
        /// `match`, `invoke` and more.
        options: Dict,
        /// Which.
        procedure: String,
    }
    /// The registration stands.
    Registered(65, "REGISTERED") {
        /// The REGISTER.
        request: RequestId,
        /// What the registration's invocations will name.
        registration: RegistrationId,
    }
    /// A callee takes its offer back.
    Unregister(66, "UNREGISTER") {
        /// Chosen by the callee.
        request: RequestId,
        /// Which.
        registration: RegistrationId,
    }
    /// The registration is gone: because the peer asked, or because the router took it back.
    Unregistered(67, "UNREGISTERED") {
        /// The UNREGISTER; none if the router took it back.
        request: Option<RequestId>,
        /// `registration` and `reason`, if the router took it back.
        details: Option<Dict>,
    }
    /// A call, on its way to the callee.
    Invocation(68, "INVOCATION") {
        /// Chosen by the router, counted for each callee.
        request: RequestId,
        /// The registration that was called.
        registration: RegistrationId,
        /// `caller`, `procedure` and more.
        details: Dict,
        /// The arguments.
        payload: Payload,
    }
    /// The router asks a callee to stop.
    Interrupt(69, "INTERRUPT") {
        /// The INVOCATION.
        request: RequestId,
        /// `mode`, `reason`.
        options: Dict,
    }
    /// The callee's result.
    Yield(70, "YIELD") {
        /// The INVOCATION.
        request: RequestId,
        /// `progress` and more.
        options: Dict,
        /// The result.
        payload: Payload,
    }
}

impl Unsubscribed {
    /// The answer to an UNSUBSCRIBE.
    pub const fn answer(request: RequestId) -> Self {
        Self { request: Some(request), details: None }
    }

    /// Tells a subscriber that the router has taken its subscription back.
    pub fn revoked(subscription: SubscriptionId, reason: &str) -> Self {
        Self { request: None, details: Some(revocation("subscription", subscription.get(), reason)) }
    }
}

impl Unregistered {
    /// The answer to an UNREGISTER.
    pub const fn answer(request: RequestId) -> Self {
        Self { request: Some(request), details: None }
    }

    /// Tells a callee that the router has taken its registration back.
    pub fn revoked(registration: RegistrationId, reason: &str) -> Self {
        Self { request: None, details: Some(revocation("registration", registration.get(), reason)) }
    }
}

fn revocation(what: &str, id: u64, reason: &str) -> Dict {
    Dict::from([(what.to_owned(), id.into()), ("reason".to_owned(), reason.into())])
}

/// What is left of a message's list while it is read.
struct Elements {
    message: &'static str,
    rest: std::vec::IntoIter<Value>,
}

impl Elements {
    fn next(&mut self, field: &'static str) -> Result<Value, DecodeError> {
        self.rest.next().ok_or(DecodeError::Missing { message: self.message, field })
    }

    fn wrong(&self, field: &'static str, expected: &'static str, found: &Value) -> DecodeError {
        DecodeError::WrongType { message: self.message, field, expected, found: found.kind() }
    }

    fn end(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(DecodeError::Surplus { message: self.message, extra }),
        }
    }
}

/// What can stand in a message's list.
trait Element: Sized {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError>;
    /// How many elements of the list it takes.
    fn count(&self) -> usize {
        1
    }
    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error>;
}

impl Element for String {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
        match elements.next(field)? {
            Value::Str(text) => Ok(text),
            other => Err(elements.wrong(field, "a string", &other)),
        }
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        seq.serialize_element(self)
    }
}

impl Element for u64 {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
        let value = elements.next(field)?;
        value.as_u64().ok_or_else(|| elements.wrong(field, "an integer of 0 or more", &value))
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        seq.serialize_element(self)
    }
}

impl Element for Dict {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
        match elements.next(field)? {
            Value::Map(map) => Ok(map),
            // Some clients send null for an empty dictionary.
            Value::Null => Ok(Self::new()),
            other => Err(elements.wrong(field, "a dictionary", &other)),
        }
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        seq.serialize_element(self)
    }
}

/// An element at the end of the list that may be absent.
impl Element for Option<Dict> {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
        if elements.rest.len() == 0 { Ok(None) } else { Dict::take(elements, field).map(Some) }
    }

    fn count(&self) -> usize {
        usize::from(self.is_some())
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        self.as_ref().map_or(Ok(()), |dict| seq.serialize_element(dict))
    }
}

/// 0 stands for none: the message answers no request.
impl Element for Option<RequestId> {
    fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
        let value = elements.next(field)?;
        match value.as_u64() {
            Some(0) => Ok(None),
            Some(number) if number <= MAX_ID => Ok(RequestId::new(number)),
            _ => Err(elements.wrong(field, "an integer from 0 to 2^53", &value)),
        }
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        seq.serialize_element(&self.map_or(0, RequestId::get))
    }
}

/// Up to two elements at the end of the list: `Arguments|list, ArgumentsKw|dict`.
impl Element for Payload {
    fn take(elements: &mut Elements, _: &'static str) -> Result<Self, DecodeError> {
        let args = match elements.rest.next() {
            None => return Ok(Self::default()),
            Some(Value::Null) => Vec::new(),
            Some(Value::List(list)) => list,
            Some(other) => return Err(elements.wrong("Arguments", "a list", &other)),
        };
        let kwargs = match elements.rest.next() {
            None | Some(Value::Null) => Dict::new(),
            Some(Value::Map(map)) => map,
            Some(other) => return Err(elements.wrong("ArgumentsKw", "a dictionary", &other)),
        };
        Ok(Self::new(args, kwargs))
    }

    fn count(&self) -> usize {
        match self.kwargs() {
            None => 0,
            Some(kwargs) if kwargs.is_empty() => 1,
            Some(_) => 2,
        }
    }

    fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
        if let Some(kwargs) = self.kwargs() {
            seq.serialize_element(self.args())?;
            if !kwargs.is_empty() {
                seq.serialize_element(kwargs)?;
            }
        }
        Ok(())
    }
}

macro_rules! id_elements {
    ($($name:ident)*) => {$(
        impl Element for $name {
            fn take(elements: &mut Elements, field: &'static str) -> Result<Self, DecodeError> {
                let value = elements.next(field)?;
                let id = value.as_u64().and_then(Self::new);
                id.ok_or_else(|| elements.wrong(field, "an integer from 1 to 2^53", &value))
            }

            fn write<S: SerializeSeq>(&self, seq: &mut S) -> Result<(), S::Error> {
                seq.serialize_element(&self.get())
            }
        }
    )*};
}

id_elements! { SessionId RequestId SubscriptionId PublicationId RegistrationId }

//! The messages of WAMP (specification, "Messages"): one struct each, and how they are laid out as lists.
//!
//! Owns the order and type of a message's elements. Options and details stay dictionaries, and URIs stay text:
//! what they may say is judged by whoever acts on the message, who can answer with an ERROR instead of ending
//! the session. Must not know what the serializers' bytes look like.

use std::ops::Range;

use bytes::Bytes;

use crate::codec::Serializer;
use crate::codec::sink::{Number, Shape, Tree, feed_map};
use crate::codec::source::Source;
use crate::codec::write::Write;
use crate::error::{DecodeError, REVOKED};
use crate::id::{MAX_ID, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use crate::payload::Payload;
use crate::uri::{Strictness, Uri};
use crate::value::{Dict, MAX_OPTION_VALUES, Value};

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

            /// Reads a message.
            pub(crate) fn read<'a, R: Source<'a>>(serializer: Serializer, frame: &'a Bytes) -> Result<Self, DecodeError> {
                let mut elements = Elements::begin(serializer, frame, R::new(frame)?)?;
                match elements.code()? {
                    $($code => {
                        elements.message = $text;
                        let message = $name { $($field: Element::take(&mut elements, stringify!($field))?,)* };
                        elements.end()?;
                        Ok(Self::$name(message))
                    })*
                    unknown => Err(DecodeError::UnknownType(unknown)),
                }
            }

            /// Writes the message.
            pub(crate) fn write<W: Write>(&self, writer: &mut W) {
                match self {$(
                    Self::$name(message) => {
                        writer.list(Some(1 $(+ message.$field.count())*));
                        writer.unsigned($name::CODE);
                        $(message.$field.write(writer);)*
                        writer.end_list();
                    }
                )*}
            }

            /// About how many bytes it takes, rather too many than too few.
            pub(crate) fn size_hint(&self, serializer: Serializer) -> usize {
                match self {$(
                    Self::$name(message) => 8 $(+ message.$field.size_hint(serializer))*,
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

/// The specification takes any text as the reason, but autobahn ends its connection if it is no URI: other text becomes
/// the message.
fn revocation(what: &str, id: u64, reason: &str) -> Dict {
    let mut details = Dict::from([(what.to_owned(), id.into())]);
    if Uri::parse(reason, Strictness::Loose).is_ok() {
        details.insert("reason".to_owned(), reason.into());
    } else {
        details.insert("reason".to_owned(), REVOKED.into());
        details.insert("message".to_owned(), reason.into());
    }
    details
}

/// What is left of a message's list while it is read.
struct Elements<'a, R> {
    message: &'static str,
    serializer: Serializer,
    frame: &'a Bytes,
    source: R,
    ended: bool,
    /// How many values its options may still hold.
    values: usize,
}

impl<'a, R: Source<'a>> Elements<'a, R> {
    fn begin(serializer: Serializer, frame: &'a Bytes, mut source: R) -> Result<Self, DecodeError> {
        source.begin()?;
        Ok(Self { message: "", serializer, frame, source, ended: false, values: MAX_OPTION_VALUES })
    }

    fn more(&mut self) -> Result<bool, DecodeError> {
        self.ended = self.ended || !self.source.more()?;
        Ok(!self.ended)
    }

    /// The message's type.
    fn code(&mut self) -> Result<u64, DecodeError> {
        if !self.more()? {
            return Err(DecodeError::NotAMessage);
        }
        self.read_number()?.map_err(|_| DecodeError::NotAMessage)
    }

    /// The element that comes next, which should be an integer of 0 or more; what it is instead.
    fn number(&mut self, field: &'static str) -> Result<Result<u64, &'static str>, DecodeError> {
        if !self.more()? {
            return Err(DecodeError::Missing { message: self.message, field });
        }
        self.read_number()
    }

    fn read_number(&mut self) -> Result<Result<u64, &'static str>, DecodeError> {
        let mut number = Number::default();
        self.source.element(&mut number)?;
        // In a list there may be numbers as well.
        Ok(number.number.filter(|_| number.shape.kind == "an integer").ok_or(number.shape.kind))
    }

    fn next(&mut self, field: &'static str) -> Result<Value, DecodeError> {
        if !self.more()? {
            return Err(DecodeError::Missing { message: self.message, field });
        }
        let mut tree = Tree::new(self.values);
        self.source.element(&mut tree)?;
        let too_complex = DecodeError::TooComplex { message: self.message, field };
        let (value, values) = tree.finish().ok_or(too_complex)?;
        self.values = values;
        Ok(value)
    }

    /// Where a part of the payload is in the frame: nowhere if there is nothing in it.
    fn part(&mut self, field: &'static str, expected: &'static str) -> Result<Range<usize>, DecodeError> {
        if !self.more()? {
            return Ok(0..0);
        }
        let begin = self.source.position();
        let mut shape = Shape::default();
        self.source.element(&mut shape)?;
        if shape.kind == "null" || shape.kind == expected && shape.is_empty() {
            return Ok(0..0);
        }
        if shape.kind != expected {
            return Err(self.wrong(field, expected, shape.kind));
        }
        Ok(begin..self.source.position())
    }

    fn wrong(&self, field: &'static str, expected: &'static str, found: &'static str) -> DecodeError {
        DecodeError::WrongType { message: self.message, field, expected, found }
    }

    fn end(mut self) -> Result<(), DecodeError> {
        let mut extra = 0;
        while self.more()? {
            self.source.element(&mut Shape::default())?;
            extra += 1;
        }
        match extra {
            0 => self.source.finish(),
            extra => Err(DecodeError::Surplus { message: self.message, extra }),
        }
    }
}

/// What can stand in a message's list.
trait Element: Sized {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError>;
    /// How many elements of the list it takes.
    fn count(&self) -> usize {
        1
    }
    fn write<W: Write>(&self, writer: &mut W);
    fn size_hint(&self, _: Serializer) -> usize {
        // A number in words, and a comma.
        20
    }
}

impl Element for String {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        match elements.next(field)? {
            Value::Str(text) => Ok(text),
            other => Err(elements.wrong(field, "a string", other.kind())),
        }
    }

    fn write<W: Write>(&self, writer: &mut W) {
        writer.text(self);
    }

    fn size_hint(&self, _: Serializer) -> usize {
        self.len() + 5
    }
}

impl Element for u64 {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        let number = elements.number(field)?;
        number.map_err(|kind| elements.wrong(field, "an integer of 0 or more", kind))
    }

    fn write<W: Write>(&self, writer: &mut W) {
        writer.unsigned(*self);
    }
}

impl Element for Dict {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        match elements.next(field)? {
            Value::Map(map) => Ok(map),
            // Some clients send null for an empty dictionary.
            Value::Null => Ok(Self::new()),
            other => Err(elements.wrong(field, "a dictionary", other.kind())),
        }
    }

    fn write<W: Write>(&self, writer: &mut W) {
        feed_map(self, writer);
    }

    fn size_hint(&self, _: Serializer) -> usize {
        3 + self.len() * 48
    }
}

/// An element at the end of the list that may be absent.
impl Element for Option<Dict> {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        match elements.next(field) {
            Err(DecodeError::Missing { .. }) => Ok(None),
            Ok(Value::Map(map)) => Ok(Some(map)),
            Ok(Value::Null) => Ok(None),
            Ok(other) => Err(elements.wrong(field, "a dictionary", other.kind())),
            Err(error) => Err(error),
        }
    }

    fn count(&self) -> usize {
        usize::from(self.is_some())
    }

    fn write<W: Write>(&self, writer: &mut W) {
        if let Some(dict) = self {
            dict.write(writer);
        }
    }

    fn size_hint(&self, serializer: Serializer) -> usize {
        self.as_ref().map_or(0, |dict| dict.size_hint(serializer))
    }
}

/// 0 stands for none: the message answers no request.
impl Element for Option<RequestId> {
    fn take<'a, R: Source<'a>>(
        elements: &mut Elements<'a, R>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        match elements.number(field)? {
            Ok(0) => Ok(None),
            Ok(number) if number <= MAX_ID => Ok(RequestId::new(number)),
            Ok(_) => Err(elements.wrong(field, "an integer from 0 to 2^53", "an integer")),
            Err(kind) => Err(elements.wrong(field, "an integer from 0 to 2^53", kind)),
        }
    }

    fn write<W: Write>(&self, writer: &mut W) {
        writer.unsigned(self.map_or(0, RequestId::get));
    }
}

/// Up to two elements at the end of the list: `Arguments|list, ArgumentsKw|dict`.
impl Element for Payload {
    fn take<'a, R: Source<'a>>(elements: &mut Elements<'a, R>, _: &'static str) -> Result<Self, DecodeError> {
        let args = elements.part("Arguments", "a list")?;
        let kwargs = elements.part("ArgumentsKw", "a dictionary")?;
        Ok(Self::received(elements.serializer, elements.frame, args, kwargs))
    }

    fn count(&self) -> usize {
        self.elements()
    }

    fn write<W: Write>(&self, writer: &mut W) {
        self.write_elements(writer);
    }

    fn size_hint(&self, serializer: Serializer) -> usize {
        self.bytes_hint(serializer)
    }
}

macro_rules! id_elements {
    ($($name:ident)*) => {$(
        impl Element for $name {
            fn take<'a, R: Source<'a>>(
                elements: &mut Elements<'a, R>,
                field: &'static str,
            ) -> Result<Self, DecodeError> {
                let number = elements.number(field)?;
                let id = number.and_then(|number| Self::new(number).ok_or("an integer"));
                id.map_err(|kind| elements.wrong(field, "an integer from 1 to 2^53", kind))
            }

            fn write<W: Write>(&self, writer: &mut W) {
                writer.unsigned(self.get());
            }
        }
    )*};
}

id_elements! { SessionId RequestId SubscriptionId PublicationId RegistrationId }

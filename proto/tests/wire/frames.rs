//! Each message in each serializer, byte by byte. A change here is a change for every client out there.

use std::fmt::Write;

use ecep_proto::codec::Serializer;
use ecep_proto::id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::rawsocket::{FrameHeader, FrameKind, Handshake, HandshakeError};
use ecep_proto::value::{Dict, Value};

fn dict(entries: &[(&str, Value)]) -> Dict {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn full() -> Payload {
    let args = vec![
        Value::Null,
        Value::from(true),
        Value::from(-1_i64),
        Value::from(u64::MAX),
        Value::Float(1.5),
        Value::from("ü"),
        Value::Bytes(vec![0, 255]),
        Value::List(vec![]),
    ];
    Payload::new(args, dict(&[("key", Value::from(1_i64))]))
}

/// One of each, with ids and texts as in the specification's examples.
pub fn examples() -> Vec<Message> {
    let request = RequestId::new(25349185).unwrap();
    let subscription = SubscriptionId::new(5512315355).unwrap();
    let publication = PublicationId::new(4429313566).unwrap();
    let registration = RegistrationId::new(2103333224).unwrap();
    let none = Dict::new;
    let broker = Value::Map(dict(&[("broker", Value::Map(none()))]));
    vec![
        Hello { realm: "somerealm".into(), details: dict(&[("roles", Value::Map(none()))]) }.into(),
        Welcome { session: SessionId::new(9129137332).unwrap(), details: dict(&[("roles", broker)]) }.into(),
        Abort {
            details: dict(&[("message", "no".into())]),
            reason: "wamp.error.no_such_realm".into(),
            payload: Payload::default(),
        }
        .into(),
        Challenge { method: "ticket".into(), extra: none() }.into(),
        Authenticate { signature: "secret".into(), extra: none() }.into(),
        Goodbye { details: none(), reason: "wamp.close.goodbye_and_out".into() }.into(),
        Error {
            request_type: Call::CODE,
            request,
            details: none(),
            error: "com.myapp.error".into(),
            payload: Payload::of("text"),
        }
        .into(),
        Publish { request, options: none(), topic: "com.myapp.topic".into(), payload: full() }.into(),
        Published { request, publication }.into(),
        Subscribe { request, options: dict(&[("match", "prefix".into())]), topic: "com.myapp.".into() }
            .into(),
        Subscribed { request, subscription }.into(),
        Unsubscribe { request, subscription }.into(),
        Unsubscribed::answer(request).into(),
        Unsubscribed::revoked(subscription, "gone").into(),
        Event { subscription, publication, details: none(), payload: Payload::of(1_i64) }.into(),
        Call {
            request,
            options: none(),
            procedure: "com.myapp.sum".into(),
            payload: Payload::new(vec![], dict(&[("a", Value::from(1_i64))])),
        }
        .into(),
        Cancel { request, options: dict(&[("mode", "kill".into())]) }.into(),
        CallResult { request, details: none(), payload: Payload::default() }.into(),
        Register { request, options: none(), procedure: "com.myapp.sum".into() }.into(),
        Registered { request, registration }.into(),
        Unregister { request, registration }.into(),
        Unregistered::answer(request).into(),
        Unregistered::revoked(registration, "moved").into(),
        Invocation { request, registration, details: none(), payload: Payload::of("x") }.into(),
        Interrupt { request, options: none() }.into(),
        Yield { request, options: none(), payload: full() }.into(),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A client written years ago must still understand what is sent, and be understood.
#[test]
fn messages() {
    let mut text = String::new();
    for message in examples() {
        let json = Serializer::Json.encode(&message);
        let [msgpack, cbor] =
            [Serializer::MsgPack, Serializer::Cbor].map(|serializer| hex(&serializer.encode(&message)));
        let json = std::str::from_utf8(&json).expect("JSON is UTF-8");
        let _ = writeln!(text, "{}\n  {json}\n  {msgpack}\n  {cbor}", message.name());
    }
    insta::assert_snapshot!(text);
}

/// The examples of the specification's section on RawSocket, and the ends of its ranges.
#[test]
fn rawsocket() {
    let largest = Handshake::new(Serializer::Json, 1 << 24);
    assert_eq!(largest.encode(), [0x7f, 0xf1, 0, 0]);
    assert_eq!(Handshake::decode([0x7f, 0xf1, 0, 0]), Ok(largest));
    assert_eq!(Handshake::new(Serializer::MsgPack, 1000).encode(), [0x7f, 0x02, 0, 0], "512, not 1024");
    assert_eq!(Handshake::new(Serializer::MsgPack, 0).max_bytes, 512);
    assert_eq!(Handshake::new(Serializer::Cbor, 1 << 24).encode(), [0x7f, 0xf3, 0, 0]);
    assert_eq!(Handshake::decode([0x7f, 0xf4, 0, 0]), Err(HandshakeError::Serializer(4)));
    assert_eq!(HandshakeError::Serializer(4).answer(), Some([0x7f, 0x10, 0, 0]));
    assert_eq!(Handshake::decode([0x7f, 0x10, 0, 0]), Err(HandshakeError::Refused(1)));
    assert_eq!(Handshake::decode([0x7f, 0xf1, 0, 1]), Err(HandshakeError::Reserved));
    assert_eq!(Handshake::decode(*b"GET "), Err(HandshakeError::Magic(b'G')));

    let header = FrameHeader { kind: FrameKind::Ping, length: 0x010203 };
    assert_eq!(header.encode(), Some([1, 1, 2, 3]));
    assert_eq!(FrameHeader::decode([1, 1, 2, 3]), Ok(header));
    assert_eq!(FrameHeader { kind: FrameKind::Message, length: 1 << 24 }.encode(), None);
    assert!(FrameHeader::decode([3, 0, 0, 0]).is_err());
}

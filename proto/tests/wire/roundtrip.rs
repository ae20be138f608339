//! Nothing is lost or changed on the way through a serializer, or from one to the other.

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::id::{MAX_ID, PublicationId, RequestId, SubscriptionId};
use ecep_proto::message::{Call, Event, Message, Publish};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use proptest::prelude::*;

/// Text that does not begin with U+0000: in JSON, such text can't be told from bytes.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("looks like bytes in JSON", |text| !text.starts_with('\0'))
}

pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        text().prop_map(Value::from),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::from),
        ]
    })
}

fn dict() -> impl Strategy<Value = Dict> {
    prop::collection::btree_map(any::<String>(), value(), 0..4)
}

fn payload() -> impl Strategy<Value = Payload> {
    (prop::collection::vec(value(), 0..4), dict()).prop_map(|(args, kwargs)| Payload::new(args, kwargs))
}

fn message() -> impl Strategy<Value = Message> {
    (1..=MAX_ID, dict(), text(), payload(), 0..3_u8).prop_map(|(id, options, uri, payload, kind)| {
        let request = RequestId::new(id).unwrap();
        match kind {
            0 => Call { request, options, procedure: uri, payload }.into(),
            1 => Publish { request, options, topic: uri, payload }.into(),
            _ => Event {
                subscription: SubscriptionId::new(id).unwrap(),
                publication: PublicationId::new(id).unwrap(),
                details: options,
                payload,
            }
            .into(),
        }
    })
}

proptest! {
    /// Whatever codecs a message goes through, it stays the same message: bytes stay bytes, text stays text, and no
    /// number changes. What comes in a codec goes out in it untouched.
    #[test]
    fn across_serializers(message in message()) {
        for from in Serializer::ALL {
            let frame = from.encode(&message);
            let received = from.decode(frame.clone()).expect("own bytes are readable");
            prop_assert_eq!(&received, &message);
            prop_assert_eq!(from.encode(&received), frame);
            for to in Serializer::ALL {
                let frame = to.encode(&received);
                let passed_on = to.decode(frame.clone()).expect("own bytes are readable");
                prop_assert_eq!(&passed_on, &message, "{:?} to {:?}", from, to);
                prop_assert_eq!(to.encode(&message), frame, "as if it had never been anything else");
                let back = from.decode(from.encode(&passed_on)).expect("own bytes are readable");
                prop_assert_eq!(&back, &message, "and back");
            }
        }
    }
}

/// Every kind of message comes back, not only those with payloads.
#[test]
fn every_message() {
    for message in super::frames::examples() {
        for serializer in Serializer::ALL {
            let bytes = serializer.encode(&message);
            assert_eq!(serializer.decode(bytes).as_ref(), Ok(&message), "{serializer:?}");
        }
    }
}

/// The convention for bytes in JSON, on the wire; text that only begins like it stays text.
#[test]
fn bytes_in_json() {
    let decoded = |json: &str| match Serializer::Json.decode(Bytes::copy_from_slice(json.as_bytes())) {
        Ok(Message::Call(call)) => call.payload.args()[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(decoded(r#"[48,1,{},"p",["\u0000AP8="]]"#), Value::Bytes(vec![0, 255]));
    assert_eq!(decoded(r#"[48,1,{},"p",["\u0000"]]"#), Value::Bytes(vec![]));
    assert_eq!(decoded(r#"[48,1,{},"p",["\u0000not base64"]]"#), Value::from("\0not base64"));
    assert_eq!(decoded(r#"[48,1,{},"p",["AP8="]]"#), Value::from("AP8="));
}

/// Clients that send null where a dictionary or list belongs, or empty ones at the end, mean "nothing".
#[test]
fn null_and_empty_are_nothing() {
    let plain = Serializer::Json.decode(Bytes::from_static(br#"[48,1,{},"p"]"#)).unwrap();
    for json in [
        r#"[48,1,null,"p"]"#,
        r#"[48,1,{},"p",null]"#,
        r#"[48,1,{},"p",null,null]"#,
        r#"[48,1,{},"p",[]]"#,
        r#"[48,1,{},"p",[],{}]"#,
    ] {
        assert_eq!(
            Serializer::Json.decode(Bytes::copy_from_slice(json.as_bytes())).as_ref(),
            Ok(&plain),
            "{json}"
        );
    }
    assert_eq!(&Serializer::Json.encode(&plain)[..], br#"[48,1,{},"p"]"#);
    let kwargs = Serializer::Json.decode(Bytes::from_static(br#"[48,1,{},"p",null,{"a":1}]"#)).unwrap();
    assert_eq!(&Serializer::Json.encode(&kwargs)[..], br#"[48,1,{},"p",[],{"a":1}]"#);
}

/// An ABORT may carry arguments for programs: crossbar sends some.
#[test]
fn abort_with_arguments() {
    match Serializer::Json.decode(Bytes::from_static(br#"[3,{},"wamp.error.no_such_realm",["why"],{"k":1}]"#))
    {
        Ok(Message::Abort(abort)) => assert_eq!(abort.payload.args(), [Value::from("why")]),
        other => panic!("{other:?}"),
    }
}

/// MessagePack of JavaScript clients has an extension type for `undefined`: wampy sends it in options that it leaves out.
#[test]
fn undefined_is_null() {
    let subscribe = b"\x94\x20\x01\x81\xa5match\xd4\x00\x00\xa1t";
    match Serializer::MsgPack.decode(Bytes::from_static(subscribe)) {
        Ok(Message::Subscribe(subscribe)) => assert_eq!(subscribe.options["match"], Value::Null),
        other => panic!("{other:?}"),
    }
}

/// Whoever keeps a payload for long keeps its bytes, not the frame that it came in.
#[test]
fn a_detached_payload_leaves_its_frame() {
    for serializer in Serializer::ALL {
        for payload in
            [Payload::of(7_u64), Payload::new(vec![], Dict::from([("key".into(), Value::from("value"))]))]
        {
            let (request, options) = (RequestId::FIRST, Dict::new());
            let topic = "com.".to_owned() + &"x".repeat(200);
            let frame =
                serializer.encode(&Publish { request, options, topic, payload: payload.clone() }.into());
            let Ok(Message::Publish(publish)) = serializer.decode(frame) else { panic!("{serializer:?}") };
            let detached = publish.payload.detached();
            assert!(publish.payload.frame_bytes().unwrap() > 200 && detached.frame_bytes().unwrap() < 20);
            assert_eq!(detached, payload, "{serializer:?}");
        }
    }
}

/// Texts are read in blocks: an escape must be found wherever it is in one, and what stands around it must stay.
#[test]
fn escapes_anywhere() {
    for character in ['"', '\\', '\n', '\u{8}', '\u{c}', '\u{1f}', '\u{7f}', 'é', '😀'] {
        for before in 0..70 {
            let text = format!("{}{character}{character}{}", "x".repeat(before), "y".repeat(before / 2));
            let escaped = serde_json::to_string(&text).unwrap();
            let message = format!(r#"[16,1,{{}},"com.topic",[{escaped}]]"#);
            let decoded = Serializer::Json.decode(message.into()).unwrap();
            let passed_on = Serializer::MsgPack.decode(Serializer::MsgPack.encode(&decoded)).unwrap();
            let Message::Publish(publish) = passed_on else { panic!("{passed_on:?}") };
            assert_eq!(publish.payload.args(), [Value::from(text)]);
        }
    }
    let message = r#"[16,1,{},"com.topic",["\ud83d\ude00\/\u00e9\u0000"]]"#;
    let Ok(Message::Publish(publish)) = Serializer::Json.decode(message.into()) else { panic!() };
    assert_eq!(publish.payload.args(), [Value::from("😀/é\0")]);
}

//! Our own readers against well-known ones: what we take they take, what they say we say.
//!
//! The others read a whole message into values; ours skips the payload and reads it later. Both must come to the
//! same end on anything, so random bytes are the cases, and real messages with a few bytes changed.

use std::io::Cursor;

use bytes::Bytes;
use ciborium::value::Value as Cbor;
use ecep_proto::codec::Serializer;
use ecep_proto::message::Message;
use ecep_proto::value::{Dict, Value};
use proptest::prelude::*;
use serde::Deserialize;

/// The arguments of a CALL around this argument, read by our codec.
fn ours(serializer: Serializer, argument: &[u8]) -> Option<Value> {
    let frame = match serializer {
        Serializer::Json => [b"[48,1,{},\"p\",[", argument, b"]]"].concat(),
        Serializer::MsgPack => [b"\x95\x30\x01\x80\xa1p\x91", argument].concat(),
        Serializer::Cbor => [b"\x85\x18\x30\x01\xa0\x61p\x81", argument].concat(),
    };
    match serializer.decode(frame.into()) {
        Ok(Message::Call(call)) => match call.payload.args() {
            [argument] => Some(argument.clone()),
            // Two values where one should be.
            _ => None,
        },
        _ => None,
    }
}

fn json(argument: &[u8]) -> Option<Value> {
    serde_json::from_slice(argument).ok()
}

fn msgpack(argument: &[u8]) -> Option<Value> {
    let mut rest = argument;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    let value = Value::deserialize(&mut deserializer).ok()?;
    rest.is_empty().then_some(value)
}

fn cbor(argument: &[u8]) -> Option<Value> {
    let mut rest = Cursor::new(argument);
    let value: Cbor = ciborium::from_reader(&mut rest).ok()?;
    (rest.position() == argument.len() as u64).then(|| meaning(value))?
}

/// What a value of CBOR means in WAMP.
fn meaning(value: Cbor) -> Option<Value> {
    Some(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Integer(number) => match i128::from(number) {
            number if number >= i128::from(i64::MIN) => {
                i64::try_from(number).map_or_else(|_| Value::from(number as u64), Value::from)
            }
            number => Value::Float(number as f64),
        },
        Cbor::Float(number) => Value::Float(number),
        Cbor::Text(text) => Value::from(text),
        Cbor::Bytes(bytes) => Value::Bytes(bytes),
        Cbor::Array(list) => Value::List(list.into_iter().map(meaning).collect::<Option<_>>()?),
        Cbor::Map(entries) => {
            let mut map = Dict::new();
            for (key, value) in entries {
                let Cbor::Text(key) = key else { return None };
                map.insert(key, meaning(value)?);
            }
            Value::Map(map)
        }
        // Big numbers are not compared.
        Cbor::Tag(2 | 3, _) => return None,
        Cbor::Tag(_, content) => meaning(*content)?,
        _ => return None,
    })
}

/// NaN is like NaN here.
fn same(one: &Option<Value>, other: &Option<Value>) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

fn compare(serializer: Serializer, argument: &[u8]) -> Result<(), TestCaseError> {
    let (our, their) = (
        ours(serializer, argument),
        match serializer {
            Serializer::Json => json(argument),
            Serializer::MsgPack => msgpack(argument),
            Serializer::Cbor => cbor(argument),
        },
    );
    // What the others are more generous with: keys that are bytes, other extensions are refused by both.
    if our.is_none() && their.is_some() && serializer == Serializer::MsgPack {
        return Ok(());
    }
    // RFC 8949, section 3.3: a simple value below 32 is one byte; ciborium takes two as well.
    let has_long_simple = || argument.windows(2).any(|pair| pair[0] == 0xf8 && pair[1] < 32);
    if our.is_none() && serializer == Serializer::Cbor && has_long_simple() {
        return Ok(());
    }
    // ciborium gives big numbers up, and takes no `undefined`.
    if their.is_none() && our.is_some() && serializer == Serializer::Cbor {
        return Ok(());
    }
    prop_assert!(same(&our, &their), "{serializer:?} {argument:02x?}: {our:?}, but {their:?}");
    Ok(())
}

/// Pieces that make up values, right and wrong ones.
fn json_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d83d",
        "de00",
        "\\u0000",
        "AP8=",
        "0",
        "1",
        "-",
        "+",
        ".",
        "e",
        "E",
        "9223372036854775807",
        "18446744073709551616",
        "1e400",
        "null",
        "true",
        "false",
        " ",
        "\n",
        "\t",
        "\"a\"",
        "\"a\":",
        "ü",
        "\u{1e}",
        "\u{7f}",
        "\\n",
        "\\/",
        "\\ud83d\\ude00",
        "\\udc00",
        "x",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn json_pieces(text in json_text()) {
        compare(Serializer::Json, text.as_bytes())?;
    }

    #[test]
    fn json_numbers(text in "-?[0-9]{0,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,3})?") {
        compare(Serializer::Json, text.as_bytes())?;
    }

    #[test]
    fn json_strings(text in "\"([ -~]|\\\\[a-z\"/\\\\]|\\\\u[0-9a-fA-F]{4}|\\\\ud[89ab][0-9]{2}|ü){0,12}\"") {
        compare(Serializer::Json, text.as_bytes())?;
    }

    #[test]
    fn binary(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        compare(Serializer::MsgPack, &bytes)?;
        compare(Serializer::Cbor, &bytes)?;
        compare(Serializer::Json, &bytes)?;
    }

    /// Values as the others write them, with a byte or two changed.
    #[test]
    fn changed(value in super::roundtrip::value(), changes in prop::collection::vec(any::<(u16, u8)>(), 0..3)) {
        let change = |mut bytes: Vec<u8>| {
            for (at, byte) in &changes {
                let length = bytes.len();
                bytes[usize::from(*at) % length] = *byte;
            }
            bytes
        };
        compare(Serializer::Json, &change(serde_json::to_vec(&value).unwrap()))?;
        compare(Serializer::MsgPack, &change(rmp_serde::to_vec(&value).unwrap()))?;
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        compare(Serializer::Cbor, &change(bytes))?;
    }

    /// What our writers write is what the others read, and byte by byte what they would write.
    #[test]
    fn written(value in super::roundtrip::value()) {
        let payload = ecep_proto::payload::Payload::of(value.clone());
        let frame = |serializer: Serializer| {
            let request = ecep_proto::id::RequestId::FIRST;
            let (options, procedure) = (Dict::new(), "p".to_owned());
            let call = ecep_proto::message::Call { request, options, procedure, payload: payload.clone() };
            serializer.encode(&call.into())
        };
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(&frame(Serializer::Json)[14..], [&text[..], b"]]"].concat());
        prop_assert_eq!(&frame(Serializer::MsgPack)[7..], rmp_serde::to_vec(&value).unwrap());
        let read = cbor(&frame(Serializer::Cbor)[8..]);
        prop_assert!(same(&read, &Some(value)), "{read:?}");
    }
}

/// RFC 8949, appendix A: the examples that have a meaning in WAMP.
#[test]
fn cbor_examples() {
    for (hex, expected) in [
        ("1bffffffffffffffff", Value::from(u64::MAX)),
        ("c249010000000000000000", Value::Float(18446744073709551616.0)),
        ("3bffffffffffffffff", Value::Float(-18446744073709551616.0)),
        ("c349010000000000000000", Value::Float(-18446744073709551617.0)),
        // Big numbers that are not big.
        ("c24105", Value::from(5_u64)),
        ("c24a0000ffffffffffffffff", Value::from(u64::MAX)),
        ("c240", Value::from(0_u64)),
        ("c34105", Value::from(-6_i64)),
        ("c348ffffffffffffffff", Value::Float(-18446744073709551616.0)),
        ("20", Value::from(-1_i64)),
        ("3903e7", Value::from(-1000_i64)),
        ("f90000", Value::Float(0.0)),
        ("f98000", Value::Float(-0.0)),
        ("f93e00", Value::Float(1.5)),
        ("f97bff", Value::Float(65504.0)),
        ("f90001", Value::Float(5.960464477539063e-8)),
        ("f90400", Value::Float(0.00006103515625)),
        ("fa47c35000", Value::Float(100000.0)),
        ("fb3ff199999999999a", Value::Float(1.1)),
        ("f97c00", Value::Float(f64::INFINITY)),
        ("f9fc00", Value::Float(f64::NEG_INFINITY)),
        ("f7", Value::Null),
        ("c074323031332d30332d32315432303a30343a30305a", Value::from("2013-03-21T20:04:00Z")),
        ("d74401020304", Value::Bytes(vec![1, 2, 3, 4])),
        ("5f42010243030405ff", Value::Bytes(vec![1, 2, 3, 4, 5])),
        ("7f657374726561646d696e67ff", Value::from("streaming")),
        ("9f018202039f0405ffff", json(b"[1,[2,3],[4,5]]").unwrap()),
        ("bf61610161629f0203ffff", json(br#"{"a":1,"b":[2,3]}"#).unwrap()),
    ] {
        let bytes = super::vectors::unhex(hex);
        assert_eq!(ours(Serializer::Cbor, &bytes), Some(expected), "{hex}");
    }
    // Simple values, keys that are no text, breaks out of place, pieces of another kind, reserved heads.
    for hex in [
        "f0",
        "f814",
        "f8ff",
        "a201020304",
        "ff",
        "81ff",
        "a16161ff",
        "5f6161ff",
        "5f5f4101ffff",
        "1c",
        "fc",
        "9f",
    ] {
        assert_eq!(ours(Serializer::Cbor, &super::vectors::unhex(hex)), None, "{hex}");
    }
    // A message itself may begin without a length, or with a tag.
    for frame in ["d9d9f79f1823 01ff", "9f182301ff"] {
        let bytes = Bytes::from(super::vectors::unhex(&frame.replace(' ', "")));
        assert!(matches!(Serializer::Cbor.decode(bytes), Ok(Message::Unsubscribed(_))), "{frame}");
    }
}

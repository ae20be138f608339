//! Bytes from strangers: whatever they are, they are refused with a reason, cheaply and without a panic.

use bytes::Bytes;
use ecep_proto::codec::{MAX_MESSAGE_BYTES, Serializer};
use ecep_proto::error::DecodeError;
use ecep_proto::message::Message;
use ecep_proto::rawsocket::{FrameHeader, Handshake};
use ecep_proto::value::{MAX_DEPTH, MAX_VALUES};
use proptest::prelude::*;

proptest! {
    /// Any bytes at all.
    #[test]
    fn noise(bytes in any::<Vec<u8>>()) {
        for serializer in Serializer::ALL {
            let _ = serializer.decode(Bytes::copy_from_slice(&bytes));
        }
    }

    /// Bytes that begin like a message get further into the decoder than noise does.
    #[test]
    fn noise_in_a_message(bytes in any::<Vec<u8>>(), code in any::<u8>(), json in "\\[[0-9]{1,2},.{0,60}\\]") {
        let mut message = vec![0x95, code, 0x01];
        message.extend_from_slice(&bytes);
        let _ = Serializer::MsgPack.decode(message.into());
        let _ = Serializer::Json.decode(Bytes::copy_from_slice(json.as_bytes()));
    }

    /// Any four bytes are a handshake or a header, or are refused; what is accepted is written the same way.
    #[test]
    fn rawsocket(bytes in any::<[u8; 4]>()) {
        if let Ok(handshake) = Handshake::decode(bytes) {
            prop_assert_eq!(handshake.encode(), bytes);
        }
        if let Ok(header) = FrameHeader::decode(bytes) {
            prop_assert_eq!(header.encode(), Some(bytes));
        }
    }
}

/// A message cut short anywhere is no message.
#[test]
fn truncated() {
    for message in super::frames::examples() {
        for serializer in Serializer::ALL {
            let bytes = serializer.encode(&message);
            for end in 0..bytes.len() {
                assert!(serializer.decode(bytes.slice(..end)).is_err(), "{message:?} cut at {end}");
            }
            let longer = [&bytes[..], &[0x90]].concat();
            assert!(serializer.decode(longer.into()).is_err(), "{message:?} and one byte more");
        }
    }
}

fn nested_json(depth: usize) -> Vec<u8> {
    // The message's own list, and Arguments, are two of them.
    format!("[48,1,{{}},\"p\",{}{}]", "[".repeat(depth - 1), "]".repeat(depth - 1)).into_bytes()
}

fn nested_msgpack(depth: usize) -> Vec<u8> {
    let mut bytes = vec![0x95, 48, 1, 0x80, 0xa1, b'p'];
    bytes.extend(std::iter::repeat_n(0x91, depth - 2));
    bytes.push(0x90);
    bytes
}

/// Deep nesting must not overflow the stack of a worker thread, and the bound is the same for both serializers.
#[test]
fn deep() {
    for depth in [2, MAX_DEPTH] {
        assert!(Serializer::Json.decode(nested_json(depth).into()).is_ok(), "{depth}");
        assert!(Serializer::MsgPack.decode(nested_msgpack(depth).into()).is_ok(), "{depth}");
    }
    for depth in [MAX_DEPTH + 1, 10_000, 1_000_000] {
        for error in [
            Serializer::Json.decode(nested_json(depth).into()).unwrap_err(),
            Serializer::MsgPack.decode(nested_msgpack(depth).into()).unwrap_err(),
        ] {
            assert!(error.to_string().contains("deeper than 64"), "{error}");
        }
    }
}

/// A length that is only claimed costs nothing; values that are there are counted.
#[test]
fn huge() {
    // Lists, dictionaries, text and bytes of 2^32-1 elements each, of which none follows.
    for start in [[0xdd].as_slice(), &[0xdf], &[0xdb], &[0xc6]] {
        let mut bytes = vec![0x95, 48, 1, 0x80, 0xa1, b'p'];
        bytes.extend_from_slice(start);
        bytes.extend_from_slice(&[0xff; 4]);
        assert!(matches!(Serializer::MsgPack.decode(bytes.into()), Err(DecodeError::Malformed { .. })));
    }
    // As many values as fit a message of 16 MiB would take 24 times its size.
    let mut bytes = vec![0x95, 48, 1, 0x80, 0xa1, b'p', 0xdd];
    bytes.extend_from_slice(&(MAX_VALUES as u32).to_be_bytes());
    bytes.resize(bytes.len() + MAX_VALUES, 0xc0);
    let error = Serializer::MsgPack.decode(bytes.into()).unwrap_err();
    assert!(error.to_string().contains("more than 1048576 values"), "{error}");
    let large = vec![b' '; MAX_MESSAGE_BYTES + 1];
    assert_eq!(Serializer::Json.decode(large.into()), Err(DecodeError::TooLarge(MAX_MESSAGE_BYTES + 1)));
}

/// Whoever sent it is told what is wrong.
#[test]
fn reasons() {
    for (json, reason) in [
        ("", "not a valid JSON value"),
        ("{}", "a WAMP message is a list"),
        ("[]", "a WAMP message is a list"),
        ("[\"48\"]", "a WAMP message is a list"),
        ("[99,1]", "99 is no known message type"),
        ("[48]", "CALL has no request"),
        ("[48,0,{},\"p\"]", "CALL.request must be an integer from 1 to 2^53, not an integer"),
        ("[48,9007199254740993,{},\"p\"]", "CALL.request must be an integer from 1 to 2^53"),
        ("[48,1.5,{},\"p\"]", "not a float"),
        ("[48,1,[],\"p\"]", "CALL.options must be a dictionary, not a list"),
        ("[48,1,{},7]", "CALL.procedure must be a string, not an integer"),
        ("[48,1,{},\"p\",{}]", "CALL.Arguments must be a list, not a dictionary"),
        ("[48,1,{},\"p\",[],[]]", "CALL.ArgumentsKw must be a dictionary, not a list"),
        ("[35,9007199254740993]", "UNSUBSCRIBED.request must be an integer from 0 to 2^53"),
        ("[67,0,1]", "UNREGISTERED.details must be a dictionary"),
        ("[3,{},\"r\",[],{},1]", "ABORT has 1 elements too many"),
        ("[48,1,{},\"p\",[],{},1,2]", "CALL has 2 elements too many"),
    ] {
        let error = Serializer::Json.decode(Bytes::copy_from_slice(json.as_bytes())).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
    // Keys that are no strings, and extension types, have no meaning in WAMP.
    for bytes in [
        vec![0x95, 48, 1, 0x81, 1, 1, 0xa1, b'p', 0x90],
        vec![0x95, 48, 1, 0x80, 0xa1, b'p', 0x91, 0xd4, 1, 0],
    ] {
        assert!(matches!(Serializer::MsgPack.decode(bytes.into()), Err(DecodeError::Malformed { .. })));
    }
    assert_eq!(
        Serializer::MsgPack.decode(Bytes::from_static(&[0x92, 35, 1, 0, 0])),
        Err(DecodeError::Trailing(2))
    );
}

/// A frame must not cost much more memory than it has bytes: dictionaries in options are counted, and a payload is not
/// read into memory to be passed on.
#[test]
fn many_small_dictionaries() {
    let dictionaries = |count: usize| vec![r#"{"a":1}"#; count].join(",");
    let hello = |count| Bytes::from(format!("[1,\"r\",{{\"x\":[{}]}}]", dictionaries(count)));
    assert!(Serializer::Json.decode(hello(100)).is_ok());
    let error = Serializer::Json.decode(hello(1000)).unwrap_err();
    assert_eq!(error, DecodeError::TooComplex { message: "HELLO", field: "details" });

    let frame = Bytes::from(format!("[16,1,{{}},\"t\",[{}]]", dictionaries(100_000)));
    let message = Serializer::Json.decode(frame.clone()).unwrap();
    assert_eq!(Serializer::Json.encode(&message), frame, "passed on as it came");
    let transcoded = Serializer::MsgPack.decode(Serializer::MsgPack.encode(&message)).unwrap();
    assert_eq!(Serializer::Json.encode(&transcoded), frame, "there and back, without being read into memory");
    let Message::Publish(publish) = message else { panic!("{message:?}") };
    assert!(publish.payload.is_too_complex());
    assert!(publish.payload.args().is_empty());
}

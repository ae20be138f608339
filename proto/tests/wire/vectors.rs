//! The test vectors of the WAMP project, where a copy lies beside the repository.

use std::path::Path;

use ecep_proto::codec::Serializer;
use ecep_proto::error::DecodeError;
use ecep_proto::message::Message;
use serde_json::Value as Json;

/// Beside the workspace; too large and not ours to keep in it.
const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/wamp-testsuite/singlemessage");

/// The name that the vectors give an attribute, and the element of ours that it is.
fn element(message: &Message, list: &[Json], attribute: &str) -> Option<Json> {
    let payload_at = match message {
        Message::Error(_) => 5,
        Message::Call(_) | Message::Publish(_) | Message::Event(_) | Message::Invocation(_) => 4,
        Message::CallResult(_) | Message::Yield(_) => 3,
        _ => usize::MAX,
    };
    let at = match (attribute, message) {
        ("message_type", _) => 0,
        ("args", _) => payload_at,
        ("kwargs", _) => payload_at.checked_add(1)?,
        ("roles", Message::Hello(_) | Message::Welcome(_)) => return list.get(2)?.get("roles").cloned(),
        ("realm" | "session_id" | "method" | "signature" | "request_type" | "subscription", _) => 1,
        ("request_id", Message::Error(_)) => 2,
        ("request_id", _) => 1,
        ("publication" | "publication_id" | "registration_id" | "subscription_id" | "extra", _) => 2,
        ("reason", _) => 2,
        ("details", Message::Abort(_) | Message::Goodbye(_)) => 1,
        ("details", Message::Error(_) | Message::Event(_) | Message::Invocation(_)) => 3,
        ("details", _) => 2,
        ("options", _) => 2,
        ("topic" | "procedure", _) => 3,
        ("error", _) => 4,
        _ => panic!("attribute {attribute} of {} is not known to this test", message.name()),
    };
    Some(list.get(at).cloned().unwrap_or(Json::Null))
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn check(name: &str, sample: &Json) -> usize {
    let attributes = sample["expected_attributes"].as_object().expect("a sample with bytes has attributes");
    let mut checked = 0;
    for serializer in Serializer::ALL {
        let key = serializer.subprotocol().trim_start_matches("wamp.2.");
        for variant in sample["serializers"][key].as_array().into_iter().flatten() {
            let bytes = unhex(variant["bytes_hex"].as_str().expect("bytes_hex"));
            let message = match serializer.decode(bytes.into()) {
                Ok(message) => message,
                // A proposal beyond the specification's messages.
                Err(DecodeError::UnknownType(337)) => continue,
                Err(error) => panic!("{name}: {error}"),
            };
            let list: Json = serde_json::from_slice(&Serializer::Json.encode(&message)).unwrap();
            for (attribute, expected) in attributes {
                if attribute == "payload" {
                    assert!(expected.is_null(), "{name}");
                    continue;
                }
                let found = element(&message, list.as_array().unwrap(), attribute);
                assert_eq!(found.as_ref(), Some(expected), "{name}: {attribute}");
            }
            let again = serializer.decode(serializer.encode(&message));
            assert_eq!(again, Ok(message), "{name}");
            checked += 1;
        }
    }
    checked
}

/// What other implementations send is read as the project says it should be.
#[test]
fn official_vectors() {
    if !Path::new(SUITE).is_dir() {
        println!("skipped: there is no {SUITE}");
        return;
    }
    let mut checked = 0;
    for folder in ["basic", "advanced"] {
        for entry in std::fs::read_dir(Path::new(SUITE).join(folder)).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            let file: Json = serde_json::from_str(&text).expect("the file is JSON");
            for sample in file["samples"].as_array().expect("samples") {
                // Without bytes it is about the meaning of options; with an opaque payload it is about payload
                // pass-through, which is not offered.
                let opaque =
                    sample["expected_attributes"].get("payload").is_some_and(|payload| !payload.is_null());
                if sample.get("serializers").is_none() || opaque {
                    continue;
                }
                let name = format!("{}: {}", path.display(), sample["description"]);
                checked += check(&name, sample);
            }
        }
    }
    assert!(checked > 60, "only {checked} encodings were checked");
}

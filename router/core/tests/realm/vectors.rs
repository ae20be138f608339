//! The test vectors of the WAMP project on options, where a copy lies beside the repository.

use std::path::Path;

use ecep_proto::codec::Serializer;
use ecep_proto::message::Message;
use ecep_router_core::features::{Feature, Features};
use serde_json::Value as Json;

use crate::world::World;

/// Beside the workspace; too large and not ours to keep in it.
const SUITE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/wamp-testsuite/singlemessage/basic");

/// A right option is taken, a wrong one ends the session with a sentence that names it.
#[test]
fn options() {
    if !Path::new(SUITE).is_dir() {
        println!("skipped: there is no {SUITE}");
        return;
    }
    let mut checked = 0;
    for name in ["publish", "subscribe"] {
        let text = std::fs::read(Path::new(SUITE).join(name).with_extension("json")).unwrap();
        let file: Json = serde_json::from_slice(&text).unwrap();
        for sample in file["samples"].as_array().unwrap() {
            // Encrypted payloads of an older proposal are no lists, and so no messages.
            let Some(list) = sample["wmsg"].as_array().filter(|list| list.len() == 4) else { continue };
            let message =
                Serializer::Json.decode(Json::from(list.clone()).to_string().into_bytes().into()).unwrap();
            let mut world = World::new();
            world.join_with("client", "c", "free", Features::default().with(Feature::PublisherPassthru));
            world.send("client", message);
            match sample["expected_error"]["contains"].as_str() {
                Some(option) => assert!(world.violation("client").contains(option), "{sample}"),
                None => {
                    let answers: Vec<Message> = world.take("client");
                    let is_fine =
                        |message: &Message| matches!(message, Message::Published(_) | Message::Subscribed(_));
                    assert!(!world.is_closed("client") && answers.iter().all(is_fine), "{sample}");
                }
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 43, "all of them");
}

//! What subscribers learn of a publisher, and of a payload that the router does not look into.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::{Disclosure, Role};

use crate::world::{World, dict};

fn world() -> World {
    let role = |name: &str, disclose_publisher, trustlevel| Role {
        disclose_publisher,
        trustlevel,
        ..Role::unrestricted(name)
    };
    let mut world = World::with_roles(vec![
        role("free", Disclosure::OnRequest, None),
        role("known", Disclosure::Always, Some(3)),
        role("unknown", Disclosure::Never, Some(0)),
    ]);
    world.join("reader");
    world.subscribe("reader", "com.topic", "exact");
    world
}

/// The role decides who is shown; who must stay unknown can't even ask for it.
#[test]
fn disclosure() {
    let mut world = world();
    let known = world.join_as("known", "kim", "known");
    world.join_as("unknown", "una", "unknown");
    world.publish("known", "com.topic", Dict::new(), Payload::default());
    let expected = dict(&[
        ("publisher", known.into()),
        ("publisher_authid", "kim".into()),
        ("publisher_authrole", "known".into()),
        ("trustlevel", 3_u64.into()),
    ]);
    assert_eq!(world.event("reader").details, expected);
    world.publish("unknown", "com.topic", Dict::new(), Payload::default());
    assert_eq!(world.event("reader").details, dict(&[("trustlevel", 0_u64.into())]));
    let mut options = dict(&[("disclose_me", true.into())]);
    world.publish("unknown", "com.topic", options.clone(), Payload::default());
    world.nothing("unknown");
    options.insert("acknowledge".into(), true.into());
    world.publish("unknown", "com.topic", options.clone(), Payload::default());
    assert_eq!(world.error("unknown").error, "wamp.error.option_disallowed.disclose_me");
    let args = vec!["com.topic".into()];
    let will = Payload::new(args, dict(&[("publish_options", Value::Map(options))]));
    world.call("unknown", "wamp.session.add_testament", Dict::new(), will);
    assert_eq!(world.error("unknown").error, "wamp.error.option_disallowed.disclose_me");
    world.nothing("reader");
}

/// The options that tell how to read such a payload reach everybody who gets it, retained or not; nothing else does.
#[test]
fn passthru() {
    let mut world = world();
    world.join_with("publisher", "p", "free", Features::default().with(Feature::PublisherPassthru));
    let ppt = dict(&[
        ("ppt_scheme", "x_my".into()),
        ("ppt_serializer", "cbor".into()),
        ("ppt_cipher", "aes256gcm".into()),
        ("ppt_keyid", "7".into()),
    ]);
    let mut options = ppt.clone();
    options.insert("retain".into(), true.into());
    options.insert("ppt_other".into(), true.into());
    let payload = Payload::of(Value::Bytes(vec![0, 255]));
    world.publish("publisher", "com.topic", options, payload.clone());
    let event = world.event("reader");
    assert_eq!((event.details, event.payload), (ppt.clone(), payload));
    world.join("late");
    let request = world.request();
    let options = dict(&[("get_retained", true.into())]);
    world.send("late", Subscribe { request, options, topic: "com.topic".into() });
    world.receive("late");
    let details = world.event("late").details;
    assert!(ppt.iter().all(|(name, value)| details.get(name) == Some(value)), "{details:?}");

    let without_scheme = dict(&[("ppt_scheme", "".into()), ("ppt_cipher", "aes256gcm".into())]);
    world.publish("publisher", "com.topic", without_scheme, Payload::default());
    assert_eq!(world.event("reader").details, Dict::new());
}

/// "Without announcing it during HELLO: must be treated as protocol errors."
#[test]
fn unannounced_passthru() {
    let mut world = world();
    world.join("publisher");
    world.publish("publisher", "com.topic", dict(&[("ppt_scheme", "x".into())]), Payload::default());
    assert!(world.violation("publisher").contains("payload_passthru_mode"));
    world.join_with("other", "p", "free", Features::default().with(Feature::PublisherPassthru));
    world.publish("other", "com.topic", dict(&[("ppt_keyid", 7_u64.into())]), Payload::default());
    assert!(world.violation("other").contains("ppt_keyid"));
    world.nothing("reader");
}

//! Who gets which event.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::Input;

use crate::world::{World, dict, text};

/// An event reaches whoever subscribed, unchanged, and nobody else.
#[test]
fn an_event_reaches_its_subscribers() {
    let mut world = World::new();
    for name in ["alice", "bob", "carol", "dave"] {
        world.join(name);
    }
    let subscription = world.subscribe("bob", "com.topic", "exact");
    assert_eq!(
        world.subscribe("carol", "com.topic", "exact"),
        subscription,
        "one subscription for one topic"
    );
    world.subscribe("dave", "com.other", "exact");
    let payload = Payload::new(vec![Value::Bytes(vec![0, 255])], dict(&[("k", Value::Float(0.5))]));
    world.publish("alice", "com.topic", Dict::new(), payload.clone());
    let event = world.event("bob");
    assert_eq!((event.subscription, &event.payload, event.details.len()), (subscription, &payload, 0));
    assert_eq!(world.event("carol"), event);
    world.nothing("dave");
    world.nothing("alice");
}

/// A publisher that asks for it is told that its event was taken, and under which id it went out.
#[test]
fn acknowledged_publication() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    world.subscribe("bob", "com.topic", "exact");
    let request =
        world.publish("alice", "com.topic", dict(&[("acknowledge", true.into())]), Payload::default());
    let event = world.event("bob");
    assert_eq!(world.receive("alice"), Published { request, publication: event.publication }.into());
}

/// A publisher gets its own event only if it says so.
#[test]
fn publisher_exclusion() {
    let mut world = World::new();
    world.join("alice");
    world.subscribe("alice", "com.topic", "exact");
    world.publish("alice", "com.topic", Dict::new(), Payload::default());
    world.publish("alice", "com.topic", dict(&[("exclude_me", true.into())]), Payload::default());
    world.nothing("alice");
    world.publish("alice", "com.topic", dict(&[("exclude_me", false.into())]), Payload::default());
    world.event("alice");
}

/// A subscriber by pattern must know which topic an event is of; one subscriber may match in several ways.
#[test]
fn patterns() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    let exact = world.subscribe("bob", "com.a.stats", "exact");
    let prefix = world.subscribe("bob", "com.a", "prefix");
    let wildcard = world.subscribe("bob", "com..stats", "wildcard");
    world.publish("alice", "com.a.stats", Dict::new(), Payload::default());
    let events: Vec<Event> = (0..3).map(|_| world.event("bob")).collect();
    let publication = events[0].publication;
    for event in &events {
        assert_eq!(event.publication, publication, "one publication");
        let topic = event.details.get("topic").and_then(Value::as_str);
        assert_eq!(topic, (event.subscription != exact).then_some("com.a.stats"));
    }
    let mut subscriptions: Vec<_> = events.iter().map(|event| event.subscription).collect();
    subscriptions.sort();
    assert_eq!(subscriptions, [exact, prefix, wildcard]);
    world.publish("alice", "com.ab", Dict::new(), Payload::default());
    assert_eq!(world.event("bob").subscription, prefix, "a prefix ends anywhere");
    world.publish("alice", "com.b.stats.x", Dict::new(), Payload::default());
    world.nothing("bob");
}

/// Who published is told only if the publisher wants it.
#[test]
fn publisher_disclosure() {
    let mut world = World::new();
    let alice = world.join_as("alice", "alice@example", "free");
    world.join("bob");
    world.subscribe("bob", "com.topic", "exact");
    world.publish("alice", "com.topic", dict(&[("disclose_me", true.into())]), Payload::default());
    let expected = dict(&[
        ("publisher", alice.into()),
        ("publisher_authid", "alice@example".into()),
        ("publisher_authrole", "free".into()),
    ]);
    assert_eq!(world.event("bob").details, expected);
}

/// After UNSUBSCRIBE, or when it has gone, a subscriber gets nothing more.
#[test]
fn leaving() {
    let mut world = World::new();
    for name in ["alice", "bob", "carol"] {
        world.join(name);
    }
    let subscription = world.subscribe("bob", "com.topic", "exact");
    world.subscribe("carol", "com.topic", "exact");
    let request = world.request();
    world.send("bob", Unsubscribe { request, subscription });
    assert_eq!(world.receive("bob"), Unsubscribed::answer(request).into());
    world.lose("carol");
    world.publish("alice", "com.topic", Dict::new(), Payload::default());
    world.nothing("bob");
    world.nothing("carol");
    world.send("bob", Unsubscribe { request, subscription });
    assert_eq!(world.error("bob").error, "wamp.error.no_such_subscription");
    assert_ne!(world.subscribe("bob", "com.topic", "exact"), subscription, "an old id does not come back");
}

/// A wrong topic is an error of that request, with the reason, and the session goes on.
#[test]
fn wrong_topics() {
    let mut world = World::new();
    world.join("alice");
    let acknowledged = || dict(&[("acknowledge", true.into())]);
    world.publish("alice", "com.bad topic", acknowledged(), Payload::default());
    let error = world.error("alice");
    assert_eq!((error.request_type, error.error.as_str()), (Publish::CODE, "wamp.error.invalid_uri"));
    assert!(text(&error.payload).contains("' '"), "{error:?}");
    world.publish("alice", "wamp.session.on_join", acknowledged(), Payload::default());
    assert_eq!(world.error("alice").error, "wamp.error.invalid_uri");
    world.publish("alice", "com..topic", Dict::new(), Payload::default());
    world.nothing("alice");
    let request = world.request();
    world.send("alice", Subscribe { request, options: Dict::new(), topic: String::new() });
    assert_eq!(world.error("alice").error, "wamp.error.invalid_uri");
    world.subscribe("alice", "com.topic", "exact");
}

/// Options of the wrong type are no small mistake: the client does not know the protocol.
#[test]
fn wrong_options() {
    for (option, value) in [
        ("acknowledge", "yes".into()),
        ("exclude_me", 1_i64.into()),
        ("disclose_me", Value::List(vec![])),
        ("retain", 1_i64.into()),
    ] {
        let mut world = World::new();
        world.join("alice");
        world.publish("alice", "com.topic", dict(&[(option, value)]), Payload::default());
        assert!(world.violation("alice").contains(option));
    }
    for value in [Value::from("bogus"), Value::from(123_i64)] {
        let mut world = World::new();
        world.join("alice");
        let request = world.request();
        world.send(
            "alice",
            Subscribe { request, options: dict(&[("match", value)]), topic: "com.topic".into() },
        );
        assert!(world.violation("alice").contains("match"));
    }
}

/// A telemetry token once subscribed to 150,000 topics, and the router kept them all: a session must be bounded, told,
/// and able to go on.
#[test]
fn a_session_subscribes_only_so_often() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    let first = world.subscribe("alice", "com.topic.0", "exact");
    for number in 1..ecep_router_core::MAX_SUBSCRIPTIONS {
        world.subscribe("alice", &format!("com.topic.{number}"), "exact");
    }
    let request = world.request();
    world.send("alice", Subscribe { request, options: Dict::new(), topic: "com.topic.more".into() });
    match world.receive("alice") {
        Message::Error(error) => {
            assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.limit_exceeded"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.subscribe("alice", "com.topic.0", "exact"), first, "what it has is not one more");
    world.subscribe("bob", "com.topic.more", "exact");
    let request = world.request();
    world.send("alice", Unsubscribe { request, subscription: first });
    world.receive("alice");
    world.subscribe("alice", "com.topic.more", "exact");
}

/// A subscriber is not to blame for an event that it can't take: it misses this one and goes on.
#[test]
fn too_large() {
    let mut world = World::new();
    for name in ["publisher", "small", "other"] {
        world.join(name);
    }
    for name in ["small", "other"] {
        world.subscribe(name, "com.topic", "exact");
    }
    world.publish("publisher", "com.topic", Dict::new(), Payload::of("large"));
    let message = world.receive("small");
    world.input(Input::TooLarge { session: world.key("small"), message });
    world.nothing("small");
    assert_eq!(world.event("other").payload, Payload::of("large"));
    world.publish("publisher", "com.topic", Dict::new(), Payload::of("small"));
    assert_eq!(world.event("small").payload, Payload::of("small"));
}

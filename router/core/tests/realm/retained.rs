//! Events that are kept for whoever subscribes later: the last one that it would have got, and no other.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::permissions::Role;
use ecep_router_core::{MAX_RETAINED_BYTES, MAX_RETAINED_EVENTS, MAX_RETAINED_OF_TOPIC};

use crate::world::{World, dict};

fn world() -> World {
    let mut world = World::with_roles(["free", "staff", "manager"].map(Role::unrestricted).to_vec());
    world.join("publisher");
    world
}

fn retain(world: &mut World, from: &str, topic: &str, mark: u64, options: &[(&str, Value)]) {
    let mut options = dict(options);
    options.insert("retain".into(), true.into());
    options.insert("acknowledge".into(), true.into());
    world.publish(from, topic, options, Payload::of(mark));
    match world.receive(from) {
        Message::Published(_) => {}
        other => panic!("{other:?}"),
    }
}

/// Subscribes and takes the retained events that come: each one's topic, if it is told, and mark.
fn late(world: &mut World, name: &str, topic: &str, kind: &str) -> Vec<(Option<String>, u64)> {
    let request = world.request();
    let options = dict(&[("match", kind.into()), ("get_retained", true.into())]);
    world.send(name, Subscribe { request, options, topic: topic.into() });
    let Message::Subscribed(subscribed) = world.receive(name) else { panic!("no SUBSCRIBED") };
    let events = world.events(name);
    let read = |event: Event| {
        assert_eq!(event.details["retained"], true.into());
        assert_eq!(event.subscription, subscribed.subscription);
        let topic = event.details.get("topic").map(|topic| topic.as_str().unwrap().to_owned());
        (topic, event.payload.args()[0].as_u64().unwrap())
    };
    events.into_iter().map(read).collect()
}

fn list(entries: &[&str]) -> Value {
    Value::List(entries.iter().map(|entry| Value::from(*entry)).collect())
}

/// The last one, to those who ask for it; whoever was there got it as an ordinary event.
#[test]
fn the_last_one() {
    let mut world = world();
    world.join("early");
    world.subscribe("early", "com.t", "exact");
    retain(&mut world, "publisher", "com.t", 1, &[]);
    retain(&mut world, "publisher", "com.t", 2, &[("disclose_me", true.into())]);
    world.publish("publisher", "com.t", Dict::new(), Payload::of(3_u64));
    for mark in 1..4_u64 {
        let event = world.event("early");
        assert_eq!((event.payload, event.details.get("retained")), (Payload::of(mark), None));
    }
    world.lose("publisher");
    world.join("late");
    world.subscribe("late", "com.t", "exact");
    world.nothing("late");
    assert_eq!(late(&mut world, "late", "com.t", "exact"), [(None, 2)], "asked again, with the option");
    world.join("later");
    let request = world.request();
    let options = dict(&[("get_retained", true.into())]);
    world.send("later", Subscribe { request, options, topic: "com.t".into() });
    world.receive("later");
    assert_eq!(world.event("later").details["publisher_authid"], "publisher".into());
    assert_eq!(late(&mut world, "later", "com.other", "exact"), []);
}

/// One of each topic that a pattern covers.
#[test]
fn patterns() {
    let mut world = world();
    for (topic, mark) in [("com.a.x", 1), ("com.a.y", 2), ("com.ab", 3), ("com.b.x", 4), ("org.a.x", 5)] {
        retain(&mut world, "publisher", topic, mark, &[]);
    }
    let found = |topic: &str, mark| (Some(topic.to_owned()), mark);
    world.join("late");
    let prefix = late(&mut world, "late", "com.a", "prefix");
    assert_eq!(prefix, [found("com.a.x", 1), found("com.a.y", 2), found("com.ab", 3)]);
    assert_eq!(late(&mut world, "late", "com.a.", "wildcard"), [found("com.a.x", 1), found("com.a.y", 2)]);
    assert_eq!(late(&mut world, "late", "com..x", "wildcard"), [found("com.a.x", 1), found("com.b.x", 4)]);
    assert_eq!(late(&mut world, "late", ".a.x", "wildcard"), [found("com.a.x", 1), found("org.a.x", 5)]);
    assert_eq!(late(&mut world, "late", "com.", "wildcard"), [found("com.ab", 3)]);
    assert_eq!(late(&mut world, "late", "o", "prefix"), [found("org.a.x", 5)]);
}

/// "The Broker must not send a Retained Event that the subscriber would not be eligible to receive."
#[test]
fn lists_hold() {
    let mut world = world();
    retain(&mut world, "publisher", "com.t", 1, &[]);
    retain(&mut world, "publisher", "com.t", 2, &[("eligible_authrole", list(&["manager"]))]);
    retain(&mut world, "publisher", "com.t", 3, &[("exclude_authid", list(&["ann", "mia"]))]);
    world.join_as("ann", "ann", "staff");
    world.join_as("mia", "mia", "manager");
    world.join_as("bob", "bob", "staff");
    assert_eq!(late(&mut world, "ann", "com.t", "exact"), [(None, 1)]);
    assert_eq!(late(&mut world, "mia", "com.t", "exact"), [(None, 2)]);
    assert_eq!(late(&mut world, "bob", "com.t", "exact"), [(None, 3)]);
    retain(&mut world, "publisher", "com.t", 4, &[("exclude_authid", list(&["mia", "ann"]))]);
    assert_eq!(late(&mut world, "mia", "com.t", "exact"), [(None, 2)]);
    world.event("bob");
    assert_eq!(late(&mut world, "bob", "com.t", "exact"), [(None, 4)]);
    assert_eq!(world.retained().events, 3);
    retain(&mut world, "publisher", "com.t", 5, &[("exclude_me", false.into())]);
    assert_eq!(world.retained().events, 1, "nobody gets the older ones any more");
}

/// A publisher gets its own event back only if it wanted it; else the last one of somebody else.
#[test]
fn the_publisher_itself() {
    let mut world = world();
    world.join("second");
    retain(&mut world, "publisher", "com.t", 1, &[]);
    assert_eq!(late(&mut world, "publisher", "com.t", "exact"), []);
    retain(&mut world, "second", "com.t", 2, &[]);
    world.event("publisher");
    retain(&mut world, "publisher", "com.t", 3, &[]);
    retain(&mut world, "publisher", "com.t", 4, &[]);
    assert_eq!(world.retained().events, 2);
    assert_eq!(late(&mut world, "publisher", "com.t", "exact"), [(None, 2)]);
    assert_eq!(late(&mut world, "second", "com.t", "exact"), [(None, 4)]);
    retain(&mut world, "publisher", "com.t", 5, &[("exclude_me", false.into())]);
    world.event("publisher");
    assert_eq!(late(&mut world, "publisher", "com.t", "exact"), [(None, 5)]);
}

/// A testament can be retained: whoever comes later still learns that its session has gone.
#[test]
fn testaments() {
    let mut world = world();
    world.join("testator");
    let options = Value::Map(dict(&[("retain", true.into())]));
    let args = vec!["com.state".into(), Value::List(vec![7_u64.into()])];
    let payload = Payload::new(args, dict(&[("publish_options", options)]));
    world.call("testator", "wamp.session.add_testament", Dict::new(), payload);
    world.result("testator");
    world.lose("testator");
    assert_eq!(late(&mut world, "publisher", "com.state", "exact"), [(None, 7)]);
}

/// What is retained is bounded, and whoever can be told is told.
#[test]
fn limits() {
    let options = |acknowledge: bool| dict(&[("retain", true.into()), ("acknowledge", acknowledge.into())]);
    let mut world = world();
    world.join("early");
    world.subscribe("early", "com.t", "exact");
    for mark in 0..MAX_RETAINED_OF_TOPIC as u64 {
        let eligible = Value::List(vec![(mark + 1).into()]);
        retain(&mut world, "publisher", "com.t", mark, &[("eligible", eligible)]);
    }
    let mut more = options(true);
    more.insert("eligible_authid".into(), list(&["early"]));
    world.publish("publisher", "com.t", more.clone(), Payload::default());
    assert_eq!(world.error("publisher").error, "wamp.error.limit_exceeded");
    world.nothing("early");
    more.remove("acknowledge");
    world.publish("publisher", "com.t", more, Payload::default());
    world.event("early");
    assert_eq!(world.retained().refused, 1);
    retain(&mut world, "publisher", "com.t", 1, &[]);
    world.event("early");
    assert_eq!(world.retained().events, 1);

    let large = Payload::of("x".repeat(MAX_RETAINED_BYTES / 2));
    world.publish("publisher", "com.large1", options(true), large.clone());
    assert!(matches!(world.receive("publisher"), Message::Published(_)));
    world.publish("publisher", "com.large2", options(true), large.clone());
    assert_eq!(world.error("publisher").error, "wamp.error.limit_exceeded");
    world.publish("publisher", "com.large1", options(true), large);
    assert!(matches!(world.receive("publisher"), Message::Published(_)), "in the place of the old one");
    retain(&mut world, "publisher", "com.large1", 1, &[]);

    for number in world.retained().events..MAX_RETAINED_EVENTS {
        retain(&mut world, "publisher", &format!("com.topic{number}"), 1, &[]);
    }
    world.publish("publisher", "com.more", options(true), Payload::default());
    assert_eq!(world.error("publisher").error, "wamp.error.limit_exceeded");
    retain(&mut world, "publisher", "com.t", 2, &[]);
    assert!(world.retained().bytes < MAX_RETAINED_BYTES);
}

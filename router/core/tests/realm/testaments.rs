//! What a session leaves to be published when it has gone, whichever way it goes.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::{Input, MAX_TESTAMENT_BYTES, MAX_TESTAMENTS};

use crate::world::{World, dict};

fn world() -> World {
    let anything =
        |uri: &str, action| Rule { uri: uri.into(), matching: Match::Prefix, actions: vec![action] };
    let narrow = Role {
        name: "narrow".into(),
        rules: vec![anything("wamp.", Action::Call), anything("com.", Action::Publish)],
        ..Role::default()
    };
    let mut world = World::with_roles(vec![Role::unrestricted("free"), narrow]);
    world.join("watcher");
    world.subscribe("watcher", "com.", "prefix");
    world.subscribe("watcher", "wamp.session.on_leave", "exact");
    world.join_as("testator", "testator", "narrow");
    world
}

fn leave(world: &mut World, topic: &str, arg: &str, kwargs: &[(&str, Value)]) {
    let args = vec![topic.into(), Value::List(vec![arg.into()]), Value::Map(dict(&[("k", arg.into())]))];
    let payload = Payload::new(args, dict(kwargs));
    world.call("testator", "wamp.session.add_testament", Dict::new(), payload);
    assert_eq!(world.result("testator").payload, Payload::default());
}

#[track_caller]
fn refused(world: &mut World, args: Vec<Value>, kwargs: &[(&str, Value)], error: &str) {
    world.call("testator", "wamp.session.add_testament", Dict::new(), Payload::new(args, dict(kwargs)));
    assert_eq!(world.error("testator").error, error);
}

#[track_caller]
fn published(world: &mut World, topic: &str, arg: &str) -> Event {
    let event = world.event("watcher");
    assert_eq!(event.details["topic"], topic.into());
    assert_eq!(event.payload, Payload::new(vec![arg.into()], dict(&[("k", arg.into())])));
    event
}

#[track_caller]
fn left(world: &mut World) {
    let event = world.event("watcher");
    assert_eq!(event.payload.args()[1], "testator".into(), "on_leave comes last");
    world.nothing("watcher");
}

/// Every way a session can end, and the message or loss that ends it.
#[test]
fn every_end() {
    fn abort() -> Abort {
        Abort { details: Dict::new(), reason: "com.reason".into(), payload: Payload::default() }
    }
    let ends: [fn(&mut World); 6] = [
        |world| world.lose("testator"),
        |world| world.input(Input::Expel { session: world.key("testator"), reason: "too slow".into() }),
        |world| world.input(Input::Malformed { session: world.key("testator"), reason: "no WAMP".into() }),
        |world| world.send("testator", abort()),
        |world| {
            let kill = Payload::of("testator");
            world.call("watcher", "wamp.session.kill_by_authid", Dict::new(), kill);
        },
        |world| {
            world.send(
                "testator",
                Published {
                    request: ecep_proto::id::RequestId::FIRST,
                    publication: ecep_proto::id::PublicationId::FIRST,
                },
            );
        },
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut world = world();
        leave(&mut world, "com.will", "gone", &[]);
        world.nothing("watcher");
        end(&mut world);
        published(&mut world, "com.will", "gone");
        if number == 4 {
            world.result("watcher");
        }
        left(&mut world);
        world.lose("testator");
        world.nothing("watcher");
    }
    let mut world = world();
    leave(&mut world, "com.will", "gone", &[]);
    world.send("testator", Goodbye { details: Dict::new(), reason: "wamp.close.close_realm".into() });
    published(&mut world, "com.will", "gone");
    left(&mut world);
}

/// "Closing all sessions will not generate testament events": whoever ends everybody wants silence.
#[test]
fn kill_all() {
    let mut world = world();
    leave(&mut world, "com.will", "gone", &[]);
    world.call("watcher", "wamp.session.kill_all", Dict::new(), Payload::default());
    assert_eq!(world.result("watcher").payload, Payload::of(1_u64));
    world.nothing("watcher");
}

/// "Detached before destroyed", each in the order in which they were left.
#[test]
fn order() {
    let mut world = world();
    leave(&mut world, "com.a", "1", &[]);
    leave(&mut world, "com.b", "2", &[("scope", "detached".into())]);
    leave(&mut world, "com.c", "3", &[("scope", "destroyed".into())]);
    leave(&mut world, "com.d", "4", &[("scope", "detached".into())]);
    world.lose("testator");
    for (topic, arg) in [("com.b", "2"), ("com.d", "4"), ("com.a", "1"), ("com.c", "3")] {
        published(&mut world, topic, arg);
    }
    left(&mut world);
}

/// Who leaves in order takes its words back; each scope by itself.
#[test]
fn flush() {
    let mut world = world();
    leave(&mut world, "com.a", "1", &[]);
    leave(&mut world, "com.b", "2", &[("scope", "detached".into())]);
    world.call("testator", "wamp.session.flush_testaments", Dict::new(), Payload::default());
    assert_eq!(world.result("testator").payload, Payload::default());
    world.lose("testator");
    published(&mut world, "com.b", "2");
    left(&mut world);
}

/// The options of the publication hold, but for the answer that nobody is there to get.
#[test]
fn options() {
    let mut world = world();
    world.join("other");
    world.subscribe("other", "com.will", "exact");
    let eligible = Value::List(vec!["watcher".into()]);
    let options =
        dict(&[("eligible_authid", eligible), ("acknowledge", true.into()), ("disclose_me", true.into())]);
    leave(&mut world, "com.will", "gone", &[("publish_options", Value::Map(options))]);
    world.lose("testator");
    assert_eq!(published(&mut world, "com.will", "gone").details["publisher_authid"], "testator".into());
    left(&mut world);
    world.nothing("other");
}

/// Nobody may leave what it may not publish; a wrong argument ends no session.
#[test]
fn refusals() {
    let mut world = world();
    let add = |options: &[(&str, Value)]| [("publish_options", Value::Map(dict(options)))];
    refused(&mut world, vec!["org.other".into()], &[], "wamp.error.not_authorized");
    refused(&mut world, vec!["wamp.session.on_leave".into()], &[], "wamp.error.invalid_uri");
    refused(&mut world, vec!["com..x".into()], &[], "wamp.error.invalid_uri");
    refused(&mut world, vec![], &[], "wamp.error.invalid_argument");
    refused(&mut world, vec!["com.x".into(), "arg".into()], &[], "wamp.error.invalid_argument");
    let scope = [("scope", Value::from("never"))];
    refused(&mut world, vec!["com.x".into()], &scope, "wamp.error.invalid_argument");
    let wrong = add(&[("eligible", "me".into())]);
    refused(&mut world, vec!["com.x".into()], &wrong, "wamp.error.invalid_argument");
    world.lose("testator");
    left(&mut world);
}

/// What the router keeps for an idle session is bounded.
#[test]
fn limits() {
    let mut world = world();
    let large = "x".repeat(MAX_TESTAMENT_BYTES);
    refused(
        &mut world,
        vec!["com.x".into(), Value::List(vec![large.into()])],
        &[],
        "wamp.error.limit_exceeded",
    );
    let many = Value::List((0..MAX_TESTAMENT_BYTES / 24).map(|id| Value::from(id as u64 + 1)).collect());
    let options = [("publish_options", Value::Map(dict(&[("exclude", many)])))];
    refused(&mut world, vec!["com.x".into()], &options, "wamp.error.limit_exceeded");
    for number in 0..MAX_TESTAMENTS {
        let scope = if number % 2 == 0 { "detached" } else { "destroyed" };
        leave(&mut world, "com.x", "y", &[("scope", scope.into())]);
    }
    refused(&mut world, vec!["com.x".into()], &[], "wamp.error.limit_exceeded");
    world.call("testator", "wamp.session.flush_testaments", Dict::new(), Payload::default());
    world.result("testator");
    leave(&mut world, "com.x", "y", &[]);
}

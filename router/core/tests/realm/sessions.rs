//! How sessions begin and end.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::Input;
use ecep_router_core::greeting::{read_authenticate, read_hello};

use crate::world::{World, dict};

fn hello(details: Dict) -> Message {
    Hello { realm: "com.realm".into(), details }.into()
}

fn roles() -> (&'static str, Value) {
    ("roles", Value::Map(dict(&[("caller", Value::Map(Dict::new()))])))
}

/// What a client says first is understood, or refused with the reason in `message`.
#[test]
fn greetings() {
    let greeting = read_hello(hello(dict(&[roles()]))).unwrap();
    assert_eq!((greeting.realm.as_str(), greeting.methods), ("com.realm", vec!["anonymous".to_owned()]));
    let methods = Value::List(vec!["ticket".into(), "anonymous".into()]);
    let greeting =
        read_hello(hello(dict(&[roles(), ("authmethods", methods), ("authid", "joe".into())]))).unwrap();
    assert_eq!((greeting.authid.as_str(), greeting.choose(&["anonymous", "ticket"])), ("joe", Ok("ticket")));
    let refused = greeting.choose(&["scram"]).unwrap_err();
    assert_eq!(refused.reason, "wamp.error.no_matching_auth_method");
    let spaces = Hello { realm: "my realm".into(), details: dict(&[roles()]) };
    assert_eq!(read_hello(spaces.into()).unwrap_err().reason, "wamp.error.invalid_uri");
    for (message, reason) in [
        (hello(Dict::new()), "roles"),
        (hello(dict(&[("roles", Value::Map(Dict::new()))])), "roles"),
        (hello(dict(&[roles(), ("authid", 1_i64.into())])), "authid"),
        (hello(dict(&[roles(), ("authmethods", "ticket".into())])), "authmethods"),
        (hello(dict(&[roles(), ("authmethods", Value::List(vec![1_i64.into()]))])), "authmethods"),
        (hello(dict(&[("roles", Value::Map(dict(&[("caller", true.into())])))])), "roles.caller"),
        (
            Goodbye { details: Dict::new(), reason: "wamp.close.normal".into() }.into(),
            "first message must be HELLO",
        ),
    ] {
        let abort = read_hello(message).unwrap_err();
        assert_eq!(abort.reason, "wamp.error.protocol_violation");
        assert!(abort.details["message"].as_str().unwrap().contains(reason), "{abort:?}");
    }
    assert!(read_authenticate(hello(Dict::new())).is_err());
    let abort =
        Abort { details: Dict::new(), reason: "wamp.error.not_now".into(), payload: Payload::default() };
    assert_eq!(read_authenticate(abort.into()), Ok(None));
}

/// A role that the authenticator names but the realm does not know must not get in with some default.
#[test]
fn unknown_role() {
    let mut world = World::new();
    let Message::Abort(abort) = world.try_join("alice", "emperor") else { panic!("alice was let in") };
    assert_eq!(abort.reason, "wamp.error.no_such_role");
    assert!(world.is_closed("alice"));
}

/// Only what works may be announced: clients choose their ways by it.
#[test]
fn welcome_announces_what_works() {
    let mut world = World::new();
    let Message::Welcome(welcome) = world.try_join("alice", "free") else { panic!("alice was not let in") };
    let roles = welcome.details["roles"].as_map().unwrap();
    let features = |role: &str| -> Vec<String> {
        roles[role].as_map().unwrap()["features"].as_map().unwrap().keys().cloned().collect()
    };
    let broker = [
        "event_retention",
        "pattern_based_subscription",
        "payload_passthru_mode",
        "publication_trustlevels",
        "publisher_exclusion",
        "publisher_identification",
        "session_meta_api",
        "subscriber_blackwhite_listing",
        "subscription_meta_api",
        "subscription_revocation",
    ];
    assert_eq!(features("broker"), broker);
    let dealer = [
        "call_canceling",
        "call_reroute",
        "call_timeout",
        "call_trustlevels",
        "caller_identification",
        "pattern_based_registration",
        "payload_passthru_mode",
        "progressive_call_invocations",
        "progressive_call_results",
        "registration_meta_api",
        "registration_revocation",
        "session_meta_api",
        "shared_registration",
        "testament_meta_api",
    ];
    assert_eq!(features("dealer"), dealer);
    assert_eq!(welcome.details["authid"], "alice".into());
    assert_eq!(welcome.details["realm"], "test.realm".into());
}

/// GOODBYE is answered, then the session is over: whatever else it sends is ignored.
#[test]
fn goodbye() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    world.subscribe("alice", "com.topic", "exact");
    world.send("alice", Goodbye { details: Dict::new(), reason: "wamp.close.close_realm".into() });
    let reason = "wamp.close.goodbye_and_out".to_owned();
    assert_eq!(world.receive("alice"), Goodbye { details: Dict::new(), reason }.into());
    assert!(world.is_closed("alice"));
    world.publish("bob", "com.topic", Dict::new(), Payload::default());
    world.call("alice", "wamp.session.count", Dict::new(), Payload::default());
    world.nothing("alice");
}

/// A client that breaks the protocol is told how, and is out.
#[test]
fn violations() {
    let request = World::new().request();
    let messages: [Message; 5] = [
        hello(dict(&[roles()])),
        Authenticate { signature: String::new(), extra: Dict::new() }.into(),
        Unregistered::answer(request).into(),
        Interrupt { request, options: Dict::new() }.into(),
        Error {
            request_type: Call::CODE,
            request,
            details: Dict::new(),
            error: "com.error".into(),
            payload: Payload::default(),
        }
        .into(),
    ];
    for message in messages {
        let mut world = World::new();
        world.join("alice");
        let name = message.name();
        world.send("alice", message);
        let reason = world.violation("alice");
        assert!(reason.contains(name) || reason.contains("INVOCATION"), "{name}: {reason}");
    }
    let mut world = World::new();
    world.join("alice");
    world.input(Input::Malformed { session: world.key("alice"), reason: "99 is no message".into() });
    assert_eq!(world.violation("alice"), "99 is no message");
}

/// A session that the router must end is told why, and its calls end with it.
#[test]
fn expulsion() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    world.register("alice", "com.sum");
    world.call("bob", "com.sum", Dict::new(), Payload::default());
    world.invocation("alice");
    world.input(Input::Expel { session: world.key("alice"), reason: "too slow".into() });
    let Message::Goodbye(goodbye) = world.receive("alice") else { panic!("no GOODBYE") };
    assert_eq!(
        (goodbye.reason.as_str(), &goodbye.details["message"]),
        ("wamp.close.killed", &"too slow".into())
    );
    assert!(world.is_closed("alice"));
    assert_eq!(world.error("bob").error, "wamp.error.canceled");
}

/// When the router shuts down, every client hears it, so that it reconnects instead of guessing.
#[test]
fn shutdown() {
    let mut world = World::new();
    world.join("alice");
    world.join("bob");
    world.register("alice", "com.sum");
    world.call("bob", "com.sum", Dict::new(), Payload::default());
    world.invocation("alice");
    world.input(Input::Shutdown);
    for name in ["alice", "bob"] {
        let Message::Goodbye(goodbye) = world.receive(name) else { panic!("no GOODBYE") };
        assert_eq!(goodbye.reason, "wamp.close.system_shutdown");
        assert!(world.is_closed(name));
        world.lose(name);
    }
}

//! The compatibility profile: what `wamp_async` clients see, and what others see of them.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::permissions::Role;
use ecep_router_core::profile::Profile;

use crate::world::{World, dict, text};

fn world() -> World {
    let agent = Role { profile: Profile::WampAsync, ..Role::unrestricted("device") };
    let mut world = World::with_roles(vec![Role::unrestricted("free"), agent]);
    world.join_as("agent", "d1", "device");
    world
}

/// Audit needs to know who called: what a caller claims about itself must not survive.
#[test]
fn an_agent_is_told_who_calls() {
    let mut world = world();
    let caller = world.join_as("caller", "carl", "free");
    world.register("agent", "com.do");
    let forged = dict(&[("_caller", "the owner".into()), ("id", 7_i64.into())]);
    world.call("caller", "com.do", Dict::new(), Payload::new(vec![], forged));
    let invocation = world.invocation("agent");
    let expected =
        dict(&[("session", caller.into()), ("authid", "carl".into()), ("authrole", "free".into())]);
    let kwargs = invocation.payload.kwargs().unwrap();
    assert_eq!(kwargs, &dict(&[("_caller", Value::Map(expected)), ("id", 7_i64.into())]));
    assert_eq!(invocation.details, Dict::new());
}

/// Everybody else's payload is theirs.
#[test]
fn others_see_ordinary_wamp() {
    let mut world = world();
    world.join("callee");
    world.register("callee", "com.plain");
    let kwargs = dict(&[("_caller", "whatever".into())]);
    world.call("agent", "com.plain", Dict::new(), Payload::new(vec![], kwargs.clone()));
    let invocation = world.invocation("callee");
    assert_eq!(invocation.payload.kwargs(), Some(&kwargs));
    let envelope = Payload::new(vec![], dict(&[("ok", 1_i64.into())]));
    world.answer("callee", invocation.request, envelope.clone());
    assert_eq!(world.result("agent").payload, envelope, "no envelope, as its callee is no agent");
}

/// A third-party caller gets an ordinary RESULT or ERROR from an agent.
#[test]
fn envelopes_are_unfolded() {
    let mut world = world();
    world.join("caller");
    world.register("agent", "com.do");
    world.call("caller", "com.do", Dict::new(), Payload::default());
    let invocation = world.invocation("agent");
    world.answer("agent", invocation.request, Payload::new(vec![], dict(&[("ok", Value::List(vec![]))])));
    assert_eq!(world.result("caller").payload, Payload::of(Value::List(vec![])));

    world.call("caller", "com.do", Dict::new(), Payload::default());
    let invocation = world.invocation("agent");
    let details = dict(&[("container", "c1".into())]);
    let error = dict(&[
        ("uri", "com.error.gone".into()),
        ("message", "there is no container c1".into()),
        ("details", Value::Map(details.clone())),
    ]);
    world.answer("agent", invocation.request, Payload::new(vec![], dict(&[("error", Value::Map(error))])));
    let error = world.error("caller");
    assert_eq!((error.error.as_str(), text(&error.payload)), ("com.error.gone", "there is no container c1"));
    assert_eq!(error.payload.kwargs(), Some(&details));
    assert_eq!(error.details, Dict::new(), "ordinary callers get no copies");
}

/// `wamp_async` shows its caller only an error's details: the message and the particulars must be in there, as text.
#[test]
fn errors_are_repeated_in_details() {
    let mut world = world();
    world.join("callee");
    world.register("callee", "com.plain");
    world.call("agent", "com.plain", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    let kwargs = dict(&[("load", Value::Float(0.5)), ("offset", Value::from(-1_i64))]);
    world.send(
        "callee",
        Error {
            request_type: Invocation::CODE,
            request: invocation.request,
            details: dict(&[("load", Value::Float(0.5))]),
            error: "com.error.busy".into(),
            payload: Payload::new(vec!["too busy".into()], kwargs),
        },
    );
    let expected = dict(&[("message", "too busy".into()), ("details", r#"{"load":0.5,"offset":-1}"#.into())]);
    assert_eq!(world.error("agent").details, expected, "nothing else: a float in there ends its session");
    world.call("agent", "com.nobody", Dict::new(), Payload::default());
    assert_eq!(world.error("agent").details, dict(&[("message", "nobody has registered com.nobody".into())]));
}

/// An agent whose connection broke takes over at once; nobody else can.
#[test]
fn a_reconnected_agent_takes_over() {
    let mut world = world();
    world.join("caller");
    let old = world.register("agent", "com.do");
    world.join_as("agent again", "d1", "device");
    world.join_as("thief", "d2", "device");
    let request = world.request();
    world.send("thief", Register { request, options: Dict::new(), procedure: "com.do".into() });
    assert_eq!(world.error("thief").error, "wamp.error.procedure_already_exists");
    world.register("agent again", "com.do");
    world.call("caller", "com.do", Dict::new(), Payload::default());
    world.invocation("agent again");
    world.nothing("agent");
    world.send("agent", Unregister { request, registration: old });
    assert_eq!(world.error("agent").error, "wamp.error.no_such_registration");
    world.lose("agent");
    world.call("caller", "com.do", Dict::new(), Payload::default());
    world.invocation("agent again");
    let request = world.request();
    world.send("agent again", Register { request, options: Dict::new(), procedure: "com.do".into() });
    assert_eq!(world.error("agent again").error, "wamp.error.procedure_already_exists", "it has it already");
}

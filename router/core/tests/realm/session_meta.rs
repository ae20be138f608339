//! Who is in the realm, and how an operator ends a session.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::permissions::Role;

use crate::world::{World, dict};

/// An operator, two sessions of one person in different roles, and one of another.
fn world() -> (World, [u64; 4]) {
    let mut world = World::with_roles(["free", "staff", "manager"].map(Role::unrestricted).to_vec());
    let ids = [
        world.join("operator"),
        world.join_as("ann1", "ann", "staff"),
        world.join_as("ann2", "ann", "manager"),
        world.join_as("bob", "bob", "staff"),
    ];
    (world, ids)
}

fn ask(world: &mut World, procedure: &str, args: Vec<Value>, kwargs: &[(&str, Value)]) -> Payload {
    let request = world.call("operator", procedure, Dict::new(), Payload::new(args, dict(kwargs)));
    let result = world.result("operator");
    assert_eq!(result.request, request);
    result.payload
}

#[track_caller]
fn refused(world: &mut World, procedure: &str, args: Vec<Value>, kwargs: &[(&str, Value)], error: &str) {
    world.call("operator", procedure, Dict::new(), Payload::new(args, dict(kwargs)));
    assert_eq!(world.error("operator").error, error, "{procedure}");
}

fn ids(ids: &[u64]) -> Value {
    Value::List(ids.iter().map(|id| Value::from(*id)).collect())
}

fn roles(names: &[&str]) -> Vec<Value> {
    vec![Value::List(names.iter().map(|name| Value::from(*name)).collect())]
}

#[track_caller]
fn said_goodbye(world: &mut World, name: &str, reason: &str, details: Dict) {
    let goodbye = world.receive(name);
    assert_eq!(goodbye, Goodbye { details, reason: reason.into() }.into());
    assert!(world.is_closed(name));
}

/// All sessions, or those of some roles.
#[test]
fn count_and_list() {
    let (mut world, [operator, ann1, ann2, bob]) = world();
    assert_eq!(ask(&mut world, "wamp.session.count", vec![], &[]), Payload::of(4_u64));
    assert_eq!(ask(&mut world, "wamp.session.count", vec![Value::Null], &[]), Payload::of(4_u64));
    assert_eq!(ask(&mut world, "wamp.session.count", roles(&["staff", "no"]), &[]), Payload::of(2_u64));
    assert_eq!(ask(&mut world, "wamp.session.count", roles(&[]), &[]), Payload::of(0_u64));
    let all = ids(&[operator, ann1, ann2, bob]);
    assert_eq!(ask(&mut world, "wamp.session.list", vec![], &[]), Payload::of(all));
    assert_eq!(ask(&mut world, "wamp.session.list", roles(&["manager"]), &[]), Payload::of(ids(&[ann2])));
    let wrong = vec![Value::from("staff")];
    refused(&mut world, "wamp.session.list", wrong, &[], "wamp.error.invalid_argument");
}

/// Who a session is: the same that was told when it joined.
#[test]
fn get() {
    let (mut world, [_, ann1, ..]) = world();
    let expected = dict(&[
        ("session", ann1.into()),
        ("authid", "ann".into()),
        ("authrole", "staff".into()),
        ("authmethod", "ticket".into()),
        ("authprovider", "static".into()),
    ]);
    let got = ask(&mut world, "wamp.session.get", vec![ann1.into()], &[]);
    assert_eq!(got, Payload::of(Value::Map(expected)));
    let by_float = ask(&mut world, "wamp.session.get", vec![Value::Float(ann1 as f64)], &[]);
    assert_eq!(by_float, got, "some JavaScript clients have no other numbers of this size");
    refused(&mut world, "wamp.session.get", vec![Value::Float(0.5)], &[], "wamp.error.invalid_argument");
    refused(&mut world, "wamp.session.get", vec![7_u64.into()], &[], "wamp.error.no_such_session");
    refused(&mut world, "wamp.session.get", vec![0_u64.into()], &[], "wamp.error.no_such_session");
    refused(&mut world, "wamp.session.get", vec![], &[], "wamp.error.invalid_argument");
    refused(&mut world, "wamp.session.get", vec!["ann".into()], &[], "wamp.error.invalid_argument");
    refused(&mut world, "wamp.session.none", vec![], &[], "wamp.error.no_such_procedure");
}

/// Whoever watches hears of everybody who comes and goes, whichever way it goes.
#[test]
fn events() {
    let (mut world, [_, ann1, _, bob]) = world();
    world.subscribe("operator", "wamp.session.on_join", "exact");
    world.subscribe("operator", "wamp.session.on_leave", "exact");
    let carl = world.join_as("carl", "carl", "staff");
    let joined = world.event("operator").payload;
    assert_eq!(joined.args()[0].as_map().unwrap()["session"], carl.into());
    assert_eq!(joined.args()[0].as_map().unwrap()["authid"], "carl".into());
    world.lose("ann1");
    let left = vec![ann1.into(), "ann".into(), "staff".into()];
    assert_eq!(world.event("operator").payload, Payload::new(left, Dict::new()));
    world.send("bob", Goodbye { details: Dict::new(), reason: "wamp.close.close_realm".into() });
    assert_eq!(world.event("operator").payload.args()[0], bob.into());
    world.lose("bob");
    world.nothing("operator");
}

/// The victim is told why, in the words of whoever ended it.
#[test]
fn kill() {
    let (mut world, [operator, ann1, ann2, _]) = world();
    let words = [("reason", "com.maintenance".into()), ("message", "back at noon".into())];
    assert_eq!(ask(&mut world, "wamp.session.kill", vec![ann1.into()], &words), Payload::default());
    said_goodbye(&mut world, "ann1", "com.maintenance", dict(&[("message", "back at noon".into())]));
    ask(&mut world, "wamp.session.kill", vec![ann2.into()], &[]);
    said_goodbye(&mut world, "ann2", "wamp.close.killed", Dict::new());
    for gone in [ann1, operator, 0] {
        refused(&mut world, "wamp.session.kill", vec![gone.into()], &[], "wamp.error.no_such_session");
    }
    world.nothing("bob");
    assert!(!world.is_closed("bob") && !world.is_closed("operator"));
}

/// A reason that is no URI ends nobody.
#[test]
fn wrong_reasons() {
    let (mut world, [_, _, _, bob]) = world();
    for reason in [Value::from(""), "a b".into(), 7_u64.into()] {
        let words = [("reason", reason)];
        for (procedure, args) in [
            ("wamp.session.kill", vec![Value::from(bob)]),
            ("wamp.session.kill_by_authid", vec!["bob".into()]),
            ("wamp.session.kill_by_authrole", vec!["staff".into()]),
            ("wamp.session.kill_all", vec![]),
        ] {
            refused(&mut world, procedure, args, &words, "wamp.error.invalid_uri");
        }
    }
    let message = [("message", 7_u64.into())];
    refused(&mut world, "wamp.session.kill_all", vec![], &message, "wamp.error.invalid_argument");
    assert!(!world.is_closed("bob"));
}

/// All of a person, all of a role, all: but never whoever asked.
#[test]
fn kill_many() {
    let (mut world, [_, ann1, ann2, _]) = world();
    let killed = ask(&mut world, "wamp.session.kill_by_authid", vec!["ann".into()], &[]);
    assert_eq!(killed, Payload::of(ids(&[ann1, ann2])));
    said_goodbye(&mut world, "ann1", "wamp.close.killed", Dict::new());
    said_goodbye(&mut world, "ann2", "wamp.close.killed", Dict::new());
    let killed = ask(&mut world, "wamp.session.kill_by_authid", vec!["operator".into()], &[]);
    assert_eq!(killed, Payload::of(ids(&[])));
    world.join_as("second", "operator", "free");
    let reason = [("reason", "com.role.closed".into())];
    let killed = ask(&mut world, "wamp.session.kill_by_authrole", vec!["free".into()], &reason);
    assert_eq!(killed, Payload::of(1_u64), "not the operator");
    said_goodbye(&mut world, "second", "com.role.closed", Dict::new());
    assert!(!world.is_closed("bob"));
}

/// "Closing all sessions in the realm will not generate session meta events."
#[test]
fn kill_all() {
    let (mut world, _) = world();
    world.subscribe("operator", "wamp.session.on_leave", "exact");
    assert_eq!(ask(&mut world, "wamp.session.kill_all", vec![], &[]), Payload::of(3_u64));
    for name in ["ann1", "ann2", "bob"] {
        said_goodbye(&mut world, name, "wamp.close.killed", Dict::new());
        world.lose(name);
    }
    world.nothing("operator");
    assert_eq!(ask(&mut world, "wamp.session.count", vec![], &[]), Payload::of(1_u64));
}

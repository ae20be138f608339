//! Who offers what, as an operator sees it; and how a registration is taken away.

use std::time::Duration;

use ecep_proto::id::RegistrationId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Strictness};
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::{Input, Limits, RealmConfig};

use crate::world::{World, dict};

fn call(world: &mut World, procedure: &str, args: Vec<Value>, kwargs: Dict) {
    let procedure = format!("wamp.registration.{procedure}");
    world.call("operator", &procedure, Dict::new(), Payload::new(args, kwargs));
}

fn ask(world: &mut World, procedure: &str, args: Vec<Value>) -> Value {
    call(world, procedure, args, Dict::new());
    let payload = world.result("operator").payload;
    payload.args().first().cloned().unwrap_or(Value::Null)
}

#[track_caller]
fn refused(world: &mut World, procedure: &str, args: Vec<Value>, error: &str) {
    call(world, procedure, args, Dict::new());
    assert_eq!(world.error("operator").error, error, "{procedure}");
}

fn ids(ids: &[RegistrationId]) -> Value {
    Value::List(ids.iter().map(|id| Value::from(id.get())).collect())
}

fn options(matching: &str, invoke: &str) -> Dict {
    dict(&[("match", matching.into()), ("invoke", invoke.into())])
}

/// The life of a registration is told in the order of the specification, once for each step.
#[test]
fn events() {
    let mut world = World::new();
    world.join("operator");
    for event in ["on_create", "on_register", "on_unregister", "on_delete"] {
        world.subscribe("operator", &format!("wamp.registration.{event}"), "exact");
    }
    let heard = |world: &mut World| world.event("operator").payload.args().to_vec();
    let (ann, bob) = (world.join("ann"), world.join("bob"));
    world.advance(Duration::from_millis(61_500));
    let id = world.register_with("ann", "com.a", options("prefix", "last"));
    let number = Value::from(id.get());
    let details = dict(&[
        ("id", number.clone()),
        ("created", "1970-01-01T00:01:01.500Z".into()),
        ("uri", "com.a".into()),
        ("match", "prefix".into()),
        ("invoke", "last".into()),
    ]);
    assert_eq!(heard(&mut world), [ann.into(), Value::Map(details.clone())], "on_create");
    assert_eq!(heard(&mut world), [ann.into(), number.clone()], "on_register");
    world.register_with("bob", "com.a", options("prefix", "last"));
    assert_eq!(heard(&mut world), [bob.into(), number.clone()], "on_register");
    assert_eq!(ask(&mut world, "get", vec![number.clone()]), Value::Map(details));
    let request = world.request();
    world.send("ann", Unregister { request, registration: id });
    assert_eq!(heard(&mut world), [ann.into(), number.clone()], "on_unregister");
    world.nothing("operator");
    world.lose("bob");
    assert_eq!(heard(&mut world), [bob.into(), number.clone()], "on_unregister");
    assert_eq!(heard(&mut world), [bob.into(), number], "on_delete");
    world.nothing("operator");
}

/// What there is, by every way to ask for it.
#[test]
fn procedures() {
    let mut world = World::new();
    world.join("operator");
    let (ann, bob) = (world.join("ann"), world.join("bob"));
    let exact = world.register_with("ann", "com.a", options("exact", "first"));
    world.register_with("bob", "com.a", options("exact", "first"));
    let prefix = world.register_with("bob", "com.", options("prefix", "single"));
    let wildcard = world.register_with("ann", "com..c", options("wildcard", "single"));
    let lists = dict(&[("exact", ids(&[exact])), ("prefix", ids(&[prefix])), ("wildcard", ids(&[wildcard]))]);
    assert_eq!(ask(&mut world, "list", vec![]), Value::Map(lists));
    let by_prefix = || Value::Map(dict(&[("match", "prefix".into())]));
    for (args, found) in [
        (vec!["com.a".into()], Some(exact)),
        (vec!["com.".into(), by_prefix()], Some(prefix)),
        (vec!["com.a".into(), by_prefix()], None),
        (vec!["com.b".into()], None),
    ] {
        let expected = found.map_or(Value::Null, |id| Value::from(id.get()));
        assert_eq!(ask(&mut world, "lookup", args), expected);
    }
    for (called, found) in [("com.a", Some(exact)), ("com.b.c", Some(prefix)), ("org", None)] {
        let expected = found.map_or(Value::Null, |id| Value::from(id.get()));
        assert_eq!(ask(&mut world, "match", vec![called.into()]), expected);
    }
    let id = || vec![Value::from(exact.get())];
    assert_eq!(ask(&mut world, "list_callees", id()), Value::List(vec![ann.into(), bob.into()]));
    assert_eq!(ask(&mut world, "count_callees", id()), 2_i64.into());
    for procedure in ["get", "list_callees", "count_callees", "remove_callee"] {
        refused(&mut world, procedure, vec![99_i64.into()], "wamp.error.no_such_registration");
        refused(&mut world, procedure, vec!["x".into()], "wamp.error.invalid_argument");
    }
    refused(&mut world, "lookup", vec![], "wamp.error.invalid_argument");
    let wrong = Value::Map(dict(&[("match", "x".into())]));
    refused(&mut world, "lookup", vec!["com.a".into(), wrong], "wamp.error.invalid_argument");
    refused(&mut world, "forget_all", vec![], "wamp.error.no_such_procedure");
}

/// An operator takes a registration away; the callee is told, if it has announced that it understands.
#[test]
fn removal() {
    let mut world = World::new();
    world.join("operator");
    let able = world.join_able("able", &[Feature::CalleeRevocation]);
    let plain = world.join("plain");
    let id = world.register_with("able", "com.a", options("exact", "first"));
    world.register_with("plain", "com.a", options("exact", "first"));
    let args = |session: u64| vec![Value::from(id.get()), Value::from(session)];
    call(&mut world, "remove_callee", args(able), dict(&[("reason", "moved".into())]));
    assert_eq!(world.result("operator").payload, Payload::default());
    assert_eq!(world.receive("able"), Unregistered::revoked(id, "moved").into());
    refused(&mut world, "remove_callee", args(able), "wamp.error.no_such_session");
    refused(&mut world, "remove_callee", args(7), "wamp.error.no_such_session");
    world.call("operator", "com.a", Dict::new(), Payload::default());
    let invocation = world.invocation("plain").request;
    assert_eq!(ask(&mut world, "remove_callee", args(plain)), Value::Null);
    world.nothing("plain");
    world.answer("plain", invocation, Payload::of(1_i64));
    assert_eq!(world.result("operator").payload, Payload::of(1_i64), "what it has begun it may end");
    let request = world.call("operator", "com.a", Dict::new(), Payload::default());
    assert_eq!(world.failed("operator", request), "wamp.error.no_such_procedure");
}

/// Whose role is narrowed loses what it could not register now, at once; what it keeps goes on.
#[test]
fn a_narrowed_role_loses_registrations() {
    let rule = |uri: &str| Rule { uri: uri.into(), matching: Match::Prefix, actions: vec![Action::Register] };
    let worker = |rules| Role { name: "worker".into(), rules, ..Role::default() };
    let mut world =
        World::with_roles(vec![Role::unrestricted("free"), worker(vec![rule("com."), rule("org.")])]);
    world.join("operator");
    world.join_with("ann", "ann", "worker", Features::default().with(Feature::CalleeRevocation));
    world.register("ann", "com.a");
    let lost = world.register_with("ann", "org.", options("prefix", "single"));
    let config = RealmConfig {
        name: "test.realm".into(),
        roles: vec![Role::unrestricted("free"), worker(vec![rule("com.")])],
        strictness: Strictness::Loose,
        strict_requests: false,
        limits: Limits::default(),
    };
    world.input(Input::Reconfigure { config, moved: Vec::new() });
    assert_eq!(world.receive("ann"), Unregistered::revoked(lost, "no longer authorized").into());
    let request = world.call("operator", "org.a", Dict::new(), Payload::default());
    assert_eq!(world.failed("operator", request), "wamp.error.no_such_procedure");
    world.call("operator", "com.a", Dict::new(), Payload::default());
    world.invocation("ann");
}

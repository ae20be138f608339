//! Nothing happens that no rule allows.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Strictness};
use ecep_proto::value::Dict;
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::{Input, Limits, RealmConfig};

use crate::world::{World, dict, text};

fn world() -> World {
    let rule = |uri: &str, matching, actions: &[Action]| Rule {
        uri: uri.into(),
        matching,
        actions: actions.to_vec(),
    };
    let limited = Role {
        name: "limited".into(),
        rules: vec![
            rule("com.call", Match::Exact, &[Action::Call]),
            rule("com.own.{authid}.", Match::Prefix, &[Action::Register, Action::Publish]),
            rule("com.own..stats", Match::Wildcard, &[Action::Subscribe]),
        ],
        ..Role::default()
    };
    let mut world = World::with_roles(vec![Role::unrestricted("free"), limited]);
    world.join_as("alice", "alice", "limited");
    world.join("free");
    world
}

/// What is refused is an ERROR of that request that names who, what and which URI.
#[test]
fn denied_by_default() {
    let mut world = world();
    world.register("free", "com.secret");
    world.call("alice", "com.secret", Dict::new(), Payload::default());
    let error = world.error("alice");
    assert_eq!(error.error, "wamp.error.not_authorized");
    assert_eq!(text(&error.payload), "alice as limited may not call com.secret");
    world.nothing("free");
    world.call("alice", "com.unknown", Dict::new(), Payload::default());
    assert_eq!(
        world.error("alice").error,
        "wamp.error.not_authorized",
        "whether it exists is nobody's business"
    );
    world.call("alice", "wamp.session.count", Dict::new(), Payload::default());
    assert_eq!(world.error("alice").error, "wamp.error.not_authorized", "an answer all the same");
}

/// Each action needs its own rule, and a placeholder stands for the session's own authid only.
#[test]
fn each_action_by_itself() {
    let mut world = world();
    world.register("alice", "com.own.alice.x");
    for procedure in ["com.own.bob.x", "com.call"] {
        let request = world.request();
        world.send("alice", Register { request, options: Dict::new(), procedure: procedure.into() });
        assert_eq!(world.error("alice").error, "wamp.error.not_authorized");
    }
    world.subscribe("free", "com.own", "prefix");
    let acknowledge = || dict(&[("acknowledge", true.into())]);
    world.publish("alice", "com.own.alice.stats", acknowledge(), Payload::default());
    assert!(matches!(world.receive("alice"), Message::Published(_)));
    world.event("free");
    world.publish("alice", "com.own.bob.stats", acknowledge(), Payload::default());
    assert_eq!(world.error("alice").error, "wamp.error.not_authorized");
    world.publish("alice", "com.own.bob.stats", Dict::new(), Payload::default());
    world.nothing("alice");
    world.nothing("free");
}

/// A pattern must not reach what its subscriber could not subscribe to by name.
#[test]
fn patterns_do_not_widen() {
    let mut world = world();
    world.subscribe("alice", "com.own..stats", "wildcard");
    world.subscribe("alice", "com.own.bob.stats", "exact");
    for (topic, matching) in
        [("com.own.", "prefix"), ("com...", "wildcard"), ("", "prefix"), ("com.own.x", "exact")]
    {
        let request = world.request();
        world.send(
            "alice",
            Subscribe { request, options: dict(&[("match", matching.into())]), topic: topic.into() },
        );
        assert_eq!(world.error("alice").error, "wamp.error.not_authorized", "{topic}");
    }
}

/// New roles hold at once for who is there, and cost nobody a session but those whose role is gone.
#[test]
fn roles_change_while_sessions_go_on() {
    let rule = |uri: &str, action| Rule { uri: uri.into(), matching: Match::Exact, actions: vec![action] };
    let role = |name: &str, rules| Role { name: name.into(), rules, ..Role::default() };
    let mut world = World::with_roles(vec![
        Role::unrestricted("free"),
        role("reader", vec![rule("com.read", Action::Call)]),
        role("writer", vec![rule("com.write", Action::Call)]),
        role("guest", Vec::new()),
    ]);
    world.join("free");
    for (name, authrole) in [("stays", "reader"), ("moves", "reader"), ("goes", "guest")] {
        world.join_as(name, name, authrole);
    }
    world.register("free", "com.read");
    world.register("free", "com.write");
    let config = RealmConfig {
        name: "test.realm".into(),
        roles: vec![
            Role::unrestricted("free"),
            role("reader", vec![rule("com.write", Action::Call)]),
            role("writer", vec![rule("com.read", Action::Call), rule("com.write", Action::Call)]),
        ],
        strictness: Strictness::Loose,
        strict_requests: false,
        limits: Limits { pending_calls: 1, ..Limits::default() },
    };
    let moved = vec![(world.key("moves"), "writer".to_owned())];
    world.input(Input::Reconfigure { config, moved });
    assert!(matches!(world.receive("goes"), Message::Goodbye(_)));
    assert!(world.is_closed("goes"));
    world.call("stays", "com.read", Dict::new(), Payload::default());
    assert_eq!(text(&world.error("stays").payload), "stays as reader may not call com.read");
    for (name, procedure) in [("stays", "com.write"), ("moves", "com.read")] {
        world.call(name, procedure, Dict::new(), Payload::default());
        world.invocation("free");
        world.nothing(name);
    }
    world.call("moves", "com.write", Dict::new(), Payload::default());
    assert_eq!(world.error("moves").error, "wamp.error.limit_exceeded");
}

/// Whose role is narrowed no longer gets the calls that it may not offer to take now.
#[test]
fn a_narrowed_role_loses_registrations() {
    let rule = |uri: &str| Rule { uri: uri.into(), matching: Match::Exact, actions: vec![Action::Register] };
    let device = |rules| Role { name: "device".into(), rules, ..Role::default() };
    let both = device(vec![rule("com.kept"), rule("com.lost")]);
    let mut world = World::with_roles(vec![Role::unrestricted("free"), both]);
    world.join("free");
    world.join_with("ann", "ann", "device", Features::default().with(Feature::CalleeRevocation));
    world.register("ann", "com.kept");
    let lost = world.register("ann", "com.lost");
    let config = RealmConfig {
        name: "test.realm".into(),
        roles: vec![Role::unrestricted("free"), device(vec![rule("com.kept")])],
        strictness: Strictness::Loose,
        strict_requests: false,
        limits: Limits::default(),
    };
    world.input(Input::Reconfigure { config, moved: Vec::new() });
    assert_eq!(world.receive("ann"), Unregistered::revoked(lost, "no longer authorized").into());
    world.call("free", "com.lost", Dict::new(), Payload::default());
    assert_eq!(world.error("free").error, "wamp.error.no_such_procedure");
    world.call("free", "com.kept", Dict::new(), Payload::default());
    world.invocation("ann");
}

//! Registrations of patterns.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::Dict;
use ecep_router_core::permissions::{Action, Role, Rule};

use crate::world::{World, dict};

fn matching(kind: Match) -> Dict {
    dict(&[("match", kind.name().into())])
}

/// The examples of the specification: exact, else the longest prefix, else the wildcard that is most selective. Its
/// prefixes get a dot at their end here: it says itself that a prefix may end within a component, and `a1.b2.c3`
/// would take what is meant for `a1.b2.c33..e5`.
#[test]
fn the_best_registration() {
    let mut world = World::new();
    world.join("caller");
    for (name, procedure, kind) in [
        ("1", "a1.b2.c3.d4.e55", Match::Exact),
        ("2", "a1.b2.c3.", Match::Prefix),
        ("3", "a1.b2.c3.d4.", Match::Prefix),
        ("4", "a1.b2..d4.e5", Match::Wildcard),
        ("5", "a1.b2.c33..e5", Match::Wildcard),
        ("6", "a1.b2..d4.e5..g7", Match::Wildcard),
        ("7", "a1.b2..d4..f6.g7", Match::Wildcard),
    ] {
        world.join(name);
        world.register_with(name, procedure, matching(kind));
    }
    for (called, callee) in [
        ("a1.b2.c3.d4.e55", "1"),
        ("a1.b2.c3.d98.e74", "2"),
        ("a1.b2.c3.d4.e325", "3"),
        ("a1.b2.c55.d4.e5", "4"),
        ("a1.b2.c33.d4.e5", "5"),
        ("a1.b2.c88.d4.e5.f6.g7", "6"),
    ] {
        world.call("caller", called, Dict::new(), Payload::default());
        let invocation = world.invocation(callee);
        let expected = if callee == "1" { Dict::new() } else { dict(&[("procedure", called.into())]) };
        assert_eq!(invocation.details, expected, "whoever has a pattern is told what was called");
    }
    let request = world.call("caller", "a2.b2.c2.d2.e2", Dict::new(), Payload::default());
    assert_eq!(world.failed("caller", request), "wamp.error.no_such_procedure");
}

/// A pattern that covers everything does not get what is the router's own, nor what is no URI.
#[test]
fn everything() {
    let mut world = World::new();
    world.join("caller");
    world.join("callee");
    world.register_with("callee", "", matching(Match::Prefix));
    for (called, expected) in
        [("wamp.no.such", "wamp.error.no_such_procedure"), ("com..x", "wamp.error.invalid_uri")]
    {
        let request = world.call("caller", called, Dict::new(), Payload::default());
        assert_eq!(world.failed("caller", request), expected);
    }
    world.call("caller", "com.x", Dict::new(), Payload::default());
    world.invocation("callee");
}

/// Each way of matching is a registration of its own, and goes by itself.
#[test]
fn side_by_side() {
    let mut world = World::new();
    world.join("caller");
    let kinds = [Match::Exact, Match::Prefix, Match::Wildcard];
    let mut registrations = Vec::new();
    for kind in kinds {
        world.join(kind.name());
        registrations.push(world.register_with(kind.name(), "com.x", matching(kind)));
    }
    for (kind, registration) in kinds.into_iter().zip(registrations) {
        world.call("caller", "com.x", Dict::new(), Payload::default());
        assert_eq!(world.invocation(kind.name()).registration, registration);
        let request = world.request();
        world.send(kind.name(), Unregister { request, registration });
        assert_eq!(world.receive(kind.name()), Unregistered::answer(request).into());
    }
    let request = world.call("caller", "com.x", Dict::new(), Payload::default());
    assert_eq!(world.failed("caller", request), "wamp.error.no_such_procedure");
}

/// A pattern must not reach what its callee could not register by name.
#[test]
fn patterns_do_not_widen() {
    let rule = Rule { uri: "com.own.".into(), matching: Match::Prefix, actions: vec![Action::Register] };
    let role = Role { name: "limited".into(), rules: vec![rule], ..Role::default() };
    let mut world = World::with_roles(vec![role]);
    world.join_as("callee", "callee", "limited");
    world.register_with("callee", "com.own.x.", matching(Match::Prefix));
    for (procedure, kind) in
        [("com.", Match::Prefix), ("com.own..x", Match::Prefix), ("com..x", Match::Wildcard)]
    {
        let request = world.request();
        world.send("callee", Register { request, options: matching(kind), procedure: procedure.into() });
        let expected = if procedure == "com.own..x" { "invalid_uri" } else { "not_authorized" };
        assert_eq!(world.error("callee").error, format!("wamp.error.{expected}"));
    }
    world.register_with("callee", "com.own..x", matching(Match::Wildcard));
}

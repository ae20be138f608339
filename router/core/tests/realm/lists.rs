//! Who gets an event by the lists of its publisher. A mistake here shows people what is not for them.

use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::permissions::Role;

use crate::world::{World, dict};

/// Three subscribers of one topic and their session ids: two of one authid, two of one role.
fn world() -> (World, [u64; 3]) {
    let roles = ["free", "staff", "manager"].map(Role::unrestricted);
    let mut world = World::with_roles(roles.to_vec());
    world.join("publisher");
    let ids = [
        world.join_as("ann1", "ann", "staff"),
        world.join_as("ann2", "ann", "manager"),
        world.join_as("bob", "bob", "staff"),
    ];
    for name in ["ann1", "ann2", "bob"] {
        world.subscribe(name, "com.topic", "exact");
    }
    (world, ids)
}

#[track_caller]
fn check(options: &[(&str, Value)], receivers: &[&str]) {
    let (mut world, _) = world();
    check_in(&mut world, dict(options), receivers);
}

#[track_caller]
fn check_in(world: &mut World, options: Dict, receivers: &[&str]) {
    world.publish("publisher", "com.topic", options, Payload::default());
    for name in ["ann1", "ann2", "bob"] {
        if receivers.contains(&name) {
            world.event(name);
        }
        world.nothing(name);
    }
}

fn list(entries: &[&str]) -> Value {
    Value::List(entries.iter().map(|entry| Value::from(*entry)).collect())
}

/// Each list by itself.
#[test]
fn lists_of_names() {
    check(&[("exclude_authid", list(&["ann", "carl"]))], &["bob"]);
    check(&[("exclude_authrole", list(&["staff"]))], &["ann2"]);
    check(&[("eligible_authid", list(&["carl", "ann"]))], &["ann1", "ann2"]);
    check(&[("eligible_authrole", list(&["staff"]))], &["ann1", "bob"]);
}

/// Session ids are the ones of WELCOME.
#[test]
fn lists_of_sessions() {
    let (mut world, [ann1, ann2, bob]) = world();
    let ids = |ids: &[u64]| Value::List(ids.iter().map(|id| Value::from(*id)).collect());
    check_in(&mut world, dict(&[("exclude", ids(&[bob, 7, ann1]))]), &["ann2"]);
    check_in(&mut world, dict(&[("eligible", ids(&[bob, 7, ann2]))]), &["ann2", "bob"]);
    let both = dict(&[("eligible", ids(&[bob, ann2])), ("exclude", ids(&[bob]))]);
    check_in(&mut world, both, &["ann2"]);
    // JavaScript has no integers of this size, and some of its serializers write them as floats.
    let floats = Value::List(vec![Value::Float(bob as f64), Value::Float(ann2 as f64)]);
    check_in(&mut world, dict(&[("eligible", floats)]), &["ann2", "bob"]);
}

/// An empty whitelist lets nobody pass: whoever filled it found nobody who may see the event.
#[test]
fn an_empty_whitelist_is_nobody() {
    for name in ["eligible", "eligible_authid", "eligible_authrole"] {
        check(&[(name, list(&[]))], &[]);
    }
    for name in ["exclude", "exclude_authid", "exclude_authrole"] {
        check(&[(name, list(&[]))], &["ann1", "ann2", "bob"]);
        check(&[(name, Value::Null)], &["ann1", "ann2", "bob"]);
    }
}

/// All lists must let a subscriber pass, under every kind of subscription.
#[test]
fn lists_together() {
    check(&[("eligible_authid", list(&["ann"])), ("eligible_authrole", list(&["staff"]))], &["ann1"]);
    check(&[("eligible_authrole", list(&["staff"])), ("exclude_authid", list(&["ann"]))], &["bob"]);
    let (mut world, _) = world();
    world.subscribe("bob", "com.", "prefix");
    world.subscribe("ann1", "com.", "wildcard");
    check_in(&mut world, dict(&[("exclude_authrole", list(&["staff"]))]), &["ann2"]);
}

/// A publisher that is on its own whitelist still has to ask for its own event.
#[test]
fn the_publisher_itself() {
    let (mut world, _) = world();
    world.subscribe("publisher", "com.topic", "exact");
    let eligible = ("eligible_authid", list(&["publisher"]));
    check_in(&mut world, dict(std::slice::from_ref(&eligible)), &[]);
    world.nothing("publisher");
    check_in(&mut world, dict(&[eligible, ("exclude_me", false.into())]), &[]);
    world.event("publisher");
}

/// A list that can't be read must not let anybody pass.
#[test]
fn wrong_lists() {
    let number = || Value::from(1_i64);
    for (option, value) in [
        ("exclude", list(&["1"])),
        ("exclude", number()),
        ("exclude", Value::List(vec![Value::from(-1_i64)])),
        ("eligible", Value::List(vec![Value::from(0_i64)])),
        ("eligible", Value::Bool(true)),
        ("exclude_authid", Value::from("ann")),
        ("exclude_authrole", Value::List(vec![number()])),
        ("eligible_authid", Value::List(vec![Value::Null])),
        ("eligible_authrole", Value::Map(Dict::new())),
    ] {
        let (mut world, _) = world();
        world.publish("publisher", "com.topic", dict(&[(option, value)]), Payload::default());
        assert!(world.violation("publisher").contains(option));
        for name in ["ann1", "ann2", "bob"] {
            world.nothing(name);
        }
    }
}

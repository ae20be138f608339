//! Procedures with several callees.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

use crate::world::{World, dict};

const NAMES: [&str; 3] = ["one", "two", "three"];

fn invoke(policy: &str) -> Dict {
    dict(&[("invoke", policy.into())])
}

fn world(policy: &str) -> World {
    let mut world = World::new();
    world.join("caller");
    let mut registrations = Vec::new();
    for name in NAMES {
        world.join(name);
        registrations.push(world.register_with(name, "com.shared", invoke(policy)));
    }
    registrations.dedup();
    assert_eq!(registrations.len(), 1, "it is one registration");
    world
}

/// Calls; answers by who got it.
fn called(world: &mut World) -> &'static str {
    let mark = Value::from(world.request().get());
    world.call("caller", "com.shared", Dict::new(), Payload::of(mark));
    let mut got = NAMES.into_iter().filter(|name| world.has_mail(name));
    let name = got.next().unwrap();
    assert_eq!(got.next(), None, "one callee for each call");
    name
}

#[track_caller]
fn served(world: &mut World, callee: &str) {
    assert_eq!(called(world), callee);
    let invocation = world.invocation(callee).request;
    world.answer(callee, invocation, Payload::default());
    world.result("caller");
}

/// Hot stand-by: the first, or the last, as long as it is there.
#[test]
fn first_and_last() {
    for (policy, order) in [("first", ["one", "two", "three"]), ("last", ["three", "two", "one"])] {
        let mut world = world(policy);
        for name in order {
            served(&mut world, name);
            served(&mut world, name);
            world.lose(name);
        }
        let request = world.call("caller", "com.shared", Dict::new(), Payload::default());
        assert_eq!(world.failed("caller", request), "wamp.error.no_such_procedure");
    }
}

/// One after the other, also when some come and go.
#[test]
fn round_robin() {
    let mut world = world("roundrobin");
    for name in ["one", "two", "three", "one"] {
        served(&mut world, name);
    }
    world.lose("one");
    for name in ["two", "three", "two"] {
        served(&mut world, name);
    }
    world.lose("three");
    served(&mut world, "two");
    served(&mut world, "two");
}

/// Any, and each of them gets its part.
#[test]
fn random() {
    let mut world = world("random");
    let mut counts = [0; 3];
    for _ in 0..300 {
        let name = called(&mut world);
        world.invocation(name);
        counts[NAMES.iter().position(|known| *known == name).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}

/// Whoever works on the fewest calls.
#[test]
fn load() {
    let mut world = world("load");
    let mut first = Vec::new();
    for name in NAMES {
        assert_eq!(called(&mut world), name);
        first.push(world.invocation(name).request);
    }
    for (name, invocation) in NAMES.into_iter().zip(first).rev() {
        world.answer(name, invocation, Payload::default());
        world.result("caller");
        assert_eq!(called(&mut world), name, "the only one that has nothing to do");
        world.invocation(name);
    }
}

/// The first callee says how calls are spread; who wants it otherwise is refused, and so is who is in already.
#[test]
fn one_policy() {
    let mut world = world("roundrobin");
    world.join("four");
    for (name, policy) in [("four", "first"), ("four", "single"), ("one", "roundrobin")] {
        let request = world.request();
        world.send(name, Register { request, options: invoke(policy), procedure: "com.shared".into() });
        let error = world.error(name);
        assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.procedure_already_exists"));
    }
    world.register("four", "com.single");
    let request = world.request();
    world.send("one", Register { request, options: invoke("roundrobin"), procedure: "com.single".into() });
    assert_eq!(world.error("one").error, "wamp.error.procedure_already_exists");
}

/// A callee that goes ends the calls that it works on, and only those.
#[test]
fn callee_loss() {
    let mut world = world("roundrobin");
    let first = world.call("caller", "com.shared", Dict::new(), Payload::default());
    let second = world.call("caller", "com.shared", Dict::new(), Payload::default());
    world.lose("one");
    assert_eq!(world.failed("caller", first), "wamp.error.canceled");
    let invocation = world.invocation("two").request;
    world.answer("two", invocation, Payload::default());
    assert_eq!(world.result("caller").request, second);
}

/// A callee may give its part back; the calls that it works on are still its own.
#[test]
fn leaving() {
    let mut world = world("first");
    let request = world.call("caller", "com.shared", Dict::new(), Payload::default());
    let Invocation { registration, request: invocation, .. } = world.invocation("one");
    let unregister = world.request();
    world.send("one", Unregister { request: unregister, registration });
    assert_eq!(world.receive("one"), Unregistered::answer(unregister).into());
    served(&mut world, "two");
    world.register_with("one", "com.shared", invoke("first"));
    world.answer("one", invocation, Payload::default());
    assert_eq!(world.result("caller").request, request);
    served(&mut world, "two");
}

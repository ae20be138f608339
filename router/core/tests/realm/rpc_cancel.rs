//! Calls that their callers no longer want.

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::Feature;

use crate::world::{World, dict};

/// "able" understands INTERRUPT, "plain" does not.
fn world() -> World {
    let mut world = World::new();
    world.join_able("able", &[Feature::CalleeCanceling]);
    world.join("plain");
    world.join("caller");
    world.register("able", "com.able");
    world.register("plain", "com.plain");
    world
}

fn call(world: &mut World, callee: &str) -> (RequestId, RequestId) {
    let request = world.call("caller", &format!("com.{callee}"), Dict::new(), Payload::default());
    (request, world.invocation(callee).request)
}

fn mode(name: &str) -> Dict {
    dict(&[("mode", name.into())])
}

#[track_caller]
fn interrupted(world: &mut World, invocation: RequestId, mode: &str) {
    let interrupt = world.interrupt("able");
    assert_eq!(interrupt.request, invocation);
    assert_eq!(interrupt.options, dict(&[("mode", mode.into()), ("reason", "wamp.error.canceled".into())]));
}

/// skip: the caller has its answer at once, the callee hears nothing.
#[test]
fn skip() {
    let mut world = world();
    for callee in ["able", "plain"] {
        let (request, invocation) = call(&mut world, callee);
        world.send("caller", Cancel { request, options: mode("skip") });
        assert_eq!(world.failed("caller", request), "wamp.error.canceled");
        world.nothing(callee);
        world.answer(callee, invocation, Payload::default());
        world.nothing("caller");
    }
}

/// killnowait, and no mode at all: the caller has its answer at once, the callee is told.
#[test]
fn kill_without_waiting() {
    let mut world = world();
    for options in [mode("killnowait"), Dict::new(), dict(&[("mode", Value::Null)])] {
        let (request, invocation) = call(&mut world, "able");
        world.send("caller", Cancel { request, options: options.clone() });
        assert_eq!(world.failed("caller", request), "wamp.error.canceled");
        interrupted(&mut world, invocation, "killnowait");
        world.fail("able", invocation, "wamp.error.canceled", Payload::default());
        world.nothing("caller");
        let (request, _) = call(&mut world, "plain");
        world.send("caller", Cancel { request, options });
        assert_eq!(world.failed("caller", request), "wamp.error.canceled");
        world.nothing("plain");
    }
}

/// kill: the callee has the last word, be it an error or its result.
#[test]
fn kill() {
    let mut world = world();
    let (request, invocation) = call(&mut world, "able");
    world.send("caller", Cancel { request, options: mode("kill") });
    interrupted(&mut world, invocation, "kill");
    world.nothing("caller");
    world.send("caller", Cancel { request, options: mode("kill") });
    world.nothing("able");
    world.fail("able", invocation, "com.stopped", Payload::default());
    assert_eq!(world.failed("caller", request), "com.stopped");

    let (request, invocation) = call(&mut world, "able");
    world.send("caller", Cancel { request, options: mode("kill") });
    interrupted(&mut world, invocation, "kill");
    world.answer("able", invocation, Payload::of(1_i64));
    assert_eq!(world.result("caller").request, request);

    let (request, _) = call(&mut world, "plain");
    world.send("caller", Cancel { request, options: mode("kill") });
    assert_eq!(
        world.failed("caller", request),
        "wamp.error.canceled",
        "who can't be told can't be waited for"
    );
}

/// Who has asked for kill and can't wait any longer gets out; so does who waits for a callee that leaves.
#[test]
fn no_caller_waits_for_ever() {
    let mut world = world();
    let (request, invocation) = call(&mut world, "able");
    world.send("caller", Cancel { request, options: mode("kill") });
    interrupted(&mut world, invocation, "kill");
    world.send("caller", Cancel { request, options: mode("skip") });
    assert_eq!(world.failed("caller", request), "wamp.error.canceled");
    world.nothing("able");
    let (request, _) = call(&mut world, "able");
    world.send("caller", Cancel { request, options: mode("kill") });
    world.lose("able");
    assert_eq!(world.failed("caller", request), "wamp.error.canceled");
}

/// A CANCEL that comes late is ignored; a mode that there is not is a violation.
#[test]
fn late_and_wrong() {
    let mut world = world();
    let (request, invocation) = call(&mut world, "able");
    world.answer("able", invocation, Payload::default());
    world.result("caller");
    world.send("caller", Cancel { request, options: mode("kill") });
    world.nothing("caller");
    world.nothing("able");
    for value in [Value::from("softly"), Value::from(1_i64)] {
        let name = format!("wrong {value:?}");
        world.join(&name);
        world.send(&name, Cancel { request, options: dict(&[("mode", value)]) });
        assert!(world.violation(&name).contains("skip, kill or killnowait"));
    }
}

/// When the caller goes, whoever understands it is told to stop; what it still answers is ignored.
#[test]
fn a_caller_that_leaves() {
    let mut world = world();
    let (_, invocation) = call(&mut world, "able");
    let (_, plain) = call(&mut world, "plain");
    world.lose("caller");
    interrupted(&mut world, invocation, "killnowait");
    world.nothing("plain");
    world.answer("able", invocation, Payload::default());
    world.answer("plain", plain, Payload::default());
    assert!(!world.is_closed("able") && !world.is_closed("plain"));
}

/// An answer to what was never asked is a violation, from whomever.
#[test]
fn invocations_that_never_were() {
    let mut world = world();
    let (_, invocation) = call(&mut world, "able");
    world.answer("able", invocation.next(), Payload::default());
    assert!(world.violation("able").contains("no INVOCATION 2"));
    assert_eq!(world.error("caller").error, "wamp.error.canceled");
    world.fail("plain", RequestId::FIRST, "com.error", Payload::default());
    assert!(world.violation("plain").contains("no INVOCATION 1"));
}

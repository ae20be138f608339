//! Calls that end because their callee keeps silent.

use std::time::Duration;

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::features::Feature;

use crate::world::{World, dict};

fn limit(milliseconds: i64) -> Dict {
    dict(&[("timeout", milliseconds.into())])
}

/// The time that a caller gives is kept, in milliseconds; the late answer is dropped.
#[test]
fn the_callee_is_silent() {
    let mut world = World::new();
    world.join("callee");
    world.join("caller");
    world.register("callee", "com.slow");
    let request = world.call("caller", "com.slow", limit(100), Payload::default());
    let invocation = world.invocation("callee");
    world.advance(Duration::from_millis(99));
    world.nothing("caller");
    world.advance(Duration::from_millis(1));
    assert_eq!(world.failed("caller", request), "wamp.error.timeout");
    world.nothing("callee");
    world.answer("callee", invocation.request, Payload::default());
    world.nothing("caller");
    world.call("caller", "com.slow", limit(100), Payload::default());
    let invocation = world.invocation("callee");
    world.answer("callee", invocation.request, Payload::default());
    world.result("caller");
    assert!(!world.has_timeout(), "an answered call leaves no timer");
    world.call("caller", "com.slow", limit(0), Payload::default());
    assert!(!world.has_timeout(), "0 means none");
}

/// A callee that understands it is told to stop, and need not answer that.
#[test]
fn the_callee_is_interrupted() {
    let mut world = World::new();
    world.join_able("callee", &[Feature::CalleeCanceling]);
    world.join("caller");
    world.register("callee", "com.slow");
    let request = world.call("caller", "com.slow", limit(100), Payload::default());
    let invocation = world.invocation("callee").request;
    world.advance(Duration::from_millis(100));
    assert_eq!(world.failed("caller", request), "wamp.error.timeout");
    let options = dict(&[("mode", "killnowait".into()), ("reason", "wamp.error.timeout".into())]);
    assert_eq!(world.interrupt("callee"), Interrupt { request: invocation, options });
    world.fail("callee", invocation, "wamp.error.canceled", Payload::default());
    world.nothing("caller");
}

/// A result in pieces may take longer: each piece must come in time.
#[test]
fn pieces_restart_the_time() {
    let mut world = World::new();
    world.join_able("callee", &[Feature::CalleeCanceling, Feature::CalleeProgressiveResults]);
    world.join_able("caller", &[Feature::CallerProgressiveResults]);
    world.register("callee", "com.slow");
    let options = dict(&[("timeout", 100_i64.into()), ("receive_progress", true.into())]);
    let request = world.call("caller", "com.slow", options, Payload::default());
    let invocation = world.invocation("callee").request;
    let progress = dict(&[("progress", true.into())]);
    for _ in 0..3 {
        world.advance(Duration::from_millis(99));
        let (options, payload) = (progress.clone(), Payload::default());
        world.send("callee", Yield { request: invocation, options, payload });
        assert_eq!(world.result("caller").details, progress);
    }
    world.advance(Duration::from_millis(100));
    assert_eq!(world.failed("caller", request), "wamp.error.timeout");
    world.interrupt("callee");
    assert!(!world.has_timeout());
}

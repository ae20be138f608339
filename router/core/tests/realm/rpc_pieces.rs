//! Calls in pieces (specification, "Progressive Call Invocations").

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::Input;
use ecep_router_core::features::Feature;

use crate::world::{World, dict};

const CALLEE: [Feature; 2] = [Feature::CalleeCanceling, Feature::CalleeProgressiveInvocations];

fn world() -> World {
    let mut world = World::new();
    world.join_able("callee", &CALLEE);
    world.join_able("caller", &[Feature::CallerProgressiveInvocations]);
    world.register("callee", "com.upload");
    world
}

fn progress() -> Dict {
    dict(&[("progress", true.into())])
}

fn send(world: &mut World, request: RequestId, options: Dict, number: i64) {
    let (procedure, payload) = ("com.upload".into(), Payload::of(number));
    world.send("caller", Call { request, options, procedure, payload });
}

/// All pieces go to one callee under one id; only `progress` of the later ones counts.
#[test]
fn pieces() {
    let mut world = world();
    let caller = world.join_able("other", &CALLEE);
    assert_ne!(caller, 0);
    let request = world.request();
    send(&mut world, request, dict(&[("progress", true.into()), ("disclose_me", true.into())]), 0);
    let first = world.invocation("callee");
    assert_eq!(first.details["progress"], true.into());
    assert!(first.details.contains_key("caller"));
    send(&mut world, request, progress(), 1);
    assert_eq!(world.invocation("callee"), Invocation { payload: Payload::of(1_i64), ..first.clone() });
    send(&mut world, request, dict(&[("timeout", 5_i64.into()), ("disclose_me", false.into())]), 2);
    assert!(!world.has_timeout());
    let last = world.invocation("callee");
    assert_eq!((last.request, last.payload), (first.request, Payload::of(2_i64)));
    assert!(last.details.contains_key("caller") && !last.details.contains_key("progress"));
    world.answer("callee", first.request, Payload::default());
    assert_eq!(world.result("caller").request, request);
}

/// The end is the end: after it, the same id is a violation while the call is pending; so is another procedure.
#[test]
fn violations() {
    let mut world = world();
    let request = world.request();
    send(&mut world, request, progress(), 0);
    send(&mut world, request, Dict::new(), 1);
    send(&mut world, request, progress(), 2);
    assert!(world.violation("caller").contains("still pending"));
    let mut world = self::world();
    send(&mut world, request, progress(), 0);
    let (options, payload) = (progress(), Payload::default());
    world.send("caller", Call { request, options, procedure: "com.other".into(), payload });
    assert!(world.violation("caller").contains("a call of com.upload"));
    let mut world = self::world();
    world.join("plain");
    let (options, payload) = (progress(), Payload::default());
    world.send("plain", Call { request, options, procedure: "com.upload".into(), payload });
    assert!(world.violation("plain").contains("has not announced"));
}

/// A callee that can't take it would run the first piece as if it were all: the call is refused.
#[test]
fn a_callee_that_can_not() {
    for features in [vec![], vec![Feature::CalleeProgressiveInvocations]] {
        let mut world = world();
        world.join_able("plain", &features);
        world.register("plain", "com.plain");
        let request = world.call("caller", "com.plain", progress(), Payload::default());
        assert_eq!(world.failed("caller", request), "wamp.error.feature_not_supported");
        world.nothing("plain");
    }
}

/// Of callees that share a procedure, one that can take it gets it.
#[test]
fn shared() {
    let mut world = world();
    world.join("plain");
    for name in ["plain", "callee"] {
        world.register_with(name, "com.shared", dict(&[("invoke", "roundrobin".into())]));
    }
    for _ in 0..3 {
        world.call("caller", "com.shared", progress(), Payload::default());
        world.invocation("callee");
        world.nothing("plain");
    }
}

/// What was under way when the call ended is discarded, and is not taken for a new call.
#[test]
fn late_pieces() {
    let mut world = world();
    let request = world.request();
    send(&mut world, request, progress(), 0);
    let invocation = world.invocation("callee").request;
    world.fail("callee", invocation, "com.enough", Payload::default());
    assert_eq!(world.failed("caller", request), "com.enough");
    for options in [progress(), Dict::new()] {
        send(&mut world, request, options, 1);
        world.nothing("callee");
        world.nothing("caller");
    }
    send(&mut world, request, Dict::new(), 2);
    world.invocation("callee");
}

/// The callee is told when its caller goes, or when a piece does not get through.
#[test]
fn ends() {
    let mut world = world();
    let request = world.request();
    for stalled in [true, false] {
        send(&mut world, request, progress(), 0);
        let invocation = world.invocation("callee").request;
        send(&mut world, request, progress(), 1);
        let message = world.receive("callee");
        let callee = world.key("callee");
        let expected = if stalled {
            world.input(Input::Stalled { callee, invocation });
            "wamp.error.unavailable"
        } else {
            world.input(Input::TooLarge { session: callee, message });
            "wamp.error.payload_size_exceeded"
        };
        assert_eq!(world.failed("caller", request), expected);
        assert_eq!(world.interrupt("callee").request, invocation);
        send(&mut world, request, Dict::new(), 2);
        world.nothing("callee");
    }
    send(&mut world, request, progress(), 0);
    let invocation = world.invocation("callee").request;
    world.lose("caller");
    assert_eq!(world.interrupt("callee").request, invocation);
}

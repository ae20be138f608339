//! A realm that wants the ids of requests in sequence.

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Strictness;
use ecep_proto::value::Dict;
use ecep_router_core::features::Feature;
use ecep_router_core::permissions::Role;
use ecep_router_core::{Limits, RealmConfig};

use crate::world::{FREE, World, dict};

fn world() -> World {
    let mut world = World::with_config(RealmConfig {
        name: "test.realm".into(),
        roles: vec![Role::unrestricted(FREE)],
        strictness: Strictness::Loose,
        strict_requests: true,
        limits: Limits::default(),
    });
    world.join_able("callee", &[Feature::CalleeCanceling, Feature::CalleeProgressiveInvocations]);
    world.join_able("caller", &[Feature::CallerProgressiveInvocations]);
    world.register("callee", "com.upload");
    world
}

fn call(world: &mut World, id: u64, progress: bool) {
    let options = if progress { dict(&[("progress", true.into())]) } else { Dict::new() };
    let request = RequestId::new(id).unwrap();
    world.send(
        "caller",
        Call { request, options, procedure: "com.upload".into(), payload: Payload::default() },
    );
}

/// All requests of a session share one sequence; refused ones count, CANCEL has the id of its CALL.
#[test]
fn in_sequence() {
    let mut world = world();
    let request = |id| RequestId::new(id).unwrap();
    call(&mut world, 1, false);
    world.invocation("callee");
    world.send("caller", Cancel { request: request(1), options: Dict::new() });
    world.error("caller");
    world.interrupt("callee");
    world.send("caller", Subscribe { request: request(2), options: Dict::new(), topic: "com..".into() });
    assert_eq!(world.error("caller").error, "wamp.error.invalid_uri");
    world.send("caller", Subscribe { request: request(3), options: Dict::new(), topic: "com.x".into() });
    world.receive("caller");
    call(&mut world, 5, false);
    assert!(world.violation("caller").contains("4 is next"));
}

/// What continues a call has its id, also when the call has ended; nothing else has an id twice.
#[test]
fn pieces() {
    let mut world = world();
    call(&mut world, 1, true);
    let invocation = world.invocation("callee").request;
    call(&mut world, 2, false);
    world.invocation("callee");
    call(&mut world, 1, true);
    assert_eq!(world.invocation("callee").request, invocation);
    world.answer("callee", invocation, Payload::default());
    world.result("caller");
    call(&mut world, 1, true);
    call(&mut world, 1, false);
    world.nothing("callee");
    assert!(!world.is_closed("caller"));
    call(&mut world, 1, false);
    assert!(world.violation("caller").contains("3 is next"));
    let mut world = self::world();
    call(&mut world, 1, false);
    world.invocation("callee");
    call(&mut world, 1, false);
    assert!(world.violation("caller").contains("2 is next"));
}

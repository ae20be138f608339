//! Clients that come back before the router knows that they were gone.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::features::{Feature, Features};

use crate::world::{World, dict};

fn force() -> Dict {
    dict(&[("force_reregister", true.into())])
}

/// A client that reconnects before its old connection is known to be dead gets its procedures back, if it asks for
/// that; nobody else does.
#[test]
fn reregistration() {
    let mut world = World::new();
    world.join_as("old", "device", "free");
    world.join_as("new", "device", "free");
    world.join_as("thief", "other", "free");
    world.register("old", "com.sum");
    let request = world.request();
    world.send("thief", Register { request, options: force(), procedure: "com.sum".into() });
    assert_eq!(world.error("thief").error, "wamp.error.procedure_already_exists");
    world.send("new", Register { request, options: Dict::new(), procedure: "com.sum".into() });
    assert_eq!(world.error("new").error, "wamp.error.procedure_already_exists");
    world.send("new", Register { request, options: force(), procedure: "com.sum".into() });
    assert!(matches!(world.receive("new"), Message::Registered(_)));
    world.call("thief", "com.sum", Dict::new(), Payload::default());
    world.invocation("new");
    world.lose("old");
    world.call("thief", "com.sum", Dict::new(), Payload::default());
    world.invocation("new");
}

/// The old callee is told, if it has announced that it understands.
#[test]
fn the_old_callee_is_told() {
    let mut world = World::new();
    let able = Features::default().with(Feature::CalleeRevocation);
    world.join_with("old", "device", "free", able);
    world.join_with("new", "device", "free", able);
    let registration = world.register("old", "com.sum");
    world.call("new", "com.sum", Dict::new(), Payload::default());
    let invocation = world.invocation("old").request;
    world.register_with("new", "com.sum", force());
    let reason = "another session of the same authid has registered it";
    let told = Unregistered::revoked(registration, reason);
    let details = told.details.as_ref().unwrap();
    assert_eq!((&details["reason"], &details["message"]), (&"wamp.error.revoked".into(), &reason.into()));
    assert_eq!(world.receive("old"), told.into());
    world.answer("old", invocation, Payload::of(1_i64));
    assert_eq!(world.result("new").payload, Payload::of(1_i64), "what it has begun it may end");
    let request = world.request();
    world.send("old", Unregister { request, registration });
    assert_eq!(world.error("old").error, "wamp.error.no_such_registration");
}

/// Of a shared procedure, only the own part is taken over, and only by who fits to the others.
#[test]
fn shared() {
    let mut world = World::new();
    for (name, authid) in [("other", "other"), ("old", "device"), ("new", "device")] {
        world.join_as(name, authid, "free");
    }
    let options = |policy: &str| dict(&[("invoke", policy.into()), ("force_reregister", true.into())]);
    world.register_with("old", "com.shared", options("last"));
    world.register_with("other", "com.shared", options("last"));
    let request = world.request();
    world.send("new", Register { request, options: options("first"), procedure: "com.shared".into() });
    assert_eq!(world.error("new").error, "wamp.error.procedure_already_exists");
    world.register_with("new", "com.shared", options("last"));
    for name in ["new", "other"] {
        world.call("old", "com.shared", Dict::new(), Payload::default());
        world.invocation(name);
        world.lose(name);
        world.error("old");
    }
    let request = world.call("old", "com.shared", Dict::new(), Payload::default());
    assert_eq!(world.failed("old", request), "wamp.error.no_such_procedure");
}

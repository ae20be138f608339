//! Results in pieces.

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::Input;
use ecep_router_core::features::Feature;

use crate::world::{World, dict};

const CALLEE: [Feature; 2] = [Feature::CalleeCanceling, Feature::CalleeProgressiveResults];

fn receive() -> Dict {
    dict(&[("receive_progress", true.into())])
}

fn progress() -> Dict {
    dict(&[("progress", true.into())])
}

fn piece(world: &mut World, invocation: RequestId, payload: Payload) {
    world.send("callee", Yield { request: invocation, options: progress(), payload });
}

/// A caller that asks for it gets the pieces in their order, then the end.
#[test]
fn pieces() {
    let mut world = World::new();
    world.join_able("callee", &CALLEE);
    world.join_able("caller", &[Feature::CallerProgressiveResults]);
    world.register("callee", "com.long");
    let request = world.call("caller", "com.long", receive(), Payload::default());
    let invocation = world.invocation("callee");
    assert_eq!(invocation.details, receive());
    for number in 0..3_i64 {
        piece(&mut world, invocation.request, Payload::of(number));
        let expected = CallResult { request, details: progress(), payload: Payload::of(number) };
        assert_eq!(world.result("caller"), expected);
    }
    world.answer("callee", invocation.request, Payload::of(3_i64));
    assert_eq!(world.result("caller").details, Dict::new());
    piece(&mut world, invocation.request, Payload::of(4_i64));
    world.nothing("caller");
    assert!(!world.is_closed("callee"), "late, not wrong");
}

/// Who has not asked for it, or has not announced it, gets the end only; and so does whose callee can't be stopped.
#[test]
fn only_the_end() {
    for (caller, options, callee) in [
        (vec![Feature::CallerProgressiveResults], Dict::new(), CALLEE.to_vec()),
        (
            vec![Feature::CallerProgressiveResults],
            dict(&[("receive_progress", false.into())]),
            CALLEE.to_vec(),
        ),
        (vec![], receive(), CALLEE.to_vec()),
        (vec![Feature::CallerProgressiveResults], receive(), vec![]),
        (vec![Feature::CallerProgressiveResults], receive(), vec![Feature::CalleeProgressiveResults]),
    ] {
        let mut world = World::new();
        world.join_able("callee", &callee);
        world.join_able("caller", &caller);
        world.register("callee", "com.long");
        world.call("caller", "com.long", options, Payload::default());
        let invocation = world.invocation("callee");
        assert_eq!(invocation.details, Dict::new());
        piece(&mut world, invocation.request, Payload::of(0_i64));
        world.nothing("caller");
        world.answer("callee", invocation.request, Payload::of(1_i64));
        assert_eq!(world.result("caller").payload, Payload::of(1_i64));
    }
}

/// A stream ends with its caller, and with a piece that the caller can't take.
#[test]
fn streams_end() {
    let mut world = World::new();
    world.join_able("callee", &CALLEE);
    for name in ["small", "fleeting"] {
        world.join_able(name, &[Feature::CallerProgressiveResults]);
    }
    world.register("callee", "com.long");
    let request = world.call("small", "com.long", receive(), Payload::default());
    let invocation = world.invocation("callee").request;
    piece(&mut world, invocation, Payload::default());
    let message = world.receive("small");
    world.input(Input::TooLarge { session: world.key("small"), message });
    assert_eq!(world.failed("small", request), "wamp.error.payload_size_exceeded");
    assert_eq!(world.interrupt("callee").request, invocation);
    piece(&mut world, invocation, Payload::default());
    world.answer("callee", invocation, Payload::default());
    world.nothing("small");

    world.call("fleeting", "com.long", receive(), Payload::default());
    let invocation = world.invocation("callee").request;
    piece(&mut world, invocation, Payload::default());
    world.lose("fleeting");
    assert_eq!(world.interrupt("callee").request, invocation);
}

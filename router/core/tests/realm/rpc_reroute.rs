//! Callees that can't take a call, and who gets it instead.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router_core::Input;
use ecep_router_core::features::Feature;

use crate::world::{World, dict, text};

const NAMES: [&str; 3] = ["one", "two", "three"];
const UNAVAILABLE: &str = "wamp.error.unavailable";

fn world(policy: &str) -> World {
    let mut world = World::new();
    world.join_able("caller", &[Feature::CallerProgressiveResults, Feature::CallerProgressiveInvocations]);
    for name in NAMES {
        let callee = [
            Feature::CalleeCanceling,
            Feature::CalleeProgressiveResults,
            Feature::CalleeProgressiveInvocations,
        ];
        world.join_able(name, &callee);
        world.register_with(name, "com.shared", dict(&[("invoke", policy.into())]));
    }
    world
}

/// The call goes from callee to callee, as its policy has it, unchanged; the last one's reason reaches the caller.
#[test]
fn all_are_tried() {
    for (policy, order) in
        [("first", NAMES), ("last", ["three", "two", "one"]), ("roundrobin", NAMES), ("load", NAMES)]
    {
        let mut world = world(policy);
        let request = world.call("caller", "com.shared", Dict::new(), Payload::of(7_i64));
        for name in order {
            let invocation = world.invocation(name);
            assert_eq!(invocation.payload, Payload::of(7_i64), "{policy}");
            world.nothing("caller");
            world.fail(name, invocation.request, UNAVAILABLE, Payload::of(name));
        }
        let error = world.error("caller");
        assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.no_available_callee"));
        assert_eq!(text(&error.payload), order[2]);
    }
}

/// At random, too, nobody is asked twice.
#[test]
fn at_random() {
    let mut world = world("random");
    world.call("caller", "com.shared", Dict::new(), Payload::default());
    let mut asked = Vec::new();
    while let Some(name) = NAMES.into_iter().find(|name| world.has_mail(name)) {
        asked.push(name);
        let invocation = world.invocation(name).request;
        world.fail(name, invocation, UNAVAILABLE, Payload::default());
    }
    asked.sort_unstable();
    assert_eq!(asked, ["one", "three", "two"]);
    assert_eq!(world.error("caller").error, "wamp.error.no_available_callee");
}

/// Who does not read its calls is as good as unavailable; so is who is alone.
#[test]
fn stalled_and_alone() {
    let mut world = world("first");
    let request = world.call("caller", "com.shared", Dict::new(), Payload::default());
    let invocation = world.invocation("one").request;
    world.input(Input::Stalled { callee: world.key("one"), invocation });
    let invocation = world.invocation("two").request;
    world.answer("two", invocation, Payload::default());
    assert_eq!(world.result("caller").request, request);
    world.register("three", "com.single");
    let request = world.call("caller", "com.single", Dict::new(), Payload::default());
    let invocation = world.invocation("three").request;
    world.fail("three", invocation, UNAVAILABLE, Payload::default());
    assert_eq!(world.failed("caller", request), "wamp.error.no_available_callee");
}

/// What has begun stays where it is: a call that has brought results, or that has come in pieces, or that its caller
/// has canceled. The callee's own word reaches the caller.
#[test]
fn what_has_begun() {
    let mut world = world("first");
    let options = dict(&[("receive_progress", true.into())]);
    let request = world.call("caller", "com.shared", options, Payload::default());
    let invocation = world.invocation("one").request;
    let options = dict(&[("progress", true.into())]);
    world.send("one", Yield { request: invocation, options: options.clone(), payload: Payload::default() });
    world.result("caller");
    world.fail("one", invocation, UNAVAILABLE, Payload::default());
    assert_eq!(world.failed("caller", request), UNAVAILABLE);

    let request = world.request();
    for _ in 0..2 {
        let (options, procedure, payload) = (options.clone(), "com.shared".into(), Payload::default());
        world.send("caller", Call { request, options, procedure, payload });
    }
    let invocation = world.invocation("one").request;
    world.invocation("one");
    world.fail("one", invocation, UNAVAILABLE, Payload::default());
    assert_eq!(world.failed("caller", request), UNAVAILABLE);

    let request = world.call("caller", "com.shared", Dict::new(), Payload::default());
    let invocation = world.invocation("one").request;
    world.send("caller", Cancel { request, options: dict(&[("mode", "kill".into())]) });
    world.interrupt("one");
    world.fail("one", invocation, UNAVAILABLE, Payload::default());
    assert_eq!(world.failed("caller", request), UNAVAILABLE);
    for name in ["two", "three"] {
        world.nothing(name);
    }
}

/// The first piece of a call can still go to another; the rest follows it.
#[test]
fn a_first_piece() {
    let mut world = world("first");
    let request = world.request();
    let send = |world: &mut World, progress: bool, number: i64| {
        let (options, payload) = (dict(&[("progress", progress.into())]), Payload::of(number));
        world.send("caller", Call { request, options, procedure: "com.shared".into(), payload });
    };
    send(&mut world, true, 0);
    let invocation = world.invocation("one").request;
    world.fail("one", invocation, UNAVAILABLE, Payload::default());
    let first = world.invocation("two");
    assert_eq!((first.payload, &first.details["progress"]), (Payload::of(0_i64), &true.into()));
    send(&mut world, false, 1);
    let second = world.invocation("two");
    assert_eq!((second.request, second.payload), (first.request, Payload::of(1_i64)));
    world.answer("two", first.request, Payload::default());
    assert_eq!(world.result("caller").request, request);
}

//! Callees that take only so many calls at once, and calls that wait for them.

use std::time::Duration;

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::MAX_WAITING_CALLS;
use ecep_router_core::features::Feature;

use crate::world::{World, dict};

fn options(policy: &str, concurrency: i64) -> Dict {
    dict(&[("invoke", policy.into()), ("concurrency", concurrency.into())])
}

fn world(concurrency: i64) -> World {
    let mut world = World::new();
    world.join("caller");
    world.join("callee");
    world.register_with("callee", "com.slow", options("first", concurrency));
    world
}

fn call(world: &mut World, options: Dict) -> RequestId {
    world.call("caller", "com.slow", options, Payload::default())
}

/// Answers what the callee has got; the caller gets the result of this request.
#[track_caller]
fn serve(world: &mut World, request: RequestId) {
    let invocation = world.invocation("callee").request;
    world.answer("callee", invocation, Payload::default());
    assert_eq!(world.result("caller").request, request);
}

/// No more than the callee wants, and in the order in which they came.
#[test]
fn calls_wait() {
    let mut world = world(2);
    let requests: Vec<RequestId> = (0..5).map(|_| call(&mut world, Dict::new())).collect();
    let first = world.invocation("callee").request;
    let second = world.invocation("callee").request;
    world.nothing("callee");
    world.answer("callee", second, Payload::default());
    assert_eq!(world.result("caller").request, requests[1]);
    serve(&mut world, requests[2]);
    serve(&mut world, requests[3]);
    world.fail("callee", first, "com.error", Payload::default());
    assert_eq!(world.failed("caller", requests[0]), "com.error");
    serve(&mut world, requests[4]);
    world.nothing("callee");
}

/// Who comes to help takes what waits; of several, those that have room are asked.
#[test]
fn several_callees() {
    let mut world = world(1);
    for _ in 0..3 {
        call(&mut world, Dict::new());
    }
    world.invocation("callee");
    world.nothing("callee");
    world.join("helper");
    world.register_with("helper", "com.slow", options("first", 1));
    world.nothing("helper");
    for policy in ["roundrobin", "random", "load"] {
        let procedure = format!("com.{policy}");
        for (name, concurrency) in [("callee", 1), ("helper", 2)] {
            world.register_with(name, &procedure, options(policy, concurrency));
        }
        for _ in 0..4 {
            world.call("caller", &procedure, Dict::new(), Payload::default());
        }
        let first = world.invocation("callee").request;
        world.nothing("callee");
        for _ in 0..2 {
            world.invocation("helper");
        }
        world.nothing("helper");
        world.answer("callee", first, Payload::default());
        world.result("caller");
        world.invocation("callee");
        world.join(policy);
        world.call("caller", &procedure, Dict::new(), Payload::default());
        world.register_with(policy, &procedure, options(policy, 1));
        world.invocation(policy);
    }
}

/// What waits can be canceled, and its time runs; its callee never hears of it.
#[test]
fn waiting_ends() {
    let mut world = world(1);
    let first = call(&mut world, Dict::new());
    let canceled = call(&mut world, Dict::new());
    let overdue = call(&mut world, dict(&[("timeout", 100_i64.into())]));
    world.send("caller", Cancel { request: canceled, options: dict(&[("mode", "kill".into())]) });
    assert_eq!(world.failed("caller", canceled), "wamp.error.canceled");
    world.advance(Duration::from_millis(100));
    assert_eq!(world.failed("caller", overdue), "wamp.error.timeout");
    world.join("fleeting");
    world.call("fleeting", "com.slow", Dict::new(), Payload::default());
    world.lose("fleeting");
    let last = call(&mut world, Dict::new());
    serve(&mut world, first);
    serve(&mut world, last);
    world.nothing("callee");
    let running = call(&mut world, Dict::new());
    let waiting = call(&mut world, Dict::new());
    world.lose("callee");
    let mut ended = [world.error("caller"), world.error("caller")];
    ended.sort_by_key(|error| error.request);
    assert_eq!(ended.each_ref().map(|error| error.request), [running, waiting]);
    assert_eq!(ended.map(|error| error.error), ["wamp.error.canceled", "wamp.error.no_available_callee"]);
}

/// A callee that was not told to stop still works: it gets nothing more until it has answered.
#[test]
fn work_that_goes_on() {
    let mut world = world(1);
    let limit = || dict(&[("timeout", 100_i64.into())]);
    let overdue = call(&mut world, limit());
    let late = world.invocation("callee").request;
    world.advance(Duration::from_millis(100));
    assert_eq!(world.failed("caller", overdue), "wamp.error.timeout");
    let waiting = call(&mut world, Dict::new());
    world.nothing("callee");
    world.answer("callee", late, Payload::default());
    world.nothing("caller");
    serve(&mut world, waiting);

    world.join_able("able", &[Feature::CalleeCanceling]);
    world.register_with("able", "com.able", options("single", 1));
    let overdue = world.call("caller", "com.able", limit(), Payload::default());
    world.invocation("able");
    world.advance(Duration::from_millis(100));
    assert_eq!(world.failed("caller", overdue), "wamp.error.timeout");
    world.interrupt("able");
    world.call("caller", "com.able", Dict::new(), Payload::default());
    world.invocation("able");
}

/// A call that comes in pieces waits with all of them.
#[test]
fn pieces_wait() {
    let mut world = World::new();
    world.join_able("caller", &[Feature::CallerProgressiveInvocations]);
    world.join_able("callee", &[Feature::CalleeCanceling, Feature::CalleeProgressiveInvocations]);
    world.register_with("callee", "com.slow", options("single", 1));
    let first = call(&mut world, Dict::new());
    let request = world.request();
    for number in 0..3_i64 {
        let options = dict(&[("progress", (number < 2).into())]);
        let (procedure, payload) = ("com.slow".into(), Payload::of(number));
        world.send("caller", Call { request, options, procedure, payload });
    }
    let next = call(&mut world, Dict::new());
    serve(&mut world, first);
    let got: Vec<Invocation> = (0..3).map(|_| world.invocation("callee")).collect();
    world.nothing("callee");
    for (number, invocation) in got.iter().enumerate() {
        assert_eq!(invocation.request, got[0].request);
        assert_eq!(invocation.payload, Payload::of(number as u64));
        assert_eq!(invocation.details.contains_key("progress"), number < 2);
    }
    world.answer("callee", got[0].request, Payload::default());
    assert_eq!(world.result("caller").request, request);
    serve(&mut world, next);
}

/// The queue is bounded, in calls and in bytes; whoever meets the bound is told, and nothing is lost.
#[test]
fn the_queue_is_bounded() {
    let mut world = world(1);
    for number in 0..=MAX_WAITING_CALLS {
        let name = format!("caller {}", number / 1000);
        if number % 1000 == 0 {
            world.join(&name);
        }
        world.call(&name, "com.slow", Dict::new(), Payload::default());
        world.nothing(&name);
    }
    let request = call(&mut world, Dict::new());
    assert_eq!(world.failed("caller", request), "wamp.error.limit_exceeded");

    let mut world = self::world(1);
    call(&mut world, Dict::new());
    let large = Payload::of(Value::Bytes(vec![0; 10 << 20]));
    world.call("caller", "com.slow", Dict::new(), large.clone());
    world.nothing("caller");
    let request = world.call("caller", "com.slow", Dict::new(), large.clone());
    assert_eq!(world.failed("caller", request), "wamp.error.limit_exceeded");
    world.join("other");
    world.call("other", "com.slow", Dict::new(), large);
    world.nothing("other");
}

//! Who is called, and who gets which answer.

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::{Input, MAX_PENDING_CALLS, MAX_REGISTRATIONS};

use crate::world::{World, dict, text};

fn world(names: &[&str]) -> World {
    let mut world = World::new();
    for name in names {
        world.join(name);
    }
    world
}

/// A call reaches the callee unchanged, and its result the caller.
#[test]
fn a_call_is_answered() {
    let mut world = world(&["callee", "caller"]);
    let registration = world.register("callee", "com.sum");
    let arguments = Payload::new(vec![Value::from(1_i64)], dict(&[("b", Value::Bytes(vec![1]))]));
    let request = world.call("caller", "com.sum", Dict::new(), arguments.clone());
    let invocation = world.invocation("callee");
    assert_eq!(
        invocation,
        Invocation { request: RequestId::FIRST, registration, details: Dict::new(), payload: arguments }
    );
    world.answer("callee", invocation.request, Payload::of(3_i64));
    let expected = CallResult { request, details: Dict::new(), payload: Payload::of(3_i64) };
    assert_eq!(world.result("caller"), expected);
    world.nothing("callee");
}

/// A callee's error keeps its URI and arguments.
#[test]
fn an_error_is_passed_on() {
    let mut world = world(&["callee", "caller"]);
    world.register("callee", "com.sum");
    let request = world.call("caller", "com.sum", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    let payload = Payload::new(vec!["why".into()], dict(&[("k", 1_i64.into())]));
    world.send(
        "callee",
        Error {
            request_type: Invocation::CODE,
            request: invocation.request,
            details: Dict::new(),
            error: "com.error.sum".into(),
            payload: payload.clone(),
        },
    );
    let error = world.error("caller");
    assert_eq!(
        (error.request_type, error.request, error.error.as_str()),
        (Call::CODE, request, "com.error.sum")
    );
    assert_eq!(error.payload, payload);
}

/// Equal request ids of two callers must never cross: one would read what the other asked for.
#[test]
fn equal_ids_do_not_cross() {
    let mut world = world(&["callee", "alice", "bob"]);
    world.register("callee", "com.echo");
    let request = RequestId::new(1 << 53).unwrap();
    for name in ["alice", "bob"] {
        let payload = Payload::of(name);
        world.send(name, Call { request, options: Dict::new(), procedure: "com.echo".into(), payload });
    }
    let (first, second) = (world.invocation("callee"), world.invocation("callee"));
    assert_eq!((first.request.get(), second.request.get()), (1, 2), "counted for the callee, from 1");
    world.answer("callee", second.request, second.payload);
    world.answer("callee", first.request, first.payload);
    for name in ["alice", "bob"] {
        assert_eq!(text(&world.result(name).payload), name);
    }
}

/// Clients like `wamp_async` draw their request ids at random: any order is fine, only a pending id is not.
#[test]
fn request_ids_come_in_any_order() {
    let mut world = world(&["callee", "caller"]);
    world.register("callee", "com.echo");
    for id in [900, 5, 1 << 53, 1] {
        let request = RequestId::new(id).unwrap();
        world.send(
            "caller",
            Call { request, options: Dict::new(), procedure: "com.echo".into(), payload: Payload::default() },
        );
        let invocation = world.invocation("callee");
        world.answer("callee", invocation.request, Payload::default());
        assert_eq!(world.result("caller").request, request);
    }
    world.send(
        "caller",
        Call {
            request: RequestId::FIRST,
            options: Dict::new(),
            procedure: "com.echo".into(),
            payload: Payload::default(),
        },
    );
    world.send(
        "caller",
        Call {
            request: RequestId::FIRST,
            options: Dict::new(),
            procedure: "com.echo".into(),
            payload: Payload::default(),
        },
    );
    assert!(world.violation("caller").contains("still pending"));
}

/// When the callee goes, whoever waits for it is told at once, and the procedure is free again.
#[test]
fn a_callee_that_leaves_ends_its_calls() {
    let mut world = world(&["callee", "alice", "bob"]);
    world.register("callee", "com.slow");
    let requests = [
        world.call("alice", "com.slow", Dict::new(), Payload::default()),
        world.call("alice", "com.slow", Dict::new(), Payload::default()),
    ];
    world.lose("callee");
    for request in requests {
        let error = world.error("alice");
        assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.canceled"));
    }
    world.call("alice", "com.slow", Dict::new(), Payload::default());
    assert_eq!(world.error("alice").error, "wamp.error.no_such_procedure");
    world.register("bob", "com.slow");
}

/// When the caller goes, the callee's answer goes nowhere, and the callee is none the wiser.
#[test]
fn a_caller_that_leaves_is_forgotten() {
    let mut world = world(&["callee", "caller", "other"]);
    world.register("callee", "com.slow");
    world.call("caller", "com.slow", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    world.lose("caller");
    world.nothing("callee");
    world.answer("callee", invocation.request, Payload::default());
    world.nothing("other");
    assert!(!world.is_closed("callee"));
}

/// A session may call itself, and leave while it waits for itself.
#[test]
fn a_session_calls_itself() {
    let mut world = world(&["alice"]);
    world.register("alice", "com.own");
    world.call("alice", "com.own", Dict::new(), Payload::of(1_i64));
    let invocation = world.invocation("alice");
    world.answer("alice", invocation.request, Payload::of(2_i64));
    assert_eq!(world.result("alice").payload, Payload::of(2_i64));
    world.call("alice", "com.own", Dict::new(), Payload::of(1_i64));
    world.invocation("alice");
    world.lose("alice");
    world.nothing("alice");
}

/// Only the callee that was asked can answer; a second or late answer changes nothing.
#[test]
fn only_the_callee_answers() {
    let mut world = world(&["callee", "caller", "thief"]);
    world.register("callee", "com.slow");
    world.call("caller", "com.slow", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    world.answer("thief", invocation.request, Payload::of("stolen"));
    assert!(world.violation("thief").contains("no INVOCATION 1"));
    world.nothing("caller");
    world.answer("callee", invocation.request, Payload::of("first"));
    world.answer("callee", invocation.request, Payload::of("second"));
    assert_eq!(text(&world.result("caller").payload), "first");
    world.nothing("caller");
}

/// One procedure has one callee; it can give it back.
#[test]
fn registrations() {
    let mut world = world(&["alice", "bob"]);
    let registration = world.register("alice", "com.sum");
    let request = world.request();
    world.send("bob", Register { request, options: Dict::new(), procedure: "com.sum".into() });
    let error = world.error("bob");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.procedure_already_exists"));
    world.send("bob", Unregister { request, registration });
    assert_eq!(world.error("bob").error, "wamp.error.no_such_registration", "not bob's");
    world.send("alice", Unregister { request, registration });
    assert_eq!(world.receive("alice"), Unregistered::answer(request).into());
    assert_ne!(world.register("bob", "com.sum"), registration);
}

/// The router's own URIs are refused, and what is no URI; an option of the wrong kind ends the session.
#[test]
fn what_can_not_be_registered() {
    let mut world = world(&["alice", "bob", "carl"]);
    for (options, procedure, expected) in [
        (Dict::new(), "wamp.session.count", "wamp.error.invalid_uri"),
        (dict(&[("match", "prefix".into())]), "wamp.", "wamp.error.invalid_uri"),
        (dict(&[("match", "wildcard".into())]), "wamp..count", "wamp.error.invalid_uri"),
        (Dict::new(), "com.sum#", "wamp.error.invalid_uri"),
        (dict(&[("concurrency", 0_i64.into())]), "com.sum", "wamp.error.option_not_allowed"),
    ] {
        let request = world.request();
        world.send("alice", Register { request, options, procedure: procedure.into() });
        assert_eq!(world.error("alice").error, expected, "{procedure}");
    }
    world.register_with("alice", "com.sum", dict(&[("invoke", "single".into())]));
    for (name, value) in [("bob", Value::from("loudest")), ("carl", Value::from(7_i64))] {
        let request = world.request();
        let options = dict(&[("invoke", value)]);
        world.send(name, Register { request, options, procedure: "com.other".into() });
        assert!(world.violation(name).contains("roundrobin"));
    }
}

/// A call that its callee can't take is answered; so is a result that its caller can't take.
#[test]
fn too_large() {
    let mut world = world(&["callee", "caller"]);
    world.register("callee", "com.sum");
    let request = world.call("caller", "com.sum", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    world.input(Input::TooLarge { session: world.key("callee"), message: invocation.into() });
    let error = world.error("caller");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.payload_size_exceeded"));
    let request = world.call("caller", "com.sum", Dict::new(), Payload::default());
    let invocation = world.invocation("callee");
    world.answer("callee", invocation.request, Payload::default());
    let result = world.result("caller");
    world.input(Input::TooLarge { session: world.key("caller"), message: result.into() });
    let error = world.error("caller");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.payload_size_exceeded"));
}

/// An ERROR that its caller can't take is another one, even if the callee's has the same URI; that does not end the
/// caller's session.
#[test]
fn too_large_error() {
    let mut world = world(&["callee", "caller"]);
    world.register("callee", "com.sum");
    for error in ["com.failed", "wamp.error.payload_size_exceeded"] {
        let request = world.call("caller", "com.sum", Dict::new(), Payload::default());
        let invocation = world.invocation("callee").request;
        world.fail("callee", invocation, error, Payload::of("large"));
        let message = world.receive("caller");
        world.input(Input::TooLarge { session: world.key("caller"), message });
        let error = world.error("caller");
        assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.payload_size_exceeded"));
        assert!(text(&error.payload).contains("larger than this session takes"));
        world.nothing("caller");
    }
}

/// A call that is not sent to a callee with too much to read is answered, once.
#[test]
fn stalled() {
    let mut world = world(&["callee", "caller"]);
    world.register("callee", "com.sum");
    let request = world.call("caller", "com.sum", Dict::new(), Payload::default());
    let invocation = world.invocation("callee").request;
    world.input(Input::Stalled { callee: world.key("callee"), invocation });
    let error = world.error("caller");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.no_available_callee"));
    assert!(text(&error.payload).contains("does not read"));
    world.lose("callee");
    world.nothing("caller");
}

/// One client must not make the router remember any number of registrations.
#[test]
fn registrations_are_bounded() {
    let mut world = world(&["alice", "bob"]);
    let first = world.register("alice", "com.procedure.0");
    for number in 1..MAX_REGISTRATIONS {
        world.register("alice", &format!("com.procedure.{number}"));
    }
    let request = world.request();
    world.send("alice", Register { request, options: Dict::new(), procedure: "com.more".into() });
    let error = world.error("alice");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.limit_exceeded"));
    assert!(text(&error.payload).contains("limits.max_registrations"), "{error:?}");
    world.register("bob", "com.bobs");
    let request = world.request();
    world.send("alice", Unregister { request, registration: first });
    world.receive("alice");
    world.register("alice", "com.more");
}

/// One client must not make the router remember any number of calls to a callee that does not answer. Whether the
/// router still answers, it can ask all the same.
#[test]
fn pending_calls_are_bounded() {
    let mut world = world(&["callee", "caller", "other"]);
    world.register("callee", "com.slow");
    let first = world.call("caller", "com.slow", Dict::new(), Payload::default());
    for _ in 1..MAX_PENDING_CALLS {
        world.call("caller", "com.slow", Dict::new(), Payload::default());
    }
    world.nothing("caller");
    let request = world.call("caller", "com.slow", Dict::new(), Payload::default());
    let error = world.error("caller");
    assert_eq!((error.request, error.error.as_str()), (request, "wamp.error.limit_exceeded"));
    assert!(text(&error.payload).contains("limits.max_pending_calls"), "{error:?}");
    world.call("caller", "wamp.session.count", Dict::new(), Payload::default());
    world.result("caller");
    world.call("other", "com.slow", Dict::new(), Payload::default());
    world.nothing("other");
    let invocation = world.invocation("callee").request;
    world.answer("callee", invocation, Payload::default());
    assert_eq!(world.result("caller").request, first);
    world.call("caller", "com.slow", Dict::new(), Payload::default());
    world.nothing("caller");
}

/// The one procedure of the router itself: our clients see by it whether the router still answers.
#[test]
fn session_count() {
    let mut world = world(&["alice", "bob"]);
    world.call("alice", "wamp.session.count", Dict::new(), Payload::default());
    assert_eq!(world.result("alice").payload, Payload::of(2_i64));
    world.call("alice", "wamp.session.count", Dict::new(), Payload::of(Value::List(vec!["other".into()])));
    assert_eq!(world.result("alice").payload, Payload::of(0_i64));
    world.lose("bob");
    world.call("alice", "wamp.session.count", Dict::new(), Payload::default());
    assert_eq!(world.result("alice").payload, Payload::of(1_i64));
}

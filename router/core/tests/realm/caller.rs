//! What callees learn of a caller, and of payloads that the router does not look into.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::{Disclosure, Role};
use ecep_router_core::profile::Profile;

use crate::world::{World, dict};

fn disclosing() -> World {
    let role = |name: &str, disclose_caller, trustlevel| Role {
        disclose_caller,
        trustlevel,
        ..Role::unrestricted(name)
    };
    let mut world = World::with_roles(vec![
        role("free", Disclosure::OnRequest, None),
        role("known", Disclosure::Always, Some(3)),
        role("unknown", Disclosure::Never, Some(0)),
        Role { profile: Profile::WampAsync, ..Role::unrestricted("device") },
    ]);
    world.join("callee");
    world.register("callee", "com.plain");
    world.register_with("callee", "com.curious", dict(&[("disclose_caller", true.into())]));
    world
}

/// Who calls is told if the caller wants it, or if the callee asked for it when it registered.
#[test]
fn on_request() {
    let mut world = disclosing();
    let caller = world.join_as("caller", "carl", "free");
    let expected = dict(&[
        ("caller", caller.into()),
        ("caller_authid", "carl".into()),
        ("caller_authrole", "free".into()),
    ]);
    world.call("caller", "com.plain", Dict::new(), Payload::default());
    assert_eq!(world.invocation("callee").details, Dict::new());
    world.call("caller", "com.plain", dict(&[("disclose_me", true.into())]), Payload::default());
    assert_eq!(world.invocation("callee").details, expected);
    world.call("caller", "com.curious", Dict::new(), Payload::default());
    assert_eq!(world.invocation("callee").details, expected);
}

/// The role decides who is shown, and how far it is trusted; who must stay unknown can't even ask for it, and no
/// callee can.
#[test]
fn by_role() {
    let mut world = disclosing();
    let known = world.join_as("known", "kim", "known");
    world.join_as("unknown", "una", "unknown");
    world.call("known", "com.plain", Dict::new(), Payload::default());
    let expected = dict(&[
        ("caller", known.into()),
        ("caller_authid", "kim".into()),
        ("caller_authrole", "known".into()),
        ("trustlevel", 3_u64.into()),
    ]);
    assert_eq!(world.invocation("callee").details, expected);
    for procedure in ["com.plain", "com.curious"] {
        world.call("unknown", procedure, Dict::new(), Payload::default());
        assert_eq!(world.invocation("callee").details, dict(&[("trustlevel", 0_u64.into())]));
        let options = dict(&[("disclose_me", true.into())]);
        let request = world.call("unknown", procedure, options, Payload::default());
        assert_eq!(world.failed("unknown", request), "wamp.error.option_disallowed.disclose_me");
    }
    world.join_as("agent", "d1", "device");
    world.register("agent", "com.agent");
    let forged = Payload::new(vec![], dict(&[("_caller", "the owner".into()), ("id", 7_i64.into())]));
    world.call("unknown", "com.agent", Dict::new(), forged);
    let kwargs = world.invocation("agent").payload.kwargs().cloned();
    assert_eq!(kwargs, Some(dict(&[("id", 7_i64.into())])), "nor does the compatibility profile tell");
}

fn passthru() -> Dict {
    dict(&[("ppt_scheme", "x_my".into()), ("ppt_serializer", "cbor".into()), ("ppt_keyid", "7".into())])
}

fn secret() -> Payload {
    Payload::of(Value::Bytes(vec![1, 2, 3]))
}

fn passing() -> World {
    let mut world = World::new();
    world.join_able("callee", &[Feature::CalleePassthru]);
    world.join_able("caller", &[Feature::CallerPassthru]);
    world.join("plain caller");
    world.join("plain callee");
    world.register("callee", "com.secret");
    world.register("plain callee", "com.plain");
    world
}

/// The options of such a payload go with it, there and back, in a result and in an error; nothing else does.
#[test]
fn passthru_goes_through() {
    let mut world = passing();
    let mut options = passthru();
    options.insert("other".into(), 1_i64.into());
    let request = world.call("caller", "com.secret", options.clone(), secret());
    let invocation = world.invocation("callee");
    assert_eq!((invocation.details, invocation.payload), (passthru(), secret()));
    world.send("callee", Yield { request: invocation.request, options: options.clone(), payload: secret() });
    let expected = CallResult { request, details: passthru(), payload: secret() };
    assert_eq!(world.result("caller"), expected);
    world.call("caller", "com.secret", Dict::new(), Payload::default());
    let request = world.invocation("callee").request;
    let (request_type, error) = (Invocation::CODE, "com.error".to_owned());
    world.send("callee", Error { request_type, request, details: options, error, payload: secret() });
    let error = world.error("caller");
    assert_eq!((error.details, error.error.as_str(), error.payload), (passthru(), "com.error", secret()));
}

/// Who has announced nothing must not send it, and does not get it; both sides are told.
#[test]
fn passthru_is_announced() {
    let mut world = passing();
    let request = world.call("caller", "com.plain", passthru(), secret());
    assert_eq!(world.failed("caller", request), "wamp.error.feature_not_supported");
    world.nothing("plain callee");

    let request = world.call("plain caller", "com.secret", Dict::new(), Payload::default());
    let invocation = world.invocation("callee").request;
    world.send("callee", Yield { request: invocation, options: passthru(), payload: secret() });
    assert_eq!(world.failed("plain caller", request), "wamp.error.feature_not_supported");
    let error = world.error("callee");
    assert_eq!((error.request_type, error.request), (Yield::CODE, invocation));
    assert_eq!(error.error, "wamp.error.feature_not_supported");

    world.call("plain caller", "com.plain", Dict::new(), Payload::default());
    let invocation = world.invocation("plain callee").request;
    world.send("plain callee", Yield { request: invocation, options: passthru(), payload: secret() });
    assert!(world.violation("plain callee").contains("payload_passthru_mode"));
    world.error("plain caller");
    world.call("plain caller", "com.secret", passthru(), secret());
    assert!(world.violation("plain caller").contains("payload_passthru_mode"));
    world.join_with("wrong", "w", "free", Features::default().with(Feature::CallerPassthru));
    world.call("wrong", "com.secret", dict(&[("ppt_scheme", 1_i64.into())]), secret());
    assert!(world.violation("wrong").contains("ppt_scheme"));
}

//! Who subscribes to what, as an operator or a publisher sees it; and how a subscription is taken away.

use std::time::Duration;

use ecep_proto::id::SubscriptionId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Strictness};
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::{Feature, Features};
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::{Input, Limits, RealmConfig};

use crate::world::{World, dict};

fn ask(world: &mut World, procedure: &str, args: Vec<Value>) -> Value {
    let procedure = format!("wamp.subscription.{procedure}");
    world.call("operator", &procedure, Dict::new(), Payload::new(args, Dict::new()));
    let payload = world.result("operator").payload;
    payload.args().first().cloned().unwrap_or(Value::Null)
}

#[track_caller]
fn refused(world: &mut World, procedure: &str, args: Vec<Value>, error: &str) {
    let procedure = format!("wamp.subscription.{procedure}");
    world.call("operator", &procedure, Dict::new(), Payload::new(args, Dict::new()));
    assert_eq!(world.error("operator").error, error, "{procedure}");
}

fn ids(ids: &[SubscriptionId]) -> Value {
    Value::List(ids.iter().map(|id| Value::from(id.get())).collect())
}

/// The life of a subscription is told in the order of the specification, once for each step.
#[test]
fn events() {
    let mut world = World::new();
    world.join("operator");
    for event in ["on_create", "on_subscribe", "on_unsubscribe", "on_delete"] {
        world.subscribe("operator", &format!("wamp.subscription.{event}"), "exact");
    }
    world.nothing("operator");
    let heard = |world: &mut World| world.event("operator").payload.args().to_vec();
    let (ann, bob) = (world.join("ann"), world.join("bob"));
    world.advance(Duration::from_millis(61_500));
    let id = world.subscribe("ann", "com.a", "prefix");
    let details = dict(&[
        ("id", id.get().into()),
        ("created", "1970-01-01T00:01:01.500Z".into()),
        ("uri", "com.a".into()),
        ("match", "prefix".into()),
    ]);
    assert_eq!(heard(&mut world), [ann.into(), Value::Map(details.clone())], "on_create");
    assert_eq!(heard(&mut world), [ann.into(), id.get().into()], "on_subscribe");
    world.subscribe("ann", "com.a", "prefix");
    world.nothing("operator");
    world.subscribe("bob", "com.a", "prefix");
    assert_eq!(heard(&mut world), [bob.into(), id.get().into()], "on_subscribe");
    assert_eq!(ask(&mut world, "get", vec![id.get().into()]), Value::Map(details));
    let request = world.request();
    world.send("ann", Unsubscribe { request, subscription: id });
    assert_eq!(heard(&mut world), [ann.into(), id.get().into()], "on_unsubscribe");
    world.nothing("operator");
    world.lose("bob");
    assert_eq!(heard(&mut world), [bob.into(), id.get().into()], "on_unsubscribe");
    assert_eq!(heard(&mut world), [bob.into(), id.get().into()], "on_delete");
    world.nothing("operator");
    refused(&mut world, "get", vec![id.get().into()], "wamp.error.no_such_subscription");
}

/// What can be asked.
#[test]
fn procedures() {
    let mut world = World::new();
    world.join("operator");
    let (ann, bob) = (world.join("ann"), world.join("bob"));
    let exact = world.subscribe("ann", "com.a.b", "exact");
    let prefix = world.subscribe("ann", "com.a", "prefix");
    let wildcard = world.subscribe("bob", "com..b", "wildcard");
    world.subscribe("bob", "com.a.b", "exact");
    let other = world.subscribe("bob", "com.b", "exact");
    let lists =
        dict(&[("exact", ids(&[exact, other])), ("prefix", ids(&[prefix])), ("wildcard", ids(&[wildcard]))]);
    assert_eq!(ask(&mut world, "list", vec![]), Value::Map(lists));

    let options = |kind: &str| Value::Map(dict(&[("match", kind.into())]));
    assert_eq!(ask(&mut world, "lookup", vec!["com.a.b".into()]), exact.get().into());
    assert_eq!(ask(&mut world, "lookup", vec!["com.a".into()]), Value::Null);
    assert_eq!(ask(&mut world, "lookup", vec!["com.a".into(), options("prefix")]), prefix.get().into());
    refused(&mut world, "lookup", vec!["com.a".into(), options("most")], "wamp.error.invalid_argument");
    refused(&mut world, "lookup", vec![], "wamp.error.invalid_argument");

    assert_eq!(ask(&mut world, "match", vec!["com.a.b".into()]), ids(&[exact, prefix, wildcard]));
    assert_eq!(ask(&mut world, "match", vec!["com.a.c".into()]), ids(&[prefix]));
    assert_eq!(ask(&mut world, "match", vec!["org.a".into()]), Value::Null);

    let both = Value::List(vec![ann.into(), bob.into()]);
    assert_eq!(ask(&mut world, "list_subscribers", vec![exact.get().into()]), both);
    assert_eq!(ask(&mut world, "count_subscribers", vec![exact.get().into()]), 2_u64.into());
    assert_eq!(ask(&mut world, "count_subscribers", vec![prefix.get().into()]), 1_u64.into());
    for procedure in ["get", "list_subscribers", "count_subscribers", "remove_subscriber"] {
        for unknown in [99_u64, 0, u64::MAX] {
            refused(&mut world, procedure, vec![unknown.into()], "wamp.error.no_such_subscription");
        }
        refused(&mut world, procedure, vec!["1".into()], "wamp.error.invalid_argument");
    }
    refused(&mut world, "none", vec![], "wamp.error.no_such_procedure");
}

/// A subscriber whose subscription is taken away gets no more events, and hears of it only if it can understand.
#[test]
fn revocation() {
    let mut world = World::new();
    world.join("operator");
    let able = Features::default().with(Feature::SubscriberRevocation);
    let ann = world.join_with("ann", "ann", "free", able);
    let bob = world.join("bob");
    let id = world.subscribe("ann", "com.a", "exact");
    world.subscribe("bob", "com.a", "exact");
    world.subscribe("operator", "wamp.subscription.on_delete", "exact");

    let remove = |world: &mut World, session: u64, kwargs: &[(&str, Value)]| {
        let payload = Payload::new(vec![id.get().into(), session.into()], dict(kwargs));
        world.call("operator", "wamp.subscription.remove_subscriber", Dict::new(), payload);
    };
    remove(&mut world, ann, &[("reason", "no longer authorized".into())]);
    assert_eq!(world.result("operator").payload, Payload::default());
    assert_eq!(world.receive("ann"), Unsubscribed::revoked(id, "no longer authorized").into());
    remove(&mut world, ann, &[]);
    assert_eq!(world.error("operator").error, "wamp.error.no_such_session");
    world.publish("operator", "com.a", Dict::new(), Payload::default());
    world.event("bob");
    remove(&mut world, bob, &[]);
    world.result("operator");
    assert_eq!(world.event("operator").payload.args(), [bob.into(), id.get().into()]);
    world.publish("operator", "com.a", Dict::new(), Payload::default());
    world.nothing("ann");
    world.nothing("bob");
    let request = world.request();
    world.send("ann", Unsubscribe { request, subscription: id });
    assert_eq!(world.error("ann").error, "wamp.error.no_such_subscription");
}

/// Whose role is narrowed loses what it could not subscribe to now, at once.
#[test]
fn a_narrowed_role_loses_subscriptions() {
    let rule =
        |uri: &str| Rule { uri: uri.into(), matching: Match::Prefix, actions: vec![Action::Subscribe] };
    let reader = |rules| Role { name: "reader".into(), rules, ..Role::default() };
    let mut world =
        World::with_roles(vec![Role::unrestricted("free"), reader(vec![rule("com."), rule("org.")])]);
    world.join("operator");
    world.join_with("ann", "ann", "reader", Features::default().with(Feature::SubscriberRevocation));
    let kept = world.subscribe("ann", "com.a", "exact");
    let lost = world.subscribe("ann", "org.", "prefix");
    let config = RealmConfig {
        name: "test.realm".into(),
        roles: vec![Role::unrestricted("free"), reader(vec![rule("com.")])],
        strictness: Strictness::Loose,
        strict_requests: false,
        limits: Limits::default(),
    };
    world.input(Input::Reconfigure { config, moved: Vec::new() });
    assert_eq!(world.receive("ann"), Unsubscribed::revoked(lost, "no longer authorized").into());
    world.publish("operator", "org.a", Dict::new(), Payload::default());
    world.publish("operator", "com.a", Dict::new(), Payload::default());
    assert_eq!(world.event("ann").subscription, kept);
    world.nothing("ann");
}

//! Topics of the tenants' realms: subscribed to, by every way of matching, and published on.

use ecep_proto::{
    api::{Server, TOPICS, roles::Role},
    meta,
};

use crate::scene::{Scene, on};

/// Every topic must be open to exactly the roles that the catalogue names.
#[tokio::test]
async fn exactly_the_subscribers_of_the_catalogue_may_subscribe() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for topic in TOPICS {
            let may = topic.subscribers.contains(&role);
            let outcome = client.subscribe(&on(topic.uri, &scene.device.id), "exact").await;
            assert_eq!(!outcome.is_denied(), may, "{name} subscribes to {}: {outcome:?}", topic.name);
            let of_all = on(topic.uri, "");
            if of_all != topic.uri {
                let outcome = client.subscribe(&of_all, "wildcard").await;
                assert_eq!(!outcome.is_denied(), may, "{name} subscribes to {of_all}: {outcome:?}");
            }
        }
    }
}

/// A pattern must not reach further than the topics that are open one by one.
#[tokio::test]
async fn patterns_reach_no_further() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for topic in TOPICS {
            for (place, _) in topic.uri.match_indices('.') {
                let prefix = on(&topic.uri[..=place], &scene.device.id);
                for prefix in [prefix.as_str(), prefix.trim_end_matches('.')] {
                    let outcome = client.subscribe(prefix, "prefix").await;
                    assert!(outcome.is_denied(), "{name} subscribes to all below {prefix}: {outcome:?}");
                }
            }
            let parts = topic.uri.split('.').count();
            for wide in [
                ".".repeat(parts - 1),
                format!("{}{}", topic.uri.split('.').next().unwrap(), ".".repeat(parts - 1)),
            ] {
                let outcome = client.subscribe(&wide, "wildcard").await;
                assert!(outcome.is_denied(), "{name} subscribes to {wide:?}: {outcome:?}");
            }
        }
        for uri in [
            meta::SESSION_ON_JOIN,
            meta::SESSION_ON_LEAVE,
            meta::REGISTRATION_ON_CREATE,
            meta::REGISTRATION_ON_REGISTER,
            meta::REGISTRATION_ON_UNREGISTER,
            meta::REGISTRATION_ON_DELETE,
            meta::SUBSCRIPTION_ON_CREATE,
            meta::SUBSCRIPTION_ON_SUBSCRIBE,
            meta::SUBSCRIPTION_ON_UNSUBSCRIBE,
            meta::SUBSCRIPTION_ON_DELETE,
        ] {
            let may = role == Role::Device
                && [meta::SUBSCRIPTION_ON_CREATE, meta::SUBSCRIPTION_ON_DELETE].contains(&uri);
            let outcome = client.subscribe(uri, "exact").await;
            assert_eq!(!outcome.is_denied(), may, "{name} subscribes to {uri}: {outcome:?}");
        }
        for prefix in [meta::RESERVED_PREFIX, ""] {
            let outcome = client.subscribe(prefix, "prefix").await;
            assert!(matches!(outcome, crate::wire::Outcome::Refused(..)), "{name} {prefix:?}: {outcome:?}");
        }
    }
}

/// Nobody must speak for another: people publish nothing, and a device only what is its own.
#[tokio::test]
async fn nobody_speaks_for_another() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for topic in TOPICS {
            for device in [scene.device.id.as_str(), &scene.foreign.id, scene.no_device().as_str()] {
                let uri = on(topic.uri, device);
                let outcome = client.publish(&uri).await;
                assert!(outcome.is_denied(), "{name} publishes on {uri}: {outcome:?}");
            }
            let own = on(topic.uri, &scene.neighbour.id);
            let may = role == Role::Device && topic.server == Server::Device;
            let outcome = client.publish(&own).await;
            assert_eq!(!outcome.is_denied(), may, "{name} publishes on {own}: {outcome:?}");
        }
        for uri in [meta::SESSION_ON_JOIN, meta::SUBSCRIPTION_ON_CREATE] {
            let outcome = client.publish(uri).await;
            assert!(
                matches!(outcome, crate::wire::Outcome::Refused(..)),
                "{name} publishes on {uri}: {outcome:?}"
            );
        }
    }
}

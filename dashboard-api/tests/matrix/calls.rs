//! Procedures of the tenants' realms: called, and registered.

use ecep_proto::{
    api::{Home, PROCEDURES, Server, error::ErrorKind, roles::Role},
    error::{NO_SUCH_PROCEDURE, NOT_AUTHORIZED},
    meta,
};
use serde_json::json;

use crate::{
    scene::{ACME, CONTAINER, CONTROL_PLANE_ROWS, GLOBEX, Scene, on},
    wire::Outcome,
};

/// Every meta procedure of the router. Only a device needs one of them.
const META: &[&str] = &[
    meta::SESSION_COUNT,
    meta::SESSION_LIST,
    meta::SESSION_GET,
    meta::SESSION_KILL,
    meta::SESSION_KILL_BY_AUTHID,
    meta::SESSION_KILL_BY_AUTHROLE,
    meta::SESSION_KILL_ALL,
    meta::SESSION_ADD_TESTAMENT,
    meta::SESSION_FLUSH_TESTAMENTS,
    meta::REGISTRATION_LIST,
    meta::REGISTRATION_LOOKUP,
    meta::REGISTRATION_MATCH,
    meta::REGISTRATION_GET,
    meta::REGISTRATION_LIST_CALLEES,
    meta::REGISTRATION_COUNT_CALLEES,
    meta::REGISTRATION_REMOVE_CALLEE,
    meta::SUBSCRIPTION_LIST,
    meta::SUBSCRIPTION_LOOKUP,
    meta::SUBSCRIPTION_MATCH,
    meta::SUBSCRIPTION_GET,
    meta::SUBSCRIPTION_LIST_SUBSCRIBERS,
    meta::SUBSCRIPTION_COUNT_SUBSCRIBERS,
    meta::SUBSCRIPTION_REMOVE_SUBSCRIBER,
];

/// Every procedure must be there for exactly the roles that the catalogue names, in the tenant's realm; what lives on the control
/// realm must not be callable here by anybody.
#[tokio::test]
async fn exactly_the_callers_of_the_catalogue_may_call() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for procedure in PROCEDURES {
            let uri = on(procedure.uri, &scene.device.id);
            let may = procedure.home == Home::Tenant && procedure.callers.contains(&role);
            let outcome = client.call(&uri, &json!({})).await;
            assert_eq!(!outcome.is_denied(), may, "{name} calls {}: {outcome:?}", procedure.name);
            if may {
                assert!(!outcome.is(NO_SUCH_PROCEDURE), "nobody serves {}", procedure.name);
                // A device that there is not, and another tenant's, look the same.
                let missing = client.call(&on(procedure.uri, scene.no_device().as_str()), &json!({})).await;
                let foreign = client.call(&on(procedure.uri, &scene.foreign.id), &json!({})).await;
                if procedure.server == Server::Device {
                    assert!(missing.is(NO_SUCH_PROCEDURE), "{name} {}: {missing:?}", procedure.name);
                    let Outcome::Refused(uri, said) = foreign else { panic!("{foreign:?}") };
                    let said = said.replace(&scene.foreign.id, scene.no_device().as_str());
                    assert_eq!(Outcome::Refused(uri, said), missing, "{name} {}", procedure.name);
                }
            }
        }
    }
}

/// The router's own procedures must be closed: they tell who is there, and end sessions.
#[tokio::test]
async fn meta_procedures_are_closed() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for uri in META {
            let may = role == Role::Device && *uri == meta::SUBSCRIPTION_MATCH;
            let outcome = client.call(uri, &json!({})).await;
            assert_eq!(!outcome.is_denied(), may, "{name} calls {uri}: {outcome:?}");
        }
    }
}

/// Nobody must take a procedure's place: not a person, nor a device for another or for the control plane, nor by a pattern.
#[tokio::test]
async fn nobody_serves_in_anothers_place() {
    let scene = Scene::start().await;
    for (name, role, mut client) in scene.inside().await {
        for procedure in PROCEDURES {
            let uri = on(procedure.uri, &scene.device.id);
            let mut attempts =
                vec![(uri.clone(), "exact"), (uri, "prefix"), (on(procedure.uri, ""), "wildcard")];
            for (place, _) in procedure.uri.match_indices('.') {
                attempts.push((on(&procedure.uri[..place], &scene.device.id), "prefix"));
            }
            for (uri, matching) in attempts {
                let outcome = client.register(&uri, matching).await;
                let refused = matches!(outcome, Outcome::Refused(..));
                assert!(refused, "{name} ({role:?}) registers {uri} by {matching}: {outcome:?}");
            }
        }
        let own = on(PROCEDURES[0].uri, &scene.neighbour.id);
        let outcome = client.register(&own, "exact").await;
        assert_eq!(outcome.is(NOT_AUTHORIZED), role != Role::Device, "{name} registers {own}: {outcome:?}");
    }
}

/// What names acme's container or device must get the same answer from another tenant as what names nothing. Each
/// procedure that the control plane serves to tenants needs a row, which says how it names them.
#[tokio::test]
async fn anothers_things_look_as_if_they_did_not_exist() {
    let scene = Scene::start().await;
    let served = PROCEDURES
        .iter()
        .filter(|procedure| procedure.home == Home::Tenant && procedure.server == Server::ControlPlane);
    let mut served: Vec<&str> = served.map(|procedure| procedure.name).collect();
    let mut rows: Vec<&str> = CONTROL_PLANE_ROWS.iter().map(|(name, _)| *name).collect();
    served.sort_unstable();
    rows.sort_unstable();
    assert_eq!(served, rows, "every procedure of the control plane needs a row in CONTROL_PLANE_ROWS");

    let mut acme = scene.join(&scene.members[0], ACME).await;
    let mut globex = scene.join(&scene.others[0], GLOBEX).await;
    for (name, rows) in CONTROL_PLANE_ROWS {
        let uri = PROCEDURES.iter().find(|procedure| procedure.name == *name).unwrap().uri;
        let real = rows(CONTAINER, &scene.device.id);
        let invented = rows("no-such-container", scene.no_device().as_str());
        for (real, invented) in real.iter().zip(&invented) {
            let theirs = globex.call(uri, real).await;
            let nothings = globex.call(uri, invented).await;
            assert_eq!(plain(&theirs, &scene), plain(&nothings, &scene), "{name}");
            // The row says something: its form is right.
            let own = acme.call(uri, real).await;
            assert!(!own.is(ErrorKind::InvalidArgument.uri()), "{name}: {own:?}");
            let text = format!("{theirs:?}");
            assert!(matches!(theirs, Outcome::Refused(..)) || !text.contains(CONTAINER), "{name}: {text}");
        }
    }
}

/// Without the names that were asked for.
fn plain(outcome: &Outcome, scene: &Scene) -> (String, String) {
    let without = |text: &str| {
        text.replace("no-such-container", "it")
            .replace(CONTAINER, "it")
            .replace(scene.no_device().as_str(), "there")
            .replace(&scene.device.id, "there")
    };
    match outcome {
        Outcome::Done(value) => {
            let mut value = value.clone();
            // The clock goes on between two questions.
            value.as_object_mut().map(|fields| fields.remove("now"));
            (String::new(), without(&value.to_string()))
        }
        Outcome::Refused(uri, said) => (uri.clone(), without(said)),
    }
}

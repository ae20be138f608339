//! Who gets into a realm at all. A realm of another tenant and one that does not exist must look the same.

use ecep_proto::api::realm::{CONTROL, CONTROL_PLANE_AUTHID};
use serde_json::json;

use crate::{
    scene::{ACME, GLOBEX, NOBODYS, Scene, realm_of},
    wire::{Client, Outcome, Pass},
};

async fn refused(scene: &Scene, pass: &Pass) -> Outcome {
    match Client::join(&scene.router.url(), pass).await {
        Ok(_) => panic!("{} joins {}", pass.authid, pass.realm),
        // What was asked for may be repeated.
        Err(Outcome::Refused(uri, said)) => {
            Outcome::Refused(uri, said.replace(&pass.realm, "it").replace(&pass.authid, "you"))
        }
        Err(done) => panic!("{done:?}"),
    }
}

/// Nobody must get in without what opens the realm, whoever they say they are.
#[tokio::test]
async fn nobody_gets_in() {
    let scene = Scene::start().await;
    for realm in [realm_of(ACME), CONTROL.to_owned()] {
        let missing = realm_of(NOBODYS);
        for authid in ["x", CONTROL_PLANE_AUTHID, &scene.device.id, &scene.owner.account(ACME).await] {
            for ticket in [None, Some(""), Some("guess"), Some(crate::support::PASSWORD)] {
                let pass = |realm: &str| Pass {
                    realm: realm.to_owned(),
                    authid: authid.to_owned(),
                    ticket: ticket.map(ToOwned::to_owned),
                };
                let there = refused(&scene, &pass(&realm)).await;
                if realm != CONTROL {
                    assert_eq!(there, refused(&scene, &pass(&missing)).await, "{authid} {ticket:?}");
                }
            }
        }
    }
}

/// Whoever is somebody elsewhere must not get into acme's realm, nor learn that it exists; and no person or token gets into the
/// control realm.
#[tokio::test]
async fn who_belongs_elsewhere_does_not_get_in() {
    let scene = Scene::start().await;
    let (acme, missing) = (realm_of(ACME), realm_of(NOBODYS));
    for somebody in &scene.others {
        let there = refused(&scene, &scene.pass(somebody, GLOBEX, &acme).await).await;
        let nowhere = refused(&scene, &scene.pass(somebody, GLOBEX, &missing).await).await;
        assert_eq!(there, nowhere, "{}", somebody.name);
        refused(&scene, &scene.pass(somebody, GLOBEX, CONTROL).await).await;
    }
    for somebody in &scene.members {
        refused(&scene, &scene.pass(somebody, ACME, CONTROL).await).await;
    }
    for person in [&scene.other, &scene.admin] {
        let ask = async |tenant: &str| {
            let answer = person.post("/api/wamp-ticket", json!({ "tenant": tenant })).await;
            (answer.status, answer.text.replace(tenant, "it"))
        };
        let there = ask(ACME).await;
        assert!(!there.0.is_success(), "{there:?}");
        assert_eq!(there, ask(NOBODYS).await);
    }
}

/// A stolen device key must open the control realm and its owner's realm as that device, and nothing else: another's name does
/// not go with its tickets, and neither do they open another realm or open twice.
#[tokio::test]
async fn a_devices_ticket_is_its_own() {
    let scene = Scene::start().await;
    let (acme, missing) = (realm_of(ACME), realm_of(NOBODYS));
    let as_another = scene.ask_session(&scene.foreign, &scene.device.id).await;
    let as_nobody = scene.ask_session(&scene.foreign, scene.no_device().as_str()).await;
    assert!(as_another.status.is_client_error(), "{as_another:?}");
    let without = |text: &str| text.replace(&scene.device.id, "it").replace(scene.no_device().as_str(), "it");
    assert_eq!(without(&as_another.text), without(&as_nobody.text));
    let mut control = scene.join_control(&scene.foreign).await;
    let mut answers = Vec::new();
    for realm in [&acme, &missing] {
        let pass = scene.tenant_pass(&mut control, &scene.foreign.id).await;
        assert_eq!(pass.realm, realm_of(GLOBEX));
        answers.push(refused(&scene, &Pass { realm: realm.clone(), ..pass }).await);
        let pass = scene.control_pass(&scene.foreign).await;
        answers.push(refused(&scene, &Pass { realm: realm.clone(), ..pass }).await);
    }
    assert_eq!(answers[..2], answers[2..]);
    for authid in [scene.device.id.as_str(), CONTROL_PLANE_AUTHID] {
        let pass = scene.control_pass(&scene.foreign).await;
        refused(&scene, &Pass { authid: authid.to_owned(), ..pass }).await;
        let pass = scene.tenant_pass(&mut control, &scene.foreign.id).await;
        refused(&scene, &Pass { authid: authid.to_owned(), ..pass }).await;
    }
    let pass = scene.tenant_pass(&mut control, &scene.foreign.id).await;
    Client::join(&scene.router.url(), &pass).await.unwrap();
    refused(&scene, &pass).await;
}

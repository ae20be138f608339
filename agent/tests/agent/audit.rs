//! Who has called what on a device, as the control plane is told of it.

use ecep_agent::engine::sim::SimEngine;
use ecep_proto::api::{
    ContainerCreate, ContainerDelete, ContainerList, ContainerStart, ContainerStop, PROCEDURES, Procedure,
    Server,
    audit::{Outcome, is_audited},
};
use serde_json::json;

use crate::{
    device::Scene,
    orders::{ask, ask_by_uri, device},
};

/// Calls are told in order and each once, also those that were served while nobody took them and before a restart of the agent;
/// reads are not told, and secrets neither.
#[tokio::test]
async fn calls_are_told_in_order_and_once() {
    let mut scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let order = json!({"name": "web", "image": "app:1", "env": {"KEY": "marked-secret"}});
    let web =
        ask::<ContainerCreate>(&mut ann, order).await.expect("it is created").container_id.expect("its id");
    ask::<ContainerList>(&mut ann, json!({})).await.expect("a list");
    let told = scene.cloud.audit(1).await;
    assert_eq!(
        (told[0].sequence, told[0].caller.authid.as_str(), told[0].tenant.as_str()),
        (1, "ann", "acme")
    );
    assert_eq!(
        (told[0].told.action.as_str(), told[0].told.target.as_str()),
        (ContainerCreate::URI, web.as_str())
    );
    assert_eq!(
        (told[0].told.detail["name"].as_str(), told[0].told.detail["image"].as_str()),
        ("web", "app:1")
    );

    scene.cloud.take_audit(false);
    ask::<ContainerStop>(&mut ann, json!({"container": web})).await.expect("it stops");
    ask::<ContainerStart>(&mut ann, json!({"container": "nothing"})).await.expect_err("there is none");
    scene.restart_agent().await;
    scene.cloud.take_audit(true);
    ask::<ContainerDelete>(&mut ann, json!({"container": web, "force": true})).await.expect("it is deleted");
    let told = scene.cloud.audit(4).await;
    let numbers: Vec<_> =
        told.iter().map(|call| (call.sequence, call.told.action.as_str(), call.told.outcome)).collect();
    assert_eq!(
        numbers,
        [
            (1, ContainerCreate::URI, Outcome::Done),
            (2, ContainerStop::URI, Outcome::Done),
            (3, ContainerStart::URI, Outcome::Refused),
            (4, ContainerDelete::URI, Outcome::Done)
        ]
    );
    assert!(!format!("{told:?}").contains("marked-secret"));
    scene.end().await;
}

/// A secret in the arguments of any changing procedure of a device must not be told, and each of them must be.
#[tokio::test]
async fn no_secret_of_a_call_is_told() {
    const MARK: &str = "marked-secret";
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let changing: Vec<_> =
        PROCEDURES.iter().filter(|one| is_audited(one) && one.server == Server::Device).collect();
    assert!(!changing.is_empty());
    for procedure in &changing {
        let uri = procedure.uri.replace(ecep_proto::api::DEVICE_PLACEHOLDER, device().as_str());
        let sent =
            json!({"env": {"KEY": MARK}, "password": MARK, "command": [MARK], "container": {"x": MARK}});
        ask_by_uri(&mut ann, &uri, sent).await.expect_err("it is malformed");
    }
    let told = scene.cloud.audit(changing.len()).await;
    assert!(!format!("{told:?}").contains(MARK), "{told:?}");
    for (procedure, call) in changing.iter().zip(&told) {
        assert_eq!(call.told.action, procedure.uri);
    }
    let on_disk = std::fs::read_to_string(scene.data().join("audit-journal")).expect("the journal");
    assert!(!on_disk.contains(MARK));
    scene.end().await;
}

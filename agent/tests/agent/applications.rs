//! Applications, as the control plane orders them over the router.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use ecep_agent::engine::sim::SimEngine;
use ecep_proto::api::{ContainerList, DeviceDeployment, DeviceReplacement, ImageList, Procedure};
use serde_json::json;

use crate::{
    device::Scene,
    orders::{ask, device, ordered},
};

/// The control plane's order must become a container of the tenant, with its version, and an update must keep it what it is; and a
/// tenant's people must not be able to give such orders by themselves, for they are judged by the control plane.
#[tokio::test]
async fn the_control_plane_deploys_and_updates() {
    let scene = Scene::start(SimEngine::default(), &["acme", "globex"]).await;
    let version = |number: u32| {
        json!({
            "application": "shop", "version": number, "source": {"kind": "image", "image": format!("shop:{number}")},
            "artifact_bytes": null, "settings": {"healthy_after_seconds": 1},
        })
    };
    let deploy = json!({"tenant": "acme", "version": version(1), "name": "web", "operation": "deploy-1"});
    let control = scene.cloud.control();
    let reply = ordered::<DeviceDeployment>(control, deploy).await.unwrap();
    let id = reply.container_id.unwrap();
    let update = json!({"tenant": "acme", "container": id, "version": version(2), "operation": "update-1"});
    ordered::<DeviceReplacement>(control, update).await.unwrap();

    let mut ann = scene.cloud.operator("acme").await;
    let seen = ask::<ContainerList>(&mut ann, json!({})).await.unwrap().containers;
    let [container] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&container.id, container.version, container.application.as_str()), (&id, Some(2), "shop"));
    ask::<ImageList>(&mut ann, json!({})).await.unwrap();
    let order = json!({"tenant": "acme", "version": version(1), "name": "other", "operation": "deploy-2"});
    ann.call_with(&DeviceDeployment::on(&device()), order).await.expect_err("it is not there for people");
    let mut eve = scene.cloud.operator("globex").await;
    assert!(ask::<ContainerList>(&mut eve, json!({})).await.unwrap().containers.is_empty());
    scene.end().await;
}

//! Two tenants on one device: neither must reach, or learn of, the other's containers.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use ecep_agent::engine::sim::SimEngine;
use ecep_proto::api::{
    ContainerCreate, Home, PROCEDURES, Procedure, Server, error::ErrorKind, name::ContainerId,
};
use serde_json::{Value, json};

use crate::{
    client::Client,
    device::Scene,
    orders::{ask_by_uri, complete, device},
};

/// How a request names a container.
type Row = fn(&str) -> Value;

/// Every procedure of a device in tenants' realms, and how a request of it names a container; those without a row name none.
const ROWS: &[(&str, Option<Row>)] = &[
    ("DeviceInfo", None),
    ("ContainerList", None),
    ("ContainerCreate", None),
    ("ContainerStart", Some(|id| json!({ "container": id }))),
    ("ContainerStop", Some(|id| json!({ "container": id }))),
    ("ContainerRestart", Some(|id| json!({ "container": id }))),
    ("ContainerDelete", Some(|id| json!({ "container": id, "force": true }))),
    ("ContainerInspect", Some(|id| json!({ "container": id }))),
    ("ContainerLogs", Some(|id| json!({ "container": id }))),
    ("LogFetch", Some(|id| json!({ "container": id }))),
    ("FileListing", Some(|id| json!({ "container": id, "path": "/" }))),
    ("FileFetch", Some(|id| json!({ "container": id, "path": "/etc" }))),
    ("TerminalOpen", Some(|id| json!({ "container": id }))),
    ("ContainerCheckpoint", Some(|id| json!({ "container": id, "name": "saved" }))),
    ("ContainerRestore", Some(|id| json!({ "container": id, "name": "saved" }))),
    ("CheckpointListing", Some(|id| json!({ "container": id }))),
    ("CheckpointDelete", Some(|id| json!({ "container": id, "name": "saved" }))),
    ("KeptListing", Some(|id| json!({ "container": id }))),
    ("KeptDelete", Some(|id| json!({ "container": id, "migration": "some-move" }))),
    ("ImageList", None),
    ("ImagePull", None),
    ("ImageDelete", None),
];

/// The answer, without the id that was asked for and those that are new each time.
async fn answer(client: &mut Client, uri: &str, row: Row, id: &str) -> (String, String, Value) {
    match ask_by_uri(client, uri, row(id)).await {
        Ok(value) => (
            String::new(),
            String::new(),
            serde_json::from_str(&value.to_string().replace(id, "it")).unwrap(),
        ),
        Err(error) => (error.uri, error.message.replace(id, "it"), error.details),
    }
}

/// What names another tenant's container must be answered as what names none, and must change nothing. Each procedure of
/// a device needs a row.
#[tokio::test]
async fn anothers_container_looks_as_if_it_did_not_exist() {
    let of_device =
        |home| PROCEDURES.iter().filter(move |one| one.server == Server::Device && one.home == home);
    let mut served: Vec<&str> = of_device(Home::Tenant).map(|procedure| procedure.name).collect();
    let mut rows: Vec<&str> = ROWS.iter().map(|(name, _)| *name).collect();
    served.sort_unstable();
    rows.sort_unstable();
    assert_eq!(served, rows, "every procedure of a device needs a row here");

    let scene = Scene::start(SimEngine::default(), &["acme", "globex"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let mut eve = scene.cloud.operator("globex").await;
    let made =
        complete::<ContainerCreate>(&mut ann, json!({ "name": "web", "image": "app:1" })).await.unwrap();
    let id: ContainerId = made.container_id.unwrap();
    // The agent serves the other tenant, too.
    complete::<ContainerCreate>(&mut eve, json!({ "name": "web", "image": "app:1" })).await.unwrap();
    let before = ann.call_with(&ecep_proto::api::ContainerList::on(&device()), json!({})).await.unwrap();
    for (name, row) in ROWS {
        let Some(row) = row else { continue };
        let procedure = of_device(Home::Tenant).find(|procedure| procedure.name == *name).unwrap();
        let uri = procedure.uri.replace(ecep_proto::api::DEVICE_PLACEHOLDER, device().as_str());
        let theirs = answer(&mut eve, &uri, *row, id.as_str()).await;
        let none = answer(&mut eve, &uri, *row, "c-0000000000000000").await;
        assert_eq!(theirs, none, "{name}");
        assert_ne!(theirs.0, ErrorKind::InvalidArgument.uri(), "{name}: the row's form is right: {theirs:?}");
    }
    let list = eve.call_with(&ecep_proto::api::ContainerList::on(&device()), json!({})).await.unwrap();
    assert!(!list.to_string().contains(id.as_str()), "{list}");
    let after = ann.call_with(&ecep_proto::api::ContainerList::on(&device()), json!({})).await.unwrap();
    assert_eq!(before, after);
    scene.end().await;
}

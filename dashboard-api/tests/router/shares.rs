//! A device that two tenants use, with the real agent and a simulated engine; and a real agent's change of key.

use std::{fs, path::Path};

use ecep_agent::{engine::Engine, identity::DeviceKey};
use ecep_proto::api::{
    ContainerCreate, ContainerDelete, ContainerList, DeviceInfo, DeviceList, FleetContainerList, ImageDelete,
    ImageList, Procedure, ShareEvict, audit::AuditEntry, error::ErrorKind,
};
use serde_json::{Value, json};

use crate::{
    join, joined, platform,
    support::{
        Person, Server,
        device::{NO_PROCEDURE, RealDevice, until},
        router::TestRouter,
    },
    ticket,
};

/// Maria owns `acme` with a device, Gus owns `globex`.
async fn scene() -> (TestRouter, Server, Person, Person, RealDevice) {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let gus =
        server.add_person(&maria, "gus@example.org", json!([{ "tenant": "globex", "role": "owner" }])).await;
    joined(&server).await;
    let device = RealDevice::start(&server, &maria).await;
    (router, server, maria, gus, device)
}

fn order(name: &str, more: Value) -> Value {
    let mut order = json!({ "name": name, "image": "app:1" });
    order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    order
}

fn cpus(name: &str, cpus: f64) -> Value {
    order(name, json!({ "limits": { "cpus": cpus } }))
}

fn names(list: &Value) -> Vec<String> {
    let name = |one: &Value| one["name"].as_str().or(one["container"]["name"].as_str()).unwrap().to_owned();
    let mut names: Vec<String> = list["containers"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

/// The whole life of a share: two tenants on one device, each in its bounds and blind to the other, until it is over.
#[tokio::test]
async fn two_tenants_share_a_device_and_part_again() {
    let (router, server, maria, gus, mut device) = scene().await;
    let path = format!("/api/tenants/acme/devices/{}/shares", device.id);
    let terms = json!({ "quota": { "cpus": 1.0, "containers": 2 } });
    maria.post(&path, json!({ "tenant": "globex", "terms": terms })).await;
    let mut of_gus = join(&router, &ticket(&gus, "globex").await).await.unwrap();
    let mut of_maria = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    assert_eq!(of_gus.call(DeviceList::URI, json!({})).await.unwrap()["devices"], json!([]), "only offered");
    gus.post(&format!("/api/tenants/globex/shares/{}", device.id), json!({})).await;

    let seen = of_gus.call(DeviceList::URI, json!({})).await.unwrap()["devices"][0].clone();
    assert_eq!((&seen["id"], &seen["share"]["owner_name"]), (&json!(device.id), &json!("Acme")));
    assert_eq!(
        seen["share"]["granted"]["terms"]["quota"],
        json!({ "cpus": 1.0, "memory_bytes": null, "disk_bytes": null, "containers": 2 })
    );
    assert_eq!((&seen["facts"]["hostname"], &seen["facts"]["addresses"]), (&json!(""), &json!([])));
    assert!(seen["location"]["lat"].is_f64(), "{seen}");

    for (refused, kind, says) in [
        (order("none", json!({})), ErrorKind::InvalidArgument, "set limits.cpus; 1 of 1 cores"),
        (cpus("much", 1.5), ErrorKind::Limit, "1 of 1 cores"),
        (
            order("port", json!({ "limits": { "cpus": 0.1 }, "ports": [{ "container": 80 }] })),
            ErrorKind::Forbidden,
            "publish ports",
        ),
    ] {
        let answer = device.ask::<ContainerCreate>(&mut of_gus, refused).await.unwrap_err();
        assert!(answer.uri == kind.uri() && answer.message.contains(says), "{answer:?}");
    }
    device.ask::<ContainerCreate>(&mut of_gus, cpus("one", 0.6)).await.unwrap();
    let refused = device.ask::<ContainerCreate>(&mut of_gus, cpus("two", 0.6)).await.unwrap_err();
    assert!(refused.message.contains("0.4 of 1 cores"), "{refused:?}");
    device.ask::<ContainerCreate>(&mut of_gus, cpus("two", 0.4)).await.unwrap();
    let refused = device.ask::<ContainerCreate>(&mut of_gus, cpus("three", 0.1)).await.unwrap_err();
    assert!(refused.message.contains("2 containers"), "{refused:?}");
    let own = order("own", json!({ "image": "private:1", "ports": [{ "container": 80 }] }));
    device.ask::<ContainerCreate>(&mut of_maria, own).await.unwrap();

    assert_eq!(names(&device.ask::<ContainerList>(&mut of_gus, json!({})).await.unwrap()), ["one", "two"]);
    assert_eq!(names(&device.ask::<ContainerList>(&mut of_maria, json!({})).await.unwrap()), ["own"]);
    let images = device.ask::<ImageList>(&mut of_gus, json!({})).await.unwrap();
    assert_eq!(images["images"].as_array().unwrap().len(), 1, "not the owner's: {images}");
    let refused = device.ask::<ImageDelete>(&mut of_gus, json!({ "image": "private:1" })).await.unwrap_err();
    assert_eq!(refused.uri, ErrorKind::Forbidden.uri());
    assert_eq!(device.ask::<DeviceInfo>(&mut of_gus, json!({})).await.unwrap()["addresses"], json!([]));
    for (session, expected) in [(&mut of_gus, vec!["one", "two"]), (&mut of_maria, vec!["own"])] {
        until("the reports", async || {
            let list = session.call(FleetContainerList::URI, json!({})).await.unwrap();
            (names(&list) == expected).then_some(())
        })
        .await;
    }

    // It ends: nothing new is begun, and nothing is stopped.
    let end = format!("{path}/globex/end");
    let ended = maria.post(&end, json!({})).await.json();
    assert_eq!(ended, json!({ "ended": false, "containers": ["one", "two"] }));
    // The device is told of it by and by; by the terms of before there is no room for another either.
    until("the device to know of the end", async || {
        let refused = device.ask::<ContainerCreate>(&mut of_gus, cpus("late", 0.1)).await.unwrap_err();
        let ends = refused.message.contains("share of this device ends");
        let (kind, says) =
            if ends { (ErrorKind::Forbidden, "ends") } else { (ErrorKind::Limit, "2 containers") };
        assert!(refused.uri == kind.uri() && refused.message.contains(says), "{refused:?}");
        ends.then_some(())
    })
    .await;
    let listed = device.ask::<ContainerList>(&mut of_gus, json!({})).await.unwrap();
    assert!(
        listed["containers"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "running" || one["state"] == "created")
    );
    let one = listed["containers"].as_array().unwrap().iter().find(|one| one["name"] == "one").unwrap()["id"]
        .clone();
    device.ask::<ContainerDelete>(&mut of_gus, json!({ "container": one, "force": true })).await.unwrap();
    gus.delete(&format!("/api/tenants/globex/shares/{}", device.id)).await.problem(409);
    // By force, only with the names of what is there.
    until("the report of what is left", async || {
        (maria.get(&path).await.json()[0]["containers"] == 1).then_some(())
    })
    .await;
    maria.post(&end, json!({ "delete": ["one", "two"] })).await.problem(409);
    assert_eq!(maria.post(&end, json!({ "delete": ["two"] })).await.status, 200);
    // Both audits say so: the owner's who ordered it, the other's what became of its containers.
    for (person, tenant, action) in [
        (&maria, "acme", "POST /api/tenants/{slug}/devices/{id}/shares/{tenant}/end"),
        (&gus, "globex", ShareEvict::URI),
    ] {
        let audit = person.get(&format!("/api/tenants/{tenant}/audit")).await.text;
        let entries = audit.lines().map(|line| serde_json::from_str::<AuditEntry>(line).unwrap());
        let entry = entries.rev().find(|entry| entry.action == action).unwrap();
        assert_eq!((entry.target, entry.detail["delete"].as_str()), (device.id.clone(), "two"), "{audit}");
    }
    until("the share's end", async || (maria.get(&path).await.json() == json!([])).then_some(())).await;
    assert_eq!(of_gus.call(DeviceList::URI, json!({})).await.unwrap()["devices"], json!([]));
    until("the device to leave the realm", async || {
        let answer = of_gus.call(&device.on::<ContainerList>(), json!({})).await;
        matches!(answer, Err(refused) if refused.uri == NO_PROCEDURE).then_some(())
    })
    .await;
    let left = device.engine.list().await.unwrap();
    assert_eq!(left.iter().map(|one| one.view().name.as_str()).collect::<Vec<_>>(), ["own"]);
    device.stop().await;
    drop(server);
}

fn key_file(data: &Path) -> String {
    fs::read_to_string(data.join("device.key")).unwrap()
}

/// A new key is ordered from the dashboard; and one that an agent was killed over is gone on with at its next start.
#[tokio::test]
async fn an_agent_changes_its_key_by_order_and_after_a_kill() {
    let (router, _server, maria, _gus, mut device) = scene().await;
    let mut of_maria = join(&router, &ticket(&maria, "acme").await).await.unwrap();
    device.ask::<ContainerList>(&mut of_maria, json!({})).await.unwrap();
    let key = async || maria.get("/api/tenants/acme/devices").await.json()[0]["key"].clone();
    let changed = async |from: &Value| {
        until("another key", async || {
            let now = key().await;
            (now["state"] == "current" && now["fingerprint"] != from["fingerprint"]).then_some(now)
        })
        .await
    };
    let (first, file) = (key().await, key_file(device.data.path()));
    maria.post(&format!("/api/tenants/acme/devices/{}/rotate-key", device.id), json!({})).await;
    let second = changed(&first).await;
    assert_ne!(key_file(device.data.path()), file);
    device.ask::<ContainerList>(&mut of_maria, json!({})).await.unwrap();

    // Killed after the key was made, before anybody was told.
    device.stop().await;
    let spare = tempfile::tempdir().unwrap();
    DeviceKey::load_or_create(spare.path()).unwrap();
    fs::copy(spare.path().join("device.key"), device.data.path().join("device.next-key")).unwrap();
    device.run();
    changed(&second).await;
    assert_eq!(key_file(device.data.path()), key_file(spare.path()));
    assert!(!device.data.path().join("device.next-key").exists());
    device.ask::<ContainerList>(&mut of_maria, json!({})).await.unwrap();
    device.stop().await;
}

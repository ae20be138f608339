//! The control realm, on which only devices and the control plane are: what a stolen device key reaches.

use ecep_proto::api::{
    AddressAssign, AddressRelease, DeviceList, FleetContainerList, FleetReport, Home, MigrationDecide,
    MigrationTell, PROCEDURES, Procedure, error::ErrorKind, roles::Role,
};
use serde_json::{Value, json};

use crate::{
    scene::{ACME, CONTAINER, Scene, on},
    support::now,
    wire::{Client, Outcome},
};

/// A device must call what devices call, and nothing that is on another device, of the control plane or of the router; it must serve
/// and end nothing in another's name.
#[tokio::test]
async fn a_device_reaches_its_own_uris_only() {
    let scene = Scene::start().await;
    for thief in [&scene.neighbour, &scene.foreign] {
        let mut client = scene.join_control(thief).await;
        for procedure in PROCEDURES {
            let uri = on(procedure.uri, &scene.device.id);
            let may = procedure.home == Home::Control && procedure.callers.contains(&Role::Device);
            let outcome = client.call(&uri, &json!({})).await;
            assert_eq!(!outcome.is_denied(), may, "{}: {outcome:?}", procedure.name);
            for (uri, matching) in
                [(uri.as_str(), "exact"), (&on(procedure.uri, ""), "wildcard"), (&uri, "prefix")]
            {
                let outcome = client.register(uri, matching).await;
                assert!(matches!(outcome, Outcome::Refused(..)), "{uri} by {matching}: {outcome:?}");
            }
            let outcome = client.subscribe(&uri, "exact").await;
            assert!(outcome.is_denied(), "{uri}: {outcome:?}");
            let outcome = client.publish(&uri).await;
            assert!(outcome.is_denied(), "{uri}: {outcome:?}");
        }
    }
}

fn report(containers: &Value) -> Value {
    json!({
        "at": now(), "problems": [], "containers": containers, "facts": null, "is_complete": true,
        "migrations": [], "network_revision": 0,
    })
}

fn container_of(tenant: &str, id: &str) -> Value {
    json!([{ "tenant": tenant, "container": {
        "id": id, "name": id, "application": "counter", "image": "evil:1", "state": "running", "exit_code": null,
        "created_at": 1, "started_at": 2, "ports": [], "address": null,
    }}])
}

/// What a stolen key reports must change nothing of another device's or tenant's: not the container that is said to be
/// here now, nor a list of a tenant that has no share in the device.
#[tokio::test]
async fn a_device_reports_for_itself_only() {
    let scene = Scene::start().await;
    let mut watching = scene.join(&scene.members[0], ACME).await;
    let before = placed(&mut watching).await;
    assert_eq!(before[0]["device"], scene.device.id.as_str());
    let devices = watching.call(DeviceList::URI, &json!({})).await;
    let Outcome::Done(devices) = devices else { panic!("{devices:?}") };
    assert!(!devices.to_string().contains(&scene.foreign.id), "{devices}");

    let mut thief = scene.join_control(&scene.foreign).await;
    for containers in [container_of(ACME, CONTAINER), container_of(ACME, "planted")] {
        // Refused or ignored.
        thief.call(FleetReport::URI, &report(&containers)).await;
        assert_eq!(placed(&mut watching).await, before);
    }
    let mut neighbour = scene.join_control(&scene.neighbour).await;
    neighbour.call(FleetReport::URI, &report(&container_of(ACME, CONTAINER))).await;
    let after = placed(&mut watching).await;
    assert!(after.iter().any(|one| one["device"] == scene.device.id.as_str()), "{after:?}");
}

/// The containers that the tenant has, without how long ago each device was heard of: the clock goes on between two questions.
async fn placed(watching: &mut Client) -> Vec<Value> {
    let Outcome::Done(list) = watching.call(FleetContainerList::URI, &json!({})).await else {
        panic!("a list")
    };
    let mut containers = list["containers"].as_array().unwrap().clone();
    for container in &mut containers {
        container.as_object_mut().unwrap().remove("liveness");
    }
    containers
}

/// A device must decide and tell of no move that it has no part in, and take no address in another tenant's name or from
/// another's container.
#[tokio::test]
async fn a_device_decides_nothing_of_others() {
    let scene = Scene::start().await;
    let mut holder = scene.join_control(&scene.device).await;
    let own = json!({ "tenant": ACME, "container": "assigned", "name": "assigned" });
    let assigned = holder.call(AddressAssign::URI, &own).await;
    assert!(matches!(assigned, Outcome::Done(_)), "{assigned:?}");
    for thief in [&scene.neighbour, &scene.foreign] {
        let mut client = scene.join_control(thief).await;
        for decision in ["commit", "abort", "ask"] {
            let request = json!({
                "migration": "some-move", "container": CONTAINER, "generation": 0, "decision": decision, "reason": null,
            });
            let outcome = client.call(MigrationDecide::URI, &request).await;
            let taken = matches!(&outcome, Outcome::Done(reply) if reply.to_string().contains("\"holder\""));
            assert!(!taken, "{decision}: {outcome:?}");
            assert!(!outcome.is(ErrorKind::InvalidArgument.uri()), "the row's form is right: {outcome:?}");
        }
        let told = json!({
            "migration": "some-move", "phase": "files", "bytes_done": 1, "bytes_total": null, "phases": [],
            "downtime_ms": null, "finished": false, "error": null,
        });
        client.call(MigrationTell::URI, &told).await;
        for container in [CONTAINER, "assigned"] {
            client.call(AddressRelease::URI, &json!({ "container": container })).await;
        }
        let outcome = client.call(AddressAssign::URI, &own).await;
        assert!(matches!(outcome, Outcome::Refused(..)), "{outcome:?}");
    }
    assert_eq!(holder.call(AddressAssign::URI, &own).await, assigned);
    let mut foreign = scene.join_control(&scene.foreign).await;
    let assign = json!({ "tenant": ACME, "container": "planted", "name": "planted" });
    let outcome = foreign.call(AddressAssign::URI, &assign).await;
    assert!(matches!(outcome, Outcome::Refused(..)), "{outcome:?}");
    let taken = json!({ "tenant": crate::scene::GLOBEX, "container": CONTAINER, "name": CONTAINER });
    foreign.call(AddressAssign::URI, &taken).await;
    let mut watching = scene.join(&scene.members[0], ACME).await;
    let list = placed(&mut watching).await;
    assert_eq!(list[0]["device"], scene.device.id.as_str());
    assert_eq!(list[0]["container"]["id"], CONTAINER);
}

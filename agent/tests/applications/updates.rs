//! Updates: the container stays itself, and the old one goes on where the new one is not well, also when the agent is killed meanwhile.

use std::sync::Arc;

use ecep_agent::{
    engine::{Engine, Health, Replacing, engine_name, replaced_name},
    moving::Part,
};
use ecep_proto::api::{container::ContainerState, error::ErrorKind, name::ContainerId};
use serde_json::json;

use crate::scene::{Device, archive, bundle, of_registry, tenant, version};

const VOLUMES: &str = "data";

async fn deployed(device: &Device) -> ContainerId {
    let settings = json!({"volumes": [{"volume": VOLUMES, "target": "/data"}]});
    device.deploy("acme", of_registry(1, "app:1", settings), json!({})).await.unwrap().container_id.unwrap()
}

fn second() -> serde_json::Value {
    let settings = json!({"volumes": [{"volume": VOLUMES, "target": "/data"}], "healthy_after_seconds": 2});
    of_registry(2, "app:2", settings)
}

/// Ends or judges the new container as soon as it runs.
async fn as_soon_as_it_runs(device: &Device, image: &str, then: impl Fn(&str)) {
    let runs = |container: &ecep_agent::engine::EngineContainer| {
        container.view().image == image && container.view().state == ContainerState::Running
    };
    device.until(|containers| containers.iter().any(runs)).await;
    let containers = device.inventory.containers();
    then(&containers.into_iter().find(runs).unwrap().detail.engine_id);
}

/// It must stay the same container for everybody, and nothing of the old one may be left.
#[tokio::test(start_paused = true)]
async fn an_update_keeps_the_id_the_name_and_the_volumes() {
    let device = Device::new();
    let id = deployed(&device).await;
    let reply = device.update(&id, second(), "update-1").await.unwrap();
    let view = reply.container.unwrap();
    assert_eq!((view.id.clone(), view.name.as_str(), view.version), (id.clone(), "app", Some(2)));
    assert_eq!((view.image.as_str(), view.state), ("app:2", ContainerState::Running));
    let found = device.found(&id).await;
    assert_eq!(found.detail.volumes[0].volume.as_str(), VOLUMES);
    assert_eq!(device.engine.list().await.unwrap().len(), 1);
    assert!(device.engine.replaced().await.unwrap().is_empty());
    // The same order again after the agent was started again changes nothing.
    let again = device.started_again();
    let engine_id = found.detail.engine_id;
    again.update(&id, second(), "update-1").await.unwrap();
    assert_eq!(again.found(&id).await.detail.engine_id, engine_id);
}

/// An order that is repeated because its answer was lost must find what it made, also as another version and after that is gone: a
/// second container would run beside it, or come back from the dead.
#[tokio::test(start_paused = true)]
async fn a_deployment_again_after_an_update_finds_what_it_made() {
    let device = Device::new();
    let id = deployed(&device).await;
    device.update(&id, second(), "update-1").await.unwrap();
    device.update(&id, of_registry(3, "app:3", json!({})), "update-2").await.unwrap();
    let settings = json!({"volumes": [{"volume": VOLUMES, "target": "/data"}]});
    let again = async |device: &Device| {
        let reply =
            device.deploy("acme", of_registry(1, "app:1", settings.clone()), json!({})).await.unwrap();
        assert_eq!(reply.container_id.as_ref(), Some(&id));
        reply.container
    };
    let next = device.started_again();
    let now = again(&next).await.expect("it is there");
    assert_eq!((&now.id, now.version, now.state), (&id, Some(3), ContainerState::Running));
    let order = serde_json::from_value(json!({"container": id, "force": true})).unwrap();
    next.orders.delete(&tenant("acme"), order).unwrap().answer().await.unwrap();
    let last = next.started_again();
    assert_eq!(again(&last).await, None);
    assert!(last.engine.list().await.unwrap().is_empty());
    // Another order of that name is another container.
    let other = json!({"operation": "deploy-2"});
    let made = last.deploy("acme", of_registry(1, "app:1", json!({})), other).await.unwrap();
    assert_ne!(made.container_id, Some(id));
}

/// A new version that ends must not take the application away.
#[tokio::test(start_paused = true)]
async fn one_that_ends_makes_way_for_the_old_one() {
    let device = Device::new();
    let id = deployed(&device).await;
    let before = device.found(&id).await.detail.engine_id;
    let updating = device.update(&id, second(), "update-1");
    let ending = as_soon_as_it_runs(&device, "app:2", |engine_id| device.engine.exit(engine_id, 3).unwrap());
    let (updated, ()) = tokio::join!(updating, ending);
    let error = updated.unwrap_err();
    assert!(error.message.contains("exit code 3") && error.message.contains("app:2 runs"), "{error}");
    let now = device.found(&id).await;
    assert_eq!((now.detail.engine_id.clone(), now.view().state), (before, ContainerState::Running));
    assert_eq!((now.view().version, now.replacing.clone()), (Some(1), None));
    assert_eq!(device.engine.list().await.unwrap().len(), 1);
    // It can be updated once more.
    device.update(&id, second(), "update-2").await.unwrap();
}

/// A new container that somebody removes behind the agent's back is no success: whoever ordered it must be told that the old one goes on.
#[tokio::test(start_paused = true)]
async fn one_that_is_removed_meanwhile_is_no_success() {
    let device = Device::new();
    let id = deployed(&device).await;
    let (engine, is_new) = (Arc::clone(&device.engine), as_soon_as_it_runs(&device, "app:2", |_| {}));
    let removing = async {
        is_new.await;
        engine.remove(&engine_name(&id), true).await.unwrap();
    };
    let (updated, ()) = tokio::join!(device.update(&id, second(), "update-1"), removing);
    let error = updated.unwrap_err();
    assert!(error.message.contains("the old one goes on"), "{error}");
    let now = device.found(&id).await;
    assert_eq!((now.view().version, now.view().state), (Some(1), ContainerState::Running));
}

/// Where an image says how it is checked, that alone decides.
#[tokio::test(start_paused = true)]
async fn the_health_check_decides_where_there_is_one() {
    let text: &[u8] = b"FROM alpine:3\nHEALTHCHECK CMD true\n";
    for (health, is_taken) in [(Health::Unhealthy, false), (Health::Healthy, true)] {
        let device = Device::new();
        let id = deployed(&device).await;
        let artifact = device.cloud.put(&archive(&[("Dockerfile", text)]));
        let image = format!("ecep-app/acme/app:2-{}", &artifact.as_str()[..12]);
        let updating = device.update(&id, bundle(2, &artifact), "update-1");
        let judging = as_soon_as_it_runs(&device, &image, |engine_id| {
            device.engine.set_health(engine_id, health).unwrap()
        });
        let (updated, ()) = tokio::join!(updating, judging);
        assert_eq!(updated.is_ok(), is_taken, "{updated:?}");
        let image = if is_taken { image } else { "app:1".to_owned() };
        assert_eq!(device.found(&id).await.view().image, image);
    }
}

/// What cannot even be fetched or built leaves the old one as it is: it is not stopped for a moment.
#[tokio::test]
async fn what_cannot_be_brought_touches_nothing() {
    let device = Device::new();
    let id = deployed(&device).await;
    let before = device.found(&id).await;
    let broken = device.cloud.put(&archive(&[("Dockerfile", b"FROM alpine:3\nRUN false\n")]));
    for (number, version) in (1..).zip([bundle(2, &broken), of_registry(2, "missing:1", json!({}))]) {
        device.update(&id, version, &format!("update-{number}")).await.unwrap_err();
        assert_eq!(device.found(&id).await, before);
    }
}

/// An update that cannot be meant is refused, and one at the wrong time.
#[tokio::test]
async fn updates_that_cannot_be_are_refused() {
    let device = Device::new();
    let id = deployed(&device).await;
    let mut other = second();
    other["application"] = json!("other");
    let error = device.update(&id, other, "update-1").await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::InvalidArgument, "{error}");
    let once = of_registry(2, "app:2", json!({"run_once": true}));
    assert_eq!(device.update(&id, once, "update-2").await.unwrap_err().uri, ErrorKind::InvalidArgument);
    let privileged = of_registry(2, "app:2", json!({"privileges": {"privileged": true}}));
    assert_eq!(device.update(&id, privileged, "update-3").await.unwrap_err().uri, ErrorKind::Forbidden);
    device.moving.begin(&id, Part::Source("move-1".parse().unwrap())).unwrap();
    assert_eq!(device.update(&id, second(), "update-4").await.unwrap_err().uri, ErrorKind::Conflict);
    device.moving.end(&id, &"move-1".parse().unwrap());
    let nobodys = "cnobody".parse().unwrap();
    assert_eq!(device.update(&nobodys, second(), "update-5").await.unwrap_err().uri, ErrorKind::NotFound);
    // While an update is under way, no move begins and no other update.
    let artifact = device.cloud.put(&archive(&[("Dockerfile", b"FROM alpine:3\n")]));
    device.cloud.state().is_away = true;
    let order = json!({"tenant": "acme", "container": id, "version": version(3, json!({"kind": "source_bundle", "artifact": artifact}), json!({})), "operation": "update-6"});
    let _under_way = device.applications.update(serde_json::from_value(order).unwrap()).unwrap();
    device.cloud.asked(1).await;
    assert_eq!(device.update(&id, second(), "update-7").await.unwrap_err().uri, ErrorKind::Conflict);
}

/// An agent that was killed in the middle has left two names; the next one must make one container of them, and it must run.
#[tokio::test(start_paused = true)]
async fn an_update_that_was_cut_off_is_brought_to_its_end() {
    for is_new_one_there in [false, true] {
        let device = Device::new();
        let id = deployed(&device).await;
        let old = device.found(&id).await.detail.engine_id;
        let operation: ecep_proto::api::name::OperationId = "update-1".parse().unwrap();
        // As it is when the agent was killed right after it had begun, or while it waited for the new one.
        let updating = device.update(&id, second(), "update-1");
        if is_new_one_there {
            tokio::select! {
                _ = updating => panic!("it was not cut off"),
                () = as_soon_as_it_runs(&device, "app:2", |_| {}) => {}
            }
        } else {
            drop(updating);
            let replacing = Replacing { container: id.clone(), operation, ran: true };
            device.engine.rename(&old, &replaced_name(&replacing)).await.unwrap();
            device.engine.stop(&old, 0).await.unwrap();
        }
        // In the second case the first agent's order is still at work in this process, and comes to the same end: both do what the
        // names at the engine say.
        let next = device.started_again();
        let is_settled = || async {
            let named = next.engine.inspect(&engine_name(&id)).await.ok();
            named
                .filter(|named| named.view().state == ContainerState::Running)
                .filter(|named| named.replacing.is_none())
        };
        let settled = loop {
            if let Some(settled) = is_settled().await
                && next.engine.replaced().await.unwrap().is_empty()
            {
                break settled;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        };
        let version = if is_new_one_there { Some(2) } else { Some(1) };
        assert_eq!(settled.view().version, version);
        assert_eq!(next.engine.list().await.unwrap().len(), 1);
    }
}

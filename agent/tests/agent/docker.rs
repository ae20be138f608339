//! The whole agent on a real Docker engine.

use std::process::Command;

use ecep_agent::engine::{docker::DockerEngine, engine_name};
use ecep_proto::api::{
    ContainerCreate, ContainerDelete, ContainerEvents, ContainerList, ContainerLogs, DeviceStats, Topic,
    container::ContainerChange, error::ErrorKind,
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    ENGINE, LOOK_EVERY,
    device::Scene,
    orders::{ask, complete, device},
    real_docker, within,
};

fn docker(address: &str, arguments: &[&str]) {
    let output =
        Command::new("docker").args(["-H", address]).args(arguments).output().expect("docker is there");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A real workload: its load shows in the telemetry, what somebody else does to it is told, and an agent's restart
/// does not touch it.
#[tokio::test]
async fn a_real_container_is_run_measured_and_left_alone() {
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let mut scene = Scene::start(DockerEngine::new(&address).expect("an address"), &["agent-test"]).await;
    let mut ann = scene.cloud.operator("agent-test").await;
    let lives = ann.subscribe(&ContainerEvents::on(&device())).await;
    let stats = ann.subscribe(&DeviceStats::on(&device())).await;
    let busy = json!({"name": "busy", "image": image, "limits": {"memory_bytes": 33_554_432},
                      "command": ["sh", "-c", "echo begun; while :; do :; done"]});
    let made =
        complete::<ContainerCreate>(&mut ann, busy).await.expect("created").container.expect("it is there");
    let id = json!({"container": made.id});

    let loaded = ann
        .event::<DeviceStats>(stats, |event| {
            event
                .containers
                .iter()
                .any(|container| container.id == made.id && container.cpu_percent > Some(5.0))
        })
        .await;
    let container = &loaded.containers[0];
    assert!(container.cpu_percent <= Some(f64::from(loaded.host.cores) * 100.0), "{loaded:?}");
    assert!(container.memory_bytes > Some(0) && loaded.host.disk_free_bytes > 0, "{loaded:?}");
    // A container that is measured for the second time has an interface, and at rest no more than neighbours' chatter.
    assert!(container.rates.network().is_some_and(|[received, _]| received < 1_000_000), "{loaded:?}");
    assert!(loaded.host.rates.network().is_some(), "{loaded:?}");
    // The engine writes it down when it comes to it.
    let written = async {
        loop {
            let lines = ask::<ContainerLogs>(&mut ann, id.clone()).await.expect("output").lines;
            if let Some(line) = lines.into_iter().next() {
                return line;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    assert_eq!(within("its output", written).await.text, "begun");

    scene.restart_agent().await;
    let list = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!((list[0].started_at, &list[0].id), (made.started_at, &made.id));
    scene
        .cloud
        .report("a report of it", |report| {
            report.containers.iter().any(|reported| reported.container.id == made.id)
        })
        .await;

    docker(&address, &["kill", &engine_name(&made.id)]);
    let exited = ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Exited).await;
    assert_eq!((exited.container.id, exited.container.exit_code), (made.id, Some(137)));
    complete::<ContainerDelete>(&mut ann, id).await.expect("deleted");
    ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Deleted).await;
    scene.end().await;
}

/// A creation that fails at the engine must leave nothing behind and say why.
#[tokio::test]
async fn a_creation_that_fails_leaves_nothing() {
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let scene = Scene::start(DockerEngine::new(&address).expect("an address"), &["agent-fail"]).await;
    let mut ann = scene.cloud.operator("agent-fail").await;
    let port = json!([{"container": 80, "host": 18_080}]);
    let first = json!({"name": "first", "image": image, "command": ["sleep", "600"], "ports": port});
    let first = complete::<ContainerCreate>(&mut ann, first).await.expect("created").container_id;
    for (order, kind, says) in [
        (
            json!({"name": "second", "image": image, "command": ["sleep", "600"], "ports": port}),
            ErrorKind::Conflict,
            "18080",
        ),
        (
            json!({"name": "third", "image": image, "command": ["no-such-program"]}),
            ErrorKind::InvalidArgument,
            "no-such-program",
        ),
        (json!({"name": "fourth", "image": "127.0.0.1:1/none:1"}), ErrorKind::Unavailable, "registry"),
        (
            json!({"name": "fifth", "image": image, "privileges": {"privileged": true}}),
            ErrorKind::Forbidden,
            "privileged",
        ),
    ] {
        let refused = complete::<ContainerCreate>(&mut ann, order.clone()).await.expect_err("it is refused");
        assert!(refused.is(kind) && refused.message.contains(says), "{order}: {refused:?}");
    }
    let left = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!(
        left.iter().map(|container| Some(container.id.clone())).collect::<Vec<_>>(),
        vec![first.clone()]
    );
    let force = json!({"container": first, "force": true});
    complete::<ContainerDelete>(&mut ann, force).await.expect("deleted");
    scene.end().await;
}

//! What fails around an agent, and that everything is right again without anybody's help; with the simulated engine.

use ecep_agent::engine::{Engine, sim::SimEngine};
use ecep_proto::api::{
    ContainerCreate, ContainerEvents, ContainerList, DeviceStats, Topic,
    container::{ContainerChange, ContainerState},
    error::ErrorKind,
    stats::StatsEvent,
};
use serde_json::json;

use crate::{
    LOOK_EVERY,
    device::Scene,
    orders::{ask, complete, device},
    within,
};

/// A router that restarts takes nothing with it: tickets are asked for anew, procedures and telemetry are back.
#[tokio::test]
async fn a_router_restart_is_repaired() {
    let mut scene = Scene::start(SimEngine::default(), &["acme", "other"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    complete::<ContainerCreate>(&mut ann, json!({"name": "web", "image": "app:1"})).await.expect("created");
    scene.cloud.stop_router().await;
    // It happens while nobody can be told; the news waits.
    let engine_id = scene.engine.list().await.expect("a list")[0].detail.engine_id.clone();
    scene.engine.exit(&engine_id, 3).expect("it ends");
    scene.cloud.start_router().await;

    let mut ann = scene.cloud.operator("acme").await;
    let stats = ann.subscribe(&DeviceStats::on(&device())).await;
    ann.event::<DeviceStats>(stats, |_| true).await;
    let list = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!((list[0].state, list[0].exit_code), (ContainerState::Exited, Some(3)));
    let mut eve = scene.cloud.operator("other").await;
    ask::<ContainerList>(&mut eve, json!({})).await.expect("the other tenant is served again too");
    scene.end().await;
}

/// A lost engine is told as a problem and as an error; when it is back, so is everything, with what has happened.
#[tokio::test]
async fn an_engine_that_comes_back_is_found_again() {
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let lives = ann.subscribe(&ContainerEvents::on(&device())).await;
    complete::<ContainerCreate>(&mut ann, json!({"name": "web", "image": "app:1"})).await.expect("created");
    let engine_id = scene.engine.list().await.expect("a list")[0].detail.engine_id.clone();

    scene.engine.set_reachable(false);
    let report = scene.cloud.report("a problem", |report| !report.problems.is_empty()).await;
    assert_eq!(report.containers.len(), 1, "what was last known is still told");
    let refused = ask::<ContainerList>(&mut ann, json!({})).await.expect_err("the engine is away");
    assert!(refused.is(ErrorKind::Unavailable), "{refused:?}");

    scene.engine.exit(&engine_id, 7).expect("it ends");
    scene.engine.set_reachable(true);
    let exited = ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Exited).await;
    assert_eq!(exited.container.exit_code, Some(7));
    scene.cloud.report("no problem", |report| report.problems.is_empty()).await;
    scene.end().await;
}

/// A tenant that gets a share is served, one that loses it is not any more; the containers stay.
#[tokio::test]
async fn shares_come_and_go() {
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    complete::<ContainerCreate>(&mut ann, json!({"name": "web", "image": "app:1"})).await.expect("created");
    scene.cloud.share_with(&["other"]);
    let mut eve = scene.cloud.operator("other").await;
    ask::<ContainerList>(&mut eve, json!({})).await.expect("the new tenant is served");
    let uri = <ContainerList as ecep_proto::api::Procedure>::on(&device());
    let left = async {
        while ann.call_with(&uri, json!({})).await.is_ok() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    within("the old tenant not to be served any more", left).await;
    assert_eq!(scene.engine.list().await.expect("a list")[0].view().state, ContainerState::Running);
    scene.end().await;
}

/// Each tenant's telemetry holds the device and its own containers only, and counts its ticks.
#[tokio::test]
async fn telemetry_is_each_tenants_own() {
    let scene = Scene::start(SimEngine::default(), &["acme", "other"]).await;
    let (mut ann, mut eve) = (scene.cloud.operator("acme").await, scene.cloud.operator("other").await);
    complete::<ContainerCreate>(&mut ann, json!({"name": "web", "image": "app:1"})).await.expect("created");
    ask::<ContainerList>(&mut eve, json!({})).await.expect("the agent has joined");
    let topic = DeviceStats::on(&device());
    let of_ann = ann.subscribe(&topic).await;
    let event = ann.event::<DeviceStats>(of_ann, |event| !event.containers.is_empty()).await;
    assert_eq!(event.containers[0].name.as_str(), "web");
    assert!(event.host.memory_total_bytes > 0 && event.host.cores > 0, "{event:?}");
    let of_eve = eve.subscribe(&topic).await;
    // The kernel's own counters may stand still between two ticks that are close together.
    let told = |event: &StatsEvent| event.sequence > 1 && event.host.cpu_percent.is_some();
    let first = eve.event::<DeviceStats>(of_eve, told).await;
    assert!(first.containers.is_empty(), "{first:?}");
    let second = eve.event::<DeviceStats>(of_eve, |_| true).await;
    assert!(second.sequence > first.sequence);
    scene.end().await;
}

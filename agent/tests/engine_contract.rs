//! What every engine must do, run against each: the simulated one always, Docker where ECEP_TEST_DOCKER names
//! its socket (`unix:///…`). The image is ECEP_TEST_IMAGE, or the one that the Docker test builds itself from a
//! static busybox.

mod real_docker;

use std::time::Duration;

use ecep_agent::{
    creation,
    engine::{
        Engine, EngineError, EngineEvents, LogWindow, docker::DockerEngine, engine_name, sim::SimEngine,
    },
    policy::Policy,
    random,
};
use ecep_proto::api::{
    container::{ContainerState, CreateContainer},
    name::{ContainerId, TenantSlug},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Far beyond what any step takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const WINDOW: LogWindow = LogWindow { tail: 10, since: None, max_bytes: 100_000 };

fn tenant() -> TenantSlug {
    "contract".parse().expect("a slug")
}

/// Creates a container as the agent does: bounds, policy, engine.
async fn create<E: Engine>(
    engine: &E,
    image: &str,
    more: Value,
) -> Result<(ContainerId, String), EngineError> {
    let id = random::container_id().expect("an id");
    let mut order =
        json!({"name": id.as_str(), "image": image, "command": ["sh", "-c", "echo hello; exec sleep 600"]});
    order.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    let order: CreateContainer = serde_json::from_value(order).expect("an order");
    let reference = image.parse().expect("a reference");
    for volume in creation::volumes(&tenant(), &order) {
        engine.ensure_volume(&volume).await?;
    }
    let body = creation::body(&tenant(), &id, &"op-contract".parse().expect("an id"), &reference, &order)
        .expect("within bounds");
    let body = Policy::default().check(&tenant(), body).expect("allowed");
    engine.create(&engine_name(&id), body).await.map(|engine_id| (id, engine_id))
}

async fn next_about(events: &mut EngineEvents, engine_id: &str) {
    let about = async {
        while let Some(event) = events.next().await {
            if event.expect("the engine goes on").engine_id == engine_id {
                return;
            }
        }
        panic!("the events ended");
    };
    timeout(PATIENCE, about).await.expect("an event in time");
}

async fn hello_is_out<E: Engine>(engine: &E, engine_id: &str, tty: bool) {
    let appears = async {
        loop {
            let lines = engine.logs(engine_id, tty, WINDOW).await.expect("output").lines;
            if let Some(line) = lines.first() {
                assert!(line.at > 0 && !line.text.ends_with('\r'), "{line:?}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, appears).await.expect("output in time");
}

/// The life of a container, from creation to removal, as every engine must play it.
async fn life<E: Engine>(engine: &E, image: &str) {
    assert!(engine.facts().await.reachable);
    let mut events = engine.events().await.expect("events");
    let limits = json!({"limits": {"memory_bytes": 16_777_216, "cpus": 0.5}, "env": {"TOKEN": "x"},
                        "volumes": [{"volume": "data", "target": "/data"}]});
    let (id, engine_id) = create(engine, image, limits).await.expect("it is created");
    next_about(&mut events, &engine_id).await;

    let seen = engine.inspect(&engine_id).await.expect("it is there");
    assert_eq!((&seen.tenant, &seen.view().id), (&tenant(), &id));
    assert_eq!(seen.operation.as_ref().map(ToString::to_string).as_deref(), Some("op-contract"));
    assert_eq!(seen.view().state, ContainerState::Created);
    assert_eq!((seen.view().started_at, seen.view().exit_code), (None, None));
    assert_eq!(seen.detail.limits.cpus, Some(0.5));
    assert_eq!(seen.detail.limits.memory_bytes, Some(16_777_216));
    assert!(seen.detail.env_names.contains(&"TOKEN".to_owned()));
    assert_eq!(seen.detail.volumes[0].volume.as_str(), "data");
    assert_eq!(engine.inspect(&engine_name(&id)).await.expect("by name").detail.engine_id, engine_id);

    engine.start(&engine_id).await.expect("it starts");
    engine.start(&engine_id).await.expect("starting it again changes nothing");
    next_about(&mut events, &engine_id).await;
    let running = engine.inspect(&engine_id).await.expect("it is there");
    assert_eq!(running.view().state, ContainerState::Running);
    let started = running.view().started_at.expect("a start time");
    hello_is_out(engine, &engine_id, false).await;

    let refused = engine.remove(&engine_id, false).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    engine.restart(&engine_id, 0).await.expect("it restarts");
    let again = engine.inspect(&engine_id).await.expect("it is there");
    assert!(again.view().started_at.expect("a start time") >= started);

    engine.stop(&engine_id, 0).await.expect("it stops");
    engine.stop(&engine_id, 0).await.expect("stopping it again changes nothing");
    let stopped = engine.inspect(&engine_id).await.expect("it is there");
    assert_eq!(stopped.view().state, ContainerState::Exited);
    assert!(stopped.view().exit_code.is_some());
    assert!(engine.list().await.expect("a list").iter().any(|other| other.view().id == id));

    engine.remove(&engine_id, false).await.expect("it is removed");
    let gone = engine.inspect(&engine_id).await;
    assert!(matches!(gone, Err(EngineError::NotFound(_))), "{gone:?}");
    let gone = engine.start(&engine_id).await;
    assert!(matches!(gone, Err(EngineError::NotFound(_))), "{gone:?}");
    assert!(!engine.list().await.expect("a list").iter().any(|other| other.view().id == id));
}

/// A port can be had once; the second start must say which port, and free ones are found by the engine.
async fn ports<E: Engine>(engine: &E, image: &str) {
    let (_, any) = create(engine, image, json!({"ports": [{"container": 80}]})).await.expect("created");
    engine.start(&any).await.expect("started");
    let port = engine.inspect(&any).await.expect("there").view().ports[0].host.expect("a port was chosen");
    let same = json!({"ports": [{"container": 80, "host": port}]});
    let (_, second) = create(engine, image, same).await.expect("created");
    let taken = engine.start(&second).await;
    let Err(EngineError::Conflict(text)) = &taken else { panic!("{taken:?}") };
    assert!(text.contains(&port.to_string()), "{text}");
    engine.remove(&any, true).await.expect("removed by force");
    engine.remove(&second, true).await.expect("removed");
}

/// With a terminal the output comes in another framing.
async fn terminal<E: Engine>(engine: &E, image: &str) {
    let (_, engine_id) = create(engine, image, json!({"tty": true})).await.expect("created");
    engine.start(&engine_id).await.expect("started");
    hello_is_out(engine, &engine_id, true).await;
    engine.remove(&engine_id, true).await.expect("removed");
}

/// Images in use stay; those that are not there are said to be so.
async fn images<E: Engine>(engine: &E, image: &str) {
    assert!(engine.has_image(image).await.expect("an answer"));
    assert!(!engine.has_image("no-such-image:1").await.expect("an answer"));
    assert!(
        engine.images().await.expect("a list").iter().any(|found| found.tags.iter().any(|tag| tag == image))
    );
    let missing = create(engine, "no-such-image:1", json!({})).await;
    assert!(matches!(missing, Err(EngineError::NotFound(_))), "{missing:?}");
    let (_, engine_id) = create(engine, image, json!({})).await.expect("created");
    let refused = engine.remove_image(image).await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
    engine.remove(&engine_id, false).await.expect("removed");
    let missing = engine.remove_image("no-such-image:1").await;
    assert!(matches!(missing, Err(EngineError::NotFound(_))), "{missing:?}");
}

async fn contract<E: Engine>(engine: &E, image: &str) {
    life(engine, image).await;
    ports(engine, image).await;
    terminal(engine, image).await;
    images(engine, image).await;
}

/// The simulated engine must be what fleet tests take it for.
#[tokio::test]
async fn the_simulated_engine_keeps_the_contract() {
    let engine = SimEngine::default();
    engine.pull("app:1", |_| {}).await.expect("pulled");
    contract(&engine, "app:1").await;
}

/// The real engine must do what the agent relies on.
#[tokio::test]
async fn docker_keeps_the_contract() {
    let Some((address, image)) = real_docker::ready() else { return };
    contract(&DockerEngine::new(&address).expect("an address"), &image).await;
}

/// An engine that is not there must be told as that, with what to do, and not hang.
#[tokio::test]
async fn an_engine_that_is_not_there_is_a_fact() {
    let engine = DockerEngine::new("unix:///nonexistent/docker.sock").expect("an address");
    let facts = timeout(PATIENCE, engine.facts()).await.expect("in time");
    assert!(!facts.reachable && facts.problems.len() == 1, "{facts:?}");
    let listed = engine.list().await;
    assert!(matches!(listed, Err(EngineError::Unreachable(_))), "{listed:?}");
}

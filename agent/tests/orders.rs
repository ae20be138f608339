//! Orders against the simulated engine: what a caller may rely on, whoever else gives orders at the same time.

use std::{path::Path, sync::Arc, time::Duration};

use ecep_agent::{
    engine::{Engine, sim::SimEngine},
    inventory::Inventory,
    moving::Moving,
    orders::Orders,
    outbox::Outbox,
};
use ecep_proto::api::{
    container::{ContainerOrder, ContainerState, CreateContainer, DeleteContainer, StopContainer},
    error::{ApiError, ErrorKind},
    name::{ContainerId, TenantSlug},
    operation::{OperationReply, OperationState},
};
use serde_json::{Value, json};

/// Far beyond what anything here takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Device {
    engine: Arc<SimEngine>,
    inventory: Arc<Inventory<SimEngine>>,
    orders: Arc<Orders<SimEngine>>,
    _policy: tempfile::TempDir,
}

fn device() -> Device {
    device_with(Arc::default())
}

fn device_with(engine: Arc<SimEngine>) -> Device {
    let id: ecep_proto::api::name::DeviceId = "edge-1".parse().expect("a good name");
    let policy = tempfile::tempdir().expect("a folder");
    let outbox = Arc::new(Outbox::default());
    let moving = Arc::new(Moving::default());
    let inventory =
        Arc::new(Inventory::new(id.clone(), Arc::clone(&engine), Arc::clone(&outbox), Arc::clone(&moving)));
    let folder: &Path = policy.path();
    let orders = Arc::new(Orders::new(
        id,
        Arc::clone(&engine),
        Arc::clone(&inventory),
        outbox,
        moving,
        folder.to_owned(),
    ));
    Device { engine, inventory, orders, _policy: policy }
}

fn tenant(name: &str) -> TenantSlug {
    name.parse().expect("a good name")
}

fn order(more: Value) -> CreateContainer {
    let mut fields = json!({"name": "web", "image": "nginx:1"});
    fields.as_object_mut().expect("a map").append(&mut more.as_object().cloned().expect("a map"));
    serde_json::from_value(fields).expect("an order")
}

impl Device {
    async fn create(&self, of: &str, more: Value) -> Result<OperationReply, ApiError> {
        self.orders.create(&tenant(of), order(more))?.answer().await
    }

    async fn made(&self, of: &str, more: Value) -> ContainerId {
        let reply = self.create(of, more).await.expect("an answer");
        assert_eq!(reply.state, OperationState::Done);
        reply.container_id.expect("an id")
    }

    fn names(&self) -> Vec<String> {
        self.inventory.containers().iter().map(|container| container.view().name.to_string()).collect()
    }
}

fn plain(container: &ContainerId) -> ContainerOrder {
    ContainerOrder { container: container.clone(), operation: None }
}

fn delete(container: &ContainerId, force: bool) -> DeleteContainer {
    DeleteContainer { container: container.clone(), force, operation: None }
}

fn stop(container: &ContainerId) -> StopContainer {
    StopContainer { container: container.clone(), grace_seconds: Some(0), operation: None }
}

/// A caller that got no answer repeats its order: there must be one container, not two.
#[tokio::test]
async fn the_same_create_again_is_the_same_container() {
    let device = device();
    let first = device.create("acme", json!({"operation": "op-1"})).await.unwrap();
    let again = device.create("acme", json!({"operation": "op-1"})).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(device.names(), ["web"]);
    // An agent that was started again knows it by the engine's labels.
    let restarted = device_with(Arc::clone(&device.engine));
    let after = restarted.create("acme", json!({"operation": "op-1"})).await.unwrap();
    assert_eq!(after.container_id, first.container_id);
}

/// Two orders at once for one name: one gets it, the other is told, and nothing half-made is left.
#[tokio::test]
async fn one_of_two_creates_at_once_gets_the_name() {
    let device = device();
    let (one, other) = tokio::join!(device.create("acme", json!({})), device.create("acme", json!({})));
    let errors: Vec<ApiError> = [one, other].into_iter().filter_map(Result::err).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].uri, ErrorKind::Conflict);
    assert!(errors[0].message.contains("the name web is taken"), "{}", errors[0].message);
    assert_eq!(device.engine.list().await.unwrap().len(), 1);
    // Another tenant's names are its own.
    device.made("other", json!({})).await;
}

/// A tenant must not learn even that another tenant's container exists.
#[tokio::test]
async fn another_tenants_container_is_not_found_in_the_same_words() {
    let device = device();
    let theirs = device.made("acme", json!({})).await;
    let nobodys: ContainerId = "cnobody".parse().unwrap();
    let outsider = tenant("other");
    for container in [&theirs, &nobodys] {
        let blank =
            |error: ApiError| (error.uri, error.message.replace(container.as_str(), "ID"), error.details);
        let expected = device.orders.find(&outsider, &nobodys).await.unwrap_err();
        let expected = (expected.uri, expected.message.replace("cnobody", "ID"), expected.details);
        let orders = &device.orders;
        for answer in [
            orders.start(&outsider, plain(container)).unwrap().answer().await,
            orders.stop(&outsider, stop(container)).unwrap().answer().await,
            orders.restart(&outsider, stop(container)).unwrap().answer().await,
            orders.delete(&outsider, delete(container, true)).unwrap().answer().await,
        ] {
            assert_eq!(blank(answer.unwrap_err()), expected);
        }
    }
    assert_eq!(device.engine.list().await.unwrap().len(), 1, "nothing was deleted");
}

/// A slow pull must not hold the caller: it is told the id, and the order goes on.
#[tokio::test(start_paused = true)]
async fn a_slow_pull_answers_in_time_and_goes_on() {
    let device = device();
    device.engine.hold_pulls(true);
    let reply = device.create("acme", json!({"operation": "slow"})).await.unwrap();
    assert_eq!((reply.state, reply.container), (OperationState::Running, None));
    let id = reply.container_id.expect("the id is known while it is pulled");
    device.engine.hold_pulls(false);
    let done = tokio::time::timeout(PATIENCE, device.create("acme", json!({"operation": "slow"}))).await;
    let done = done.expect("the pull goes on").unwrap();
    assert_eq!((done.state, done.container_id), (OperationState::Done, Some(id)));
    assert_eq!(done.container.unwrap().state, ContainerState::Running);
}

/// A registry that does not answer must not use up the operations of a device: other orders pass, and other tenants
/// pull, whether the pulls were ordered as such or for a new container.
#[tokio::test]
async fn held_pulls_leave_room_for_other_orders() {
    const MORE_THAN_RUN_AT_ONCE: usize = 80;
    let device = device();
    let container = device.made("acme", json!({})).await;
    device.engine.hold_pulls(true);
    let mut accepted = Vec::new();
    for number in 0..MORE_THAN_RUN_AT_ONCE / 2 {
        let image = json!({"image": format!("silent.example/p{number}:1")});
        let pull = serde_json::from_value(image).unwrap();
        accepted.push(device.orders.pull(&tenant("acme"), pull).expect("a place"));
        let create = json!({"image": format!("silent.example/c{number}:1"), "name": format!("c{number}")});
        accepted.push(device.orders.create(&tenant("acme"), order(create)).expect("a place"));
        // Whoever finds no place is told, and is not under way any more.
        tokio::task::yield_now().await;
    }
    let stopped = device.orders.stop(&tenant("acme"), stop(&container)).expect("a place");
    assert_eq!(stopped.answer().await.unwrap().state, OperationState::Done);
    let other = serde_json::from_value(json!({"image": "silent.example/other:1"})).unwrap();
    let other = device.orders.pull(&tenant("other"), other).expect("a place");
    device.engine.hold_pulls(false);
    assert_eq!(other.answer().await.unwrap().state, OperationState::Done);
    let mut refused = 0;
    for accepted in accepted {
        match accepted.answer().await {
            Ok(reply) => assert_eq!(reply.state, OperationState::Done),
            Err(error) => {
                assert_eq!(error.uri, ErrorKind::Limit);
                assert!(error.message.contains("acme"), "{error}");
                refused += 1;
            }
        }
    }
    assert!((1..MORE_THAN_RUN_AT_ONCE).contains(&refused), "{refused} were refused");
    let again = serde_json::from_value(json!({"image": "silent.example/again:1"})).unwrap();
    device.orders.pull(&tenant("acme"), again).unwrap().answer().await.expect("a place again");
}

/// A container that cannot start would only hold its name and its id.
#[tokio::test]
async fn a_create_that_fails_leaves_nothing() {
    let device = device();
    device.made("acme", json!({"name": "first", "ports": [{"container": 80, "host": 80}]})).await;
    let error = device.create("acme", json!({"ports": [{"container": 80, "host": 80}]})).await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::Conflict, "{}", error.message);
    assert_eq!(device.names(), ["first"]);
    let error = device.create("acme", json!({"image": "missing:1"})).await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::NotFound);
    let error = device.create("acme", json!({"privileges": {"privileged": true}})).await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::Forbidden);
    assert_eq!(device.engine.list().await.unwrap().len(), 1);
}

/// Deleting what runs must be meant; and after it the container is gone from every list.
#[tokio::test]
async fn a_running_container_is_deleted_only_by_force() {
    let device = device();
    let id = device.made("acme", json!({})).await;
    let acme = tenant("acme");
    let refused = device.orders.delete(&acme, delete(&id, false)).unwrap().answer().await.unwrap_err();
    assert_eq!(refused.uri, ErrorKind::Conflict);
    let stopped = device.orders.stop(&acme, stop(&id)).unwrap().answer().await.unwrap();
    assert_eq!(stopped.container.unwrap().state, ContainerState::Exited);
    let deleted = device.orders.delete(&acme, delete(&id, false)).unwrap().answer().await.unwrap();
    assert_eq!((deleted.state, deleted.container), (OperationState::Done, None));
    assert!(device.names().is_empty());
}

/// An engine that is away is told as such, and the order can be given again.
#[tokio::test]
async fn an_engine_that_is_away_is_told() {
    let device = device();
    let id = device.made("acme", json!({})).await;
    device.engine.set_reachable(false);
    let error = device.orders.stop(&tenant("acme"), stop(&id)).unwrap().answer().await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::Unavailable);
    assert!(error.message.contains("tries again by itself"), "{}", error.message);
    device.engine.set_reachable(true);
    device.orders.stop(&tenant("acme"), stop(&id)).unwrap().answer().await.unwrap();
}

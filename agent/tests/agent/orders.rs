//! Orders and questions, with the simulated engine: what they change, what they answer, what they refuse.

use ecep_agent::{
    engine::{Engine, sim::SimEngine},
    random,
};
use ecep_link::{CallError, Link};
use ecep_proto::api::{
    ContainerCreate, ContainerDelete, ContainerEvents, ContainerInspect, ContainerList, ContainerLogs,
    ContainerRestart, ContainerStart, ContainerStop, DeviceInfo, ImageDelete, ImageList, ImagePull,
    OperationEvents, Procedure, Topic,
    container::{ContainerChange, ContainerState},
    error::ErrorKind,
    name::{ContainerId, DeviceId},
    operation::{OperationEvent, OperationReply, OperationState},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    LOOK_EVERY,
    client::{Client, WampError},
    cloud::DEVICE,
    device::Scene,
    within,
};

/// Calls a procedure of the device, again while the agent is still joining this realm: it registers one procedure after the other.
pub async fn ask<P: Procedure>(client: &mut Client, keywords: Value) -> Result<P::Reply, WampError> {
    let value = ask_by_uri(client, &P::on(&device()), keywords).await?;
    Ok(serde_json::from_value(value).expect("as the catalogue says"))
}

/// The same with whatever the catalogue says of the URI.
pub async fn ask_by_uri(client: &mut Client, uri: &str, keywords: Value) -> Result<Value, WampError> {
    let calling = async {
        loop {
            match client.call_with(uri, keywords.clone()).await {
                Err(error) if error.is_not_served() => sleep(LOOK_EVERY).await,
                answer => return answer,
            }
        }
    };
    within("the agent to serve the procedure", calling).await
}

/// Gives an order, and waits for its end. One that takes long is answered before that; the same order again is the same order.
pub async fn complete<P: Procedure<Reply = OperationReply>>(
    client: &mut Client,
    mut keywords: Value,
) -> Result<OperationReply, WampError> {
    let operation = random::operation_id().expect("an id");
    keywords.as_object_mut().expect("a map").entry("operation").or_insert(json!(operation));
    let ending = async {
        loop {
            let reply = ask::<P>(client, keywords.clone()).await?;
            if reply.state != OperationState::Running {
                return Ok(reply);
            }
        }
    };
    within("the end of an order", ending).await
}

/// As [`complete`], for what the control plane orders.
pub async fn ordered<P: Procedure<Reply = OperationReply>>(
    control: &Link,
    order: Value,
) -> Result<OperationReply, CallError> {
    let order: P::Request = serde_json::from_value(order).expect("an order");
    let ending = async {
        loop {
            match control.call::<P>(&P::on(&device()), &order).await {
                Ok(reply) if reply.state == OperationState::Running => {}
                Err(CallError::TimedOut) => {}
                ended => return ended,
            }
        }
    };
    within("the end of an order", ending).await
}

pub fn device() -> DeviceId {
    DEVICE.parse().expect("a name")
}

fn create(name: &str) -> Value {
    json!({"name": name, "image": "app:1"})
}

async fn created(client: &mut Client, name: &str) -> ContainerId {
    let reply = complete::<ContainerCreate>(client, create(name)).await.expect("it is created");
    reply.container_id.expect("its id")
}

/// The life of a container by a third party's calls, each answer and event true.
#[tokio::test]
async fn a_container_lives_by_calls() {
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let facts = ask::<DeviceInfo>(&mut ann, json!({})).await.expect("facts");
    assert!(facts.engine.kind == "sim" && facts.engine.reachable && facts.cores > 0, "{facts:?}");
    let lives = ann.subscribe(&ContainerEvents::on(&device())).await;
    let operations = ann.subscribe(&OperationEvents::on(&device())).await;

    let order = json!({"name": "web", "image": "app:1", "application": "shop", "ports": [{"container": 80}]});
    let reply = complete::<ContainerCreate>(&mut ann, order).await.expect("it is created");
    assert_eq!(reply.state, OperationState::Done);
    let web = reply.container.expect("the container");
    assert_eq!((web.state, web.application.as_str()), (ContainerState::Running, "shop"));
    assert!(web.ports[0].host.is_some());
    // Also of a pull that takes no time: what was held back for coming too often is told at its end.
    let whole = |event: &OperationEvent| event.bytes_done > Some(0) && event.bytes_done == event.bytes_total;
    let pulling =
        ann.event::<OperationEvents>(operations, |event| event.phase == "pulling" && whole(event)).await;
    assert_eq!((pulling.operation, pulling.kind.as_str()), (reply.operation.clone(), "container.create"));
    let done = ann.event::<OperationEvents>(operations, |event| event.state == OperationState::Done).await;
    assert_eq!((done.operation, done.container_id), (reply.operation, Some(web.id.clone())));
    ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Started).await;

    let id = json!({"container": web.id});
    let list = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!(list.len(), 1);
    let lines = ask::<ContainerLogs>(&mut ann, id.clone()).await.expect("output").lines;
    assert_eq!(lines[0].text, "app:1 runs");
    let reply = complete::<ContainerStop>(&mut ann, id.clone()).await.expect("it stops");
    assert_eq!(reply.container.expect("the container").state, ContainerState::Exited);
    let exited = ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Exited).await;
    assert_eq!(exited.container.id, web.id);
    complete::<ContainerStart>(&mut ann, id.clone()).await.expect("it starts");
    complete::<ContainerRestart>(&mut ann, id.clone()).await.expect("it restarts");
    let detail = ask::<ContainerInspect>(&mut ann, id.clone()).await.expect("in full");
    assert_eq!((detail.tenant.as_str(), detail.container.state), ("acme", ContainerState::Running));

    let refused = complete::<ContainerDelete>(&mut ann, id.clone()).await.expect_err("it runs");
    assert!(refused.is(ErrorKind::Conflict) && refused.message.contains("stop it first"), "{refused:?}");
    let force = json!({"container": web.id, "force": true});
    let reply = complete::<ContainerDelete>(&mut ann, force).await.expect("it is deleted");
    assert_eq!((reply.state, reply.container), (OperationState::Done, None));
    ann.event::<ContainerEvents>(lives, |event| event.change == ContainerChange::Deleted).await;
    let gone = complete::<ContainerStart>(&mut ann, id).await.expect_err("it is gone");
    assert!(gone.is(ErrorKind::NotFound), "{gone:?}");

    let pull = complete::<ImagePull>(&mut ann, json!({"image": "other"})).await.expect("it is pulled");
    assert_eq!(pull.state, OperationState::Done);
    let images = ask::<ImageList>(&mut ann, json!({})).await.expect("a list").images;
    assert_eq!(images.iter().flat_map(|image| &image.tags).collect::<Vec<_>>(), ["app:1", "other:latest"]);
    complete::<ImageDelete>(&mut ann, json!({"image": "other"})).await.expect("it is deleted");
    scene.end().await;
}

/// Another tenant's container must look exactly like one that does not exist, to every procedure.
#[tokio::test]
async fn another_tenants_container_does_not_exist() {
    let scene = Scene::start(SimEngine::default(), &["acme", "other"]).await;
    let (mut ann, mut eve) = (scene.cloud.operator("acme").await, scene.cloud.operator("other").await);
    let theirs = created(&mut ann, "web").await;
    assert_eq!(ask::<ContainerList>(&mut eve, json!({})).await.expect("a list").containers, []);

    let none: ContainerId = "cnever".parse().expect("a name");
    let mut told = Vec::new();
    for id in [&theirs, &none] {
        let id_only = json!({"container": id});
        let errors = [
            complete::<ContainerStart>(&mut eve, id_only.clone()).await.err(),
            complete::<ContainerStop>(&mut eve, id_only.clone()).await.err(),
            complete::<ContainerRestart>(&mut eve, id_only.clone()).await.err(),
            complete::<ContainerDelete>(&mut eve, json!({"container": id, "force": true})).await.err(),
            ask::<ContainerInspect>(&mut eve, id_only.clone()).await.err(),
            ask::<ContainerLogs>(&mut eve, id_only).await.err(),
        ];
        let errors = errors.map(|error| {
            let error = error.expect("it is refused");
            assert!(error.is(ErrorKind::NotFound), "{error:?}");
            (error.message.replace(id.as_str(), "ID"), error.details)
        });
        told.push(errors);
    }
    assert_eq!(told[0], told[1]);
    // The same name and operation id in another tenant are other things.
    let order = json!({"name": "web", "image": "app:1", "operation": "mine"});
    let of_eve = complete::<ContainerCreate>(&mut eve, order.clone()).await.expect("created").container_id;
    let order_of_ann = json!({"name": "web-2", "image": "app:1", "operation": "mine"});
    let of_ann = complete::<ContainerCreate>(&mut ann, order_of_ann).await.expect("created").container_id;
    assert_ne!(of_eve, of_ann);
    scene.end().await;
}

/// What is refused says why and what to do, with a true error URI, and leaves nothing behind.
#[tokio::test]
async fn refusals_say_what_to_do_and_leave_nothing() {
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let order = json!({"name": "web", "image": "app:1", "ports": [{"container": 80, "host": 8080}]});
    let web =
        complete::<ContainerCreate>(&mut ann, order).await.expect("created").container_id.expect("an id");

    for (order, kind, says) in [
        (create("web"), ErrorKind::Conflict, "choose another"),
        (json!({"name": "Web!", "image": "app:1"}), ErrorKind::InvalidArgument, "'W' at place 1"),
        (json!({"name": "b"}), ErrorKind::InvalidArgument, "image"),
        (json!({"name": "b", "image": "app:1", "speed": 9}), ErrorKind::InvalidArgument, "speed"),
        (json!({"name": "b", "image": "a b"}), ErrorKind::InvalidArgument, "image reference"),
        (json!({"name": "b", "image": "missing:1"}), ErrorKind::NotFound, "missing:1"),
        (
            json!({"name": "b", "image": "app:1", "limits": {"memory_bytes": 5}}),
            ErrorKind::InvalidArgument,
            "6 MiB",
        ),
        (
            json!({"name": "b", "image": "app:1", "privileges": {"privileged": true, "pid_mode": "host"}}),
            ErrorKind::Forbidden,
            "policy.toml",
        ),
        (
            json!({"name": "b", "image": "app:1", "ports": [{"container": 81, "host": 8080}]}),
            ErrorKind::Conflict,
            "8080",
        ),
    ] {
        let refused = complete::<ContainerCreate>(&mut ann, order.clone()).await.expect_err("it is refused");
        assert!(refused.is(kind) && refused.message.contains(says), "{order}: {refused:?}");
    }
    for (tail, grace) in [(0, 301), (1001, 4000)] {
        let refused =
            ask::<ContainerLogs>(&mut ann, json!({"container": web, "tail": tail})).await.expect_err("tail");
        assert!(refused.is(ErrorKind::InvalidArgument), "{refused:?}");
        let stop = json!({"container": web, "grace_seconds": grace});
        let refused = complete::<ContainerStop>(&mut ann, stop).await.expect_err("grace");
        assert!(refused.is(ErrorKind::InvalidArgument), "{refused:?}");
    }
    let list = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!(list.iter().map(|container| &container.id).collect::<Vec<_>>(), [&web]);

    // The owner's word in the policy file counts from the next order on.
    std::fs::write(scene.data().join("policy.toml"), "allow = [\"privileged\"]").expect("written");
    let order = json!({"name": "b", "image": "app:1", "privileges": {"privileged": true}});
    complete::<ContainerCreate>(&mut ann, order).await.expect("now it is allowed");
    scene.end().await;
}

/// An order that takes long is answered as running, goes on, and its end is told; meanwhile and afterwards the
/// same id is the same order, and other orders do not wait for it.
#[tokio::test]
async fn a_long_order_goes_on_and_is_one_order() {
    let scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    created(&mut ann, "other").await;
    let operations = ann.subscribe(&OperationEvents::on(&device())).await;
    scene.engine.hold_pulls(true);
    let order = json!({"name": "web", "image": "big:1", "operation": "op-7"});
    let reply = ask::<ContainerCreate>(&mut ann, order.clone()).await.expect("accepted");
    assert_eq!((reply.state, reply.container), (OperationState::Running, None));
    assert_eq!(reply.operation.as_str(), "op-7");
    created(&mut ann, "third").await;

    scene.engine.hold_pulls(false);
    let wanted =
        |event: &OperationEvent| event.operation.as_str() == "op-7" && event.state == OperationState::Done;
    let done = ann.event::<OperationEvents>(operations, wanted).await;
    let again = complete::<ContainerCreate>(&mut ann, order).await.expect("the same answer");
    assert_eq!((again.state, &again.container_id), (OperationState::Done, &done.container_id));
    assert_eq!(again.container_id, reply.container_id);
    let list = ask::<ContainerList>(&mut ann, json!({})).await.expect("a list").containers;
    assert_eq!(list.len(), 3);

    let stop = json!({"container": done.container_id, "operation": "op-7"});
    let refused = complete::<ContainerStop>(&mut ann, stop).await.expect_err("the id is taken");
    assert!(refused.is(ErrorKind::Conflict), "{refused:?}");
    scene.end().await;
}

/// An agent that was killed between creating and starting a container finishes the order when it comes again.
#[tokio::test]
async fn a_creation_is_one_order_across_agents() {
    let mut scene = Scene::start(SimEngine::default(), &["acme"]).await;
    let mut ann = scene.cloud.operator("acme").await;
    let created = json!({"name": "web", "image": "app:1", "operation": "op-7", "start": false});
    let first = complete::<ContainerCreate>(&mut ann, created)
        .await
        .expect("created")
        .container
        .expect("a container");
    assert_eq!(first.state, ContainerState::Created);
    scene.restart_agent().await;

    let order = json!({"name": "web", "image": "app:1", "operation": "op-7"});
    let again =
        complete::<ContainerCreate>(&mut ann, order).await.expect("found").container.expect("a container");
    assert_eq!((&again.id, again.state), (&first.id, ContainerState::Running));
    assert_eq!(scene.engine.list().await.expect("a list").len(), 1);
    scene.end().await;
}

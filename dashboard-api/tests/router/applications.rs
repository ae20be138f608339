//! Applications from the upload to the device: versions, placement, deployment, updates, and what ran once.

use std::sync::{Arc, Mutex};

use ecep_proto::api::{
    ApplicationDelete, ApplicationDeploy, ApplicationListing, ApplicationPlace, ArtifactDelete,
    ArtifactListing, ContainerUpdate, DeviceDeployment, DeviceReplacement, FleetContainerList, Procedure,
    RunEnd, RunListing, VersionAdd, VersionDelete,
    application::{DeviceDeploy, DeviceUpdate, EndRun},
    container::LogStream,
    error::ErrorKind,
    name::OperationId,
    operation::{OperationReply, OperationState},
};
use serde_json::{Value, json};

use crate::{
    fleet::{Agent, browser, container},
    joined, platform,
    support::device::{RealDevice, until},
    support::{
        Person, Server,
        router::TestRouter,
        tus::{archive, archive_with, image},
        wamp::{Refused, Session},
    },
};

const SECRET: &str = "a-password-of-the-database";

/// What the device was ordered.
#[derive(Default)]
struct Ordered {
    deployments: Mutex<Vec<DeviceDeploy>>,
    updates: Mutex<Vec<DeviceUpdate>>,
}

fn begun(operation: OperationId) -> OperationReply {
    OperationReply { operation, state: OperationState::Running, container_id: None, container: None }
}

/// A device that takes orders, and has reported.
async fn device(router: &TestRouter, server: &Server, owner: &Person) -> (Agent, Arc<Ordered>) {
    let ordered = Arc::new(Ordered::default());
    let (deploys, updates) = (Arc::clone(&ordered), Arc::clone(&ordered));
    let agent = Agent::enrol_serving(router, server, owner, |link, id| {
        link.procedure::<DeviceDeployment, _, _>(DeviceDeployment::on(id), move |_, order| {
            let reply = begun(order.operation.clone());
            deploys.deployments.lock().unwrap().push(order);
            async move { Ok(reply) }
        })
        .procedure::<DeviceReplacement, _, _>(DeviceReplacement::on(id), move |_, order| {
            let reply = begun(order.operation.clone());
            updates.updates.lock().unwrap().push(order);
            async move { Ok(reply) }
        })
    })
    .await;
    agent.report(&[], vec![]).await.unwrap();
    (agent, ordered)
}

fn uri(refused: Result<Value, Refused>) -> (String, String) {
    let refused = refused.unwrap_err();
    (refused.uri, refused.message)
}

async fn add(
    session: &mut Session,
    application: &str,
    source: Value,
    settings: Value,
) -> Result<Value, Refused> {
    let version =
        json!({ "application": application, "source": source, "settings": settings, "note": " first " });
    session.call(VersionAdd::URI, version).await
}

/// A version keeps what it was added with, tells no value of a variable, and protects its artifact; numbers are not given twice.
#[tokio::test(flavor = "multi_thread")]
async fn versions_are_kept_and_their_secrets_are_not_told() {
    let (router, _server, maria) = platform().await;
    let mut session = browser(&router, &maria, "acme").await;
    let artifact = maria.upload_whole("acme", &archive_with("Dockerfile", "FROM scratch\n", 200_000)).await;
    let listed = session.call(ArtifactListing::URI, json!({})).await.unwrap();
    assert_eq!(
        (&listed["artifacts"][0]["digest"], &listed["artifacts"][0]["kind"]),
        (&json!(artifact), &json!("source_bundle"))
    );
    assert!(listed["used_bytes"].as_u64().unwrap() > 200_000 && listed["quota_bytes"].as_u64().unwrap() > 0);

    let bundle = json!({ "kind": "source_bundle", "artifact": artifact });
    let settings = json!({ "env": { "DB_PASSWORD": SECRET }, "limits": { "memory_bytes": 64 << 20 } });
    let added = add(&mut session, "web", bundle.clone(), settings).await.unwrap();
    assert_eq!((&added["number"], &added["note"]), (&json!(1), &json!("first")));
    let second =
        add(&mut session, "web", json!({ "kind": "image", "image": "nginx:1.27" }), json!({})).await.unwrap();
    assert_eq!(second["number"], 2);
    let list = session.call(ApplicationListing::URI, json!({})).await.unwrap();
    assert_eq!(list["applications"][0]["versions"][1]["settings"]["env"], json!({ "DB_PASSWORD": "" }));
    assert_eq!(list["applications"][0]["versions"][0]["number"], 2, "the newest first");
    for told in [list.to_string(), maria.get("/api/tenants/acme/audit").await.text] {
        assert!(!told.contains(SECRET), "{told}");
    }

    let (kind, said) = uri(session.call(ArtifactDelete::URI, json!({ "digest": artifact })).await);
    assert_eq!(kind, ErrorKind::Conflict.uri());
    assert!(said.contains("web"), "{said}");
    session.call(VersionDelete::URI, json!({ "application": "web", "version": 1 })).await.unwrap();
    session.call(ArtifactDelete::URI, json!({ "digest": artifact })).await.unwrap();
    let listed = session.call(ArtifactListing::URI, json!({})).await.unwrap();
    assert_eq!((&listed["artifacts"], &listed["used_bytes"]), (&json!([]), &json!(0)));
    let (kind, _) = uri(add(&mut session, "web", bundle, json!({})).await);
    assert_eq!(kind, ErrorKind::NotFound.uri());
    session.call(VersionDelete::URI, json!({ "application": "web", "version": 2 })).await.unwrap();
    let third =
        add(&mut session, "web", json!({ "kind": "image", "image": "nginx" }), json!({})).await.unwrap();
    assert_eq!(third["number"], 3);
    for (source, settings) in [
        (json!({ "kind": "image", "image": "a b" }), json!({})),
        (json!({ "kind": "image", "image": "nginx" }), json!({ "ports": [{ "container": 0 }] })),
        (json!({ "kind": "image", "image": "nginx" }), json!({ "run_once": true, "restart": "always" })),
    ] {
        let (kind, said) = uri(add(&mut session, "web", source, settings).await);
        assert_eq!(kind, ErrorKind::InvalidArgument.uri(), "{said}");
    }
    session.call(ApplicationDelete::URI, json!({ "application": "web" })).await.unwrap();
    assert_eq!(session.call(ApplicationListing::URI, json!({})).await.unwrap()["applications"], json!([]));
}

/// What no device would build is refused when it is added, in the words of the device: its owner would wait for a deployment to hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_that_no_device_takes_is_refused_at_once() {
    let (router, _server, maria) = platform().await;
    let mut session = browser(&router, &maria, "acme").await;
    let mut outcome = async |text: &str, path: Option<&str>| {
        let artifact = maria.upload_whole("acme", &archive_with("Dockerfile", text, 100)).await;
        let source = json!({ "kind": "source_bundle", "artifact": artifact, "dockerfile": path });
        add(&mut session, "web", source, json!({})).await.map_err(|refused| (refused.uri, refused.message))
    };
    for (text, path, says) in [
        (
            "FROM a\nRUN --mount=type=cache,target=/x true\n",
            None,
            "the Dockerfile, line 2: RUN takes no flags here, as they need another builder; leave them out",
        ),
        ("FROM a\n", Some("docker/Dockerfile"), "the source bundle has no file docker/Dockerfile"),
        ("FROM a/../b\n", None, "is not an image reference"),
    ] {
        let (kind, said) = outcome(text, path).await.expect_err(text);
        assert_eq!(kind, ErrorKind::InvalidArgument.uri());
        assert!(said.contains(says), "{text:?}: {said}");
    }
    // Which device builds is not known yet.
    let added = outcome("FROM --platform=linux/s390x a AS b\nRUN true\n", None).await.unwrap();
    assert_eq!(added["number"], 1);
}

/// A deployment explains its choice, reaches the device with what it needs, and the same order again means the same; what the device cannot
/// run never gets there.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_reaches_the_device_that_it_explains() {
    let (router, server, maria) = platform().await;
    let mut session = browser(&router, &maria, "acme").await;
    let (agent, ordered) = device(&router, &server, &maria).await;
    let good = maria.upload_whole("acme", &image("amd64")).await;
    let other = maria.upload_whole("acme", &image("arm64")).await;
    let archive = |artifact: &str| json!({ "kind": "image_archive", "artifact": artifact });
    let env = json!({ "env": { "DB_PASSWORD": SECRET } });
    assert_eq!(
        add(&mut session, "web", archive(&good), env).await.unwrap()["architectures"],
        json!(["amd64"])
    );
    add(&mut session, "arm", archive(&other), json!({})).await.unwrap();

    // Nothing is placed on a device that was not heard of lately.
    let reports = async |containers| agent.report(&[], containers).await.unwrap();
    let anywhere = json!({ "to": "anywhere" });
    reports(vec![]).await;
    let placed = session
        .call(ApplicationPlace::URI, json!({ "application": "arm", "target": anywhere }))
        .await
        .unwrap();
    let reason = placed["candidates"][0]["reasons"][0].as_str().unwrap();
    assert_eq!(
        (placed["candidates"][0]["chosen"].as_bool(), reason),
        (Some(false), "Is amd64, and the image is for arm64.")
    );
    reports(vec![]).await;
    let (kind, said) =
        uri(session.call(ApplicationDeploy::URI, json!({ "application": "arm", "target": anywhere })).await);
    assert_eq!(kind, ErrorKind::Preflight.uri());
    assert!(said.contains("the image is for arm64"), "{said}");
    assert!(ordered.deployments.lock().unwrap().is_empty());

    let order = json!({ "application": "web", "target": anywhere, "name": "shop", "operation": "op-1" });
    reports(vec![]).await;
    let deployed = session.call(ApplicationDeploy::URI, order.clone()).await.unwrap();
    assert_eq!(
        deployed["devices"],
        json!([{ "device": agent.id, "operation": "op-1", "error": null, "container_id": null }])
    );
    assert!(deployed["candidates"][0]["chosen"] == json!(true), "{deployed}");
    // The container is there now, so nothing more fits under this name; the same order is answered as before.
    reports(vec![container("acme", "shop")]).await;
    assert_eq!(session.call(ApplicationDeploy::URI, order.clone()).await.unwrap(), deployed);
    let told = ordered.deployments.lock().unwrap().clone();
    assert_eq!(told[0], told[1]);
    assert_eq!(
        (told[0].name.as_str(), told[0].version.settings.env["DB_PASSWORD"].as_str()),
        ("shop", SECRET)
    );
    assert!(told[0].version.artifact_bytes.is_some());
    let mut changed = order;
    changed["target"] = json!({ "to": "devices", "devices": [agent.id] });
    assert_eq!(uri(session.call(ApplicationDeploy::URI, changed).await).0, ErrorKind::Conflict.uri());
    let unknown = json!({ "application": "web", "target": { "to": "devices", "devices": ["elsewhere"] } });
    assert_eq!(uri(session.call(ApplicationDeploy::URI, unknown).await).0, ErrorKind::NotFound.uri());
    let audit = maria.get("/api/tenants/acme/audit").await.text;
    assert!(audit.contains(ApplicationDeploy::URI) && !audit.contains(SECRET), "{audit}");

    add(&mut session, "counter", json!({ "kind": "image", "image": "counter:2" }), json!({})).await.unwrap();
    let update = json!({ "container": "shop", "operation": "op-2" });
    reports(vec![container("acme", "shop")]).await;
    let begun = session.call(ContainerUpdate::URI, update).await.unwrap();
    assert_eq!((&begun["operation"], &begun["state"]), (&json!("op-2"), &json!("running")));
    let told = ordered.updates.lock().unwrap().remove(0);
    assert_eq!(
        (told.container.as_str(), told.version.version, told.version.application.as_str()),
        ("shop", 1, "counter")
    );
    assert_eq!(
        uri(session.call(ContainerUpdate::URI, json!({ "container": "nobodys" })).await).0,
        ErrorKind::NotFound.uri()
    );
}

/// How a run ended is kept before the device is answered, once; a device tells of nobody else's containers.
#[tokio::test(flavor = "multi_thread")]
async fn runs_are_kept_once() {
    let (router, server, maria) = platform().await;
    let mut session = browser(&router, &maria, "acme").await;
    let (agent, _) = device(&router, &server, &maria).await;
    let run = |tenant: &str, id: &str, lost: Option<&str>| EndRun {
        tenant: tenant.parse().unwrap(),
        container: container(tenant, id).container,
        oom_killed: false,
        log: Some(format!("{id}-log").parse().unwrap()),
        results: None,
        lost: lost.map(str::to_owned),
    };
    for lost in [None, Some("told again in other words")] {
        agent.link.call::<RunEnd>(RunEnd::URI, &run("acme", "job-1", lost)).await.unwrap();
    }
    agent.link.call::<RunEnd>(RunEnd::URI, &run("acme", "job-2", None)).await.unwrap();
    assert!(agent.link.call::<RunEnd>(RunEnd::URI, &run("globex", "job-3", None)).await.is_err());
    let list = session.call(RunListing::URI, json!({ "application": "counter" })).await.unwrap();
    let ids = |list: &Value| -> Vec<String> {
        let runs = list["runs"].as_array().unwrap().iter();
        runs.map(|run| run["container"]["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&list), ["job-2", "job-1"]);
    assert_eq!((&list["runs"][1]["lost"], &list["runs"][1]["log"]), (&json!(null), &json!("job-1-log")));
    let next = session.call(RunListing::URI, json!({ "before": list["runs"][0]["ended_at"] })).await.unwrap();
    assert_eq!(ids(&next), ["job-1"]);
    assert!(ids(&session.call(RunListing::URI, json!({ "application": "other" })).await.unwrap()).is_empty());

    let folder = server.stop().await;
    let store = crate::support::open_store(&folder).await;
    assert_eq!(store.runs(&"acme".parse().unwrap()).unwrap().len(), 2);
}

/// From the upload to what a run has left, with a real agent and a simulated engine: the artifact travels through the device's channel, the
/// container runs where it was placed, and its exit code, output and results are here before it goes, which is seen at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_application_goes_the_whole_way() {
    let router = TestRouter::start().await;
    let server = Server::start_with_channels(&router.url()).await;
    let maria = server.set_up().await;
    joined(&server).await;
    let device = RealDevice::start(&server, &maria).await;
    let mut session = browser(&router, &maria, "acme").await;
    let artifact = maria.upload_whole("acme", &archive("main.py", 1_500_000)).await;
    let source = json!({ "kind": "files", "artifact": artifact, "base": "python:3", "install": "true" });
    let settings = json!({ "run_once": true, "command": ["python3", "main.py"] });
    add(&mut session, "job", source, settings).await.unwrap();
    let order = json!({ "application": "job", "target": { "to": "anywhere" }, "operation": "the-one" });
    let deployed =
        until("a device that fits", async || session.call(ApplicationDeploy::URI, order.clone()).await.ok())
            .await;
    assert_eq!(deployed["devices"][0]["device"], json!(device.id));
    let running = until("the container to run", async || {
        let list = session.call(FleetContainerList::URI, json!({})).await.unwrap();
        let containers = list["containers"].as_array().unwrap().clone();
        containers.into_iter().find(|one| one["container"]["state"] == "running")
    })
    .await;
    let container = &running["container"];
    assert_eq!((&container["application"], &container["version"]), (&json!("job"), &json!(1)));
    let id = container["id"].as_str().unwrap();
    let engine_id = format!("ecep-{id}");
    device.engine.write(&engine_id, LogStream::Stdout, "the answer is 42").unwrap();
    device.engine.put_file(&engine_id, "/results/answer.txt", "42".into()).unwrap();
    device.engine.exit(&engine_id, 7).unwrap();
    let run = until("the run to be told", async || {
        let list = session.call(RunListing::URI, json!({ "application": "job" })).await.unwrap();
        list["runs"].as_array().unwrap().first().cloned()
    })
    .await;
    assert_eq!((&run["container"]["id"], &run["container"]["exit_code"]), (&json!(id), &json!(7)));
    let content = |file: &Value| format!("/api/tenants/acme/files/{}/content", file.as_str().unwrap());
    let log = maria.get(&content(&run["log"])).await;
    assert!(log.text.contains("the answer is 42"), "{log:?}");
    assert_eq!(maria.get(&content(&run["results"])).await.status, 200);
    until("the container to be gone", async || {
        let list = session.call(FleetContainerList::URI, json!({})).await.unwrap();
        list["containers"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}

//! Each kind of version becomes an image and a container; what is there already is not brought again, and what was cut off goes on.

use ecep_agent::engine::Engine;
use ecep_proto::api::{container::ContainerState, error::ErrorKind};
use serde_json::json;

use crate::scene::{Device, archive, bundle, image_archive, of_registry, version};

fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Each kind must run, under the tenant's own name for its image, and leave no artifact on the disk.
#[tokio::test]
async fn every_kind_of_application_runs() {
    let device = Device::new();
    let saved = device.cloud.put(&image_archive(machine(), 10));
    let source =
        device.cloud.put(&archive(&[("app-1/Dockerfile", b"FROM alpine:3\nRUN make\n"), ("app-1/x", b"1")]));
    let files = device.cloud.put(&archive(&[("main.py", b"print()")]));
    let kinds = [
        (json!({"kind": "image", "image": "nginx:1"}), "nginx:1".to_owned()),
        (
            json!({"kind": "image_archive", "artifact": saved}),
            format!("ecep-app/acme/app:2-{}", &saved.as_str()[..12]),
        ),
        (
            json!({"kind": "source_bundle", "artifact": source}),
            format!("ecep-app/acme/app:3-{}", &source.as_str()[..12]),
        ),
        (
            json!({"kind": "files", "artifact": files, "base": "python:3", "install": "pip install x"}),
            format!("ecep-app/acme/app:4-{}", &files.as_str()[..12]),
        ),
    ];
    for (number, (source, image)) in (1..).zip(kinds) {
        let more = json!({"name": format!("app-{number}"), "operation": format!("deploy-{number}")});
        let reply =
            device.deploy("acme", version(number, source, json!({"env": {"A": "1"}})), more).await.unwrap();
        let view = reply.container.unwrap();
        assert_eq!(
            (view.image.as_str(), view.version, view.state),
            (image.as_str(), Some(number), ContainerState::Running)
        );
    }
    assert_eq!(device.artifacts_left(), 0);
    // An uploaded archive must not move a name that others use.
    assert!(!device.images().await.contains(&"nginx:latest".to_owned()));
}

/// The same version once more needs no byte of the cloud.
#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let device = Device::new();
    let saved = device.cloud.put(&image_archive(machine(), 10));
    let source = json!({"kind": "image_archive", "artifact": saved});
    device.deploy("acme", version(1, source.clone(), json!({})), json!({})).await.unwrap();
    device.cloud.state().is_away = true;
    let again = json!({"name": "other", "operation": "deploy-2"});
    device.deploy("acme", version(1, source, json!({})), again).await.unwrap();
    assert_eq!(device.cloud.state().moved.len(), 1);
}

/// A connection that breaks costs only what had not come: a large artifact would never arrive over a bad link otherwise.
#[tokio::test(start_paused = true)]
async fn a_broken_connection_goes_on_where_it_was() {
    const BYTES: usize = 8_000_000;
    let device = Device::new();
    let saved = device.cloud.put(&image_archive(machine(), BYTES));
    device.cloud.state().cuts = vec![BYTES as u64 / 2];
    let source = json!({"kind": "image_archive", "artifact": saved});
    device.deploy("acme", version(1, source, json!({})), json!({})).await.unwrap();
    let moved = device.cloud.state().moved.clone();
    assert!(moved.len() == 2 && moved[1] > 0 && moved[1] < BYTES as u64 * 3 / 4, "{moved:?}");
}

/// Other bytes than those that were asked for must not run, whoever sends them.
#[tokio::test]
async fn what_is_not_the_artifact_is_not_taken() {
    let device = Device::new();
    let saved = device.cloud.put(&image_archive(machine(), 10));
    device.cloud.swap(&saved, &image_archive(machine(), 11));
    let source = json!({"kind": "image_archive", "artifact": saved});
    let error = device.deploy("acme", version(1, source, json!({})), json!({})).await.unwrap_err();
    assert!(error.message.contains("SHA-256"), "{error}");
    assert!(device.images().await.is_empty());
    assert_eq!(device.artifacts_left(), 0);
}

/// What cannot run here is refused in words, before its bytes come where that is known, and after that at the latest.
#[tokio::test]
async fn another_machines_image_is_refused() {
    let device = Device::new();
    let saved = device.cloud.put(&image_archive("s390x", 10));
    let source = json!({"kind": "image_archive", "artifact": saved});
    let mut told = version(1, source.clone(), json!({}));
    told["architectures"] = json!(["s390x"]);
    let error = device.deploy("acme", told, json!({})).await.unwrap_err();
    assert!(error.uri == ErrorKind::InvalidArgument && error.message.contains("s390x"), "{error}");
    assert!(device.cloud.state().moved.is_empty(), "nothing was fetched");
    let untold = json!({"operation": "deploy-2"});
    let error = device.deploy("acme", version(1, source, json!({})), untold).await.unwrap_err();
    assert!(error.message.contains("s390x"), "{error}");
    assert!(device.images().await.is_empty());
}

/// Whoever builds must see what the build said last, and find nothing half-made.
#[tokio::test]
async fn a_build_that_fails_says_its_last_words() {
    let device = Device::new();
    let source =
        device.cloud.put(&archive(&[("Dockerfile", b"FROM alpine:3\nRUN echo before\nRUN false\n")]));
    let error = device.deploy("acme", bundle(1, &source), json!({})).await.unwrap_err();
    assert!(error.message.contains("RUN false") && error.message.contains("non-zero"), "{error}");
    assert!(error.details["output"].as_str().unwrap().contains("echo before"));
    assert!(device.engine.list().await.unwrap().is_empty());
    assert_eq!(device.artifacts_left(), 0);
}

/// The same order again after the agent was started again is the same container.
#[tokio::test]
async fn the_same_deployment_again_is_the_same_container() {
    let device = Device::new();
    let first = device.deploy("acme", of_registry(1, "nginx:1", json!({})), json!({})).await.unwrap();
    let device = device.started_again();
    let again = device.deploy("acme", of_registry(1, "nginx:1", json!({})), json!({})).await.unwrap();
    assert_eq!(first.container_id, again.container_id);
    // What a killed agent has left of artifacts goes.
    std::fs::create_dir(device.folder.path().join("artifacts/acme-left")).unwrap();
    assert_eq!(device.started_again().artifacts_left(), 0);
}

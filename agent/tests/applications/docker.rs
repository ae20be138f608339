//! The same with a Docker engine: what it really builds, loads, checks and keeps.

use std::{process::Command, sync::Arc};

use ecep_agent::{
    engine::{Engine, docker::DockerEngine},
    random,
};
use ecep_proto::api::{
    container::ContainerState, error::ErrorKind, name::ContainerId, operation::OperationState,
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    real_docker,
    scene::{Device, archive, tenant, version},
};

/// An engine has one agent: another one would bring to an end what the first is at.
static ALONE: Mutex<()> = Mutex::const_new(());

/// The only agent of an engine, an image with a shell on it, and the engine's address.
async fn device() -> Option<(Device<DockerEngine>, String, String, MutexGuard<'static, ()>)> {
    let alone = ALONE.lock().await;
    let (address, image) = real_docker::ready()?;
    let device = Device::on(Arc::new(DockerEngine::new(&address).expect("an address")));
    Some((device, image, address, alone))
}

fn docker(address: &str, arguments: &[&str]) -> Vec<u8> {
    let done =
        Command::new("docker").args(["-H", address]).args(arguments).output().expect("docker is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Output that nobody reads must not fill the device's disk, whatever the container is for.
fn is_bounded(address: &str, engine_id: &str) {
    let format = "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}";
    let log = docker(address, &["inspect", "--format", format, engine_id]);
    assert_eq!(String::from_utf8_lossy(&log).trim(), "json-file map[max-file:3 max-size:10m]");
}

/// Deletes a container, and its image where that is an application's: other tests count the names of what they are of.
async fn delete(device: &Device<DockerEngine>, address: &str, of: &str, id: &ContainerId) {
    let found = device.orders.find(&tenant(of), id).await.unwrap();
    is_bounded(address, &found.detail.engine_id);
    let image = found.view().image.clone();
    // What takes long is answered before: the same order again is the same order.
    let order = json!({"container": id, "force": true, "operation": random::operation_id().unwrap()});
    loop {
        let order = serde_json::from_value(order.clone()).unwrap();
        let reply = device.orders.delete(&tenant(of), order).unwrap().answer().await.unwrap();
        if reply.state != OperationState::Running {
            break;
        }
    }
    if image.starts_with("ecep-app/") {
        device.engine.remove_image(&image).await.unwrap();
    }
}

fn bundle(device: &Device<DockerEngine>, number: u32, dockerfile: &str, settings: Value) -> Value {
    let files = [
        ("Dockerfile", dockerfile.as_bytes()),
        ("file", b"1"),
        (".dockerignore", b"*.pem\n"),
        ("key.pem", b"secret"),
    ];
    let artifact = device.cloud.put(&archive(&files));
    version(number, json!({"kind": "source_bundle", "artifact": artifact}), settings)
}

/// A bundle is built by the engine, in stages and with names from variables; an update is taken where it is well, and taken back with
/// the last words where it is not.
#[tokio::test]
async fn a_bundle_is_built_updated_and_taken_back() {
    let Some((device, image, address, _alone)) = device().await else { return };
    let (name, tag) = image.split_once(':').unwrap();
    let first = format!(
        "ARG TAG={tag}\nFROM --platform=$TARGETPLATFORM {name}:$TAG AS build\nRUN echo built > /built\nFROM {image}\n\
         COPY --from=build /built /built\nCOPY . /\nCMD [\"sh\", \"-c\", \"trap 'exit 0' TERM; sleep 600 & wait\"]\n"
    );
    let more = json!({"name": "docker-bundle", "operation": "docker-bundle-1"});
    let settings = json!({"volumes": [{"volume": "docker-bundle", "target": "/data"}]});
    let reply = device.deploy("acme", bundle(&device, 1, &first, settings.clone()), more).await.unwrap();
    let view = reply.container.unwrap();
    assert_eq!(view.state, ContainerState::Running);
    let engine_id = device.found(&view.id).await.detail.engine_id;
    assert_eq!(
        docker(
            &address,
            &["exec", &engine_id, "sh", "-c", "cat /built; cat /file; ls /*.pem; echo kept > /data/x"]
        ),
        b"built\n1",
        "what .dockerignore leaves out is not in the image"
    );
    is_bounded(&address, &engine_id);

    let healthy = format!("{first}HEALTHCHECK --interval=1s CMD [\"sh\", \"-c\", \"cat /data/x\"]\n");
    let reply = device
        .update(&view.id, bundle(&device, 2, &healthy, settings.clone()), "docker-update-2")
        .await
        .unwrap();
    let updated = reply.container.unwrap();
    assert_eq!((&updated.id, &updated.name, updated.version), (&view.id, &view.name, Some(2)));
    let second = device.found(&view.id).await;
    assert_ne!(second.detail.engine_id, engine_id);

    let ending = format!("FROM {image}\nCMD [\"sh\", \"-c\", \"echo cannot go on; exit 3\"]\n");
    let error = device
        .update(&view.id, bundle(&device, 3, &ending, settings.clone()), "docker-update-3")
        .await
        .unwrap_err();
    assert!(error.message.contains("exit code 3") && error.message.contains("cannot go on"), "{error}");
    let sick = format!(
        "FROM {image}\nCMD [\"sleep\", \"600\"]\nHEALTHCHECK --interval=1s --retries=1 CMD [\"false\"]\n"
    );
    let error = device
        .update(&view.id, bundle(&device, 4, &sick, settings.clone()), "docker-update-4")
        .await
        .unwrap_err();
    assert!(error.message.contains("health check"), "{error}");
    let broken = format!("FROM {image}\nRUN echo some words; exit 9\n");
    let error =
        device.update(&view.id, bundle(&device, 5, &broken, settings), "docker-update-5").await.unwrap_err();
    assert!(error.message.contains("some words"), "{error}");
    let now = device.found(&view.id).await;
    let state = now.view().state;
    assert_eq!((now.detail.engine_id, state), (second.detail.engine_id, ContainerState::Running));
    assert!(device.engine.replaced().await.unwrap().is_empty());
    delete(&device, &address, "acme", &view.id).await;
}

/// What `docker save` writes is loaded under the application's own name, and moves no other one.
#[tokio::test]
async fn a_saved_image_and_files_over_a_base_run() {
    let Some((device, image, address, _alone)) = device().await else { return };
    docker(&address, &["tag", &image, "ecep/agent-saved:1"]);
    let saved = docker(&address, &["save", "ecep/agent-saved:1"]);
    docker(&address, &["rmi", "ecep/agent-saved:1"]);
    let artifact = device.cloud.put(&saved);
    let source = json!({"kind": "image_archive", "artifact": artifact});
    let more = json!({"name": "docker-saved", "operation": "docker-saved-1"});
    let asked = version(1, source, json!({"command": ["sleep", "600"]}));
    let reply = device.deploy("acme", asked, more).await.unwrap();
    let view = reply.container.unwrap();
    assert_eq!((view.state, view.image.starts_with("ecep-app/acme/app:1-")), (ContainerState::Running, true));
    assert!(device.engine.image("ecep/agent-saved:1").await.unwrap().is_none(), "its own name is not taken");
    delete(&device, &address, "acme", &view.id).await;

    let artifact = device.cloud.put(&archive(&[("main.sh", b"cat /app/installed; sleep 600")]));
    let source = json!({"kind": "files", "artifact": artifact, "base": image, "install": "echo \"it's there\" > installed"});
    let more = json!({"name": "docker-files", "operation": "docker-files-1"});
    let asked = version(2, source, json!({"command": ["sh", "main.sh"]}));
    let view = device.deploy("acme", asked, more).await.unwrap().container.unwrap();
    let engine_id = device.found(&view.id).await.detail.engine_id;
    assert_eq!(docker(&address, &["exec", &engine_id, "cat", "/app/installed"]), b"it's there\n");
    delete(&device, &address, "acme", &view.id).await;
}

/// The engine finds an image by the beginning of its id, too: neither that nor the whole id may lead to another tenant's.
#[tokio::test]
async fn an_id_leads_to_no_image_of_another_tenant() {
    let Some((device, image, address, _alone)) = device().await else { return };
    let theirs = bundle(
        &device,
        1,
        &format!("FROM {image}\nRUN echo secret > /secret\nCMD [\"sleep\", \"600\"]\n"),
        json!({}),
    );
    let more = json!({"name": "docker-theirs", "operation": "docker-theirs-1"});
    let view = device.deploy("globex", theirs, more).await.unwrap().container.unwrap();
    let id = device.engine.image(&view.image).await.unwrap().unwrap().id;
    let digits = id.strip_prefix("sha256:").unwrap();
    for (number, name) in (1..).zip([id.as_str(), &id[..20], digits, &digits[..13], &view.image]) {
        let create = json!({"name": "thief", "image": name, "operation": format!("docker-thief-{number}")});
        // Some look like names of a registry's, which is asked in vain.
        let error = loop {
            let create = serde_json::from_value(create.clone()).unwrap();
            match device.orders.create(&tenant("acme"), create).unwrap().answer().await {
                Ok(reply) if reply.state == OperationState::Running => {}
                ended => break ended.unwrap_err(),
            }
        };
        assert!(error.uri != ErrorKind::Engine, "{name}: {error}");
        for text in [format!("FROM {name}\n"), format!("FROM {image}\nCOPY --from={name} /secret /secret\n")]
        {
            let asked = bundle(&device, 1, &text, json!({}));
            let more = json!({"name": "thief", "operation": format!("docker-thief-{number}-{}", text.len())});
            device.deploy("acme", asked, more).await.expect_err(name);
        }
    }
    delete(&device, &address, "globex", &view.id).await;
}

/// What a program wrote to `/results` before it ended is in the cloud, and the container is gone.
#[tokio::test]
async fn a_run_is_brought_to_the_cloud_and_deleted() {
    let Some((device, image, _, _alone)) = device().await else { return };
    let settings = json!({
        "run_once": true,
        "command": ["sh", "-c", "echo at work; mkdir /results; echo 42 > /results/sum; exit 5"],
    });
    let asked = version(1, json!({"kind": "image", "image": image}), settings);
    let more = json!({"name": "docker-run", "operation": "docker-run-1"});
    let id = device.deploy("acme", asked, more).await.unwrap().container_id.unwrap();
    let is_over =
        |cloud: &crate::cloud::InMemory| cloud.state().ended.iter().any(|end| end.container.id == id);
    device
        .until(|containers| is_over(&device.cloud) && containers.iter().all(|other| other.view().id != id))
        .await;
    let state = device.cloud.state();
    let end = state.ended.iter().find(|end| end.container.id == id).unwrap();
    assert_eq!((end.container.exit_code, &end.lost), (Some(5), &None));
    let of = |file: &Option<ecep_proto::api::file::FileId>| {
        let file = file.clone().unwrap();
        state.stored.iter().find(|(known, _)| known.file == file).unwrap().1.clone()
    };
    assert!(String::from_utf8_lossy(&of(&end.log)).contains("Z at work"), "a time stands before each line");
    let results = of(&end.results);
    let names: Vec<String> = tar::Archive::new(results.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(names.iter().any(|name| name.ends_with("sum")), "{names:?}");
}

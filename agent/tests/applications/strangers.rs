//! A tenant must not reach another one's application by any name, nor harm the device by what it uploads.

use ecep_proto::api::error::ErrorKind;
use serde_json::{Value, json};

use crate::scene::{Device, archive, bundle, tenant, version};

/// The image of an application of globex, built on the device.
async fn theirs(device: &Device) -> String {
    let source = device.cloud.put(&archive(&[("Dockerfile", b"FROM alpine:3\n"), ("secret", b"theirs")]));
    let reply = device.deploy("globex", bundle(1, &source), json!({})).await.unwrap();
    reply.container.unwrap().image
}

/// Every way to name an image must lead nowhere: to create, pull, delete, deploy, build on it or copy out of it.
#[tokio::test]
async fn no_way_leads_to_anothers_image() {
    let device = Device::new();
    let theirs = theirs(&device).await;
    let acme = tenant("acme");
    let not_found = |error: &ecep_proto::api::error::ApiError| {
        assert_eq!(error.uri, ErrorKind::NotFound, "{error}");
    };
    for name in [theirs.clone(), format!("docker.io/{theirs}"), format!("index.docker.io/{theirs}")] {
        let create = serde_json::from_value(json!({"name": "web", "image": name})).unwrap();
        not_found(&device.orders.create(&acme, create).unwrap().answer().await.unwrap_err());
        let pull = serde_json::from_value(json!({"image": name})).unwrap();
        not_found(&device.orders.pull(&acme, pull).unwrap().answer().await.unwrap_err());
        let delete = serde_json::from_value(json!({"image": name})).unwrap();
        not_found(&device.orders.delete_image(&acme, delete).unwrap().answer().await.unwrap_err());
        let files = device.cloud.put(&archive(&[("x", b"1")]));
        let (head, tail) = name.split_at(name.len() - 5);
        let dockerfiles = [
            format!("FROM {name}\n"),
            format!("ARG A={head}\nARG B={tail}\nFROM $A${{B}}\n"),
            format!("FROM alpine:3\nCOPY --from={name} /secret /secret\n"),
            format!("FROM alpine:3 AS one\nFROM one\nCOPY \\\n --from={name} / /\n"),
        ];
        let mut sources: Vec<Value> = vec![
            json!({"kind": "image", "image": name}),
            json!({"kind": "files", "artifact": files, "base": name}),
        ];
        for text in &dockerfiles {
            let artifact = device.cloud.put(&archive(&[("Dockerfile", text.as_bytes())]));
            sources.push(json!({"kind": "source_bundle", "artifact": artifact}));
        }
        for (number, source) in (1..).zip(sources) {
            let more = json!({"operation": format!("deploy-{number}-{}", name.len())});
            let error = device.deploy("acme", version(number, source.clone(), json!({})), more).await;
            not_found(&error.expect_err(&source.to_string()));
        }
    }
    assert!(device.images().await.contains(&theirs), "it is still there");
}

/// A base image that somebody else wrote can name images by itself.
#[tokio::test]
async fn a_base_that_copies_by_itself_is_refused() {
    let device = Device::new();
    device.engine.set_on_build("trap:1", &["COPY --from=ecep-app/globex/app:1-0 / /"]);
    let source = device.cloud.put(&archive(&[("Dockerfile", b"FROM trap:1\n")]));
    let error = device.deploy("acme", bundle(1, &source), json!({})).await.unwrap_err();
    assert!(error.message.contains("ONBUILD"), "{error}");
}

/// A hostile archive must be refused here too: the control plane that judged it first may be another version.
#[tokio::test]
async fn hostile_archives_are_refused_on_the_device() {
    let device = Device::new();
    let mut link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    link.append_link(&mut header, "etc", "/etc").unwrap();
    for (number, bytes) in (1..).zip([link.into_inner().unwrap(), b"no archive".to_vec()]) {
        let artifact = device.cloud.put(&bytes);
        let source = json!({"kind": "files", "artifact": artifact, "base": "alpine:3"});
        let more = json!({"operation": format!("deploy-{number}")});
        let error = device.deploy("acme", version(number, source, json!({})), more).await.unwrap_err();
        assert!(error.uri == ErrorKind::InvalidArgument && error.message.contains("artifact"), "{error}");
    }
    assert_eq!(device.artifacts_left(), 0);
}

/// What a version asks for is judged as every container is, and before anything is fetched.
#[tokio::test]
async fn the_policy_holds_for_applications() {
    let device = Device::new();
    let artifact = device.cloud.put(&archive(&[("Dockerfile", b"FROM alpine:3\n")]));
    let source = json!({"kind": "source_bundle", "artifact": artifact});
    let asked = version(1, source, json!({"privileges": {"privileged": true}}));
    let error = device.deploy("acme", asked, json!({})).await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::Forbidden, "{error}");
    assert!(device.cloud.state().moved.is_empty());
}

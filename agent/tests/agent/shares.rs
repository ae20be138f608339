//! What a tenant that the device is shared with may begin: with the simulated engine, and with Docker.

use ecep_agent::engine::{Engine, docker::DockerEngine, sim::SimEngine};
use ecep_proto::api::{
    ContainerCheckpoint, ContainerCreate, ContainerDelete, ContainerList, ContainerStart, ContainerStop,
    ImagePull,
    error::ErrorKind,
    share::{GrantedTerms, Quota, Terms},
};
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    ENGINE,
    device::Scene,
    orders::{ask, complete},
    real_docker, within,
};

fn on(quota: Quota) -> GrantedTerms {
    GrantedTerms { terms: Terms { quota, allow: Vec::new() }, is_ending: false }
}

/// Orders that come all at once must not get more than is left, and one that fails gives its part back.
#[tokio::test]
async fn orders_at_once_stay_within_the_quota() {
    let scene = Scene::start(SimEngine::default(), &["acme", "globex"]).await;
    let quota = Quota { cpus: Some(1.0), memory_bytes: Some(100_000_000), ..Quota::default() };
    scene.cloud.share_on("globex", on(quota)).await;
    let orders = (0..8).map(|number| {
        let cloud = &scene.cloud;
        async move {
            let mut gus = cloud.operator("globex").await;
            let limits = json!({"cpus": 0.3, "memory_bytes": 10_000_000});
            let order = json!({"name": format!("c{number}"), "image": "app:1", "limits": limits});
            complete::<ContainerCreate>(&mut gus, order).await
        }
    });
    let answers = join_all(orders).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3, "{answers:?}");
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|error| error.is(ErrorKind::Limit)));

    let mut gus = scene.cloud.operator("globex").await;
    for _ in 0..3 {
        let order =
            json!({"name": "x", "image": "missing:1", "limits": {"cpus": 0.1, "memory_bytes": 70_000_000}});
        assert!(
            complete::<ContainerCreate>(&mut gus, order)
                .await
                .expect_err("no such image")
                .is(ErrorKind::NotFound)
        );
    }
    let order = json!({"name": "x", "image": "app:1", "limits": {"cpus": 0.1, "memory_bytes": 70_000_000}});
    complete::<ContainerCreate>(&mut gus, order).await.expect("what failed holds nothing");
    // The device's owner has no bounds but the device's.
    let mut ann = scene.cloud.operator("acme").await;
    complete::<ContainerCreate>(&mut ann, json!({"name": "own", "image": "app:1"})).await.expect("created");
    scene.end().await;
}

/// Over its disk quota a tenant begins nothing new and is told so; what it has goes on.
#[tokio::test]
async fn a_full_disk_quota_is_told_and_refuses_what_is_new() {
    let scene = Scene::start(SimEngine::default(), &["acme", "globex"]).await;
    scene.cloud.share_on("globex", on(Quota { disk_bytes: Some(1_000), ..Quota::default() })).await;
    scene.engine.set_disk_used(&"globex".parse().expect("a name"), 1_000);
    let mut gus = scene.cloud.operator("globex").await;
    let create = json!({"name": "web", "image": "app:1"});
    let refused = complete::<ContainerCreate>(&mut gus, create).await.expect_err("the disk quota is used up");
    assert!(
        refused.is(ErrorKind::Limit) && refused.message.contains("1000 of the 1000 bytes"),
        "{refused:?}"
    );
    let refused = complete::<ImagePull>(&mut gus, json!({"image": "app:2"})).await.expect_err("neither");
    assert!(refused.is(ErrorKind::Limit), "{refused:?}");
    let report = scene.cloud.report("the problem", |report| !report.shares.problems.is_empty()).await;
    assert_eq!(report.shares.problems[0].tenant.as_str(), "globex");
    assert!(report.problems.is_empty(), "nobody else's business");
    scene.end().await;
}

/// A share that ends lets its tenant stop and delete, and begin nothing; nothing is stopped for it.
#[tokio::test]
async fn a_share_that_ends_stops_nothing() {
    let scene = Scene::start(SimEngine::default(), &["globex"]).await;
    scene.cloud.share_on("globex", on(Quota::default())).await;
    let mut gus = scene.cloud.operator("globex").await;
    let made = complete::<ContainerCreate>(&mut gus, json!({"name": "web", "image": "app:1"}))
        .await
        .expect("created");
    let id = made.container_id.expect("an id");
    scene.cloud.share_on("globex", GrantedTerms { is_ending: true, ..on(Quota::default()) }).await;
    let mut gus = scene.cloud.operator("globex").await;
    let listed = ask::<ContainerList>(&mut gus, json!({})).await.expect("a list").containers;
    assert!(listed[0].started_at.is_some() && listed[0].exit_code.is_none(), "{listed:?}");
    let refused = complete::<ContainerCreate>(&mut gus, json!({"name": "more", "image": "app:1"})).await;
    assert!(refused.expect_err("nothing new").is(ErrorKind::Forbidden));
    complete::<ContainerStop>(&mut gus, json!({"container": id})).await.expect("stopped");
    let refused =
        complete::<ContainerStart>(&mut gus, json!({"container": id})).await.expect_err("nothing new");
    assert!(refused.is(ErrorKind::Forbidden), "{refused:?}");
    complete::<ContainerDelete>(&mut gus, json!({"container": id})).await.expect("deleted");
    assert!(scene.engine.list().await.expect("a list").is_empty());
    scene.end().await;
}

/// The same bounds on a real engine, which measures what the containers have written.
#[tokio::test]
async fn quotas_hold_on_a_real_engine() {
    let Some((address, image)) = real_docker::ready() else { return };
    let _alone = ENGINE.lock().await;
    let tenant = "quota-test";
    let scene = Scene::start(DockerEngine::new(&address).expect("an address"), &[tenant]).await;
    let quota =
        Quota { cpus: None, memory_bytes: Some(64 << 20), disk_bytes: Some(30_000_000), containers: Some(2) };
    scene.cloud.share_on(tenant, on(quota)).await;
    let mut gus = scene.cloud.operator(tenant).await;
    let order = |name: &str, memory: u64, script: &str| {
        json!({"name": name, "image": image, "limits": {"memory_bytes": memory}, "command": ["sh", "-c", script],
               "volumes": [{"volume": "data", "target": "/data"}]})
    };
    let refused = complete::<ContainerCreate>(&mut gus, json!({"name": "none", "image": image})).await;
    assert!(refused.expect_err("a limit is needed").message.contains("set limits.memory_bytes"));
    // Half into its own layer, half into a volume: neither alone is too much.
    let writes =
        "head -c 20000000 /dev/urandom > /big; head -c 20000000 /dev/urandom > /data/big; sync; sleep 600";
    let made = complete::<ContainerCreate>(&mut gus, order("big", 48 << 20, writes)).await.expect("created");
    let refused = complete::<ContainerCreate>(&mut gus, order("second", 32 << 20, "sleep 600")).await;
    assert!(refused.expect_err("16 MiB are left").message.contains("16777216 of 67108864 bytes of memory"));
    let saved = json!({"container": made.container_id, "name": "cp"});
    let refused = ask::<ContainerCheckpoint>(&mut gus, saved).await.expect_err("the terms do not name it");
    assert!(refused.is(ErrorKind::Forbidden), "{refused:?}");

    // What it writes is measured once the last measurement is old.
    let over = async {
        loop {
            match complete::<ContainerCreate>(&mut gus, order("second", 16 << 20, "sleep 600")).await {
                Err(refused) => return refused,
                Ok(made) => {
                    let again = json!({"container": made.container_id, "force": true});
                    complete::<ContainerDelete>(&mut gus, again).await.expect("deleted");
                }
            }
        }
    };
    let refused = within("the disk quota to be used up", over).await;
    assert!(
        refused.is(ErrorKind::Limit) && refused.message.contains("of the 30000000 bytes of disk"),
        "{refused:?}"
    );
    let report = scene.cloud.report("the problem", |report| !report.shares.problems.is_empty()).await;
    assert!(report.shares.problems[0].text.contains("of the 30 MB"), "{report:?}");
    let force = json!({"container": made.container_id, "force": true});
    complete::<ContainerDelete>(&mut gus, force).await.expect("deleted");
    scene.end().await;
}

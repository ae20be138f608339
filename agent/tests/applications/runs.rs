//! What ran once: nobody may lose what it left, and nobody may find it twice.

use ecep_agent::engine::{Engine, EngineContainer};
use ecep_proto::api::{container::ContainerState, error::ErrorKind, file::StoredKind};
use serde_json::json;

use crate::scene::{Device, of_registry, tenant};

async fn begun(device: &Device) -> EngineContainer {
    let settings = json!({"run_once": true});
    let reply = device.deploy("acme", of_registry(1, "job:1", settings), json!({})).await.unwrap();
    device.found(&reply.container_id.unwrap()).await
}

/// The log, the results and the exit code are in the cloud, and then the container is gone.
#[tokio::test(start_paused = true)]
async fn a_run_leaves_its_log_and_results_and_is_deleted() {
    let device = Device::new();
    let job = begun(&device).await;
    assert!(job.view().run_once);
    let engine_id = &job.detail.engine_id;
    device.engine.put_file(engine_id, "/results/sum.txt", "42".into()).unwrap();
    device.engine.put_file(engine_id, "/etc/passwd", "no".into()).unwrap();
    device.engine.exit(engine_id, 4).unwrap();
    device.until(<[_]>::is_empty).await;
    let state = device.cloud.state();
    let [end] = state.ended.as_slice() else { panic!("{:?}", state.ended) };
    assert_eq!((end.container.exit_code, end.lost.clone()), (Some(4), None));
    let id = job.view().id.as_str();
    assert_eq!(end.log.as_ref().unwrap().as_str(), format!("{id}-log"));
    assert_eq!(end.results.as_ref().unwrap().as_str(), format!("{id}-results"));
    let [(log, text), (results, archive)] = state.stored.as_slice() else { panic!("not two files") };
    assert_eq!(
        (log.kind, results.kind, log.keep, results.keep),
        (StoredKind::Log, StoredKind::Results, true, true)
    );
    assert!(String::from_utf8_lossy(text).contains("job:1 runs"));
    let names: Vec<String> = tar::Archive::new(archive.as_slice())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert!(
        names.iter().any(|name| name.ends_with("sum.txt"))
            && !names.iter().any(|name| name.contains("passwd")),
        "{names:?}"
    );
}

/// A cloud that is away for long, and an agent that is killed meanwhile, lose and double nothing; the container waits.
#[tokio::test(start_paused = true)]
async fn a_run_waits_for_the_cloud_and_outlives_the_agent() {
    let device = Device::new();
    let job = begun(&device).await;
    device.cloud.state().is_away = true;
    device.engine.exit(&job.detail.engine_id, 0).unwrap();
    device.cloud.asked(3).await;
    assert!(device.cloud.state().ended.is_empty());
    // It ran once: a second run would be mixed up with the first.
    let order = serde_json::from_value(json!({"container": job.view().id})).unwrap();
    let refused = device.orders.start(&tenant("acme"), order).unwrap().answer().await.unwrap_err();
    assert_eq!(refused.uri, ErrorKind::Conflict);
    assert_eq!(device.found(&job.view().id).await.view().state, ContainerState::Exited);
    let next = device.started_again();
    next.cloud.asked(1).await;
    next.cloud.state().is_away = false;
    next.until(|containers| containers.is_empty() && !next.cloud.state().ended.is_empty()).await;
    {
        let state = next.cloud.state();
        assert_eq!((state.ended.len(), state.stored.len()), (1, 1));
        // It wrote no results.
        assert_eq!((state.ended[0].results.clone(), state.ended[0].lost.clone()), (None, None));
    }
    assert!(next.engine.list().await.unwrap().is_empty());
}

/// An order that is repeated because its answer was lost must not run again what has run, also where the agent was started again.
#[tokio::test(start_paused = true)]
async fn the_same_order_does_not_run_again() {
    let device = Device::new();
    let job = begun(&device).await;
    device.engine.exit(&job.detail.engine_id, 0).unwrap();
    device.until(<[_]>::is_empty).await;
    let next = device.started_again();
    next.until(<[_]>::is_empty).await;
    let again = || of_registry(1, "job:1", json!({"run_once": true}));
    let reply = next.deploy("acme", again(), json!({})).await.unwrap();
    assert_eq!((reply.container_id.as_ref(), reply.container), (Some(&job.view().id), None));
    // Neither another order of that name nor another tenant's is the same.
    let next = next.started_again();
    let other = next.deploy("acme", again(), json!({"name": "other"})).await.unwrap_err();
    assert_eq!(other.uri, ErrorKind::Conflict, "{other}");
    assert!(next.engine.list().await.unwrap().is_empty());
    assert_eq!(next.cloud.state().ended.len(), 1);
    assert!(next.deploy("globex", again(), json!({})).await.unwrap().container.is_some());
    let ordered = next.deploy("acme", again(), json!({"operation": "deploy-2"})).await.unwrap();
    assert!(ordered.container.is_some());

    // Nor what somebody has deleted.
    let id = ordered.container_id.unwrap();
    let order = serde_json::from_value(json!({"container": id, "force": true})).unwrap();
    next.orders.delete(&tenant("acme"), order).unwrap().answer().await.unwrap();
    let last = next.started_again();
    let reply = last.deploy("acme", again(), json!({"operation": "deploy-2"})).await.unwrap();
    assert_eq!((reply.container_id, reply.container), (Some(id), None));
}

/// Whoever runs once is not started again by the engine.
#[tokio::test]
async fn a_run_has_no_restart_policy() {
    let device = Device::new();
    let settings = json!({"run_once": true, "restart": "always"});
    let error = device.deploy("acme", of_registry(1, "job:1", settings), json!({})).await.unwrap_err();
    assert_eq!(error.uri, ErrorKind::InvalidArgument, "{error}");
}

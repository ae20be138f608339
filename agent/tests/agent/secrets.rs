//! The agent's program itself, logging all that it can: no secret must come out of it, by its log or by its answers.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

use ecep_proto::api::{
    ContainerCreate, ContainerDelete, ContainerEvents, ContainerInspect, ContainerList, ContainerRestart,
    OperationEvents, Topic,
};
use serde_json::json;

use crate::{
    cloud::TICKET_MARK,
    device::enrolled,
    orders::{ask, complete, device},
};

const VALUE: &str = "marked-value-of-a-variable";

/// A running program, killed when the test ends.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The key, the tickets and the values of variables must be in no line of the log, however much is logged, and values in no answer, event
/// or error.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_comes_out_of_an_agent() {
    let (cloud, data, _) = enrolled("unix:///nowhere", &["acme"]).await;
    let mut program = Command::new(env!("CARGO_BIN_EXE_ecep-agent"));
    program.args(["run", "--engine", "sim", "--channel-listen", "127.0.0.1:0", "--data"]).arg(data.path());
    // A directive for one module must not bring back what is filtered for its crate.
    program
        .env("RUST_LOG", "trace,wamp_async::core=trace,tungstenite::protocol=trace")
        .stderr(Stdio::piped());
    let mut program = Program(program.spawn().unwrap());
    let mut stderr = program.0.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).map(|_| log)
    });

    let mut ann = cloud.operator("acme").await;
    let lives = ann.subscribe(&ContainerEvents::on(&device())).await;
    ann.subscribe(&OperationEvents::on(&device())).await;
    let order = json!({ "name": "web", "image": "app:1", "env": { "PASSWORD": VALUE } });
    let made = complete::<ContainerCreate>(&mut ann, order.clone()).await.unwrap();
    let id = json!({ "container": made.container_id.unwrap() });
    ann.event::<ContainerEvents>(lives, |_| true).await;
    ask::<ContainerInspect>(&mut ann, id.clone()).await.unwrap();
    ask::<ContainerList>(&mut ann, json!({})).await.unwrap();
    complete::<ContainerRestart>(&mut ann, id.clone()).await.unwrap();
    // Its name is taken; it is not allowed; it is malformed.
    let mut refused = vec![order.clone()];
    for (key, value) in [
        ("privileges", json!({ "privileged": true })),
        ("env", json!({ "PASSWORD": VALUE, "a=b": VALUE })),
        ("env", json!({ "PASSWORD": [VALUE] })),
        ("env", json!(VALUE)),
        ("limits", json!({ "memory_bytes": 1 })),
    ] {
        let mut order = order.clone();
        order["name"] = json!("other");
        order[key] = value;
        refused.push(order);
    }
    for order in refused {
        complete::<ContainerCreate>(&mut ann, order).await.unwrap_err();
    }
    complete::<ContainerDelete>(&mut ann, json!({ "container": id["container"], "force": true }))
        .await
        .unwrap();
    assert!(!ann.heard.contains(VALUE), "a value came out: {}", ann.heard);

    program.0.kill().unwrap();
    let log = log.join().unwrap().unwrap();
    assert!(log.contains("joined"), "there is a log: {log}");
    let key = std::fs::read_to_string(data.path().join("device.key")).unwrap();
    for secret in [VALUE, TICKET_MARK, key.trim()] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
    cloud.end().await;
}

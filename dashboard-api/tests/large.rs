//! Large logs and files from a real container on a Docker engine to a download, with agent, control plane and reader in this process:
//! its memory must not grow with them. A program of its own, since the memory that is measured is the whole program's, and other tests
//! would add theirs. Runs where ECEP_TEST_DOCKER names the engine's socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../../agent/tests/real_docker/mod.rs"]
mod real_docker;
mod support;

use std::{fs, process::Command, time::Instant};

use ecep_agent::engine::docker::DockerEngine;
use ecep_proto::api::{FileFetch, LogFetch, label};
use serde_json::{Value, json};

use support::{
    Server, client,
    device::{RealDevice, until},
    platform::{join, joined, ticket},
    router::TestRouter,
    wamp::PATIENCE,
};

/// What buffers at every hop may take together, and no log of any size more.
const MEMORY: u64 = 160 << 20;

/// The largest memory that this process has had, in bytes (proc_pid_status(5), VmHWM), since it was last reset.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

fn reset_peak() {
    // proc_pid_clear_refs(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// A log and a file of so many mebibytes come whole, and the memory stays flat at every hop.
async fn large(mebibytes: u64) {
    let Some((address, image)) = real_docker::ready() else { return };
    let router = TestRouter::start().await;
    let server = Server::start_with_room(&router.url(), 3 * (mebibytes << 20)).await;
    let maria = server.set_up().await;
    joined(&server).await;
    let device = RealDevice::start_on(&server, &maria, DockerEngine::new(&address).unwrap()).await;
    // Lines of 127 letters and their end: 8,192 of them are a mebibyte. What they say cannot be made much smaller.
    let script = format!(
        "head -c {0} /dev/urandom | base64 -w 127 | head -c {1} | tee /file; echo; echo the end; exec sleep 6000",
        (mebibytes << 20) * 3 / 4 + 128,
        mebibytes << 20
    );
    // The agent's own containers keep 30 MB of output at most. This one was brought here by somebody who had other ideas.
    let container = format!("c-large-{}", std::process::id());
    let labels = [
        (label::TENANT, "acme"),
        (label::CONTAINER, &container),
        (label::NAME, "large"),
        (label::APPLICATION, "large"),
    ];
    let mut run = Command::new("docker");
    run.args([
        "-H",
        &address,
        "run",
        "--detach",
        "--network",
        "none",
        "--name",
        &format!("ecep-{container}"),
    ]);
    run.args(["--log-driver", "json-file", "--log-opt", "max-size=100g"]);
    for (name, value) in labels {
        run.args(["--label", &format!("{name}={value}")]);
    }
    let made = run.args([&image, "sh", "-c", &script]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let log = format!("/api/tenants/acme/devices/{}/containers/{container}/log", device.id);
    // It has written all once it says so.
    let started = Instant::now();
    loop {
        let last = maria.get(&format!("{log}?tail=1")).await;
        if last.text.contains("the end") {
            break;
        }
        assert!(started.elapsed() < PATIENCE * 10, "{last:?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let before = peak();
    reset_peak();
    let fetch = async |order: Value, is_log: bool| {
        let id = order["operation"].as_str().unwrap().to_owned();
        let mut session = join(&router, &ticket(&maria, "acme").await).await.unwrap();
        let answer = match is_log {
            true => device.ask::<LogFetch>(&mut session, order).await,
            false => device.ask::<FileFetch>(&mut session, order).await,
        };
        answer.unwrap();
        let started = Instant::now();
        let stored = loop {
            let page = maria.get("/api/tenants/acme/files").await.json();
            let found = page["items"].as_array().unwrap().iter().find(|item| item["file"] == id).cloned();
            if let Some(stored) = found {
                break stored;
            }
            assert!(started.elapsed() < PATIENCE * 10, "{id} is not stored");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        };
        // Read as a browser saves it: part by part.
        let url = format!("{}/api/tenants/acme/files/{id}/content", server.base);
        let request = client().get(url).header("cookie", maria.cookie.as_ref().unwrap());
        let mut response = request.send().await.unwrap();
        let (mut bytes, mut lines) = (0, 0_u64);
        while let Some(part) = response.chunk().await.unwrap() {
            bytes += part.len() as u64;
            lines += part.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        assert_eq!(stored["bytes"], bytes);
        (bytes, lines, started.elapsed())
    };
    let file = json!({ "container": container, "path": "/file", "operation": "file" });
    let (bytes, lines, took) = fetch(file, false).await;
    assert_eq!((bytes, lines), (mebibytes << 20, mebibytes << 13));
    eprintln!("file of {mebibytes} MiB: {took:?}");
    let order = json!({ "container": container, "operation": "log" });
    let (bytes, lines, took) = fetch(order, true).await;
    assert!(bytes > mebibytes << 20, "{bytes}");
    assert_eq!(lines, (mebibytes << 13) + 2);
    eprintln!("log of {mebibytes} MiB: {took:?}");
    let mut response = until("the saved log", async || {
        let request = client().get(format!("{}{log}?download=true", server.base));
        Some(request.header("cookie", maria.cookie.as_ref().unwrap()).send().await.unwrap())
    })
    .await;
    let mut saved = 0_u64;
    while let Some(part) = response.chunk().await.unwrap() {
        saved += part.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    assert_eq!(saved, lines, "what is read along is whole, too");
    eprintln!("memory: {} MiB before, {} MiB at most", before >> 20, peak() >> 20);
    assert!(peak() < MEMORY, "{} MiB", peak() >> 20);
    let name = format!("ecep-{container}");
    let removed = Command::new("docker").args(["-H", &address, "rm", "--force", &name]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
}

/// As much as is quickly made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_some_mebibytes_takes_no_more_memory_than_a_small_one() {
    large(16).await;
}

/// Two gigabytes, in some minutes and with seven of them free on the disk:
/// `ECEP_TEST_DOCKER=/path/to/docker.sock cargo test --release -p ecep-dashboard-api --test large -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and gigabytes"]
async fn a_log_of_two_gigabytes_takes_no_more_memory_than_a_small_one() {
    large(2_048).await;
}

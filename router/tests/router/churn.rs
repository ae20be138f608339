//! Sessions that come and go: nothing of them is left.

use std::time::Duration;

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_router::{Config, Limits, TransportKind};
use tokio::task::JoinSet;

use crate::client::{Client, within};
use crate::server::{REALM, Server};

/// So many clients come at once.
const AT_ONCE: usize = 50;

/// Resident memory of this process, in KiB: router and clients together.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Joins, subscribes, registers, calls, and goes in one of three ways.
async fn short_session(address: std::net::SocketAddr, kind: TransportKind, number: usize) {
    let mut client = Client::connect(address, kind, Serializer::Json).await;
    client.join(REALM).await;
    client.subscribe(&format!("com.topic.{number}")).await;
    client.register(&format!("com.procedure.{number}")).await;
    client.publish("com.nobody", Payload::of(number as u64)).await;
    match number % 3 {
        0 => {
            client
                .send(Goodbye { details: Default::default(), reason: "wamp.close.close_realm".into() })
                .await;
            within("GOODBYE", async {
                while !matches!(client.try_receive().await, Some(Message::Goodbye(_)) | None) {}
            })
            .await;
        }
        1 => client.send_bytes(b"no message").await,
        _ => {}
    }
}

async fn sessions(server: &Server, count: usize) {
    let mut running = JoinSet::new();
    for number in 0..count {
        let kind = if number % 2 == 0 { TransportKind::WebSocket } else { TransportKind::RawSocket };
        running.spawn(short_session(server.address(kind), kind, number));
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(session) = running.join_next().await {
        session.unwrap();
    }
}

async fn memory_stays_flat(count: usize) {
    let server = Server::open().await;
    let mut observer = server.join().await;
    // What is allocated once, allocators' reserves included.
    sessions(&server, count / 4).await;
    observer.wait_for_sessions(1).await;
    let before = resident();
    sessions(&server, count).await;
    observer.wait_for_sessions(1).await;
    let grown = resident().saturating_sub(before);
    // A tenth of what an idle session takes would show.
    assert!(grown < 4096 + count as u64, "{grown} KiB are left of {count} sessions; {before} before");
    server.stop().await;
}

/// Set where the test runs in a process of its own: the memory that is measured is the whole process's, and other tests would add theirs.
const ALONE: &str = "ECEP_TEST_ALONE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_short_sessions() {
    if std::env::var_os(ALONE).is_some() {
        return memory_stays_flat(1_000).await;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "churn::a_thousand_short_sessions", "--nocapture"]).env(ALONE, "1");
    let output = alone.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_hundred_thousand_short_sessions() {
    memory_stays_flat(100_000).await;
}

/// Everybody is cut off at once and comes back at once, several times: the router has exactly those who are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_storm() {
    const CLIENTS: usize = 300;
    let server = Server::open().await;
    let mut observer = server.join().await;
    for _ in 0..3 {
        let mut joining = JoinSet::new();
        for number in 0..CLIENTS {
            let kind = if number % 2 == 0 { TransportKind::WebSocket } else { TransportKind::RawSocket };
            let address = server.address(kind);
            joining.spawn(async move {
                let mut client = Client::connect(address, kind, Serializer::MsgPack).await;
                client.join(REALM).await;
                // The same one each time: who comes back must not find it taken.
                client.register(&format!("com.procedure.{number}")).await;
                client
            });
        }
        let clients = joining.join_all().await;
        assert_eq!(observer.session_count().await, CLIENTS as u64 + 1);
        drop(clients);
        observer.wait_for_sessions(1).await;
    }
    server.stop().await;
}

/// A client that has vanished without a word is gone within two pings, though the operating system still takes what is
/// sent to it.
#[tokio::test]
async fn a_half_open_connection_with_traffic() {
    let server = Server::open().await;
    let mut publisher = server.join().await;
    // Whoever comes from now on is pinged often.
    let limits = Limits { ping_interval_ms: 1_000, ..Limits::default() };
    server.reloader.reload(Config { limits, ..server.config.clone() }).await.unwrap();
    for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
        let mut vanished = server.connect(kind, Serializer::MsgPack).await;
        vanished.join(REALM).await;
        vanished.subscribe("com.topic").await;
        within("the end of the session that does not answer", async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while publisher.session_count().await > 1 {
                publisher.publish("com.topic", Payload::of("tick")).await;
                pace.tick().await;
            }
        })
        .await;
        drop(vanished);
    }
    server.stop().await;
}

//! What operators see of a running router.

use std::net::SocketAddr;

use ecep_proto::codec::Serializer;
use ecep_proto::message::{Message, Publish};
use ecep_proto::payload::Payload;
use ecep_router::{Config, HttpConfig, TransportKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::within;
use crate::server::{REALM, Server};

pub async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn start() -> (Server, SocketAddr) {
    let http = Some(HttpConfig { address: SocketAddr::from(([127, 0, 0, 1], 0)) });
    let server = Server::start(Config { http, ..Config::default() }).await;
    let address = server.http.unwrap();
    (server, address)
}

/// The numbers are of what happened, by type and realm; a tenant-sized number of realms must not become as many series.
#[tokio::test]
async fn metrics() {
    let (server, address) = start().await;
    let mut subscriber = server.join().await;
    subscriber.subscribe("com.topic").await;
    let mut callee = server.join().await;
    callee.register("com.slow").await;
    callee.publish("com.topic", Payload::of("hello")).await;
    subscriber.event().await;
    let request = callee.request();
    let options = crate::client::dict(&[("retain", true.into()), ("acknowledge", true.into())]);
    callee.send(Publish { request, options, topic: "com.kept".into(), payload: Payload::of("hello") }).await;
    assert!(matches!(callee.receive().await, Message::Published(_)));
    subscriber.begin_call("com.slow", Payload::default()).await;
    callee.invocation().await;
    let mut wrong = server.connect(TransportKind::RawSocket, Serializer::Json).await;
    wrong.join(REALM).await;
    wrong.send_bytes(b"no message").await;
    wrong.aborted().await;
    let mut refused = server.connect(TransportKind::WebSocket, Serializer::Json).await;
    refused
        .hello("no.such.realm", [crate::client::roles()].map(|(key, value)| (key.to_owned(), value)).into())
        .await;
    refused.aborted().await;
    subscriber.wait_for_sessions(2).await;

    let (head, text) = get(address, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "ecep_router_sessions{realm=\"realm1\"} 2",
        "ecep_router_pending_calls{realm=\"realm1\"} 1",
        "ecep_router_retained_events{realm=\"realm1\"} 1",
        "ecep_router_received_total{type=\"PUBLISH\"} 2",
        "ecep_router_received_total{type=\"REGISTER\"} 1",
        "ecep_router_sent_total{type=\"EVENT\"} 1",
        "ecep_router_sent_total{type=\"INVOCATION\"} 1",
        "ecep_router_sent_total{type=\"WELCOME\"} 3",
        "ecep_router_expelled_total{reason=\"violation\"} 1",
        "ecep_router_expelled_total{reason=\"slow_reader\"} 0",
        "ecep_router_refused_total 1",
        "ecep_router_too_large_events_total 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    let number = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
        line.trim().parse().unwrap()
    };
    assert!(number("ecep_router_received_bytes_total ") > 50.0);
    assert!(number("ecep_router_sent_bytes_total ") > 50.0);
    let kept = number("ecep_router_retained_bytes{realm=\"realm1\"} ");
    assert!((10.0..1000.0).contains(&kept), "{kept}");
    assert!(number("ecep_router_connections ") >= 2.0);
    assert!(number("ecep_router_queue_bytes ") >= 0.0);
    server.stop().await;
}

/// Whoever restarts routers asks this; nothing else is there.
#[tokio::test]
async fn health() {
    let (server, address) = start().await;
    let _client = server.join().await;
    let (head, body) = get(address, "/healthz").await;
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head}\n{body}");
    assert!(get(address, "/").await.0.starts_with("HTTP/1.1 404"));
    server.stop().await;
}

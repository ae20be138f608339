//! Limits as configured: who runs into one is told the key by which it can be changed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router::{Config, HttpConfig, Limits, TransportKind};

use crate::client::Client;
use crate::server::{REALM, Server};
use crate::watched;

async fn refused(client: &mut Client, key: &str) {
    match client.receive().await {
        Message::Error(error) => {
            assert_eq!(error.error, "wamp.error.limit_exceeded");
            let text = error.payload.args()[0].as_str().unwrap();
            assert!(text.contains(key), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// What one session may have is what the configuration says, and the session goes on when it wants more.
#[tokio::test]
async fn of_a_session() {
    let limits =
        Limits { max_subscriptions: 1, max_registrations: 2, max_pending_calls: 3, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let mut client = server.join().await;
    client.subscribe("com.topic").await;
    let request = client.request();
    client.send(Subscribe { request, options: Dict::new(), topic: "com.more".into() }).await;
    refused(&mut client, "limits.max_subscriptions").await;
    client.register("com.first").await;
    client.register("com.second").await;
    let request = client.request();
    client.send(Register { request, options: Dict::new(), procedure: "com.more".into() }).await;
    refused(&mut client, "limits.max_registrations").await;
    let mut caller = server.join().await;
    for _ in 0..4 {
        let (options, payload) = (Dict::new(), Payload::default());
        let request = caller.request();
        caller.send(Call { request, options, procedure: "com.first".into(), payload }).await;
    }
    refused(&mut caller, "limits.max_pending_calls").await;
    server.stop().await;
}

/// Who sends faster than it may is slowed: every message is answered, and no sooner than the rate allows.
#[tokio::test]
async fn too_fast_is_slowed_and_not_refused() {
    let limits = Limits { max_messages_per_second: 100, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let mut client = server.join().await;
    let start = Instant::now();
    for _ in 0..150 {
        let request = client.request();
        client.send(Subscribe { request, options: Dict::new(), topic: "com.topic".into() }).await;
    }
    for _ in 0..150 {
        assert!(matches!(client.receive().await, Message::Subscribed(_)));
    }
    client.subscribe("com.topic").await;
    // Not a measurement: whatever the machine does, the last one is not read before half a second has passed.
    assert!(start.elapsed() >= Duration::from_millis(450), "{:?}", start.elapsed());
    server.stop().await;
}

/// A message that is too large names the key, in either transport.
#[tokio::test]
async fn too_large() {
    let limits = Limits { max_message_bytes: 1024, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
        let mut client = server.connect(kind, Serializer::Json).await;
        client.join(REALM).await;
        let request = client.request();
        client.send(Subscribe { request, options: Dict::new(), topic: "x".repeat(2000) }).await;
        let (uri, text) = client.aborted().await;
        assert_eq!(uri, "wamp.error.protocol_violation");
        assert!(text.contains("limits.max_message_bytes"), "{text}");
    }
    server.stop().await;
}

/// A control character takes one byte in MessagePack and six in JSON. What has grown beyond what its receiver takes must
/// not end the receiver, who did nothing wrong: it misses the event, which is counted; a call gets an ERROR.
#[tokio::test]
async fn grown_on_the_way() {
    let limits = Limits { max_message_bytes: 64 << 10, max_queue_bytes: 128 << 10, ..Limits::default() };
    let http = Some(HttpConfig { address: SocketAddr::from(([127, 0, 0, 1], 0)) });
    let server = Server::start(Config { limits, http, ..Config::default() }).await;
    let large = || Payload::of("\u{1}".repeat(30 << 10));
    let kinds = [TransportKind::WebSocket, TransportKind::RawSocket];
    for (number, kind) in kinds.into_iter().enumerate() {
        let (topic, procedure) = (format!("com.topic.{number}"), format!("com.procedure.{number}"));
        let mut json = server.connect(kind, Serializer::Json).await;
        let mut msgpack = server.connect(kind, Serializer::MsgPack).await;
        for client in [&mut json, &mut msgpack] {
            client.join(REALM).await;
            client.subscribe(&topic).await;
        }
        let mut publisher = server.connect(kind, Serializer::MsgPack).await;
        publisher.join(REALM).await;
        for _ in 0..3 {
            publisher.publish(&topic, large()).await;
        }
        publisher.publish(&topic, Payload::of("small")).await;
        for _ in 0..3 {
            assert_eq!(msgpack.event().await.payload, large(), "others get it");
        }
        assert_eq!(json.event().await.payload, Payload::of("small"));
        let text = watched::get(server.http.unwrap(), "/metrics").await.1;
        let counted = format!("ecep_router_too_large_events_total {}", 3 * (number + 1));
        assert!(text.lines().any(|line| line == counted), "{counted} is not in\n{text}");

        let refused = |message: Message| {
            let Message::Error(error) = message else { panic!("{message:?} instead of ERROR") };
            assert_eq!(error.error, "wamp.error.payload_size_exceeded");
            assert!(error.payload.args()[0].as_str().unwrap().contains("larger than"), "{error:?}");
        };
        json.register(&procedure).await;
        refused(publisher.call(&procedure, large()).await);
        publisher.register(&format!("{procedure}.msgpack")).await;
        for fails in [false, true] {
            json.begin_call(&format!("{procedure}.msgpack"), Payload::default()).await;
            let request = publisher.invocation().await.request;
            let (details, error, payload) = (Dict::new(), "com.failed".to_owned(), large());
            if fails {
                let request_type = Invocation::CODE;
                publisher.send(Error { request_type, request, details, error, payload }).await;
            } else {
                publisher.send(Yield { request, options: details, payload }).await;
            }
            refused(json.receive().await);
        }
    }
    server.stop().await;
}

//! Limits as configured: who runs into one is told the key by which it can be changed.

use std::time::{Duration, Instant};

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router::{Config, Limits, TransportKind};

use crate::client::Client;
use crate::server::{REALM, Server};

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

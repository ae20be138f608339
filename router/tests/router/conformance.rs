//! One list of cases, over each transport in each serializer.

use std::io::ErrorKind;
use std::time::Duration;

use ecep_proto::api::realm::{CONTROL, TENANT_PREFIX};
use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::{Config, Limits, TransportKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, dict, reason, roles, within};
use crate::server::{REALM, Server};

/// How a case's client connects.
#[derive(Clone, Copy)]
struct Way(Socket, Serializer);

#[derive(Clone, Copy)]
enum Socket {
    Tcp(TransportKind),
    /// WebSocket, in batches.
    Batched,
    /// RawSocket on a Unix socket.
    Unix,
}

impl Way {
    async fn connect(self, server: &Server) -> Client {
        match self.0 {
            Socket::Tcp(kind) => server.connect(kind, self.1).await,
            Socket::Batched => Client::connect_batched(server.websocket, self.1).await,
            Socket::Unix => Client::connect_unix(&server.unix, self.1).await,
        }
    }

    async fn join(self, server: &Server) -> Client {
        let mut client = self.connect(server).await;
        client.join(REALM).await;
        client
    }
}

macro_rules! cases {
    ($($(#[$doc:meta])* $case:ident)*) => {
        cases!(@way websocket_json, Socket::Tcp(TransportKind::WebSocket), Serializer::Json, $($(#[$doc])* $case)*);
        cases!(@way batched_json, Socket::Batched, Serializer::Json, $($(#[$doc])* $case)*);
        cases!(@way rawsocket_json, Socket::Tcp(TransportKind::RawSocket), Serializer::Json, $($(#[$doc])* $case)*);
        cases!(@way unix_json, Socket::Unix, Serializer::Json, $($(#[$doc])* $case)*);
        cases!(@way websocket_msgpack, Socket::Tcp(TransportKind::WebSocket), Serializer::MsgPack, $($(#[$doc])* $case)*);
        cases!(@way batched_msgpack, Socket::Batched, Serializer::MsgPack, $($(#[$doc])* $case)*);
        cases!(@way rawsocket_msgpack, Socket::Tcp(TransportKind::RawSocket), Serializer::MsgPack, $($(#[$doc])* $case)*);
        cases!(@way unix_msgpack, Socket::Unix, Serializer::MsgPack, $($(#[$doc])* $case)*);
        cases!(@way websocket_cbor, Socket::Tcp(TransportKind::WebSocket), Serializer::Cbor, $($(#[$doc])* $case)*);
        cases!(@way batched_cbor, Socket::Batched, Serializer::Cbor, $($(#[$doc])* $case)*);
        cases!(@way rawsocket_cbor, Socket::Tcp(TransportKind::RawSocket), Serializer::Cbor, $($(#[$doc])* $case)*);
        cases!(@way unix_cbor, Socket::Unix, Serializer::Cbor, $($(#[$doc])* $case)*);
    };
    (@way $way:ident, $kind:expr, $serializer:expr, $($(#[$doc:meta])* $case:ident)*) => {
        mod $way {
            use super::*;
            $(
                $(#[$doc])*
                #[tokio::test]
                async fn $case() {
                    super::$case(Way($kind, $serializer)).await;
                }
            )*
        }
    };
}

cases! {
    /// A client joins, is told who it is, and leaves in peace.
    joins_and_leaves
    /// Calls and results between clients of every kind keep their arguments, bytes included.
    calls
    /// Events between clients of every kind keep their arguments, bytes included.
    publishes
    /// An error keeps its URI and arguments.
    errors
    /// Whoever speaks out of turn is told so, and is out.
    speaks_out_of_turn
    /// What is no message ends the session, with the reason.
    malformed
    /// A message above the limit ends the session, with the reason.
    too_large
    /// A realm that is not there is refused by name.
    unknown_realm
    /// The client can see that the router is alive.
    pings
    /// A client that is silent when pinged is gone within two intervals, and what it was called for is answered.
    dead_clients
    /// A client that never says HELLO does not stay.
    silent_clients
    /// When the router shuts down, its clients are told.
    shutdown
}

async fn joins_and_leaves(way: Way) {
    let server = Server::open().await;
    let mut client = way.connect(&server).await;
    let welcome = client.join(REALM).await;
    assert_eq!(welcome.details["authid"], "anonymous".into());
    assert_eq!(welcome.details["authmethod"], "anonymous".into());
    client.send(Goodbye { details: Dict::new(), reason: "wamp.close.close_realm".into() }).await;
    match client.receive().await {
        Message::Goodbye(goodbye) => assert_eq!(goodbye.reason, "wamp.close.goodbye_and_out"),
        other => panic!("{other:?}"),
    }
    client.hung_up().await;
    server.stop().await;
}

fn everything() -> Payload {
    let args = vec![
        Value::Bytes(vec![0, 1, 255]),
        Value::from("text ü"),
        Value::Null,
        Value::from(true),
        Value::from(-7_i64),
        Value::from(u64::MAX),
        Value::Float(0.25),
        Value::List(vec![Value::Map(Dict::new())]),
    ];
    Payload::new(args, dict(&[("bytes", Value::Bytes(vec![]))]))
}

async fn calls(way: Way) {
    let server = Server::open().await;
    let mut caller = way.join(&server).await;
    for (number, other) in ways().enumerate() {
        let mut callee = other.join(&server).await;
        let procedure = format!("com.echo{number}");
        callee.register(&procedure).await;
        let request = caller.begin_call(&procedure, everything()).await;
        let invocation = callee.invocation().await;
        assert_eq!(invocation.payload, everything());
        callee
            .send(Yield { request: invocation.request, options: Dict::new(), payload: invocation.payload })
            .await;
        let expected = CallResult { request, details: Dict::new(), payload: everything() };
        assert_eq!(caller.receive().await, expected.into());
    }
    server.stop().await;
}

fn ways() -> impl Iterator<Item = Way> {
    let tcp = [TransportKind::WebSocket, TransportKind::RawSocket].map(Socket::Tcp);
    let sockets = tcp.into_iter().chain([Socket::Batched, Socket::Unix]);
    sockets.flat_map(|socket| Serializer::ALL.map(|serializer| Way(socket, serializer)))
}

async fn publishes(way: Way) {
    let server = Server::open().await;
    let mut publisher = way.join(&server).await;
    let mut subscribers = Vec::new();
    for other in ways() {
        let mut subscriber = other.join(&server).await;
        let subscription = subscriber.subscribe("com.topic").await;
        subscribers.push((subscriber, subscription));
    }
    publisher.publish("com.topic", everything()).await;
    for (subscriber, subscription) in &mut subscribers {
        let event = subscriber.event().await;
        assert_eq!((event.subscription, event.payload), (*subscription, everything()));
    }
    server.stop().await;
}

async fn errors(way: Way) {
    let server = Server::open().await;
    let mut caller = way.join(&server).await;
    let mut callee = way.join(&server).await;
    callee.register("com.fail").await;
    let request = caller.begin_call("com.fail", Payload::default()).await;
    let invocation = callee.invocation().await;
    let error = |request_type, request| Error {
        request_type,
        request,
        details: Dict::new(),
        error: "com.error.mine".into(),
        payload: everything(),
    };
    callee.send(error(Invocation::CODE, invocation.request)).await;
    assert_eq!(caller.receive().await, error(Call::CODE, request).into());
    server.stop().await;
}

async fn speaks_out_of_turn(way: Way) {
    let server = Server::open().await;
    let mut client = way.connect(&server).await;
    client.begin_call("com.early", Payload::default()).await;
    let (uri, message) = client.aborted().await;
    assert_eq!(uri, "wamp.error.protocol_violation");
    assert!(message.contains("first message must be HELLO, not CALL"), "{message}");

    let mut client = way.connect(&server).await;
    client.hello(REALM, Dict::new()).await;
    assert_eq!(client.aborted().await.0, "wamp.error.protocol_violation", "HELLO without roles");

    let mut client = way.join(&server).await;
    client.hello(REALM, dict(&[roles()])).await;
    let (uri, message) = client.aborted().await;
    assert_eq!(uri, "wamp.error.protocol_violation");
    assert!(message.contains("HELLO"), "{message}");
    server.stop().await;
}

async fn malformed(way: Way) {
    let server = Server::open().await;
    for bytes in [b"{".as_slice(), b"[99,1]", b"\xc1", b"", b"[48,0,{},\"p\"]"] {
        let mut client = way.join(&server).await;
        client.send_bytes(bytes).await;
        assert_eq!(client.aborted().await.0, "wamp.error.protocol_violation", "{bytes:?}");
        let mut client = way.connect(&server).await;
        client.send_bytes(bytes).await;
        assert_eq!(
            client.aborted().await.0,
            "wamp.error.protocol_violation",
            "{bytes:?} as the first message"
        );
    }
    server.stop().await;
}

async fn too_large(way: Way) {
    let limits = Limits { max_message_bytes: 64 << 10, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let mut client = way.join(&server).await;
    client.begin_call("com.small", Payload::of("x".repeat(60 << 10))).await;
    assert!(
        matches!(client.receive().await, Message::Error(_)),
        "below the limit it is a call like any other"
    );
    client.begin_call("com.large", Payload::of("x".repeat(70 << 10))).await;
    assert_eq!(client.aborted().await.0, "wamp.error.protocol_violation");
    server.stop().await;
}

async fn unknown_realm(way: Way) {
    let server = Server::open().await;
    let tenant = format!("{TENANT_PREFIX}acme");
    for realm in ["com.other", CONTROL, &tenant] {
        let mut client = way.connect(&server).await;
        client.hello(realm, dict(&[roles()])).await;
        assert_eq!(client.aborted().await.0, "wamp.error.no_such_realm", "{realm}");
    }
    let mut client = way.connect(&server).await;
    client.hello("not a realm", dict(&[roles()])).await;
    assert_eq!(client.aborted().await.0, "wamp.error.invalid_uri");
    let mut client = way.connect(&server).await;
    let methods = Value::List(vec!["scram".into(), "ticket".into()]);
    client.hello(REALM, dict(&[roles(), ("authmethods", methods)])).await;
    assert_eq!(client.aborted().await.0, "wamp.error.no_matching_auth_method");
    server.stop().await;
}

async fn pings(way: Way) {
    let server = Server::open().await;
    let mut client = way.connect(&server).await;
    client.join(REALM).await;
    client.ping().await;
    server.stop().await;
}

async fn dead_clients(way: Way) {
    let limits = Limits { ping_interval_ms: 1_000, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let mut dead = way.join(&server).await;
    dead.register("com.dead").await;
    let calling = async {
        let mut alive = way.join(&server).await;
        alive.begin_call("com.dead", Payload::default()).await;
        let answer = alive.receive().await;
        (alive, answer)
    };
    // Called, `dead` reads nothing any more, so it answers no ping; its connection stays open.
    let (_, (mut alive, answer)) = tokio::join!(dead.invocation(), calling);
    match answer {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.canceled"),
        other => panic!("{other:?}"),
    }
    assert_eq!(alive.session_count().await, 1, "the one that answers pings stays");
    drop(dead);
    server.stop().await;
}

async fn silent_clients(way: Way) {
    let limits = Limits { handshake_timeout_ms: 1_000, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let without_hello = async {
        let mut client = way.connect(&server).await;
        let (uri, message) = client.aborted().await;
        assert_eq!(uri, "wamp.error.timeout");
        assert!(message.contains("handshake_timeout_ms"), "{message}");
    };
    let without_handshake = async {
        let Socket::Tcp(kind) = way.0 else { return };
        let mut stream = TcpStream::connect(server.address(kind)).await.unwrap();
        let mut answer = Vec::new();
        match within("the end of a connection without handshake", stream.read_to_end(&mut answer)).await {
            Ok(_) => assert_eq!(answer, b""),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    };
    tokio::join!(without_hello, without_handshake);
    server.stop().await;
}

async fn shutdown(way: Way) {
    let server = Server::open().await;
    let mut client = way.join(&server).await;
    server.begin_shutdown();
    match client.receive().await {
        Message::Goodbye(goodbye) => assert_eq!(goodbye.reason, "wamp.close.system_shutdown"),
        other => panic!("{other:?}"),
    }
    client.hung_up().await;
    server.stop().await;
}

/// What a client without a WAMP subprotocol is told must help whoever typed the address into a browser.
#[tokio::test]
async fn http_clients_are_told_what_this_is() {
    let server = Server::open().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.websocket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("wamp.2.json, wamp.2.msgpack"), "{answer}");
    }
    server.stop().await;
}

/// `wamp_async` writes its list of subprotocols without a space; the client's order decides.
#[tokio::test]
async fn subprotocols_in_a_row() {
    let server = Server::open().await;
    for (offer, chosen) in [
        ("wamp.2.json,wamp.2.msgpack", "wamp.2.json"),
        ("wamp.2.ubjson, wamp.2.msgpack , wamp.2.json", "wamp.2.msgpack"),
    ] {
        let mut stream = TcpStream::connect(server.websocket).await.unwrap();
        let request = format!(
            "GET /any/path HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {offer}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let length = within("an answer", stream.read(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.contains(&format!("sec-websocket-protocol: {chosen}\r\n")), "{answer}");
    }
    server.stop().await;
}

/// RawSocket peers that speak something else, or another serializer, are refused as the specification says.
#[tokio::test]
async fn rawsocket_handshakes() {
    let server = Server::open().await;
    for (handshake, expected) in [
        ([0x7f, 0xf4, 0, 0], [0x7f, 0x10, 0, 0].as_slice()),
        ([0x7f, 0xf1, 0, 1], &[0x7f, 0x30, 0, 0]),
        (*b"GET ", &[]),
    ] {
        let mut stream = TcpStream::connect(server.rawsocket).await.unwrap();
        stream.write_all(&handshake).await.unwrap();
        let mut answer = Vec::new();
        within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, expected, "{handshake:?}");
    }
    server.stop().await;
}

/// A RawSocket client that announces a small limit is never sent more: whoever would have, is told.
#[tokio::test]
async fn the_limit_of_a_rawsocket_client_is_kept() {
    let server = Server::open().await;
    let mut stream = TcpStream::connect(server.rawsocket).await.unwrap();
    stream.write_all(&[0x7f, 0x21, 0, 0]).await.unwrap();
    let mut answer = [0; 4];
    within("a handshake", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x7f, 0xd1, 0, 0], "4 MiB are taken");
    async fn exchange(stream: &mut TcpStream, message: &str) -> String {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], message.as_bytes()].concat()).await.unwrap();
        let mut header = [0; 4];
        within("a frame", stream.read_exact(&mut header)).await.unwrap();
        let mut content = vec![0; u32::from_be_bytes(header) as usize];
        within("a frame", stream.read_exact(&mut content)).await.unwrap();
        String::from_utf8(content).unwrap()
    }
    let welcome = exchange(&mut stream, r#"[1,"realm1",{"roles":{"callee":{}}}]"#).await;
    assert!(welcome.starts_with("[2,") && welcome.len() <= 2048, "{welcome}");
    assert!(exchange(&mut stream, r#"[64,1,{},"com.small"]"#).await.starts_with("[65,1,"));
    let mut caller = server.join().await;
    match caller.call("com.small", Payload::of("x".repeat(2100))).await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.payload_size_exceeded"),
        other => panic!("{other:?}"),
    }
    assert!(exchange(&mut stream, r#"[32,2,{},"com.topic"]"#).await.starts_with("[33,2,"));
    caller.publish("com.topic", Payload::of("x".repeat(2100))).await;
    caller.publish("com.topic", Payload::of("small")).await;
    let event = exchange(&mut stream, r#"[32,3,{},"com.topic"]"#).await;
    assert!(event.starts_with("[36,") && event.ends_with(r#",["small"]]"#), "{event}");
    server.stop().await;
}

/// Text in a binary serializer's connection, or the other way round, is a mistake that is worth a sentence.
#[tokio::test]
async fn frames_of_the_wrong_kind() {
    let server = Server::open().await;
    let mut client = server.connect(TransportKind::WebSocket, Serializer::Json).await;
    client.serializer = Serializer::MsgPack;
    client.hello(REALM, dict(&[roles()])).await;
    client.serializer = Serializer::Json;
    let (uri, message) = client.aborted().await;
    assert_eq!(uri, "wamp.error.protocol_violation");
    assert!(message.contains("binary frame"), "{message}");
    server.stop().await;
}

/// Connections above the limit are closed at once, and one that ends makes room for another.
#[tokio::test]
async fn connections_are_counted() {
    let limits = Limits { max_connections: 2, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let mut first = server.join().await;
    let second = server.join().await;
    let mut third = TcpStream::connect(server.rawsocket).await.unwrap();
    let mut answer = Vec::new();
    within("the end of the third connection", third.read_to_end(&mut answer)).await.unwrap();
    drop(second);
    first.wait_for_sessions(1).await;
    within("room for another", async {
        loop {
            let mut stream = TcpStream::connect(server.rawsocket).await.unwrap();
            stream.write_all(&[0x7f, 0xf1, 0, 0]).await.unwrap();
            let mut answer = [0; 4];
            if stream.read_exact(&mut answer).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    server.stop().await;
}

/// A configured realm lets in by ticket whom it knows, in the role that it says, and nobody else.
#[tokio::test]
async fn static_tickets() {
    let folder = tempfile::tempdir().unwrap();
    let ticket = folder.path().join("ticket");
    std::fs::write(&ticket, "s3cret\n").unwrap();
    let text = format!(
        r#"
        [[realm]]
        name = "com.realm"
        [[realm.role]]
        name = "sensor"
        rule = [{{ uri = "com.sensor.{{authid}}.", match = "prefix", allow = ["publish"] }}]
        [[realm.principal]]
        authid = "s1"
        role = "sensor"
        ticket_file = "{}"
        "#,
        ticket.display()
    );
    let path = folder.path().join("router.toml");
    std::fs::write(&path, text).unwrap();
    let server = Server::start(Config::from_file(&path).unwrap()).await;
    let connect = || server.connect(TransportKind::WebSocket, Serializer::Json);
    let mut client = connect().await;
    match client.join_by_ticket("com.realm", "s1", "s3cret").await {
        Message::Welcome(welcome) => assert_eq!(welcome.details["authrole"], "sensor".into()),
        other => panic!("{other:?}"),
    }
    client.publish("com.sensor.s1.heat", Payload::default()).await;
    for (authid, ticket) in [("s1", "s3cre"), ("s1", ""), ("s2", "s3cret"), ("", "s3cret")] {
        match connect().await.join_by_ticket("com.realm", authid, ticket).await {
            Message::Abort(abort) => assert_eq!(reason(&abort).0, "wamp.error.authentication_denied"),
            other => panic!("{other:?}"),
        }
    }
    let mut client = connect().await;
    client.hello("com.realm", dict(&[roles()])).await;
    assert_eq!(client.aborted().await.0, "wamp.error.no_matching_auth_method", "nobody joins anonymously");
    server.stop().await;
}

//! Whoever is turned away is told why, in the words of its transport.

use std::net::SocketAddr;

use ecep_proto::codec::Serializer;
use ecep_proto::value::{Dict, Value};
use ecep_router::{AllowedOrigin, Config, Limits, Listen, TransportKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{dict, roles, within};
use crate::server::{REALM, Server};

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: wamp.2.json\r\n\r\n";

async fn answer_to(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    within("the end of the connection", stream.read_to_end(&mut answer)).await.unwrap();
    answer
}

/// Nobody knows yet who sends a HELLO, so it may not take much memory; what a session may send is another matter.
#[tokio::test]
async fn a_greeting_is_small() {
    let server = Server::open().await;
    for (kind, serializer) in
        [(TransportKind::WebSocket, Serializer::Json), (TransportKind::RawSocket, Serializer::MsgPack)]
    {
        let large = Value::from("x".repeat(20 << 10));
        let mut client = server.connect(kind, serializer).await;
        client.hello(REALM, dict(&[roles(), ("authextra", large.clone())])).await;
        let (uri, message) = client.aborted().await;
        assert_eq!(uri, "wamp.error.protocol_violation");
        assert!(message.contains("16384"), "{message}");

        let mut client = server.connect(kind, serializer).await;
        client.join(REALM).await;
        let request = client.request();
        client
            .send(ecep_proto::message::Subscribe {
                request,
                options: dict(&[("note", large)]),
                topic: "com.topic".into(),
            })
            .await;
        assert!(matches!(client.receive().await, ecep_proto::message::Message::Subscribed(_)));
    }
    server.stop().await;
}

/// A WebSocket that breaks the rules gets ABORT, and then the close code of its mistake.
#[tokio::test]
async fn close_codes() {
    let server = Server::open().await;
    let hello = br#"[1,"realm1",{"roles":{"caller":{}}}]"#;
    // The mask is zero: the content is sent as it is.
    let mut join = vec![0x81, 0x80 | hello.len() as u8, 0, 0, 0, 0];
    join.extend_from_slice(hello);
    let cases: [(&str, &[u8], u16); 5] = [
        ("text that is no UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff], 1007),
        ("a frame without mask", &[0x81, 0x02, b'[', b']'], 1002),
        ("a reserved operation", &[0x83, 0x80, 0, 0, 0, 0], 1002),
        ("binary in a text protocol", &[0x82, 0x80, 0, 0, 0, 0], 1003),
        ("sixteen megabytes", &[0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], 1009),
    ];
    for joined in [false, true] {
        for (case, bytes, code) in cases {
            let mut stream = TcpStream::connect(server.websocket).await.unwrap();
            stream.write_all(UPGRADE.as_bytes()).await.unwrap();
            let mut upgraded = [0; 1024];
            let length = within("the upgrade", stream.read(&mut upgraded)).await.unwrap();
            assert!(upgraded[..length].starts_with(b"HTTP/1.1 101"), "{case}");
            if joined {
                stream.write_all(&join).await.unwrap();
                within("WELCOME", stream.read(&mut upgraded)).await.unwrap();
            }
            let answer = answer_to(&mut stream, bytes).await;
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains("wamp.error.protocol_violation"), "{case}: {text}");
            let [high, low] = code.to_be_bytes();
            assert!(answer.ends_with(&[0x88, 2, high, low]), "{case}: {answer:02x?}");
        }
    }
    server.stop().await;
}

/// Above the limit of connections, each transport says so.
#[tokio::test]
async fn no_room() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::default() }).await;
    let first = server.join().await;
    for (address, raw) in
        [(server.rawsocket, true), (server.websocket, false), (server.any, true), (server.any, false)]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if raw {
            assert_eq!(answer_to(&mut stream, &[0x7f, 0xf1, 0, 0]).await, [0x7f, 0x40, 0, 0]);
        } else {
            let answer = String::from_utf8(answer_to(&mut stream, UPGRADE.as_bytes()).await).unwrap();
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("limits.max_connections"), "{answer}");
        }
    }
    drop(first);
    server.stop().await;
}

/// A page that somebody has opened in a browser must not join where its origin is not allowed, and is told so; clients
/// without an origin, pages of the router's own address and those that are in the list come in.
#[tokio::test]
async fn origins() {
    let mut config = Config::default();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let allowed = AllowedOrigin::try_from("https://dashboard.example".to_owned()).unwrap();
    for kind in [TransportKind::WebSocket, TransportKind::Any] {
        let listen = Listen::new(kind, address.into());
        config.listen.push(Listen { allowed_origins: vec![allowed.clone()], ..listen });
    }
    let (server, default) = (Server::start(config).await, Server::open().await);
    for (address, is_listed) in [(server.websocket, true), (server.any, true), (default.websocket, false)] {
        for (headers, may) in [
            ("".to_owned(), true),
            ("Origin: https://dashboard.example\r\n".to_owned(), is_listed),
            ("Origin: http://x\r\n".to_owned(), true),
            ("Origin: http://x:8080\r\n".to_owned(), false),
            (format!("Origin: http://{address}\r\n"), false),
            ("Origin: https://evil.example\r\n".to_owned(), false),
            ("Origin: null\r\n".to_owned(), false),
            ("Origin: http://x\r\nOrigin: https://evil.example\r\n".to_owned(), false),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = UPGRADE.replace("Host: x\r\n", &format!("Host: x\r\n{headers}"));
            if may {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut start = [0; 12];
                within("the upgrade", stream.read_exact(&mut start)).await.unwrap();
                assert_eq!(&start, b"HTTP/1.1 101", "{address} {headers}");
            } else {
                let answer = String::from_utf8(answer_to(&mut stream, request.as_bytes()).await).unwrap();
                assert!(answer.starts_with("HTTP/1.1 403 "), "{address} {headers}{answer}");
                assert!(answer.contains("allowed_origins"), "{answer}");
            }
        }
    }
    server.stop().await;
    default.stop().await;
}

/// A browser that is pointed at the port gets a sentence, not silence.
#[tokio::test]
async fn a_plain_request() {
    let server = Server::open().await;
    for address in [server.websocket, server.any] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let answer = answer_to(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
        assert!(answer.contains("wamp.2.json"), "{answer}");
    }
    server.stop().await;
}

/// Whoever has not joined yet when the router shuts down is told to come again.
#[tokio::test]
async fn shutdown_before_joining() {
    let server = Server::open().await;
    let mut client = server.connect(TransportKind::WebSocket, Serializer::Json).await;
    let mut other = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    server.begin_shutdown();
    assert_eq!(client.aborted().await.0, "wamp.close.system_shutdown");
    assert_eq!(other.aborted().await.0, "wamp.close.system_shutdown");
    server.stop().await;
}

/// Both transports on one port.
#[tokio::test]
async fn one_port_for_both() {
    let server = Server::open().await;
    for serializer in Serializer::ALL {
        for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
            let mut client = crate::client::Client::connect(server.any, kind, serializer).await;
            client.join(REALM).await;
            client
                .send(ecep_proto::message::Goodbye {
                    details: Dict::new(),
                    reason: "wamp.close.close_realm".into(),
                })
                .await;
            assert!(matches!(client.receive().await, ecep_proto::message::Message::Goodbye(_)));
        }
    }
    server.stop().await;
}

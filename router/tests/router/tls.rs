//! Listeners that speak TLS: all transports behind them, certificates that change, and who does not get in.

use std::net::SocketAddr;
use std::path::Path;

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_router::{Address, Config, HttpConfig, Limits, Listen, ReloadError, TlsConfig, TransportKind};
use ecep_tls::Trust;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, within};
use crate::server::{REALM, Server};

/// Writes a certificate that has signed itself, and its key; whoever trusts it alone.
fn certify(folder: &Path) -> Trust {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("router.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("router.key"), key.serialize_pem()).unwrap();
    Trust::pinned(certificate.pem().as_bytes()).unwrap()
}

fn tls(folder: &Path) -> TlsConfig {
    TlsConfig { certificate: folder.join("router.pem"), key: folder.join("router.key") }
}

fn on_loopback() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A router whose listeners of each kind speak TLS, and so does the one for operators.
async fn start(folder: &TempDir, limits: Limits) -> Server {
    let door = |kind| Listen { tls: Some(tls(folder.path())), ..Listen::new(kind, on_loopback().into()) };
    let listen = [TransportKind::WebSocket, TransportKind::RawSocket, TransportKind::Any].map(door).to_vec();
    let http = Some(HttpConfig { address: on_loopback(), tls: Some(tls(folder.path())) });
    Server::start(Config { listen, http, limits, ..Config::default() }).await
}

async fn connect(trust: &Trust, address: SocketAddr, kind: TransportKind) -> Client {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = trust.connect(stream, "localhost").await.unwrap();
    Client::over(Box::new(stream), address, kind, Serializer::Json).await
}

/// Every transport must work behind TLS as without it, and who speaks no TLS must not be answered.
#[tokio::test]
async fn every_transport_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let trust = certify(folder.path());
    let server = start(&folder, Limits::default()).await;
    for (address, kind) in [
        (server.websocket, TransportKind::WebSocket),
        (server.rawsocket, TransportKind::RawSocket),
        (server.any, TransportKind::WebSocket),
        (server.any, TransportKind::RawSocket),
    ] {
        let mut client = connect(&trust, address, kind).await;
        client.join(REALM).await;
        let answer = client.call("com.nobody", Payload::default()).await;
        assert!(matches!(answer, Message::Error(_)), "{answer:?}");

        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut said = Vec::new();
        // Closed or reset; at most an alert of TLS comes before.
        let _ = within("the end", plain.read_to_end(&mut said)).await;
        assert!(!said.starts_with(b"HTTP") && said.len() < 16, "{said:?}");
    }
    let stream = TcpStream::connect(server.http.unwrap()).await.unwrap();
    let mut stream = trust.connect(stream, "localhost").await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    server.stop().await;
}

/// What TLS has taken and the socket has not must go out when the client reads again: nothing may stay behind. At some length the end of
/// a message is just what TLS holds; which one depends on the system.
#[tokio::test]
async fn nothing_stays_behind_a_full_socket() {
    const STEP: usize = 16 << 10;
    let folder = tempfile::tempdir().unwrap();
    let trust = certify(folder.path());
    // A ping would push it out.
    let limits = Limits { ping_interval_ms: 600_000, ..Limits::default() };
    let server = start(&folder, limits).await;
    let mut callee = connect(&trust, server.any, TransportKind::RawSocket).await;
    callee.join(REALM).await;
    callee.register("com.echo").await;
    for length in (STEP..1 << 20).step_by(STEP) {
        let mut caller = connect(&trust, server.any, TransportKind::RawSocket).await;
        caller.join(REALM).await;
        caller.begin_call("com.echo", Payload::default()).await;
        let request = callee.invocation().await.request;
        let payload = Payload::of("x".repeat(length));
        // The caller reads only when all of this has been sent.
        callee.send(Yield { request, options: Default::default(), payload }).await;
        callee.ping().await;
        callee.ping().await;
        let Message::CallResult(result) = caller.receive().await else { panic!("a result") };
        assert_eq!(result.payload.args()[0].as_str().unwrap().len(), length);
    }
    server.stop().await;
}

/// A new certificate must be taken up by a reload while sessions go on; with a wrong one the reload must be refused whole.
#[tokio::test]
async fn certificates_change_under_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let server = start(&folder, Limits::default()).await;
    let mut before = connect(&old, server.websocket, TransportKind::WebSocket).await;
    before.join(REALM).await;

    std::fs::write(folder.path().join("router.key"), "no key").unwrap();
    let refused = server.reloader.reload(server.config.clone()).await;
    assert!(matches!(refused, Err(ReloadError::Certificate(_))), "{refused:?}");
    connect(&old, server.websocket, TransportKind::WebSocket).await;

    let new = certify(folder.path());
    server.reloader.reload(server.config.clone()).await.unwrap();
    connect(&new, server.websocket, TransportKind::WebSocket).await.join(REALM).await;
    let stream = TcpStream::connect(server.websocket).await.unwrap();
    let said = old.connect(stream, "localhost").await.unwrap_err().to_string();
    assert!(said.contains("signed by nobody who is trusted"), "{said}");
    let answer = before.call("com.nobody", Payload::default()).await;
    assert!(matches!(answer, Message::Error(_)), "{answer:?}");
    server.stop().await;
}

/// Whoever dallies over the handshake must be cut off in the same time as over the greeting.
#[tokio::test]
async fn the_handshake_has_the_deadline_of_the_greeting() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let server = start(&folder, Limits { handshake_timeout_ms: 100, ..Limits::default() }).await;
    for beginning in [&b""[..], b"\x16\x03\x01"] {
        let mut silent = TcpStream::connect(server.any).await.unwrap();
        silent.write_all(beginning).await.unwrap();
        let mut said = Vec::new();
        let _ = within("the end", silent.read_to_end(&mut said)).await;
    }
    server.stop().await;
}

/// A listener must not look as if it spoke TLS where it can't; and one without its files must not start plain instead.
#[tokio::test]
async fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = |address| Config {
        listen: vec![Listen {
            tls: Some(tls(folder.path())),
            ..Listen::new(TransportKind::RawSocket, address)
        }],
        ..Config::default()
    };
    let said = config(Address::Unix("/run/x.sock".into())).check().unwrap_err().to_string();
    assert!(said.contains("listen[0].tls is for TCP"), "{said}");
    let said = ecep_router::Router::bind(config(on_loopback().into())).await.err().unwrap().to_string();
    assert!(said.contains("cannot read") && said.contains("router.pem"), "{said}");
}

//! Unix sockets: the file that stands for one is never in the way, and never taken from somebody who listens.

use ecep_proto::codec::Serializer;
use ecep_router::{Address, Config, Listen, Router, TransportKind};

use crate::client::Client;
use crate::server::{REALM, Server};

fn on(address: Address) -> Config {
    let listen = vec![Listen::new(TransportKind::RawSocket, address)];
    Config { listen, realm: vec![Config::open_realm(REALM)], ..Config::default() }
}

/// The file that a killed router left behind is taken over; a router that lives keeps its own.
#[tokio::test]
async fn stale_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file of a socket outlives it");
    let server = Server::start(Config { realm: Vec::new(), ..on(Address::Unix(path.clone())) }).await;
    Client::connect_unix(&path, Serializer::MsgPack).await.join(REALM).await;

    let second = Router::bind(on(Address::Unix(path.clone()))).await.err().expect("the path is taken");
    let text = second.to_string();
    assert!(text.contains("router.sock") && text.contains("another process listens there"), "{text}");
    Client::connect_unix(&path, Serializer::MsgPack).await.join(REALM).await;

    server.stop().await;
    assert!(!path.exists(), "the file goes with the router");
}

/// A file that is no socket is not the router's to remove.
#[tokio::test]
async fn other_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(Router::bind(on(Address::Unix(path.clone()))).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// In a file, an address is one or the other, and the mistake is named.
#[test]
fn addresses() {
    let parse = |text: &str| Address::try_from(text.to_owned());
    assert_eq!(parse("/run/x.sock"), Ok(Address::Unix("/run/x.sock".into())));
    assert_eq!(parse("127.0.0.1:80"), Ok(Address::Tcp(([127, 0, 0, 1], 80).into())));
    assert!(parse("x.sock").unwrap_err().contains("begins with /"));
}

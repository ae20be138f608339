//! The router goes: everybody is told, and nobody can keep it.

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_router::{Config, TransportKind};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::server::{REALM, Server};

/// Every session of every realm hears GOODBYE, over every transport; neither those who do not answer it nor those who
/// never said a word keep the router from ending.
#[tokio::test]
async fn everybody_is_told_and_it_ends() {
    let other = "com.other";
    let config = Config { realm: vec![Config::open_realm(other)], ..Config::default() };
    let server = Server::start(config).await;
    let mut clients: Vec<Client> = Vec::new();
    for kind in [TransportKind::WebSocket, TransportKind::RawSocket] {
        for realm in [REALM, other] {
            let mut client = server.connect(kind, Serializer::Json).await;
            client.join(realm).await;
            clients.push(client);
        }
    }
    let mut deaf = server.join().await;
    deaf.subscribe("com.topic").await;
    let _silent = TcpStream::connect(server.websocket).await.unwrap();
    server.begin_shutdown();
    for client in &mut clients {
        match client.receive().await {
            Message::Goodbye(goodbye) => assert_eq!(goodbye.reason, "wamp.close.system_shutdown"),
            other => panic!("{other:?}"),
        }
    }
    // Waits for the end, but not for ever; the clients are still there.
    server.stop().await;
    drop((clients, deaf));
}

//! Limits as configured: who runs into one is told the key by which it can be changed.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router::{Config, Limits};

use crate::client::Client;
use crate::server::Server;

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

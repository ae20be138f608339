//! Events and sessions as clients of every kind see them: what the state machine's own tests can't show.

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::TransportKind;

use crate::client::{Client, dict};
use crate::server::{REALM, Server};

const KINDS: [TransportKind; 2] = [TransportKind::WebSocket, TransportKind::RawSocket];

/// A client of each transport and serializer, and its session id.
async fn clients(server: &Server) -> Vec<(Client, u64)> {
    let mut clients = Vec::new();
    for kind in KINDS {
        for serializer in Serializer::ALL {
            let mut client = server.connect(kind, serializer).await;
            let welcome = client.join(REALM).await;
            clients.push((client, welcome.session.get()));
        }
    }
    clients
}

async fn publish(client: &mut Client, topic: &str, options: &[(&str, Value)], payload: Payload) {
    let request = client.request();
    let mut options = dict(options);
    options.insert("acknowledge".into(), true.into());
    client.send(Publish { request, options, topic: topic.into(), payload }).await;
    match client.receive().await {
        Message::Published(published) => assert_eq!(published.request, request),
        other => panic!("{other:?}"),
    }
}

async fn subscribe(client: &mut Client, topic: &str, options: &[(&str, Value)]) -> Subscribed {
    let request = client.request();
    client.send(Subscribe { request, options: dict(options), topic: topic.into() }).await;
    match client.receive().await {
        Message::Subscribed(subscribed) => subscribed,
        other => panic!("{other:?}"),
    }
}

/// Session ids and names mean the same in every serializer: a list that was misread would show an event to somebody.
#[tokio::test]
async fn lists() {
    let server = Server::open().await;
    let mut publisher = server.join().await;
    let mut clients = clients(&server).await;
    for (client, _) in &mut clients {
        client.subscribe("com.topic").await;
    }
    for (chosen, (_, id)) in clients.iter().enumerate() {
        let eligible = Value::List(vec![(*id).into()]);
        publish(&mut publisher, "com.topic", &[("eligible", eligible)], Payload::of(chosen as u64)).await;
    }
    let nobody = [("eligible_authrole", Value::List(vec![]))];
    publish(&mut publisher, "com.topic", &nobody, Payload::of("nobody")).await;
    publish(&mut publisher, "com.topic", &[], Payload::of("all")).await;
    for (number, (client, _)) in clients.iter_mut().enumerate() {
        assert_eq!(client.event().await.payload, Payload::of(number as u64));
        assert_eq!(client.event().await.payload, Payload::of("all"));
    }
    server.stop().await;
}

/// What is retained is there for whoever comes later, even if everybody had left in between.
#[tokio::test]
async fn retained_events_outlive_all_sessions() {
    let server = Server::open().await;
    let mut publisher = server.join().await;
    let payload = Payload::of(Value::Bytes(vec![0, 255]));
    publish(&mut publisher, "com.state", &[("retain", true.into())], payload.clone()).await;
    drop(publisher);
    for kind in KINDS {
        for serializer in Serializer::ALL {
            let mut only = server.connect(kind, serializer).await;
            only.join(REALM).await;
            only.wait_for_sessions(1).await;
            subscribe(&mut only, "com.state", &[("get_retained", true.into())]).await;
            let event = only.event().await;
            assert_eq!((event.payload, &event.details["retained"]), (payload.clone(), &true.into()));
        }
    }
    server.stop().await;
}

/// A testament is published when the connection is lost, before the session is said to have left.
#[tokio::test]
async fn testaments_of_lost_connections() {
    let server = Server::open().await;
    let mut watcher = server.join().await;
    watcher.subscribe("com.will").await;
    watcher.subscribe("wamp.session.on_leave").await;
    for (mut client, session) in clients(&server).await {
        let args = vec!["com.will".into(), Value::List(vec![session.into(), Value::Bytes(vec![7])])];
        let answer = client.call("wamp.session.add_testament", Payload::new(args, Dict::new())).await;
        assert!(matches!(answer, Message::CallResult(_)), "{answer:?}");
        drop(client);
        let will = Payload::new(vec![session.into(), Value::Bytes(vec![7])], Dict::new());
        assert_eq!(watcher.event().await.payload, will);
        assert_eq!(watcher.event().await.payload.args()[0], session.into());
    }
    server.stop().await;
}

/// Whoever is killed hears the reason, and is out.
#[tokio::test]
async fn kills() {
    let server = Server::open().await;
    let mut operator = server.join().await;
    for (mut client, session) in clients(&server).await {
        let words = dict(&[("reason", "com.maintenance".into()), ("message", "back at noon".into())]);
        let answer = operator.call("wamp.session.kill", Payload::new(vec![session.into()], words)).await;
        assert!(matches!(answer, Message::CallResult(_)), "{answer:?}");
        match client.receive().await {
            Message::Goodbye(goodbye) => {
                assert_eq!(goodbye.reason, "com.maintenance");
                assert_eq!(goodbye.details, dict(&[("message", "back at noon".into())]));
            }
            other => panic!("{other:?}"),
        }
        client.hung_up().await;
    }
    server.stop().await;
}

/// A revocation has no request: only a client that announced it gets such a message, and it is no answer to anything.
#[tokio::test]
async fn revocations() {
    let server = Server::open().await;
    let mut operator = server.join().await;
    for kind in KINDS {
        for serializer in Serializer::ALL {
            let mut client = server.connect(kind, serializer).await;
            let features = dict(&[("subscription_revocation", true.into())]);
            let subscriber = dict(&[("features", Value::Map(features))]);
            let roles = Value::Map(dict(&[("subscriber", Value::Map(subscriber))]));
            client.hello(REALM, dict(&[("roles", roles)])).await;
            let Message::Welcome(welcome) = client.receive().await else { panic!("not let in") };
            let subscription = subscribe(&mut client, "com.topic", &[]).await.subscription;
            let args = vec![subscription.get().into(), welcome.session.get().into()];
            let payload = Payload::new(args, dict(&[("reason", "enough".into())]));
            let answer = operator.call("wamp.subscription.remove_subscriber", payload).await;
            assert!(matches!(answer, Message::CallResult(_)), "{answer:?}");
            assert_eq!(client.receive().await, Unsubscribed::revoked(subscription, "enough").into());
        }
    }
    server.stop().await;
}

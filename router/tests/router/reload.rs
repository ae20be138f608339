//! Another configuration for a router that runs: who may go on, who is gone, and what is refused.

use std::path::Path;

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use ecep_router::{Config, TransportKind};
use tempfile::TempDir;

use crate::client::{Client, within};
use crate::server::Server;

const PLANT: &str = "com.plant";

/// A router with a realm whose principals' tickets are their names, until a test changes that.
struct Plant {
    server: Server,
    folder: TempDir,
}

/// A rule for calls.
fn may_call(procedure: &str) -> String {
    format!("rule = [{{ uri = \"{procedure}\", allow = [\"call\"] }}]\n")
}

fn role(name: &str, rule: &str) -> String {
    format!("[[realm.role]]\nname = \"{name}\"\n{rule}")
}

fn principal(authid: &str, role: &str, folder: &Path) -> String {
    let ticket = folder.join(authid);
    if !ticket.exists() {
        std::fs::write(&ticket, authid).unwrap();
    }
    format!("[[realm.principal]]\nauthid = \"{authid}\"\nrole = \"{role}\"\nticket_file = {ticket:?}\n")
}

impl Plant {
    async fn start(make: impl Fn(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, &make(folder.path()));
        Self { server: Server::start(config).await, folder }
    }

    /// The configuration of the running server, but with these roles and principals.
    fn changed(&self, parts: &str) -> Config {
        let mut new = self.server.config.clone();
        new.realm[0] = config(&self.folder, parts).realm.remove(0);
        new
    }

    async fn ticket(&self, authid: &str, ticket: &str) -> Result<Client, String> {
        let mut client = self.server.connect(TransportKind::WebSocket, Serializer::Json).await;
        match client.join_by_ticket(PLANT, authid, ticket).await {
            Message::Welcome(_) => Ok(client),
            Message::Abort(abort) => Err(abort.reason),
            other => panic!("{other:?}"),
        }
    }
}

fn config(folder: &TempDir, parts: &str) -> Config {
    let path = folder.path().join("router.toml");
    std::fs::write(&path, format!("[[realm]]\nname = \"{PLANT}\"\n{parts}")).unwrap();
    Config::from_file(&path).unwrap()
}

async fn may(client: &mut Client, procedure: &str) -> bool {
    match client.call(procedure, Payload::default()).await {
        // Allowed, but nobody offers it.
        Message::Error(error) if error.error == "wamp.error.no_such_procedure" => true,
        Message::Error(error) if error.error == "wamp.error.not_authorized" => false,
        other => panic!("{other:?}"),
    }
}

async fn expelled(client: &mut Client, expected: &str) {
    match client.receive().await {
        Message::Goodbye(goodbye) => {
            assert_eq!(goodbye.reason, "wamp.close.killed");
            let said = goodbye.details["message"].as_str().unwrap();
            assert!(said.contains(expected), "{said}");
        }
        other => panic!("{other:?}"),
    }
    client.hung_up().await;
}

/// Whoever was revoked is gone at once and told why; everybody else goes on, with the new rights.
#[tokio::test]
async fn principals_and_roles() {
    let before = |folder: &Path| {
        let roles = role("reader", &may_call("com.read")) + &role("writer", &may_call("com.write"));
        let principals =
            ["stays", "moves", "removed", "renewed"].map(|authid| principal(authid, "reader", folder));
        roles + &principals.concat()
    };
    let plant = Plant::start(before).await;
    let join = async |authid: &str| plant.ticket(authid, authid).await.unwrap();
    let (mut stays, mut moves) = (join("stays").await, join("moves").await);
    let (mut removed, mut renewed) = (join("removed").await, join("renewed").await);
    let mut elsewhere = plant.server.join().await;
    assert!(may(&mut stays, "com.read").await && !may(&mut stays, "com.more").await);

    std::fs::write(plant.folder.path().join("renewed"), "another ticket").unwrap();
    let folder = plant.folder.path();
    let after = role("reader", &may_call("com.more"))
        + &role("writer", &may_call("com.write"))
        + &principal("stays", "reader", folder)
        + &principal("moves", "writer", folder)
        + &principal("renewed", "reader", folder)
        + &principal("new", "reader", folder);
    within("the new configuration", plant.server.reloader.reload(plant.changed(&after))).await.unwrap();

    expelled(&mut removed, "was taken away").await;
    expelled(&mut renewed, "ticket").await;
    assert!(!may(&mut stays, "com.read").await && may(&mut stays, "com.more").await);
    assert!(!may(&mut moves, "com.read").await && may(&mut moves, "com.write").await);
    assert_eq!(elsewhere.session_count().await, 1, "another realm has nothing to do with it");
    assert_eq!(plant.ticket("removed", "removed").await.err().unwrap(), "wamp.error.authentication_denied");
    assert_eq!(plant.ticket("renewed", "renewed").await.err().unwrap(), "wamp.error.authentication_denied");
    plant.ticket("renewed", "another ticket").await.ok().unwrap();
    plant.ticket("new", "new").await.ok().unwrap();
    plant.server.stop().await;
}

/// Limits of a session hold at once for those that are there.
#[tokio::test]
async fn limits() {
    let plant = Plant::start(|_| String::new()).await;
    let mut client = plant.server.join().await;
    client.subscribe("com.first").await;
    let mut new = plant.server.config.clone();
    new.limits.max_subscriptions = 1;
    new.limits.max_connections = 1;
    plant.server.reloader.reload(new).await.unwrap();
    let request = client.request();
    client.send(Subscribe { request, options: Dict::new(), topic: "com.second".into() }).await;
    match client.receive().await {
        Message::Error(error) => assert_eq!(error.error, "wamp.error.limit_exceeded"),
        other => panic!("{other:?}"),
    }
    let refused = tokio::net::TcpStream::connect(plant.server.rawsocket).await.unwrap();
    let mut answer = Vec::new();
    let mut refused = tokio::io::BufReader::new(refused);
    tokio::io::AsyncWriteExt::write_all(&mut refused, &[0x7f, 0xf1, 0, 0]).await.unwrap();
    within("a refusal", tokio::io::AsyncReadExt::read_to_end(&mut refused, &mut answer)).await.unwrap();
    assert_eq!(answer, [0x7f, 0x40, 0, 0], "maximum connection count reached");
    plant.server.stop().await;
}

/// Limits of a connection hold for those that are there: a message may be larger from now on, or must be smaller; but a
/// RawSocket client sends no more than the handshake has told it.
#[tokio::test]
async fn limits_of_connections() {
    let plant = Plant::start(|_| String::new()).await;
    let reload = async |max_message_bytes: usize, max_pending_calls: usize| {
        let mut new = plant.server.config.clone();
        (new.limits.max_message_bytes, new.limits.max_pending_calls) = (max_message_bytes, max_pending_calls);
        plant.server.reloader.reload(new).await.unwrap();
    };
    for (kind, at_first) in [(TransportKind::WebSocket, 1024), (TransportKind::RawSocket, 8192)] {
        reload(at_first, 1).await;
        let mut client = plant.server.connect(kind, Serializer::Json).await;
        client.join(crate::server::REALM).await;
        reload(8192, 1).await;
        let large = "x".repeat(4000);
        client.publish("com.topic", Payload::of(large.as_str())).await;
        client.register("com.silent").await;
        client.begin_call("com.silent", Payload::of(large.as_str())).await;
        client.invocation().await;
        match client.call("com.silent", Payload::default()).await {
            Message::Error(error) => assert_eq!(error.error, "wamp.error.limit_exceeded"),
            other => panic!("{other:?}"),
        }
        reload(8192, 2).await;
        client.begin_call("com.silent", Payload::default()).await;
        client.invocation().await;
        reload(1024, 2).await;
        client.begin_call("com.silent", Payload::of(large.as_str())).await;
        let (uri, text) = client.aborted().await;
        assert_eq!(uri, "wamp.error.protocol_violation");
        assert!(text.contains("limits.max_message_bytes"), "{text}");
    }
    plant.server.stop().await;
}

/// What can't change is refused with a sentence, and then nothing of the file holds.
#[tokio::test]
async fn all_or_nothing() {
    let before = |folder: &Path| role("reader", &may_call("com.read")) + &principal("p", "reader", folder);
    let plant = Plant::start(before).await;
    let mut client = plant.ticket("p", "p").await.unwrap();
    let without = plant.changed(&role("reader", &may_call("com.more")));
    type Change = fn(&mut Config);
    let wrong: [(&str, Change); 6] = [
        ("listen: ", |config| config.listen.clear()),
        ("listen: ", |config| config.listen.truncate(1)),
        ("realm com.plant: it is gone", |config| drop(config.realm.remove(0))),
        ("realm com.plant: strict_uris", |config| config.realm[0].strict_uris = true),
        ("limits.max_connections is 0", |config| config.limits.max_connections = 0),
        ("realm[0].anonymous_role is \"x\"", |config| config.realm[0].anonymous_role = Some("x".into())),
    ];
    for (expected, change) in wrong {
        let mut new = without.clone();
        change(&mut new);
        let said = plant.server.reloader.reload(new).await.unwrap_err().to_string();
        assert!(said.contains(expected) || expected == "listen: " && said.contains("no listener"), "{said}");
    }
    assert!(may(&mut client, "com.read").await && !may(&mut client, "com.more").await);
    plant.ticket("p", "p").await.ok().unwrap();
    plant.server.reloader.reload(without).await.unwrap();
    expelled(&mut client, "was taken away").await;
    assert_eq!(plant.server.join().await.session_count().await, 1);
    plant.server.stop().await;
}

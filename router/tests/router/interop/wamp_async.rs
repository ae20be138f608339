//! The crate `wamp_async`, the client of the agent: what it needs of the router to be of use, and to stay alive.

mod rules;
mod stock;

use std::path::Path;

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::config::{DisclosureConfig, ProfileConfig, RealmConfig};
use ecep_router::{Config, TransportKind};
use serde_json::json;
use tokio::task::JoinHandle;
use wamp_async::{Client as WampAsync, ClientConfig, WampArgs, WampError, WampKwArgs};

use crate::client::{Client, dict, within};
use crate::server::Server;

/// The realm where everybody is spoken to as `wamp_async` needs it.
const AGENTS: &str = "com.agents";

/// Ordinary clients join it by another role.
fn agents_realm(folder: &Path) -> RealmConfig {
    let mut realm = Config::open_realm(AGENTS);
    let mut ordinary = realm.role[0].clone();
    ordinary.name = "ordinary".into();
    realm.role[0].profile = Some(ProfileConfig::WampAsync);
    realm.role.push(ordinary);
    let ticket_file = folder.join("ticket");
    std::fs::write(&ticket_file, "ticket").unwrap();
    realm.principal.push(ecep_router::config::PrincipalConfig {
        authid: "carl".into(),
        role: "ordinary".into(),
        ticket_file,
    });
    realm
}

/// A session of `wamp_async`, and its event loop: it ends when the crate can't go on.
struct Agent {
    client: WampAsync<'static>,
    life: JoinHandle<()>,
}

impl std::ops::Deref for Agent {
    type Target = WampAsync<'static>;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl Agent {
    async fn join(server: &Server, realm: &str) -> Self {
        Self::join_with(server, realm, ClientConfig::default()).await
    }

    async fn join_with(server: &Server, realm: &str, config: ClientConfig) -> Self {
        let url = format!("ws://{}/ws", server.websocket);
        let connected = within("wamp_async to connect", WampAsync::connect(url, Some(config))).await;
        let (mut client, (events, calls)) = connected.unwrap();
        let life = tokio::spawn(async move { drop(events.await) });
        let mut calls = calls.unwrap();
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                tokio::spawn(call);
            }
        });
        within("wamp_async to join", client.join_realm(realm)).await.unwrap();
        Self { client, life }
    }

    async fn register<F, Answers>(&self, procedure: &str, handler: F) -> u64
    where
        F: Fn(Option<WampArgs>, Option<WampKwArgs>) -> Answers + Send + Sync + 'static,
        Answers: Future<Output = Answer> + Send + 'static,
    {
        let id = within("REGISTERED", self.client.register(procedure, handler)).await.unwrap();
        std::num::NonZeroU64::from(id).get()
    }

    /// It still talks with the router.
    async fn is_alive(&self) {
        let answer = within("an answer", self.client.call("wamp.session.count", None, None)).await;
        assert!(answer.is_ok(), "{answer:?}");
        assert!(!self.life.is_finished());
    }

    /// It goes, and its event loop with it.
    async fn leave(self) {
        within("the end of wamp_async", self.client.disconnect()).await;
        within("the end of its event loop", self.life).await.unwrap();
    }
}

type Answer = Result<(Option<WampArgs>, Option<WampKwArgs>), WampError>;

/// Answers in the envelope: the caller's authid, or an error if it was asked for one.
async fn envelope(_: Option<WampArgs>, kwargs: Option<WampKwArgs>) -> Answer {
    let kwargs = kwargs.unwrap_or_default();
    let reply = if kwargs.contains_key("fail") {
        json!({ "error": { "uri": "com.agent.broken", "message": "it is broken", "details": { "load": 0.5 } } })
    } else {
        json!({ "ok": { "caller": kwargs["_caller"], "bytes": kwargs.get("bytes") } })
    };
    Ok((None, reply.as_object().cloned()))
}

/// What the agent's client needs of the router to be of use, and to stay alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platforms_profile() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(Config { realm: vec![agents_realm(folder.path())], ..Config::default() }).await;
    let agent = Agent::join(&server, AGENTS).await;
    agent.register("com.agent.do", envelope).await;
    let mut caller = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    let joined = caller.join_by_ticket(AGENTS, "carl", "ticket").await;
    assert!(matches!(joined, Message::Welcome(_)), "{joined:?}");

    // Bytes would end its event loop; as text they do not.
    let kwargs = dict(&[("bytes", Value::Bytes(vec![0, 255])), ("_caller", "forged".into())]);
    let result = match caller.call("com.agent.do", Payload::new(vec![], kwargs)).await {
        Message::CallResult(result) => result.payload.args()[0].clone(),
        other => panic!("{other:?}"),
    };
    let result = result.as_map().unwrap();
    assert_eq!(result["caller"].as_map().unwrap()["authid"], "carl".into());
    assert_eq!(result["bytes"], Value::Bytes(vec![0, 255]));
    match caller.call("com.agent.do", Payload::new(vec![], dict(&[("fail", true.into())]))).await {
        Message::Error(error) => {
            assert_eq!(
                (error.error.as_str(), error.payload.args()),
                ("com.agent.broken", ["it is broken".into()].as_slice())
            );
            assert_eq!(error.payload.kwargs(), Some(&dict(&[("load", Value::Float(0.5))])));
        }
        other => panic!("{other:?}"),
    }
    agent_calls(&agent, &mut caller).await;
    agent_publishes(&agent, &mut caller).await;

    // The connection of the first may be dead without anybody knowing: the second is in charge at once.
    let again = Agent::join(&server, AGENTS).await;
    again.register("com.agent.do", envelope).await;
    agent.is_alive().await;
    agent.leave().await;
    assert!(matches!(caller.call("com.agent.do", Payload::default()).await, Message::CallResult(_)));
    again.leave().await;
    server.stop().await;
}

/// The agent as a caller: it sees the message and particulars of an error.
async fn agent_calls(agent: &Agent, callee: &mut Client) {
    callee.register("com.cloud.report").await;
    let report = json!({ "load": 0.5, "offset": -1 }).as_object().cloned();
    let answering = async {
        let invocation = callee.invocation().await;
        assert_eq!(invocation.payload.kwargs().unwrap()["offset"], Value::from(-1_i64));
        let payload = Payload::new(vec!["too busy".into()], dict(&[("retry", Value::Float(1.5))]));
        let (request_type, request) = (Invocation::CODE, invocation.request);
        let error = "com.cloud.busy".to_owned();
        callee.send(Error { request_type, request, details: Dict::new(), error, payload }).await;
    };
    let calling = within("the answer", agent.call("com.cloud.report", None, report));
    let (answer, ()) = tokio::join!(calling, answering);
    match answer {
        Err(WampError::ServerError(uri, details)) => {
            assert_eq!(uri, "com.cloud.busy");
            let text = format!("{details:?}");
            assert!(text.contains("too busy") && text.contains("retry"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    match within("the answer", agent.call("com.cloud.nothing", None, None)).await {
        Err(WampError::ServerError(uri, _)) => assert_eq!(uri, "wamp.error.no_such_procedure"),
        other => panic!("{other:?}"),
    }
    let alive = within("the answer", agent.call("wamp.session.count", None, None)).await;
    assert_eq!(alive.unwrap().0.unwrap(), vec![json!(2)]);
}

/// The agent as publisher and subscriber.
async fn agent_publishes(agent: &Agent, other: &mut Client) {
    other.subscribe("com.agent.stats").await;
    let stats = json!({ "cpu": 0.25, "offset": -1 }).as_object().cloned();
    within("PUBLISHED", agent.publish("com.agent.stats", None, stats, true)).await.unwrap();
    let event = other.event().await;
    assert_eq!(event.payload.kwargs().unwrap()["cpu"], Value::Float(0.25));
    let (_, mut events) = within("SUBSCRIBED", agent.subscribe("com.cloud.notice")).await.unwrap();
    let kwargs = dict(&[("text", "ü".into()), ("bytes", Value::Bytes(vec![1]))]);
    other.publish("com.cloud.notice", Payload::new(vec![], kwargs)).await;
    let (_, _, kwargs) = within("an event", events.recv()).await.expect("an event");
    assert_eq!(kwargs.unwrap()["text"], json!("ü"));
}

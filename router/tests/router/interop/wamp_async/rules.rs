//! What would end a session of `wamp_async`, or leave it in the dark: others provoke it in every way that the protocol
//! has, and the session goes on.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::mpsc;
use wamp_async::{WampArgs, WampKwArgs};

use super::*;

/// An ordinary client that has announced all that a client can, so that nothing is kept from others for its sake.
async fn able(server: &Server) -> Client {
    let mut client = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    let features = [
        "call_canceling",
        "payload_passthru_mode",
        "progressive_call_invocations",
        "progressive_call_results",
    ];
    let features = Value::Map(dict(&features.map(|name| (name, true.into()))));
    let role = Value::Map(dict(&[("features", features)]));
    let roles = ["caller", "callee", "publisher", "subscriber"].map(|name| (name, role.clone()));
    let methods = Value::List(vec!["ticket".into()]);
    let details = [("roles", Value::Map(dict(&roles))), ("authid", "carl".into()), ("authmethods", methods)];
    client.hello(AGENTS, dict(&details)).await;
    assert!(matches!(client.receive().await, Message::Challenge(_)));
    client.send(Authenticate { signature: "ticket".into(), extra: Dict::new() }).await;
    assert!(matches!(client.receive().await, Message::Welcome(_)));
    client
}

async fn start() -> (Server, Agent, Client) {
    let folder = tempfile::tempdir().unwrap();
    let mut realm = agents_realm(folder.path());
    // What is told of the ordinary ones in details.
    for role in &mut realm.role {
        role.trustlevel = Some(0);
        role.disclose_caller = DisclosureConfig::Always;
        role.disclose_publisher = DisclosureConfig::Always;
    }
    let server = Server::start(Config { realm: vec![realm], ..Config::default() }).await;
    let agent = Agent::join(&server, AGENTS).await;
    let client = able(&server).await;
    (server, agent, client)
}

async fn call(client: &mut Client, procedure: &str, options: &[(&str, Value)], payload: Payload) -> Message {
    let request = client.request();
    let options = dict(options);
    client.send(Call { request, options, procedure: procedure.into(), payload }).await;
    client.receive().await
}

#[track_caller]
fn error(message: &Message) -> &str {
    match message {
        Message::Error(error) => &error.error,
        other => panic!("{other:?} instead of ERROR"),
    }
}

/// Floats, negative numbers, bytes: in payloads only. Whatever another client puts into its options, the details that
/// come of it are none of these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_detail_is_a_float_or_negative() {
    let (server, agent, mut client) = start().await;
    let (_, mut events) = within("SUBSCRIBED", agent.client.subscribe("com.topic")).await.unwrap();
    let (sender, mut calls) = mpsc::unbounded_channel();
    agent
        .register("com.agent.do", move |args, kwargs| {
            let _ = sender.send((args, kwargs));
            async { Ok((None, None)) }
        })
        .await;
    client.register("com.cloud.fail").await;

    let odd = || [Value::Float(0.5), Value::from(-1_i64), Value::Bytes(vec![0xff])];
    let payload = || Payload::new(odd().into(), dict(&[("odd", Value::List(odd().into()))]));
    for value in odd() {
        let mut options = vec![("_own", value.clone()), ("forward_for", Value::List(vec![value.clone()]))];
        let answer = call(&mut client, "com.agent.do", &options, payload()).await;
        assert!(matches!(answer, Message::CallResult(_)), "{answer:?}");
        within("a call", calls.recv()).await.unwrap();

        options.push(("acknowledge", true.into()));
        options.push(("retain", true.into()));
        let request = client.request();
        let (options, topic) = (dict(&options), "com.topic".to_owned());
        client.send(Publish { request, options, topic, payload: payload() }).await;
        assert!(matches!(client.receive().await, Message::Published(_)));
        within("an event", events.recv()).await.unwrap();

        // An error's details are the callee's own.
        let asking = async { agent.client.call("com.cloud.fail", None, None).await.unwrap_err() };
        let failing = async {
            let request = client.invocation().await.request;
            let details = dict(&[("odd", value), ("message", Value::Float(0.5))]);
            let (request_type, error) = (Invocation::CODE, "com.cloud.odd".to_owned());
            client.send(Error { request_type, request, details, error, payload: payload() }).await;
        };
        let (failed, ()) = within("the error", async { tokio::join!(asking, failing) }).await;
        assert!(matches!(failed, WampError::ServerError(uri, _) if uri == "com.cloud.odd"));
    }
    agent.is_alive().await;
    server.stop().await;
}

/// It knows no INTERRUPT: calls that end early in any way leave it in peace, and what it answers later is dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_interrupt() {
    let (server, agent, mut client) = start().await;
    let (sender, mut begun) = mpsc::unbounded_channel();
    let may_end = Arc::new(tokio::sync::Semaphore::new(0));
    let gate = Arc::clone(&may_end);
    agent
        .register("com.agent.slow", move |_, _| {
            let (gate, sender) = (Arc::clone(&gate), sender.clone());
            async move {
                let _ = sender.send(());
                drop(gate.acquire().await);
                Ok((None, None))
            }
        })
        .await;
    for mode in ["skip", "kill", "killnowait"] {
        let request = client.begin_call("com.agent.slow", Payload::default()).await;
        within("the call", begun.recv()).await.unwrap();
        client.send(Cancel { request, options: dict(&[("mode", mode.into())]) }).await;
        assert_eq!(error(&client.receive().await), "wamp.error.canceled");
    }
    let overdue = call(&mut client, "com.agent.slow", &[("timeout", 1_u64.into())], Payload::default()).await;
    assert_eq!(error(&overdue), "wamp.error.timeout");
    within("the call", begun.recv()).await.unwrap();
    let mut lost = able(&server).await;
    lost.begin_call("com.agent.slow", Payload::default()).await;
    within("the call", begun.recv()).await.unwrap();
    drop(lost);
    client.wait_for_sessions(2).await;
    agent.is_alive().await;
    may_end.add_permits(100);
    client.begin_call("com.agent.slow", Payload::default()).await;
    assert!(matches!(client.receive().await, Message::CallResult(_)));
    agent.is_alive().await;
    server.stop().await;
}

/// It takes a call in one piece, and answers in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_pieces() {
    let (server, agent, mut client) = start().await;
    agent.register("com.agent.do", envelope).await;
    let payload = Payload::default;
    let in_pieces = call(&mut client, "com.agent.do", &[("progress", true.into())], payload()).await;
    assert_eq!(error(&in_pieces), "wamp.error.feature_not_supported");
    let whole = call(&mut client, "com.agent.do", &[("receive_progress", true.into())], payload()).await;
    assert!(matches!(whole, Message::CallResult(result) if result.details.is_empty()));
    let sealed = [("ppt_scheme", "x_sealed".into()), ("ppt_serializer", "cbor".into())];
    let passed = call(&mut client, "com.agent.do", &sealed, Payload::of(Value::Bytes(vec![1]))).await;
    assert_eq!(error(&passed), "wamp.error.feature_not_supported");
    agent.is_alive().await;
    server.stop().await;
}

/// A message that tells of a revocation has no request that it could know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_revocation() {
    let (server, agent, mut client) = start().await;
    let registration = agent.register("com.agent.do", envelope).await;
    let (subscription, _events) = within("SUBSCRIBED", agent.client.subscribe("com.topic")).await.unwrap();
    let subscription = std::num::NonZeroU64::from(subscription).get();
    for (kind, what, id) in
        [("registration", "callee", registration), ("subscription", "subscriber", subscription)]
    {
        let ids = |result: Message| match result {
            Message::CallResult(result) => result.payload.args()[0].as_list().unwrap()[0].clone(),
            other => panic!("{other:?}"),
        };
        let list = format!("wamp.{kind}.list_{what}s");
        let holder = ids(client.call(&list, Payload::of(id)).await);
        let args = Payload::new(vec![id.into(), holder], Dict::new());
        let removed = client.call(&format!("wamp.{kind}.remove_{what}"), args).await;
        assert!(matches!(removed, Message::CallResult(_)), "{removed:?}");
        agent.is_alive().await;
    }
    let gone = client.call("com.agent.do", Payload::default()).await;
    assert_eq!(error(&gone), "wamp.error.no_such_procedure");
    agent.register("com.agent.do", envelope).await;
    let back = client.call("com.agent.do", Payload::default()).await;
    assert!(matches!(back, Message::CallResult(_)), "{back:?}");
    server.stop().await;
}

/// Its request ids are random, so they come in any order; many calls at once, both ways, each get their own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    const AT_ONCE: u64 = 500;
    let (server, agent, mut client) = start().await;
    let echo = |args: Option<WampArgs>, _: Option<WampKwArgs>| async { Ok((args, None)) };
    agent.register("com.agent.echo", echo).await;
    let other = Agent::join(&server, AGENTS).await;
    let calls =
        (0..AT_ONCE).map(|number| other.client.call("com.agent.echo", Some(vec![json!(number)]), None));
    let publications = (0..AT_ONCE)
        .map(|number| agent.client.publish("com.agent.stats", Some(vec![json!(number)]), None, true));
    client.subscribe("com.agent.stats").await;
    let answered = async { tokio::join!(join_all(calls), join_all(publications)) };
    let events = async {
        let mut numbers = Vec::new();
        for _ in 0..AT_ONCE {
            numbers.push(client.event().await.payload.args()[0].as_u64().unwrap());
        }
        numbers
    };
    let ((answers, published), numbers) =
        within("all answers and events", async { tokio::join!(answered, events) }).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().0, Some(vec![json!(number)]));
    }
    assert!(published.iter().all(Result::is_ok));
    assert_eq!(numbers, (0..AT_ONCE).collect::<Vec<_>>(), "events of one publisher keep their order");
    server.stop().await;
}

/// Each of its sessions ends with a GOODBYE that it understands: its event loop ends, nothing hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goodbye() {
    let (server, agent, mut client) = start().await;
    let payload = Payload::new(vec!["anonymous".into()], dict(&[("reason", "com.cloud.restart".into())]));
    let killed = client.call("wamp.session.kill_by_authrole", payload).await;
    assert!(matches!(killed, Message::CallResult(_)), "{killed:?}");
    within("the end of its event loop", agent.life).await.unwrap();
    let again = Agent::join(&server, AGENTS).await;
    server.stop().await;
    within("the end of its event loop", again.life).await.unwrap();
}

//! Other people's clients: `wamp_async`, autobahn for Python, wampy for JavaScript.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use ecep_proto::codec::Serializer;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::config::{ProfileConfig, RealmConfig};
use ecep_router::{Config, TransportKind};
use serde_json::json;
use tokio::process::Command;
use wamp_async::{Client as WampAsync, ClientConfig, SerializerType, WampArgs, WampError, WampKwArgs};

use crate::client::{Client, dict, within};
use crate::server::{REALM, Server};

/// Where wampy is, if not in the web package.
const NODE_MODULES: &str = "ECEP_TEST_NODE_MODULES";

/// A Python interpreter that can import autobahn.
const PYTHON: &str = "ECEP_TEST_PYTHON";

/// Serves what the scripts call.
async fn serve_scripts(server: &Server) {
    let mut callee = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    callee.join(REALM).await;
    let echo = callee.register("com.rust.echo").await;
    callee.register("com.rust.fail").await;
    tokio::spawn(async move {
        while let Some(Message::Invocation(invocation)) = callee.try_receive().await {
            let request = invocation.request;
            if invocation.registration == echo {
                let args = Value::List(invocation.payload.args().to_vec());
                callee.send(Yield { request, options: Dict::new(), payload: Payload::of(args) }).await;
            } else {
                let error = "com.rust.error".to_owned();
                let (request_type, payload) = (Invocation::CODE, invocation.payload);
                callee.send(Error { request_type, request, details: Dict::new(), error, payload }).await;
            }
        }
    });
}

async fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within("the script", output).await.expect("the script starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}\n{said}\n{complained}", command.as_std());
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/router/clients").join(name)
}

/// The client that most Python programs of third parties use.
#[tokio::test]
async fn autobahn_python() {
    let Some(python) = std::env::var_os(PYTHON) else {
        println!("skipped: set {PYTHON} to a Python interpreter that can import autobahn");
        return;
    };
    let server = Server::open().await;
    serve_scripts(&server).await;
    let urls = [format!("ws://{}/ws", server.websocket), format!("rs://{}", server.rawsocket)];
    for url in &urls {
        for serializer in ["json", "msgpack"] {
            let mut command = Command::new(&python);
            command.arg(script("autobahn_client.py")).args([url, serializer]);
            run(command).await;
        }
    }
    server.stop().await;
}

/// The client of the dashboard.
#[tokio::test]
async fn wampy_javascript() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/node_modules");
    let modules = std::env::var_os(NODE_MODULES).map_or(own, PathBuf::from);
    if !modules.join("wampy").is_dir() {
        println!("skipped: there is no wampy in {}; set {NODE_MODULES}", modules.display());
        return;
    }
    let modules = modules.canonicalize().unwrap();
    let server = Server::open().await;
    serve_scripts(&server).await;
    for serializer in ["json", "msgpack"] {
        let mut command = Command::new("node");
        command.arg("--experimental-websocket").arg(script("wampy_client.mjs")).arg(&modules);
        command.args([&format!("ws://{}/ws", server.websocket), serializer]);
        run(command).await;
    }
    server.stop().await;
}

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

async fn join_wamp_async(server: &Server) -> WampAsync<'static> {
    let config = ClientConfig::default().set_serializers(vec![SerializerType::Json, SerializerType::MsgPack]);
    let url = format!("ws://{}/ws", server.websocket);
    let connected = within("wamp_async to connect", WampAsync::connect(url, Some(config))).await;
    let (mut client, (events, calls)) = connected.unwrap();
    tokio::spawn(events);
    if let Some(mut calls) = calls {
        tokio::spawn(async move {
            while let Some(call) = calls.recv().await {
                tokio::spawn(call);
            }
        });
    }
    within("wamp_async to join", client.join_realm(AGENTS)).await.unwrap();
    client
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
async fn wamp_async() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(Config { realm: vec![agents_realm(folder.path())], ..Config::default() }).await;
    let agent = join_wamp_async(&server).await;
    within("REGISTERED", agent.register("com.agent.do", envelope)).await.unwrap();
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
    let again = join_wamp_async(&server).await;
    let same_name = within("REGISTERED", again.register("com.agent.do", envelope)).await;
    assert!(same_name.is_ok(), "{same_name:?}");
    within("the end of the agent", agent.disconnect()).await;
    assert!(matches!(caller.call("com.agent.do", Payload::default()).await, Message::CallResult(_)));
    within("the end of the other agent", again.disconnect()).await;
    server.stop().await;
}

/// The agent as a caller: it sees the message and particulars of an error.
async fn agent_calls(agent: &WampAsync<'static>, callee: &mut Client) {
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
async fn agent_publishes(agent: &WampAsync<'static>, other: &mut Client) {
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

//! autobahn for Python, the client that most Python programs of third parties use: over WebSocket, RawSocket and
//! RawSocket on a Unix socket, in each serializer.

use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;
use serde_json::{Value, json};
use tokio::process::Command;

use super::script::{self, Script};
use super::{INTEROP, seen, served, start};
use crate::client::dict;

/// A Python interpreter that can import autobahn.
pub const PYTHON: &str = "ECEP_TEST_PYTHON";

/// What it should see.
fn expected() -> Vec<(&'static str, Value)> {
    let subscribed = json!([true, { "key": "ü" }, "com.t.a.x"]);
    let killed = |reason: &str, who: Value| json!([reason, who]);
    vec![
        ("welcome", json!([INTEROP, "alice", "staff", "ticket"])),
        ("values", json!([true, true])),
        (
            "errors",
            json!([
                "com.python.error",
                ["why"],
                { "number": 7 },
                "wamp.error.no_such_procedure",
                "wamp.error.procedure_already_exists",
                "wamp.error.no_such_procedure",
            ]),
        ),
        ("progressive_results", json!([[0, 1, 2], "done", "done"])),
        ("cancel", json!(["interrupted", "wamp.close.goodbye_and_out"])),
        ("call_timeout", json!(["wamp.error.timeout", "interrupted"])),
        ("caller_leaves", json!("interrupted")),
        ("callee_leaves", json!("wamp.error.canceled")),
        ("disclosure", json!([true, ["alice", "staff"], [null, null, null], [true, "alice", "staff"]])),
        ("pattern_registration", seen::pattern_registration(true)),
        ("shared_registration", seen::shared_registration()),
        ("concurrency", json!([["done", "done"], 1])),
        ("takeover", json!("second")),
        (
            "pattern_subscription",
            json!({ "exact": subscribed, "prefix": subscribed, "wildcard": subscribed }),
        ),
        ("publisher_exclusion", json!(["mine too"])),
        ("retained_events", json!([["kept"], true, ["new"], false, true])),
        ("receivers", seen::receivers()),
        ("session_meta", seen::session_meta()),
        ("registration_meta", seen::registration_meta("com.python.meta")),
        ("subscription_meta", seen::subscription_meta("com.python.meta")),
        ("testaments", json!([["bye"], { "from": "me" }, "com.python.will.destroyed"])),
        (
            "kill",
            json!([
                killed("com.python.kill", json!(null)),
                killed("com.python.kill_by_authid", json!(true)),
                killed("com.python.kill_by_authrole", json!(1)),
                "wamp.error.no_such_session",
            ]),
        ),
    ]
}

async fn autobahn(url_of: impl FnOnce(&crate::server::Server) -> String, serializer: &str) {
    let Some(python) = std::env::var_os(PYTHON) else {
        println!("skipped: set {PYTHON} to a Python interpreter that can import autobahn");
        return;
    };
    let server = start().await;
    let mut command = Command::new(&python);
    command.arg(script::path("autobahn_client.py")).args([&url_of(&server), serializer]);
    let mut script = Script::start(command);
    script.says(&expected()).await;

    // Mode kill: the callee is told, and has the last word.
    let mut caller = served::connect(&server).await;
    script.says(&[("ready to be called", Value::Null)]).await;
    let request = caller.begin_call("com.python.endless", Payload::default()).await;
    script.says(&[("ready to be interrupted", Value::Null)]).await;
    caller.send(Cancel { request, options: dict(&[("mode", "kill".into())]) }).await;
    script.says(&[("kill_mode", json!("interrupted"))]).await;
    match caller.receive().await {
        Message::Error(error) => {
            assert_eq!((error.request, error.error.as_str()), (request, "com.python.interrupted"));
        }
        other => panic!("{other:?}"),
    }
    let reason = "wamp.close.close_realm".to_owned();
    caller.send(Goodbye { details: Dict::new(), reason }).await;

    script.says(&[("ready for the end", Value::Null)]).await;
    server.stop().await;
    script.says(&[("shutdown", json!("wamp.close.system_shutdown"))]).await;
    script.ends().await;
}

macro_rules! over {
    ($transport:ident, $url:expr) => {
        mod $transport {
            #[tokio::test]
            async fn json() {
                super::autobahn($url, "json").await;
            }

            #[tokio::test]
            async fn msgpack() {
                super::autobahn($url, "msgpack").await;
            }

            #[tokio::test]
            async fn cbor() {
                super::autobahn($url, "cbor").await;
            }
        }
    };
}

over!(websocket, |server| format!("ws://{}/ws", server.websocket));
over!(rawsocket, |server| format!("rs://{}", server.rawsocket));
over!(unix, |server| format!("unix:{}", server.unix.display()));

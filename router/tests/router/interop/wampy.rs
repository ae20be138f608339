//! wampy for JavaScript, the client of the dashboard: over WebSocket, in each serializer.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use super::script::{self, Script};
use super::{INTEROP, seen, start};

/// Where wampy is, if not in the web package.
const NODE_MODULES: &str = "ECEP_TEST_NODE_MODULES";

/// The folder that holds wampy, if there is one.
pub fn node_modules() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/node_modules");
    let modules = std::env::var_os(NODE_MODULES).map_or(own, PathBuf::from);
    modules.join("wampy").is_dir().then(|| modules.canonicalize().unwrap())
}

/// What it should see.
fn expected() -> Vec<(&'static str, Value)> {
    let canceled = "wamp.error.canceled";
    let subscribed = |topic: Value| json!([[1], { "key": "ü" }, topic]);
    vec![
        ("welcome", json!([INTEROP, "alice", "staff", "ticket"])),
        ("values", json!([true, { "key": "ü" }, "text", true])),
        (
            "errors",
            json!([
                ["com.wampy.error", ["why"], { "number": 7 }],
                "wamp.error.no_such_procedure",
                "wamp.error.procedure_already_exists",
                "wamp.error.no_such_procedure",
            ]),
        ),
        ("progressive_results", json!([[0, 1, 2], ["done"], ["done"]])),
        (
            "cancel",
            json!([
                { "kill": "com.rust.interrupted", "killnowait": canceled, "none": canceled, "skip": canceled },
                ["kill", "killnowait", "killnowait"],
            ]),
        ),
        ("cancel_of_wampy", json!([canceled, canceled, canceled, "wamp.error.timeout", "in time"])),
        ("call_timeout", json!(["wamp.error.timeout", "killnowait"])),
        ("callee_leaves", json!(canceled)),
        (
            "disclosure",
            json!([true, ["alice", "staff"], [null, null, null], true, [true, "alice", "staff"], 3]),
        ),
        ("pattern_registration", seen::pattern_registration(false)),
        ("shared_registration", seen::shared_registration()),
        (
            "pattern_subscription",
            json!({
                "exact": subscribed(json!(null)),
                "prefix": subscribed(json!("com.t.a.x")),
                "wildcard": subscribed(json!("com.t.a.x")),
            }),
        ),
        ("retained_events", json!([["kept"], true, 0])),
        ("receivers", seen::receivers()),
        ("session_meta", seen::session_meta()),
        ("registration_meta", seen::registration_meta("com.wampy.meta")),
        ("subscription_meta", seen::subscription_meta("com.wampy.meta")),
        ("revocation_of_wampy", json!(["wamp.error.no_such_procedure", true])),
        ("testaments", json!([["bye"], { "from": "me" }, "com.wampy.will.destroyed"])),
        ("kill", json!([["closed", null], ["closed", true], ["closed", 1], "wamp.error.no_such_session"])),
    ]
}

async fn wampy(serializer: &str) {
    let Some(modules) = node_modules() else {
        println!("skipped: there is no wampy in web/node_modules; set {NODE_MODULES}");
        return;
    };
    let server = start().await;
    let mut command = Command::new("node");
    command.args(["--experimental-websocket", "--no-warnings"]).arg(script::path("wampy_client.mjs"));
    command.arg(modules);
    command.args([&format!("ws://{}/ws", server.websocket), serializer]);
    let mut script = Script::start(command);
    script.says(&expected()).await;
    script.says(&[("ready for the end", Value::Null)]).await;
    server.stop().await;
    script.says(&[("shutdown", json!("closed"))]).await;
    script.ends().await;
}

#[tokio::test]
async fn json() {
    wampy("json").await;
}

#[tokio::test]
async fn msgpack() {
    wampy("msgpack").await;
}

#[tokio::test]
async fn cbor() {
    wampy("cbor").await;
}

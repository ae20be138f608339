//! The WebSocket transport under the cases of the autobahn testsuite: whoever connects gets back what it sends.
//!
//! The testsuite runs on Python 2.7 only; where that is missing, the test does nothing. To run it, make an environment
//! (`virtualenv` 20.15 is the last one that can), install `autobahntestsuite` into it, and name its interpreter:
//!
//! ```sh
//! ECEP_TEST_WSTEST=FOLDER/bin/python cargo test -p ecep-router --lib autobahn_testsuite -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::process::Stdio;

use ecep_proto::codec::Serializer;
use ecep_proto::websocket::Subprotocol;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::pipe::{Inlet, Outlet};
use super::stream::Stream;
use super::{Deframer, Framer, Incoming, websocket};
use crate::budget::Budget;
use crate::config::Limits;
use crate::outbound::Frame;
use crate::room::Room;

/// A Python 2.7 that can import autobahntestsuite.
const WSTEST: &str = "ECEP_TEST_WSTEST";

/// The largest message of the testsuite.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Cases whose messages are binary; all others send text.
const BINARY: [&str; 5] = ["1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*"];

/// Compression, which is not offered.
const COMPRESSION: [&str; 2] = ["12.*", "13.*"];

/// What a case may end as. In cases that are not strict, another behaviour is allowed as well.
const PASSED: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

async fn echo(stream: TcpStream) {
    let mut stream = Stream::Tcp(stream);
    let Ok((deframer, subprotocol)) = websocket::accept(&mut stream, MAX_MESSAGE_BYTES, &[]).await else {
        return;
    };
    let (read, write) = stream.split();
    let mut inlet = Inlet::new(
        read,
        Deframer::WebSocket(deframer),
        Room::new(Budget::new(Limits::default().max_total_queue_bytes)),
    );
    let mut outlet = Outlet::new(write, Framer::websocket(subprotocol));
    loop {
        let code = match inlet.next().await {
            Incoming::Message(bytes) => {
                outlet.add(Frame::Message(bytes));
                None
            }
            Incoming::Answer(frame) => {
                outlet.add(frame);
                None
            }
            Incoming::Alive => None,
            Incoming::Violation(violation) => Some(Some(violation.code)),
            Incoming::NoRoom(_) | Incoming::Closed => Some(None),
        };
        if let Some(code) = code {
            let _ = outlet.close(code).await;
            return;
        }
        if outlet.flush().await.is_err() {
            return;
        }
    }
}

/// Every case of the testsuite but those on compression.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autobahn_testsuite() {
    let Some(python) = std::env::var_os(WSTEST) else {
        println!("skipped: set {WSTEST} to a Python 2.7 that can import autobahntestsuite");
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let text: Vec<&str> = BINARY.into_iter().chain(COMPRESSION).collect();
    for (serializer, cases, exclude) in
        [(Serializer::Json, vec!["*"], text), (Serializer::MsgPack, BINARY.to_vec(), vec![])]
    {
        let folder = tempfile::tempdir().unwrap();
        let name = Subprotocol { serializer, batched: false }.name();
        let spec = json!({
            "outdir": folder.path(),
            "servers": [{ "agent": name, "url": url, "protocols": [name] }],
            "cases": cases,
            "exclude-cases": exclude,
            "exclude-agent-cases": {},
        });
        let path = folder.path().join("spec.json");
        std::fs::write(&path, spec.to_string()).unwrap();
        let mut command = Command::new(&python);
        command.args(["-m", "autobahntestsuite.wstest", "--mode", "fuzzingclient", "--spec"]).arg(&path);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report = std::fs::read_to_string(folder.path().join("index.json")).unwrap();
        let report: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(&report).unwrap();
        let results = &report[name];
        println!("{name}: {} cases", results.len());
        let is_passed = |result: &Value, what: &str| PASSED.iter().any(|word| result[what] == *word);
        let failed: Vec<String> = results
            .iter()
            .filter(|(_, result)| !is_passed(result, "behavior") || !is_passed(result, "behaviorClose"))
            .map(|(case, result)| format!("{case}: {} {}", result["behavior"], result["behaviorClose"]))
            .collect();
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        let others: Vec<_> = results.iter().filter(|(_, result)| result["behavior"] != "OK").collect();
        for (case, result) in others {
            println!("{case}: {}", result["behavior"]);
        }
    }
    accepting.abort();
}

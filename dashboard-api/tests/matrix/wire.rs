//! A raw WAMP client over WebSocket and JSON, for what a well-behaved one would not send.

use ecep_proto::error::NOT_AUTHORIZED;
use serde_json::{Value, json};

use crate::support::wamp::Wire;

// Message types (WAMP, section 6.2).
const HELLO: u64 = 1;
const WELCOME: u64 = 2;
const ABORT: u64 = 3;
const CHALLENGE: u64 = 4;
const AUTHENTICATE: u64 = 5;
const ERROR: u64 = 8;
const PUBLISH: u64 = 16;
const SUBSCRIBE: u64 = 32;
const EVENT: u64 = 36;
const CALL: u64 = 48;
const REGISTER: u64 = 64;
const INVOCATION: u64 = 68;
const YIELD: u64 = 70;

/// By what to join.
#[derive(Debug, Clone)]
pub struct Pass {
    pub realm: String,
    pub authid: String,
    /// Nothing to come as nobody.
    pub ticket: Option<String>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Done(Value),
    /// The error's URI and its sentence.
    Refused(String, String),
}

impl Outcome {
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused(uri, _) if uri == NOT_AUTHORIZED)
    }

    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused(uri, _) if uri == wanted)
    }
}

/// A joined session.
pub struct Client {
    wire: Wire,
    next: u64,
    pub role: String,
}

impl Client {
    /// Joins; or the ABORT's URI and sentence.
    pub async fn join(url: &str, pass: &Pass) -> Result<Self, Outcome> {
        let wire = Wire::open(url).await;
        let mut client = Self { wire, next: 0, role: String::new() };
        let roles = json!({ "caller": {}, "callee": {}, "publisher": {}, "subscriber": {} });
        let methods = if pass.ticket.is_some() { ["ticket"] } else { ["anonymous"] };
        let details = json!({ "roles": roles, "authmethods": methods, "authid": pass.authid });
        client.wire.send(json!([HELLO, pass.realm, details])).await;
        loop {
            let message = client.wire.receive().await;
            match message[0].as_u64() {
                Some(CHALLENGE) => client.wire.send(json!([AUTHENTICATE, pass.ticket, {}])).await,
                Some(WELCOME) => {
                    client.role = message[2]["authrole"].as_str().unwrap().to_owned();
                    return Ok(client);
                }
                Some(ABORT) => return Err(refused(&message[2], &message[1]["message"])),
                _ => panic!("not expected while joining: {message}"),
            }
        }
    }

    pub async fn call(&mut self, uri: &str, arguments: &Value) -> Outcome {
        self.ask(CALL, json!({}), uri, &[json!([]), arguments.clone()]).await
    }

    /// By `exact`, `prefix` or `wildcard`.
    pub async fn register(&mut self, uri: &str, matching: &str) -> Outcome {
        self.ask(REGISTER, json!({ "match": matching }), uri, &[]).await
    }

    /// By `exact`, `prefix` or `wildcard`.
    pub async fn subscribe(&mut self, uri: &str, matching: &str) -> Outcome {
        self.ask(SUBSCRIBE, json!({ "match": matching }), uri, &[]).await
    }

    pub async fn publish(&mut self, uri: &str) -> Outcome {
        self.ask(PUBLISH, json!({ "acknowledge": true }), uri, &[json!([]), json!({})]).await
    }

    async fn ask(&mut self, kind: u64, options: Value, uri: &str, rest: &[Value]) -> Outcome {
        self.next += 1;
        let request = self.next;
        let mut message = vec![json!(kind), json!(request), options, json!(uri)];
        message.extend_from_slice(rest);
        self.wire.send(Value::Array(message)).await;
        loop {
            let message = self.wire.receive().await;
            match message[0].as_u64() {
                Some(EVENT) => {}
                Some(ERROR) if message[2] == request => {
                    let said =
                        if message[5][0].is_string() { &message[5][0] } else { &message[3]["message"] };
                    return refused(&message[4], said);
                }
                Some(_) if message[1] == request => return Outcome::Done(message[3][0].clone()),
                _ => panic!("not expected after {kind} {uri}: {message}"),
            }
        }
    }

    /// Answers every call with nothing, until the connection ends.
    pub async fn serve(mut self) {
        while let Some(message) = self.wire.next().await {
            if message[0] == INVOCATION {
                self.wire.send(json!([YIELD, message[1], {}, [], { "ok": {} }])).await;
            }
        }
    }
}

fn refused(uri: &Value, message: &Value) -> Outcome {
    Outcome::Refused(uri.as_str().unwrap().to_owned(), message.as_str().unwrap_or_default().to_owned())
}

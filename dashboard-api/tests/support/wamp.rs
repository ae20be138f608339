//! A plain WAMP client over WebSocket and JSON, as a browser or a stock library would speak.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Far beyond what anything here takes; only a defect reaches it.
pub const PATIENCE: Duration = Duration::from_secs(60);

// Message types (WAMP, section 6.2).
const HELLO: u64 = 1;
const WELCOME: u64 = 2;
const ABORT: u64 = 3;
const CHALLENGE: u64 = 4;
const AUTHENTICATE: u64 = 5;
const GOODBYE: u64 = 6;
const ERROR: u64 = 8;
const SUBSCRIBE: u64 = 32;
const SUBSCRIBED: u64 = 33;
const EVENT: u64 = 36;
const CALL: u64 = 48;
const RESULT: u64 = 50;

/// A joined session.
pub struct Session {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub role: String,
    next: u64,
    events: Vec<Value>,
}

/// An ABORT, ERROR or GOODBYE: its URI and its sentence.
#[derive(Debug, PartialEq)]
pub struct Refused {
    pub uri: String,
    pub message: String,
}

impl Session {
    /// Joins by ticket.
    pub async fn join(url: &str, realm: &str, authid: &str, ticket: &str) -> Result<Self, Refused> {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "wamp.2.json".parse().unwrap());
        let (socket, _) = connect_async(request).await.unwrap();
        let mut session = Self { socket, role: String::new(), next: 1, events: Vec::new() };
        let roles = json!({ "caller": {}, "subscriber": {} });
        let details = json!({ "roles": roles, "authmethods": ["ticket"], "authid": authid });
        session.send(json!([HELLO, realm, details])).await;
        loop {
            let message = session.receive().await;
            match message[0].as_u64() {
                Some(CHALLENGE) => session.send(json!([AUTHENTICATE, ticket, {}])).await,
                Some(WELCOME) => {
                    session.role = message[2]["authrole"].as_str().unwrap().to_owned();
                    assert_eq!(message[2]["authid"], authid);
                    return Ok(session);
                }
                Some(ABORT) => {
                    let message_text = message[1]["message"].as_str().unwrap_or_default().to_owned();
                    return Err(Refused {
                        uri: message[2].as_str().unwrap().to_owned(),
                        message: message_text,
                    });
                }
                _ => panic!("not expected while joining: {message}"),
            }
        }
    }

    /// Calls with keyword arguments; gives the one positional result.
    pub async fn call(&mut self, uri: &str, kwargs: Value) -> Result<Value, Refused> {
        let request = self.begin_call(uri, kwargs).await;
        loop {
            let message = self.receive().await;
            match message[0].as_u64() {
                Some(RESULT) if message[1] == request => return Ok(message[3][0].clone()),
                Some(ERROR) if message[2] == request => {
                    return Err(Refused {
                        uri: message[4].as_str().unwrap().to_owned(),
                        message: message[5][0].as_str().unwrap_or_default().to_owned(),
                    });
                }
                Some(EVENT) => self.events.push(message),
                _ => panic!("not expected while calling: {message}"),
            }
        }
    }

    /// Calls without waiting for the answer.
    pub async fn begin_call(&mut self, uri: &str, kwargs: Value) -> u64 {
        let request = self.next();
        self.send(json!([CALL, request, {}, uri, [], kwargs])).await;
        request
    }

    /// Subscribes by `exact` or `wildcard`.
    pub async fn subscribe(&mut self, uri: &str, matching: &str) {
        let request = self.next();
        self.send(json!([SUBSCRIBE, request, { "match": matching }, uri])).await;
        loop {
            let message = self.receive().await;
            match message[0].as_u64() {
                Some(SUBSCRIBED) if message[1] == request => return,
                Some(EVENT) => self.events.push(message),
                _ => panic!("not expected while subscribing: {message}"),
            }
        }
    }

    /// The keyword arguments of the next event that is `wanted`; others are dropped.
    pub async fn event(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = match self.events.is_empty() {
                true => self.receive().await,
                false => self.events.remove(0),
            };
            if message[0] == EVENT && wanted(&message[5]) {
                return message[5].clone();
            }
        }
    }

    /// The router ends the session; why.
    pub async fn ended(&mut self) -> Refused {
        loop {
            let message = self.receive().await;
            if message[0] == GOODBYE {
                return Refused {
                    uri: message[2].as_str().unwrap().to_owned(),
                    message: message[1]["message"].as_str().unwrap_or_default().to_owned(),
                };
            }
            assert_eq!(message[0], EVENT, "not expected before GOODBYE: {message}");
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn receive(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
            if let Message::Text(text) = frame.expect("the connection is open").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

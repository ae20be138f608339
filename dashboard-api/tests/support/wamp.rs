//! A plain WAMP client over WebSocket and JSON, as a browser or a stock library would speak.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

/// Far beyond what anything here takes, an alert among it, which comes 75 s after a start at the earliest; only a defect reaches it.
pub const PATIENCE: Duration = Duration::from_secs(180);

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

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A connection that is read all the time: who waits for nothing must answer the router's pings too.
pub struct Wire {
    out: SplitSink<Socket, Message>,
    arrived: mpsc::UnboundedReceiver<Result<Message, Error>>,
}

impl Wire {
    pub async fn open(url: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "wamp.2.json".parse().unwrap());
        let (out, mut frames) = connect_async(request).await.unwrap().0.split();
        let (pass_on, arrived) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let frame =
                    tokio::select! { frame = frames.next() => frame, () = pass_on.closed() => return };
                let Some(frame) = frame else { return };
                let _ = pass_on.send(frame);
            }
        });
        Self { out, arrived }
    }

    pub async fn send(&mut self, message: Value) {
        self.out.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; nothing once the connection has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Message::Text(text) = self.arrived.recv().await?.ok()? {
                return Some(serde_json::from_str(&text).unwrap());
            }
        }
    }

    pub async fn receive(&mut self) -> Value {
        let message = tokio::time::timeout(PATIENCE, self.next()).await.expect("a message in time");
        message.expect("the connection is open")
    }
}

/// A joined session.
pub struct Session {
    wire: Wire,
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
        let wire = Wire::open(url).await;
        let mut session = Self { wire, role: String::new(), next: 1, events: Vec::new() };
        let roles = json!({ "caller": {}, "subscriber": {} });
        let details = json!({ "roles": roles, "authmethods": ["ticket"], "authid": authid });
        session.wire.send(json!([HELLO, realm, details])).await;
        loop {
            let message = session.wire.receive().await;
            match message[0].as_u64() {
                Some(CHALLENGE) => session.wire.send(json!([AUTHENTICATE, ticket, {}])).await,
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
            let message = self.wire.receive().await;
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
        self.wire.send(json!([CALL, request, {}, uri, [], kwargs])).await;
        request
    }

    /// Subscribes by `exact` or `wildcard`.
    pub async fn subscribe(&mut self, uri: &str, matching: &str) {
        let request = self.next();
        self.wire.send(json!([SUBSCRIBE, request, { "match": matching }, uri])).await;
        loop {
            let message = self.wire.receive().await;
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
                true => self.wire.receive().await,
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
            let message = self.wire.receive().await;
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
}

//! A plain WAMP client over WebSocket and JSON: what a third party sees of a device.

use std::{collections::VecDeque, net::SocketAddr};

use ecep_proto::api::{Topic, error::ErrorKind};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::within;

const HELLO: u64 = 1;
const WELCOME: u64 = 2;
const CHALLENGE: u64 = 4;
const AUTHENTICATE: u64 = 5;
const ERROR: u64 = 8;
const SUBSCRIBE: u64 = 32;
const SUBSCRIBED: u64 = 33;
const EVENT: u64 = 36;
const CALL: u64 = 48;
const RESULT: u64 = 50;

/// An ERROR as it came over the wire.
#[derive(Debug, PartialEq)]
pub struct WampError {
    pub uri: String,
    pub message: String,
    pub details: Value,
}

impl WampError {
    pub fn is(&self, kind: ErrorKind) -> bool {
        self.uri == kind.uri()
    }

    /// Nobody serves what was called.
    pub fn is_not_served(&self) -> bool {
        self.uri == "wamp.error.no_such_procedure"
    }
}

pub struct Client {
    socket: WebSocketStream<TcpStream>,
    next_request: u64,
    /// Subscription and keyword arguments of events not asked for yet.
    events: VecDeque<(u64, Value)>,
    /// All that came.
    pub heard: String,
}

impl Client {
    pub async fn join(address: SocketAddr, realm: &str, authid: &str, ticket: &str) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("the router listens");
        let mut request = format!("ws://{address}/").into_client_request().expect("a request");
        let protocol = "wamp.2.json".parse().expect("a header");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
        let mut client = Self { socket, next_request: 0, events: VecDeque::new(), heard: String::new() };
        let details =
            json!({"roles": {"caller": {}, "subscriber": {}}, "authmethods": ["ticket"], "authid": authid});
        client.send(&json!([HELLO, realm, details])).await;
        assert_eq!(client.receive().await[0], CHALLENGE);
        client.send(&json!([AUTHENTICATE, ticket, {}])).await;
        let welcome = client.receive().await;
        assert_eq!(welcome[0], WELCOME, "{welcome}");
        client
    }

    /// A call with whatever keyword arguments.
    pub async fn call_with(&mut self, uri: &str, keywords: Value) -> Result<Value, WampError> {
        self.next_request += 1;
        let request = self.next_request;
        self.send(&json!([CALL, request, {}, uri, [], keywords])).await;
        loop {
            let answer = self.receive().await;
            if answer[0] == RESULT && answer[1] == request {
                return Ok(answer[3][0].clone());
            }
            if answer[0] == ERROR && answer[2] == request {
                return Err(WampError {
                    uri: answer[4].as_str().unwrap_or_default().to_owned(),
                    message: answer[5][0].as_str().unwrap_or_default().to_owned(),
                    details: answer[6].clone(),
                });
            }
            self.keep(&answer);
        }
    }

    /// Answers the subscription's id.
    pub async fn subscribe(&mut self, uri: &str) -> u64 {
        self.next_request += 1;
        let request = self.next_request;
        self.send(&json!([SUBSCRIBE, request, {}, uri])).await;
        loop {
            let answer = self.receive().await;
            if answer[0] == SUBSCRIBED && answer[1] == request {
                return answer[2].as_u64().expect("an id");
            }
            assert_ne!(answer[0], ERROR, "{answer}");
            self.keep(&answer);
        }
    }

    /// The next event of that subscription that is wanted; others of it are dropped.
    pub async fn event<T: Topic>(
        &mut self,
        subscription: u64,
        wanted: impl Fn(&T::Event) -> bool,
    ) -> T::Event {
        within("an event", self.next_event::<T>(subscription, wanted)).await
    }

    async fn next_event<T: Topic>(
        &mut self,
        subscription: u64,
        wanted: impl Fn(&T::Event) -> bool,
    ) -> T::Event {
        loop {
            while let Some(at) = self.events.iter().position(|(from, _)| *from == subscription) {
                let (_, keywords) = self.events.remove(at).expect("it is there");
                let event = serde_json::from_value(keywords).expect("the event is as the catalogue says");
                if wanted(&event) {
                    return event;
                }
            }
            let message = self.receive().await;
            self.keep(&message);
        }
    }

    fn keep(&mut self, message: &Value) {
        if message[0] == EVENT {
            self.events.push_back((message[1].as_u64().expect("an id"), message[5].clone()));
        }
    }

    async fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("the router takes it");
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = within("a message of the router", self.socket.next()).await;
            match message.expect("the router goes on").expect("a message") {
                Message::Text(text) => {
                    self.heard.push_str(&text);
                    return serde_json::from_str(&text).expect("JSON");
                }
                Message::Close(frame) => panic!("the router closed the connection: {frame:?}"),
                _ => {}
            }
        }
    }
}

//! A small client: sends and receives one message at a time, over either transport, in either serializer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::id::{RegistrationId, RequestId, SubscriptionId};
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::rawsocket::{FrameHeader, FrameKind, HEADER_BYTES, Handshake};
use ecep_proto::value::{Dict, Value};
use ecep_proto::websocket::{Framing, Subprotocol};
use ecep_router::TransportKind;
use futures_util::{SinkExt, StreamExt};
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message as Ws;

/// No step of a test takes this long unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub struct Client {
    io: Io,
    pub serializer: Serializer,
    /// How messages travel in batches, if they do.
    batches: Option<Framing>,
    /// What has come in a batch with others.
    received: VecDeque<Bytes>,
    next_request: u64,
}

enum Io {
    WebSocket(Box<WebSocketStream<Box<dyn Socket>>>),
    /// A half is missing in what `split` makes.
    RawSocket(Option<Reads>, Option<Writes>),
}

/// A connection, whatever is below it.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

type Reads = Box<dyn AsyncRead + Send + Unpin>;
type Writes = Box<dyn AsyncWrite + Send + Unpin>;

/// Waits, but not for ever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

pub fn dict(entries: &[(&str, Value)]) -> Dict {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// What HELLO needs at least.
pub fn roles() -> (&'static str, Value) {
    let roles = ["caller", "callee", "publisher", "subscriber"].map(|role| (role, Value::Map(Dict::new())));
    ("roles", Value::Map(dict(&roles)))
}

impl Client {
    pub async fn connect(address: SocketAddr, kind: TransportKind, serializer: Serializer) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self::over(Box::new(stream), address, kind, serializer).await
    }

    /// Over a connection to this address that stands already.
    pub async fn over(
        stream: Box<dyn Socket>,
        address: SocketAddr,
        kind: TransportKind,
        serializer: Serializer,
    ) -> Self {
        if kind != TransportKind::WebSocket {
            let (read, write) = tokio::io::split(stream);
            return Self::rawsocket(Box::new(read), Box::new(write), serializer).await;
        }
        Self::websocket(address, stream, Subprotocol { serializer, batched: false }).await
    }

    /// Over WebSocket, in batches.
    pub async fn connect_batched(address: SocketAddr, serializer: Serializer) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.unwrap();
        Self::websocket(address, Box::new(stream), Subprotocol { serializer, batched: true }).await
    }

    async fn websocket(address: SocketAddr, stream: Box<dyn Socket>, subprotocol: Subprotocol) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.name().parse().unwrap());
        let (stream, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], subprotocol.name());
        let (batches, received) = (subprotocol.framing(), VecDeque::new());
        let io = Io::WebSocket(Box::new(stream));
        Self { io, serializer: subprotocol.serializer, batches, received, next_request: 0 }
    }

    /// Over RawSocket on a Unix socket.
    pub async fn connect_unix(path: &Path, serializer: Serializer) -> Self {
        let (read, write) = within("a connection", UnixStream::connect(path)).await.unwrap().into_split();
        Self::rawsocket(Box::new(read), Box::new(write), serializer).await
    }

    async fn rawsocket(mut read: Reads, mut write: Writes, serializer: Serializer) -> Self {
        write.write_all(&Handshake::new(serializer, 1 << 24).encode()).await.unwrap();
        let mut answer = [0; HEADER_BYTES];
        within("a handshake", read.read_exact(&mut answer)).await.unwrap();
        assert_eq!(Handshake::decode(answer).unwrap().serializer, serializer);
        let io = Io::RawSocket(Some(read), Some(write));
        Self { io, serializer, batches: None, received: VecDeque::new(), next_request: 0 }
    }

    /// A client that only sends and one that only receives, over one RawSocket connection.
    pub fn split(self) -> (Self, Self) {
        let Io::RawSocket(read, write) = self.io else { panic!("only RawSocket can be split") };
        let part = |io| Self {
            io,
            serializer: self.serializer,
            batches: None,
            received: VecDeque::new(),
            next_request: self.next_request,
        };
        (part(Io::RawSocket(None, write)), part(Io::RawSocket(read, None)))
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        let bytes = self.serializer.encode(&message.into());
        self.send_bytes(&bytes).await;
    }

    /// Sends messages in one frame, over a batched subprotocol.
    pub async fn send_batch(&mut self, messages: impl Iterator<Item = Message>) {
        let framing = self.batches.expect("a batched subprotocol");
        let mut batch = Vec::new();
        messages.for_each(|message| framing.append(&self.serializer.encode(&message), &mut batch));
        match &mut self.io {
            Io::WebSocket(stream) => stream.send(Ws::binary(batch)).await.unwrap(),
            Io::RawSocket(..) => panic!("RawSocket has no batches"),
        }
    }

    /// Sends what may be no message at all.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let batch = self.batches.map(|framing| {
            let mut batch = Vec::new();
            framing.append(bytes, &mut batch);
            batch
        });
        let bytes = batch.as_deref().unwrap_or(bytes);
        // A router that has hung up is what some tests want; they see it when they receive.
        match &mut self.io {
            Io::WebSocket(stream) => {
                let frame = match std::str::from_utf8(bytes) {
                    Ok(text) if !self.serializer.is_binary() => Ws::text(text.to_owned()),
                    _ => Ws::binary(bytes.to_vec()),
                };
                let _ = stream.send(frame).await;
            }
            Io::RawSocket(_, write) => {
                let header = FrameHeader { kind: FrameKind::Message, length: bytes.len() }.encode().unwrap();
                let _ = write.as_mut().unwrap().write_all(&[&header[..], bytes].concat()).await;
            }
        }
    }

    /// Asks the router for a sign of life, and waits for it.
    pub async fn ping(&mut self) {
        let content = b"are you there";
        match &mut self.io {
            Io::WebSocket(stream) => {
                stream.send(Ws::Ping(Bytes::from_static(content))).await.unwrap();
                let answer = within("PONG", stream.next()).await;
                assert_eq!(answer.unwrap().unwrap(), Ws::Pong(Bytes::from_static(content)));
            }
            Io::RawSocket(read, write) => {
                let header = FrameHeader { kind: FrameKind::Ping, length: content.len() }.encode().unwrap();
                write.as_mut().unwrap().write_all(&[&header[..], content].concat()).await.unwrap();
                let mut answer = [0; HEADER_BYTES + 13];
                within("PONG", read.as_mut().unwrap().read_exact(&mut answer)).await.unwrap();
                assert_eq!(answer[..HEADER_BYTES], [2, 0, 0, 13]);
                assert_eq!(&answer[HEADER_BYTES..], content);
            }
        }
    }

    /// The next message; none when the router has hung up. Answers pings on the way.
    pub async fn try_receive(&mut self) -> Option<Message> {
        loop {
            if let Some(bytes) = self.received.pop_front() {
                return Some(self.serializer.decode(bytes).expect("the router sends messages"));
            }
            let bytes = match &mut self.io {
                Io::WebSocket(stream) => match stream.next().await? {
                    Ok(Ws::Text(text)) => Bytes::from(text),
                    Ok(Ws::Binary(bytes)) => bytes,
                    Ok(Ws::Ping(_) | Ws::Pong(_)) => continue,
                    Ok(_) | Err(_) => return None,
                },
                Io::RawSocket(read, write) => {
                    let read = read.as_mut().unwrap();
                    let mut header = [0; HEADER_BYTES];
                    read.read_exact(&mut header).await.ok()?;
                    let header = FrameHeader::decode(header).unwrap();
                    let mut content = vec![0; header.length];
                    read.read_exact(&mut content).await.ok()?;
                    if header.kind == FrameKind::Ping
                        && let Some(write) = write
                    {
                        let pong = FrameHeader { kind: FrameKind::Pong, ..header }.encode().unwrap();
                        let _ = write.write_all(&[&pong[..], &content].concat()).await;
                    }
                    if header.kind != FrameKind::Message {
                        continue;
                    }
                    Bytes::from(content)
                }
            };
            match self.batches {
                Some(framing) => {
                    self.received.extend(framing.split(bytes).map(|message| message.expect("a whole batch")));
                }
                None => self.received.push_back(bytes),
            }
        }
    }

    pub async fn receive(&mut self) -> Message {
        within("a message", self.try_receive()).await.expect("a message, not the end of the connection")
    }

    pub async fn hung_up(&mut self) {
        let message = within("the end of the connection", self.try_receive()).await;
        assert_eq!(message, None);
    }

    pub async fn hello(&mut self, realm: &str, details: Dict) {
        self.send(Hello { realm: realm.into(), details }).await;
    }

    /// Joins as nobody in particular.
    pub async fn join(&mut self, realm: &str) -> Welcome {
        self.hello(realm, dict(&[roles()])).await;
        match self.receive().await {
            Message::Welcome(welcome) => welcome,
            other => panic!("{other:?} instead of WELCOME"),
        }
    }

    /// Joins by ticket; the router's last word.
    pub async fn join_by_ticket(&mut self, realm: &str, authid: &str, ticket: &str) -> Message {
        let methods = Value::List(vec!["ticket".into()]);
        self.hello(realm, dict(&[roles(), ("authid", authid.into()), ("authmethods", methods)])).await;
        match self.receive().await {
            Message::Challenge(challenge) => assert_eq!(challenge.method, "ticket"),
            other => return other,
        }
        self.send(Authenticate { signature: ticket.into(), extra: Dict::new() }).await;
        self.receive().await
    }

    /// The router has refused; why.
    pub async fn aborted(&mut self) -> (String, String) {
        match self.receive().await {
            Message::Abort(abort) => {
                self.hung_up().await;
                reason(&abort)
            }
            other => panic!("{other:?} instead of ABORT"),
        }
    }

    pub fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId::new(self.next_request).unwrap()
    }

    pub async fn subscribe(&mut self, topic: &str) -> SubscriptionId {
        let request = self.request();
        self.send(Subscribe { request, options: Dict::new(), topic: topic.into() }).await;
        match self.receive().await {
            Message::Subscribed(message) => message.subscription,
            other => panic!("{other:?} instead of SUBSCRIBED"),
        }
    }

    pub async fn register(&mut self, procedure: &str) -> RegistrationId {
        let request = self.request();
        self.send(Register { request, options: Dict::new(), procedure: procedure.into() }).await;
        match self.receive().await {
            Message::Registered(message) => message.registration,
            other => panic!("{other:?} instead of REGISTERED"),
        }
    }

    pub async fn begin_call(&mut self, procedure: &str, payload: Payload) -> RequestId {
        let request = self.request();
        self.send(Call { request, options: Dict::new(), procedure: procedure.into(), payload }).await;
        request
    }

    pub async fn call(&mut self, procedure: &str, payload: Payload) -> Message {
        self.begin_call(procedure, payload).await;
        self.receive().await
    }

    pub async fn publish(&mut self, topic: &str, payload: Payload) {
        let request = self.request();
        let options = dict(&[("acknowledge", true.into())]);
        self.send(Publish { request, options, topic: topic.into(), payload }).await;
        match self.receive().await {
            Message::Published(message) => assert_eq!(message.request, request),
            other => panic!("{other:?} instead of PUBLISHED"),
        }
    }

    pub async fn invocation(&mut self) -> Invocation {
        match self.receive().await {
            Message::Invocation(invocation) => invocation,
            other => panic!("{other:?} instead of INVOCATION"),
        }
    }

    pub async fn event(&mut self) -> Event {
        match self.receive().await {
            Message::Event(event) => event,
            other => panic!("{other:?} instead of EVENT"),
        }
    }

    /// How many sessions the realm has.
    pub async fn session_count(&mut self) -> u64 {
        match self.call("wamp.session.count", Payload::default()).await {
            Message::CallResult(result) => result.payload.args()[0].as_u64().unwrap(),
            other => panic!("{other:?} instead of RESULT"),
        }
    }

    /// Waits until the realm has so many sessions.
    pub async fn wait_for_sessions(&mut self, wanted: u64) {
        within(&format!("{wanted} sessions"), async {
            while self.session_count().await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

pub fn reason(abort: &Abort) -> (String, String) {
    let message = abort.details["message"].as_str().unwrap();
    (abort.reason.clone(), message.to_owned())
}

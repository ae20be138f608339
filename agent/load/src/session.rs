//! A tenant's client: a WAMP session of its own over WebSocket and JSON, as a browser or a program has it. It calls and
//! subscribes. It does not come back by itself.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ecep_proto::{
    api::{Procedure, realm},
    codec::Serializer,
    message::{
        Authenticate, Call, CallResult, Challenge, Error, Event, Hello, Subscribe, Subscribed, Welcome,
    },
    websocket::Subprotocol,
};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::plan::{Plan, Tenant};

/// An answer that takes longer is none: people have gone by then.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Events that wait to be looked at. Policy: the reader waits, so that the router sees a slow client.
const EVENTS: usize = 4_096;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[derive(Debug, Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Result<Value>>>,
    is_over: bool,
}

/// A joined session; dropping it ends it.
pub struct Session {
    sink: tokio::sync::Mutex<SplitSink<Socket, Message>>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Session {
    /// Joins the tenant's realm with its API token. The keyword arguments of events come out of the receiver.
    ///
    /// # Errors
    /// The router is out of reach or refuses.
    pub async fn join(plan: &Plan, tenant: &Tenant) -> Result<(Self, mpsc::Receiver<Value>)> {
        timeout(ANSWER_WITHIN, Self::join_at(&plan.wamp, tenant))
            .await
            .context("the router does not answer")?
    }

    async fn join_at(url: &str, tenant: &Tenant) -> Result<(Self, mpsc::Receiver<Value>)> {
        let mut request = url.into_client_request()?;
        let subprotocol = Subprotocol { serializer: Serializer::Json, batched: false };
        let name = HeaderValue::from_str(subprotocol.name())?;
        request.headers_mut().insert("sec-websocket-protocol", name);
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
        let details = json!({
            "roles": { "caller": {}, "subscriber": {} }, "authmethods": ["ticket"], "authid": tenant.token_id,
        });
        socket.send(text(&json!([Hello::CODE, realm::of_tenant(&tenant.slug), details]))).await?;
        expect(&mut socket, Challenge::CODE).await?;
        socket.send(text(&json!([Authenticate::CODE, tenant.token_secret, {}]))).await?;
        expect(&mut socket, Welcome::CODE).await?;
        let (sink, mut stream) = socket.split();
        let (events, received) = mpsc::channel(EVENTS);
        let waiting = Arc::<Mutex<Waiting>>::default();
        let answered = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            while let Some(Ok(frame)) = stream.next().await {
                if !matches!(frame, Message::Text(_)) {
                    continue;
                }
                if let Some(event) = take(&frame.into_data(), &answered)
                    && events.send(event).await.is_err()
                {
                    break;
                }
            }
            let mut waiting = lock(&answered);
            waiting.is_over = true;
            // Whoever waits is told by the loss of its channel.
            waiting.answers.clear();
        });
        let sink = tokio::sync::Mutex::new(sink);
        Ok((Self { sink, waiting, next: AtomicU64::new(1), reader }, received))
    }

    /// Whether the session has ended.
    pub fn is_over(&self) -> bool {
        lock(&self.waiting).is_over
    }

    /// Calls a procedure under this URI.
    ///
    /// # Errors
    /// It answers with an error, or not at all.
    pub async fn call<P: Procedure>(&self, uri: &str, request: &P::Request) -> Result<P::Reply> {
        let answer = self.ask(|id| json!([Call::CODE, id, {}, uri, [], request])).await;
        let mut answer = answer.with_context(|| uri.to_owned())?;
        Ok(serde_json::from_value(answer[3][0].take())?)
    }

    /// Subscribes to every topic that matches the wildcard.
    ///
    /// # Errors
    /// The router refuses.
    pub async fn subscribe(&self, pattern: &str) -> Result<()> {
        let options = json!({ "match": "wildcard" });
        self.ask(|id| json!([Subscribe::CODE, id, options, pattern])).await.map(drop)
    }

    async fn ask(&self, message: impl FnOnce(u64) -> Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            ensure!(!waiting.is_over, "the session has ended");
            waiting.answers.insert(id, answer);
        }
        self.sink.lock().await.send(text(&message(id))).await?;
        match timeout(ANSWER_WITHIN, answered).await {
            Ok(answer) => answer.context("the session has ended")?,
            Err(_) => {
                lock(&self.waiting).answers.remove(&id);
                bail!("no answer within {ANSWER_WITHIN:?}")
            }
        }
    }
}

/// Hands an answer to whoever waits for it; answers the keyword arguments of an event.
fn take(frame: &[u8], waiting: &Mutex<Waiting>) -> Option<Value> {
    let mut message: Value = serde_json::from_slice(frame).ok()?;
    let code = message[0].as_u64()?;
    if code == Event::CODE {
        return Some(message[5].take());
    }
    let (id, answer) = match code {
        CallResult::CODE | Subscribed::CODE => (message[1].as_u64()?, Ok(message)),
        Error::CODE => (message[2].as_u64()?, Err(anyhow!("{}: {}", message[4], message[5]))),
        _ => return None,
    };
    if let Some(asked) = lock(waiting).answers.remove(&id) {
        // Whoever asked may have given up.
        let _ = asked.send(answer);
    }
    None
}

fn text(message: &Value) -> Message {
    Message::text(message.to_string())
}

async fn expect(socket: &mut Socket, code: u64) -> Result<()> {
    loop {
        let frame = socket.next().await.context("the router closed the connection")??;
        if let Message::Text(text) = frame {
            let message: Value = serde_json::from_str(&text)?;
            ensure!(message[0] == code, "the router says {message}");
            return Ok(());
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

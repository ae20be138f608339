//! The router's own session on the control realm: asks the control plane whether a client may join a platform realm.
//!
//! It calls the procedure that the control plane registers there, like any other caller, and registers the one that
//! the router serves itself (`end_sessions`), like any other callee. If it is ended it joins again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ecep_proto::api::auth::{AuthenticateReply, AuthenticateRequest};
use ecep_proto::api::error::ErrorKind;
use ecep_proto::api::{Authenticate, EndSessions, Procedure};
use ecep_proto::codec::Serializer;
use ecep_proto::error::{AUTHENTICATION_DENIED, AUTHENTICATION_FAILED};
use ecep_proto::id::RequestId;
use ecep_proto::message::{Abort, Call, Message, Register};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router_core::features::Features;
use ecep_router_core::{Identity, SessionKey, abort};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::end_sessions;
use crate::hub::{Hub, Seat};
use crate::outbound::Outbound;
use crate::platform::{CONTROL, ROUTER};
use crate::realm_task::{Gate, ToRealm};

/// How long the control plane may take to answer. It looks up one hash; who waits is a client in its handshake.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many clients may wait for their question to be asked; further ones wait in their own handshake.
const QUESTIONS: usize = 256;

/// How long to wait before joining again: so long at first, and twice as long whenever the session has not lasted.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause, and how long a session must last for the next pause to be the first again. Nobody joins a platform
/// realm in the meantime, so no longer than an operator looks for the reason.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Asks the control plane.
#[derive(Clone, Debug)]
pub(crate) struct Authenticator(mpsc::Sender<Question>);

#[derive(Debug)]
struct Question {
    request: AuthenticateRequest,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<AuthenticateReply, Abort>;

impl Authenticator {
    /// Joins the control realm; the returned future runs the session until every `Authenticator` is gone. None if
    /// there is no control realm.
    pub(crate) fn new(hub: &Arc<Hub>) -> Option<(Self, impl Future<Output = ()> + use<>)> {
        let seat = hub.enter(CONTROL)?;
        let (sender, questions) = mpsc::channel(QUESTIONS);
        Some((Self(sender), run(hub.clone(), seat, questions)))
    }

    /// Whether the client may join.
    ///
    /// # Errors
    /// The ABORT for the client: denied by the control plane, or nobody could say.
    pub(crate) async fn ask(&self, request: AuthenticateRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = self.0.send(Question { request, answer }).await;
        match (asked, answered.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => Err(abort(AUTHENTICATION_FAILED, "the router is shutting down; try again in a few seconds")),
        }
    }
}

/// Joins, again and again until the router shuts down.
async fn run(hub: Arc<Hub>, seat: Seat, mut questions: mpsc::Receiver<Question>) {
    let (mut next, mut pause) = (Some(seat), FIRST_PAUSE);
    while let Some(seat) = next {
        let joined = Instant::now();
        if let Ended::ForGood = session(&hub, seat, &mut questions).await {
            return;
        }
        pause = if joined.elapsed() < LONGEST_PAUSE { pause } else { FIRST_PAUSE };
        next = hub.enter(CONTROL);
        if next.is_some() {
            let milliseconds = pause.as_millis() as u64;
            tracing::warn!(milliseconds, "the router's own session was ended; it joins again after a pause");
            sleep(pause).await;
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Why there is no session any more.
enum Ended {
    /// Nobody has questions any more.
    ForGood,
    /// The realm has ended it.
    ByTheRealm,
}

/// One session, from joining to its end.
async fn session(hub: &Arc<Hub>, seat: Seat, questions: &mut mpsc::Receiver<Question>) -> Ended {
    let identity = Identity {
        authid: ROUTER.to_owned(),
        authrole: ROUTER.to_owned(),
        authmethod: "internal".to_owned(),
        authprovider: "router".to_owned(),
    };
    let outbound = Outbound::new(Serializer::MsgPack, usize::MAX, &hub.limits, &hub.budget);
    let (key, joined) = oneshot::channel();
    seat.tell(ToRealm::Join {
        outbound: outbound.clone(),
        gate: Arc::new(Gate::default()),
        identity,
        features: Features::default(),
        key,
    })
    .await;
    let Ok(session) = joined.await else { return Ended::ByTheRealm };
    let mut pending: HashMap<RequestId, oneshot::Sender<Answer>> = HashMap::new();
    let mut next = RequestId::FIRST;
    let procedure = EndSessions::URI.to_owned();
    send(&seat, session, Register { request: next, options: Dict::new(), procedure }).await;
    next = next.next();
    let ended = loop {
        tokio::select! {
            // What the realm says comes first: a session that has ended must not take questions.
            biased;
            frames = outbound.take() => {
                let Some(frames) = frames else { break Ended::ByTheRealm };
                for frame in frames {
                    match Serializer::MsgPack.decode(frame.into_bytes()) {
                        Ok(Message::Invocation(invocation)) => {
                            send(&seat, session, end_sessions::serve(hub, invocation).await).await;
                        }
                        Ok(message) => {
                            if let Some((request, result)) = read(message)
                                && let Some(answer) = pending.remove(&request)
                            {
                                // A client that has gone does not want the answer any more.
                                let _ = answer.send(result);
                            }
                        }
                        Err(error) => tracing::error!(%error, "the router cannot read its own message"),
                    }
                }
            }
            question = questions.recv(), if pending.len() < hub.limits.pending_calls() => {
                let Some(Question { request, answer }) = question else { break Ended::ForGood };
                // The client may have given up while it waited.
                if !answer.is_closed() {
                    ask(&seat, session, next, request).await;
                    pending.insert(next, answer);
                    next = next.next();
                }
            }
        }
    };
    for (_, answer) in pending {
        let text = "the router's own session was ended before the control plane answered; try again in a few seconds";
        let _ = answer.send(Err(abort(AUTHENTICATION_FAILED, text)));
    }
    seat.leave(session).await;
    ended
}

async fn ask(seat: &Seat, session: SessionKey, request: RequestId, question: AuthenticateRequest) {
    let kwargs =
        serde_json::to_value(question).ok().and_then(|json| serde_json::from_value::<Dict>(json).ok());
    let milliseconds = ANSWER_TIMEOUT.as_millis() as u64;
    let call = Call {
        request,
        options: Dict::from([("timeout".to_owned(), Value::from(milliseconds))]),
        procedure: Authenticate::URI.to_owned(),
        payload: Payload::new(Vec::new(), kwargs.unwrap_or_default()),
    };
    send(seat, session, call).await;
}

async fn send(seat: &Seat, session: SessionKey, message: impl Into<Message>) {
    let message = message.into();
    if let Some(permit) = seat.room(0).await {
        seat.tell(ToRealm::Received { session, messages: vec![message], permit }).await;
    }
}

/// The answer to a question, if that is what the message is.
fn read(message: Message) -> Option<(RequestId, Answer)> {
    match message {
        Message::CallResult(result) => Some((result.request, accepted(&result.payload))),
        Message::Error(error) => {
            let said = error.payload.args().first().and_then(Value::as_str);
            Some((error.request, Err(refused(&error.error, said))))
        }
        _ => None,
    }
}

fn accepted(payload: &Payload) -> Answer {
    let reply = payload.args().first().and_then(|reply| serde_json::to_value(reply).ok());
    reply.and_then(|reply| serde_json::from_value(reply).ok()).ok_or_else(|| {
        let text = "the control plane's answer could not be understood: are router and control plane of one version?";
        abort(AUTHENTICATION_FAILED, text)
    })
}

/// A refusal that the control plane means is passed on; anything else means that nobody could say.
fn refused(error: &str, said: Option<&str>) -> Abort {
    let meant = [ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::InvalidArgument];
    if meant.iter().any(|kind| kind.uri() == error) {
        return abort(AUTHENTICATION_DENIED, said.unwrap_or("the control plane refused the ticket"));
    }
    let text = format!(
        "the control plane is not connected or did not answer ({}); try again in a few seconds",
        said.unwrap_or(error)
    );
    abort(AUTHENTICATION_FAILED, &text)
}

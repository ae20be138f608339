//! One WAMP session, from connect to its end. It owns the tasks of the client; dropping it ends them.

use std::{sync::Arc, time::Duration};

use ecep_proto::api::{
    LIVENESS_PROBE,
    error::{ApiError, ErrorKind},
    reply::Reply,
};
use ecep_tls::Trust;
use tokio::{
    sync::{Semaphore, mpsc::UnboundedReceiver},
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use wamp_async::{
    AuthenticationChallengeResponse, AuthenticationMethod, Client, ClientConfig, GenericFuture,
    SerializerType, WampError, WampKwArgs,
};

use crate::{
    builder::Credentials,
    envelope::{Handler, Invocation},
    loopback::{Tunnel, TunnelError},
};

/// Each step of connecting and joining. Longer than the router's own limits, so that its reason arrives.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent peer is found after this and [`PROBE_TIMEOUT`] at most.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// A router that is alive answers a probe much faster.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Procedures at work at once; more are refused with `ecep.error.limit`, since the client's own queue has no
/// bound and a device is small.
const MAX_CONCURRENT_CALLS: usize = 256;

/// Why a session could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error("no answer from {url} within {STEP_TIMEOUT:?}")]
    TimedOut { url: String },
    #[error("{url} is no address of a router: {reason}")]
    Address { url: String, reason: url::ParseError },
    #[error("cannot connect to {url}: {source}")]
    Tunnel { url: String, source: TunnelError },
    #[error("cannot connect to {url}: {source}")]
    Connect { url: String, source: WampError },
    #[error("{url} did not let {authid} join {realm}: {source}")]
    Join { url: String, realm: String, authid: String, source: WampError },
    #[error("cannot register {uri}: {source}")]
    Register { uri: String, source: WampError },
}

/// A joined session.
pub(crate) struct Session {
    pub(crate) client: Client<'static>,
    event_loop: JoinHandle<()>,
    invocations: JoinHandle<()>,
    over: CancellationToken,
    /// Where TLS is spoken.
    _tunnel: Option<Tunnel>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.event_loop.abort();
        self.invocations.abort();
    }
}

impl Session {
    /// Connects, joins, and registers every procedure.
    pub(crate) async fn join(
        credentials: Credentials,
        trust: &Trust,
        procedures: &[(String, Handler)],
    ) -> Result<Session, JoinError> {
        let Credentials { url, realm, authid, ticket } = credentials;
        let timed_out = || JoinError::TimedOut { url: url.clone() };

        // MessagePack would let any caller end this crate's event loop with a byte string.
        let config = ClientConfig::default().set_serializers(vec![SerializerType::Json]);
        let address =
            url::Url::parse(&url).map_err(|reason| JoinError::Address { url: url.clone(), reason })?;
        let tunnel = match address.scheme() {
            "wss" => {
                let opened = timeout(STEP_TIMEOUT, Tunnel::open(&address, trust)).await;
                let failed = |source| JoinError::Tunnel { url: url.clone(), source };
                Some(opened.map_err(|_| timed_out())?.map_err(failed)?)
            }
            _ => None,
        };
        let target = tunnel.as_ref().map_or(url.as_str(), Tunnel::url);
        let (client, (event_loop, invocations)) =
            timeout(STEP_TIMEOUT, Client::connect(target, Some(config)))
                .await
                .map_err(|_| timed_out())?
                .map_err(|source| JoinError::Connect { url: url.clone(), source })?;
        let over = CancellationToken::new();
        let tell_end = over.clone().drop_guard();
        let mut session = Session {
            client,
            event_loop: tokio::spawn(async move {
                let _tell_end = tell_end;
                // Its end is what matters; the reason is in the crate's own log.
                let _ = event_loop.await;
            }),
            invocations: tokio::spawn(run_invocations(invocations)),
            over,
            _tunnel: tunnel,
        };

        let answer_challenge = move |_method, _extra| {
            let ticket = ticket.clone();
            async move { Ok(AuthenticationChallengeResponse::with_signature(ticket)) }
        };
        let methods = vec![AuthenticationMethod::Ticket];
        let joining =
            session.client.join_realm_with_authentication(&realm, methods, &authid, answer_challenge);
        timeout(STEP_TIMEOUT, joining).await.map_err(|_| timed_out())?.map_err(|source| JoinError::Join {
            url: url.clone(),
            realm,
            authid,
            source,
        })?;

        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_CALLS));
        for (uri, handler) in procedures {
            let handler = Arc::clone(handler);
            let permits = Arc::clone(&permits);
            let function = move |positional: Option<Vec<_>>, keyword: Option<WampKwArgs>| {
                let permit = Arc::clone(&permits).try_acquire_owned();
                let invocation = Invocation {
                    positional: positional.unwrap_or_default(),
                    keyword: keyword.unwrap_or_default(),
                };
                let handler = Arc::clone(&handler);
                async move {
                    let reply = match permit {
                        Ok(_permit) => handler(invocation).await,
                        Err(_) => Reply::Error(ApiError::new(
                            ErrorKind::Limit,
                            format!(
                                "{MAX_CONCURRENT_CALLS} calls are at work here already; try again in a moment"
                            ),
                        )),
                    };
                    Ok((None, Some(yield_of(reply))))
                }
            };
            timeout(STEP_TIMEOUT, session.client.register(uri, function))
                .await
                .map_err(|_| timed_out())?
                .map_err(|source| JoinError::Register { uri: uri.clone(), source })?;
        }
        Ok(session)
    }

    /// Returns when the session has ended or its router has gone silent, and says which.
    pub(crate) async fn ended(&self) -> &'static str {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + PROBE_EVERY, PROBE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.over.run_until_cancelled(ticks.tick()).await.is_none() {
                return "the connection has ended";
            }
            match timeout(PROBE_TIMEOUT, self.client.call(LIVENESS_PROBE, None, None)).await {
                // "Not authorized" comes from a router that is alive.
                Ok(Ok(_) | Err(WampError::ServerError(..))) => {}
                Ok(Err(_)) => return "the connection has ended",
                Err(_) => return "the router does not answer",
            }
        }
    }
}

/// Runs each call in a task of its own. How many do real work is bounded by [`MAX_CONCURRENT_CALLS`].
async fn run_invocations(queue: Option<UnboundedReceiver<GenericFuture<'static>>>) {
    let Some(mut queue) = queue else { return };
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            invocation = queue.recv() => match invocation {
                Some(invocation) => { running.spawn(invocation); }
                None => return,
            },
            Some(_) = running.join_next() => {}
        }
    }
}

fn yield_of(reply: Reply) -> WampKwArgs {
    match serde_json::to_value(reply) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => WampKwArgs::new(),
    }
}

//! The handle of a supervised session: call, publish, watch its state. Clones share the session.

use std::{sync::Arc, time::Duration};

use ecep_proto::api::{Procedure, Topic};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use wamp_async::WampError;

use crate::{
    builder::{Credentials, CredentialsError, LinkBuilder},
    envelope,
    session::Session,
    watched,
};

/// A call is given up after this time. Callees answer within 4 s (`operation::ANSWER_WITHIN_MS`).
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The router acknowledges a publish at once; later than this, it is out of reach.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not joined; trying.
    Connecting,
    /// Joined, every procedure registered.
    Joined {
        /// Counts the sessions of this link, from 1.
        generation: u64,
    },
    /// Cancelled; it stays so.
    Closed,
}

/// Why a call or a publish failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no session now; try again once the link has joined.
    #[error("not connected to the router; the link tries again by itself")]
    NotJoined,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The router or the callee answered with an ERROR.
    #[error("{message} ({uri})")]
    Remote {
        /// The error's URI.
        uri: String,
        /// What it says, where it says anything.
        message: String,
    },
    /// The answer is not of the expected shape; the two ends have different versions.
    #[error("the answer is not as expected (do both ends have the same version?): {0}")]
    Malformed(String),
}

/// A supervised session.
#[derive(Clone)]
pub struct Link {
    pub(crate) state: watch::Receiver<LinkState>,
    pub(crate) session: watch::Receiver<Option<Arc<Session>>>,
}

impl Link {
    /// Begins to set up a link; `name` is for the log. `credentials` is asked before each attempt to join.
    pub fn builder<F, Fut>(name: impl Into<String>, credentials: F) -> LinkBuilder
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
    {
        LinkBuilder::new(name.into(), credentials)
    }

    /// Whether the session stands, and each change of it.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Whether anybody subscribes to a topic, and each change of it; asked until `cancel`. True until it is known.
    pub fn watched(&self, topic: String, cancel: CancellationToken) -> watch::Receiver<bool> {
        let (told, watched) = watch::channel(true);
        watched::spawn(self.clone(), topic, told, cancel);
        watched
    }

    /// Calls a procedure under this URI.
    ///
    /// # Errors
    /// See [`CallError`]. After `TimedOut` and `NotJoined` it is unknown or certain, respectively, that
    /// nothing was done.
    pub async fn call<P: Procedure>(&self, uri: &str, request: &P::Request) -> Result<P::Reply, CallError> {
        let session = self.current()?;
        let keywords =
            envelope::keywords(request).map_err(|error| CallError::Malformed(error.to_string()))?;
        let answer = timeout(CALL_TIMEOUT, session.client.call(uri, None, Some(keywords)));
        let (positional, _) = answer.await.map_err(|_| CallError::TimedOut)?.map_err(remote)?;
        envelope::result(positional).map_err(|error| CallError::Malformed(error.to_string()))
    }

    /// Publishes an event on this URI, and waits until the router has it.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn publish<T: Topic>(&self, uri: &str, event: &T::Event) -> Result<(), CallError> {
        let session = self.current()?;
        let keywords = envelope::keywords(event).map_err(|error| CallError::Malformed(error.to_string()))?;
        let acknowledged = timeout(PUBLISH_TIMEOUT, session.client.publish(uri, None, Some(keywords), true));
        acknowledged.await.map_err(|_| CallError::TimedOut)?.map_err(remote)?;
        Ok(())
    }

    fn current(&self) -> Result<Arc<Session>, CallError> {
        self.session.borrow().clone().ok_or(CallError::NotJoined)
    }
}

/// The router puts the message of an ERROR into its details, since the crate drops the arguments.
fn remote(error: WampError) -> CallError {
    match error {
        WampError::ServerError(uri, mut details) => {
            let message = match details.remove("message") {
                Some(wamp_async::Arg::String(text) | wamp_async::Arg::Uri(text)) => text,
                _ => "refused".to_owned(),
            };
            CallError::Remote { uri, message }
        }
        other => CallError::Remote { uri: String::new(), message: other.to_string() },
    }
}

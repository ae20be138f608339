//! How a [`Link`] is set up: where its credentials come from, and which procedures it serves.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use ecep_proto::api::{Procedure, error::ApiError, reply::Caller};
use ecep_tls::Trust;
use tokio_util::sync::CancellationToken;

use crate::{
    envelope::{self, Handler, Served, Witness},
    link::Link,
    supervisor,
};

/// All that is needed to join a realm.
#[derive(Clone)]
pub struct Credentials {
    /// The router's address, `ws://host:port/path` or `wss://host:port/path`.
    pub url: String,
    /// The realm.
    pub realm: String,
    /// As whom.
    pub authid: String,
    /// The secret.
    pub ticket: String,
}

/// Why there are no credentials now; shown to a person.
pub type CredentialsError = Box<dyn Error + Send + Sync>;

pub(crate) type CredentialsFuture =
    Pin<Box<dyn Future<Output = Result<Credentials, CredentialsError>> + Send>>;
pub(crate) type CredentialsSource = Arc<dyn Fn() -> CredentialsFuture + Send + Sync>;

/// Collects what a link needs; [`LinkBuilder::spawn`] starts it.
pub struct LinkBuilder {
    pub(crate) name: String,
    pub(crate) credentials: CredentialsSource,
    pub(crate) trust: Trust,
    pub(crate) procedures: Vec<(String, Handler)>,
    witness: Arc<OnceLock<Witness>>,
}

impl LinkBuilder {
    pub(crate) fn new<F, Fut>(name: String, credentials: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credentials, CredentialsError>> + Send + 'static,
    {
        Self {
            name,
            credentials: Arc::new(move || Box::pin(credentials())),
            trust: Trust::system(),
            procedures: Vec::new(),
            witness: Arc::default(),
        }
    }

    /// Which routers are believed when they are reached by `wss`; those of the system's authorities unless this is called.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Serves a procedure under this URI, on this session and every later one.
    #[must_use]
    pub fn procedure<P, F, Fut>(mut self, uri: String, function: F) -> Self
    where
        P: Procedure,
        F: Fn(Caller, P::Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<P::Reply, ApiError>> + Send + 'static,
    {
        let handler = envelope::handler::<P, F, Fut>(function);
        self.procedures.push((uri, envelope::witnessed(P::URI, handler, Arc::clone(&self.witness))));
        self
    }

    /// Has this witness told of every call of every procedure before its answer leaves. Only the first witness counts.
    #[must_use]
    pub fn witness<F, Fut>(self, witness: F) -> Self
    where
        F: Fn(Served) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let _ = self.witness.set(Arc::new(move |served| Box::pin(witness(served))));
        self
    }

    /// Starts the link; it joins and rejoins until `cancel` is cancelled.
    pub fn spawn(self, cancel: CancellationToken) -> Link {
        supervisor::spawn(self, cancel)
    }
}

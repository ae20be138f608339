//! The task that keeps a link joined. It logs one line for each change, not one for each attempt.

use std::{sync::Arc, time::Duration};

use ecep_proto::backoff::Backoff;
use ecep_tls::Trust;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    builder::{CredentialsError, CredentialsSource, LinkBuilder},
    envelope::Handler,
    link::{Link, LinkState},
    session::Session,
};

/// The first wait before joining again. Short, so that a router that restarts is found again at once.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: what a person is ready to wait once the router is back.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// Getting credentials may be an HTTP request to a cloud that is just starting.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) fn spawn(builder: LinkBuilder, cancel: CancellationToken) -> Link {
    let (state, state_receiver) = watch::channel(LinkState::Connecting);
    let (session, session_receiver) = watch::channel(None);
    let LinkBuilder { name, credentials, trust, procedures, .. } = builder;
    let supervisor = Supervisor { name, credentials, trust, procedures, state, session };
    tokio::spawn(supervisor.run(cancel));
    Link { state: state_receiver, session: session_receiver }
}

struct Supervisor {
    name: String,
    credentials: CredentialsSource,
    trust: Trust,
    procedures: Vec<(String, Handler)>,
    state: watch::Sender<LinkState>,
    session: watch::Sender<Option<Arc<Session>>>,
}

impl Supervisor {
    async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.keep_joined()).await;
        self.session.send_replace(None);
        self.state.send_replace(LinkState::Closed);
    }

    async fn keep_joined(&self) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut generation = 0;
        let mut last_failure = None;
        loop {
            match self.join().await {
                Ok(session) => {
                    generation += 1;
                    last_failure = None;
                    backoff.reset();
                    tracing::info!(link = %self.name, generation, "joined");
                    let session = Arc::new(session);
                    self.session.send_replace(Some(Arc::clone(&session)));
                    self.state.send_replace(LinkState::Joined { generation });
                    let why = session.ended().await;
                    self.session.send_replace(None);
                    self.state.send_replace(LinkState::Connecting);
                    tracing::warn!(link = %self.name, generation, why, "session lost, joining again");
                }
                Err(error) => {
                    let failure = error.to_string();
                    if last_failure.as_deref() != Some(failure.as_str()) {
                        tracing::warn!(link = %self.name, %failure, "cannot join, trying again");
                        last_failure = Some(failure);
                    }
                }
            }
            tokio::time::sleep(backoff.next(rand::random())).await;
        }
    }

    async fn join(&self) -> Result<Session, CredentialsError> {
        let credentials = timeout(CREDENTIALS_TIMEOUT, (self.credentials)())
            .await
            .map_err(|_| format!("no credentials within {CREDENTIALS_TIMEOUT:?}"))??;
        Ok(Session::join(credentials, &self.trust, &self.procedures).await?)
    }
}

//! Has the router end the sessions of whoever may not be there any more, as soon as the router can be reached. Whoever
//! orders it does not wait.

use std::time::Duration;

use ecep_link::{CallError, Link, LinkState};
use ecep_proto::api::{
    EndSessions, Procedure,
    auth::{EndSessionsReply, EndSessionsRequest},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Orders that wait for the router: more than people give while it restarts. Policy: when it is full the newest is
/// dropped and logged; those sessions go on until they end by themselves.
const QUEUE: usize = 1_024;

/// How long to wait after a failed attempt: the link has just broken, or the router did not answer.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// The queue of orders.
pub(super) struct Revoker(mpsc::Sender<EndSessionsRequest>);

impl Revoker {
    pub(super) fn spawn(link: Link, stop: CancellationToken) -> Self {
        let (queue, orders) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            stop.run_until_cancelled(end_all(&link, orders)).await;
        });
        Self(queue)
    }

    pub(super) fn end(&self, order: EndSessionsRequest) {
        if let Err(error) = self.0.try_send(order) {
            let authid = error.into_inner().authid;
            tracing::error!(authid, "sessions are not ended: too many orders wait for the router");
        }
    }
}

async fn end_all(link: &Link, mut orders: mpsc::Receiver<EndSessionsRequest>) {
    while let Some(order) = orders.recv().await {
        match end(link, &order).await {
            Ok(EndSessionsReply { ended }) => {
                tracing::info!(authid = order.authid, realm = order.realm, ended, "sessions ended");
            }
            Err(error) => tracing::error!(authid = order.authid, %error, "sessions are not ended"),
        }
    }
}

/// Tries until there is an answer. To end them twice does no harm.
async fn end(link: &Link, order: &EndSessionsRequest) -> Result<EndSessionsReply, CallError> {
    loop {
        // An error means that the link's task is gone; then so are we, soon.
        let _ = link.state().wait_for(|state| matches!(state, LinkState::Joined { .. })).await;
        match link.call::<EndSessions>(EndSessions::URI, order).await {
            Err(CallError::NotJoined | CallError::TimedOut) => {}
            // No error of the router: the session broke.
            Err(CallError::Remote { uri, .. }) if uri.is_empty() => {}
            answer => return answer,
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

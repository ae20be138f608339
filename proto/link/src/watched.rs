//! Whether anybody subscribes to a topic: asked of the router after each join, and whenever a subscription comes or goes (WAMP
//! specification, "Subscription Meta API"). Must not know what the topic is for.

use std::{sync::Arc, time::Duration};

use ecep_proto::meta::{SUBSCRIPTION_MATCH, SUBSCRIPTION_ON_CREATE, SUBSCRIPTION_ON_DELETE};
use tokio::{
    sync::{mpsc::UnboundedReceiver, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use wamp_async::{WampArgs, WampError, WampId, WampKwArgs};

use crate::{
    link::{Link, LinkState},
    session::Session,
};

/// Each question to the router.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Many subscriptions may come at once: they are asked about together.
const GATHER: Duration = Duration::from_millis(100);

/// What the crate gives a subscriber.
type Events = UnboundedReceiver<(WampId, Option<WampArgs>, Option<WampKwArgs>)>;

/// Tells on `watched` whether the topic has a subscriber, until `cancel`. A router that does not say is taken to have one.
pub(crate) fn spawn(link: Link, topic: String, watched: watch::Sender<bool>, cancel: CancellationToken) {
    tokio::spawn(cancel.run_until_cancelled_owned(async move {
        let mut state = link.state();
        while state.wait_for(|state| matches!(state, LinkState::Joined { .. })).await.is_ok() {
            let session = link.session.borrow().clone();
            if let Some(session) = session
                && let Err(error) = follow(&session, &topic, &watched).await
            {
                tracing::debug!(topic, %error, "the router does not say who subscribes");
                watched.send_replace(true);
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    }));
}

/// Returns only when the router does not answer as it should; the session's end stops it.
async fn follow(session: &Arc<Session>, topic: &str, watched: &watch::Sender<bool>) -> Result<(), WampError> {
    let mut created = subscribe(session, SUBSCRIPTION_ON_CREATE).await?;
    let mut deleted = subscribe(session, SUBSCRIPTION_ON_DELETE).await?;
    loop {
        let asked = session.client.call(SUBSCRIPTION_MATCH, Some(vec![topic.into()]), None);
        let (answer, _) = timeout(ANSWER_WITHIN, asked).await.map_err(|_| late())??;
        let ids = answer.and_then(|arguments| arguments.into_iter().next());
        let is_watched = ids.and_then(|ids| ids.as_array().map(|ids| !ids.is_empty())).unwrap_or(false);
        watched.send_if_modified(|known| std::mem::replace(known, is_watched) != is_watched);
        tokio::select! {
            event = created.recv() => if event.is_none() { return Ok(()) },
            event = deleted.recv() => if event.is_none() { return Ok(()) },
        }
        sleep(GATHER).await;
        while created.try_recv().is_ok() {}
        while deleted.try_recv().is_ok() {}
    }
}

async fn subscribe(session: &Session, topic: &str) -> Result<Events, WampError> {
    let (_, events) = timeout(ANSWER_WITHIN, session.client.subscribe(topic)).await.map_err(|_| late())??;
    Ok(events)
}

fn late() -> WampError {
    WampError::from("no answer in time".to_owned())
}

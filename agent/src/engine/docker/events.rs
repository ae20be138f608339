//! What happens to containers, as the engine tells it.

use std::collections::HashMap;

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use ecep_proto::api::label;
use futures_util::{StreamExt, TryStreamExt};

use super::{
    ASK_SECONDS, DockerEngine,
    failure::{self, Doing},
};
use crate::{
    clock::now_ms,
    engine::{EngineError, EngineEvent, EngineEvents},
};

/// What changes a container's state; everything else (exec, health, attach) is noise here.
const ACTIONS: &[&str] =
    &["create", "start", "restart", "die", "stop", "oom", "pause", "unpause", "update", "rename", "destroy"];

impl DockerEngine {
    pub(super) async fn follow(&self) -> Result<EngineEvents, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![label::CONTAINER.to_owned()]),
        ]);
        // The request goes out at the first poll; `since` brings what happens until then.
        let now = now_ms();
        let since = format!("{}.{:03}000000", now / 1000, now % 1000);
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        let events = client
            .events(Some(options))
            .map_err(|error| failure::read(&Doing::Asking, error))
            .try_filter_map(|message| async move { Ok(event(message)) });
        Ok(events.boxed())
    }
}

fn event(message: EventMessage) -> Option<EngineEvent> {
    let action = message.action?;
    if !ACTIONS.contains(&action.as_str()) {
        return None;
    }
    Some(EngineEvent { engine_id: message.actor?.id? })
}

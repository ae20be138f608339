//! What the steps of both ends share: why one failed, and how often one that must succeed is tried again.

use std::{fmt::Debug, io, time::Duration};

use ecep_proto::api::name::OperationId;
use tokio::time::sleep;

use crate::engine::EngineError;

/// Between attempts at something that must be done: the engine may be restarting.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Why a step failed: a sentence.
pub(super) type Why = String;

/// What the engine says went wrong.
pub(super) fn say(error: EngineError) -> Why {
    error.into_api().message
}

/// What the disk says went wrong.
pub(super) fn text_of(error: io::Error) -> Why {
    error.to_string()
}

/// A record that does not get onto the disk.
pub(super) fn unwritten(error: io::Error) -> Why {
    format!("the move cannot be written down: {error}")
}

/// The attempts at a duty that must succeed.
#[derive(Default)]
pub(super) struct Attempts {
    last: Option<Why>,
}

impl Attempts {
    /// One has failed: the log has each new reason once, and the next attempt comes a moment later.
    pub(super) async fn failed(&mut self, migration: &OperationId, duty: &impl Debug, why: Why) {
        if self.last.as_ref() != Some(&why) {
            tracing::warn!(%migration, ?duty, %why, "cannot do this yet; trying again");
        }
        self.last = Some(why);
        sleep(RETRY_EVERY).await;
    }
}

//! What the steps of both ends share: why one failed, and how often one that must succeed is tried again.

use std::{
    fmt::Debug,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ecep_proto::api::name::OperationId;
use tokio::{task::spawn_blocking, time::sleep};

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

/// Does work that blocks on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Why> {
    spawn_blocking(work).await.map_err(|error| error.to_string())?.map_err(text_of)
}

/// What the kernel says of a full disk (ENOSPC), in lower case: CRIU, runc, the engine, `cp` and our own files all pass it on.
const DISK_FULL: &str = "no space left on device";
/// In a sentence that says already what to do about it.
const IS_FULL: &str = " is full";

/// What to do about a full disk, said before what was heard of it: `end` is where that is, the source or the destination.
pub(super) fn advise(why: Why, end: &str) -> Why {
    // What came from the other end says where the disk is full already.
    let why = why.replace("the disk of this device", &format!("the disk of the {end}"));
    if is_of_full_disk(&why) && !why.contains(IS_FULL) {
        return format!("the disk of the {end}{IS_FULL}; free some space there, and move again ({why})");
    }
    why
}

/// Whether a full disk is why, here or at the other end.
pub(super) fn is_of_full_disk(why: &str) -> bool {
    why.contains(IS_FULL) || why.to_lowercase().contains(DISK_FULL)
}

/// A record that does not get onto the disk.
pub(super) fn unwritten(error: io::Error) -> Why {
    format!("the move cannot be written down: {error}")
}

/// Sets a flag when it goes: whoever works on another thread sees that the one who waits, or who writes, is over.
pub(super) struct SetOnDrop(pub Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The attempts at a duty that must succeed.
#[derive(Default)]
pub(super) struct Attempts {
    last: Option<Why>,
}

impl Attempts {
    /// One has failed: the log has each new reason once, and the next attempt comes a moment later.
    pub(super) async fn failed(&mut self, migration: &OperationId, duty: &impl Debug, why: Why) {
        // The engine's temporary files have another number each time.
        let reason: Why = why.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if self.last.as_ref() != Some(&reason) {
            tracing::warn!(%migration, ?duty, %why, "cannot do this yet; trying again");
        }
        self.last = Some(reason);
        sleep(RETRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody reads an error number of the kernel for "free some space", nor knows on which of the two devices.
    #[test]
    fn a_full_disk_is_said_with_its_end_and_what_to_do() {
        let raw = "mkdir /var/lib/docker/x: no space left on device".to_owned();
        let told = advise(raw.clone(), "destination");
        assert!(told.starts_with("the disk of the destination is full; free some space there"), "{told}");
        assert!(told.contains(&raw), "{told}");
        assert_eq!(advise(told.clone(), "source"), told, "the other end does not take it for its own");
        let saved = "cannot be saved: the disk of this device is full; free some space".to_owned();
        assert!(advise(saved, "source").contains("the disk of the source is full"), "as the runtime says it");
        assert_eq!(advise("it ended".to_owned(), "source"), "it ended");
    }
}

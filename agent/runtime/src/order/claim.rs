//! An order that is being carried out: what the runtime may do with it. Must not know what a restore is.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use super::{
    GO, OFF, Order, OrderError, Outcome, READY, RESULT,
    files::{at, exists, write},
};

/// Between two looks for `go`. The container stands still until it is seen, so it is short; a look costs a few microseconds, and one
/// container waits at a time.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// An agent that has ended comes back and calls the restore off; one that never does must not hold the engine for ever. What is left of
/// a large container may come for hours over a slow line.
const WAIT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// An order that is being carried out.
#[derive(Debug)]
pub struct Claim {
    pub(super) home: PathBuf,
    /// What was ordered.
    pub order: Order,
}

impl Claim {
    /// A folder for CRIU's log and for files that it reads.
    pub fn work(&self) -> PathBuf {
        self.home.join("work")
    }

    /// Waits until the images are complete, if the order says so.
    ///
    /// # Errors
    /// It was called off, or the agent does not come back.
    pub fn wait(&self) -> Result<(), OrderError> {
        let start = Instant::now();
        if self.order.waits {
            let ready = self.home.join(READY);
            fs::write(&ready, "").map_err(at(&ready))?;
        }
        while self.order.waits && !exists(&self.home.join(GO))? {
            // Cleared is called off, too.
            if exists(&self.home.join(OFF))? || !exists(&self.home)? || start.elapsed() > WAIT_LIMIT {
                return Err(OrderError::CalledOff);
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Tells the agent how it ended.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn finish(&self, outcome: &Outcome) -> Result<(), OrderError> {
        write(&self.home.join(RESULT), outcome)
    }
}

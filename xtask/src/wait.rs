//! Waits for something that gives no notice: looks often, never for ever, and lets Ctrl-C through.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// How often it is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Waits until `look` answers something. Its errors mean "not yet"; the last one is told when `limit` passes.
///
/// # Errors
/// `limit` passed, or somebody pressed Ctrl-C.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match look() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => String::new(),
            Err(error) => format!("; at last: {error:#}"),
        };
        interrupt::check()?;
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}{last}");
        }
        interrupt::wait(POLL);
    }
}

//! How a fleet comes back: clients that the router lets in or refuses each second, by its own counters, until somebody says that
//! all are there. A client that is refused tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::platform::Metrics;
use crate::stack::http_client;

/// How often the counters are looked at; the router asks every realm for them.
const LOOK: Duration = Duration::from_millis(500);
/// A busy router may take its time.
const LIMIT: Duration = Duration::from_secs(5);

/// What was seen.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Storm {
    /// Clients that came in the busiest half second, for each second.
    pub most_per_second: f64,
    /// Clients that were let in.
    pub welcomed: u64,
    /// Clients that were refused, and came again.
    pub refused: u64,
    /// Sessions at the end.
    pub sessions: u64,
}

/// What the router had counted before: nothing, if it has just been started.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    pub(super) welcomed: u64,
    pub(super) refused: u64,
}

/// Looks on, on a thread of its own.
#[derive(Debug)]
pub(super) struct Watching {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Storm>,
}

impl Watching {
    /// Begins.
    pub(super) fn start(url: String, before: Before) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&url, before, &stopped));
        Self { stop, thread }
    }

    /// Ends, and answers what was seen.
    ///
    /// # Errors
    /// The thread has panicked.
    pub(super) fn end(self) -> Result<Storm> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("nobody looked on")
    }
}

fn watch(url: &str, before: Before, stop: &AtomicBool) -> Storm {
    let http = http_client(LIMIT);
    let mut storm = Storm::default();
    let mut last = Instant::now();
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        // A router that is too busy to answer is asked again.
        if let Ok(metrics) = Metrics::read(&http, url) {
            let span = last.elapsed();
            last = Instant::now();
            let came = storm.welcomed + storm.refused;
            storm.welcomed = metrics.welcomed.saturating_sub(before.welcomed);
            storm.refused = metrics.refused.saturating_sub(before.refused);
            storm.sessions = metrics.sessions;
            let new = (storm.welcomed + storm.refused).saturating_sub(came);
            // The last look comes right after another one: too short to be a rate. Exact below 2^53.
            if span > LOOK / 2 {
                storm.most_per_second = storm.most_per_second.max(new as f64 / span.as_secs_f64());
            }
        }
        if is_last {
            return storm;
        }
        std::thread::sleep(LOOK);
    }
}

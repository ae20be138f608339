//! How a fleet comes back: greetings that the router takes each second, by its own counters, until somebody says that all are
//! there. A client that is refused, or gives up, greets again.

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
    /// Greetings in the busiest half second, for each second.
    pub most_greetings_per_second: f64,
    /// Greetings in all.
    pub greetings: u64,
    /// Sessions at the end.
    pub sessions: u64,
    /// Greetings beyond one for each session.
    pub retries: u64,
}

/// Looks on, on a thread of its own.
#[derive(Debug)]
pub(super) struct Watching {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Storm>,
}

impl Watching {
    /// Begins. Counters that went backwards are a new router's.
    pub(super) fn start(url: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || watch(&url, &stopped));
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

fn watch(url: &str, stop: &AtomicBool) -> Storm {
    let http = http_client(LIMIT);
    let mut storm = Storm::default();
    let mut last: Option<(Instant, u64)> = None;
    loop {
        let is_last = stop.load(Ordering::Relaxed);
        // While the router is down there is nothing to see.
        if let Ok(metrics) = Metrics::read(&http, url) {
            let now = Instant::now();
            let (since, before) = last.unwrap_or((now, metrics.greetings));
            let new = metrics.greetings.checked_sub(before).unwrap_or(metrics.greetings);
            let span = now.duration_since(since).as_secs_f64();
            if span > 0.0 {
                // Exact below 2^53.
                let rate = new as f64 / span;
                storm.most_greetings_per_second = storm.most_greetings_per_second.max(rate);
            }
            storm.greetings += new;
            storm.sessions = metrics.sessions;
            storm.retries = storm.greetings.saturating_sub(storm.sessions);
            last = Some((now, metrics.greetings));
        }
        if is_last {
            return storm;
        }
        std::thread::sleep(LOOK);
    }
}

//! A client that asks a counter every ten milliseconds over one TCP connection, connects again where that breaks, and
//! remembers its longest wait for an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::wait;

/// The counter's port of lines.
const PORT: u16 = 9000;
const EVERY: Duration = Duration::from_millis(10);
/// A container that starts anew refuses connections meanwhile.
const AGAIN: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers before and after a move, so that it is measured from rest to rest.
const SETTLED: u64 = 20;

/// The client, at work.
pub(super) struct Polling {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    worker: JoinHandle<Duration>,
}

impl Polling {
    /// Begins, and waits until answers come.
    ///
    /// # Errors
    /// None come.
    pub(super) fn start(address: Ipv4Addr) -> Result<Self> {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answers));
        let worker = thread::spawn(move || poll(SocketAddr::from((address, PORT)), &stopped, &counted));
        let polling = Self { stop, answers, worker };
        polling.settle()?;
        Ok(polling)
    }

    /// Waits until answers come again; the longest wait for one since the beginning.
    ///
    /// # Errors
    /// None come.
    pub(super) fn stop(self) -> Result<Duration> {
        self.settle()?;
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_| anyhow!("the client panicked"))
    }

    fn settle(&self) -> Result<()> {
        let before = self.answers.load(Ordering::Relaxed);
        wait::until("the container answers", PATIENCE, || {
            Ok((self.answers.load(Ordering::Relaxed) >= before + SETTLED).then_some(()))
        })
    }
}

fn poll(address: SocketAddr, stop: &AtomicBool, answers: &AtomicU64) -> Duration {
    let mut longest = Duration::ZERO;
    // What is waited for goes on across connections: a person waits for the answer.
    let mut asked: Option<Instant> = None;
    while !stop.load(Ordering::Relaxed) {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        let Ok(stream) = connected else {
            asked.get_or_insert_with(Instant::now);
            thread::sleep(AGAIN);
            continue;
        };
        // A connection that could not be set up so is slower, and no worse.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        while !stop.load(Ordering::Relaxed) {
            let since = *asked.get_or_insert_with(Instant::now);
            line.clear();
            if (&stream).write_all(b"\n").is_err() || reader.read_line(&mut line).unwrap_or_default() == 0 {
                break;
            }
            if answers.fetch_add(1, Ordering::Relaxed) > 0 {
                longest = longest.max(since.elapsed());
            }
            asked = None;
            thread::sleep(EVERY);
        }
    }
    longest
}

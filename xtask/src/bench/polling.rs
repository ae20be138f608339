//! A client that asks a counter every ten milliseconds over one TCP connection, connects again where that breaks, and
//! remembers its longest wait for an answer, and how much left the container's device meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::wire::Wire;
use crate::wait;

/// The counter's port of lines.
const PORT: u16 = 9000;
const EVERY: Duration = Duration::from_millis(10);
/// A container that starts anew refuses connections meanwhile.
const AGAIN: Duration = Duration::from_millis(10);
/// After so long without an answer a client takes its connection for dead and makes another.
const PATIENCE: Duration = Duration::from_secs(60);
/// TCP tries a silent connection, and a new one, ever more rarely.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
/// Answers before and after a move, so that it is measured from rest to rest.
const SETTLED: u64 = 20;

/// The client, at work.
pub(super) struct Polling {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    worker: JoinHandle<Result<Seen>>,
}

/// What the client noticed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Its longest wait for an answer.
    pub(super) longest: Duration,
    /// The wire's counter when it asked for that answer.
    pub(super) bytes_at_ask: u64,
    /// And when it came.
    pub(super) bytes_at_answer: u64,
    /// Connections it needed.
    pub(super) connections: u64,
    /// The counter did not go on from where it was.
    pub(super) began_anew: bool,
}

impl Polling {
    /// Begins, and waits until answers come.
    ///
    /// # Errors
    /// None come.
    pub(super) fn start(address: Ipv4Addr, wire: Wire) -> Result<Self> {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answers));
        let address = SocketAddr::from((address, PORT));
        let worker = thread::spawn(move || poll(address, &wire, &stopped, &counted));
        let polling = Self { stop, answers, worker };
        polling.settle()?;
        Ok(polling)
    }

    /// Waits until answers come again; what was seen since the beginning.
    ///
    /// # Errors
    /// None come.
    pub(super) fn stop(self) -> Result<Seen> {
        self.settle()?;
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().map_err(|_| anyhow!("the client panicked"))?
    }

    fn settle(&self) -> Result<()> {
        let before = self.answers.load(Ordering::Relaxed);
        let settled = wait::until("the container answers", SETTLE_LIMIT, || {
            Ok((self.answers.load(Ordering::Relaxed) >= before + SETTLED).then_some(()))
        });
        if settled.is_err() {
            // Nobody waits for it any more.
            self.stop.store(true, Ordering::Relaxed);
        }
        settled
    }
}

fn poll(address: SocketAddr, wire: &Wire, stop: &AtomicBool, answers: &AtomicU64) -> Result<Seen> {
    let (mut seen, mut last) = (Seen::default(), 0);
    // What is waited for goes on across connections: a person waits for the answer.
    let mut asked: Option<(Instant, u64)> = None;
    while !stop.load(Ordering::Relaxed) {
        let connected = TcpStream::connect_timeout(&address, PATIENCE);
        let Ok(stream) = connected else {
            asked.get_or_insert((Instant::now(), wire.bytes()?));
            thread::sleep(AGAIN);
            continue;
        };
        seen.connections += 1;
        // A connection that could not be set up so is slower, and no worse.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let mut reader = BufReader::new(&stream);
        let mut line = String::new();
        while !stop.load(Ordering::Relaxed) {
            let (since, bytes) = *asked.get_or_insert((Instant::now(), wire.bytes()?));
            line.clear();
            if (&stream).write_all(b"\n").is_err() || reader.read_line(&mut line).unwrap_or_default() == 0 {
                break;
            }
            let waited = since.elapsed();
            if answers.fetch_add(1, Ordering::Relaxed) > 0 && waited > seen.longest {
                seen.longest = waited;
                (seen.bytes_at_ask, seen.bytes_at_answer) = (bytes, wire.bytes()?);
            }
            let number = line.trim().parse().unwrap_or_default();
            seen.began_anew |= number <= last;
            last = number;
            asked = None;
            thread::sleep(EVERY);
        }
    }
    Ok(seen)
}

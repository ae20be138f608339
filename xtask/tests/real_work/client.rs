//! A client outside of the platform that uses a server over one TCP connection, by HTTP or Redis's protocol, and goes on
//! while the server moves. It knows nothing of containers and moves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use xtask::wait;

use crate::SOON;

/// A client waits this long for one answer: longer than any interruption that is promised.
const PATIENCE: Duration = Duration::from_secs(90);
/// A real client is not a flood.
const PAUSE: Duration = Duration::from_millis(2);

/// One TCP connection to a server.
pub struct Line {
    reader: BufReader<TcpStream>,
}

impl Line {
    /// Connects; a server that was just started may need a moment to listen.
    pub fn open(address: Ipv4Addr, port: u16) -> Result<Self> {
        let stream = wait::until("the server listens", SOON, || {
            Ok(Some(TcpStream::connect_timeout(&SocketAddr::from((address, port)), PATIENCE)?))
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes).context("the connection broke")
    }

    fn text(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).context("the connection broke")? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }

    fn bytes(&mut self, length: usize) -> Result<String> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).context("the connection broke")?;
        Ok(String::from_utf8(bytes)?)
    }

    /// One HTTP exchange; the connection stays open.
    pub fn http(&mut self, method: &str, path: &str, body: &str) -> Result<String> {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: work\r\nContent-Length: {length}\r\n\r\n");
        self.send((head + body).as_bytes())?;
        let status = self.text()?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "the server answered {status:?}");
        let mut length = 0;
        loop {
            let header = self.text()?.to_ascii_lowercase();
            if header.is_empty() {
                return self.bytes(length);
            }
            ensure!(header != "connection: close", "the server closes the connection");
            if let Some(value) = header.strip_prefix("content-length: ") {
                length = value.parse()?;
            }
        }
    }

    /// One command to Redis, and its answer: a status, a number, or a string.
    pub fn redis(&mut self, words: &[&str]) -> Result<String> {
        let parts = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let command = format!("*{}\r\n{}", words.len(), parts.collect::<String>());
        self.send(command.as_bytes())?;
        let answer = self.text()?;
        let (kind, rest) = answer.split_at_checked(1).context("Redis answered nothing")?;
        match kind {
            "+" | ":" => Ok(rest.to_owned()),
            "$" => {
                let length = rest.parse().with_context(|| format!("{words:?} is not there: {answer:?}"))?;
                let text = self.bytes(length)?;
                self.bytes(2)?;
                Ok(text)
            }
            _ => bail!("{words:?} was answered {answer:?}"),
        }
    }
}

/// A client outside that goes on over one connection until it is told to stop.
pub struct Client {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    worker: JoinHandle<Result<(Line, Duration)>>,
}

impl Client {
    /// `step` has one answer's number, from 1, and makes one exchange.
    pub fn start(
        mut line: Line,
        mut step: impl FnMut(&mut Line, u64) -> Result<()> + Send + 'static,
    ) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answers));
        let worker = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                let number = counted.load(Ordering::Relaxed) + 1;
                step(&mut line, number).with_context(|| format!("at exchange {number}"))?;
                longest = longest.max(start.elapsed());
                counted.store(number, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
            Ok((line, longest))
        });
        Self { stop, answers, worker }
    }

    /// Waits until it has got some more answers.
    pub fn go_on(&self) -> Result<()> {
        let enough = self.answers.load(Ordering::Relaxed) + 20;
        wait::until("the client gets answers", SOON, || {
            let count = self.answers.load(Ordering::Relaxed);
            Ok((count >= enough || self.worker.is_finished()).then_some(()))
        })?;
        ensure!(!self.worker.is_finished(), "the client has ended");
        Ok(())
    }

    /// Ends it: its connection, and how many answers it got.
    pub fn end(self) -> Result<(Line, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        let (line, longest) = self.worker.join().map_err(|_| anyhow!("the client panicked"))??;
        let answers = self.answers.load(Ordering::Relaxed);
        println!("  one connection: {answers} answers, the longest after {} ms", longest.as_millis());
        Ok((line, answers))
    }
}

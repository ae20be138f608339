//! A sample application whose state can be seen: one number in memory that anyone can read and raise. If the number
//! goes on from where it was after a container has moved, its state has moved too.
//!
//! - HTTP on port 8080: `GET /` a page, `GET /count` the number, `POST /add` raises it and answers the new number,
//!   `GET /burn?ms=N` keeps one core busy for N milliseconds.
//! - TCP on port 9000: each line that is sent raises the number and is answered with it, on the same connection.
//! - A line of log every second.
//!
//! `BALLAST_MB` makes it hold so much memory, of random bytes; `BALLAST_REWRITTEN` is how much of that, always the same part, it
//! writes anew each second, in percent.
//!
//! `HTTP_PORT` and `TCP_PORT` in the environment choose other ports; 0 takes any free one, and the log says which.
#![allow(clippy::print_stdout, reason = "an application's standard output is its log")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Each connection has a thread; beyond this number new ones are closed at once.
const MAX_CONNECTIONS: usize = 256;

/// A request or a line that is longer is not for us.
const MAX_LINE: u64 = 8 * 1024;

/// The body of a request is not used, only read past.
const MAX_BODY: u64 = 64 * 1024;

const MAX_HEADERS: usize = 100;

/// Nobody needs a core for longer with one request.
const MAX_BURN: Duration = Duration::from_secs(60);

const LOG_INTERVAL: Duration = Duration::from_secs(1);

const MEGABYTE: usize = 1024 * 1024;

/// The ballast is written anew in this many steps a second.
const BALLAST_STEPS: usize = 20;
const BALLAST_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    count: AtomicU64,
    connections: AtomicUsize,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counter: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    // The first process of a container has no default action for SIGTERM: without a handler `docker stop` waits and kills.
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT])?;
    let state = Arc::new(State::default());
    listen("HTTP_PORT", 8080, &state, serve_http)?;
    listen("TCP_PORT", 9000, &state, serve_lines)?;
    let (megabytes, percent) = (number("BALLAST_MB")?, number("BALLAST_REWRITTEN")?);
    if megabytes > 0 {
        thread::spawn(move || hold(megabytes, percent));
    }
    let ticking = Arc::clone(&state);
    thread::spawn(move || {
        loop {
            println!("count {}", ticking.count.load(Ordering::Relaxed));
            thread::sleep(LOG_INTERVAL);
        }
    });
    if let Some(signal) = signals.forever().next() {
        println!("signal {signal}: stopping at count {}", state.count.load(Ordering::Relaxed));
    }
    Ok(())
}

fn number(variable: &str) -> io::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.parse().map_err(|_| io::Error::other(format!("{variable} is no number: {text}"))),
        Err(_) => Ok(0),
    }
}

/// Keeps memory in use, and writes a part of it anew over and over, page after page, once each second. It is always the same part, as
/// with programs that work on something: whoever looks twice finds that share changed, however long that took.
fn hold(megabytes: usize, percent: usize) {
    let mut seed = u64::from(std::process::id()) | 1;
    let mut next = move || {
        // xorshift64: good enough that no page is like another.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut memory: Vec<u64> = (0..megabytes * MEGABYTE / 8).map(|_| next()).collect();
    println!("ballast {megabytes}");
    let rewritten = memory.len() * percent.min(100) / 100;
    let mut at = 0;
    loop {
        thread::sleep(BALLAST_INTERVAL);
        for _ in 0..rewritten / BALLAST_STEPS {
            memory[at] = next();
            at = (at + 1) % rewritten;
        }
        std::hint::black_box(&memory);
    }
}

type Serve = fn(TcpStream, &State) -> io::Result<()>;

fn listen(variable: &str, default: u16, state: &Arc<State>, serve: Serve) -> io::Result<()> {
    let port = match std::env::var(variable) {
        Ok(text) => {
            text.parse().map_err(|_| io::Error::other(format!("{variable} is no port number: {text}")))?
        }
        Err(_) => default,
    };
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("{variable} {}", listener.local_addr()?.port());
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if state.connections.fetch_add(1, Ordering::Relaxed) < MAX_CONNECTIONS {
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    // A peer that goes away is no event.
                    let _ = serve(stream, &state);
                    state.connections.fetch_sub(1, Ordering::Relaxed);
                });
            } else {
                state.connections.fetch_sub(1, Ordering::Relaxed);
            }
        }
    });
    Ok(())
}

fn serve_lines(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while read_line(&mut reader)?.is_some() {
        writeln!(&stream, "{}", add(state))?;
    }
    Ok(())
}

fn serve_http(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_line(&mut reader)? {
        let length = read_headers(&mut reader)?;
        io::copy(&mut (&mut reader).take(length), &mut io::sink())?;
        let (status, kind, body) = answer(&request, state);
        let size = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {size}\r\n\r\n{body}"
        )?;
    }
    Ok(())
}

/// Reads past the headers and answers how long the body is.
fn read_headers(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut length = 0;
    for _ in 0..MAX_HEADERS {
        let Some(line) = read_line(reader)? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        if line.is_empty() {
            return Ok(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok().filter(|length| *length <= MAX_BODY).ok_or_else(too_long)?;
        }
    }
    Err(too_long())
}

fn answer(request: &str, state: &State) -> (&'static str, &'static str, String) {
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (method, path) {
        ("GET", "/") => ("200 OK", "text/html", page(state)),
        ("GET", "/count") => ("200 OK", "text/plain", format!("{}\n", state.count.load(Ordering::Relaxed))),
        ("POST", "/add") => ("200 OK", "text/plain", format!("{}\n", add(state))),
        ("GET", "/burn") => match query.strip_prefix("ms=").and_then(|text| text.parse().ok()) {
            Some(milliseconds) => ("200 OK", "text/plain", burn(Duration::from_millis(milliseconds))),
            None => ("400 Bad Request", "text/plain", "say for how long: /burn?ms=500\n".into()),
        },
        _ => ("404 Not Found", "text/plain", "there are GET /, /count, /burn?ms=N and POST /add\n".into()),
    }
}

fn add(state: &State) -> u64 {
    state.count.fetch_add(1, Ordering::Relaxed) + 1
}

fn burn(length: Duration) -> String {
    let length = length.min(MAX_BURN);
    let start = Instant::now();
    let mut rounds = 0_u64;
    while start.elapsed() < length {
        rounds = std::hint::black_box(rounds + 1);
    }
    format!("burned {} ms\n", length.as_millis())
}

fn page(state: &State) -> String {
    let count = state.count.load(Ordering::Relaxed);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Counter</title>\
         <h1>{count}</h1><form method=\"post\" action=\"/add\"><button>Add one</button></form></html>\n"
    )
}

/// One line without its end; none at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = reader.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(too_long());
    }
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "longer than allowed, or cut off")
}

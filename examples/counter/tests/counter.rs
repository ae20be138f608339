//! The counter as its users see it: a process, two ports, a log.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

struct Counter {
    process: Child,
    log: BufReader<ChildStdout>,
    http: u16,
    tcp: u16,
}

impl Counter {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ecep-counter"))
            .env("HTTP_PORT", "0")
            .env("TCP_PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stdout.take().unwrap());
        let mut port = |name: &str| {
            let mut line = String::new();
            log.read_line(&mut line).unwrap();
            line.trim().strip_prefix(name).unwrap().trim().parse().unwrap()
        };
        let (http, tcp) = (port("HTTP_PORT"), port("TCP_PORT"));
        Self { process, log, http, tcp }
    }

    fn connect(port: u16) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn http(&self, request: &str) -> String {
        let mut stream = Self::connect(self.http);
        write!(stream, "{request} HTTP/1.1\r\nHost: counter\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Both doors lead to the one number, or a test that raises it here and reads it there would prove nothing.
#[test]
fn http_and_tcp_share_one_number() {
    let counter = Counter::start();
    assert!(counter.http("GET /count").ends_with("\r\n\r\n0\n"));
    assert!(counter.http("POST /add").ends_with("\r\n\r\n1\n"));
    let mut stream = Counter::connect(counter.tcp);
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    for expected in ["2\n", "3\n"] {
        stream.write_all(b"more\n").unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).unwrap();
        assert_eq!(answer, expected);
    }
    assert!(counter.http("GET /").contains("<h1>3</h1>"));
}

/// What cannot be understood is refused, and the next request is served.
#[test]
fn odd_requests_are_refused() {
    let counter = Counter::start();
    assert!(counter.http("GET /burn?ms=many").starts_with("HTTP/1.1 400 "));
    assert!(counter.http("GET /burn?ms=1").ends_with("burned 1 ms\n"));
    assert!(counter.http("DELETE /count").starts_with("HTTP/1.1 404 "));
    // Too long: the connection is closed, perhaps before all is written.
    let mut stream = Counter::connect(counter.http);
    let _ = stream.write_all(&[b'x'; 100_000]);
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(counter.http("GET /count").ends_with("\r\n\r\n0\n"));
}

/// `docker stop` sends SIGTERM and kills after ten seconds; a program that ignores it makes every stop slow.
#[test]
fn ends_by_itself_on_sigterm() {
    let mut counter = Counter::start();
    let pid = counter.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(counter.process.wait().unwrap().success());
    let mut rest = String::new();
    counter.log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stopping at count 0"), "{rest:?}");
}

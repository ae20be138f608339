//! The little of NATS that a load needs, as any client library speaks it: request/reply with one inbox for all requests,
//! publish/subscribe without acknowledgements.

use std::io::Write;

use anyhow::{Context, Result, bail};
use memchr::memchr;

use crate::protocol::{Incoming, PROCEDURE, TOPIC};

/// Which of our subscriptions a message is for.
const CALLS: &[u8] = b"1";
const ANSWERS: &[u8] = b"2";
const EVENTS: &[u8] = b"3";

/// Where answers come to; a process has one caller.
const INBOX: &str = "_INBOX.load.";

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"lang\":\"rust\",\
                       \"version\":\"1\",\"protocol\":1}\r\nPING\r\n";

pub(crate) fn hello(out: &mut Vec<u8>) {
    out.extend_from_slice(CONNECT.as_bytes());
}

pub(crate) fn register(out: &mut Vec<u8>) {
    line(out, format_args!("SUB {PROCEDURE} 1\r\nPING\r\n"));
}

pub(crate) fn await_answers(out: &mut Vec<u8>) {
    line(out, format_args!("SUB {INBOX}* 2\r\nPING\r\n"));
}

pub(crate) fn subscribe(out: &mut Vec<u8>) {
    line(out, format_args!("SUB {TOPIC} 3\r\nPING\r\n"));
}

pub(crate) fn call(id: u64, payload: &[u8], out: &mut Vec<u8>) {
    line(out, format_args!("PUB {PROCEDURE} {INBOX}{id} {}\r\n", payload.len()));
    content(payload, out);
}

pub(crate) fn answer(id: u64, payload: &[u8], out: &mut Vec<u8>) {
    line(out, format_args!("PUB {INBOX}{id} {}\r\n", payload.len()));
    content(payload, out);
}

pub(crate) fn publish(payload: &[u8], out: &mut Vec<u8>) {
    line(out, format_args!("PUB {TOPIC} {}\r\n", payload.len()));
    content(payload, out);
}

pub(crate) fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Only a failing writer can fail; a Vec does not.
    let _ = out.write_fmt(text);
}

fn content(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// What `bytes` begin with, and how long that is; none if it has not all come.
///
/// # Errors
/// It is nothing that a server sends.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Incoming<'_>, usize)>> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let line = bytes[..end].trim_ascii_end();
    let mut words = line.split(|byte| *byte == b' ');
    let incoming = match words.next().unwrap_or_default() {
        b"MSG" => {
            let (read, length) = message(words).context("not a message")?;
            let content = end + 1..end + 1 + length;
            let Some(payload) = bytes.get(content.clone()).filter(|_| bytes.len() >= content.end + 2) else {
                return Ok(None);
            };
            return Ok(Some((read(payload), content.end + 2)));
        }
        b"PONG" => Incoming::Done,
        b"PING" => Incoming::Ping { content: b"" },
        b"INFO" | b"+OK" => Incoming::Other,
        b"-ERR" => Incoming::Gone { reason: line },
        _ => bail!("not understood: {}", String::from_utf8_lossy(line)),
    };
    Ok(Some((incoming, end + 1)))
}

/// `MSG <subject> <subscription> [reply to] <length>`.
fn message<'a>(
    mut words: impl Iterator<Item = &'a [u8]>,
) -> Option<(impl FnOnce(&'a [u8]) -> Incoming<'a>, usize)> {
    let (subject, subscription, third) = (words.next()?, words.next()?, words.next()?);
    let (reply, length) = match words.next() {
        Some(length) => (third, length),
        None => (&b""[..], third),
    };
    let request = |subject: &[u8]| number(subject.strip_prefix(INBOX.as_bytes())?);
    let request = match subscription {
        CALLS => request(reply)?,
        ANSWERS => request(subject)?,
        _ => 0,
    };
    let read = move |payload| match subscription {
        CALLS => Incoming::Invocation { request, payload },
        ANSWERS => Incoming::Answer { request, payload },
        EVENTS => Incoming::Event { payload },
        _ => Incoming::Other,
    };
    Some((read, usize::try_from(number(length)?).ok()?))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_when_they_are_whole() {
        let bytes = b"MSG bench.echo 1 _INBOX.load.77 5\r\nhello\r\nMSG _INBOX.load.8 2 2\r\nab\r\n";
        for end in 0..42 {
            assert!(read(&bytes[..end]).unwrap().is_none(), "{end} bytes");
        }
        let (first, length) = read(bytes).unwrap().unwrap();
        assert_eq!(first, Incoming::Invocation { request: 77, payload: b"hello" });
        let (second, rest) = read(&bytes[length..]).unwrap().unwrap();
        assert_eq!(second, Incoming::Answer { request: 8, payload: b"ab" });
        assert_eq!(length + rest, bytes.len());
    }
}

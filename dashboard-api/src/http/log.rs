//! A container's output for somebody who reads along. Lines come from the device one after the other, and no more of them are in
//! memory than a slow reader can be behind.

use std::{fmt::Write, sync::Arc, time::Duration};

use ecep_channel::{
    channel::ChannelStream,
    header::{Header, Refusal as ChannelRefusal, RefusalCode},
    output::Output,
};
use ecep_proto::api::{
    container::{LogLine, LogStream},
    error::{ApiError, ErrorKind},
    file::{LogEnd, LogEnding, LogWish},
    name::ContainerId,
};
use futures_util::stream;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncRead, BufReader},
    sync::mpsc,
};
use warp::{
    http::{HeaderValue, header},
    reply::Reply,
};

use super::{Answer, Refusal, endpoints::READERS, files::disposition, request::Request, right::Right};
use crate::{naming::invalid, viewers::View};

/// What its query takes.
pub(super) const QUERY: &[&str] = &["tail", "since", "stream", "search", "follow", "download"];
/// Lines to begin with at most, as the catalogue says.
const MAX_TAIL: u32 = 10_000;
/// Bytes of text that are searched for, as devices allow them.
const MAX_SEARCH: usize = 1_000;
/// Bytes of lines that go to the reader at once.
const BLOCK: usize = 32 * 1024;
/// Blocks that a slow reader is behind; then the device is not read from until it has caught up.
const BLOCKS: usize = 4;
/// Read from the channel at once.
const BUFFER: usize = 64 * 1024;
/// How often the right is looked at again, and a reader who gets no lines hears that somebody is there: proxies cut what is silent
/// for a minute.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(20);

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A JSON object a line.
    Ndjson,
    /// A time and the text.
    Text,
}

/// Answers lines, the last ones and those that come, or all of them to be saved.
pub(super) async fn log(request: Request) -> Answer {
    let (wish, is_download) = wish(&request)?;
    let right = Right::of(&request, READERS)?;
    let container: ContainerId = request.id().parse().map_err(|_| no_container())?;
    let accept = request.text_header(&header::ACCEPT).unwrap_or_default();
    let form = if accept.contains("text/plain") || is_download { Form::Text } else { Form::Ndjson };
    let viewer = right.enter(View::Log)?;
    let header = Header::Log { tenant: right.tenant.clone(), container: container.clone(), wish };
    let channels = Arc::clone(&request.app.control.channels);
    let stream = channels.open(&right.device, &header).await.map_err(refused)?;
    let (blocks, taken) = mpsc::channel::<String>(BLOCKS);
    tokio::spawn(async move {
        let end = tokio::select! {
            end = pass_on(stream, form, &blocks) => end,
            end = look_after(&right, form, &blocks) => end,
            reason = viewer.ended() => Some(LogEnd { end: LogEnding::AccessEnded, message: reason }),
            // Whoever has read is gone: with the stream everything behind it ends, down to the engine.
            () = blocks.closed() => None,
        };
        if let Some(end) = end {
            // It is read, or nobody is there.
            drop(blocks.send(last_line(&end, form)).await);
        }
    });
    let body = stream::unfold(taken, |mut taken| async move {
        let block = taken.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(block), taken))
    });
    let mut response = warp::reply::stream(body).into_response();
    let kind = match form {
        Form::Ndjson => "application/x-ndjson",
        Form::Text => "text/plain; charset=utf-8",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // A proxy that gathers it would hold lines back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if is_download {
        headers.insert(header::CONTENT_DISPOSITION, disposition(&format!("{container}.log")));
    }
    Ok(response)
}

/// What the device is asked, and whether it is to be saved.
fn wish(request: &Request) -> Result<(LogWish, bool), Refusal> {
    let (mut wish, mut is_download) = (LogWish::default(), false);
    for (name, value) in request.query()? {
        let wrong = |what: &str| Refusal::from(invalid(format!("{name} is {value}; use {what}.")));
        let flag = || match value.as_str() {
            "" | "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(wrong("true or false")),
        };
        match name.as_str() {
            "tail" => wish.tail = Some(value.parse().map_err(|_| wrong("a number of lines"))?),
            "since" => wish.since = Some(value.parse().map_err(|_| wrong("milliseconds since 1970"))?),
            "stream" => {
                wish.stream = Some(match value.as_str() {
                    "stdout" => LogStream::Stdout,
                    "stderr" => LogStream::Stderr,
                    _ => return Err(wrong("stdout or stderr")),
                });
            }
            "search" => wish.search = Some(value).filter(|text| !text.is_empty()),
            "follow" => wish.follow = flag()?,
            "download" => is_download = flag()?,
            _ => {
                let known = QUERY.join(", ");
                return Err(invalid(format!("There is no {name}; use one of: {known}.")).into());
            }
        }
    }
    if wish.tail.is_some_and(|tail| tail > MAX_TAIL) {
        return Err(invalid(format!(
            "The tail may have 0 to {MAX_TAIL} lines. Use download for all of them."
        ))
        .into());
    }
    if wish.search.as_ref().is_some_and(|text| text.len() > MAX_SEARCH) {
        return Err(invalid(format!("The text to search for may have {MAX_SEARCH} bytes.")).into());
    }
    wish.all = is_download && wish.tail.is_none();
    Ok((wish, is_download))
}

/// Lines until the device says how they ended.
async fn pass_on(stream: ChannelStream, form: Form, blocks: &mpsc::Sender<String>) -> Option<LogEnd> {
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    let mut block = String::new();
    loop {
        match Output::read(&mut reader).await {
            Ok(Some(Output::Line(line))) => write_line(&mut block, &line, form),
            Ok(Some(Output::End(end))) => {
                if !block.is_empty() {
                    blocks.send(block).await.ok()?;
                }
                return Some(end);
            }
            ended @ (Ok(None) | Err(_)) => {
                tracing::debug!(?ended, "a device's lines end without an end");
                if !block.is_empty() {
                    blocks.send(block).await.ok()?;
                }
                let message = "The device has lost its connection; its container may go on.".to_owned();
                return Some(LogEnd { end: LogEnding::DeviceLost, message });
            }
        }
        // What is here already goes together.
        if block.len() >= BLOCK || is_read(&reader) {
            blocks.send(std::mem::take(&mut block)).await.ok()?;
        }
    }
}

fn is_read(reader: &BufReader<impl AsyncRead>) -> bool {
    reader.buffer().is_empty()
}

/// Ends with the right. A reader is told now and then that somebody is there: by an empty line, which is no JSON.
async fn look_after(right: &Right, form: Form, blocks: &mpsc::Sender<String>) -> Option<LogEnd> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if !right.holds() {
            let message = "You may not read this any more.".to_owned();
            return Some(LogEnd { end: LogEnding::AccessEnded, message });
        }
        if form == Form::Ndjson {
            // A reader who is behind gets lines anyway.
            drop(blocks.try_send("\n".to_owned()));
        }
    }
}

fn write_line(block: &mut String, line: &LogLine, form: Form) {
    match form {
        Form::Ndjson => block.push_str(&serde_json::to_string(line).unwrap_or_default()),
        Form::Text => {
            let at = i64::try_from(line.at).unwrap_or(i64::MAX);
            let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok();
            let at = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
            // A string takes any text.
            let _ = write!(block, "{at} {}", line.text);
            if line.cut {
                block.push_str(" […]");
            }
        }
    }
    block.push('\n');
}

fn last_line(end: &LogEnd, form: Form) -> String {
    match form {
        Form::Ndjson => serde_json::to_string(end).unwrap_or_default() + "\n",
        // Nothing is added to what was asked for.
        Form::Text if end.end == LogEnding::Complete => String::new(),
        Form::Text => format!("-- {}\n", end.message),
    }
}

fn no_container() -> Refusal {
    Refusal::not_found("There is no such container. List the containers for their ids.")
}

/// What a device, or the way to it, says.
pub(super) fn refused(refusal: ChannelRefusal) -> Refusal {
    let kind = match refusal.code {
        RefusalCode::NotConnected => ErrorKind::Unavailable,
        RefusalCode::Forbidden => ErrorKind::Forbidden,
        RefusalCode::NotFound => ErrorKind::NotFound,
        RefusalCode::Busy => ErrorKind::Limit,
        RefusalCode::AlreadyDone | RefusalCode::Unsupported | RefusalCode::Failed => ErrorKind::Engine,
    };
    let mut sentence = refusal.message;
    if !sentence.ends_with(['.', ')']) {
        sentence.push('.');
    }
    ApiError::new(kind, sentence).into()
}

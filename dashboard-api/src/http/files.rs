//! The files that devices brought: listed, downloaded in parts, deleted. Nothing in them is ever run by a browser.

use std::io::SeekFrom;

use ecep_proto::api::{
    error::ErrorKind,
    file::{FileId, StoredFile, StoredFilePage, StoredKind},
    roles::Role,
};
use futures_util::StreamExt;
use headers::{ETag, HeaderMapExt, IfRange, Range};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;
use warp::{
    http::{HeaderValue, Method, StatusCode, header},
    reply::{Reply, Response},
};

use super::{Answer, Refusal, request::Request};
use crate::stored::is_for_readers;

/// Bytes of a file that are in memory for each download.
const BLOCK: usize = 256 * 1024;
/// What a header's parameter takes as it is (RFC 8187, attr-char).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');
/// A browser that shows it all the same runs nothing of it and lets it reach nothing.
const HARMLESS: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// Lists them, the newest first; to whoever may only look, logs alone.
pub(super) async fn list(request: Request) -> Answer {
    let (page, tenant, role) = (request.page()?, request.tenant()?, request.role()?);
    let control = &request.app.control;
    let mut files = control.store.stored_files_of(tenant)?;
    files.retain(|file| may_read(role, file.kind));
    let key = |file: &StoredFile| format!("{:020}.{}", file.stored_at, file.file);
    let mut rest = files.into_iter().filter(|file| page.after.is_empty() || key(file) < page.after);
    let items: Vec<StoredFile> = rest.by_ref().take(page.limit).collect();
    let next = items.last().map(key).filter(|_| rest.next().is_some());
    let (used_bytes, quota_bytes) = control.stored.usage(tenant)?;
    Ok(warp::reply::json(&StoredFilePage { items, next, used_bytes, quota_bytes }).into_response())
}

/// Deletes one.
pub(super) async fn delete(request: Request) -> Answer {
    let (tenant, id) = (request.tenant()?, id_of(&request, request.id())?);
    if !request.app.control.stored.delete(tenant, &id).await? {
        return Err(none());
    }
    tracing::info!(%tenant, file = %id, "stored file deleted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Its bytes, all or some of them.
pub(super) async fn content(request: Request) -> Answer {
    let (tenant, role) = (request.tenant()?, request.role()?);
    let id = id_of(&request, request.parameters.get(1).map_or("", String::as_str))?;
    let control = &request.app.control;
    let file = control.store.stored_file(tenant, &id)?.ok_or_else(none)?;
    if !may_read(role, file.kind) {
        return Err(Refusal::forbidden(
            "Files of containers may hold secrets: this needs the role owner or operator in the tenant. Ask an owner.",
        ));
    }
    let wanted = wanted(&request, &file);
    let (status, (from, length)) = match wanted {
        Wanted::All => (StatusCode::OK, (0, file.bytes)),
        Wanted::Part(from, length) => (StatusCode::PARTIAL_CONTENT, (from, length)),
        Wanted::Nothing => (StatusCode::RANGE_NOT_SATISFIABLE, (0, 0)),
    };
    let unreadable = |error: std::io::Error| {
        tracing::error!(%tenant, file = %id, %error, "a stored file cannot be read");
        let text = "The file cannot be read from the control plane's disk; its log says why. Fetch it again.";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable, text)
    };
    let is_head = request.method == Method::HEAD;
    let body = if length == 0 || is_head {
        Response::default()
    } else {
        let mut open = control.stored.read(tenant, &id).await.map_err(unreadable)?;
        open.seek(SeekFrom::Start(from)).await.map_err(unreadable)?;
        let bytes = ReaderStream::with_capacity(open.take(length), BLOCK);
        warp::reply::stream(
            bytes.map(|bytes| bytes.inspect_err(|error| tracing::error!(%error, "a download ends early"))),
        )
        .into_response()
    };
    Ok(described(body, &file, status, from, length))
}

fn may_read(role: Role, kind: StoredKind) -> bool {
    is_for_readers(kind) || matches!(role, Role::Owner | Role::Operator)
}

fn id_of(_: &Request, text: &str) -> Result<FileId, Refusal> {
    text.parse().map_err(|_| none())
}

fn none() -> Refusal {
    Refusal::not_found(
        "This tenant has no such stored file. It may have been deleted, or had its time; fetch it again.",
    )
}

/// A stored file never changes: its id tells it from every other.
fn tag(file: &StoredFile) -> Option<ETag> {
    format!("\"{}-{}\"", file.file, file.stored_at).parse().ok()
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    /// From this byte on, so many.
    Part(u64, u64),
    /// Nothing that is there.
    Nothing,
}

/// One part at most: several would be answered in a form that no download needs, so they get all of it (RFC 9110, 14.2).
fn wanted(request: &Request, file: &StoredFile) -> Wanted {
    let headers = &request.headers;
    let Some(range) = headers.typed_get::<Range>() else { return Wanted::All };
    let is_other = |if_range: IfRange| if_range.is_modified(tag(file).as_ref(), None);
    // One that cannot be read is none that fits.
    let has_condition = headers.contains_key(header::IF_RANGE);
    if has_condition && headers.typed_get::<IfRange>().is_none_or(is_other) {
        return Wanted::All;
    }
    part_of(&range, file.bytes)
}

fn part_of(range: &Range, bytes: u64) -> Wanted {
    use std::ops::Bound;
    let mut parts = range.satisfiable_ranges(bytes);
    let Some((from, to)) = parts.next() else { return Wanted::Nothing };
    if parts.next().is_some() {
        return Wanted::All;
    }
    let from = match from {
        Bound::Included(from) => from,
        Bound::Excluded(from) => from + 1,
        Bound::Unbounded => 0,
    };
    let end = match to {
        Bound::Included(to) => to.saturating_add(1),
        Bound::Excluded(to) => to,
        Bound::Unbounded => bytes,
    }
    .min(bytes);
    if from < end { Wanted::Part(from, end - from) } else { Wanted::Nothing }
}

fn described(
    mut response: Response,
    file: &StoredFile,
    status: StatusCode,
    from: u64,
    length: u64,
) -> Response {
    *response.status_mut() = status;
    let kind = match file.kind {
        StoredKind::Log => "text/plain; charset=utf-8",
        StoredKind::Folder | StoredKind::Results => "application/x-tar",
        StoredKind::File => "application/octet-stream",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HARMLESS);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(tag) = tag(file) {
        headers.typed_insert(tag);
    }
    let range = match status {
        StatusCode::PARTIAL_CONTENT => Some(format!("bytes {from}-{}/{}", from + length - 1, file.bytes)),
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{}", file.bytes)),
        _ => None,
    };
    if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    headers.insert(header::CONTENT_DISPOSITION, disposition(&file.name));
    response
}

/// To be saved under this name (RFC 6266): in plain letters for old programs, and whole.
pub(super) fn disposition(name: &str) -> HeaderValue {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_ ".contains(c) { c } else { '_' }).collect();
    let whole = utf8_percent_encode(name, PLAIN);
    HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderMap;

    use super::*;

    fn part(range: &str, bytes: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        part_of(&headers.typed_get::<Range>().unwrap(), bytes)
    }

    /// A download that goes on must get the bytes that it lacks, no others, and learn when there are none.
    #[test]
    fn parts_are_what_was_asked_for() {
        assert_eq!(part("bytes=0-3", 10), Wanted::Part(0, 4));
        assert_eq!(part("bytes=4-", 10), Wanted::Part(4, 6));
        assert_eq!(part("bytes=-3", 10), Wanted::Part(7, 3));
        assert_eq!(part("bytes=8-100", 10), Wanted::Part(8, 2));
        assert_eq!(part("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(part("bytes=0-1,4-5", 10), Wanted::All);
    }

    /// A name must not end the header or begin another.
    #[test]
    fn names_stay_within_their_header() {
        let told = disposition("a\"; x=\"ä.txt");
        assert_eq!(
            told,
            "attachment; filename=\"a__ x___.txt\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%A4.txt"
        );
    }
}

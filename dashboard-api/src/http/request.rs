//! What every handler gets: the method, the headers, who connected, and a body that is read on demand.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ecep_proto::api::error::{ErrorKind, without_values};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use warp::{
    Buf, Filter,
    filters::BoxedFilter,
    http::{HeaderMap, Method, StatusCode, header},
    path::FullPath,
    ws::Ws,
};

use super::{App, Refusal, endpoints::Access, forwarded::client_address, guard::Caller, record::Record};
use crate::{listener::Peer, naming::invalid};

/// Longest body in bytes; the longest we know, an enrolment with its facts, has a few thousand.
pub const MAX_BODY: usize = 64 * 1024;
/// A body must have arrived within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Rows of a page, if no limit is given.
const DEFAULT_LIMIT: usize = 100;
/// Most rows of a page.
const MAX_LIMIT: usize = 500;

/// Which page of a list.
pub(super) struct Page {
    /// It begins behind the row of this id; empty for the first.
    pub(super) after: String,
    /// It has at most so many rows.
    pub(super) limit: usize,
}

type Body = Pin<Box<dyn Stream<Item = Result<Vec<u8>, warp::Error>> + Send>>;

/// A request.
pub(super) struct Request {
    pub(super) app: Arc<App>,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) path: String,
    /// What stands in the path for the braces of its form, in order.
    pub(super) parameters: Vec<String>,
    /// Who asks, once judged.
    pub(super) caller: Caller,
    /// By what they were judged.
    pub(super) judged_by: Option<Access>,
    /// Who asks, as far as a trusted proxy tells.
    pub(super) peer: IpAddr,
    /// What the audit is told of it.
    pub(super) record: Arc<Record>,
    /// To become a WebSocket, where that is what is asked for. Taken once.
    pub(super) socket: Mutex<Option<Ws>>,
    query: String,
    /// Never locked: it makes the request one that handlers may lend across an await.
    body: Mutex<Body>,
}

/// Extracts the request.
pub(super) fn request(app: Arc<App>) -> BoxedFilter<(Request,)> {
    warp::method()
        .and(warp::header::headers_cloned())
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::ext::optional::<Peer>())
        .and(warp::ws().map(Some).or(warp::any().map(|| None)).unify())
        .and(warp::body::stream())
        .map(move |method, headers, path: FullPath, query, peer: Option<Peer>, socket, body| Request {
            peer: client_address(
                peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| address),
                &headers,
                &app.control.config.trusted_proxy,
            ),
            app: Arc::clone(&app),
            method,
            headers,
            path: path.as_str().to_owned(),
            parameters: Vec::new(),
            caller: Caller::default(),
            judged_by: None,
            query,
            socket: Mutex::new(socket),
            record: Arc::default(),
            body: Mutex::new(boxed(body)),
        })
        .boxed()
}

fn boxed<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static) -> Body {
    Box::pin(body.map(|chunk| {
        chunk.map(|mut chunk| {
            let mut bytes = vec![0; chunk.remaining()];
            chunk.copy_to_slice(&mut bytes);
            bytes
        })
    }))
}

impl Request {
    /// Reads the body, which must be JSON of this form.
    ///
    /// # Errors
    /// 415, 413, 408 or 400, the last with the place of what is wrong; or as [`Request::judge`], if access has ended meanwhile.
    pub(super) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Refusal> {
        let content_type = self.text_header(&header::CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ErrorKind::InvalidArgument,
                "The body must be JSON; send the header content-type: application/json.",
            ));
        }
        let bytes = self.bytes_in_time().await?;
        self.record.body(&bytes);
        serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                ErrorKind::InvalidArgument,
                format!("The body is not JSON of the expected form: {}.", without_values(&error.to_string())),
            )
        })
    }

    /// Reads the body, and puts it back for the handler.
    ///
    /// # Errors
    /// 413, 408 or 400; or as [`Request::judge`], if access has ended meanwhile.
    pub(super) async fn buffer(&mut self) -> Result<Vec<u8>, Refusal> {
        let bytes = self.bytes_in_time().await?;
        let chunk = Ok(bytes.clone());
        self.body = Mutex::new(Box::pin(futures_util::stream::once(async { chunk })));
        Ok(bytes)
    }

    /// The next bytes of a body that is not kept in memory; `None` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn chunk(&mut self) -> Option<Result<Vec<u8>, warp::Error>> {
        self.body.get_mut().unwrap_or_else(PoisonError::into_inner).next().await
    }

    /// Whoever sends their body slowly may have lost their access meanwhile: they are judged by what holds at its end.
    async fn bytes_in_time(&mut self) -> Result<Vec<u8>, Refusal> {
        let Ok(bytes) = tokio::time::timeout(BODY_WITHIN, self.bytes()).await else {
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorKind::Unavailable,
                format!("The body did not arrive within {} s. Send it again.", BODY_WITHIN.as_secs()),
            ));
        };
        let bytes = bytes?;
        self.judge_again()?;
        Ok(bytes)
    }

    async fn bytes(&mut self) -> Result<Vec<u8>, Refusal> {
        let announced =
            self.text_header(&header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > MAX_BODY) {
            return Err(too_long());
        }
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| {
                Refusal::new(
                    StatusCode::BAD_REQUEST,
                    ErrorKind::InvalidArgument,
                    format!("The body could not be read: {error}. Send it again."),
                )
            })?;
            if bytes.len() + chunk.len() > MAX_BODY {
                return Err(too_long());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Which page of a list is wanted: `limit` and `after` of the query. Ids and slugs need no escaping there.
    ///
    /// # Errors
    /// 400 for a limit out of range.
    pub(super) fn page(&self) -> Result<Page, Refusal> {
        let mut page = Page { after: String::new(), limit: DEFAULT_LIMIT };
        for (name, value) in self.query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "after" => value.clone_into(&mut page.after),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    page.limit = limit.ok_or_else(|| {
                        invalid(format!("The limit must be 1 to {MAX_LIMIT}, not {value}."))
                    })?;
                }
                _ => {}
            }
        }
        Ok(page)
    }

    /// The pairs of the query, unescaped.
    ///
    /// # Errors
    /// 400 for what is no escaped UTF-8.
    pub(super) fn query(&self) -> Result<Vec<(String, String)>, Refusal> {
        let unescaped = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| {
                    Refusal::new(
                        StatusCode::BAD_REQUEST,
                        ErrorKind::InvalidArgument,
                        "The query is not UTF-8. Escape it as URLs are.",
                    )
                })
        };
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((unescaped(name)?, unescaped(value)?))
            })
            .collect()
    }

    /// What stands for the last braces of the path's form.
    pub(super) fn id(&self) -> &str {
        self.parameters.last().map_or("", String::as_str)
    }

    /// A header's text, if it is there once and readable.
    pub(super) fn text_header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn too_long() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::InvalidArgument,
        format!("The body is too long; at most {MAX_BODY} bytes are read."),
    )
}

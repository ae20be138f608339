//! Uploads by tus 1.0. Bodies of parts go to the disk as they come, and are never in memory as a whole.
//!
//! Must not know where the bytes are, nor what becomes of them (`crate::artifacts`).

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use ecep_proto::api::{
    artifact::{ArtifactDigest, MAX_UPLOAD_BYTES},
    audit::{Outcome, cut},
    error::ErrorKind,
    http::ARTIFACT_HEADER,
};
use warp::{
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    reply::{Reply, Response},
};

use super::{Answer, Refusal, endpoints::ENDPOINTS, record, request::Request, tus};
use crate::{
    artifacts::{Claim, Finished, UploadError, expires_at},
    clock::unix_ms,
    store::{StoreError, Upload, audit::Draft},
};

/// A part of which nothing comes for so long is over; what has come counts.
const SILENCE: Duration = Duration::from_secs(30);
/// What of a refused part is read and dropped, so that its sender hears why: a browser that is cut off while it sends hears nothing. The
/// stock client's parts have 8 MiB.
const DROPPED_BYTES: usize = 16 << 20;
/// How long that may take.
const DROPPED_WITHIN: Duration = Duration::from_secs(10);
/// What tus answers to a part with another checksum.
const CHECKSUM_MISMATCH: u16 = 460;

const ARTIFACT: HeaderName = HeaderName::from_static(ARTIFACT_HEADER);
const PATH_OF_ONE: &str = "/api/tenants/{slug}/uploads/{id}";

/// Says what is spoken.
pub(super) async fn options(_request: Request) -> Answer {
    let mut response = with_status(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(tus::VERSIONS, tus::VERSION);
    headers.insert(tus::EXTENSION, tus::EXTENSIONS);
    headers.insert(tus::CHECKSUM_ALGORITHM, tus::ALGORITHMS);
    headers.insert(tus::MAX_SIZE, HeaderValue::from(MAX_UPLOAD_BYTES));
    Ok(spoken(response))
}

/// Begins an upload.
pub(super) async fn begin(request: Request) -> Answer {
    let begun = async {
        tus::check_version(&request.headers)?;
        let tenant = request.tenant()?;
        let wanted = tus::wanted(&request.headers)?;
        request.record.detail("name", &wanted.name);
        let uploads = &request.app.control.uploads;
        let upload = uploads.begin(tenant, wanted.name, wanted.bytes, wanted.digest).await?;
        request.record.detail("operation", &upload.id);
        let mut response = with_status(StatusCode::CREATED);
        let headers = response.headers_mut();
        let location = format!("{}/{}", request.path, upload.id);
        let location = HeaderValue::from_str(&location).map_err(|_| Refusal::defect())?;
        headers.insert(header::LOCATION, location);
        headers.insert(tus::OFFSET, HeaderValue::from(0));
        headers.insert(tus::EXPIRES, expires(&upload)?);
        Ok(response)
    };
    Ok(spoken(answered(begun.await)))
}

/// Says how an upload stands: to `HEAD` as tus has it, after it was judged if it is whole, and to `GET` as JSON.
pub(super) async fn look(request: Request) -> Answer {
    if request.method != Method::HEAD {
        let upload = upload_of(&request)?;
        return Ok(warp::reply::json(&request.app.control.uploads.view(&upload)).into_response());
    }
    let looked = async {
        tus::check_version(&request.headers)?;
        let upload = upload_of(&request)?;
        let uploads = &request.app.control.uploads;
        let claim = uploads.claim(&upload).await?;
        let finished = finish(&request, &claim, &upload).await;
        // A client that looks whether it may go on begins anew then, and hears at the end of that what is wrong.
        let finished = finished.map_err(|error| match error {
            UploadError::Refused { kind, detail } => Refusal::new(StatusCode::GONE, kind, detail),
            error => error.into(),
        })?;
        told(StatusCode::OK, &upload, &finished)
    };
    Ok(spoken(answered(looked.await)))
}

/// Takes a part.
pub(super) async fn part(mut request: Request) -> Answer {
    let taken = take(&mut request).await;
    if taken.is_err() {
        drop_rest(&mut request).await;
    }
    Ok(spoken(answered(taken)))
}

async fn take(request: &mut Request) -> Answer {
    tus::check_version(&request.headers)?;
    let part = tus::part(&request.headers)?;
    let upload = upload_of(request)?;
    let app = std::sync::Arc::clone(&request.app);
    let uploads = &app.control.uploads;
    let (claim, room) = uploads.claim_for_part(&upload)?;
    if upload.end.is_none() {
        let mut file = uploads.append(&claim, &upload, part.offset, part.checksum).await?;
        let received = loop {
            let next = tokio::time::timeout(SILENCE, request.chunk());
            let chunk = tokio::select! {
                () = claim.must_give_way() => break Err(UploadError::Locked),
                next = next => next,
            };
            match chunk {
                Ok(Some(Ok(bytes))) => {
                    claim.hears();
                    if let Err(error) = file.push(&bytes).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                // The connection broke, or is as good as broken: nobody hears the answer.
                Ok(Some(Err(_))) | Err(_) => break Err(UploadError::Locked),
            }
        };
        file.end(received).await?;
    }
    drop(room);
    let finished = finish(request, &claim, &upload).await?;
    if upload.end.is_some() && part.offset != upload.bytes {
        return Err(UploadError::Offset(upload.bytes).into());
    }
    told(StatusCode::NO_CONTENT, &upload, &finished)
}

/// Gives an upload up.
pub(super) async fn give_up(request: Request) -> Answer {
    let given_up = async {
        tus::check_version(&request.headers)?;
        request.app.control.uploads.terminate(request.tenant()?, request.id()).await?;
        Ok(with_status(StatusCode::NO_CONTENT))
    };
    Ok(spoken(answered(given_up.await)))
}

fn upload_of(request: &Request) -> Result<Upload, Refusal> {
    Ok(request.app.control.uploads.get(request.tenant()?, request.id())?)
}

/// Looks after it; what comes of it is written down.
async fn finish(request: &Request, claim: &Claim, upload: &Upload) -> Result<Finished, UploadError> {
    let finished = request.app.control.uploads.finish(claim, upload).await;
    let is_news = upload.end.is_none();
    match &finished {
        Ok(Finished::Artifact(digest)) if is_news => note(request, upload, Some(digest)).await,
        Err(UploadError::Refused { .. }) if is_news => note(request, upload, None).await,
        _ => {}
    }
    finished
}

async fn note(request: &Request, upload: &Upload, digest: Option<&ArtifactDigest>) {
    let endpoint = ENDPOINTS.iter().find(|one| one.path == PATH_OF_ONE && one.method == Method::PATCH);
    let Some(endpoint) = endpoint else { return };
    let draft = Draft {
        target: digest.map_or_else(|| upload.id.clone(), ToString::to_string),
        outcome: if digest.is_some() { Outcome::Done } else { Outcome::Refused },
        error: digest.is_none().then(|| StatusCode::UNPROCESSABLE_ENTITY.as_u16().to_string()),
        detail: BTreeMap::from([("name".to_owned(), cut(&upload.name))]),
        ..record::asked(request.asker(endpoint.access), endpoint, request.peer)
    };
    request.app.control.audit.note(unix_ms(), draft).await;
}

fn told(status: StatusCode, upload: &Upload, finished: &Finished) -> Answer {
    let mut response = with_status(status);
    let headers = response.headers_mut();
    let offset = match finished {
        Finished::Open(offset) => *offset,
        Finished::Artifact(digest) => {
            let digest = HeaderValue::from_str(digest.as_str()).map_err(|_| Refusal::defect())?;
            headers.insert(ARTIFACT, digest);
            upload.bytes
        }
    };
    headers.insert(tus::OFFSET, HeaderValue::from(offset));
    headers.insert(tus::LENGTH, HeaderValue::from(upload.bytes));
    headers.insert(tus::EXPIRES, expires(upload)?);
    Ok(response)
}

fn expires(upload: &Upload) -> Result<HeaderValue, Refusal> {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(expires_at(upload));
    HeaderValue::from_str(&httpdate::fmt_http_date(at)).map_err(|_| Refusal::defect())
}

/// Reads what is still being sent.
async fn drop_rest(request: &mut Request) {
    let rest = async {
        let mut left = DROPPED_BYTES;
        while let Some(Ok(bytes)) = request.chunk().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whoever sends more or slower is cut off.
    let _ = tokio::time::timeout(DROPPED_WITHIN, rest).await;
}

fn answered(answer: Answer) -> Response {
    answer.unwrap_or_else(Reply::into_response)
}

fn with_status(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// Every answer says which version it speaks.
fn spoken(mut response: Response) -> Response {
    response.headers_mut().insert(tus::RESUMABLE, tus::VERSION);
    response
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        let detail = error.to_string();
        let (status, kind) = match error {
            UploadError::Gone => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            UploadError::Locked => (StatusCode::LOCKED, ErrorKind::Conflict),
            UploadError::Offset(offset) => {
                return Self::new(StatusCode::CONFLICT, ErrorKind::Conflict, detail)
                    .with(tus::OFFSET, HeaderValue::from(offset));
            }
            UploadError::TooLong(_) => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::InvalidArgument),
            UploadError::Checksum => {
                let status = StatusCode::from_u16(CHECKSUM_MISMATCH).unwrap_or(StatusCode::BAD_REQUEST);
                (status, ErrorKind::InvalidArgument)
            }
            UploadError::Full | UploadError::Store(StoreError::Full { .. }) => {
                (StatusCode::INSUFFICIENT_STORAGE, ErrorKind::Unavailable)
            }
            UploadError::Busy | UploadError::Stopping => {
                let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable, detail);
                return refusal.with(header::RETRY_AFTER, HeaderValue::from(1));
            }
            UploadError::Refused { kind, .. } => (StatusCode::UNPROCESSABLE_ENTITY, kind),
            UploadError::Disk(error) => {
                tracing::error!(%error, "an upload cannot be read or written");
                (StatusCode::SERVICE_UNAVAILABLE, ErrorKind::Unavailable)
            }
            UploadError::Store(StoreError::Limit(_)) => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::Limit),
            UploadError::Store(error) => return error.into(),
        };
        Self::new(status, kind, detail)
    }
}

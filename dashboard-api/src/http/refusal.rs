//! Errors as HTTP answers: RFC 9457 problem documents.

use std::time::Duration;

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    http::Problem,
};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use crate::store::StoreError;

/// Why a request was refused.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    kind: ErrorKind,
    detail: String,
    header: Option<(header::HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with this status, error URI and sentence.
    pub fn new(status: StatusCode, kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), header: None }
    }

    /// Not logged in.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden,
            "You are not logged in, or the login has ended. Log in again.",
        )
    }

    /// The API token is not good.
    pub fn bad_token() -> Self {
        let mut refusal = Self::new(
            StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden,
            "The API token is not good: it was revoked, has expired, or is not of the form `Bearer <id>.<secret>`. An owner of the tenant can make a new one.",
        );
        refusal.header = Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        refusal
    }

    /// Logged in, but not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorKind::Forbidden, detail)
    }

    /// No such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, detail)
    }

    /// No such path.
    pub fn no_route(path: &str) -> Self {
        Self::not_found(format!("There is nothing at {path}. Check the path."))
    }

    /// The path takes only these methods, such as `GET, POST`.
    pub fn method(allowed: &str) -> Self {
        let mut refusal = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::InvalidArgument,
            format!("This path takes only: {allowed}."),
        );
        refusal.header = HeaderValue::from_str(allowed).ok().map(|allowed| (header::ALLOW, allowed));
        refusal
    }

    /// A defect of the control plane. What it is stands in the log alone: it may be about anything.
    pub fn defect() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Unavailable,
            "This is a defect in the control plane; its log says more. Please report it.",
        )
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Too often; try again after this time.
    pub fn too_often(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        let mut refusal = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Limit,
            format!("Too many attempts. Try again in {seconds} s."),
        );
        refusal.header = Some((header::RETRY_AFTER, HeaderValue::from(seconds)));
        refusal
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let status = match error.uri {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Forbidden => StatusCode::FORBIDDEN,
            ErrorKind::Engine => StatusCode::BAD_GATEWAY,
            ErrorKind::Preflight => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Limit => StatusCode::TOO_MANY_REQUESTS,
        };
        Self::new(status, error.uri, error.message)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        ApiError::from(error).into()
    }
}

impl Reply for Refusal {
    fn into_response(self) -> Response {
        let problem =
            Problem { status: self.status.as_u16(), kind: self.kind.uri().to_owned(), detail: self.detail };
        let mut response = warp::reply::json(&problem).into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
        response
    }
}

//! The HTTP API and the web app. One route for each path; a handler decides by the method, so that a wrong one
//! is answered with the right ones. Every error is `application/problem+json`.
//!
//! Must not know sled or WAMP.

mod accounts;
mod assets;
mod cookie;
mod devices;
mod guard;
mod refusal;
mod request;
mod session;
mod setup;
mod tokens;

use std::sync::Arc;

use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

pub use refusal::Refusal;
use request::request;

use crate::{control::ControlPlane, setup::SetupCode, uplink::Uplink};

/// What handlers need.
pub struct App {
    /// The state.
    pub control: Arc<ControlPlane>,
    /// The links.
    pub uplink: Arc<Uplink>,
    /// The code of the first run.
    pub setup: SetupCode,
}

type Answer = Result<Response, Refusal>;

/// All routes.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let policy = content_security_policy(app.control.config.wamp_url.origin());
    let is_secure = app.control.config.is_secure();
    let request = request(app);
    let people = warp::path!("api" / "setup")
        .and(request.clone())
        .then(setup::setup)
        .or(warp::path!("api" / "login").and(request.clone()).then(session::login))
        .unify()
        .or(warp::path!("api" / "logout").and(request.clone()).then(session::logout))
        .unify()
        .or(warp::path!("api" / "session").and(request.clone()).then(session::session))
        .unify()
        .or(warp::path!("api" / "wamp-ticket").and(request.clone()).then(session::wamp_ticket))
        .unify()
        .or(warp::path!("api" / "accounts").and(request.clone()).then(accounts::accounts))
        .unify()
        .or(warp::path!("api" / "tenants").and(request.clone()).then(accounts::tenants))
        .unify()
        .boxed();
    let tokens = warp::path!("api" / "tenants" / String / "join-tokens")
        .and(request.clone())
        .then(tokens::join_tokens)
        .or(warp::path!("api" / "tenants" / String / "join-tokens" / String)
            .and(request.clone())
            .then(tokens::join_token))
        .unify()
        .or(warp::path!("api" / "tenants" / String / "api-tokens")
            .and(request.clone())
            .then(tokens::api_tokens))
        .unify()
        .or(warp::path!("api" / "tenants" / String / "api-tokens" / String)
            .and(request.clone())
            .then(tokens::api_token))
        .unify()
        .boxed();
    let devices = warp::path!("api" / "device" / "enrol")
        .and(request.clone())
        .then(devices::enrol)
        .or(warp::path!("api" / "device" / "session").and(request.clone()).then(devices::session))
        .unify()
        .or(warp::path!("api" / "tenants" / String / "devices" / String)
            .and(request.clone())
            .then(devices::device))
        .unify()
        .boxed();
    let rest = warp::path("api")
        .and(warp::path::full())
        .then(
            |path: warp::path::FullPath| async move { Err::<Response, _>(Refusal::no_route(path.as_str())) },
        )
        .or(warp::path!("healthz").and(request.clone()).then(session::health))
        .unify()
        .or(warp::path::full().and(request).then(assets::serve))
        .unify()
        .boxed();
    people
        .or(tokens)
        .unify()
        .or(devices)
        .unify()
        .or(rest)
        .unify()
        .map(move |answer: Answer| with_headers(answer.into_response(), &policy, is_secure))
        .boxed()
}

/// Only our own scripts, styles and fonts; connections to ourselves and to the router.
fn content_security_policy(wamp_origin: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self' {wamp_origin}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    // The origin was checked when it was parsed; were it not, no connection at all is the safe answer.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// A browser that came over TLS once does not come without it for a year.
const TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Headers of every answer.
fn with_headers(mut response: Response, policy: &HeaderValue, is_secure: bool) -> Response {
    let headers = response.headers_mut();
    if is_secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TRANSPORT_SECURITY);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    // Whatever does not say otherwise is about somebody and now.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

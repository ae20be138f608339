//! The HTTP API and the web app. The table of `endpoints` says what there is and who may call it; a request is looked
//! up there, its caller is judged, and only then its handler runs. Every error is `application/problem+json`.
//!
//! Must not know sled or WAMP.

mod accounts;
mod assets;
mod cookie;
mod devices;
mod ending;
pub mod endpoints;
mod forwarded;
mod guard;
mod invitations;
mod login;
mod members;
mod metrics;
mod own_account;
mod refusal;
mod request;
mod session;
mod setup;
mod shares;
mod tenants;
mod tokens;

use std::sync::Arc;

use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

use endpoints::Found;
pub use refusal::Refusal;
use request::{Request, request};

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

/// What the figures call whatever has no endpoint.
const NO_ROUTE: &str = "other";
/// What the figures call the web application's files.
const ASSETS: &str = "assets";

type Answer = Result<Response, Refusal>;

/// All routes.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let policy = content_security_policy(app.control.config.wamp_url.origin());
    let is_secure = app.control.config.is_secure();
    request(app)
        .then(move |request: Request| {
            let (policy, control) = (policy.clone(), Arc::clone(&request.app.control));
            async move {
                let (route, answer) = answer(request).await;
                let response = answer.into_response();
                control.metrics.answered(route, response.status());
                with_headers(response, &policy, is_secure)
            }
        })
        .boxed()
}

/// The answer, and the form of the path by which it was found.
async fn answer(mut request: Request) -> (&'static str, Answer) {
    match endpoints::find(&request.method, &request.path) {
        Found::Endpoint(endpoint, parameters) => {
            request.parameters = parameters;
            let answer = match request.judge(endpoint.access) {
                Ok(()) => (endpoint.handler)(request).await,
                Err(refusal) => Err(refusal),
            };
            (endpoint.path, answer)
        }
        Found::Methods(methods) => (NO_ROUTE, Err(Refusal::method(&methods))),
        Found::Nothing if request.path == "/api" || request.path.starts_with("/api/") => {
            (NO_ROUTE, Err(Refusal::no_route(&request.path)))
        }
        Found::Nothing => (ASSETS, assets::serve(&request)),
    }
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

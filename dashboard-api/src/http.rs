//! The HTTP API and the web app. The table of `endpoints` says what there is and who may call it; a request is looked
//! up there, its caller is judged, and only then its handler runs. Every error is `application/problem+json`.
//!
//! Must not know sled or WAMP.

mod accounts;
mod assets;
mod audit;
mod cookie;
mod devices;
mod ending;
pub mod endpoints;
mod files;
mod forwarded;
mod guard;
mod invitations;
mod log;
mod login;
mod members;
mod metrics;
mod once;
mod own_account;
mod record;
mod refusal;
mod request;
mod right;
mod session;
mod setup;
mod shares;
mod tenants;
mod terminal;
mod tokens;
mod tus;
mod uploads;

use std::sync::Arc;

use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

use endpoints::Found;
pub use once::AtWork;
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
    /// Orders with keys that are at work.
    pub at_work: AtWork,
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
            let answer = whole(endpoint.path, async move {
                if endpoint.is_change() {
                    return Ok(record::recorded(request, endpoint).await);
                }
                request.judge(endpoint.access)?;
                (endpoint.handler)(request).await
            });
            (endpoint.path, answer.await)
        }
        Found::Methods(methods) => (NO_ROUTE, Err(Refusal::method(&methods))),
        Found::Nothing if request.path == "/api" || request.path.starts_with("/api/") => {
            (NO_ROUTE, Err(Refusal::no_route(&request.path)))
        }
        Found::Nothing => (ASSETS, assets::serve(&request)),
    }
}

/// Does it in a task of its own: a change is neither given up half-way nor left out of the audit because whoever asked has hung
/// up, and a panic ends no more than this request.
async fn whole(path: &'static str, work: impl Future<Output = Answer> + Send + 'static) -> Answer {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        tracing::error!(path, %error, "a request was not handled to its end");
        Err(Refusal::defect())
    })
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
    // Only a stricter one stands already.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    // Whatever does not say otherwise is about somebody and now.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use warp::http::StatusCode;

    use super::*;

    /// A defect must end one request only, as a problem document that tells nothing of it.
    #[tokio::test]
    async fn a_panic_is_a_problem_without_details() {
        let answer = whole("/api/x", async { panic!("a secret of the inside") }).await.into_response();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
    }
}

//! `/metrics` for Prometheus and `/healthz` for whoever restarts what does not answer, on a listener of their own.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::{Response, StatusCode};

use crate::monitor::Monitor;

/// What Prometheus calls its text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until the token is cancelled.
pub(crate) async fn serve(listener: TcpListener, monitor: Arc<Monitor>, stop: CancellationToken) {
    let with = warp::any().map(move || monitor.clone());
    let metrics = warp::path!("metrics").and(with.clone()).then(|monitor: Arc<Monitor>| async move {
        answer(StatusCode::OK, PROMETHEUS, monitor.metrics().await)
    });
    let health = warp::path!("healthz").and(with).then(|monitor: Arc<Monitor>| async move {
        let (status, text) = match monitor.health().await {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
        };
        answer(status, "text/plain; charset=utf-8", text)
    });
    let routes = warp::get().and(metrics.or(health).unify());
    warp::serve(routes).incoming(listener).graceful(stop.cancelled_owned()).run().await;
}

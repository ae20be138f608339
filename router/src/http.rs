//! `/metrics` for Prometheus and `/healthz` for whoever restarts what does not answer, on a listener of their own.

use std::sync::Arc;
use std::time::Duration;

use ecep_proto::api::realm::tenant_of;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::hub::Hub;
use crate::metrics::{Gauges, RealmReport};
use crate::slots::Slots;

/// What Prometheus calls its text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a realm may take to say how it is. One takes its turn after at most the messages that wait for it; far
/// more than those take means that it stands still.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The name under which the realms of all tenants are counted together: there can be any number of them.
const TENANTS: &str = "tenants";

/// What is looked at.
pub(crate) struct Monitor {
    pub(crate) hub: Arc<Hub>,
    pub(crate) slots: Slots,
}

impl Monitor {
    async fn metrics(&self) -> String {
        let mut tenants = None;
        let mut realms = Vec::new();
        for (name, report) in self.hub.reports(Instant::now() + ANSWER_TIMEOUT).await {
            let report = report.unwrap_or_default();
            if tenant_of(&name).is_some() {
                let sum: &mut RealmReport = tenants.get_or_insert_default();
                sum.add(report);
            } else {
                realms.push((name, report));
            }
        }
        realms.extend(tenants.map(|sum| (TENANTS.to_owned(), sum)));
        realms.sort();
        let gauges = Gauges { connections: self.slots.used(), queue_bytes: self.hub.budget.used() };
        self.hub.metrics.write(gauges, &realms)
    }

    /// Whether every realm still takes its turns.
    async fn health(&self) -> Result<(), String> {
        let reports = self.hub.reports(Instant::now() + ANSWER_TIMEOUT).await;
        match reports.iter().find(|(_, report)| report.is_none()) {
            Some((name, _)) => Err(format!("realm {name} does not answer")),
            None => Ok(()),
        }
    }
}

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

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

//! `/metrics` for Prometheus and `/healthz` for whoever restarts what does not answer, on a listener of their own.

use std::sync::Arc;
use std::time::Duration;

use ecep_proto::api::realm::tenant_of;
use ecep_tls::ServerTls;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use warp::hyper::server::conn::http1;

use crate::hub::Hub;
use crate::metrics::{Gauges, RealmReport};
use crate::slots::Slots;
use crate::transport::stream::Stream;

/// What Prometheus calls its text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a realm may take to say how it is. One takes its turn after at most the messages that wait for it; far
/// more than those take means that it stands still.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The name under which the realms of all tenants are counted together: there can be any number of them.
const TENANTS: &str = "tenants";

/// How many may look at once: a few instruments keep a connection each. Further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 64;

/// How long a handshake may take, and how long a connection may be silent. Prometheus asks at least once a minute.
const SILENCE: Duration = Duration::from_secs(90);

/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    monitor: Arc<Monitor>,
    stop: CancellationToken,
) {
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
    let routes = warp::get().and(metrics.or(health).unify()).map(warp::Reply::into_response).boxed();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (tls, routes, stop) = (tls.clone(), routes.clone(), stop.clone());
        tokio::spawn(async move {
            if let Some(Err(error)) = stop.run_until_cancelled(connection(stream, tls, routes)).await {
                tracing::debug!(%peer, %error, "who looked at the metrics was cut off");
            }
            drop(place);
        });
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<Arc<ServerTls>>,
    routes: BoxedFilter<(warp::reply::Response,)>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = match tls {
        Some(tls) => Stream::Tls(Box::new(timeout(SILENCE, tls.accept(stream)).await??)),
        None => Stream::Tcp(stream),
    };
    let service = TowerToHyperService::new(warp::service(routes));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SILENCE);
    Ok(http.serve_connection(TokioIo::new(stream), service).await?)
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

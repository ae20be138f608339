//! What the control plane counts of itself, and its page for Prometheus. Figures of devices and containers are
//! `telemetry`'s: whoever may see this page sees no tenant's things.

mod process;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ecep_proto::api::{alert::AlertKind, device::Liveness};
use warp::{
    Filter,
    filters::BoxedFilter,
    http::{HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use crate::{
    control::ControlPlane,
    exposition::{CONTENT_TYPE, Kind, Page, count},
    uplink::Uplink,
};

/// The counters.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    joins_accepted: AtomicU64,
    joins_refused: AtomicU64,
}

impl Metrics {
    /// A request was answered. A route is the form of a path, so there are few of them and none tells anything.
    pub fn answered(&self, route: &'static str, status: StatusCode) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status.as_u16())).or_default() += 1;
    }

    /// The router asked about a client.
    pub fn joined(&self, is_accepted: bool) {
        let counter = if is_accepted { &self.joins_accepted } else { &self.joins_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        page.family("ecep_api_requests_total", Kind::Counter, "HTTP requests answered.");
        let mut outcomes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for ((route, status), number) in &requests {
            page.sample(&[("route", route), ("status", &status.to_string())], count(*number));
            let by = match *route {
                "/api/login" => "password",
                "/api/device/session" => "device_key",
                _ => continue,
            };
            let outcome = match status {
                200..300 => "accepted",
                429 => "limited",
                500.. => "failed",
                _ => "refused",
            };
            *outcomes.entry((by, outcome)).or_default() += number;
        }
        outcomes.insert(("wamp_ticket", "accepted"), self.joins_accepted.load(Ordering::Relaxed));
        outcomes.insert(("wamp_ticket", "refused"), self.joins_refused.load(Ordering::Relaxed));
        let help = "Attempts to log in or to join, by what was shown and what came of it.";
        page.family("ecep_api_authentications_total", Kind::Counter, help);
        for ((by, outcome), number) in outcomes {
            page.sample(&[("by", by), ("outcome", outcome)], count(number));
        }
    }
}

/// The routes of the page's own listener.
pub fn routes(control: Arc<ControlPlane>, uplink: Arc<Uplink>) -> BoxedFilter<(Response,)> {
    let page = warp::path!("metrics").and(warp::get()).map(move || page_of(write(&control, &uplink)));
    let nothing = warp::any().map(|| StatusCode::NOT_FOUND.into_response());
    page.or(nothing).unify().boxed()
}

/// A page as an answer.
pub(crate) fn page_of(text: String) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}

fn write(control: &ControlPlane, uplink: &Uplink) -> String {
    let mut page = Page::default();
    process::write(&mut page);
    control.metrics.write(&mut page);

    let (links, joined) = uplink.link_counts();
    page.family("ecep_api_wamp_links", Kind::Gauge, "Realms of the router, by whether they are joined.");
    page.sample(&[("state", "joined")], count(joined));
    page.sample(&[("state", "connecting")], count(links - joined));

    let mut devices: HashMap<&str, usize> = HashMap::new();
    for (_, liveness) in control.view().liveness(control.clock.now()) {
        *devices.entry(name_of(liveness)).or_default() += 1;
    }
    page.family("ecep_api_devices", Kind::Gauge, "Enrolled devices, by how they are.");
    for liveness in
        [Liveness::Connected, Liveness::Degraded, Liveness::Stale, Liveness::Offline, Liveness::Never]
    {
        let name = name_of(liveness);
        page.sample(&[("liveness", name)], count(devices.get(name).copied().unwrap_or_default()));
    }

    let active = control.alerts.active();
    page.family("ecep_api_alerts_active", Kind::Gauge, "Alerts that are not over, of all tenants.");
    for (kind, name) in [
        (AlertKind::DeviceOffline, "device_offline"),
        (AlertKind::DiskLow, "disk_low"),
        (AlertKind::Overload, "overload"),
        (AlertKind::MigrationFailed, "migration_failed"),
        (AlertKind::RestartLoop, "restart_loop"),
    ] {
        page.sample(&[("kind", name)], count(active.get(&kind).copied().unwrap_or_default()));
    }

    match control.store.size_on_disk() {
        Ok(bytes) => {
            page.single("ecep_api_store_bytes", Kind::Gauge, "Bytes of the store on disk.", count(bytes));
        }
        Err(error) => tracing::error!(%error, "the store's size cannot be read"),
    }
    let extent = control.history.extent();
    let help = "Devices and containers that have told statistics since the start.";
    page.single("ecep_api_history_series", Kind::Gauge, help, count(extent.series));
    let help = "Bytes of memory for the statistics of the last hour.";
    page.single("ecep_api_history_memory_bytes", Kind::Gauge, help, count(extent.memory_bytes));
    page.finish()
}

/// A device's state as a label.
pub(crate) fn name_of(liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::Connected => "connected",
        Liveness::Degraded => "degraded",
        Liveness::Stale => "stale",
        Liveness::Offline => "offline",
        Liveness::Never => "never",
    }
}

//! Statistics over time, alerts and figures for Prometheus, from a device's reports to whoever asks.

use ecep_proto::api::{
    AlertAcknowledge, AlertListing, FleetReport, Notices, Procedure, StatsHistoryQuery, Topic,
    fleet::Report,
    history::{ContainerSummary, HostSummary, SUMMARY_MS, Span, StatsReport, StatsSummary},
    share::ShareReport,
};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    fleet::{Agent, browser, container, notice},
    joined, platform,
    support::{
        EMAIL, PASSWORD, Person, Server, answer,
        exposition::{check_by_promtool, parse, value},
        now,
    },
};

/// The agent's own clock in these tests.
const CLOCK: u64 = 20 * SUMMARY_MS;

fn span(value: f64) -> Option<Span> {
    Some(Span { min: value - 1.0, avg: value, max: value + 1.0 })
}

/// The summary that began so many windows before the present one.
fn summary(back: u64, percent: f64, containers: &[(&str, &str)]) -> StatsSummary {
    let container = |(tenant, id): &(&str, &str)| ContainerSummary {
        tenant: tenant.parse().unwrap(),
        id: id.parse().unwrap(),
        cpu: span(percent),
        memory_bytes: Some(1 << 20),
        network: Some([1_024, 2_048]),
        disk: None,
    };
    StatsSummary {
        at: CLOCK - back * SUMMARY_MS,
        late: back > 2,
        host: HostSummary {
            cpu: span(percent),
            memory_used_bytes: 1 << 30,
            disk_free_bytes: 1 << 33,
            network: Some([4_096, 512]),
            disk: Some([64, 0]),
        },
        containers: containers.iter().map(container).collect(),
    }
}

impl Agent {
    /// Reports containers, all started then, and statistics.
    async fn tell(&self, started_at: u64, containers: &[(&str, &str)], summaries: Vec<StatsSummary>) {
        let mut placed: Vec<_> = containers.iter().map(|(tenant, id)| container(tenant, id)).collect();
        placed.iter_mut().for_each(|one| one.container.started_at = Some(started_at));
        let report = Report {
            at: now(),
            problems: vec![],
            containers: placed,
            facts: None,
            is_complete: true,
            migrations: vec![],
            network_revision: 0,
            stats: Some(StatsReport { clock: CLOCK, summaries }),
            shares: ShareReport::default(),
        };
        self.link.call::<FleetReport>(FleetReport::URI, &report).await.unwrap();
    }
}

/// The averages that are known.
fn known(history: &Value) -> Vec<f64> {
    let points = history["points"].as_array().unwrap();
    points.iter().filter_map(|point| point["cpu_percent"]["avg"].as_f64()).collect()
}

/// A person sees what the device told, with its gap; of a container only the tenant's own, and nobody else's.
#[tokio::test]
async fn a_tenant_sees_its_own_history_and_nobody_elses() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    let all = [("acme", "c1"), ("globex", "forged")];
    let summaries: Vec<_> = [9, 8, 5, 4].map(|back| summary(back, 10.0 + back as f64, &all)).into();
    agent.tell(1, &all, summaries.clone()).await;
    // The answer was lost, so it is told again.
    agent.tell(1, &all, summaries).await;

    let mut session = browser(&router, &maria, "acme").await;
    let (from, to) = (now() - 15 * SUMMARY_MS, now() + SUMMARY_MS);
    let ask = |key: &str, id: &str| json!({ key: id, "from": from, "to": to });
    // The platform has not run for a quarter of a minute when this begins, so detail of it may not be kept: five
    // minutes are asked for, in which each counts once.
    let coarse = |key: &str, id: &str| json!({ key: id, "from": from, "to": to, "step_ms": 300_000 });
    let device = session.call(StatsHistoryQuery::URI, coarse("device", &agent.id)).await.unwrap();
    let values = known(&device);
    assert!(!values.is_empty() && values.iter().all(|value| (14.0..=19.0).contains(value)), "{device}");
    let container = session.call(StatsHistoryQuery::URI, coarse("container", "c1")).await.unwrap();
    assert_eq!(known(&container), values);
    assert_eq!(container["points"].as_array().unwrap().last().unwrap()["disk_free_bytes"], Value::Null);
    let rates = |history: &Value| {
        let points = history["points"].as_array().unwrap();
        let told = points.iter().find(|point| !point["cpu_percent"].is_null()).unwrap();
        let names = ["network_received", "network_sent", "disk_read", "disk_written"];
        names.map(|name| told[format!("{name}_bytes_per_s")].as_u64())
    };
    assert_eq!(rates(&device), [Some(4_096), Some(512), Some(64), Some(0)]);
    assert_eq!(rates(&container), [Some(1_024), Some(2_048), None, None]);

    for (key, id) in [("device", "other"), ("container", "forged"), ("container", "other")] {
        let refused = session.call(StatsHistoryQuery::URI, ask(key, id)).await.unwrap_err();
        assert!(refused.uri.ends_with("not_found"), "{refused:?}");
    }
    let mut other = browser(&router, &maria, "globex").await;
    for (key, id) in [("device", agent.id.as_str()), ("container", "c1"), ("container", "forged")] {
        let refused = other.call(StatsHistoryQuery::URI, ask(key, id)).await.unwrap_err();
        assert!(refused.uri.ends_with("not_found"), "{refused:?}");
    }
    for wrong in [
        json!({ "from": from, "to": to }),
        json!({ "device": agent.id, "container": "c1", "from": from, "to": to }),
        json!({ "device": agent.id, "from": to, "to": from }),
    ] {
        let refused = session.call(StatsHistoryQuery::URI, wrong).await.unwrap_err();
        assert!(refused.uri.ends_with("invalid_argument"), "{refused:?}");
    }
}

/// Whoever a device is shared with must see of it how it is as a whole and its own containers, since it has the share;
/// nothing of its owner's containers, in no history, alert or figure.
#[tokio::test]
async fn a_guest_sees_the_device_and_its_own_containers_only() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    let both = [("acme", "c1"), ("globex", "g1")];
    agent.tell(1, &both, vec![summary(2, 20.0, &both)]).await;
    let before = now();
    let shares = format!("/api/tenants/acme/devices/{}/shares", agent.id);
    assert_eq!(maria.post(&shares, json!({ "tenant": "globex", "terms": {} })).await.status, 201);
    let share = format!("/api/tenants/globex/shares/{}", agent.id);
    assert_eq!(maria.post(&share, json!({})).await.status, 204);
    for started_at in 1..12 {
        agent.tell(started_at, &both, vec![summary(1, 42.0, &both)]).await;
    }

    let mut guest = browser(&router, &maria, "globex").await;
    let ask = |key: &str, id: &str, to: u64| json!({ key: id, "from": before - 15 * SUMMARY_MS, "to": to });
    let device = guest.call(StatsHistoryQuery::URI, ask("device", &agent.id, now())).await.unwrap();
    assert!(device["points"][0]["at"].as_u64().unwrap() + device["step_ms"].as_u64().unwrap() > before);
    let refused = guest.call(StatsHistoryQuery::URI, ask("device", &agent.id, before)).await.unwrap_err();
    assert!(refused.message.contains("shared with this tenant since"), "{refused:?}");
    let own = guest.call(StatsHistoryQuery::URI, ask("container", "g1", now())).await.unwrap();
    assert_eq!(known(&own), [42.0], "what it told before was nobody's");
    let refused = guest.call(StatsHistoryQuery::URI, ask("container", "c1", now())).await.unwrap_err();
    assert!(refused.uri.ends_with("not_found"), "{refused:?}");

    let mut owner = browser(&router, &maria, "acme").await;
    for (session, container) in [(&mut guest, "g1"), (&mut owner, "c1")] {
        let alerts = session.call(AlertListing::URI, json!({})).await.unwrap()["alerts"].clone();
        assert_eq!((alerts.as_array().unwrap().len(), &alerts[0]["container"]), (1, &json!(container)));
    }
    let page = maria.get("/api/tenants/globex/metrics").await.text;
    assert!(page.contains("g1") && !page.contains("c1\"") && !page.contains("acme"), "{page}");
    let families = parse(&page);
    assert_eq!(value(&families, "ecep_device_cpu_percent", &[("device", &agent.id)]), Some(42.0));
}

/// What was told before a restart is there after it.
#[tokio::test]
async fn a_history_outlives_a_restart() {
    let (router, server, maria) = platform().await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    agent.tell(1, &[("acme", "c1")], vec![summary(1, 33.0, &[("acme", "c1")])]).await;
    let server = server.restart(&router.url()).await;
    joined(&server).await;
    let mut maria = server.visitor();
    maria.login(EMAIL, PASSWORD).await;
    let mut session = browser(&router, &maria, "acme").await;
    let query = json!({ "container": "c1", "from": now() - 600_000, "to": now() });
    let history = session.call(StatsHistoryQuery::URI, query).await.unwrap();
    assert_eq!((known(&history), &history["step_ms"]), (vec![33.0], &json!(300_000)));
}

/// A container that ends again and again: one notice, one alert, which one of its people acknowledges and a viewer may
/// only look at; another tenant has none.
#[tokio::test]
async fn a_restart_loop_is_told_once_and_kept() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    joined(&server).await;
    let viewer = json!([{ "tenant": "acme", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", viewer).await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    let mut session = browser(&router, &maria, "acme").await;
    session.subscribe(Notices::URI, "exact").await;
    for started_at in 1..12 {
        agent.tell(started_at, &[("acme", "c1"), ("globex", "forged")], vec![]).await;
    }
    session.event(notice("Container c1 was started 5 times again")).await;
    let list = session.call(AlertListing::URI, json!({ "which": "active" })).await.unwrap();
    let alerts = list["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{list}");
    assert_eq!((&alerts[0]["kind"], &alerts[0]["container"]), (&json!("restart_loop"), &json!("c1")));
    let alert = json!({ "alert": alerts[0]["id"] });

    let mut looking = browser(&router, &vera, "acme").await;
    assert_eq!(looking.call(AlertListing::URI, json!({})).await.unwrap(), list);
    let refused = looking.call(AlertAcknowledge::URI, alert.clone()).await.unwrap_err();
    assert!(refused.uri.contains("not_authorized"), "{refused:?}");
    let mut other = browser(&router, &maria, "globex").await;
    assert_eq!(other.call(AlertListing::URI, json!({})).await.unwrap()["alerts"], json!([]));
    let refused = other.call(AlertAcknowledge::URI, alert.clone()).await.unwrap_err();
    assert!(refused.uri.ends_with("not_found"), "{refused:?}");

    let seen = session.call(AlertAcknowledge::URI, alert).await.unwrap();
    assert!(seen["acknowledged_at"].is_u64() && seen["cleared_at"].is_null(), "{seen}");
    // The container is deleted: it is over, and still kept.
    agent.tell(1, &[], vec![]).await;
    session.event(notice("is not started again and again any more")).await;
    assert_eq!(session.call(AlertListing::URI, json!({})).await.unwrap()["alerts"], json!([]));
    let all = session.call(AlertListing::URI, json!({ "which": "all" })).await.unwrap();
    assert!(all["alerts"][0]["cleared_at"].is_u64(), "{all}");
}

async fn get(person: &Person, path: &str, bearer: &str) -> crate::support::Answer {
    let request = person.client.request(Method::GET, format!("{}{path}", person.base));
    answer(request.header(header::AUTHORIZATION, format!("Bearer {bearer}"))).await
}

/// A tenant's figures are for its people and its tokens, and hold its own things only, as Prometheus reads them.
#[tokio::test]
async fn a_tenants_figures_are_its_own() {
    let (router, server, maria) = platform().await;
    maria.post("/api/tenants", json!({ "slug": "globex", "name": "Globex" })).await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    let all = [("acme", "c1"), ("globex", "forged")];
    agent.tell(1_000, &all, vec![summary(1, 42.0, &all)]).await;

    let path = "/api/tenants/acme/metrics";
    let page = maria.get(path).await;
    assert_eq!((page.status, page.header("cache-control")), (StatusCode::OK, "no-store"));
    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"));
    check_by_promtool(&page.text);
    let families = parse(&page.text);
    let device = [("device", agent.id.as_str()), ("device_name", "Edge 1")];
    assert_eq!(value(&families, "ecep_device_cpu_percent", &device), Some(42.0));
    assert_eq!(value(&families, "ecep_device_disk_free_bytes", &device), Some((1u64 << 33) as f64));
    let container = [("device", agent.id.as_str()), ("container", "c1"), ("application", "counter")];
    assert_eq!(value(&families, "ecep_container_cpu_percent", &container), Some(42.0));
    assert_eq!(value(&families, "ecep_container_running", &container), Some(1.0));
    for (family, of_device, of_container) in [
        ("network_received", Some(4_096.0), Some(1_024.0)),
        ("network_sent", Some(512.0), Some(2_048.0)),
        ("disk_read", Some(64.0), None),
        ("disk_written", Some(0.0), None),
    ] {
        let of = |what, labels: &[(&str, &str)]| {
            value(&families, &format!("ecep_{what}_{family}_bytes_per_second"), labels)
        };
        assert_eq!(
            (of("device", &device), of("container", &container)),
            (of_device, of_container),
            "{family}"
        );
    }
    assert_eq!(families["ecep_container_running"].len(), 1);
    assert!(!page.text.contains("forged") && !page.text.contains("globex"));
    assert_eq!(maria.get("/api/tenants/globex/metrics").await.text.matches("device=").count(), 0);

    let wanted = json!({ "name": "Prometheus", "role": "telemetry", "valid_seconds": 600 });
    let token = maria.post("/api/tenants/acme/api-tokens", wanted).await.json();
    let (id, secret) = (token["id"].as_str().unwrap(), token["secret"].as_str().unwrap());
    let visitor = server.visitor();
    let good = format!("{id}.{secret}");
    assert_eq!(get(&visitor, path, &good).await.status, StatusCode::OK);
    get(&visitor, "/api/tenants/globex/metrics", &good).await.problem(404);
    get(&visitor, "/api/tenants/nowhere/metrics", &good).await.problem(404);
    for bad in [format!("{id}.guess"), format!("other.{secret}"), secret.to_owned(), String::new()] {
        get(&visitor, path, &bad).await.problem(401);
    }
    visitor.get(path).await.problem(401);
    maria.get("/api/tenants/nowhere/metrics").await.problem(404);
    maria.delete(&format!("/api/tenants/acme/api-tokens/{id}")).await;
    get(&visitor, path, &good).await.problem(401);
    let globex = json!([{ "tenant": "globex", "role": "viewer" }]);
    let vera = server.add_person(&maria, "vera@example.org", globex).await;
    vera.get(path).await.problem(404);
}

/// The control plane's own page says what it does, and no tenant's secrets; it is on its own listener only.
#[tokio::test]
async fn the_control_planes_page_counts_what_it_does() {
    let (router, server, maria) = platform().await;
    let agent = Agent::enrol(&router, &server, &maria).await;
    agent.tell(1, &[("acme", "c1")], vec![summary(1, 5.0, &[("acme", "c1")])]).await;
    let mut guesser = server.visitor();
    let guess = json!({ "email": EMAIL, "password": "not the password" });
    guesser.post("/api/login", guess).await.problem(401);
    guesser.get("/api/no/such/secret-path").await.problem(404);
    guesser.base = server.metrics_base();
    let page = guesser.get("/metrics").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(guesser.get("/api/session").await.status, StatusCode::NOT_FOUND);
    check_by_promtool(&page.text);
    let families = parse(&page.text);
    let is = |name: &str, labels: &[(&str, &str)]| value(&families, name, labels);
    assert_eq!(is("ecep_api_requests_total", &[("route", "/api/login"), ("status", "401")]), Some(1.0));
    assert_eq!(is("ecep_api_requests_total", &[("route", "other"), ("status", "404")]), Some(1.0));
    let login = |outcome| [("by", "password"), ("outcome", outcome)];
    assert_eq!(is("ecep_api_authentications_total", &login("refused")), Some(1.0));
    assert_eq!(is("ecep_api_authentications_total", &login("accepted")), Some(1.0));
    let joins = is("ecep_api_authentications_total", &[("by", "wamp_ticket"), ("outcome", "accepted")]);
    assert!(joins >= Some(1.0), "{joins:?}");
    assert_eq!(is("ecep_api_wamp_links", &[("state", "joined")]), Some(2.0));
    let devices: f64 = families["ecep_api_devices"].iter().map(|(_, value)| value).sum();
    assert_eq!(devices, 1.0);
    assert_eq!(is("ecep_api_alerts_active", &[("kind", "overload")]), Some(0.0));
    assert_eq!(is("ecep_api_history_series", &[]), Some(2.0));
    assert!(is("ecep_api_store_bytes", &[]) > Some(0.0));
    assert!(is("process_resident_memory_bytes", &[]) > Some(1e6));
    for secret in ["acme", "secret-path", "Edge", EMAIL, agent.id.as_str()] {
        assert!(!page.text.contains(secret), "{secret}");
    }
    let own: Server = server;
    assert_ne!(own.visitor().get("/metrics").await.header("content-type"), page.header("content-type"));
}

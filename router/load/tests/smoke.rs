//! The generator against our router, with small counts: everything is answered, and the generator would see it if not.

use std::time::Duration;

use ecep_router::{Config, Router, TransportKind};
use ecep_router_load::{Calls, Common, Encoding, Events, Idle, Row, Target, Watched};
use tokio_util::sync::CancellationToken;

/// One of each kind, on free ports.
const LISTEN: &str = r#"
    listen = [
        { kind = "websocket", address = "127.0.0.1:0" },
        { kind = "rawsocket", address = "127.0.0.1:0" },
    ]
"#;

/// A router on threads of its own. Dropped, it stops.
struct Server {
    /// One of each kind.
    targets: Vec<Target>,
    shutdown: CancellationToken,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mut config: Config = toml::from_str(LISTEN).expect("a configuration");
        config.realm.push(Config::open_realm("realm1"));
        let router = runtime.block_on(Router::bind(config)).expect("the router starts");
        let targets = router.addresses().iter().map(|(kind, address)| {
            let scheme = if *kind == TransportKind::WebSocket { "ws" } else { "rs" };
            format!("{scheme}://{address}").parse().expect("a target")
        });
        let targets = targets.collect();
        let shutdown = CancellationToken::new();
        runtime.spawn(router.run(shutdown.clone()));
        Self { targets, shutdown, _runtime: runtime }
    }

    /// Each target with each serializer that the router speaks.
    fn commons(&self) -> impl Iterator<Item = Common> {
        self.targets.iter().flat_map(|target| {
            [Encoding::Json, Encoding::MsgPack].map(|encoding| Common {
                target: target.clone(),
                encoding,
                realm: "realm1".into(),
                watched: Some(Watched::new(std::process::id()).expect("this process")),
                payload: 64,
                warm_up: Duration::ZERO,
                measured: Duration::from_millis(100),
            })
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn check(what: &str, common: &Common, row: &Row) {
    assert!(row.counts.is_clean(), "{what} over {:?} in {:?}: {row:?}", common.target, common.encoding);
    assert!(row.counts.good > 0, "{what}: nothing happened");
    assert!(row.router_cpu_share.is_some(), "{what}: the router's cost is not told");
}

#[test]
fn every_call_is_answered_once_with_its_own_payload() {
    let server = Server::start();
    for common in server.commons() {
        for (in_flight, payload) in [(1, 64), (1000, 64), (10, 65_536)] {
            let common = Common { payload, ..common.clone() };
            let row = ecep_router_load::calls(&Calls { common: common.clone(), in_flight }).unwrap();
            check("calls", &common, &row);
            assert!(row.p50_us <= row.p99_us);
        }
    }
}

#[test]
fn every_subscriber_receives_every_event_once_and_in_order() {
    let server = Server::start();
    for common in server.commons() {
        for (subscribers, acknowledge) in [(1, false), (10, true), (100, false)] {
            let load = Events { common: common.clone(), subscribers, window: Some(20), acknowledge };
            check("events", &common, &ecep_router_load::events(&load).unwrap());
        }
    }
}

#[test]
fn idle_sessions_stay() {
    let server = Server::start();
    for common in server.commons() {
        let row = ecep_router_load::idle(&Idle { common: common.clone(), sessions: 50 }).unwrap();
        check("idle", &common, &row);
        assert!(row.memory_bytes.is_some());
    }
}

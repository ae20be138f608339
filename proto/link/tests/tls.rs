//! The link over TLS: a real router with a real certificate, over real sockets.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ecep_link::{CallError, Credentials, Link, LinkState, Trust};
use ecep_proto::api::{FleetReport, LIVENESS_PROBE, fleet::Report, realm};
use ecep_router::{Config, Listen, PlatformConfig, Router, TlsConfig, TransportKind};
use rcgen::{CertificateParams, KeyPair};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far beyond what anything here takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "a ticket for tests";

/// Writes a certificate that has signed itself; whoever trusts it alone.
fn certify(folder: &Path, name: &str) -> Trust {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("router.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("router.key"), key.serialize_pem()).unwrap();
    Trust::pinned(certificate.pem().as_bytes()).unwrap()
}

fn config(folder: &Path) -> Config {
    let tls = TlsConfig { certificate: folder.join("router.pem"), key: folder.join("router.key") };
    let listen = Listen::new(TransportKind::WebSocket, (Ipv4Addr::LOCALHOST, 0).into());
    fs::write(folder.join("ticket"), SECRET).unwrap();
    Config {
        listen: vec![Listen { tls: Some(tls), ..listen }],
        platform: Some(PlatformConfig { control_ticket_file: folder.join("ticket") }),
        ..Config::default()
    }
}

/// A link of the control plane, and how often it asked for credentials.
fn link(url: String, trust: Trust, stop: &CancellationToken) -> (Link, Arc<AtomicU64>) {
    let attempts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&attempts);
    let credentials = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Credentials {
            url: url.clone(),
            realm: realm::CONTROL.to_owned(),
            authid: realm::CONTROL_PLANE_AUTHID.to_owned(),
            ticket: SECRET.to_owned(),
        }))
    };
    (Link::builder("control-plane", credentials).trust(trust).spawn(stop.clone()), attempts)
}

async fn joined(link: &Link) {
    let mut state = link.state();
    let reached = state.wait_for(|state| matches!(state, LinkState::Joined { .. }));
    timeout(PATIENCE, reached).await.unwrap().unwrap();
}

/// The link must join by TLS whom it trusts, and go on when the certificate is replaced under it; to anybody else it must not
/// say a word.
#[tokio::test]
async fn joins_whom_it_trusts_only() {
    let folder = tempfile::tempdir().unwrap();
    let trust = certify(folder.path(), "localhost");
    let config = config(folder.path());
    let router = Router::bind(config.clone()).await.unwrap();
    let (address, reloader) = (router.addresses()[0].1, router.reloader());
    let stop = CancellationToken::new();
    let running = tokio::spawn(router.run(stop.clone()));
    let url = format!("wss://localhost:{}/ws", address.port());

    let (trusting, attempts) = link(url.clone(), trust, &stop);
    joined(&trusting).await;
    let other = tempfile::tempdir().unwrap();
    let (distrusting, tries) = link(url.clone(), certify(other.path(), "localhost"), &stop);
    let (misnaming, misnamed) =
        link(url.replace("localhost", "127.0.0.1"), certify(other.path(), "localhost"), &stop);
    let several = async {
        while tries.load(Ordering::Relaxed) < 3 || misnamed.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, several).await.unwrap();
    for link in [&distrusting, &misnaming] {
        assert_eq!(*link.state().borrow(), LinkState::Connecting);
    }

    certify(folder.path(), "localhost");
    reloader.reload(config).await.unwrap();
    // Nobody serves it, says a router that has heard it.
    let report = Report {
        at: 1,
        problems: vec![],
        containers: vec![],
        facts: None,
        is_complete: true,
        migrations: vec![],
        network_revision: 0,
        stats: None,
        shares: ecep_proto::api::share::ShareReport::default(),
    };
    let answer = trusting.call::<FleetReport>(LIVENESS_PROBE, &report).await;
    assert!(!matches!(answer, Err(CallError::NotJoined | CallError::TimedOut)), "{answer:?}");
    assert_eq!(attempts.load(Ordering::Relaxed), 1, "the session goes on");
    stop.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

//! The link against a real router in this process, over a real socket.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ecep_link::{CallError, Credentials, Link, LinkState};
use ecep_proto::api::{
    Authenticate, DeviceInfo, DeviceStats, FleetReport, LIVENESS_PROBE, Procedure, Topic,
    auth::{AuthenticateReply, AuthenticateRequest},
    device::DeviceFacts,
    error::{ApiError, ErrorKind},
    fleet::{Report, ReportReply},
    realm,
    reply::{Caller, Nothing},
    roles::Role,
};
use ecep_router::{Config, Listen, PlatformConfig, Router, TransportKind};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use wamp_async::{
    AuthenticationChallengeResponse, AuthenticationMethod, Client, ClientConfig, SerializerType,
};

/// Far beyond what anything here takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(120);
const SECRET: &str = "a ticket for tests";

struct TestRouter {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TestRouter {
    async fn start(ticket_file: PathBuf, port: u16) -> Self {
        // A loopback address that no other process uses: a port of it that is let go of is still free afterwards.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(127, high, low, 1), port));
        let config = Config {
            listen: vec![Listen::new(TransportKind::WebSocket, address.into())],
            platform: Some(PlatformConfig { control_ticket_file: ticket_file }),
            ..Config::default()
        };
        let router = Router::bind(config).await.expect("the router binds");
        let address = router.addresses()[0].1;
        let stop = CancellationToken::new();
        let task = tokio::spawn(router.run(stop.clone()));
        Self { address, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the router ends without a panic");
    }
}

/// The control plane's end: lets every device in whose ticket is right, and counts reports.
fn control_plane(address: SocketAddr, reports: Arc<AtomicU64>, cancel: &CancellationToken) -> Link {
    Link::builder("control-plane", credentials(address, realm::CONTROL_PLANE_AUTHID))
        .procedure::<Authenticate, _, _>(Authenticate::URI.to_owned(), authenticate)
        .procedure::<FleetReport, _, _>(FleetReport::URI.to_owned(), move |caller: Caller, report: Report| {
            let reports = Arc::clone(&reports);
            async move {
                if report.problems.iter().any(|problem| problem == "refuse me") {
                    let text = format!("{} as {} was refused", caller.authid, caller.authrole);
                    return Err(ApiError::new(ErrorKind::Conflict, text));
                }
                Ok(ReportReply {
                    grants_revision: reports.fetch_add(1, Ordering::Relaxed) + 1,
                    network: None,
                    rotate_key: false,
                })
            }
        })
        .spawn(cancel.clone())
}

async fn authenticate(_: Caller, request: AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
    if request.ticket == SECRET {
        let authrole = if request.authid == "viewer" { Role::Viewer } else { Role::Device };
        Ok(AuthenticateReply { authid: request.authid, authrole, ends_in_ms: None })
    } else {
        Err(ApiError::new(ErrorKind::Forbidden, "this ticket is not known"))
    }
}

fn device(address: SocketAddr, cancel: &CancellationToken) -> Link {
    Link::builder("device", credentials(address, "edge-1")).spawn(cancel.clone())
}

type Answer = std::future::Ready<Result<Credentials, ecep_link::CredentialsError>>;

fn credentials(address: SocketAddr, authid: &'static str) -> impl Fn() -> Answer + Send + Sync {
    move || {
        std::future::ready(Ok(Credentials {
            url: format!("ws://{address}/"),
            realm: realm::CONTROL.to_owned(),
            authid: authid.to_owned(),
            ticket: SECRET.to_owned(),
        }))
    }
}

async fn joined(link: &Link, at_least: u64) {
    let mut state = link.state();
    let reached =
        state.wait_for(|state| matches!(state, LinkState::Joined { generation } if *generation >= at_least));
    timeout(PATIENCE, reached).await.expect("the link joins in time").expect("the link lives");
}

fn report(problem: &str) -> Report {
    Report {
        at: 1,
        problems: vec![problem.to_owned()],
        containers: vec![],
        facts: None,
        is_complete: true,
        migrations: vec![],
        network_revision: 0,
        stats: None,
        shares: ecep_proto::api::share::ShareReport::default(),
    }
}

fn ticket_file(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("ticket");
    fs::write(&path, SECRET).expect("the folder is writable");
    path
}

/// An agent must get the answer, and the error with its sentence, though `wamp_async` drops error arguments.
#[tokio::test]
async fn answers_and_errors_reach_the_caller_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = TestRouter::start(ticket_file(&folder), 0).await;
    let cancel = CancellationToken::new();
    let control = control_plane(router.address, Arc::default(), &cancel);
    joined(&control, 1).await;
    let device = device(router.address, &cancel);
    joined(&device, 1).await;

    let reply = device.call::<FleetReport>(FleetReport::URI, &report("")).await;
    assert_eq!(reply, Ok(ReportReply { grants_revision: 1, network: None, rotate_key: false }));
    let refused = device.call::<FleetReport>(FleetReport::URI, &report("refuse me")).await;
    assert_eq!(
        refused,
        Err(CallError::Remote {
            uri: ErrorKind::Conflict.uri().to_owned(),
            message: "edge-1 as device was refused".to_owned(),
        })
    );
    cancel.cancel();
    router.stop().await;
}

/// A router that restarts must find everything registered again, without anybody's help.
#[tokio::test]
async fn everything_is_back_after_the_router_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = ticket_file(&folder);
    let router = TestRouter::start(file.clone(), 0).await;
    let address = router.address;
    let cancel = CancellationToken::new();
    let control = control_plane(address, Arc::default(), &cancel);
    let device = device(address, &cancel);
    joined(&control, 1).await;
    joined(&device, 1).await;

    router.stop().await;
    let mut state = control.state();
    let lost = state.wait_for(|state| *state == LinkState::Connecting);
    timeout(PATIENCE, lost).await.expect("the loss is noticed").expect("the link lives");
    assert_eq!(
        control.call::<FleetReport>(FleetReport::URI, &report("")).await,
        Err(CallError::NotJoined),
        "a call without a session must fail at once"
    );

    let router = TestRouter::start(file, address.port()).await;
    joined(&control, 2).await;
    joined(&device, 2).await;
    let reply = device.call::<FleetReport>(FleetReport::URI, &report("")).await;
    assert_eq!(reply, Ok(ReportReply { grants_revision: 1, network: None, rotate_key: false }));
    cancel.cancel();
    router.stop().await;
}

/// An agent that reconnects must take its procedures back from its own half-dead session.
#[tokio::test]
async fn a_second_session_of_the_same_authid_takes_over_its_procedures() {
    let folder = tempfile::tempdir().expect("a folder");
    let router = TestRouter::start(ticket_file(&folder), 0).await;
    let cancel = CancellationToken::new();
    let (old_reports, new_reports) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let old = control_plane(router.address, Arc::clone(&old_reports), &cancel);
    joined(&old, 1).await;
    let new = control_plane(router.address, Arc::clone(&new_reports), &cancel);
    joined(&new, 1).await;
    let device = device(router.address, &cancel);
    joined(&device, 1).await;

    device.call::<FleetReport>(FleetReport::URI, &report("")).await.expect("an answer");
    assert_eq!((old_reports.load(Ordering::Relaxed), new_reports.load(Ordering::Relaxed)), (0, 1));
    cancel.cancel();
    router.stop().await;
}

/// What a role may not call must come back as an error, and the session must go on.
#[tokio::test]
async fn a_call_that_is_not_allowed_is_an_error_and_not_the_end() {
    enum Forbidden {}
    impl Procedure for Forbidden {
        const URI: &'static str = DeviceInfo::URI;
        type Request = Nothing;
        type Reply = DeviceFacts;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let router = TestRouter::start(ticket_file(&folder), 0).await;
    let cancel = CancellationToken::new();
    let control = control_plane(router.address, Arc::default(), &cancel);
    joined(&control, 1).await;
    let device = device(router.address, &cancel);
    joined(&device, 1).await;
    for uri in [LIVENESS_PROBE, Authenticate::URI] {
        match device.call::<Forbidden>(uri, &Nothing {}).await {
            Err(CallError::Remote { uri, .. }) => assert_eq!(uri, "wamp.error.not_authorized"),
            other => panic!("{other:?}"),
        }
    }
    let reply = device.call::<FleetReport>(FleetReport::URI, &report("")).await;
    assert_eq!(reply, Ok(ReportReply { grants_revision: 1, network: None, rotate_key: false }));
    cancel.cancel();
    router.stop().await;
}

/// A device must know when somebody begins and ceases to watch, and again after its session was lost.
#[tokio::test]
async fn a_device_is_told_whether_its_topic_is_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = ticket_file(&folder);
    let router = TestRouter::start(file.clone(), 0).await;
    let address = router.address;
    let cancel = CancellationToken::new();
    let control = control_plane(address, Arc::default(), &cancel);
    joined(&control, 1).await;
    let tenant = realm::of_tenant(&"acme".parse().expect("a slug"));
    let in_tenant = Credentials {
        url: format!("ws://{address}/"),
        realm: tenant.clone(),
        authid: "edge-1".to_owned(),
        ticket: SECRET.to_owned(),
    };
    let device =
        Link::builder("device", move || std::future::ready(Ok(in_tenant.clone()))).spawn(cancel.clone());
    joined(&device, 1).await;
    let own = DeviceStats::on(&"edge-1".parse().expect("an id"));
    let mut watched = device.watched(own.clone(), cancel.clone());
    let mut becomes = async |wanted: bool| {
        timeout(PATIENCE, watched.wait_for(|now| *now == wanted)).await.expect("told in time").expect("told");
    };
    becomes(false).await;

    let (watcher, tasks) = watcher(address, &tenant).await;
    let (subscription, _events) = watcher.subscribe(&own).await.expect("a viewer may watch");
    becomes(true).await;
    watcher.unsubscribe(subscription).await.expect("it ceases");
    becomes(false).await;
    let _events = watcher.subscribe(&own).await.expect("it watches again");
    becomes(true).await;
    // Nobody says good-bye.
    drop(watcher);
    tasks.abort();
    becomes(false).await;

    router.stop().await;
    let router = TestRouter::start(file, address.port()).await;
    joined(&device, 2).await;
    let (watcher, tasks) = self::watcher(address, &tenant).await;
    let _events = watcher.subscribe(&own).await.expect("it watches after the restart");
    becomes(true).await;
    tasks.abort();
    cancel.cancel();
    router.stop().await;
}

/// A viewer of the tenant, by the bare crate; aborting its task breaks its connection.
async fn watcher(address: SocketAddr, realm: &str) -> (Client<'static>, JoinHandle<()>) {
    let config = ClientConfig::default().set_serializers(vec![SerializerType::Json]);
    let url = format!("ws://{address}/");
    let (mut client, (event_loop, _)) = Client::connect(url, Some(config)).await.expect("it connects");
    let task = tokio::spawn(async move {
        let _ = event_loop.await;
    });
    let proof =
        |_method, _extra| async { Ok(AuthenticationChallengeResponse::with_signature(SECRET.to_owned())) };
    let methods = vec![AuthenticationMethod::Ticket];
    client.join_realm_with_authentication(realm, methods, "viewer", proof).await.expect("it joins");
    (client, task)
}

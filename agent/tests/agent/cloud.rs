//! A cloud for one device: a real router, and a control plane that is only as clever as these tests need. It lets
//! the device in with single-use tickets, as the real one does, and people with a ticket that never ends.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_link::{Credentials, Link, LinkState};
use ecep_proto::api::{
    AddressAssign, AddressRelease, AuditReport, Authenticate, DeviceInfo, FleetHello, FleetReport, Procedure,
    RunEnd,
    application::EndRun,
    audit::{AuditReceipt, AuditReport as Audit, DeviceCall},
    auth::{AuthenticateReply, AuthenticateRequest},
    enrol::{SessionReply, SessionRequest, session_text},
    error::{ApiError, ErrorKind},
    fleet::{ChannelPapers, Grants, Hello, Report, ReportReply, TenantGrant},
    name::TenantSlug,
    network::{AssignAddress, AssignedAddress, ReleaseAddress, Subnet},
    realm,
    reply::{Caller, Nothing},
    roles::Role,
    share::GrantedTerms,
};
use ecep_router::{Config, Listen, PlatformConfig, Router, TransportKind};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use warp::Filter;

use crate::{LOOK_EVERY, client::Client, orders::device, within};

const SECRET: &str = "the secret of router and control plane";
/// What every ticket of a device begins with.
pub const TICKET_MARK: &str = "one-time-ticket-";
const OPERATOR_TICKET: &str = "the ticket of a person";
pub const DEVICE: &str = "edge-1";

/// What the control plane remembers.
struct State {
    tickets: Mutex<HashSet<String>>,
    issued: AtomicU64,
    tenants: Mutex<Vec<TenantSlug>>,
    terms: Mutex<HashMap<TenantSlug, GrantedTerms>>,
    revision: AtomicU64,
    /// The sessions that have said hello, in their order.
    hellos: Mutex<Vec<u64>>,
    /// The newest, and the session that it is of.
    reports: watch::Sender<Option<(u64, Report)>>,
    /// Told by the device's journal, each once.
    audit: watch::Sender<Vec<DeviceCall>>,
    /// Whether reports of the journal are taken.
    takes_audit: AtomicBool,
    /// Runs that were told to be over, as often as they were told.
    ended: Mutex<Vec<EndRun>>,
    /// The device's papers for the channel.
    papers: Mutex<Option<ChannelPapers>>,
    router: SocketAddr,
}

impl State {
    fn ticket(&self) -> String {
        let ticket = format!("{TICKET_MARK}{}", self.issued.fetch_add(1, Ordering::Relaxed));
        self.tickets.lock().expect("nobody panicked with it").insert(ticket.clone());
        ticket
    }

    fn authenticate(&self, request: AuthenticateRequest) -> Result<AuthenticateReply, ApiError> {
        let authid = request.authid;
        if authid == DEVICE && self.tickets.lock().expect("nobody panicked with it").remove(&request.ticket) {
            return Ok(AuthenticateReply { authid, authrole: Role::Device, ends_in_ms: None });
        }
        if request.ticket == OPERATOR_TICKET {
            return Ok(AuthenticateReply { authid, authrole: Role::Operator, ends_in_ms: None });
        }
        Err(ApiError::new(ErrorKind::Forbidden, "this ticket is not known, or spent"))
    }

    fn take(&self, report: Audit) -> Result<AuditReceipt, ApiError> {
        if !self.takes_audit.load(Ordering::Relaxed) {
            return Err(ApiError::new(ErrorKind::Unavailable, "not now"));
        }
        let mut sequence = 0;
        self.audit.send_modify(|told| {
            sequence = told.last().map_or(0, |call| call.sequence);
            for call in report.calls {
                if call.sequence > sequence {
                    sequence = call.sequence;
                    told.push(call);
                }
            }
        });
        Ok(AuditReceipt { sequence })
    }

    fn grants(&self) -> Grants {
        let tenants = self.tenants.lock().expect("nobody panicked with it");
        let grant = |tenant: &TenantSlug| TenantGrant {
            tenant: tenant.clone(),
            realm: realm::of_tenant(tenant),
            ticket: self.ticket(),
            granted: self.terms.lock().expect("nobody panicked with it").get(tenant).cloned(),
        };
        Grants {
            revision: self.revision.load(Ordering::Relaxed),
            tenants: tenants.iter().map(grant).collect(),
            papers: self.papers.lock().expect("nobody panicked with it").clone(),
        }
    }
}

/// Waits for that session of the control plane's link.
async fn joined(link: &Link, session: u64) {
    let reached =
        |state: &LinkState| matches!(state, LinkState::Joined { generation } if *generation >= session);
    within("the control plane", link.state().wait_for(reached)).await.expect("it joins");
}

pub struct Cloud {
    folder: tempfile::TempDir,
    state: Arc<State>,
    /// Keeps everybody else from the router's port while there is no router.
    _port: TcpSocket,
    router: Option<(CancellationToken, JoinHandle<()>)>,
    http: SocketAddr,
    stop: CancellationToken,
    link: Link,
    /// Sessions that the control plane's link has had.
    sessions: u64,
}

impl Cloud {
    /// A cloud that knows the device with this public key.
    pub async fn start(public_key: String, tenants: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ticket"), SECRET).expect("a file");
        let port = TcpSocket::new_v4().expect("a socket");
        // As the router's own socket has it: else the two would not go together.
        port.set_reuseaddr(true).expect("a socket");
        port.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let address = port.local_addr().expect("an address");
        let router = start_router(&folder, address).await;
        let state = Arc::new(State {
            tickets: Mutex::default(),
            issued: AtomicU64::new(0),
            tenants: Mutex::new(tenants.iter().map(|tenant| tenant.parse().expect("as expected")).collect()),
            terms: Mutex::default(),
            revision: AtomicU64::new(1),
            hellos: Mutex::default(),
            reports: watch::Sender::new(None),
            audit: watch::Sender::new(Vec::new()),
            takes_audit: AtomicBool::new(true),
            ended: Mutex::default(),
            papers: Mutex::default(),
            router: address,
        });
        let stop = CancellationToken::new();
        let link = control_plane(&state, &stop);
        joined(&link, 1).await;
        let http = serve_http(Arc::clone(&state), public_key, stop.clone()).await;
        Self { folder, state, _port: port, router: Some(router), http, stop, link, sessions: 1 }
    }

    /// The address for devices.
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The control plane's own link.
    pub fn control(&self) -> &Link {
        &self.link
    }

    /// A person of that tenant, as operator.
    pub async fn operator(&self, tenant: &str) -> Client {
        let realm = realm::of_tenant(&tenant.parse().expect("as expected"));
        Client::join(self.state.router, &realm, "ann", OPERATOR_TICKET).await
    }

    /// Shares the device with exactly these tenants from now on.
    pub fn share_with(&self, tenants: &[&str]) {
        *self.state.tenants.lock().expect("nobody panicked with it") =
            tenants.iter().map(|tenant| tenant.parse().expect("as expected")).collect();
        self.state.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// That tenant is a guest on these terms from now on; waits until the device knows it.
    pub async fn share_on(&self, tenant: &str, granted: GrantedTerms) {
        self.state
            .terms
            .lock()
            .expect("nobody panicked with it")
            .insert(tenant.parse().expect("as expected"), granted);
        let revision = self.state.revision.fetch_add(1, Ordering::Relaxed) + 1;
        self.report("the terms to be known", |report| report.shares.grants_revision == revision).await;
    }

    /// The next report that is wanted, from now on.
    pub async fn report(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        self.report_of(what, |_, report| wanted(report)).await
    }

    /// The next complete report of an agent that is started from now on. What one that was killed has still had on its way is none.
    pub async fn first_report(&self) -> Report {
        let hellos = || self.state.hellos.lock().expect("nobody panicked with it");
        let known = hellos().len();
        let of_new = |session, report: &Report| report.is_complete && hellos()[known..].contains(&session);
        self.report_of("the first report", of_new).await
    }

    /// Waits until the router knows that the device's agent has ended: a call that comes before goes to a session that answers nothing.
    pub async fn agent_is_gone(&self) {
        let tenants = self.state.tenants.lock().expect("nobody panicked with it").clone();
        let uri = DeviceInfo::on(&device());
        for tenant in tenants {
            let mut client = self.operator(tenant.as_str()).await;
            let gone = async {
                while !matches!(client.call_with(&uri, json!({})).await, Err(error) if error.is_not_served())
                {
                    sleep(LOOK_EVERY).await;
                }
            };
            within("the agent's sessions to end", gone).await;
        }
    }

    /// The next report that is wanted, from now on; asked with its session.
    async fn report_of(&self, what: &str, wanted: impl Fn(u64, &Report) -> bool) -> Report {
        let mut reports = self.state.reports.subscribe();
        reports.mark_unchanged();
        let waiting = async {
            loop {
                reports.changed().await.expect("the control plane lives");
                let report = reports.borrow_and_update().clone();
                if let Some((session, report)) = report
                    && wanted(session, &report)
                {
                    return report;
                }
            }
        };
        within(what, waiting).await
    }

    /// Gives the device these papers with the next hello.
    pub fn give_papers(&self, papers: ChannelPapers) {
        *self.state.papers.lock().expect("nobody panicked with it") = Some(papers);
    }

    /// Runs that were told to be over, as often as they were told.
    pub fn ended(&self) -> Vec<EndRun> {
        self.state.ended.lock().expect("nobody panicked with it").clone()
    }

    /// Takes or refuses the device's journal from now on.
    pub fn take_audit(&self, takes: bool) {
        self.state.takes_audit.store(takes, Ordering::Relaxed);
    }

    /// What the device's journal has told, once it is that many calls.
    pub async fn audit(&self, calls: usize) -> Vec<DeviceCall> {
        let mut told = self.state.audit.subscribe();
        let enough = told.wait_for(|told| told.len() >= calls);
        within("the journal", enough).await.expect("the control plane lives").clone()
    }

    pub async fn stop_router(&mut self) {
        let (stop, task) = self.router.take().expect("it runs");
        stop.cancel();
        task.await.expect("the router ends without a panic");
    }

    pub async fn start_router(&mut self) {
        self.router = Some(start_router(&self.folder, self.state.router).await);
        self.sessions += 1;
        joined(&self.link, self.sessions).await;
    }

    pub async fn end(mut self) {
        self.stop.cancel();
        self.stop_router().await;
    }
}

async fn start_router(
    folder: &tempfile::TempDir,
    address: SocketAddr,
) -> (CancellationToken, JoinHandle<()>) {
    let config = Config {
        listen: vec![Listen::new(TransportKind::WebSocket, address.into())],
        platform: Some(PlatformConfig { control_ticket_file: folder.path().join("ticket") }),
        ..Config::default()
    };
    let router = Router::bind(config).await.expect("the router binds");
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(router.run(stop)))
}

fn control_plane(state: &Arc<State>, stop: &CancellationToken) -> Link {
    let url = format!("ws://{}/", state.router);
    let credentials = move || {
        std::future::ready(Ok(Credentials {
            url: url.clone(),
            realm: realm::CONTROL.to_owned(),
            authid: realm::CONTROL_PLANE_AUTHID.to_owned(),
            ticket: SECRET.to_owned(),
        }))
    };
    let addresses = AtomicU8::new(2);
    let (authenticate, hello, report) = (Arc::clone(state), Arc::clone(state), Arc::clone(state));
    let (audit, ended) = (Arc::clone(state), Arc::clone(state));
    Link::builder("control-plane", credentials)
        .procedure::<Authenticate, _, _>(Authenticate::URI.to_owned(), move |_: Caller, request| {
            std::future::ready(authenticate.authenticate(request))
        })
        .procedure::<FleetHello, _, _>(FleetHello::URI.to_owned(), move |caller: Caller, _: Hello| {
            assert_eq!(caller.authid, DEVICE);
            hello.hellos.lock().expect("nobody panicked with it").push(caller.session);
            std::future::ready(Ok(hello.grants()))
        })
        .procedure::<FleetReport, _, _>(
            FleetReport::URI.to_owned(),
            move |caller: Caller, request: Report| {
                report.reports.send_replace(Some((caller.session, request)));
                std::future::ready(Ok(ReportReply {
                    grants_revision: report.revision.load(Ordering::Relaxed),
                    network: None,
                    rotate_key: false,
                }))
            },
        )
        .procedure::<AuditReport, _, _>(AuditReport::URI.to_owned(), move |_: Caller, report: Audit| {
            std::future::ready(audit.take(report))
        })
        .procedure::<RunEnd, _, _>(RunEnd::URI.to_owned(), move |_: Caller, run: EndRun| {
            ended.ended.lock().expect("nobody panicked with it").push(run);
            std::future::ready(Ok(Nothing {}))
        })
        .procedure::<AddressAssign, _, _>(
            AddressAssign::URI.to_owned(),
            move |_: Caller, request: AssignAddress| {
                let last = addresses.fetch_add(1, Ordering::Relaxed);
                // Tenants of several tests share an engine, which keeps their networks apart by their addresses.
                let number =
                    request.tenant.as_str().bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
                let network = Ipv4Addr::new(10, 250 + number / 128, number % 128 * 2, 0);
                let pool = Ipv4Addr::new(10, 250, 0, 0);
                let subnet = Subnet {
                    tenant: request.tenant,
                    number: number.into(),
                    address: network,
                    prefix: 23,
                    pool,
                    pool_prefix: 15,
                };
                let address = Ipv4Addr::from(u32::from(network) + u32::from(last));
                std::future::ready(Ok(AssignedAddress { address, subnet }))
            },
        )
        .procedure::<AddressRelease, _, _>(AddressRelease::URI.to_owned(), |_: Caller, _: ReleaseAddress| {
            std::future::ready(Ok(Nothing {}))
        })
        .spawn(stop.clone())
}

/// The one HTTP endpoint that a running agent needs. It checks the signature as the real one does.
async fn serve_http(state: Arc<State>, public_key: String, stop: CancellationToken) -> SocketAddr {
    let answer = move |request: SessionRequest| {
        let key: [u8; 32] =
            STANDARD_NO_PAD.decode(&public_key).expect("as expected").try_into().expect("as expected");
        let signature = STANDARD_NO_PAD.decode(&request.signature).expect("base64");
        let text = session_text(&request.device, request.at, &request.nonce);
        VerifyingKey::from_bytes(&key)
            .expect("as expected")
            .verify_strict(text.as_bytes(), &Signature::from_slice(&signature).expect("a signature"))
            .expect("the device signs with its key");
        warp::reply::json(&SessionReply {
            wamp_url: format!("ws://{}/", state.router),
            realm: realm::CONTROL.to_owned(),
            ticket: state.ticket(),
            now: request.at,
        })
    };
    let routes = warp::path!("api" / "device" / "session").and(warp::body::json()).map(answer);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(stop.run_until_cancelled_owned(warp::serve(routes).incoming(listener).run()));
    address
}

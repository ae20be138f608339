//! A real control plane on a free port with its own data folder, a person at it, and a device; and a real router.

#![allow(dead_code, reason = "each test program uses its own part of it")]

pub mod device;
pub mod exposition;
pub mod line;
pub mod platform;
pub mod program;
pub mod router;
pub mod tus;
pub mod wamp;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering},
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_dashboard_api::{
    config::Config,
    server::{self, Running, StartError},
    store::{Store, StoreError},
};
use ecep_proto::api::{
    device::{DeviceFacts, EngineFacts},
    enrol::{enrol_text, session_text},
    http::Problem,
    name::DeviceId,
};
use ed25519_dalek::{Signer, SigningKey};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const EMAIL: &str = "maria@example.org";
pub const PASSWORD: &str = "correct horse battery";

/// The ticket by which the router knows the control plane.
pub const ROUTER_TICKET: &str = "the-router-knows-this-ticket";

/// The address of a proxy that the control plane believes.
pub const TRUSTED_PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));
/// Bytes of artifacts that a tenant may have.
pub const ARTIFACT_QUOTA: u64 = 40 << 20;
/// Where no router listens.
pub const NO_ROUTER: &str = "ws://127.0.0.1:9/";

/// A running control plane; the folder outlives it.
pub struct Server {
    pub folder: TempDir,
    pub base: String,
    pub running: Option<Running>,
    stop: CancellationToken,
}

impl Server {
    /// Starts one whose router is out of reach.
    pub async fn start() -> Self {
        Self::start_with(NO_ROUTER, None).await
    }

    /// Starts one with this router, and for browsers behind this address.
    pub async fn start_with(router: &str, public_url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("router-ticket"), ROUTER_TICKET).unwrap();
        Self::start_in(folder, router, public_url).await
    }

    /// Starts one with this router, to which devices' channels come.
    pub async fn start_with_channels(router: &str) -> Self {
        Self::start_with_room(router, 8 << 20).await
    }

    /// The same, where devices reach the channels by another address than the one they are given.
    pub async fn start_behind(
        router: &str,
        front: impl FnOnce(std::net::SocketAddr) -> std::net::SocketAddr,
    ) -> Self {
        Self::start_channels(router, 8 << 20, front).await
    }

    /// The same, with so many bytes for each tenant's stored files.
    pub async fn start_with_room(router: &str, stored_bytes: u64) -> Self {
        Self::start_channels(router, stored_bytes, |address| address).await
    }

    async fn start_channels(
        router: &str,
        stored_bytes: u64,
        front: impl FnOnce(std::net::SocketAddr) -> std::net::SocketAddr,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("router-ticket"), ROUTER_TICKET).unwrap();
        let mut config = config(&folder, router, None);
        let free = std::net::TcpListener::bind((own_address(), 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        config.stored_bytes = stored_bytes;
        config.channel_listen = vec![address];
        config.device_channel = Some(front(address).to_string());
        Self::start_as(folder, config).await
    }

    /// Starts one that listens with `api.pem` and `api.key` of this folder.
    pub async fn start_secured(certificates: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("router-ticket"), ROUTER_TICKET).unwrap();
        let mut config = config(&folder, "ws://127.0.0.1:9/", None);
        config.tls_certificate = Some(certificates.join("api.pem"));
        config.tls_key = Some(certificates.join("api.key"));
        Self::start_as(folder, config).await
    }

    /// Stops it and starts it again on the same data.
    pub async fn restart(self, router: &str) -> Self {
        let folder = self.stop().await;
        Self::start_in(folder, router, None).await
    }

    /// Starts one on this data.
    pub async fn start_in(folder: TempDir, router: &str, public_url: Option<&str>) -> Self {
        let config = config(&folder, router, public_url);
        Self::start_as(folder, config).await
    }

    async fn start_as(folder: TempDir, config: Config) -> Self {
        let stop = CancellationToken::new();
        let running = until_free(async || match server::start(config.clone(), stop.clone()).await {
            Err(StartError::Store(error)) => Err(error),
            other => Ok(other.unwrap()),
        })
        .await;
        let scheme = if config.tls_certificate.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", running.addresses[0]);
        Self { folder, base, running: Some(running), stop }
    }

    /// Stops it; gives the folder back.
    pub async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        self.running.take().unwrap().stopped().await;
        self.folder
    }

    /// Where Prometheus asks.
    pub fn metrics_base(&self) -> String {
        format!("http://{}", self.running.as_ref().unwrap().metrics_address.unwrap())
    }

    pub fn setup_code(&self) -> String {
        std::fs::read_to_string(data_of(&self.folder).join("setup-code")).unwrap().trim().to_owned()
    }

    /// Nobody in particular.
    pub fn visitor(&self) -> Person {
        Person { base: self.base.clone(), cookie: None, client: client() }
    }

    /// Makes the first account with the tenant `acme`, and logs in.
    pub async fn set_up(&self) -> Person {
        let mut person = self.visitor();
        let answer = person
            .post(
                "/api/setup",
                json!({ "code": self.setup_code(), "email": EMAIL, "password": PASSWORD, "tenant": "acme", "tenant_name": "Acme" }),
            )
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        person.login(EMAIL, PASSWORD).await;
        person
    }

    /// Makes an account with these memberships, and logs in.
    pub async fn add_person(&self, admin: &Person, email: &str, memberships: Value) -> Person {
        let account = json!({ "email": email, "password": PASSWORD, "memberships": memberships });
        let answer = admin.post("/api/accounts", account).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let mut person = self.visitor();
        person.login(email, PASSWORD).await;
        person
    }
}

fn config(folder: &TempDir, router: &str, public_url: Option<&str>) -> Config {
    Config {
        data: data_of(folder),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls_certificate: None,
        tls_key: None,
        router: router.parse().unwrap(),
        router_ca: None,
        router_ticket_file: folder.path().join("router-ticket"),
        wamp_url: "ws://127.0.0.1:8081/ws".parse().unwrap(),
        device_wamp_url: (if router == NO_ROUTER { "ws://10.77.0.1:8081/ws" } else { router })
            .parse()
            .unwrap(),
        public_url: public_url.map(|url| url.parse().unwrap()),
        trusted_proxy: vec![TRUSTED_PROXY],
        address_pool: "10.192.0.0/10".parse().unwrap(),
        channel_listen: vec![],
        artifact_quota: ARTIFACT_QUOTA,
        keep_free: 0,
        device_channel: None,
        stored_bytes: 8 << 20,
        metrics_listen: Some("127.0.0.1:0".parse().unwrap()),
    }
}

/// A loopback address that no other test has: a port of it that is let go of is not taken by anybody before it is used again.
pub fn own_address() -> Ipv4Addr {
    static GIVEN: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, GIVEN.fetch_add(1, Ordering::Relaxed))
}

/// Opens the store of a server that has stopped.
pub async fn open_store(folder: &TempDir) -> Store {
    until_free(async || Store::open(&data_of(folder))).await
}

/// Tries again while the last tasks of an earlier server in this process, sled's own among them, still hold the data.
async fn until_free<T>(attempt: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let deadline = Instant::now() + wamp::PATIENCE;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

pub fn data_of(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A browser, as far as the API is concerned.
#[derive(Clone)]
pub struct Person {
    pub base: String,
    pub cookie: Option<String>,
    pub client: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem document of this status, and gives its sentence.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem.status, status);
        assert!(problem.kind.starts_with("ecep") && problem.detail.ends_with(['.', ')']), "{problem:?}");
        problem.detail
    }
}

impl Person {
    /// Sends what the dashboard would send.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).header("x-ecep-csrf", "1");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub async fn login(&mut self, email: &str, password: &str) -> Answer {
        let answer = self.post("/api/login", json!({ "email": email, "password": password })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        self.cookie = Some(answer.header("set-cookie").split(';').next().unwrap().to_owned());
        answer
    }

    /// Makes an API token of a tenant; gives it as it is sent over HTTP.
    pub async fn api_token(&self, tenant: &str, role: &str) -> (String, String) {
        let wanted = json!({ "name": "x", "role": role, "valid_seconds": 3_600 });
        let answer = self.post(&format!("/api/tenants/{tenant}/api-tokens"), wanted).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let created = answer.json();
        let id = created["id"].as_str().unwrap().to_owned();
        let bearer = format!("{id}.{}", created["secret"].as_str().unwrap());
        (id, bearer)
    }

    /// The id of its account, as its tenant's members see it.
    pub async fn account(&self, tenant: &str) -> String {
        let page = self.get(&format!("/api/tenants/{tenant}/members?limit=500")).await.json();
        let own = page["members"].as_array().unwrap().iter().find(|member| member["is_you"] == true).cloned();
        own.unwrap()["account"].as_str().unwrap().to_owned()
    }

    /// Makes a join token of `acme`.
    pub async fn join_token(&self, uses: u32) -> (String, String) {
        let answer =
            self.post("/api/tenants/acme/join-tokens", json!({ "uses": uses, "valid_seconds": 3_600 })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let created = answer.json();
        (created["id"].as_str().unwrap().to_owned(), created["secret"].as_str().unwrap().to_owned())
    }
}

/// Asks with an API token.
pub async fn bearer(server: &Server, method: Method, path: &str, token: &str) -> Answer {
    let request = client().request(method, format!("{}{path}", server.base));
    answer(request.header("authorization", format!("Bearer {token}"))).await
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// A device's key, and what it sends.
pub struct Device {
    pub key: SigningKey,
}

impl Device {
    pub fn new(seed: u32) -> Self {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_le_bytes());
        Self { key: SigningKey::from_bytes(&bytes) }
    }

    pub fn public_key(&self) -> String {
        STANDARD_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    fn sign(&self, text: &str) -> String {
        STANDARD_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    pub fn enrolment(&self, token: &str, name: &str) -> Value {
        json!({
            "token": token,
            "public_key": self.public_key(),
            "name": name,
            "place": "San José",
            "facts": facts(),
            "signature": self.sign(&enrol_text(token, &self.public_key())),
        })
    }

    pub fn session(&self, device: &str, at: u64, nonce: [u8; 16]) -> Value {
        let nonce = STANDARD_NO_PAD.encode(nonce);
        let id: DeviceId = device.parse().unwrap();
        json!({ "device": device, "at": at, "nonce": nonce, "signature": self.sign(&session_text(&id, at, &nonce)) })
    }
}

pub fn facts() -> DeviceFacts {
    DeviceFacts {
        agent_version: "0.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        kernel: "6.1.0".to_owned(),
        cores: 4,
        memory_total_bytes: 4_000_000_000,
        engine: EngineFacts {
            kind: "sim".to_owned(),
            reachable: true,
            version: Some("1".to_owned()),
            api_version: None,
            live_restore: Some(true),
            problems: vec![],
        },
        hostname: "edge".to_owned(),
        addresses: vec!["10.77.0.11".to_owned()],
        channel_port: None,
        migration: None,
    }
}

pub fn now() -> u64 {
    ecep_dashboard_api::clock::unix_ms()
}

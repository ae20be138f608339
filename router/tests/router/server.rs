//! A router in this process, on free ports.

use std::net::SocketAddr;
use std::path::PathBuf;

use ecep_proto::codec::Serializer;
use ecep_router::{Address, Config, Listen, Reloader, Router, TransportKind};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// The realm that is open to everybody.
pub const REALM: &str = "realm1";

pub struct Server {
    pub websocket: SocketAddr,
    pub rawsocket: SocketAddr,
    /// Speaks both.
    pub any: SocketAddr,
    pub unix: PathBuf,
    _folder: TempDir,
    pub http: Option<SocketAddr>,
    /// What it was started with, and the way to something else.
    pub config: Config,
    pub reloader: Reloader,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    /// With the realm `realm1`, open to everybody.
    pub async fn open() -> Self {
        Self::start(Config::default()).await
    }

    /// As configured, plus the open realm, a listener of each kind, and one for RawSocket on a Unix socket.
    pub async fn start(mut config: Config) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let folder = tempfile::tempdir().unwrap();
        let unix = folder.path().join("router.sock");
        for kind in [TransportKind::WebSocket, TransportKind::RawSocket, TransportKind::Any] {
            config.listen.push(Listen::new(kind, address.into()));
        }
        config.listen.push(Listen::new(TransportKind::RawSocket, Address::Unix(unix.clone())));
        config.realm.push(Config::open_realm(REALM));
        let router = Router::bind(config.clone()).await.expect("the router starts");
        let find = |wanted| router.addresses().iter().find(|(kind, _)| *kind == wanted).unwrap().1;
        let (websocket, rawsocket) = (find(TransportKind::WebSocket), find(TransportKind::RawSocket));
        let any = find(TransportKind::Any);
        let http = router.http_address();
        let reloader = router.reloader();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(router.run(shutdown.clone()));
        Self { websocket, rawsocket, any, unix, _folder: folder, http, config, reloader, shutdown, running }
    }

    pub fn address(&self, kind: TransportKind) -> SocketAddr {
        match kind {
            TransportKind::WebSocket => self.websocket,
            TransportKind::RawSocket => self.rawsocket,
            TransportKind::Any => self.any,
        }
    }

    pub async fn connect(&self, kind: TransportKind, serializer: Serializer) -> Client {
        Client::connect(self.address(kind), kind, serializer).await
    }

    /// A client in the open realm, for tests that are not about its transport.
    pub async fn join(&self) -> Client {
        let mut client = self.connect(TransportKind::WebSocket, Serializer::Json).await;
        client.join(REALM).await;
        client
    }

    pub fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(crate::client::PATIENCE, self.running).await.expect("the router stops").unwrap();
    }
}

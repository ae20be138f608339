//! A real router in this process, over a real socket.

use std::{net::SocketAddr, path::PathBuf};

use ecep_router::{Config, Listen, PlatformConfig, Router, TransportKind};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running router.
pub struct TestRouter {
    pub address: SocketAddr,
    folder: TempDir,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TestRouter {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(ticket_file(&folder), super::ROUTER_TICKET).unwrap();
        Self::start_on(folder, (super::own_address(), 0).into()).await
    }

    /// Stops it and starts it again at the same address.
    pub async fn restart(self) -> Self {
        let (address, folder) = (self.address, self.folder);
        self.stop.cancel();
        self.task.await.unwrap();
        Self::start_on(folder, address).await
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    async fn start_on(folder: TempDir, listen: SocketAddr) -> Self {
        let config = Config {
            listen: vec![Listen::new(TransportKind::WebSocket, listen.into())],
            platform: Some(PlatformConfig { control_ticket_file: ticket_file(&folder) }),
            ..Config::default()
        };
        let router = Router::bind(config).await.unwrap();
        let address = router.addresses()[0].1;
        let stop = CancellationToken::new();
        let task = tokio::spawn(router.run(stop.clone()));
        Self { address, folder, stop, task }
    }
}

fn ticket_file(folder: &TempDir) -> PathBuf {
    folder.path().join("ticket")
}

//! A device with its agent, in this process.

use std::{path::Path, sync::Arc};

use ecep_agent::{
    agent::{self, Settings},
    engine::Engine,
    identity::{self, DeviceKey, Enrolled, Identity},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::{Cloud, DEVICE},
    within,
};

/// A cloud, and the data folder and the key of a device that is enrolled in it and has this engine.
pub async fn enrolled(engine: &str, tenants: &[&str]) -> (Cloud, tempfile::TempDir, DeviceKey) {
    let data = tempfile::tempdir().expect("a folder");
    let key = DeviceKey::load_or_create(data.path()).expect("a key");
    let cloud = Cloud::start(key.public(), tenants).await;
    let enrolled = Enrolled {
        device: DEVICE.parse().expect("a name"),
        cloud: cloud.url(),
        engine: engine.to_owned(),
        pinned: false,
    };
    identity::store(data.path(), &enrolled).expect("stored");
    (cloud, data, key)
}

/// A cloud and a device with a running agent.
pub struct Scene<E> {
    pub cloud: Cloud,
    pub engine: Arc<E>,
    data: tempfile::TempDir,
    agent: Option<(CancellationToken, JoinHandle<()>)>,
}

impl<E: Engine> Scene<E> {
    /// Waits until the agent serves these tenants.
    pub async fn start(engine: E, tenants: &[&str]) -> Self {
        let (cloud, data, _) = enrolled("unix:///nowhere", tenants).await;
        let mut scene = Self { cloud, engine: Arc::new(engine), data, agent: None };
        scene.start_agent();
        scene.cloud.report("the first report", |_| true).await;
        scene
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    fn start_agent(&mut self) {
        let identity = Identity::load(self.data.path()).expect("an identity");
        let (engine, data) = (Arc::clone(&self.engine), self.data.path().to_owned());
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let settings = Settings {
            data,
            channel_listen: "127.0.0.1:0".parse().expect("an address"),
            runtime: "/nonexistent/ecep-runtime".into(),
        };
        let task = tokio::spawn(async move {
            agent::run(identity, engine, settings, stopping).await.expect("the agent starts");
        });
        self.agent = Some((stop, task));
    }

    async fn stop_agent(&mut self) {
        let (stop, task) = self.agent.take().expect("it runs");
        stop.cancel();
        within("the agent's end", task).await.expect("it ends without a panic");
    }

    /// Stops the agent and starts the next one; waits until that has reported.
    pub async fn restart_agent(&mut self) {
        self.stop_agent().await;
        self.cloud.agent_is_gone().await;
        self.start_agent();
        self.cloud.first_report().await;
    }

    pub async fn end(mut self) {
        self.stop_agent().await;
        self.cloud.end().await;
    }
}

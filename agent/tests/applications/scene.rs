//! A device with an engine in memory and a cloud in this process; orders of the control plane.

use std::sync::Arc;

use ecep_agent::{
    applications::Applications,
    engine::{Engine, EngineContainer, sim::SimEngine},
    inventory::Inventory,
    moving::Moving,
    orders::Orders,
    outbox::Outbox,
};
use ecep_proto::api::{
    artifact::ArtifactDigest,
    error::ApiError,
    name::{ContainerId, DeviceId, TenantSlug},
    operation::{OperationReply, OperationState},
};
use serde_json::{Value, json};

use crate::cloud::InMemory;

pub struct Device<E = SimEngine> {
    pub engine: Arc<E>,
    pub cloud: InMemory,
    pub inventory: Arc<Inventory<E>>,
    pub orders: Arc<Orders<E>>,
    pub applications: Arc<Applications<E, InMemory>>,
    pub moving: Arc<Moving>,
    pub folder: Arc<tempfile::TempDir>,
    task: tokio::task::JoinHandle<()>,
}

impl<E> Drop for Device<E> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Device {
    pub fn new() -> Self {
        Self::on(Arc::default())
    }
}

impl<E: Engine> Device<E> {
    pub fn on(engine: Arc<E>) -> Self {
        Self::with(engine, InMemory::new(), Arc::new(tempfile::tempdir().expect("a folder")))
    }

    /// Another agent on the same device: what the one before it knew is gone.
    pub fn started_again(&self) -> Self {
        self.task.abort();
        Self::with(Arc::clone(&self.engine), self.cloud.clone(), Arc::clone(&self.folder))
    }

    fn with(engine: Arc<E>, cloud: InMemory, folder: Arc<tempfile::TempDir>) -> Self {
        let id: DeviceId = "edge-1".parse().expect("a good name");
        let (outbox, moving) = (Arc::new(Outbox::default()), Arc::new(Moving::default()));
        let inventory =
            Inventory::new(id.clone(), Arc::clone(&engine), Arc::clone(&outbox), Arc::clone(&moving));
        let inventory = Arc::new(inventory);
        let orders = Arc::new(Orders::new(
            id,
            Arc::clone(&engine),
            Arc::clone(&inventory),
            outbox,
            Arc::clone(&moving),
            folder.path().to_owned(),
        ));
        let applications =
            Applications::new(Arc::clone(&orders), cloud.clone(), folder.path()).expect("a folder");
        let (following, keeping) = (Arc::clone(&inventory), Arc::clone(&applications));
        let task = tokio::spawn(async move {
            tokio::join!(following.keep(), keeping.recover(), keeping.keep_runs());
        });
        Self { engine, cloud, inventory, orders, applications, moving, folder, task }
    }

    /// The end of a deployment.
    pub async fn deploy(
        &self,
        tenant: &str,
        version: Value,
        more: Value,
    ) -> Result<OperationReply, ApiError> {
        let mut order = json!({"tenant": tenant, "version": version, "name": "app", "operation": "deploy-1"});
        merge(&mut order, more);
        loop {
            let order = serde_json::from_value(order.clone()).expect("an order");
            let reply = self.applications.deploy(order)?.answer().await?;
            if reply.state != OperationState::Running {
                return Ok(reply);
            }
        }
    }

    /// The end of an update.
    pub async fn update(
        &self,
        container: &ContainerId,
        version: Value,
        operation: &str,
    ) -> Result<OperationReply, ApiError> {
        let order =
            json!({"tenant": "acme", "container": container, "version": version, "operation": operation});
        loop {
            let order = serde_json::from_value(order.clone()).expect("an order");
            let reply = self.applications.update(order)?.answer().await?;
            if reply.state != OperationState::Running {
                return Ok(reply);
            }
        }
    }

    pub async fn found(&self, container: &ContainerId) -> EngineContainer {
        self.orders.find(&tenant("acme"), container).await.expect("it is there")
    }

    /// Waits until the inventory is so.
    pub async fn until(&self, wanted: impl Fn(&[EngineContainer]) -> bool) {
        let mut changes = self.inventory.changes();
        let mut followed = self.inventory.followed();
        while !wanted(&self.inventory.containers()) {
            tokio::select! {
                changed = changes.changed() => changed.expect("it lives"),
                changed = followed.changed() => changed.expect("it lives"),
            }
        }
    }

    pub async fn images(&self) -> Vec<String> {
        let images = self.engine.images().await.expect("a list");
        images.into_iter().flat_map(|image| image.tags).collect()
    }

    /// What is left in the agent's folder of artifacts.
    pub fn artifacts_left(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("artifacts")).expect("a folder").count()
    }
}

pub fn tenant(name: &str) -> TenantSlug {
    name.parse().expect("a good name")
}

fn merge(into: &mut Value, more: Value) {
    let more = more.as_object().expect("a map").clone();
    into.as_object_mut().expect("a map").extend(more);
}

/// A version of the application `app`.
pub fn version(number: u32, source: Value, settings: Value) -> Value {
    json!({"application": "app", "version": number, "source": source, "artifact_bytes": 50_000_000, "settings": settings})
}

pub fn of_registry(number: u32, image: &str, settings: Value) -> Value {
    version(number, json!({"kind": "image", "image": image}), settings)
}

pub fn bundle(number: u32, artifact: &ArtifactDigest) -> Value {
    version(number, json!({"kind": "source_bundle", "artifact": artifact}), json!({}))
}

/// A tar archive of these files.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).expect("written");
    }
    archive.into_inner().expect("written")
}

/// As `docker save` makes it, for this architecture, with so many bytes in its layer.
pub fn image_archive(architecture: &str, bytes: usize) -> Vec<u8> {
    let layer = archive(&[("file", &vec![7; bytes])]);
    let config = json!({"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}});
    let manifest =
        json!([{"Config": "config.json", "RepoTags": ["nginx:latest"], "Layers": ["a/layer.tar"]}]);
    archive(&[
        ("config.json", config.to_string().as_bytes()),
        ("a/layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ])
}

//! The Docker engine through its API on a Unix socket.
//!
//! It knows nothing of the link and the platform's orders. The API version is negotiated at each new
//! connection, since an engine can be replaced while the agent runs.

mod archive;
mod ensuring;
mod events;
mod failure;
mod images;
pub mod kept;
mod likeness;
mod lines;
mod looking;
pub mod mobility;
mod network;
mod output;
mod own_restore;
mod pieces;
mod progress;
mod pulling;
mod raw;
mod terminal;
mod usage;
mod view;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder, RestartContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use ecep_proto::api::{
    container::{ContainerState, LogLines},
    device::EngineFacts,
    file::EntryList,
    image::ImageView,
    label,
    name::TenantSlug,
    network::Subnet,
    terminal::TerminalSize,
};
use futures_util::{StreamExt, stream};

use self::{failure::Doing, mobility::Mobility};
use super::{
    Archive, BuildOrder, ByteStream, Engine, EngineContainer, EngineError, EngineEvents, Found, ImageFacts,
    LogWindow, NamedVolume, Output, OutputWish, PullProgress, TerminalIo, engine_name, replaced_of_name,
};
use crate::policy::AllowedBody;

/// Where Docker listens by default.
pub const DEFAULT_ADDRESS: &str = "unix:///var/run/docker.sock";

/// A question to an engine that is well is answered much faster, also on a busy small device.
const ASK_SECONDS: u64 = 15;
/// Creating, starting and removing write to a slow SD card.
const WORK_SECONDS: u64 = 120;
/// Containers inspected at once while all are listed.
const INSPECT_AT_ONCE: usize = 8;

/// A Docker engine behind a Unix socket. Clones are the same one.
#[derive(Clone)]
pub struct DockerEngine {
    socket: String,
    client: Arc<Mutex<Option<Docker>>>,
    storage: Arc<Mutex<Option<PathBuf>>>,
    /// Containers whose start is held up by their runtime. The engine tells nothing of them until that is over: whoever asked
    /// would wait so long. So they are not there for anybody.
    held: Arc<Mutex<HashSet<String>>>,
}

/// The address is not one that can be used.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address of a Docker engine on this device; use one such as {DEFAULT_ADDRESS}")]
pub struct BadAddress(String);

impl DockerEngine {
    /// An engine at `unix:///path/to/socket`. It is not contacted yet.
    ///
    /// # Errors
    /// Where the address is not of that form.
    pub fn new(address: &str) -> Result<Self, BadAddress> {
        match address.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self {
                socket: path.to_owned(),
                client: Arc::default(),
                storage: Arc::default(),
                held: Arc::default(),
            }),
            _ => Err(BadAddress(address.to_owned())),
        }
    }

    async fn client(&self, seconds: u64) -> Result<Docker, EngineError> {
        let known = lock(&self.client).clone();
        let client = match known {
            Some(client) => client,
            None => {
                let fresh = Docker::connect_with_unix(&self.socket, ASK_SECONDS, API_DEFAULT_VERSION)
                    .map_err(|error| failure::unreachable(&error))?;
                let client = fresh.negotiate_version().await.map_err(|error| failure::unreachable(&error))?;
                *lock(&self.client) = Some(client.clone());
                client
            }
        };
        Ok(client.with_timeout(Duration::from_secs(seconds)))
    }

    /// Reads what the engine says went wrong. After a lost connection the next one negotiates anew.
    fn told(&self, doing: &Doing<'_>, error: bollard::errors::Error) -> EngineError {
        let error = failure::read(doing, error);
        if matches!(error, EngineError::Unreachable(_)) {
            *lock(&self.client) = None;
        }
        error
    }

    /// One container, whatever its name says.
    async fn see(&self, engine_id: &str) -> Result<EngineContainer, EngineError> {
        if lock(&self.held).contains(engine_id) {
            return Err(EngineError::NotFound(format!("{engine_id} is on its way here")));
        }
        let client = self.client(ASK_SECONDS).await?;
        let inspection = client
            .inspect_container(engine_id, None)
            .await
            .map_err(|error| self.told(&Doing::Container("inspect"), error))?;
        view::container(inspection)
            .ok_or_else(|| EngineError::NotFound(format!("{engine_id} is not a container of the platform")))
    }

    /// All containers of the platform with such names.
    async fn see_all(&self, wanted: impl Fn(&[String]) -> bool) -> Result<Vec<EngineContainer>, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let filters = HashMap::from([("label".to_owned(), vec![label::CONTAINER.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found =
            client.list_containers(Some(options)).await.map_err(|error| self.told(&Doing::Asking, error))?;
        let wanted = found.into_iter().filter(|one| wanted(one.names.as_deref().unwrap_or_default()));
        let mut ids: Vec<String> = wanted.filter_map(|summary| summary.id).collect();
        ids.retain(|id| !lock(&self.held).contains(id));
        let mut inspections =
            stream::iter(ids).map(|id| async move { self.see(&id).await }).buffer_unordered(INSPECT_AT_ONCE);
        let mut containers = Vec::new();
        while let Some(inspection) = inspections.next().await {
            match inspection {
                Ok(container) => containers.push(container),
                // It was removed since, or its labels are not ours.
                Err(EngineError::NotFound(_)) => {}
                Err(error @ EngineError::Unreachable(_)) => return Err(error),
                // One that the engine cannot describe must not hide the others.
                Err(error) => tracing::warn!(%error, "a container is left out of the list"),
            }
        }
        Ok(containers)
    }

    async fn ask_facts(&self) -> Result<EngineFacts, EngineError> {
        let client = self.client(ASK_SECONDS).await?;
        let info = client.info().await.map_err(|error| self.told(&Doing::Asking, error))?;
        *lock(&self.storage) = info.docker_root_dir.map(PathBuf::from);
        let mut problems = Vec::new();
        if info.live_restore_enabled == Some(false) {
            problems.push(
                "Containers stop whenever the Docker engine restarts: put \"live-restore\": true into its daemon.json \
                 and reload it."
                    .to_owned(),
            );
        }
        Ok(EngineFacts {
            kind: "docker".to_owned(),
            reachable: true,
            version: info.server_version,
            api_version: Some(client.client_version().to_string()),
            live_restore: info.live_restore_enabled,
            problems,
        })
    }
}

/// A lock whose holder panicked still holds good data here: every write is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for DockerEngine {
    async fn facts(&self) -> EngineFacts {
        self.ask_facts().await.unwrap_or_else(|error| EngineFacts {
            kind: "docker".to_owned(),
            reachable: false,
            version: None,
            api_version: None,
            live_restore: None,
            problems: vec![format!(
                "{error}. Look at the engine on the device; the agent tries again by itself."
            )],
        })
    }

    async fn storage(&self) -> Option<PathBuf> {
        lock(&self.storage).clone()
    }

    async fn list(&self) -> Result<Vec<EngineContainer>, EngineError> {
        let all = self.see_all(|_| true).await?;
        let is_there = |replaced: &EngineContainer| {
            all.iter().any(|other| other.replacing.is_none() && other.view().id == replaced.view().id)
        };
        let stands_for_it = |seen: &&EngineContainer| seen.replacing.is_none() || !is_there(seen);
        Ok(all.iter().filter(stands_for_it).cloned().collect())
    }

    async fn replaced(&self) -> Result<Vec<EngineContainer>, EngineError> {
        let has_such_name = |names: &[String]| {
            names.iter().any(|name| replaced_of_name(name.trim_start_matches('/')).is_some())
        };
        self.see_all(has_such_name).await
    }

    async fn inspect(&self, engine_id: &str) -> Result<EngineContainer, EngineError> {
        let found = self.see(engine_id).await?;
        if found.replacing.is_some() && self.see(&engine_name(&found.view().id)).await.is_ok() {
            return Err(EngineError::NotFound(format!("{engine_id} is being replaced")));
        }
        Ok(found)
    }

    async fn create(&self, name: &str, body: AllowedBody) -> Result<String, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let created = client
            .create_container(Some(options), body.into_inner())
            .await
            .map_err(|error| self.told(&Doing::Container("create"), error))?;
        Ok(created.id)
    }

    async fn start(&self, engine_id: &str) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        client
            .start_container(engine_id, None)
            .await
            .map_err(|error| self.told(&Doing::Container("start"), error))
    }

    async fn stop(&self, engine_id: &str, grace_seconds: u32) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS + u64::from(grace_seconds)).await?;
        let options = StopContainerOptionsBuilder::new().t(seconds(grace_seconds)).build();
        client
            .stop_container(engine_id, Some(options))
            .await
            .map_err(|error| self.told(&Doing::Container("stop"), error))
    }

    async fn restart(&self, engine_id: &str, grace_seconds: u32) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS + u64::from(grace_seconds)).await?;
        let options = RestartContainerOptionsBuilder::new().t(seconds(grace_seconds)).build();
        client
            .restart_container(engine_id, Some(options))
            .await
            .map_err(|error| self.told(&Doing::Container("restart"), error))
    }

    async fn remove(&self, engine_id: &str, force: bool) -> Result<(), EngineError> {
        let state = self.see(engine_id).await?.view().state;
        if !force
            && matches!(state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting)
        {
            return Err(EngineError::Conflict(
                "the container runs; stop it first, or delete it with `force`".to_owned(),
            ));
        }
        let client = self.client(WORK_SECONDS).await?;
        // `v` takes the volumes without a name along; named ones stay.
        let options = RemoveContainerOptionsBuilder::new().v(true).force(force).build();
        client
            .remove_container(engine_id, Some(options))
            .await
            .map_err(|error| self.told(&Doing::Container("remove"), error))
    }

    async fn rename(&self, engine_id: &str, name: &str) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        client
            .rename_container(engine_id, options)
            .await
            .map_err(|error| self.told(&Doing::Container("rename"), error))
    }

    async fn logs(&self, engine_id: &str, tty: bool, window: LogWindow) -> Result<LogLines, EngineError> {
        self.last_lines(engine_id, tty, window).await
    }

    async fn output(&self, engine_id: &str, tty: bool, wish: OutputWish) -> Result<Output, EngineError> {
        self.pieces(engine_id, tty, wish).await
    }

    async fn find_path(&self, engine_id: &str, path: &str) -> Result<Found, EngineError> {
        self.find(engine_id, path).await
    }

    async fn list_folder(
        &self,
        container: &EngineContainer,
        path: &str,
        most: usize,
    ) -> Result<EntryList, EngineError> {
        self.folder(container, path, most).await
    }

    async fn copy_out(&self, engine_id: &str, path: &str) -> Result<Archive, EngineError> {
        self.archive(engine_id, path).await
    }

    async fn prepare_terminal(&self, engine_id: &str, command: Vec<String>) -> Result<String, EngineError> {
        self.make_exec(engine_id, command).await
    }

    async fn start_terminal(&self, id: &str, size: TerminalSize) -> Result<Box<dyn TerminalIo>, EngineError> {
        self.start_exec(id, size).await
    }

    async fn resize_terminal(&self, id: &str, size: TerminalSize) -> Result<(), EngineError> {
        self.resize_exec(id, size).await
    }

    async fn terminal_exit(&self, id: &str) -> Result<Option<i64>, EngineError> {
        self.exec_exit(id).await
    }

    async fn end_terminal(&self, id: &str) -> Result<(), EngineError> {
        self.end_exec(id).await
    }

    async fn disk_used(&self, tenant: &TenantSlug) -> Result<u64, EngineError> {
        self.measure(tenant).await
    }

    async fn images(&self) -> Result<Vec<ImageView>, EngineError> {
        self.all_images().await
    }

    async fn has_image(&self, reference: &str) -> Result<bool, EngineError> {
        Ok(self.image_facts(reference).await?.is_some())
    }

    async fn pull(
        &self,
        reference: &str,
        progress: impl FnMut(PullProgress) + Send,
    ) -> Result<(), EngineError> {
        self.pull_image(reference, progress).await
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        self.image_facts(reference).await
    }

    async fn load(&self, archive: ByteStream) -> Result<(), EngineError> {
        self.load_archive(archive).await
    }

    async fn build(
        &self,
        order: &BuildOrder,
        context: ByteStream,
        output: impl FnMut(&str) + Send,
    ) -> Result<(), EngineError> {
        self.build_image(order, context, output).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        self.drop_image(reference).await
    }

    async fn ensure_volume(&self, volume: &NamedVolume) -> Result<(), EngineError> {
        self.make_volume(volume).await
    }

    async fn ensure_network(&self, subnet: &Subnet) -> Result<(), EngineError> {
        self.make_network(subnet).await
    }

    fn has_kernel_networks(&self) -> bool {
        true
    }

    async fn has_runtime(&self, name: &str) -> bool {
        let Ok(client) = self.client(ASK_SECONDS).await else { return false };
        client.info().await.ok().and_then(|info| info.runtimes).is_some_and(|all| all.contains_key(name))
    }

    fn mobility(&self) -> Option<Mobility> {
        Some(Mobility::new(self.clone()))
    }

    async fn events(&self) -> Result<EngineEvents, EngineError> {
        self.follow().await
    }
}

fn seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that cannot work is refused at the start, with one that does.
    #[test]
    fn only_a_socket_of_this_device_is_an_address() {
        assert!(DockerEngine::new(DEFAULT_ADDRESS).is_ok());
        for bad in ["tcp://10.0.0.1:2375", "/var/run/docker.sock", "unix://relative"] {
            let error = DockerEngine::new(bad).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(DEFAULT_ADDRESS), "{bad}: {error}");
        }
    }
}

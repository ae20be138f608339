//! What a Docker engine has to do so that a container can leave it or come to it, beyond what every engine does. It knows
//! nothing of moves: when to do what is decided elsewhere.

use std::{
    io,
    path::{Path, PathBuf},
};

use bollard::{
    body_try_stream,
    models::{ContainerCreateBody, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum, SystemInfo},
    query_parameters::{
        ImportImageOptionsBuilder, InspectContainerOptionsBuilder, ListContainersOptionsBuilder,
        RemoveVolumeOptionsBuilder, TagImageOptionsBuilder,
    },
};
use futures_util::TryStreamExt;
use tokio::{fs, io::AsyncWriteExt, task::spawn_blocking};
use tokio_util::io::ReaderStream;

use super::{ASK_SECONDS, DockerEngine, WORK_SECONDS, archive, failure::Doing, likeness, lock};
use crate::{engine::EngineError, network::network_name};

/// Saving and loading an image of gigabytes on a slow card.
const IMAGE_SECONDS: u64 = 3600;

/// A start waits for the images of a container of gigabytes that come over a slow link; the runtime itself gives up before.
const HELD_SECONDS: u64 = 25 * 3600;

/// What moves containers of one engine. Clones are the same.
#[derive(Clone)]
pub struct Mobility {
    pub(super) engine: DockerEngine,
}

/// A container, as a move needs to see it.
#[derive(Debug, Clone)]
pub struct Portrait {
    /// The engine's full id.
    pub engine_id: String,
    /// Whether its processes are there (also frozen ones).
    pub is_running: bool,
    /// Whether the engine has paused it.
    pub is_paused: bool,
    /// Its first process, while it runs.
    pub pid: Option<i32>,
    /// The image's content id.
    pub image_id: String,
    /// The image reference that it was created from.
    pub image: String,
    /// Its restart policy.
    pub restart: Option<RestartPolicy>,
    /// Its output on the engine's disk.
    pub log: Option<PathBuf>,
    /// Its writable layer.
    pub upper: Option<PathBuf>,
    /// Where its files are while it runs, all layers together.
    pub merged: Option<PathBuf>,
    /// Bytes of that, where they were asked for.
    pub writable_bytes: u64,
    /// Its named volumes: the engine's name, and where they are.
    pub volumes: Vec<(String, PathBuf)>,
    /// The request that creates its like.
    pub body: ContainerCreateBody,
    /// Whether the engine deletes it when it ends.
    pub auto_remove: bool,
    /// Whether the engine gave it a process 1 of its own.
    pub init: bool,
    /// Its runtime.
    pub runtime: String,
    /// Whether it is in its tenant's network.
    pub in_network: bool,
    /// Its network mode.
    pub network_mode: String,
    /// Paths of the host that it sees.
    pub binds: Vec<String>,
}

/// An image, as a move needs to see it.
#[derive(Debug, Clone)]
pub struct ImageFacts {
    /// Its content id.
    pub id: String,
    /// Bytes of all its layers.
    pub bytes: u64,
    /// The content ids of its layers, the lowest first.
    pub layers: Vec<String>,
}

impl Mobility {
    pub(super) fn new(engine: DockerEngine) -> Self {
        Self { engine }
    }

    /// Looks at a container. `size` also counts its writable layer, which takes the engine some time.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn portrait(
        &self,
        tenant: &ecep_proto::api::name::TenantSlug,
        engine_id: &str,
        size: bool,
    ) -> Result<Portrait, EngineError> {
        let client = self.engine.client(WORK_SECONDS).await?;
        let options = InspectContainerOptionsBuilder::new().size(size).build();
        let inspection = client
            .inspect_container(engine_id, Some(options))
            .await
            .map_err(|error| self.engine.told(&Doing::Container("inspect"), error))?;
        let network = network_name(tenant);
        let body = likeness::body(&inspection, &network);
        let state = inspection.state.unwrap_or_default();
        let host = inspection.host_config.unwrap_or_default();
        let driver = inspection.graph_driver.map(|driver| driver.data).unwrap_or_default();
        let mut mounts = inspection.mounts.unwrap_or_default();
        // The engine tells them in another order each time; those who number them must mean the same.
        mounts.sort_by(|one, other| one.destination.cmp(&other.destination));
        let volumes = mounts.into_iter().filter_map(|mount| {
            // Only volumes have a name.
            let name = mount.name.filter(|name| !name.is_empty())?;
            Some((name, PathBuf::from(mount.source?)))
        });
        let is_running = state.running.unwrap_or_default();
        Ok(Portrait {
            engine_id: inspection.id.unwrap_or_default(),
            is_running,
            is_paused: state.paused.unwrap_or_default(),
            pid: state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| is_running && *pid > 0),
            image_id: inspection.image.unwrap_or_default(),
            image: body.image.clone().unwrap_or_default(),
            restart: host.restart_policy,
            log: inspection.log_path.filter(|path| !path.is_empty()).map(PathBuf::from),
            upper: driver.get("UpperDir").map(PathBuf::from),
            merged: driver.get("MergedDir").map(PathBuf::from),
            writable_bytes: inspection
                .size_rw
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or_default(),
            volumes: volumes.collect(),
            auto_remove: host.auto_remove.unwrap_or_default(),
            init: host.init.unwrap_or_default(),
            runtime: host.runtime.unwrap_or_default(),
            in_network: body.networking_config.is_some(),
            network_mode: host.network_mode.unwrap_or_default(),
            binds: host.binds.unwrap_or_default(),
            body,
        })
    }

    /// From here on nobody asks the engine for this container, whose start will be held up.
    pub fn hold(&self, engine_id: &str) {
        lock(&self.engine.held).insert(engine_id.to_owned());
    }

    /// Starts it, however long its runtime holds that up.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn start(&self, engine_id: &str) -> Result<(), EngineError> {
        let client = self.engine.client(HELD_SECONDS).await?;
        client
            .start_container(engine_id, None::<bollard::query_parameters::StartContainerOptions>)
            .await
            .map_err(|error| self.engine.told(&Doing::Container("start"), error))
    }

    /// Its start is over.
    pub fn release(&self, engine_id: &str) {
        lock(&self.engine.held).remove(engine_id);
    }

    /// Kills a container; its restart policy does not start it again. Waits for its end.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn kill(&self, engine_id: &str) -> Result<(), EngineError> {
        let client = self.engine.client(WORK_SECONDS).await?;
        client
            .kill_container(engine_id, None::<bollard::query_parameters::KillContainerOptions>)
            .await
            .map_err(|error| self.engine.told(&Doing::Container("kill"), error))
    }

    /// Sets its restart policy; none stands for "never".
    ///
    /// # Errors
    /// The engine's own.
    pub async fn set_restart(
        &self,
        engine_id: &str,
        policy: Option<RestartPolicy>,
    ) -> Result<(), EngineError> {
        let never = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
        let update = ContainerUpdateBody {
            restart_policy: Some(policy.unwrap_or(never)),
            ..ContainerUpdateBody::default()
        };
        let client = self.engine.client(WORK_SECONDS).await?;
        client
            .update_container(engine_id, update)
            .await
            .map_err(|error| self.engine.told(&Doing::Container("update"), error))
    }

    /// An image by reference or id; none where the engine has none.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        let client = self.engine.client(ASK_SECONDS).await?;
        let found = client.inspect_image(reference).await;
        match found.map_err(|error| self.engine.told(&Doing::Image(reference), error)) {
            Ok(image) => Ok(Some(ImageFacts {
                id: image.id.unwrap_or_default(),
                bytes: image.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
                layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
            })),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many of these layers, from the lowest on, some image here has, so that an archive without them can be loaded.
    /// None count where the engine cannot do that.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn layers_held(&self, layers: &[String]) -> Result<usize, EngineError> {
        let client = self.engine.client(ASK_SECONDS).await?;
        let info = client.info().await.map_err(|error| self.engine.told(&Doing::Asking, error))?;
        if is_containerd_store(&info) {
            return Ok(0);
        }
        let images = client
            .list_images(None::<bollard::query_parameters::ListImagesOptions>)
            .await
            .map_err(|error| self.engine.told(&Doing::Asking, error))?;
        let mut held = 0;
        for image in images {
            if let Some(facts) = self.image(&image.id).await? {
                let same = facts.layers.iter().zip(layers).take_while(|(one, other)| one == other).count();
                held = held.max(same);
            }
        }
        Ok(held)
    }

    /// Writes an image to a file as `docker save` does, without the lowest `held` layers.
    ///
    /// # Errors
    /// The engine's own, or the disk refuses.
    pub async fn save_image(&self, id: &str, held: usize, to: &Path) -> Result<(), EngineError> {
        let client = self.engine.client(IMAGE_SECONDS).await?;
        let whole = if held == 0 { to.to_owned() } else { to.with_extension("whole") };
        let disk = |error: io::Error| EngineError::Failed(format!("{}: {error}", to.display()));
        let mut file = fs::File::create(&whole).await.map_err(disk)?;
        let mut pieces = std::pin::pin!(client.export_image(id));
        while let Some(piece) =
            pieces.try_next().await.map_err(|error| self.engine.told(&Doing::Image(id), error))?
        {
            file.write_all(&piece).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        if held > 0 {
            let (from, into) = (whole.clone(), to.to_owned());
            let filtered = spawn_blocking(move || archive::without_layers(&from, &into, held)).await;
            filtered.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(disk)?;
            fs::remove_file(&whole).await.map_err(disk)?;
        }
        Ok(())
    }

    /// Loads what [`Mobility::save_image`] wrote: an image without a name, since a name may be somebody else's here.
    ///
    /// # Errors
    /// The engine's own, the disk refuses, or the archive brings names.
    pub async fn load_image(&self, from: &Path) -> Result<(), EngineError> {
        let archive = from.to_owned();
        let names = spawn_blocking(move || archive::names(&archive)).await;
        let names = names.unwrap_or_else(|error| Err(io::Error::other(error)));
        let names = names.map_err(|error| EngineError::Failed(format!("the image's archive: {error}")))?;
        if let Some(name) = names.first() {
            return Err(EngineError::Invalid(format!("the image's archive would take the name {name} here")));
        }
        let client = self.engine.client(IMAGE_SECONDS).await?;
        let file = fs::File::open(from)
            .await
            .map_err(|error| EngineError::Failed(format!("{}: {error}", from.display())))?;
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let mut steps =
            std::pin::pin!(client.import_image(options, body_try_stream(ReaderStream::new(file)), None));
        while steps
            .try_next()
            .await
            .map_err(|error| self.engine.told(&Doing::Image("that was sent"), error))?
            .is_some()
        {}
        Ok(())
    }

    /// Gives an image a name, unless another image has it.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn tag_image(&self, id: &str, reference: &str) -> Result<(), EngineError> {
        if self.image(reference).await?.is_some() {
            return Ok(());
        }
        let (repository, tag) = match reference.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (reference, "latest"),
        };
        let client = self.engine.client(WORK_SECONDS).await?;
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        client
            .tag_image(id, Some(options))
            .await
            .map_err(|error| self.engine.told(&Doing::Image(reference), error))
    }

    /// Where a named volume is; none where there is none of that name.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn volume(&self, name: &str) -> Result<Option<PathBuf>, EngineError> {
        let client = self.engine.client(ASK_SECONDS).await?;
        match client.inspect_volume(name).await {
            Ok(volume) => Ok(Some(PathBuf::from(volume.mountpoint))),
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.engine.told(&Doing::Volume(name), error)),
        }
    }

    /// Removes a named volume; no change where there is none. One that another container has taken meanwhile stays.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let client = self.engine.client(WORK_SECONDS).await?;
        match client.remove_volume(name, Some(RemoveVolumeOptionsBuilder::new().build())).await {
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                Ok(())
            }
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 409, message }) => {
                tracing::warn!(volume = name, %message, "a volume of a container that moved stays, it is in use");
                Ok(())
            }
            Err(error) => Err(self.engine.told(&Doing::Volume(name), error)),
        }
    }

    /// The containers that use a volume, by the engine's ids.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn users_of_volume(&self, name: &str) -> Result<Vec<String>, EngineError> {
        let client = self.engine.client(ASK_SECONDS).await?;
        let filters = std::collections::HashMap::from([("volume".to_owned(), vec![name.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let users = client
            .list_containers(Some(options))
            .await
            .map_err(|error| self.engine.told(&Doing::Asking, error))?;
        Ok(users.into_iter().filter_map(|user| user.id).collect())
    }
}

/// Whether containerd keeps the engine's images (Docker Engine API, `GET /info`, `DriverStatus`). It takes an archive without
/// the layers that it has only where that was written by an engine of a late version.
fn is_containerd_store(info: &SystemInfo) -> bool {
    let mut status = info.driver_status.iter().flatten();
    status.any(|pair| pair.iter().any(|word| word.starts_with("io.containerd.snapshotter")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive without some layers must go only to an engine that puts it together with its own.
    #[test]
    fn an_engine_with_containerds_images_is_told_from_one_with_its_own() {
        let info = |pairs: &[[&str; 2]]| SystemInfo {
            driver_status: Some(pairs.iter().map(|pair| pair.map(ToOwned::to_owned).to_vec()).collect()),
            ..SystemInfo::default()
        };
        assert!(is_containerd_store(&info(&[["driver-type", "io.containerd.snapshotter.v1"]])));
        assert!(!is_containerd_store(&info(&[["Backing Filesystem", "extfs"], ["Supports d_type", "true"]])));
    }
}

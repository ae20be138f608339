//! The image of a version comes to be at the engine: pulled, loaded from an archive, or built from a bundle or from files over a base.
//! What is there already is not brought again. Nothing of a container is touched here.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use ecep_archive::{ArchiveError, Builder, DOCKERFILE, Dockerfile, Inspection, Limits, check_trigger};
use ecep_fleet::{image_reference::ImageReference, quota::Action};
use ecep_proto::api::{
    application::{DeviceVersion, Source},
    artifact::{ArtifactDigest, ArtifactKind, MAX_UPLOAD_BYTES},
    error::{ApiError, ErrorKind},
    name::{ContainerId, TenantSlug},
};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    Applications, architecture,
    cloud::Cloud,
    context,
    fetch::{self, FetchError},
    ignored::Ignored,
    names, pieces, room,
    tail::Tail,
};
use crate::{
    engine::{BuildOrder, ByteStream, Engine, EngineError, ImageFacts, PullProgress},
    reporter::Reporter,
    telling::Telling,
};

/// The folder of files where the version names none.
const DIRECTORY: &str = "/app";
/// A build that takes longer hangs, or belongs on a larger machine.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Memory of each step of a build: compilers need some, and the device must go on.
const BUILD_MEMORY_BYTES: u64 = 1 << 30;
/// A build that says more has run wild.
const BUILD_OUTPUT_BYTES: u64 = 64 << 20;
/// How often the disk is looked at while something is built.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For whom an image is brought.
#[derive(Clone)]
pub(super) struct For {
    pub(super) tenant: TenantSlug,
    pub(super) version: DeviceVersion,
    pub(super) container: ContainerId,
    pub(super) report: Reporter,
}

/// The reference that a version's image has at the engine.
pub(super) fn reference(tenant: &TenantSlug, version: &DeviceVersion) -> Result<ImageReference, ApiError> {
    match &version.source {
        Source::Image { image } => image.parse(),
        Source::ImageArchive { artifact }
        | Source::SourceBundle { artifact, .. }
        | Source::Files { artifact, .. } => {
            names::reference(tenant, &version.application, version.version, artifact).parse()
        }
    }
}

impl<E: Engine, C: Cloud> Applications<E, C> {
    /// Brings the image, unless the engine has it.
    pub(super) async fn supply(&self, wanted: For) -> Result<(), ApiError> {
        let image = reference(&wanted.tenant, &wanted.version)?;
        architecture::check(&self.machine, &wanted.version.architectures)?;
        let there = self.orders.usable(&wanted.tenant, &image).await?;
        if there.is_some() {
            tracing::info!(%image, tenant = %wanted.tenant, "the image is here already; nothing is fetched");
            wanted.report.phase("present", Some(&wanted.container), None);
        } else {
            self.bring(&wanted, &image).await?;
        }
        let facts =
            self.orders.usable(&wanted.tenant, &image).await?.ok_or_else(|| names::no_image(&image))?;
        architecture::check(&self.machine, &[facts.architecture])
    }

    async fn bring(&self, wanted: &For, image: &ImageReference) -> Result<(), ApiError> {
        let For { tenant, version, container, report } = wanted;
        let Some(digest) = version.source.artifact() else {
            names::refuse_pull(image)?;
            return self.orders.do_pull(image, Some(container), report).await;
        };
        let bytes = version.artifact_bytes.unwrap_or(MAX_UPLOAD_BYTES);
        let held = self.bytes_of_images(tenant).await?;
        self.orders.quotas.allow_on_disk(tenant, Action::Pull, held.saturating_add(bytes)).await?;
        let _place = self.orders.pulls.enter(tenant)?;
        let _held = self.orders.locks.hold(&format!("image/{image}")).await;
        // Another order may have brought it meanwhile.
        if self.orders.usable(tenant, image).await?.is_some() {
            return Ok(());
        }
        let storage = self.storage().await;
        room::check(&self.folder, bytes, "the artifact")?;
        let both = if room::is_same_disk(&self.folder, &storage) { bytes.saturating_mul(2) } else { bytes };
        room::check(&storage, both, "the artifact and its image")?;
        let folder = Folder::new(&self.folder, tenant, digest)?;
        let artifact = {
            // A build that takes an hour must not keep others from their images.
            let _turn = self.orders.pulls.turn().await?;
            self.fetched(wanted, digest, bytes, &folder).await?
        };
        self.turn_into_image(wanted, image, artifact, &storage).await
    }

    async fn fetched(
        &self,
        wanted: &For,
        digest: &ArtifactDigest,
        bytes: u64,
        folder: &Folder,
    ) -> Result<PathBuf, ApiError> {
        let mut telling = Telling::new(&wanted.report, "fetching", Some(&wanted.container));
        wanted.report.phase(
            "fetching",
            Some(&wanted.container),
            Some(PullProgress { done: 0, total: bytes }),
        );
        let mut tell = |progress| telling.bytes(progress);
        let fetched = fetch::fetch(&self.cloud, &wanted.tenant, digest, bytes, &folder.0, &mut tell).await;
        fetched.map_err(|error| {
            let kind = match &error {
                FetchError::Refused(_) | FetchError::GivenUp { .. } => ErrorKind::Unavailable,
                FetchError::Transfer(_) => ErrorKind::Limit,
                FetchError::Other { .. } | FetchError::File { .. } => ErrorKind::Engine,
            };
            ApiError::new(kind, error.to_string())
        })
    }

    async fn turn_into_image(
        &self,
        wanted: &For,
        image: &ImageReference,
        artifact: PathBuf,
        storage: &Path,
    ) -> Result<(), ApiError> {
        let found = inspected(artifact.clone()).await?;
        let is_image = found.kind == ArtifactKind::ImageArchive;
        if is_image != matches!(wanted.version.source, Source::ImageArchive { .. }) {
            return Err(invalid(if is_image {
                "the artifact is an image archive; add a version whose source is one"
            } else {
                "the artifact is no image archive; add a version whose source is a source bundle or files"
            }));
        }
        architecture::check(&self.machine, &found.architectures)?;
        room::check(storage, found.unpacked_bytes, "what the artifact unpacks to")?;
        let bytes = self.bytes_of_images(&wanted.tenant).await?.saturating_add(found.unpacked_bytes);
        self.orders.quotas.allow_on_disk(&wanted.tenant, Action::Pull, bytes).await?;
        match &wanted.version.source {
            Source::Image { .. } => Ok(()),
            Source::ImageArchive { .. } => self.load(wanted, image, artifact).await,
            Source::SourceBundle { dockerfile, .. } => {
                let path = dockerfile.as_deref().unwrap_or(DOCKERFILE).trim_start_matches("./");
                self.build_bundle(wanted, image, artifact, path).await
            }
            Source::Files { base, directory, install, .. } => {
                let directory = directory.as_deref().unwrap_or(DIRECTORY);
                self.build_files(wanted, image, artifact, base, directory, install.clone()).await
            }
        }
    }

    async fn load(&self, wanted: &For, image: &ImageReference, artifact: PathBuf) -> Result<(), ApiError> {
        wanted.report.phase("loading", Some(&wanted.container), None);
        let reference = image.as_str().to_owned();
        let (archive, making) = pieces::make(move |out| {
            let file = File::open(artifact).map_err(ArchiveError::Read)?;
            ecep_archive::image(std::io::BufReader::new(file), out, &Limits::default(), &reference)
        });
        let loaded = self.orders.engine.load(archive).await;
        match making.fault().await {
            Some(why) => Err(invalid(format!("the artifact: {why}"))),
            None => loaded.map_err(EngineError::into_api),
        }
    }

    async fn build_bundle(
        &self,
        wanted: &For,
        image: &ImageReference,
        artifact: PathBuf,
        path: &str,
    ) -> Result<(), ApiError> {
        let (of, at) = (artifact.clone(), path.to_owned());
        let read = spawn_blocking(move || context::texts(&of, &at, &Limits::default())).await;
        let texts = read.map_err(worker)?.map_err(|error| invalid(format!("the artifact: {error}")))?;
        let none = || ArchiveError::NoDockerfile { path: path.to_owned() };
        let text = texts.dockerfile.ok_or_else(|| invalid(none().to_string()))?;
        let platform = architecture::platform(&self.machine);
        let runs = |wanted: &str| architecture::is_own(&self.machine, wanted);
        let builder = Builder { platform: &platform, runs: &runs };
        let dockerfile =
            Dockerfile::read(&text, Some(builder)).map_err(|error| invalid(error.to_string()))?;
        let ignored = Ignored::read(&texts.ignored.unwrap_or_default());
        let ignored = ignored.map_err(|error| invalid(format!("the source bundle's {error}")))?;
        let mut ids = BTreeMap::new();
        for name in dockerfile.images() {
            ids.insert(name.to_owned(), self.base(wanted, name).await?.id);
        }
        let (text, at) = (dockerfile.written(&ids), path.to_owned());
        let stream =
            pieces::make(move |out| context::write(&artifact, &at, &text, &ignored, &Limits::default(), out));
        self.build(wanted, image, path, stream).await
    }

    async fn build_files(
        &self,
        wanted: &For,
        image: &ImageReference,
        artifact: PathBuf,
        base: &str,
        directory: &str,
        install: Option<String>,
    ) -> Result<(), ApiError> {
        let (base, directory) = (self.base(wanted, base).await?.id, directory.to_owned());
        let stream = pieces::make(move |out| {
            let file = File::open(artifact).map_err(ArchiveError::Read)?;
            ecep_archive::overlay(file, out, &Limits::default(), &base, &directory, install.as_deref())
        });
        self.build(wanted, image, DOCKERFILE, stream).await
    }

    /// An image that something is built on or copied from: one that the tenant may use, and that does nothing forbidden by itself.
    async fn base(&self, wanted: &For, name: &str) -> Result<ImageFacts, ApiError> {
        let image: ImageReference = name.parse()?;
        let facts = match self.orders.usable(&wanted.tenant, &image).await? {
            Some(facts) => facts,
            None => {
                names::refuse_pull(&image)?;
                self.orders.do_pull(&image, Some(&wanted.container), &wanted.report).await?;
                let pulled = self.orders.usable(&wanted.tenant, &image).await?;
                pulled.ok_or_else(|| names::no_image(&image))?
            }
        };
        architecture::check(&self.machine, std::slice::from_ref(&facts.architecture))?;
        for trigger in &facts.on_build {
            check_trigger(trigger).map_err(|why| {
                invalid(format!("the image {image} cannot be built on, because of its ONBUILD: {why}"))
            })?;
        }
        Ok(facts)
    }

    async fn build(
        &self,
        wanted: &For,
        image: &ImageReference,
        dockerfile: &str,
        (context, making): (ByteStream, pieces::Making),
    ) -> Result<(), ApiError> {
        let _alone = self.building.acquire().await.map_err(|_| stopping())?;
        wanted.report.phase("building", Some(&wanted.container), None);
        let order = BuildOrder {
            reference: image.as_str().to_owned(),
            dockerfile: dockerfile.to_owned(),
            cache_from: self.images_of(wanted).await?,
            memory_bytes: self.build_memory(&wanted.tenant)?,
        };
        let storage = self.storage().await;
        let nameless = self.nameless().await?;
        let tail = std::sync::Mutex::new(Tail::default());
        let wild = tokio::sync::Notify::new();
        let building = self.orders.engine.build(&order, context, |text| {
            let mut tail = tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            tail.push(text);
            if tail.bytes() > BUILD_OUTPUT_BYTES {
                wild.notify_one();
            }
        });
        let built = tokio::select! {
            built = timeout(BUILD_LIMIT, building) => match built {
                Ok(built) => built.map_err(EngineError::into_api),
                Err(_) => Err(limit(format!("the build took more than {} minutes", BUILD_LIMIT.as_secs() / 60))),
            },
            () = disk_is_full(&storage) => Err(limit(format!(
                "the build was ended: it left less than {} MiB of the device's disk free", room::RESERVE_BYTES >> 20
            ))),
            () = wild.notified() => Err(limit(format!(
                "the build was ended: it said more than {} MiB", BUILD_OUTPUT_BYTES >> 20
            ))),
        };
        self.remove_stages(&nameless).await;
        let said = tail.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_text();
        let built = match making.fault().await {
            Some(why) => Err(invalid(format!("the artifact: {why}"))),
            None => built,
        };
        built.map_err(|error| {
            let message = if said.is_empty() {
                error.message.clone()
            } else {
                format!("{}. The last that it said:\n{said}", error.message)
            };
            ApiError { message, ..error }.with("output", said)
        })
    }

    /// Bytes of the tenant's applications' images, which its quota of the disk has to bear though no container is of them.
    async fn bytes_of_images(&self, tenant: &TenantSlug) -> Result<u64, ApiError> {
        if !self.orders.quotas.is_guest(tenant) {
            return Ok(0);
        }
        let images = self.orders.engine.images().await.map_err(EngineError::into_api)?;
        let own = images.iter().filter(|image| image.tags.iter().any(|tag| names::is_own(tenant, tag)));
        Ok(own.map(|image| image.size_bytes).fold(0, u64::saturating_add))
    }

    async fn nameless(&self) -> Result<Vec<String>, ApiError> {
        let images = self.orders.engine.images().await.map_err(EngineError::into_api)?;
        Ok(images.into_iter().filter(|image| image.tags.is_empty()).map(|image| image.id).collect())
    }

    /// Stages that are over have no name, and often a compiler in them; nothing of them is taken over by a later build.
    async fn remove_stages(&self, before: &[String]) {
        let Ok(now) = self.nameless().await else { return };
        for stage in now.iter().filter(|id| !before.contains(id)) {
            if let Err(error) = self.orders.engine.remove_image(stage).await {
                tracing::debug!(image = %stage, %error, "a stage of a build stays");
            }
        }
    }

    /// What may be taken over of earlier builds: those of this application, whose steps are the tenant's own.
    async fn images_of(&self, wanted: &For) -> Result<Vec<String>, ApiError> {
        let images = self.orders.engine.images().await.map_err(EngineError::into_api)?;
        let begins = names::of_application(&wanted.tenant, &wanted.version.application);
        Ok(images.into_iter().flat_map(|image| image.tags).filter(|tag| tag.starts_with(&begins)).collect())
    }

    /// A guest builds with no more memory than it may have.
    fn build_memory(&self, tenant: &TenantSlug) -> Result<u64, ApiError> {
        let granted = self.orders.quotas.granted(tenant)?;
        let most = granted.and_then(|granted| granted.terms.quota.memory_bytes);
        Ok(most.map_or(BUILD_MEMORY_BYTES, |most| most.min(BUILD_MEMORY_BYTES)))
    }

    async fn storage(&self) -> PathBuf {
        self.orders.engine.storage().await.unwrap_or_else(|| self.folder.clone())
    }
}

/// The folder of an artifact on its way; it goes with whoever holds this.
struct Folder(PathBuf);

impl Folder {
    fn new(parent: &Path, tenant: &TenantSlug, digest: &ArtifactDigest) -> Result<Self, ApiError> {
        let folder = parent.join(format!("{tenant}-{digest}"));
        std::fs::create_dir_all(&folder).map_err(|error| {
            ApiError::new(
                ErrorKind::Unavailable,
                format!("{}: {error}; look at the device's disk", folder.display()),
            )
        })?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "an artifact's folder stays until the agent starts again");
        }
    }
}

/// Returns once little of the disk is free; never where it does not say.
async fn disk_is_full(storage: &Path) {
    loop {
        sleep(LOOK_EVERY).await;
        if room::free(storage).is_some_and(|free| free < room::RESERVE_BYTES) {
            return;
        }
    }
}

async fn inspected(artifact: PathBuf) -> Result<Inspection, ApiError> {
    let inspected = spawn_blocking(move || {
        let file = File::open(artifact).map_err(ArchiveError::Read)?;
        ecep_archive::inspect(std::io::BufReader::new(file), &Limits::default())
    });
    inspected.await.map_err(worker)?.map_err(|error| invalid(format!("the artifact: {error}")))
}

fn worker(error: tokio::task::JoinError) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, format!("a worker of the agent ended: {error}; try again"))
}

fn stopping() -> ApiError {
    ApiError::new(ErrorKind::Unavailable, "the agent is stopping")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

fn limit(message: String) -> ApiError {
    ApiError::new(ErrorKind::Limit, message)
}

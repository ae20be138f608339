//! The port to a container engine, and what passes through it.
//!
//! Two engines stand behind it: `docker`, and `sim`, an engine in memory for tests of whole fleets. Both pass
//! one contract test. Everything here is in the engine's own words; tenants are only labels to it.

pub mod docker;
pub mod sim;

use std::{io, path::PathBuf};

use bytes::Bytes;
use ecep_proto::api::{
    container::{ContainerDetail, ContainerView, LogLines, LogStream},
    device::EngineFacts,
    error::{ApiError, ErrorKind},
    file::{EntryKind, EntryList},
    image::ImageView,
    name::{ContainerId, OperationId, TenantSlug},
    network::Subnet,
    terminal::TerminalSize,
};
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::policy::AllowedBody;

/// What all names of our containers at the engine begin with.
pub const NAME_PREFIX: &str = "ecep-";

/// The engine's name for a container.
pub fn engine_name(container: &ContainerId) -> String {
    format!("{NAME_PREFIX}{container}")
}

/// What the names of copies begin with that stay where their containers moved away from.
const KEPT_PREFIX: &str = "ecep-kept-";

/// The engine's name for the copy that a move has left, stopped. No container has it: an id holds no dot.
pub fn kept_name(container: &ContainerId, migration: &OperationId) -> String {
    format!("{KEPT_PREFIX}{container}.{migration}")
}

/// What the names of containers begin with that an update is replacing.
const REPLACED_PREFIX: &str = "ecep-replaced-";

/// What an update was about to do with a container that has such a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacing {
    /// Its ECEP id, which the new one has too.
    pub container: ContainerId,
    /// The update.
    pub operation: OperationId,
    /// Whether it ran before.
    pub ran: bool,
}

/// The engine's name for a container while an update replaces it.
pub fn replaced_name(replacing: &Replacing) -> String {
    let ran = if replacing.ran { "on" } else { "off" };
    format!("{REPLACED_PREFIX}{}.{}.{ran}", replacing.container, replacing.operation)
}

/// What the name says; none where it is not one of a container that is being replaced.
pub fn replaced_of_name(name: &str) -> Option<Replacing> {
    let (container, rest) = name.strip_prefix(REPLACED_PREFIX)?.split_once('.')?;
    let (operation, ran) = rest.split_once('.')?;
    let ran = match ran {
        "on" => true,
        "off" => false,
        _ => return None,
    };
    Some(Replacing { container: container.parse().ok()?, operation: operation.parse().ok()?, ran })
}

/// Of which container, and by which move, a copy was kept; none where this is not the name of one.
pub fn kept_of_name(name: &str) -> Option<(ContainerId, OperationId)> {
    let (container, migration) = name.strip_prefix(KEPT_PREFIX)?.split_once('.')?;
    Some((container.parse().ok()?, migration.parse().ok()?))
}

/// Why the engine did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine does not answer.
    #[error("the container engine does not answer: {0}")]
    Unreachable(String),
    /// The engine has no such container, image or volume.
    #[error("{0}")]
    NotFound(String),
    /// It stands against the present state.
    #[error("{0}")]
    Conflict(String),
    /// The request was wrong in the engine's eyes.
    #[error("{0}")]
    Invalid(String),
    /// The engine is there, but the registry it should pull from is not.
    #[error("{0}")]
    RegistryUnreachable(String),
    /// Anything else that the engine says.
    #[error("{0}")]
    Failed(String),
}

impl EngineError {
    /// As a caller gets it. The texts are written for callers already, except that of an engine out of reach.
    pub fn into_api(self) -> ApiError {
        let kind = match &self {
            EngineError::Unreachable(_) => {
                return ApiError::new(
                    ErrorKind::Unavailable,
                    format!(
                        "{self}. The agent tries again by itself; if it lasts, look at the engine on the device."
                    ),
                );
            }
            EngineError::NotFound(_) => ErrorKind::NotFound,
            EngineError::Conflict(_) => ErrorKind::Conflict,
            EngineError::Invalid(_) => ErrorKind::InvalidArgument,
            EngineError::RegistryUnreachable(_) => ErrorKind::Unavailable,
            EngineError::Failed(_) => ErrorKind::Engine,
        };
        ApiError::new(kind, self.to_string())
    }
}

/// What a container's own check says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Not known yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// A container of the platform, as its engine and its labels tell.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineContainer {
    /// Whose.
    pub tenant: TenantSlug,
    /// The operation that created it.
    pub operation: Option<OperationId>,
    /// In full; the part that lists show is `detail.container`.
    pub detail: ContainerDetail,
    /// The hosts file that the engine mounts into it, where it has one.
    pub hosts_file: Option<PathBuf>,
    /// What its own check says, where it has one.
    pub health: Option<Health>,
    /// For how many seconds it must have run to count as healthy without one, where an update said so.
    pub healthy_after_seconds: Option<u32>,
    /// What an update is doing with it; none where its name is the ordinary one.
    pub replacing: Option<Replacing>,
}

impl EngineContainer {
    /// What lists show.
    pub fn view(&self) -> &ContainerView {
        &self.detail.container
    }

    /// Whether an update made it, and not the order of a new container.
    pub fn is_of_update(&self) -> bool {
        self.healthy_after_seconds.is_some()
    }
}

/// How far a pull has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes loaded.
    pub done: u64,
    /// Bytes to load, as far as the engine has told yet.
    pub total: u64,
}

/// What an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The engine's id of it, `sha256:…`.
    pub id: String,
    /// The references that point at it.
    pub tags: Vec<String>,
    /// For which architecture it is, as Docker names it: `amd64`, `arm64`, `arm/v7`.
    pub architecture: String,
    /// What a build from it does at once.
    pub on_build: Vec<String>,
}

/// Bytes as they come, with constant memory.
pub type ByteStream = BoxStream<'static, Result<Bytes, io::Error>>;

/// How an image is built. There is nothing else that could be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOrder {
    /// The reference that the image gets.
    pub reference: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// Images whose steps may be taken over where they are the same; with none, each step is done.
    pub cache_from: Vec<String>,
    /// Bytes of memory that each step may use at most.
    pub memory_bytes: u64,
}

/// Which output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogWindow {
    /// The last lines, this many.
    pub tail: u32,
    /// Only from this time on, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Bytes of text at most; older lines are left off beyond it.
    pub max_bytes: usize,
}

/// Which output is wanted, and in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputWish {
    /// The last lines, this many; all of them if left out.
    pub tail: Option<u32>,
    /// Only from this second on, since 1970.
    pub since_seconds: u64,
    /// Only this stream.
    pub stream: Option<LogStream>,
    /// Goes on as it is written, until the container stops.
    pub follow: bool,
}

/// A part of a line of output, so that none needs to fit into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPiece {
    /// When it was written, in nanoseconds since 1970; no two writes of a container have the same, and they rise.
    pub at: u64,
    /// Where.
    pub stream: LogStream,
    /// A line begins with it.
    pub begins: bool,
    /// The line ends with it.
    pub ends: bool,
    /// The text, without the line's end.
    pub text: Bytes,
}

/// Output, piece by piece; the engine reads on as fast as this is read.
pub type Output = BoxStream<'static, Result<OutputPiece, EngineError>>;

/// Something at a path in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it really is, in the container: links at the end of the path were followed inside it.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of a file.
    pub bytes: u64,
}

/// A tar archive, as it is made.
pub type Archive = BoxStream<'static, Result<Bytes, EngineError>>;

/// Both ways of a terminal: what is typed is written, what is shown is read. It ends with its command.
pub trait TerminalIo: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> TerminalIo for T {}

/// Something has happened to the container with this engine id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// The engine's own id of the container.
    pub engine_id: String,
}

/// What events of an engine come as. It ends, or yields an error, when the engine is lost.
pub type EngineEvents = BoxStream<'static, Result<EngineEvent, EngineError>>;

/// A named volume to be there before a container is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedVolume {
    /// The engine's name for it.
    pub engine_name: String,
    /// Whose.
    pub tenant: TenantSlug,
    /// The tenant's name for it.
    pub name: String,
}

/// A container engine. Containers that do not carry our labels do not exist for it.
pub trait Engine: Send + Sync + 'static {
    /// What it is and how it is. Never fails: an engine out of reach is a fact too.
    fn facts(&self) -> impl Future<Output = EngineFacts> + Send;
    /// The folder whose disk holds the containers, once known.
    fn storage(&self) -> impl Future<Output = Option<PathBuf>> + Send;
    /// Every container of the platform. One that an update is replacing stands for the container until the new one is there.
    fn list(&self) -> impl Future<Output = Result<Vec<EngineContainer>, EngineError>> + Send;
    /// One container of the platform, by the engine's id or name.
    fn inspect(&self, engine_id: &str) -> impl Future<Output = Result<EngineContainer, EngineError>> + Send;
    /// Creates a container that the policy allowed; answers the engine's id.
    fn create(
        &self,
        name: &str,
        body: AllowedBody,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Starts it; no change if it runs.
    fn start(&self, engine_id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Stops it, by force after this many seconds; no change if it is stopped.
    fn stop(
        &self,
        engine_id: &str,
        grace_seconds: u32,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Stops and starts it.
    fn restart(
        &self,
        engine_id: &str,
        grace_seconds: u32,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes it with its writable layer; a running one only with `force`.
    fn remove(&self, engine_id: &str, force: bool) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Gives it another name at the engine, running or not.
    fn rename(&self, engine_id: &str, name: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Every container that an update is replacing, also where the new one is there already.
    fn replaced(&self) -> impl Future<Output = Result<Vec<EngineContainer>, EngineError>> + Send;
    /// The last lines of its output; `tty` as it was created.
    fn logs(
        &self,
        engine_id: &str,
        tty: bool,
        window: LogWindow,
    ) -> impl Future<Output = Result<LogLines, EngineError>> + Send;
    /// Its output, piece by piece; `tty` as it was created.
    fn output(
        &self,
        engine_id: &str,
        tty: bool,
        wish: OutputWish,
    ) -> impl Future<Output = Result<Output, EngineError>> + Send;
    /// What is at a path in it, running or not.
    ///
    /// # Errors
    /// `NotFound` where nothing is, or a link leads to nothing.
    fn find_path(
        &self,
        engine_id: &str,
        path: &str,
    ) -> impl Future<Output = Result<Found, EngineError>> + Send;
    /// A folder of it, running or not, as far as `most` entries; in no order.
    fn list_folder(
        &self,
        container: &EngineContainer,
        path: &str,
        most: usize,
    ) -> impl Future<Output = Result<EntryList, EngineError>> + Send;
    /// What is at a path in it, as an archive whose first entry is that itself. No link in the path leads out of the container.
    fn copy_out(
        &self,
        engine_id: &str,
        path: &str,
    ) -> impl Future<Output = Result<Archive, EngineError>> + Send;
    /// Makes a command ready that will run in a running container with a terminal of its own; answers its id.
    fn prepare_terminal(
        &self,
        engine_id: &str,
        command: Vec<String>,
    ) -> impl Future<Output = Result<String, EngineError>> + Send;
    /// Starts it, with this size.
    fn start_terminal(
        &self,
        id: &str,
        size: TerminalSize,
    ) -> impl Future<Output = Result<Box<dyn TerminalIo>, EngineError>> + Send;
    /// Gives it another size.
    fn resize_terminal(
        &self,
        id: &str,
        size: TerminalSize,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Its exit code; none while it runs.
    fn terminal_exit(&self, id: &str) -> impl Future<Output = Result<Option<i64>, EngineError>> + Send;
    /// Ends its command, if it still runs.
    fn end_terminal(&self, id: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Bytes of a tenant's writable layers and volumes.
    fn disk_used(&self, tenant: &TenantSlug) -> impl Future<Output = Result<u64, EngineError>> + Send;
    /// All images.
    fn images(&self) -> impl Future<Output = Result<Vec<ImageView>, EngineError>> + Send;
    /// Whether it has this image.
    fn has_image(&self, reference: &str) -> impl Future<Output = Result<bool, EngineError>> + Send;
    /// Pulls an image; `progress` hears of it often, and first when its registry has answered.
    fn pull(
        &self,
        reference: &str,
        progress: impl FnMut(PullProgress) + Send,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// What this image is; none where the engine has none of that name.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<ImageFacts>, EngineError>> + Send;
    /// Loads an image's archive, as `docker save` writes it.
    fn load(&self, archive: ByteStream) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Builds an image from a tar archive with a Dockerfile; `output` hears what the build says.
    fn build(
        &self,
        order: &BuildOrder,
        context: ByteStream,
        output: impl FnMut(&str) + Send,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Removes an image that no container uses.
    fn remove_image(&self, reference: &str) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Makes a volume unless it is there.
    ///
    /// # Errors
    /// `Conflict` where a volume of that name is not the tenant's, or not a plain local one.
    fn ensure_volume(&self, volume: &NamedVolume) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Makes a tenant's network unless it is there.
    ///
    /// # Errors
    /// `Conflict` where a network of that name is another one.
    fn ensure_network(&self, subnet: &Subnet) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Whether its containers have networks in this machine's kernel; only then may the agent touch routes and firewall.
    fn has_kernel_networks(&self) -> bool;
    /// Whether it knows a runtime of that name.
    fn has_runtime(&self, name: &str) -> impl Future<Output = bool> + Send;
    /// What moves its containers; none where they cannot be moved.
    fn mobility(&self) -> Option<docker::mobility::Mobility>;
    /// What happens to containers from now on.
    fn events(&self) -> impl Future<Output = Result<EngineEvents, EngineError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy that stays behind must never pass for the container, nor a container for such a copy, whatever its id.
    #[test]
    fn a_kept_copy_is_told_from_every_container_by_its_name() {
        let (container, migration) = ("kept-a-1".parse().unwrap(), "move-1".parse().unwrap());
        assert_eq!(kept_of_name(&kept_name(&container, &migration)), Some((container.clone(), migration)));
        assert_eq!(kept_of_name(&engine_name(&container)), None);
        assert_ne!(kept_name(&container, &"move-1".parse().unwrap()), engine_name(&container));
    }

    /// What was to become of a container must be known from its name after the agent was killed, and no other name may say so.
    #[test]
    fn a_container_that_is_replaced_is_told_by_its_name() {
        for ran in [true, false] {
            let replacing = Replacing {
                container: "replaced-a".parse().unwrap(),
                operation: "update-1".parse().unwrap(),
                ran,
            };
            let name = replaced_name(&replacing);
            assert_eq!(kept_of_name(&name), None);
            assert_eq!(replaced_of_name(&name), Some(replacing));
        }
        let container = "c1".parse().unwrap();
        for other in [engine_name(&container), kept_name(&container, &"on".parse().unwrap())] {
            assert_eq!(replaced_of_name(&other), None);
        }
    }
}

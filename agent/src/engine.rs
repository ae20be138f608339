//! The port to a container engine, and what passes through it.
//!
//! Two engines stand behind it: `docker`, and `sim`, an engine in memory for tests of whole fleets. Both pass
//! one contract test. Everything here is in the engine's own words; tenants are only labels to it.

pub mod docker;
pub mod sim;

use std::path::PathBuf;

use ecep_proto::api::{
    container::{ContainerDetail, ContainerView, LogLines},
    device::EngineFacts,
    error::{ApiError, ErrorKind},
    image::ImageView,
    name::{ContainerId, OperationId, TenantSlug},
    network::Subnet,
};
use futures_util::stream::BoxStream;

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
}

impl EngineContainer {
    /// What lists show.
    pub fn view(&self) -> &ContainerView {
        &self.detail.container
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
    /// Every container of the platform.
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
    /// The last lines of its output; `tty` as it was created.
    fn logs(
        &self,
        engine_id: &str,
        tty: bool,
        window: LogWindow,
    ) -> impl Future<Output = Result<LogLines, EngineError>> + Send;
    /// Bytes of a tenant's writable layers and volumes.
    fn disk_used(&self, tenant: &TenantSlug) -> impl Future<Output = Result<u64, EngineError>> + Send;
    /// All images.
    fn images(&self) -> impl Future<Output = Result<Vec<ImageView>, EngineError>> + Send;
    /// Whether it has this image.
    fn has_image(&self, reference: &str) -> impl Future<Output = Result<bool, EngineError>> + Send;
    /// Pulls an image; `progress` hears of it often.
    fn pull(
        &self,
        reference: &str,
        progress: impl FnMut(PullProgress) + Send,
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
}

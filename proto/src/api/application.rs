//! Applications: what a tenant has uploaded or named, in numbered versions, and how it gets to devices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{
    artifact::ArtifactDigest,
    container::{ContainerView, Limits, PortMapping, Privileges, RestartPolicy, VolumeMount},
    file::FileId,
    name::{ApplicationName, ContainerId, ContainerName, DeviceId, OperationId, TenantSlug},
    placement::{Candidate, Target},
};

/// Versions of one application at most: older ones that nothing runs can be deleted.
pub const MAX_VERSIONS: usize = 1_000;

/// Where a version's image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub enum Source {
    /// A registry.
    Image {
        /// An image reference; pulled where the device lacks it.
        image: String,
    },
    /// An uploaded image archive.
    ImageArchive {
        /// The artifact.
        artifact: ArtifactDigest,
    },
    /// An uploaded tree of files with a Dockerfile; the image is built on the device.
    SourceBundle {
        /// The artifact.
        artifact: ArtifactDigest,
        /// The Dockerfile's path in it; `Dockerfile` if left out.
        #[serde(default)]
        dockerfile: Option<String>,
    },
    /// An uploaded tree of files, laid over a base image.
    Files {
        /// The artifact.
        artifact: ArtifactDigest,
        /// The base image's reference.
        base: String,
        /// Where the files go; `/app` if left out. The application starts there.
        #[serde(default)]
        directory: Option<String>,
        /// A command of the shell that installs what the application depends on, run once in that folder before the application
        /// starts for the first time.
        #[serde(default)]
        install: Option<String>,
    },
}

impl Source {
    /// The artifact that it needs.
    pub fn artifact(&self) -> Option<&ArtifactDigest> {
        match self {
            Source::Image { .. } => None,
            Source::ImageArchive { artifact }
            | Source::SourceBundle { artifact, .. }
            | Source::Files { artifact, .. } => Some(artifact),
        }
    }
}

/// How a version's containers run, unless a deployment says otherwise. The fields are those of a container's creation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct Settings {
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
    /// Named volumes.
    pub volumes: Vec<VolumeMount>,
    /// Limits.
    pub limits: Limits,
    /// Restart policy; `no` for an application that runs once.
    pub restart: RestartPolicy,
    /// A terminal is attached.
    pub tty: bool,
    /// More rights, as far as the device's policy allows.
    pub privileges: Privileges,
    /// It runs once: when it has ended, its exit code, its output and what it wrote to `/results` are stored in the cloud, and then the
    /// container is deleted.
    pub run_once: bool,
    /// After an update, for how many seconds the new container must have run to count as healthy, where its image has no health check: 1 to
    /// 600; 10 if left out.
    pub healthy_after_seconds: Option<u32>,
}

/// Adds a version to an application, which is made where there is none of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct AddVersion {
    /// The application.
    pub application: ApplicationName,
    /// Where its image comes from.
    pub source: Source,
    /// How it runs.
    #[serde(default)]
    pub settings: Settings,
    /// A line for people about what is new, up to 500 characters.
    #[serde(default)]
    pub note: Option<String>,
}

/// A version. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct VersionView {
    /// Its number, from 1.
    pub number: u32,
    /// Where its image comes from.
    pub source: Source,
    /// How it runs; the values of its environment variables are left out, for they may be secrets.
    pub settings: Settings,
    /// A line for people about what is new.
    pub note: Option<String>,
    /// Bytes to bring to a device; none for an image of a registry.
    pub bytes: Option<u64>,
    /// For which architectures it is, where that is known.
    pub architectures: Vec<String>,
    /// When it was added, in milliseconds since 1970.
    pub added_at: u64,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ApplicationView {
    /// Its name.
    pub name: ApplicationName,
    /// Its versions, the newest first.
    pub versions: Vec<VersionView>,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
}

/// The tenant's applications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ApplicationList {
    /// By name.
    pub applications: Vec<ApplicationView>,
}

/// Which application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRef {
    /// Its name.
    pub application: ApplicationName,
}

/// Which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct VersionRef {
    /// The application.
    pub application: ApplicationName,
    /// The version's number.
    pub version: u32,
}

/// Deploys an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct DeployApplication {
    /// The application.
    pub application: ApplicationName,
    /// The version's number; the newest if left out.
    #[serde(default)]
    pub version: Option<u32>,
    /// Where to.
    pub target: Target,
    /// The container's name; the application's if left out. On several devices all have the same.
    #[serde(default)]
    pub name: Option<ContainerName>,
    /// Other settings than the version's, whole.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// The operation's id, if the caller chooses it; on several devices the ids are this one with `-1`, `-2`, … after it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// What became of a deployment on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Deployed {
    /// The device.
    pub device: DeviceId,
    /// The operation whose events tell how it goes on there.
    pub operation: OperationId,
    /// Why it could not begin there, a sentence; the others go on.
    pub error: Option<String>,
    /// The container's id, as soon as there is one.
    pub container_id: Option<ContainerId>,
}

/// A deployment has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Deployment {
    /// The version.
    pub version: u32,
    /// On which devices.
    pub devices: Vec<Deployed>,
    /// Every device that was looked at, the chosen ones first, and why it was chosen or not.
    pub candidates: Vec<Candidate>,
}

/// Looks where a deployment would go, and begins nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct PlaceApplication {
    /// The application.
    pub application: ApplicationName,
    /// The version's number; the newest if left out.
    #[serde(default)]
    pub version: Option<u32>,
    /// Where to.
    pub target: Target,
    /// Other settings than the version's, whole.
    #[serde(default)]
    pub settings: Option<Settings>,
}

/// Where a deployment would go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Placement {
    /// Every device that was looked at, the chosen ones first, and why it was chosen or not.
    pub candidates: Vec<Candidate>,
}

/// Replaces a container by one of another version, also an older one. The container keeps its id, its name, its address and its
/// volumes. The old one is kept until the new one is healthy, and goes on where that does not become so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct UpdateContainer {
    /// Its ECEP id.
    pub container: ContainerId,
    /// The version's number; the newest if left out.
    #[serde(default)]
    pub version: Option<u32>,
    /// Other settings than the version's, whole.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// The operation's id, if the caller chooses it.
    #[serde(default)]
    pub operation: Option<OperationId>,
}

/// A version that a device shall run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceVersion {
    /// The application.
    pub application: ApplicationName,
    /// The version's number.
    pub version: u32,
    /// Where its image comes from.
    pub source: Source,
    /// Bytes of the artifact, where it needs one.
    pub artifact_bytes: Option<u64>,
    /// For which architectures it is, as Docker names them, where that is known: the device looks before it fetches anything.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// How it runs.
    pub settings: Settings,
}

/// A device shall run an application. An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceDeploy {
    /// Whose.
    pub tenant: TenantSlug,
    /// What.
    pub version: DeviceVersion,
    /// The container's name.
    pub name: ContainerName,
    /// The operation.
    pub operation: OperationId,
}

/// A device shall replace a container by one of another version. An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceUpdate {
    /// Whose.
    pub tenant: TenantSlug,
    /// Which.
    pub container: ContainerId,
    /// What it shall be.
    pub version: DeviceVersion,
    /// The operation.
    pub operation: OperationId,
}

/// A container that ran once has ended; what it left is in the cloud. The device deletes it after the answer. The same again changes
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRun {
    /// Whose.
    pub tenant: TenantSlug,
    /// The container as it ended.
    pub container: ContainerView,
    /// The kernel killed it for lack of memory.
    pub oom_killed: bool,
    /// Its output, stored before.
    pub log: Option<FileId>,
    /// What it wrote to `/results`, stored before.
    pub results: Option<FileId>,
    /// What of it could not be stored and never can, such as results beyond what may be stored: a sentence.
    pub lost: Option<String>,
}

/// An application that ran once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RunView {
    /// The device it ran on.
    pub device: DeviceId,
    /// The container as it ended; it is deleted.
    pub container: ContainerView,
    /// The kernel killed it for lack of memory.
    pub oom_killed: bool,
    /// Its output, among the stored files.
    pub log: Option<FileId>,
    /// What it wrote to `/results`, among the stored files.
    pub results: Option<FileId>,
    /// What of it could not be stored: a sentence.
    pub lost: Option<String>,
    /// When that was told, in milliseconds since 1970 by the control plane's clock.
    pub ended_at: u64,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(optional_fields = nullable)]
pub struct RunQuery {
    /// Only those of this application.
    pub application: Option<ApplicationName>,
    /// Only those that ended before this time, in milliseconds since 1970: for the next page.
    pub before: Option<u64>,
}

/// Runs that have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RunList {
    /// The newest first, 100 at most.
    pub runs: Vec<RunView>,
}

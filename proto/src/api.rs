//! The catalogue: every procedure, topic, error URI and payload of the platform, each defined once.
//!
//! The router's permissions, the agent, the control plane, the TypeScript types and the reference in
//! `docs/` all come from here; no other file of the project holds a URI literal (a test checks it).
//! This half of the package knows nothing of WAMP messages and codecs, and does no I/O.
//!
//! Requests and events travel as WAMP keyword arguments: the fields of the request type are the keys.
//! A result travels as the one positional argument of RESULT.

pub mod alert;
pub mod application;
pub mod artifact;
pub mod audit;
pub mod auth;
pub mod checkpoint;
pub mod container;
pub mod device;
pub mod enrol;
pub mod error;
pub mod file;
pub mod fleet;
pub mod geo;
pub mod history;
pub mod http;
pub mod image;
pub mod kept;
pub mod label;
pub mod migration;
pub mod name;
pub mod network;
pub mod notice;
pub mod operation;
pub mod people;
pub mod placement;
pub mod realm;
pub mod reply;
pub mod roles;
pub mod schema;
pub mod share;
pub mod stats;
pub mod terminal;
pub mod typescript;

use serde::{Serialize, de::DeserializeOwned};

use name::DeviceId;
use roles::Role;

/// Stands for the device's id in the URI of whatever a device serves or publishes.
pub const DEVICE_PLACEHOLDER: &str = "{device}";

/// A remote procedure: its URI and the shapes of what goes in and comes out.
pub trait Procedure {
    /// The URI, with [`DEVICE_PLACEHOLDER`] where a device serves it.
    const URI: &'static str;
    /// The keyword arguments of the call.
    type Request: Serialize + DeserializeOwned + Send + 'static;
    /// The one positional argument of the result.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// The URI under which this device serves the procedure.
    fn on(device: &DeviceId) -> String {
        Self::URI.replace(DEVICE_PLACEHOLDER, device.as_str())
    }
}

/// A topic: its URI and the shape of its events.
pub trait Topic {
    /// The URI, with [`DEVICE_PLACEHOLDER`] where a device publishes it.
    const URI: &'static str;
    /// The keyword arguments of the event.
    type Event: Serialize + DeserializeOwned + Send + 'static;

    /// The URI under which this device's events are published.
    fn on(device: &DeviceId) -> String {
        Self::URI.replace(DEVICE_PLACEHOLDER, device.as_str())
    }

    /// The wildcard pattern that matches the topic of every device: the device's component left empty.
    fn of_all_devices() -> String {
        Self::URI.replace(DEVICE_PLACEHOLDER, "")
    }
}

/// In which kind of realm something of the catalogue lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// `ecep.control`: agents and the control plane.
    Control,
    /// Each `ecep.tenant.<slug>`.
    Tenant,
}

/// Who serves a procedure or publishes a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// A device's agent, under its own prefix.
    Device,
    /// The control plane.
    ControlPlane,
    /// The router itself.
    Router,
}

/// What the permissions, the documentation and the tests need to know of a procedure.
#[derive(Debug, Clone, Copy)]
pub struct ProcedureInfo {
    /// The type's name.
    pub name: &'static str,
    /// As [`Procedure::URI`].
    pub uri: &'static str,
    /// Its kind of realm.
    pub home: Home,
    /// Who registers it.
    pub server: Server,
    /// The roles that may call it.
    pub callers: &'static [Role],
    /// The doc comment.
    pub doc: &'static str,
    /// The name of the request type.
    pub request: &'static str,
    /// The name of the reply type.
    pub reply: &'static str,
}

/// What the permissions, the documentation and the tests need to know of a topic.
#[derive(Debug, Clone, Copy)]
pub struct TopicInfo {
    /// The type's name.
    pub name: &'static str,
    /// As [`Topic::URI`].
    pub uri: &'static str,
    /// Who publishes it.
    pub server: Server,
    /// The roles that may subscribe.
    pub subscribers: &'static [Role],
    /// The doc comment.
    pub doc: &'static str,
    /// The name of the event type.
    pub event: &'static str,
}

macro_rules! procedures {
    ($($(#[doc = $doc:literal])+ $name:ident = $home:ident $server:ident $uri:literal ($request:ty) -> $reply:ty, callers $callers:ident;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}
            impl Procedure for $name {
                const URI: &'static str = $uri;
                type Request = $request;
                type Reply = $reply;
            }
        )+
        /// Every procedure of the platform.
        pub const PROCEDURES: &[ProcedureInfo] = &[$(ProcedureInfo {
            name: stringify!($name),
            uri: $uri,
            home: Home::$home,
            server: Server::$server,
            callers: $callers,
            doc: concat!($($doc, "\n"),+),
            request: stringify!($request),
            reply: stringify!($reply),
        }),+];

        /// Has the types of all of them described.
        pub(crate) fn describe_procedures(generator: &mut schemars::SchemaGenerator) {
            $(
                generator.subschema_for::<$request>();
                generator.subschema_for::<$reply>();
            )+
        }
    };
}

macro_rules! topics {
    ($($(#[doc = $doc:literal])+ $name:ident = $server:ident $uri:literal ($event:ty), subscribers $subscribers:ident;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub enum $name {}
            impl Topic for $name {
                const URI: &'static str = $uri;
                type Event = $event;
            }
        )+
        /// Every topic of the platform. All live in tenant realms.
        pub const TOPICS: &[TopicInfo] = &[$(TopicInfo {
            name: stringify!($name),
            uri: $uri,
            server: Server::$server,
            subscribers: $subscribers,
            doc: concat!($($doc, "\n"),+),
            event: stringify!($event),
        }),+];

        /// Has the types of all of them described.
        pub(crate) fn describe_topics(generator: &mut schemars::SchemaGenerator) {
            $(generator.subschema_for::<$event>();)+
        }
    };
}

const READERS: &[Role] = &[Role::Owner, Role::Operator, Role::Viewer, Role::ControlPlane];
const WRITERS: &[Role] = &[Role::Owner, Role::Operator, Role::ControlPlane];
const WATCHERS: &[Role] = &[Role::Owner, Role::Operator, Role::Viewer, Role::Telemetry, Role::ControlPlane];
const OWNERS: &[Role] = &[Role::Owner, Role::ControlPlane];
const DEVICES: &[Role] = &[Role::Device];
const CONTROL_PLANE: &[Role] = &[Role::ControlPlane];
/// Only the router itself calls it.
const ROUTER: &[Role] = &[];

procedures! {
    /// Facts about the device, its engine and what the caller's tenant may use there.
    DeviceInfo = Tenant Device "ecep.device.{device}.info" (reply::Nothing) -> device::DeviceFacts, callers READERS;
    /// The tenant's containers on this device, running or not.
    ContainerList = Tenant Device "ecep.device.{device}.container.list" (reply::Nothing) -> container::ContainerList, callers READERS;
    /// Creates a container, and pulls its image first where the device lacks it. An order: see `operation`.
    ContainerCreate = Tenant Device "ecep.device.{device}.container.create" (container::CreateContainer) -> operation::OperationReply, callers WRITERS;
    /// Starts a container. No change if it runs already. An order.
    ContainerStart = Tenant Device "ecep.device.{device}.container.start" (container::ContainerOrder) -> operation::OperationReply, callers WRITERS;
    /// Stops a container: SIGTERM, then SIGKILL after `grace_seconds`. No change if it is stopped already. An order.
    ContainerStop = Tenant Device "ecep.device.{device}.container.stop" (container::StopContainer) -> operation::OperationReply, callers WRITERS;
    /// Stops and starts a container. An order.
    ContainerRestart = Tenant Device "ecep.device.{device}.container.restart" (container::StopContainer) -> operation::OperationReply, callers WRITERS;
    /// Deletes a container with its writable layer. A running one only with `force`. An order.
    ContainerDelete = Tenant Device "ecep.device.{device}.container.delete" (container::DeleteContainer) -> operation::OperationReply, callers WRITERS;
    /// One container in full: configuration, state, exit code, ports. Values of environment variables are left out.
    ContainerInspect = Tenant Device "ecep.device.{device}.container.inspect" (container::ContainerRef) -> container::ContainerDetail, callers READERS;
    /// The last lines of a container's output.
    ContainerLogs = Tenant Device "ecep.device.{device}.container.logs" (container::LogQuery) -> container::LogLines, callers READERS;
    /// Saves a running container with its memory, processes, files and volumes. An order.
    ContainerCheckpoint = Tenant Device "ecep.device.{device}.container.checkpoint" (checkpoint::CheckpointContainer) -> operation::OperationReply, callers WRITERS;
    /// Brings a stopped container back as it was saved, or makes another one of the same image go on from there. An order.
    ContainerRestore = Tenant Device "ecep.device.{device}.container.restore" (checkpoint::RestoreContainer) -> operation::OperationReply, callers WRITERS;
    /// The tenant's checkpoints on this device.
    CheckpointListing = Tenant Device "ecep.device.{device}.container.checkpoint.list" (checkpoint::CheckpointQuery) -> checkpoint::CheckpointList, callers READERS;
    /// Deletes a checkpoint.
    CheckpointDelete = Tenant Device "ecep.device.{device}.container.checkpoint.delete" (checkpoint::DeleteCheckpoint) -> reply::Nothing, callers WRITERS;
    /// The stopped copies on this device that moves have left because that was asked for.
    KeptListing = Tenant Device "ecep.device.{device}.container.kept.list" (kept::KeptQuery) -> kept::KeptList, callers READERS;
    /// Deletes such a copy, with its volumes that no other container uses.
    KeptDelete = Tenant Device "ecep.device.{device}.container.kept.delete" (kept::DeleteKept) -> reply::Nothing, callers WRITERS;
    /// Brings a container's whole output to the cloud, to be downloaded from there. An order; the stored file has its id.
    LogFetch = Tenant Device "ecep.device.{device}.container.logs.fetch" (file::FetchLog) -> operation::OperationReply, callers READERS;
    /// What is in a folder of a container. A viewer may not look: files can hold secrets.
    FileListing = Tenant Device "ecep.device.{device}.file.list" (file::ListFiles) -> file::EntryList, callers WRITERS;
    /// Brings a file or folder of a container to the cloud, to be downloaded from there. An order; the stored file has its id.
    FileFetch = Tenant Device "ecep.device.{device}.file.fetch" (file::FetchFile) -> operation::OperationReply, callers WRITERS;
    /// Opens a terminal in a running container, as far as the device's policy allows.
    TerminalOpen = Tenant Device "ecep.device.{device}.terminal.open" (terminal::OpenTerminal) -> terminal::OpenedTerminal, callers WRITERS;
    /// The images on the device's engine.
    ImageList = Tenant Device "ecep.device.{device}.image.list" (reply::Nothing) -> image::ImageList, callers READERS;
    /// Pulls an image; progress is told on the operation topic. An order.
    ImagePull = Tenant Device "ecep.device.{device}.image.pull" (image::PullImage) -> operation::OperationReply, callers WRITERS;
    /// Deletes an image that no container uses. An order.
    ImageDelete = Tenant Device "ecep.device.{device}.image.delete" (image::DeleteImage) -> operation::OperationReply, callers WRITERS;
    /// The devices of the tenant, with their status and its reasons.
    DeviceList = Tenant ControlPlane "ecep.device.list" (reply::Nothing) -> device::DeviceList, callers READERS;
    /// Places by the beginning of their name, the largest first; or the place nearest to a point.
    GeoSearch = Tenant ControlPlane "ecep.geo.search" (geo::GeoQuery) -> geo::GeoPlaces, callers READERS;
    /// All containers of the tenant on all its devices, as last reported by the agents.
    FleetContainerList = Tenant ControlPlane "ecep.container.list" (reply::Nothing) -> fleet::FleetContainers, callers READERS;
    /// Moves a container to another device with its state; answers once it has begun, and `ecep.migration` tells the rest.
    ContainerMigrate = Tenant ControlPlane "ecep.container.migrate" (migration::MigrateContainer) -> migration::MigrationView, callers WRITERS;
    /// Whether a container could be moved there: live, cold and why, or not at all and how to mend it. Touches nothing.
    ContainerPreflight = Tenant ControlPlane "ecep.container.preflight" (migration::PreflightMigration) -> migration::Preflight, callers READERS;
    /// Copies a checkpoint to another device; the destination's `operation` events tell how it goes on.
    CheckpointCopy = Tenant ControlPlane "ecep.container.checkpoint.copy" (checkpoint::CopyCheckpoint) -> operation::OperationReply, callers WRITERS;
    /// Gives a move up; possible until the container is frozen.
    MigrationCancel = Tenant ControlPlane "ecep.migration.cancel" (migration::MigrationRef) -> migration::MigrationView, callers WRITERS;
    /// Moves of the tenant's containers, under way and ended.
    MigrationHistory = Tenant ControlPlane "ecep.migration.list" (migration::MigrationQuery) -> migration::MigrationList, callers READERS;
    /// The tenant's artifacts, and how much room they take.
    ArtifactListing = Tenant ControlPlane "ecep.artifact.list" (reply::Nothing) -> artifact::ArtifactList, callers READERS;
    /// Deletes an artifact that no version needs.
    ArtifactDelete = Tenant ControlPlane "ecep.artifact.delete" (artifact::ArtifactRef) -> reply::Nothing, callers WRITERS;
    /// The tenant's applications with their versions.
    ApplicationListing = Tenant ControlPlane "ecep.app.list" (reply::Nothing) -> application::ApplicationList, callers READERS;
    /// Adds a version to an application, which is made where there is none of that name.
    VersionAdd = Tenant ControlPlane "ecep.app.version.add" (application::AddVersion) -> application::VersionView, callers WRITERS;
    /// Deletes a version. Containers of it go on; they cannot be deployed anew.
    VersionDelete = Tenant ControlPlane "ecep.app.version.delete" (application::VersionRef) -> reply::Nothing, callers WRITERS;
    /// Deletes an application with all its versions. Containers of it go on.
    ApplicationDelete = Tenant ControlPlane "ecep.app.delete" (application::ApplicationRef) -> reply::Nothing, callers WRITERS;
    /// Where a deployment would go, and why. Touches nothing.
    ApplicationPlace = Tenant ControlPlane "ecep.app.place" (application::PlaceApplication) -> application::Placement, callers READERS;
    /// Deploys an application to devices, to a place, or wherever there is room; the devices' `operation` events tell how it goes on.
    ApplicationDeploy = Tenant ControlPlane "ecep.app.deploy" (application::DeployApplication) -> application::Deployment, callers WRITERS;
    /// Replaces a container by one of another version, and brings the old one back where the new one does not become healthy.
    ContainerUpdate = Tenant ControlPlane "ecep.app.update" (application::UpdateContainer) -> operation::OperationReply, callers WRITERS;
    /// Applications that ran once, and what they left.
    RunListing = Tenant ControlPlane "ecep.app.run.list" (application::RunQuery) -> application::RunList, callers READERS;
    /// How much CPU, memory and disk a device or a container has used over time.
    StatsHistoryQuery = Tenant ControlPlane "ecep.stats.query" (history::StatsQuery) -> history::StatsHistory, callers READERS;
    /// What is or was wrong, the newest first.
    AlertListing = Tenant ControlPlane "ecep.alert.list" (alert::AlertQuery) -> alert::AlertList, callers READERS;
    /// Says that a person has seen an alert. It stays active until it is over.
    AlertAcknowledge = Tenant ControlPlane "ecep.alert.acknowledge" (alert::AlertRef) -> alert::AlertView, callers WRITERS;
    /// Who has done what in the tenant, by pages.
    AuditList = Tenant ControlPlane "ecep.audit.list" (audit::AuditQuery) -> audit::AuditPage, callers OWNERS;
    /// What a container needs, and what at its device stands in the way of moving it.
    MigrationSurvey = Control Device "ecep.device.{device}.migration.survey" (migration::SurveyRequest) -> migration::Survey, callers CONTROL_PLANE;
    /// What at a destination stands in the way.
    MigrationCheck = Control Device "ecep.device.{device}.migration.check" (migration::Needs) -> migration::Checks, callers CONTROL_PLANE;
    /// A container will be brought to this device.
    MigrationExpect = Control Device "ecep.device.{device}.migration.expect" (migration::ExpectMigration) -> reply::Nothing, callers CONTROL_PLANE;
    /// This device shall bring a container to another one.
    MigrationStart = Control Device "ecep.device.{device}.migration.start" (migration::StartMigration) -> reply::Nothing, callers CONTROL_PLANE;
    /// This device shall give a move up, if it is not too late.
    MigrationStop = Control Device "ecep.device.{device}.migration.stop" (migration::CancelMigration) -> reply::Nothing, callers CONTROL_PLANE;
    /// A checkpoint will be brought to this device.
    CheckpointExpect = Control Device "ecep.device.{device}.checkpoint.expect" (checkpoint::ExpectCheckpoint) -> operation::OperationReply, callers CONTROL_PLANE;
    /// This device shall bring a checkpoint to another one.
    CheckpointSend = Control Device "ecep.device.{device}.checkpoint.send" (checkpoint::SendCheckpoint) -> reply::Nothing, callers CONTROL_PLANE;
    /// The owner of a shared device has ordered that a tenant whose share ends is to have nothing there any more.
    ShareEvict = Control Device "ecep.device.{device}.share.evict" (share::EvictTenant) -> reply::Nothing, callers CONTROL_PLANE;
    /// This device shall run an application.
    DeviceDeployment = Control Device "ecep.device.{device}.app.deploy" (application::DeviceDeploy) -> operation::OperationReply, callers CONTROL_PLANE;
    /// This device shall replace a container by one of another version.
    DeviceReplacement = Control Device "ecep.device.{device}.app.update" (application::DeviceUpdate) -> operation::OperationReply, callers CONTROL_PLANE;
    /// A device tells how a container that ran once has ended, once its output and its results are stored.
    RunEnd = Control ControlPlane "ecep.app.run.end" (application::EndRun) -> reply::Nothing, callers DEVICES;
    /// A device takes a container over, gives a move up, or asks how its copy stands.
    MigrationDecide = Control ControlPlane "ecep.migration.decide" (migration::DecideRequest) -> migration::DecideReply, callers DEVICES;
    /// A device tells how a move goes on.
    MigrationTell = Control ControlPlane "ecep.migration.tell" (migration::MigrationReport) -> reply::Nothing, callers DEVICES;
    /// A device asks for an address for a container that it is about to create. The same container again has the same address.
    AddressAssign = Control ControlPlane "ecep.address.assign" (network::AssignAddress) -> network::AssignedAddress, callers DEVICES;
    /// The container was not created after all, or was deleted.
    AddressRelease = Control ControlPlane "ecep.address.release" (network::ReleaseAddress) -> reply::Nothing, callers DEVICES;
    /// An agent that has joined the control realm says who it is, and is told which tenant realms to join.
    FleetHello = Control ControlPlane "ecep.fleet.hello" (fleet::Hello) -> fleet::Grants, callers DEVICES;
    /// An agent's heartbeat: its status and its containers.
    FleetReport = Control ControlPlane "ecep.fleet.report" (fleet::Report) -> fleet::ReportReply, callers DEVICES;
    /// A device tells who has called what there. The same calls again are written down once.
    AuditReport = Control ControlPlane "ecep.audit.report" (audit::AuditReport) -> audit::AuditReceipt, callers DEVICES;
    /// The router asks whether a client may join a realm, and in which role.
    Authenticate = Control ControlPlane "ecep.auth.authenticate" (auth::AuthenticateRequest) -> auth::AuthenticateReply, callers ROUTER;
    /// The control plane has all sessions of an authid ended, whose access has ended.
    EndSessions = Control Router "ecep.router.end_sessions" (auth::EndSessionsRequest) -> auth::EndSessionsReply, callers CONTROL_PLANE;
}

/// Procedures of tenant realms that only look, and yet are not for viewers.
pub(crate) const OWNERS_READS: &[&str] = &[AuditList::URI];

topics! {
    /// One event for each tick: the device and all its containers of the tenant.
    DeviceStats = Device "ecep.device.{device}.stats" (stats::StatsEvent), subscribers WATCHERS;
    /// A container was created, started, stopped, has died, was deleted.
    ContainerEvents = Device "ecep.device.{device}.container" (container::ContainerEvent), subscribers WATCHERS;
    /// Progress and end of an operation.
    OperationEvents = Device "ecep.device.{device}.operation" (operation::OperationEvent), subscribers WATCHERS;
    /// The control plane's judgement of a device has changed: connected, degraded, stale, offline.
    DeviceStatusEvents = ControlPlane "ecep.device.{device}.status" (device::DeviceView), subscribers WATCHERS;
    /// A move has begun, goes on, or has ended.
    MigrationEvents = ControlPlane "ecep.migration" (migration::MigrationView), subscribers WATCHERS;
    /// Something a person should know.
    Notices = ControlPlane "ecep.notice" (notice::Notice), subscribers WATCHERS;
}

/// A meta procedure of every WAMP router; our clients call it to see whether the router still answers
/// (an ERROR is an answer too).
pub const LIVENESS_PROBE: &str = "wamp.session.count";

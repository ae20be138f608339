//! The catalogue as TypeScript: `web/src/api/generated.ts` is this text (a test checks that it is fresh).

use ts_rs::{Config, TS};

use super::{
    PROCEDURES, Server, TOPICS, alert, application, artifact, audit, checkpoint, container, device, error,
    file, fleet, geo, history, http, http::http_types, image, kept, migration, name, notice, operation,
    people, placement, roles, share, stats, terminal,
};

/// The whole file.
pub fn generate() -> String {
    let config = Config::new().with_large_int("number");
    let mut out = String::from(
        "// Generated from the catalogue in proto/src/api. Don't edit: `cargo xtask generate` writes it anew.\n\n",
    );
    macro_rules! types {
        ($($ty:ty),+ $(,)?) => { $(
            out.push_str("export ");
            out.push_str(&<$ty as TS>::decl(&config));
            out.push('\n');
        )+ };
    }
    types!(
        name::DeviceId,
        name::ContainerId,
        name::TenantSlug,
        name::ContainerName,
        name::ApplicationName,
        name::OperationId,
        name::CheckpointName,
        roles::Role,
        error::ErrorKind,
        error::ApiError,
        operation::OperationState,
        operation::OperationReply,
        operation::OperationEvent,
        container::ContainerRef,
        container::ContainerOrder,
        container::StopContainer,
        container::DeleteContainer,
        container::PortMapping,
        container::Protocol,
        container::VolumeMount,
        container::Limits,
        container::RestartPolicy,
        container::Privileges,
        container::CreateContainer,
        container::ContainerState,
        container::ContainerView,
        container::ContainerList,
        container::ContainerDetail,
        container::LogQuery,
        container::LogLines,
        container::LogLine,
        container::LogStream,
        container::ContainerChange,
        container::ContainerEvent,
        checkpoint::CheckpointContainer,
        checkpoint::RestoreContainer,
        checkpoint::DeleteCheckpoint,
        checkpoint::CopyCheckpoint,
        checkpoint::CheckpointQuery,
        checkpoint::CheckpointView,
        checkpoint::CheckpointList,
        kept::KeptQuery,
        kept::KeptView,
        kept::KeptList,
        kept::DeleteKept,
        artifact::ArtifactDigest,
        artifact::ArtifactKind,
        artifact::ArtifactView,
        artifact::ArtifactList,
        artifact::ArtifactRef,
        placement::Target,
        placement::Candidate,
        application::Source,
        application::Settings,
        application::AddVersion,
        application::VersionView,
        application::ApplicationView,
        application::ApplicationList,
        application::ApplicationRef,
        application::VersionRef,
        application::DeployApplication,
        application::Deployed,
        application::Deployment,
        application::PlaceApplication,
        application::Placement,
        application::UpdateContainer,
        application::RunView,
        application::RunQuery,
        application::RunList,
        file::ListFiles,
        file::EntryKind,
        file::EntryView,
        file::EntryList,
        file::FetchFile,
        file::FetchLog,
        file::StoredKind,
        file::StoredFile,
        file::LogWish,
        file::LogEnd,
        file::LogEnding,
        terminal::OpenTerminal,
        terminal::TerminalSize,
        terminal::OpenedTerminal,
        terminal::TerminalEnd,
        image::PullImage,
        image::DeleteImage,
        image::ImageView,
        image::ImageList,
        stats::StatsEvent,
        stats::HostStats,
        stats::ContainerStats,
        stats::Rates,
        device::DeviceFacts,
        device::EngineFacts,
        device::Liveness,
        device::DeviceView,
        device::DeviceList,
        device::MigrationFacts,
        device::KeyState,
        device::DeviceKeyView,
        device::OwnedDevice,
        device::ChangeDevice,
        geo::Location,
        geo::GeoQuery,
        geo::GeoPlace,
        geo::GeoPlaces,
        share::Quota,
        share::Allowance,
        share::Terms,
        share::GrantedTerms,
        share::ShareState,
        share::NewShare,
        share::ChangeShare,
        share::EndShare,
        share::EndedShare,
        share::ShareView,
        share::OfferView,
        share::DeviceShare,
        migration::MigrationMode,
        migration::OverDowntime,
        migration::MigrationOptions,
        migration::MigrateContainer,
        migration::PreflightMigration,
        migration::Verdict,
        migration::MigrationEnd,
        migration::Check,
        migration::MigrationEstimate,
        migration::Preflight,
        migration::MigrationState,
        migration::MigrationPhase,
        migration::PhaseTook,
        migration::RoundTook,
        migration::MigrationView,
        migration::MigrationRef,
        migration::MigrationQuery,
        migration::MigrationList,
        notice::NoticeLevel,
        notice::Notice,
        audit::ActorKind,
        audit::Actor,
        audit::ViaKind,
        audit::Via,
        audit::Outcome,
        audit::AuditEntry,
        audit::AuditQuery,
        audit::AuditPage,
        history::Span,
        history::StatsQuery,
        history::StatsHistory,
        history::HistoryPoint,
        alert::AlertKind,
        alert::AlertView,
        alert::AlertFilter,
        alert::AlertQuery,
        alert::AlertList,
        alert::AlertRef,
        fleet::PlacedContainer,
        fleet::FleetContainers,
    );
    http_types!(types);
    types!(super::reply::Nothing);
    out.push_str(&format!("\nexport const CSRF_HEADER = {:?};\n", http::CSRF_HEADER));
    out.push_str("\n/** Procedures of tenant realms. `{device}` stands for the device's id. */\nexport interface Procedures {\n");
    let tenant = PROCEDURES.iter().filter(|procedure| procedure.home == super::Home::Tenant);
    for procedure in tenant.clone() {
        out.push_str(&format!(
            "  {}: {{ request: {}; reply: {} }};\n",
            procedure.name,
            type_name(procedure.request),
            type_name(procedure.reply)
        ));
    }
    out.push_str("}\nexport const PROCEDURES: { [name in keyof Procedures]: string } = {\n");
    for procedure in tenant {
        out.push_str(&format!("  {}: {:?},\n", procedure.name, procedure.uri));
    }
    out.push_str("};\n\n/** Topics of tenant realms. `{device}` stands for the device's id. */\nexport interface Topics {\n");
    for topic in TOPICS {
        out.push_str(&format!("  {}: {};\n", topic.name, type_name(topic.event)));
    }
    out.push_str("}\nexport const TOPICS: { [name in keyof Topics]: string } = {\n");
    for topic in TOPICS {
        out.push_str(&format!("  {}: {:?},\n", topic.name, topic.uri));
    }
    out.push_str(
        "};\n\n/** The topics that devices publish; watch all with the device's component left empty. */\n",
    );
    let of_devices: Vec<String> = TOPICS
        .iter()
        .filter(|topic| topic.server == Server::Device)
        .map(|topic| format!("{:?}", topic.name))
        .collect();
    out.push_str(&format!("export const DEVICE_TOPICS = [{}] as const;\n", of_devices.join(", ")));
    out.push_str("\n/** The kinds of error by name. */\nexport const ERRORS = {\n");
    for kind in error::ErrorKind::ALL {
        out.push_str(&format!("  {kind:?}: {:?},\n", kind.uri()));
    }
    out.push_str("} as const satisfies Record<string, ErrorKind>;\n");
    out
}

fn type_name(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path).trim()
}

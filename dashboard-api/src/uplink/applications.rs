//! Applications, their versions, artifacts and runs, as tenants ask for them and devices tell of them.

use ecep_proto::api::{
    application::{
        AddVersion, ApplicationList, ApplicationRef, EndRun, RunList, RunQuery, RunView, Source, VersionRef,
        VersionView,
    },
    error::{ApiError, ErrorKind},
    name::{ApplicationName, TenantSlug},
    reply::{Caller, Nothing},
};

use super::{Uplink, procedures::device_of};
use crate::{
    applications::{check_note, check_settings, check_source},
    artifacts::no_artifact,
    clock::unix_ms,
    naming::invalid,
    store::{StoredRun, Version},
};

/// Runs of one answer at most.
const MAX_LISTED_RUNS: usize = 100;
/// Bytes that a run may have as JSON, as one container in a report.
const MAX_RUN_BYTES: usize = 16 * 1024;
/// Characters of what was lost of a run; what is longer is cut.
const MAX_LOST: usize = 500;

impl Uplink {
    /// The tenant's applications.
    pub(super) fn applications(&self, tenant: &TenantSlug) -> Result<ApplicationList, ApiError> {
        Ok(ApplicationList { applications: self.control.store.applications(tenant)? })
    }

    /// Adds a version.
    ///
    /// # Errors
    /// `InvalidArgument` for what no device takes, `NotFound` for an artifact that is not there, `Conflict`, `Limit`.
    pub(super) async fn add_version(
        &self,
        tenant: &TenantSlug,
        caller: &Caller,
        request: AddVersion,
    ) -> Result<VersionView, ApiError> {
        let AddVersion { application, source, settings, note } = request;
        let store = &self.control.store;
        let artifact = match source.artifact() {
            Some(digest) => Some(store.artifact(tenant, digest)?.ok_or_else(|| no_artifact(digest))?),
            None => None,
        };
        check_source(&source, artifact.as_ref())?;
        check_settings(&settings)?;
        if let Source::SourceBundle { artifact, dockerfile } = &source {
            let path = dockerfile.as_deref().unwrap_or(ecep_archive::DOCKERFILE);
            self.control.artifacts.check_dockerfile(artifact, path).await?;
        }
        let version = Version {
            tenant: tenant.clone(),
            application,
            number: 0,
            source,
            settings,
            note: check_note(note)?,
            bytes: artifact.as_ref().map(|artifact| artifact.bytes),
            unpacked_bytes: artifact.as_ref().map(|artifact| artifact.unpacked_bytes),
            architectures: artifact.map(|artifact| artifact.architectures).unwrap_or_default(),
            added_at: unix_ms(),
        };
        let added = store.add_version(version).await?;
        tracing::info!(
            %tenant, application = %added.application, version = added.number, caller = %caller.authid,
            "version added"
        );
        Ok(added.view())
    }

    /// Deletes a version.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) async fn delete_version(
        &self,
        tenant: &TenantSlug,
        request: VersionRef,
    ) -> Result<Nothing, ApiError> {
        let VersionRef { application, version } = request;
        if !self.control.store.remove_version(tenant, &application, version).await? {
            return Err(no_version(&application, Some(version)));
        }
        Ok(Nothing {})
    }

    /// Deletes an application.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) async fn delete_application(
        &self,
        tenant: &TenantSlug,
        request: ApplicationRef,
    ) -> Result<Nothing, ApiError> {
        if !self.control.store.remove_application(tenant, &request.application).await? {
            return Err(no_version(&request.application, None));
        }
        Ok(Nothing {})
    }

    /// The version of this number, or the newest.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn version(
        &self,
        tenant: &TenantSlug,
        application: &ApplicationName,
        number: Option<u32>,
    ) -> Result<Version, ApiError> {
        let version = self.control.store.version(tenant, application, number)?;
        version.ok_or_else(|| no_version(application, number))
    }

    /// Runs that have ended.
    pub(super) fn runs(&self, tenant: &TenantSlug, query: &RunQuery) -> Result<RunList, ApiError> {
        let of_application =
            |run: &RunView| query.application.as_ref().is_none_or(|name| run.container.application == *name);
        let is_before = |run: &RunView| query.before.is_none_or(|before| run.ended_at < before);
        let runs = self.control.store.runs(tenant)?.into_iter();
        let wanted = runs.filter(|run| of_application(run) && is_before(run));
        Ok(RunList { runs: wanted.take(MAX_LISTED_RUNS).collect() })
    }

    /// A device tells how a container that ran once has ended. It is on disk before the answer, after which the device deletes the
    /// container.
    ///
    /// # Errors
    /// `Forbidden` for a container that is not the device's, `InvalidArgument` for one that tells too much.
    pub(super) async fn end_run(&self, caller: &Caller, request: EndRun) -> Result<Nothing, ApiError> {
        let device = device_of(caller)?;
        let EndRun { tenant, container, oom_killed, log, results, lost } = request;
        let not_its_own = || {
            ApiError::new(
                ErrorKind::Forbidden,
                format!("Container {} of tenant {tenant} is not this device's to tell of.", container.id),
            )
        };
        let is_shared = self.control.view().tenants_of(&device).is_some_and(|all| all.contains(&tenant));
        let is_held = match self.control.authority.placement(&container.id) {
            Some(known) => known.tenant == tenant && known.holding.holder == device,
            // It has no address, or was let go after an earlier answer that was lost.
            None => !self.control.view().is_elsewhere(&device, &container.id),
        };
        if !is_shared || !is_held {
            return Err(not_its_own());
        }
        let id = container.id.clone();
        let lost = lost.map(|lost| lost.chars().filter(|one| !one.is_control()).take(MAX_LOST).collect());
        let view = RunView {
            device: device.clone(),
            container,
            oom_killed,
            log,
            results,
            lost,
            ended_at: unix_ms(),
        };
        if serde_json::to_vec(&view).map_or(usize::MAX, |json| json.len()) > MAX_RUN_BYTES {
            return Err(invalid(format!("A run may have {MAX_RUN_BYTES} bytes at most.")));
        }
        let kept = self.control.store.add_run(StoredRun { tenant: tenant.clone(), view }).await?;
        if kept.view.device != device {
            return Err(ApiError::new(
                ErrorKind::Forbidden,
                format!("Container {id} has ended on another device."),
            ));
        }
        tracing::info!(%device, %tenant, container = %id, exit_code = kept.view.container.exit_code, "run has ended");
        Ok(Nothing {})
    }
}

fn no_version(application: &ApplicationName, number: Option<u32>) -> ApiError {
    let which = number.map_or_else(String::new, |number| format!("version {number} of "));
    ApiError::new(
        ErrorKind::NotFound,
        format!("There is no {which}application {application}. List the applications for their versions."),
    )
}

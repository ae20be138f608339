//! Applications with their versions, and what was decided about deployments. A version never changes; numbers are not given twice.
//!
//! The values of environment variables are here as they were sent, for devices need them; they are told to devices alone.

use std::collections::{BTreeMap, BTreeSet};

use ecep_proto::api::{
    application::{ApplicationView, MAX_VERSIONS, Settings, Source, VersionView},
    artifact::ArtifactDigest,
    name::{ApplicationName, ContainerName, DeviceId, OperationId, TenantSlug},
    placement::{Candidate, Target},
};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, artifacts::prefix, tree::Transactional};

/// Applications of a tenant.
const MAX_APPLICATIONS: usize = 500;
/// Bytes of a tenant's versions as they are listed, all in one message; a router takes 4 MiB.
const MAX_LISTED_BYTES: usize = 2 << 20;
/// Deployments of a tenant that are remembered, so that an order that comes again chooses the same devices. Policy: the oldest is
/// forgotten.
const MAX_DEPLOYMENTS: usize = 100;

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Whose.
    pub tenant: TenantSlug,
    /// Its name.
    pub name: ApplicationName,
    /// When it was made, in milliseconds since 1970.
    pub created_at: u64,
    /// The number of the newest version that there ever was.
    pub last_version: u32,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Whose.
    pub tenant: TenantSlug,
    /// Of which application.
    pub application: ApplicationName,
    /// Its number.
    pub number: u32,
    /// Where its image comes from.
    pub source: Source,
    /// How it runs.
    pub settings: Settings,
    /// A line for people.
    pub note: Option<String>,
    /// Bytes of the artifact.
    pub bytes: Option<u64>,
    /// Bytes of all that is in it.
    pub unpacked_bytes: Option<u64>,
    /// For which architectures it is.
    pub architectures: Vec<String>,
    /// When it was added, in milliseconds since 1970.
    pub added_at: u64,
}

impl Version {
    /// As it is shown: without the values of environment variables.
    pub fn view(&self) -> VersionView {
        let mut settings = self.settings.clone();
        settings.env.values_mut().for_each(String::clear);
        VersionView {
            number: self.number,
            source: self.source.clone(),
            settings,
            note: self.note.clone(),
            bytes: self.bytes,
            architectures: self.architectures.clone(),
            added_at: self.added_at,
        }
    }
}

/// What was decided about a deployment, on disk before any device hears of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDeployment {
    /// Whose.
    pub tenant: TenantSlug,
    /// By which operation.
    pub operation: OperationId,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What was asked for.
    pub application: ApplicationName,
    /// Which version was meant.
    pub version: u32,
    /// What the containers are called.
    pub name: ContainerName,
    /// Where to.
    pub target: Target,
    /// On which devices.
    pub devices: Vec<DeviceId>,
    /// Why.
    pub candidates: Vec<Candidate>,
}

impl Store {
    /// Adds a version; the row has its number then. The application is made where there is none.
    ///
    /// # Errors
    /// `Conflict` where the artifact or the tenant is gone, `Limit` where there are too many; else see [`StoreError`].
    pub async fn add_version(&self, version: Version) -> Result<Version, StoreError> {
        let added = {
            let _alone = self.alone();
            self.add_version_alone(version)?
        };
        self.flush().await?;
        Ok(added)
    }

    fn add_version_alone(&self, mut version: Version) -> Result<Version, StoreError> {
        let (tenant, name) = (version.tenant.clone(), version.application.clone());
        self.check_tenant(&tenant)?;
        if let Some(digest) = version.source.artifact()
            && self.artifact(&tenant, digest)?.is_none()
        {
            return Err(StoreError::Conflict(format!("The artifact {digest} was deleted. Upload it again.")));
        }
        let others = self.versions.rows_under(&prefix(&tenant))?;
        let of_application = others.iter().filter(|(_, other)| other.application == name).count();
        if of_application >= MAX_VERSIONS {
            return Err(StoreError::Limit(format!(
                "The application {name} has {MAX_VERSIONS} versions, and no more are kept. Delete old ones."
            )));
        }
        let listed: usize = others.iter().map(|(_, other)| size_of(&other.view())).sum();
        if listed + size_of(&version.view()) > MAX_LISTED_BYTES {
            return Err(StoreError::Limit(
                "The versions of this tenant's applications are too many for one list. Delete old ones."
                    .to_owned(),
            ));
        }
        let key = application_key(&tenant, &name);
        let known = self.applications.get(&key)?;
        if known.is_none() && self.applications.count_under(&prefix(&tenant)) >= MAX_APPLICATIONS {
            return Err(StoreError::Limit(format!(
                "This tenant has {MAX_APPLICATIONS} applications, and no more are kept. Delete some."
            )));
        }
        let mut application = known.unwrap_or_else(|| Application {
            tenant: tenant.clone(),
            name: name.clone(),
            created_at: version.added_at,
            last_version: 0,
        });
        application.last_version = application.last_version.saturating_add(1);
        version.number = application.last_version;
        let of_version = version_key(&tenant, &name, version.number);
        (&self.applications.tree, &self.versions.tree).transaction(|(applications, versions)| {
            self.applications.within(applications).put(&key, &application)?;
            self.versions.within(versions).add(&of_version, &version, || {
                format!("There is a version {} of {name} already.", version.number)
            })?;
            Ok(())
        })?;
        Ok(version)
    }

    /// The tenant's applications by name, their versions the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn applications(&self, tenant: &TenantSlug) -> Result<Vec<ApplicationView>, StoreError> {
        let mut applications = Vec::new();
        for (_, application) in self.applications.rows_under(&prefix(tenant))? {
            let versions = self.versions_of(tenant, &application.name)?;
            applications.push(ApplicationView {
                name: application.name,
                versions: versions.iter().rev().map(Version::view).collect(),
                created_at: application.created_at,
            });
        }
        Ok(applications)
    }

    /// A version; the newest that there is where no number is given.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn version(
        &self,
        tenant: &TenantSlug,
        application: &ApplicationName,
        number: Option<u32>,
    ) -> Result<Option<Version>, StoreError> {
        match number {
            Some(number) => self.versions.get(&version_key(tenant, application, number)),
            None => Ok(self.versions_of(tenant, application)?.pop()),
        }
    }

    /// Deletes a version; whether there was one. The application stays, so that its number is not given again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_version(
        &self,
        tenant: &TenantSlug,
        application: &ApplicationName,
        number: u32,
    ) -> Result<bool, StoreError> {
        let was_there = {
            let _alone = self.alone();
            self.versions.remove(&version_key(tenant, application, number))?
        };
        self.flush().await?;
        Ok(was_there)
    }

    /// Deletes an application with its versions; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_application(
        &self,
        tenant: &TenantSlug,
        name: &ApplicationName,
    ) -> Result<bool, StoreError> {
        let was_there = {
            let _alone = self.alone();
            let versions = self.versions.rows_under(&versions_prefix(tenant, name))?;
            (&self.applications.tree, &self.versions.tree).transaction(|(applications, rows)| {
                for (key, _) in &versions {
                    self.versions.within(rows).remove(key)?;
                }
                self.applications.within(applications).remove(&application_key(tenant, name))
            })?
        };
        self.flush().await?;
        Ok(was_there)
    }

    /// The tenant's applications by the artifacts of which they have versions.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn artifact_users(
        &self,
        tenant: &TenantSlug,
    ) -> Result<BTreeMap<ArtifactDigest, BTreeSet<ApplicationName>>, StoreError> {
        let mut users: BTreeMap<ArtifactDigest, BTreeSet<ApplicationName>> = BTreeMap::new();
        for (_, version) in self.versions.rows_under(&prefix(tenant))? {
            if let Some(digest) = version.source.artifact() {
                users.entry(digest.clone()).or_default().insert(version.application);
            }
        }
        Ok(users)
    }

    /// What was decided by this operation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn deployment(
        &self,
        tenant: &TenantSlug,
        operation: &OperationId,
    ) -> Result<Option<StoredDeployment>, StoreError> {
        self.deployments.get(&deployment_key(tenant, operation))
    }

    /// Keeps what was decided. If another one was faster with the same operation, what it decided holds.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn decide_deployment(
        &self,
        deployment: StoredDeployment,
    ) -> Result<StoredDeployment, StoreError> {
        let tenant = &deployment.tenant;
        let key = deployment_key(tenant, &deployment.operation);
        let decided = {
            let _alone = self.alone();
            self.check_tenant(tenant)?;
            let mut others = self.deployments.rows_under(&prefix(tenant))?;
            others.sort_by_key(|(_, other)| other.at);
            let too_many = (others.len() + 1).saturating_sub(MAX_DEPLOYMENTS);
            for (old, _) in others.into_iter().take(too_many).filter(|(old, _)| *old != key) {
                self.deployments.remove(&old)?;
            }
            self.deployments.tree.transaction(|tree| {
                let deployments = self.deployments.within(tree);
                if let Some(known) = deployments.get(&key)? {
                    return Ok(known);
                }
                deployments.put(&key, &deployment)?;
                Ok(deployment.clone())
            })?
        };
        self.flush().await?;
        Ok(decided)
    }

    /// By number.
    fn versions_of(
        &self,
        tenant: &TenantSlug,
        application: &ApplicationName,
    ) -> Result<Vec<Version>, StoreError> {
        let rows = self.versions.rows_under(&versions_prefix(tenant, application))?;
        Ok(rows.into_iter().map(|(_, version)| version).collect())
    }
}

/// Its bytes in a list.
fn size_of(view: &VersionView) -> usize {
    serde_json::to_vec(view).map_or(usize::MAX / 2, |json| json.len())
}

pub(super) fn application_key(tenant: &TenantSlug, name: &ApplicationName) -> String {
    format!("{tenant}/{name}")
}

fn versions_prefix(tenant: &TenantSlug, application: &ApplicationName) -> String {
    format!("{tenant}/{application}/")
}

/// Numbers have ten digits, so that keys are in their order.
pub(super) fn version_key(tenant: &TenantSlug, application: &ApplicationName, number: u32) -> String {
    format!("{tenant}/{application}/{number:010}")
}

pub(super) fn deployment_key(tenant: &TenantSlug, operation: &OperationId) -> String {
    format!("{tenant}/{operation}")
}

//! Copies that stay at a Docker engine after their containers have moved away: stopped, under a name that no container of the
//! platform has, and out of the tenant's network. The name is what tells them: labels stay as they are for life.

use std::collections::HashMap;

use bollard::{
    models::{ContainerInspectResponse, NetworkDisconnectRequest},
    query_parameters::{
        ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
    },
};
use ecep_proto::api::{
    kept::KeptView,
    label,
    name::{ContainerId, OperationId, TenantSlug},
};

use super::{ASK_SECONDS, WORK_SECONDS, failure::Doing, mobility::Mobility};
use crate::{
    clock::parse_rfc3339,
    creation::volume_prefix,
    engine::{EngineError, kept_name, kept_of_name},
    network::network_name,
};

/// A kept copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The engine's full id.
    pub engine_id: String,
    /// Its volumes, by the engine's names.
    pub volumes: Vec<String>,
    /// What people see of it.
    pub view: KeptView,
}

impl Mobility {
    /// Makes a stopped container one that was kept: it leaves its network, and then has another name. Doing so twice changes
    /// nothing.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn keep(
        &self,
        tenant: &TenantSlug,
        engine_id: &str,
        container: &ContainerId,
        migration: &OperationId,
    ) -> Result<(), EngineError> {
        let client = self.engine.client(WORK_SECONDS).await?;
        let inspected = client.inspect_container(engine_id, None).await;
        let found = inspected.map_err(|error| self.engine.told(&Doing::Container("inspect"), error))?;
        let name = kept_name(container, migration);
        if plain_name(&found) == name {
            return Ok(());
        }
        let network = network_name(tenant);
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        if networks.contains_key(&network) {
            let request = NetworkDisconnectRequest { container: engine_id.to_owned(), force: Some(true) };
            let left = client.disconnect_network(&network, request).await;
            left.map_err(|error| self.engine.told(&Doing::Network(&network), error))?;
        }
        let options = RenameContainerOptionsBuilder::new().name(&name).build();
        let renamed = client.rename_container(engine_id, options).await;
        renamed.map_err(|error| self.engine.told(&Doing::Container("rename"), error))
    }

    /// The tenant's kept copies.
    ///
    /// # Errors
    /// The engine's own.
    pub async fn kept(&self, tenant: &TenantSlug) -> Result<Vec<Kept>, EngineError> {
        let client = self.engine.client(ASK_SECONDS).await?;
        let of_tenant = format!("{}={tenant}", label::TENANT);
        let filters = HashMap::from([("label".to_owned(), vec![label::CONTAINER.to_owned(), of_tenant])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = client.list_containers(Some(options)).await;
        let listed = listed.map_err(|error| self.engine.told(&Doing::Asking, error))?;
        let has_kept_name = |names: &Option<Vec<String>>| {
            names.iter().flatten().any(|name| kept_of_name(name.trim_start_matches('/')).is_some())
        };
        let ids = listed.into_iter().filter(|one| has_kept_name(&one.names)).filter_map(|one| one.id);
        let mut kept = Vec::new();
        for id in ids {
            let inspected = client.inspect_container(&id, None).await;
            match inspected.map_err(|error| self.engine.told(&Doing::Container("inspect"), error)) {
                Ok(inspection) => kept.extend(read(tenant, inspection)),
                // It was deleted since.
                Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Deletes a kept copy, then its volumes, but for those that another container has taken meanwhile.
    ///
    /// # Errors
    /// The engine's own. It runs: somebody has started it at the engine itself.
    pub async fn remove_kept(&self, kept: &Kept) -> Result<(), EngineError> {
        let client = self.engine.client(WORK_SECONDS).await?;
        let options = RemoveContainerOptionsBuilder::new().v(true).force(false).build();
        let removed = client.remove_container(&kept.engine_id, Some(options)).await;
        match removed.map_err(|error| self.engine.told(&Doing::Container("remove"), error)) {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        for volume in &kept.volumes {
            self.remove_volume(volume).await?;
        }
        Ok(())
    }
}

fn plain_name(inspection: &ContainerInspectResponse) -> String {
    inspection.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned()
}

/// What an inspection says of a kept copy; none where it is none.
fn read(tenant: &TenantSlug, inspection: ContainerInspectResponse) -> Option<Kept> {
    let (container, migration) = kept_of_name(&plain_name(&inspection))?;
    let config = inspection.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let state = inspection.state.unwrap_or_default();
    let mounts = inspection.mounts.unwrap_or_default();
    let prefix = volume_prefix(tenant);
    // Only volumes have a name.
    let volumes: Vec<String> =
        mounts.into_iter().filter_map(|mount| mount.name).filter(|name| name.starts_with(&prefix)).collect();
    let plain = |volume: &String| volume.strip_prefix(&prefix).unwrap_or(volume).to_owned();
    Some(Kept {
        engine_id: inspection.id?,
        view: KeptView {
            container,
            migration,
            name: labels.get(label::NAME)?.parse().ok()?,
            image: config.image.unwrap_or_default(),
            volumes: volumes.iter().map(plain).collect(),
            kept_at: state.finished_at.as_deref().and_then(parse_rfc3339).unwrap_or_default(),
        },
        volumes,
    })
}

//! What a tenant's containers and volumes take of the disk. The engine's own sum (`/system/df`) counts all images too, takes long
//! for it, and has another form with each version.

use std::{collections::HashMap, io, path::PathBuf};

use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use ecep_proto::api::{label, name::TenantSlug};
use tokio::task::spawn_blocking;

use super::{DockerEngine, WORK_SECONDS, failure::Doing};
use crate::{engine::EngineError, migration::size_of};

impl DockerEngine {
    /// Bytes of the writable layers of all containers of a tenant, copies that moves have left among them, and of its volumes.
    pub(super) async fn measure(&self, tenant: &TenantSlug) -> Result<u64, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let filters = HashMap::from([("label".to_owned(), vec![format!("{}={tenant}", label::TENANT)])]);
        let containers = ListContainersOptionsBuilder::new().all(true).size(true).filters(&filters).build();
        let containers = client.list_containers(Some(containers)).await;
        let containers = containers.map_err(|error| self.told(&Doing::Asking, error))?;
        let layers = containers.iter().filter_map(|container| u64::try_from(container.size_rw?).ok());
        let layers = layers.fold(0, u64::saturating_add);
        let volumes =
            client.list_volumes(Some(ListVolumesOptionsBuilder::new().filters(&filters).build())).await;
        let volumes = volumes.map_err(|error| self.told(&Doing::Asking, error))?.volumes.unwrap_or_default();
        let places: Vec<PathBuf> = volumes.into_iter().map(|volume| volume.mountpoint.into()).collect();
        let measured = spawn_blocking(move || {
            places.iter().try_fold(0_u64, |sum, place| match size_of(place) {
                Ok(bytes) => Ok(sum.saturating_add(bytes)),
                // Deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(sum),
                Err(error) => Err(error),
            })
        });
        let measured = measured.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let in_volumes =
            measured.map_err(|error| EngineError::Failed(format!("a volume cannot be measured: {error}")))?;
        Ok(layers.saturating_add(in_volumes))
    }
}

//! What a tenant's containers and volumes take of the disk. The engine's own sum (`/system/df`) counts all images too, takes long
//! for it, and has another form with each version.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::PathBuf,
};

use bollard::{
    models::{ContainerSummary, Volume},
    query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder},
};
use ecep_proto::api::{label, name::TenantSlug};
use tokio::task::spawn_blocking;

use super::{DockerEngine, WORK_SECONDS, failure::Doing};
use crate::{engine::EngineError, migration::size_of};

impl DockerEngine {
    /// Bytes of the writable layers of all containers of a tenant, copies that moves have left among them, and of its volumes:
    /// those that the platform made, and those without a name that the containers' images ask for.
    pub(super) async fn measure(&self, tenant: &TenantSlug) -> Result<u64, EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let filters = HashMap::from([("label".to_owned(), vec![format!("{}={tenant}", label::TENANT)])]);
        let containers = ListContainersOptionsBuilder::new().all(true).size(true).filters(&filters).build();
        let containers = client.list_containers(Some(containers)).await;
        let containers = containers.map_err(|error| self.told(&Doing::Asking, error))?;
        let layers = containers.iter().filter_map(|container| u64::try_from(container.size_rw?).ok());
        let layers = layers.fold(0, u64::saturating_add);
        let volumes = client.list_volumes(Some(ListVolumesOptionsBuilder::new().build())).await;
        let volumes = volumes.map_err(|error| self.told(&Doing::Asking, error))?.volumes.unwrap_or_default();
        let places = places(tenant, &containers, volumes);
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

/// Where the tenant's volumes lie: those with its label, and those that its containers have mounted. An image can ask for
/// volumes, which the engine makes without our labels.
fn places(tenant: &TenantSlug, containers: &[ContainerSummary], volumes: Vec<Volume>) -> Vec<PathBuf> {
    let mounts = containers.iter().filter_map(|container| container.mounts.as_ref()).flatten();
    // By its name: where it lies the engine does not say here.
    let mounted: BTreeSet<&str> = mounts.filter_map(|mount| mount.name.as_deref()).collect();
    let is_own = |volume: &Volume| {
        let label = volume.labels.get(label::TENANT);
        label.is_some_and(|label| label == tenant.as_str()) || mounted.contains(volume.name.as_str())
    };
    volumes.into_iter().filter(is_own).map(|volume| volume.mountpoint.into()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An image with a volume of its own must be no way to write beyond a quota; nor may another tenant's volume count, or a
    /// folder of the device's owner.
    #[test]
    fn volumes_of_images_are_measured() {
        // As Docker answers.
        let container = json!({ "Mounts": [
            { "Type": "volume", "Name": "0123", "Source": "", "Destination": "/data", "Driver": "local" },
            { "Type": "volume", "Name": "ecep_acme_web", "Source": "", "Destination": "/web", "Driver": "local" },
            { "Type": "bind", "Source": "/home", "Destination": "/home" },
        ] });
        let containers = [serde_json::from_value(container).unwrap()];
        let volume = |name: &str, tenant: Option<&str>| Volume {
            name: name.to_owned(),
            mountpoint: format!("/volumes/{name}"),
            labels: tenant.map(|tenant| (label::TENANT.to_owned(), tenant.to_owned())).into_iter().collect(),
            ..Volume::default()
        };
        let volumes = vec![
            volume("0123", None),
            volume("4567", None),
            volume("ecep_acme_idle", Some("acme")),
            volume("ecep_acme_web", Some("acme")),
            volume("ecep_globex_web", Some("globex")),
        ];
        let found = places(&"acme".parse().unwrap(), &containers, volumes);
        let found: Vec<_> = found.iter().map(|place| place.to_str().unwrap()).collect();
        assert_eq!(found, ["/volumes/0123", "/volumes/ecep_acme_idle", "/volumes/ecep_acme_web"]);
    }
}

//! What a container needs at the engine before it is made: its named volumes and its tenant's network. What is there already must be
//! the platform's own.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use ecep_proto::api::{label, network::Subnet};

use super::{DockerEngine, WORK_SECONDS, failure::Doing, network};
use crate::{
    engine::{EngineError, NamedVolume},
    network::network_name,
};

impl DockerEngine {
    pub(super) async fn make_volume(&self, volume: &NamedVolume) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let request = VolumeCreateRequest {
            name: Some(volume.engine_name.clone()),
            labels: Some(HashMap::from([
                (label::TENANT.to_owned(), volume.tenant.to_string()),
                (label::VOLUME.to_owned(), volume.name.clone()),
            ])),
            ..VolumeCreateRequest::default()
        };
        let there = client
            .create_volume(request)
            .await
            .map_err(|error| self.told(&Doing::Volume(&volume.name), error))?;
        // One that was there before is answered as it is.
        let own = there.labels.get(label::TENANT).map(String::as_str) == Some(volume.tenant.as_str());
        if !own || there.driver != "local" || !there.options.is_empty() {
            return Err(EngineError::Conflict(format!(
                "the engine has a volume {} that was not made by the platform; its owner has to remove or rename it",
                volume.engine_name
            )));
        }
        Ok(())
    }

    pub(super) async fn make_network(&self, subnet: &Subnet) -> Result<(), EngineError> {
        let client = self.client(WORK_SECONDS).await?;
        let name = network_name(&subnet.tenant);
        let wanted = format!("{}/{}", subnet.address, subnet.prefix);
        let there = || async {
            match client.inspect_network(&name, None).await {
                Ok(there) => Ok(Some(there)),
                Err(error) => match self.told(&Doing::Network(&name), error) {
                    EngineError::NotFound(_) => Ok(None),
                    error => Err(error),
                },
            }
        };
        if let Some(there) = there().await? {
            return network::check(&name, &wanted, &there);
        }
        let Err(error) = client.create_network(network::request(subnet, &name, &wanted)).await else {
            return Ok(());
        };
        let error = self.told(&Doing::Network(&name), error);
        // Two containers at once: the second one finds the first one's.
        match there().await? {
            Some(there) => network::check(&name, &wanted, &there),
            None => Err(error),
        }
    }
}

//! What is to be moved, as the source describes it to the destination.

use std::net::Ipv4Addr;

use bollard::models::{ContainerCreateBody, RestartPolicy};
use ecep_channel::grant::Grant;
use ecep_proto::api::{label, migration::Needs, name::ContainerName};
use serde::{Deserialize, Serialize};

use crate::engine::docker::mobility::Portrait;

/// Everything but the bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    /// As in the pre-flight.
    pub needs: Needs,
    /// The request that creates its like.
    pub body: ContainerCreateBody,
    /// The image reference that it was created from.
    pub image: String,
    /// The image's layers, the lowest first.
    pub layers: Vec<String>,
    /// Its restart policy, which it gets back at the end.
    pub restart: Option<RestartPolicy>,
    /// Its address for life.
    pub address: Option<Ipv4Addr>,
}

/// A plan that does not fit its grant: the source is not what it seems.
#[derive(Debug, thiserror::Error)]
#[error("the plan is for another {0} than the grant; the move is refused")]
pub(super) struct Mismatch(&'static str);

impl Plan {
    /// Describes a container.
    pub(super) fn of(
        needs: Needs,
        portrait: &Portrait,
        layers: Vec<String>,
        address: Option<Ipv4Addr>,
    ) -> Self {
        Self {
            needs,
            body: portrait.body.clone(),
            image: portrait.image.clone(),
            layers,
            restart: portrait.restart.clone(),
            address,
        }
    }

    /// That it is about the grant's container and tenant, in every place that says so.
    pub(super) fn check(&self, grant: &Grant) -> Result<(), Mismatch> {
        let labels = self.body.labels.as_ref();
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        if self.needs.container != grant.container
            || label(label::CONTAINER) != Some(grant.container.as_str())
        {
            return Err(Mismatch("container"));
        }
        if self.needs.tenant != grant.tenant || label(label::TENANT) != Some(grant.tenant.as_str()) {
            return Err(Mismatch("tenant"));
        }
        if label(label::NAME) != Some(self.needs.name.as_str()) {
            return Err(Mismatch("name"));
        }
        Ok(())
    }

    /// Its name for people.
    pub(super) fn name(&self) -> &ContainerName {
        &self.needs.name
    }

    /// Whether its processes may come along.
    pub(super) fn is_live(&self, grant: &Grant) -> bool {
        grant.mode.allows_live() && self.needs.is_running
    }
}

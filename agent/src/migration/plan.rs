//! What is to be moved, as the source describes it to the destination.

use std::net::Ipv4Addr;

use bollard::models::{ContainerCreateBody, RestartPolicy};
use ecep_channel::grant::Grant;
use ecep_proto::api::{label, migration::Needs, name::ContainerName, network::AssignedAddress};
use ecep_runtime::register::RUNTIME_NAME;
use serde::{Deserialize, Serialize};

use crate::{creation, engine::docker::mobility::Portrait};

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

    /// Whether it publishes ports here: by the request that creates it too, not only by what the source says of it.
    pub(super) fn publishes(&self) -> bool {
        let host = self.body.host_config.as_ref();
        let bindings = host.and_then(|host| host.port_bindings.as_ref());
        bindings.is_some_and(|bindings| !bindings.is_empty()) || !self.needs.ports.is_empty()
    }

    /// The request for this device's engine, which the policy judges. `image` stands for the image where its name is another's here,
    /// `network` is the container's place in its tenant's network.
    pub(super) fn request(
        &self,
        image: Option<String>,
        network: Option<&AssignedAddress>,
        has_runtime: bool,
    ) -> ContainerCreateBody {
        let mut body = self.body.clone();
        if image.is_some() {
            body.image = image;
        }
        if let Some(network) = network {
            creation::join_network(&mut body, self.name(), network);
        }
        let host = body.host_config.get_or_insert_default();
        // It gets its policy back when it is let out: until then the engine must not start it by itself.
        host.restart_policy = None;
        host.runtime = has_runtime.then(|| RUNTIME_NAME.to_owned());
        body
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Policy, tests::tricks};

    /// A device that brings a container must not get past the policy of the device that takes it in, whatever it says of the container:
    /// each way out of a container must still be in what is judged, but for what is set here anyway.
    #[test]
    fn no_way_out_comes_in_by_a_move() {
        let needs = serde_json::from_value(needs()).unwrap();
        let ordinary = Plan {
            needs,
            body: ContainerCreateBody::default(),
            image: "nginx".to_owned(),
            layers: vec![],
            restart: None,
            address: None,
        };
        let tenant = "acme".parse().unwrap();
        let judged = |plan: &Plan| {
            // As it travels.
            let plan: Plan = serde_json::from_slice(&serde_json::to_vec(plan).unwrap()).unwrap();
            Policy::default().check(&tenant, plan.request(None, None, true))
        };
        judged(&ordinary).unwrap();
        for (setting, body) in tricks() {
            let judged = judged(&Plan { body, ..ordinary.clone() });
            // Which runtime it gets is decided here.
            if setting == "runtime" {
                let host = judged.unwrap().into_inner().host_config.unwrap();
                assert_eq!(host.runtime.as_deref(), Some(RUNTIME_NAME));
                continue;
            }
            let message = judged.expect_err(setting).message;
            assert!(message.contains(setting), "{setting}: {message}");
        }
    }

    /// A guest whose terms do not allow to publish ports must not do so by a container that its own device brings, which says of
    /// itself that it has none.
    #[test]
    fn ports_are_noticed_whatever_the_source_says() {
        let needs = serde_json::from_value(needs()).unwrap();
        let body =
            serde_json::json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "80" }] } } });
        let plan = |body| Plan {
            needs: Needs::clone(&needs),
            body: serde_json::from_value(body).unwrap(),
            image: "nginx".to_owned(),
            layers: vec![],
            restart: None,
            address: None,
        };
        assert!(plan(body).publishes());
        assert!(!plan(serde_json::json!({ "HostConfig": { "PortBindings": {} } })).publishes());
    }

    fn needs() -> serde_json::Value {
        serde_json::json!({
            "tenant": "acme", "container": "c1", "name": "web", "image_id": "sha256:1", "architecture": "x86_64", "is_running": true,
            "memory_bytes": 1, "image_bytes": 1, "writable_bytes": 1, "volumes": [], "ports": [], "cgroup_version": 2,
            "cpu_features": [],
        })
    }
}

//! A tenant's network at the Docker engine: the request for it, and whether one that is there is it. No I/O.

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use ecep_proto::api::{label, network::Subnet};

use crate::{engine::EngineError, network::bridge_name};

/// The request. Containers keep their own addresses on the way out of the bridge; the agent's rules give those that leave
/// the platform the device's. Docker 28 would drop what other devices send to a container, and announce the address of one
/// that starts, also of a copy that is not the container yet; the last two options say no. Older engines do neither, and
/// take options that they do not know.
pub(super) fn request(subnet: &Subnet, name: &str, wanted: &str) -> NetworkCreateRequest {
    let options = [
        ("com.docker.network.bridge.name", bridge_name(subnet)),
        ("com.docker.network.bridge.enable_ip_masquerade", "false".to_owned()),
        ("com.docker.network.bridge.gateway_mode_ipv4", "nat-unprotected".to_owned()),
        ("com.docker.network.advertise_addr_nmsgs", "0".to_owned()),
    ];
    let config = IpamConfig { subnet: Some(wanted.to_owned()), ..IpamConfig::default() };
    NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
        options: Some(options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        labels: Some(HashMap::from([(label::TENANT.to_owned(), subnet.tenant.to_string())])),
        ..NetworkCreateRequest::default()
    }
}

/// Whether the network that is there is the tenant's.
pub(super) fn check(name: &str, wanted: &str, there: &NetworkInspect) -> Result<(), EngineError> {
    let configs = there.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let found: Vec<&str> =
        configs.into_iter().flatten().filter_map(|config| config.subnet.as_deref()).collect();
    if found == [wanted] {
        return Ok(());
    }
    Err(EngineError::Conflict(format!(
        "the engine has a network {name} with {}, but the tenant's is {wanted}; delete its containers and remove it \
         (`docker network rm {name}`)",
        found.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a network must not do by itself: hide its containers from other devices, give them the device's address, or tell
    /// neighbours of a copy that the authority has not let out.
    #[test]
    fn the_engine_leaves_reachability_to_the_agent() {
        let subnet: Subnet = serde_json::from_value(serde_json::json!({
            "tenant": "acme", "number": 3, "address": "10.128.48.0", "prefix": 20,
            "pool": "10.128.0.0", "pool_prefix": 17
        }))
        .unwrap();
        let request = request(&subnet, "ecep_acme", "10.128.48.0/20");
        let options = request.options.unwrap();
        let option = |name: &str| options.get(&format!("com.docker.network.{name}")).map(String::as_str);
        assert_eq!(option("bridge.name"), Some("ecep3"));
        assert_eq!(option("bridge.enable_ip_masquerade"), Some("false"));
        assert_eq!(option("bridge.gateway_mode_ipv4"), Some("nat-unprotected"));
        assert_eq!(option("advertise_addr_nmsgs"), Some("0"));
    }
}

//! The devices as a deployment looks at them.

use std::collections::BTreeSet;

use ecep_fleet::placement::Device;
use ecep_proto::api::name::TenantSlug;

use super::FleetView;

impl FleetView {
    /// The devices on which a tenant may run something, by their last reports. How busy they are is not known here.
    pub fn placeable(&self, now: u64, tenant: &TenantSlug) -> Vec<Device> {
        let own = self.devices.values().filter(|entry| entry.has(tenant));
        own.map(|entry| {
            let facts = &entry.facts;
            let of_tenant = entry.containers.iter().filter(|container| container.tenant == *tenant);
            let ports = entry.containers.iter().flat_map(|container| &container.container.ports);
            Device {
                id: entry.device.id.clone(),
                liveness: entry.judge(now, tenant).liveness,
                engine_reachable: facts.engine.reachable,
                architecture: Some(facts.architecture.clone()).filter(|name| !name.is_empty()),
                cores: facts.cores,
                cpu_percent: None,
                memory_total_bytes: facts.memory_total_bytes,
                memory_used_bytes: None,
                disk_free_bytes: None,
                location: entry.device.location,
                granted: entry.granted(tenant),
                names: of_tenant.map(|container| container.container.name.clone()).collect::<BTreeSet<_>>(),
                ports: ports.filter_map(|port| Some((port.host?, port.protocol))).collect(),
            }
        })
        .collect()
    }
}

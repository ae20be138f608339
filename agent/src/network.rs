//! The tenants' networks on this device: routes to containers on other devices, firewall rules, forwards of ports that
//! containers left behind, and the names of the tenant's containers in each container's hosts file.
//!
//! The control plane's table is the truth; it is applied whole, and doing so twice changes nothing. A move that ends here
//! does not wait for the next table: see [`Networks::arrived`] and [`Networks::left`].

mod hosts;
mod rules;
mod system;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use ecep_proto::api::{
    name::{ContainerId, DeviceId, TenantSlug},
    network::{NetworkTable, Place, Subnet, TenantNetwork},
};

use tokio::sync::watch;

use crate::{engine::Engine, inventory::Inventory};

/// The interface of a tenant's network; at most 15 characters (Linux, IFNAMSIZ).
pub fn bridge_name(subnet: &Subnet) -> String {
    format!("ecep{}", subnet.number)
}

/// The engine's name of a tenant's network. A slug cannot hold the `_`.
pub fn network_name(tenant: &TenantSlug) -> String {
    format!("ecep_{tenant}")
}

/// The revision of a device that has no table: the control plane never gives it to one.
const NO_TABLE: u64 = 0;

/// All networks of this device.
pub struct Networks<E> {
    device: DeviceId,
    inventory: Arc<Inventory<E>>,
    /// Whether there is anything in the kernel to set up.
    in_kernel: bool,
    /// The table that was applied last. Held while one is applied: one at a time.
    table: tokio::sync::Mutex<NetworkTable>,
    /// Of the table that is applied.
    revision: watch::Sender<u64>,
}

impl<E: Engine> Networks<E> {
    /// Knows no table yet, and changes nothing until there is one.
    pub fn new(device: DeviceId, inventory: Arc<Inventory<E>>, engine: &E) -> Self {
        let table = tokio::sync::Mutex::new(NetworkTable { revision: NO_TABLE, networks: Vec::new() });
        Self {
            device,
            inventory,
            in_kernel: engine.has_kernel_networks(),
            table,
            revision: watch::Sender::new(NO_TABLE),
        }
    }

    /// The revision of the table that is applied; 0 if none is.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Applies a table. What cannot be done is logged, and the revision not taken over, so that it comes again.
    pub async fn apply(&self, table: NetworkTable) {
        let mut current = self.table.lock().await;
        let moved = moved_addresses(&current, &table);
        *current = table;
        if let Err(error) = self.set_up(&current).await {
            tracing::warn!(%error, "the tenants' networks cannot be set up; trying again");
            return;
        }
        self.introduce(&current).await;
        for (tenant, address) in moved {
            self.forget_neighbour(&tenant, address).await;
        }
        self.revision.send_replace(current.revision);
    }

    /// A container was started here: it gets the others' names, and its bridge the switches if it is new. The rules are there
    /// already.
    pub async fn started(&self) {
        self.bridge_is_there().await;
        self.introduce(&*self.table.lock().await).await;
    }

    /// A tenant's bridge may be new here: it gets the switches, or what waits on it for a container on the move would be lost.
    pub async fn bridge_is_there(&self) {
        if !self.in_kernel {
            return;
        }
        let current = self.table.lock().await;
        if let Err(error) = system::set_switches(bridges(&current)).await {
            tracing::warn!(%error, "the tenants' bridges cannot be set up");
        }
    }

    /// The engine is there, or back: it may have changed the firewall. Without a table what an earlier agent set up stays.
    pub async fn engine_is_there(&self) {
        let current = self.table.lock().await;
        if current.revision == NO_TABLE {
            return;
        }
        if let Err(error) = self.set_up(&current).await {
            tracing::warn!(%error, "the tenants' networks cannot be set up");
        }
        self.introduce(&current).await;
    }

    /// A container has moved here, or stays here after all: its address is no longer reached through another device.
    pub async fn arrived(&self, tenant: &TenantSlug, container: &ContainerId, address: Ipv4Addr) {
        let mut current = self.table.lock().await;
        if let Some(place) = place_of(&mut current, container) {
            place.device = self.device.clone();
            place.via = None;
        }
        if let Err(error) = system::delete_route(address).await {
            tracing::warn!(%container, %error, "a route is left over");
        }
        self.forget_neighbour(tenant, address).await;
    }

    /// A container has moved from here to the device with that address: whoever speaks to it through this device is sent
    /// on.
    pub async fn left(
        &self,
        tenant: &TenantSlug,
        container: &ContainerId,
        address: Ipv4Addr,
        to: (&DeviceId, Ipv4Addr),
    ) {
        let mut current = self.table.lock().await;
        if let Some(place) = place_of(&mut current, container) {
            place.device = to.0.clone();
            place.via = Some(to.1);
        }
        if let Err(error) = system::set_route(address, to.1).await {
            tracing::warn!(%container, %error, "a container that left has no route");
        }
        self.forget_neighbour(tenant, address).await;
    }

    /// A container is on its way to here: what is sent to it from here waits on the bridge until it is introduced. Answers where it
    /// was reached before, for [`Networks::does_not_come`].
    pub async fn awaits(&self, container: &ContainerId, address: Ipv4Addr) -> Option<Place> {
        let mut current = self.table.lock().await;
        let place = place_of(&mut current, container)?;
        let before = place.clone();
        place.device = self.device.clone();
        place.via = None;
        if let Err(error) = system::delete_route(address).await {
            tracing::warn!(%container, %error, "what is sent to a container on the move is lost");
        }
        Some(before)
    }

    /// A container that was awaited stays where it is.
    pub async fn does_not_come(&self, before: Place) {
        let mut current = self.table.lock().await;
        if let Some(place) = place_of(&mut current, &before.container) {
            *place = before.clone();
        }
        if let Some(via) = before.via
            && let Err(error) = system::set_route(before.address, via).await
        {
            tracing::warn!(container = %before.container, %error, "a container on another device cannot be reached from here");
        }
    }

    /// The interface of the tenant's network, if the control plane has told of it.
    pub async fn bridge(&self, tenant: &TenantSlug) -> Option<String> {
        let table = self.table.lock().await;
        subnet_of(&table, tenant).map(bridge_name)
    }

    /// The tenant's network, as soon as it is set up here: the control plane tells it with its answer to a report.
    pub async fn subnet(&self, tenant: &TenantSlug) -> Subnet {
        let mut applied = self.revision.subscribe();
        loop {
            let revision = *applied.borrow_and_update();
            let table = self.table.lock().await;
            // One that could not be set up has another revision than what is applied.
            if let Some(subnet) = subnet_of(&table, tenant).filter(|_| table.revision == revision) {
                return subnet.clone();
            }
            drop(table);
            if applied.changed().await.is_err() {
                // Never: the sender is our own.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether another container has this address.
    pub async fn is_taken(&self, address: Ipv4Addr, but_by: &ContainerId) -> bool {
        let table = self.table.lock().await;
        let mut places = table.networks.iter().flat_map(|network| &network.places);
        places.any(|place| place.address == address && place.container != *but_by)
    }

    async fn set_up(&self, table: &NetworkTable) -> Result<(), system::SystemError> {
        if !self.in_kernel {
            return Ok(());
        }
        let networks: Vec<&TenantNetwork> = table.networks.iter().collect();
        let routes: BTreeMap<Ipv4Addr, Ipv4Addr> = networks
            .iter()
            .flat_map(|network| &network.places)
            .filter(|place| place.device != self.device)
            .filter_map(|place| Some((place.address, place.via?)))
            .collect();
        system::set_rules(&rules::filter(&networks), &rules::nat(&networks)).await?;
        system::set_switches(bridges(table)).await?;
        system::set_routes(&routes).await
    }

    /// Gives each container here the others' names, and the patience to wait for one that is on the move.
    async fn introduce(&self, table: &NetworkTable) {
        for container in self.inventory.containers() {
            let of_tenant = |network: &&TenantNetwork| network.subnet.tenant == container.tenant;
            let Some(network) = table.networks.iter().find(of_tenant) else { continue };
            if let Some(pid) = container.detail.pid.and_then(|pid| i32::try_from(pid).ok()) {
                let patient = tokio::task::spawn_blocking(move || ecep_runtime::network::be_patient(pid));
                if let Ok(Err(error)) = patient.await {
                    tracing::debug!(container = %container.view().id, %error, "it does not ask longer for neighbours");
                }
            }
            let Some(path) = container.hosts_file.clone() else { continue };
            let lines = hosts::lines(&network.places, &container.view().id);
            let written = tokio::task::spawn_blocking(move || hosts::write(&path, &lines)).await;
            if let Err(error) = written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
                // It was deleted meanwhile.
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(container = %container.view().id, %error, "a hosts file cannot be written");
            }
        }
    }

    /// Containers here that have spoken to that address know where it was: on this bridge, or behind it.
    async fn forget_neighbour(&self, tenant: &TenantSlug, address: Ipv4Addr) {
        let containers = self.inventory.containers();
        let pids = containers.iter().filter(|container| container.tenant == *tenant);
        let pids: Vec<i32> = pids.filter_map(|container| i32::try_from(container.detail.pid?).ok()).collect();
        // And this device, which forwards to it.
        let pids = pids.into_iter().chain(i32::try_from(std::process::id()));
        let done = tokio::task::spawn_blocking(move || {
            for pid in pids {
                if let Err(error) = ecep_runtime::network::forget_neighbour(pid, address) {
                    tracing::debug!(pid, %error, "a neighbour is not forgotten");
                }
            }
        });
        // Its panic would be a defect of one packet's worth: ARP mends it some seconds later.
        drop(done.await);
    }
}

fn place_of<'a>(table: &'a mut NetworkTable, container: &ContainerId) -> Option<&'a mut Place> {
    let mut places = table.networks.iter_mut().flat_map(|network| &mut network.places);
    places.find(|place| place.container == *container)
}

fn subnet_of<'a>(table: &'a NetworkTable, tenant: &TenantSlug) -> Option<&'a Subnet> {
    let mut subnets = table.networks.iter().map(|network| &network.subnet);
    subnets.find(|subnet| subnet.tenant == *tenant)
}

fn bridges(table: &NetworkTable) -> impl Iterator<Item = String> {
    table.networks.iter().map(|network| bridge_name(&network.subnet))
}

/// Addresses that are somewhere else in the new table.
fn moved_addresses(old: &NetworkTable, new: &NetworkTable) -> Vec<(TenantSlug, Ipv4Addr)> {
    let places = |table: &NetworkTable| -> BTreeMap<ContainerId, (TenantSlug, Ipv4Addr, DeviceId)> {
        let of = |network: &TenantNetwork| {
            let tenant = network.subnet.tenant.clone();
            let entry = move |place: &Place| {
                (place.container.clone(), (tenant.clone(), place.address, place.device.clone()))
            };
            network.places.iter().map(entry).collect::<Vec<_>>()
        };
        table.networks.iter().flat_map(of).collect()
    };
    let (old, new) = (places(old), places(new));
    let moved = new.into_iter().filter(|(container, (_, _, device))| {
        old.get(container).is_some_and(|(_, _, before)| before != device)
    });
    moved.map(|(_, (tenant, address, _))| (tenant, address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::sim::SimEngine, moving::Moving, outbox::Outbox};

    /// An engine in memory has no networks: its agent must take a table over and leave the machine's firewall alone, which is
    /// somebody else's. (Where there is no Docker, setting it up would fail, and the table would not count as applied.)
    #[tokio::test]
    async fn an_engine_in_memory_leaves_the_machine_alone() {
        let device: DeviceId = "edge-1".parse().unwrap();
        let (engine, outbox) = (Arc::new(SimEngine::default()), Arc::new(Outbox::default()));
        let inventory = Arc::new(Inventory::new(
            device.clone(),
            Arc::clone(&engine),
            outbox,
            Arc::new(Moving::default()),
        ));
        let networks = Networks::new(device, inventory, &*engine);
        let pool = Ipv4Addr::new(10, 192, 0, 0);
        let tenant: TenantSlug = "acme".parse().unwrap();
        let subnet = Subnet { tenant, number: 0, address: pool, prefix: 20, pool, pool_prefix: 10 };
        let network = TenantNetwork { subnet, places: Vec::new(), forwards: Vec::new() };
        networks.apply(NetworkTable { revision: 7, networks: vec![network] }).await;
        assert_eq!(networks.revision(), 7);
    }
}

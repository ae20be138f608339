//! A tenant's network: one address for a container's whole life, the same subnet on every device, and a route to
//! wherever the container runs now. The control plane keeps the table, the agents apply it.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    container::Protocol,
    name::{ContainerId, ContainerName, DeviceId, TenantSlug},
};

/// A tenant's network, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subnet {
    /// Whose.
    pub tenant: TenantSlug,
    /// Counts the tenants' networks from 0: interfaces have short names.
    pub number: u32,
    /// The first address.
    pub address: Ipv4Addr,
    /// Bits of its prefix.
    pub prefix: u8,
    /// The first address of all tenants' networks together.
    pub pool: Ipv4Addr,
    /// Bits of that prefix.
    pub pool_prefix: u8,
}

/// A container's place in its tenant's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Which container.
    pub container: ContainerId,
    /// Its name for the others.
    pub name: ContainerName,
    /// Its address, for life.
    pub address: Ipv4Addr,
    /// The device that has it.
    pub device: DeviceId,
    /// That device's address for the other devices of the site, once known.
    pub via: Option<Ipv4Addr>,
}

/// A port of a device that a container left behind when it moved on: it leads to the container, wherever that is, until
/// the container comes back or is deleted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Forward {
    /// Which container.
    pub container: ContainerId,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The device's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// The container's address.
    pub address: Ipv4Addr,
}

/// One tenant's network, as one device has to set it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantNetwork {
    /// The network.
    pub subnet: Subnet,
    /// All containers in it.
    pub places: Vec<Place>,
    /// What this device forwards.
    pub forwards: Vec<Forward>,
}

/// All networks of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkTable {
    /// Changes whenever the table does.
    pub revision: u64,
    /// One for each tenant that has a share in the device.
    pub networks: Vec<TenantNetwork>,
}

/// A device is about to create a container, and asks for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssignAddress {
    /// Whose.
    pub tenant: TenantSlug,
    /// Which.
    pub container: ContainerId,
    /// Its name.
    pub name: ContainerName,
}

/// The address is the container's from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssignedAddress {
    /// It.
    pub address: Ipv4Addr,
    /// The tenant's network.
    pub subnet: Subnet,
}

/// A container that was not created after all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseAddress {
    /// Which.
    pub container: ContainerId,
}

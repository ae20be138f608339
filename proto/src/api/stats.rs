//! Telemetry: one event for each tick of a device, for each tenant that has a share in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ApplicationName, ContainerId, ContainerName, DeviceId};

/// The device and the tenant's containers on it, now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct StatsEvent {
    /// The device.
    pub device: DeviceId,
    /// Counts this device's ticks since its agent started; a gap means lost events.
    pub sequence: u64,
    /// When, in milliseconds since 1970 by the device's clock.
    pub at: u64,
    /// The device as a whole.
    pub host: HostStats,
    /// The tenant's running containers.
    pub containers: Vec<ContainerStats>,
}

/// The device as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct HostStats {
    /// CPU in use, in percent of all online cores together (0 to 100); `null` in the first tick.
    pub cpu_percent: Option<f64>,
    /// Online cores.
    pub cores: u32,
    /// Bytes of memory in use (total less available).
    pub memory_used_bytes: u64,
    /// Bytes of memory.
    pub memory_total_bytes: u64,
    /// Free bytes on the disk that holds the containers.
    pub disk_free_bytes: u64,
}

/// A running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ContainerStats {
    /// Its ECEP id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// The application it runs.
    pub application: ApplicationName,
    /// CPU in use, in percent of one core (so up to 100 × cores); `null` in its first tick.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory in use, less inactive file cache; `null` where the kernel does not account it.
    pub memory_bytes: Option<u64>,
}

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
    /// What goes over its uplinks, and to and from the disk that holds the containers.
    #[serde(flatten)]
    pub rates: Rates,
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
    /// What goes over its own interfaces (none where it has the device's network, or none), and to and from disks.
    #[serde(flatten)]
    pub rates: Rates,
}

/// What moves through a device or a container, in bytes per second: of the time since the tick before, or as a mean of
/// a step of a history. Each is `null` in the first tick, in the first after the kernel's counters began anew, where the
/// kernel does not account it; an older agent does not tell it at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Rates {
    /// Bytes per second that come in over the network; `null` in the first tick, where the kernel does not account it, and of
    /// a container that has the device's network, which is not its alone, or none.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub network_received_bytes_per_s: Option<u64>,
    /// Bytes per second that go out over the network; `null` in the first tick, where the kernel does not account it, and of
    /// a container that has the device's network, which is not its alone, or none.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub network_sent_bytes_per_s: Option<u64>,
    /// Bytes per second read from disks, not from the cache; `null` in the first tick and where the kernel does not
    /// account it.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub disk_read_bytes_per_s: Option<u64>,
    /// Bytes per second written to disks; `null` in the first tick and where the kernel does not account it.
    #[serde(default)]
    #[ts(optional = nullable)]
    pub disk_written_bytes_per_s: Option<u64>,
}

impl Rates {
    /// Of two pairs: received and sent, read and written.
    pub fn of(network: Option<[u64; 2]>, disk: Option<[u64; 2]>) -> Self {
        Self {
            network_received_bytes_per_s: network.map(|network| network[0]),
            network_sent_bytes_per_s: network.map(|network| network[1]),
            disk_read_bytes_per_s: disk.map(|disk| disk[0]),
            disk_written_bytes_per_s: disk.map(|disk| disk[1]),
        }
    }

    /// Received and sent, where both are known.
    pub fn network(&self) -> Option<[u64; 2]> {
        Some([self.network_received_bytes_per_s?, self.network_sent_bytes_per_s?])
    }

    /// Read and written, where both are known.
    pub fn disk(&self) -> Option<[u64; 2]> {
        Some([self.disk_read_bytes_per_s?, self.disk_written_bytes_per_s?])
    }
}

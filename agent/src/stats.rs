//! Statistics for each tick: the device from `/proc`, containers from the kernel's cgroup files.
//!
//! The files stay open between ticks: reading them costs microseconds, where the engine's own statistics
//! cost milliseconds for each container. What percentages and rates follow from counters is decided in `meter`.

mod cgroup;
mod counters;
mod host;
mod host_rates;
mod meter;
mod process;
mod reread;
mod summary;
mod table;

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use ecep_proto::api::{
    container::ContainerState,
    name::TenantSlug,
    stats::{ContainerStats, HostStats, Rates},
};

use self::{
    cgroup::{Cgroups, ContainerFiles},
    host::HostSampler,
    meter::{CpuMeter, RateMeter},
    process::ContainerNetwork,
};
use crate::engine::EngineContainer;

pub(crate) use self::host::memory_total;
pub use self::summary::Summaries;

/// One tick: everything, for all tenants. Each tenant's event takes its own containers out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Counts ticks since the agent started, from 1.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// The device.
    pub host: HostStats,
    /// Running containers, with their tenants.
    pub containers: Vec<(TenantSlug, ContainerStats)>,
}

/// Reads everything once for each tick.
pub struct Sampler {
    started: Instant,
    sequence: u64,
    host: HostSampler,
    cgroups: Cgroups,
    /// By engine id.
    sources: HashMap<String, Source>,
}

/// Where a running container's numbers come from.
struct Source {
    run: Run,
    files: Option<ContainerFiles>,
    network: Option<ContainerNetwork>,
    cpu: CpuMeter,
    disk: RateMeter,
}

/// One run of a container: after a restart everything counts anew.
type Run = (Option<u32>, Option<u64>);

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// A sampler that has seen nothing yet: its first tick has no percentages and no rates.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            sequence: 0,
            host: HostSampler::new(),
            cgroups: Cgroups::find(),
            sources: HashMap::new(),
        }
    }

    /// Reads everything. `storage` is the folder whose disk holds the containers.
    pub fn tick(&mut self, at: u64, containers: &[EngineContainer], storage: &Path) -> Tick {
        self.sequence += 1;
        let monotonic = self.started.elapsed();
        let host = self.host.sample(monotonic, storage);
        let running: Vec<&EngineContainer> = containers
            .iter()
            .filter(|container| {
                matches!(container.view().state, ContainerState::Running | ContainerState::Paused)
            })
            .collect();
        self.sources.retain(|id, _| running.iter().any(|container| container.detail.engine_id == *id));
        let stats = running
            .into_iter()
            .map(|container| (container.tenant.clone(), self.container(container, host.cores, monotonic)))
            .collect();
        Tick { sequence: self.sequence, at, host, containers: stats }
    }

    fn container(&mut self, container: &EngineContainer, cores: u32, at: Duration) -> ContainerStats {
        let view = container.view();
        let run = (container.detail.pid, view.started_at);
        let cgroups = &self.cgroups;
        let new = || Source {
            run,
            files: container.detail.pid.and_then(|pid| cgroups.open(pid)),
            network: container.detail.pid.and_then(|pid| ContainerNetwork::open(Path::new("/proc"), pid)),
            cpu: CpuMeter::default(),
            disk: RateMeter::default(),
        };
        let source = self.sources.entry(container.detail.engine_id.clone()).or_insert_with(new);
        if source.run != run || source.files.is_none() {
            *source = new();
        }
        let usage = source.files.as_mut().and_then(ContainerFiles::cpu_usage);
        let memory_bytes = source.files.as_mut().and_then(ContainerFiles::memory);
        let cpu_percent = usage.and_then(|usage| source.cpu.sample(at, usage, cores));
        let disk = source.disk.sample(at, source.files.as_ref().and_then(ContainerFiles::disk));
        let network = source.network.as_mut().and_then(|network| network.sample(at));
        if usage.is_none() {
            // The cgroup is gone; if the container runs again, its files are opened anew.
            source.files = None;
        }
        ContainerStats {
            id: view.id.clone(),
            name: view.name.clone(),
            application: view.application.clone(),
            cpu_percent,
            memory_bytes,
            rates: Rates::of(network, disk),
        }
    }
}

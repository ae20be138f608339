//! The allow-list for creating containers: whoever can create any container is root on the device.
//!
//! It judges the *final* request to the engine, whatever path it came by, and hands out the only type that an
//! engine creates from. The request's types are taken apart field by field: a field that a later version of
//! the engine's API adds does not compile until somebody has decided about it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    io,
    path::{Path, PathBuf},
};

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, PortMap,
};
use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{CheckpointName, TenantSlug},
};
use serde::Deserialize;

use ecep_runtime::register::RUNTIME_NAME;

use crate::{
    creation::{self, LOG_DRIVER, volume_prefix},
    network::network_name,
};

/// The device policy's name in the agent's data folder.
pub const POLICY_FILE: &str = "policy.toml";

/// Runtimes of the engine that isolate as its default one does.
/// `ecep` is runc, except that it can restore.
const ORDINARY_RUNTIMES: &[&str] = &["", "runc", RUNTIME_NAME];

/// The engine's weights of a container that asks for none.
const ORDINARY_CPU_SHARES: i64 = 1_024;
const ORDINARY_BLKIO_WEIGHT: u16 = 500;

/// What an owner can allow in the policy file: the names of the settings, in the file and in errors.
const SETTINGS: &[&str] = &[
    "privileged",
    "cap_add",
    "devices",
    "device_cgroup_rules",
    "device_requests",
    "binds",
    "mounts",
    "security_opt",
    "network_mode",
    "pid_mode",
    "ipc_mode",
    "uts_mode",
    "userns_mode",
    "cgroupns_mode",
    "cgroup_parent",
    "runtime",
    "sysctls",
    "volume_driver",
    "volumes_from",
    "links",
    "anonymous_volumes",
    "networks",
    "publish_all_ports",
    "host_ip",
    "auto_remove",
    "log_driver",
    "group_add",
    "dns",
    "extra_hosts",
    "tmpfs",
    "masked_paths",
    "storage_opt",
    "ulimits",
    "scheduling",
    "oom",
    "other",
];

/// Why a policy file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is there, but cannot be read.
    #[error("cannot read the device policy {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not as it should be.
    #[error("the device policy {} is wrong: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    checkpoint_directories: BTreeMap<String, PathBuf>,
    /// Whether terminals may be opened in containers: true if left out.
    terminals: Option<bool>,
}

/// What this device's owner allows beyond ordinary containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    allowed: BTreeSet<String>,
    checkpoint_directories: BTreeMap<String, PathBuf>,
    forbids_terminals: bool,
}

/// A request to create a container that the policy has allowed. Engines create from nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct AllowedBody(ContainerCreateBody);

impl AllowedBody {
    /// The request.
    pub fn into_inner(self) -> ContainerCreateBody {
        self.0
    }
}

impl Policy {
    /// Reads the policy file of this data folder. No file: nothing is allowed.
    ///
    /// # Errors
    /// [`PolicyError`]: a policy that cannot be understood must not be guessed.
    pub fn load(data: &Path) -> Result<Policy, PolicyError> {
        let path = data.join(POLICY_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Policy::parse(&text).map_err(|reason| PolicyError::Wrong { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Policy::default()),
            Err(source) => Err(PolicyError::Unreadable { path, source }),
        }
    }

    fn parse(text: &str) -> Result<Policy, String> {
        let file: PolicyFile = toml::from_str(text).map_err(|error| error.to_string())?;
        if let Some(unknown) = file.allow.iter().find(|name| !SETTINGS.contains(&name.as_str())) {
            return Err(format!("\"{unknown}\" cannot be allowed; known are: {}", SETTINGS.join(", ")));
        }
        for (name, path) in &file.checkpoint_directories {
            name.parse::<CheckpointName>().map_err(|error| format!("checkpoint_directories: {error}"))?;
            if !path.is_absolute() {
                return Err(format!(
                    "checkpoint_directories.{name} must be a whole path, beginning with /, not {}",
                    path.display()
                ));
            }
        }
        Ok(Policy {
            allowed: file.allow.into_iter().collect(),
            checkpoint_directories: file.checkpoint_directories,
            forbids_terminals: file.terminals == Some(false),
        })
    }

    /// The same without what its owner allows itself beyond ordinary containers.
    #[must_use]
    pub fn without_settings(self) -> Self {
        Self { allowed: BTreeSet::new(), ..self }
    }

    /// Whether terminals may be opened in containers. They may, unless the owner forbids it: who may open one may run any program in a
    /// container of their own anyway.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn check_terminals(&self) -> Result<(), ApiError> {
        if !self.forbids_terminals {
            return Ok(());
        }
        let text = format!(
            "this device does not allow terminals; its owner can take terminals = false out of {POLICY_FILE} in the agent's data              folder"
        );
        Err(ApiError::new(ErrorKind::Forbidden, text))
    }

    /// Where checkpoints of this directory's name go; none where the owner has named none so.
    pub fn checkpoint_directory(&self, name: &str) -> Option<&Path> {
        self.checkpoint_directories.get(name).map(PathBuf::as_path)
    }

    /// All folders for checkpoints beside the agent's own.
    pub fn checkpoint_directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.checkpoint_directories.values()
    }

    /// Judges a request, and bounds its output on disk.
    ///
    /// # Errors
    /// `Forbidden`, with every offending setting in its message and in `details.settings`.
    pub fn check(&self, tenant: &TenantSlug, mut body: ContainerCreateBody) -> Result<AllowedBody, ApiError> {
        let mut judge = Judge { allowed: &self.allowed, offences: Vec::new() };
        judge.body(tenant, &body);
        if judge.offences.is_empty() {
            creation::bound_output(&mut body);
            return Ok(AllowedBody(body));
        }
        let settings: BTreeSet<&str> = judge.offences.iter().map(|(setting, _)| *setting).collect();
        let settings: Vec<&str> = settings.into_iter().collect();
        let told: Vec<String> =
            judge.offences.iter().map(|(setting, value)| format!("{setting} ({value})")).collect();
        let message = format!(
            "this device does not allow: {}. Leave it out, or let the device's owner put allow = {settings:?} into \
             {POLICY_FILE} in the agent's data folder",
            told.join(", "),
        );
        Err(ApiError::new(ErrorKind::Forbidden, message).with("settings", settings))
    }
}

/// What a container may do beyond an ordinary one, each as the setting and its value; empty for an ordinary one. Processes that were saved
/// keep these rights, so they may only come back where they were given.
pub(crate) fn rights(tenant: &TenantSlug, body: &ContainerCreateBody) -> BTreeSet<String> {
    let mut judge = Judge { allowed: &BTreeSet::new(), offences: Vec::new() };
    judge.body(tenant, body);
    judge.offences.into_iter().map(|(setting, value)| format!("{setting} ({value})")).collect()
}

/// Longest piece of an offending value that an error repeats.
const MAX_TOLD: usize = 80;

struct Judge<'a> {
    allowed: &'a BTreeSet<String>,
    offences: Vec<(&'static str, String)>,
}

/// Whether a value asks for nothing.
trait Absent {
    fn absent(&self) -> bool;
}
impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl<K, V> Absent for HashMap<K, V> {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for String {
    fn absent(&self) -> bool {
        self.is_empty()
    }
}
impl Absent for bool {
    fn absent(&self) -> bool {
        !self
    }
}
impl Absent for i64 {
    fn absent(&self) -> bool {
        *self == 0
    }
}
impl Absent for u16 {
    fn absent(&self) -> bool {
        *self == 0
    }
}

/// Whether it is the tenant's own network, with an address and names in it and nothing else.
fn is_own_network(tenant: &TenantSlug, networks: &NetworkingConfig) -> bool {
    let NetworkingConfig { endpoints_config } = networks;
    endpoints_config.iter().flatten().all(|(name, endpoint)| {
        let plain = EndpointSettings {
            ipam_config: endpoint.ipam_config.clone(),
            aliases: endpoint.aliases.clone(),
            ..EndpointSettings::default()
        };
        *name == network_name(tenant) && *endpoint == plain
    })
}

impl Judge<'_> {
    fn offence(&mut self, setting: &'static str, value: &impl Debug) {
        debug_assert!(SETTINGS.contains(&setting), "{setting} is not listed");
        if !self.allowed.contains(setting) {
            let value: String = format!("{value:?}").chars().take(MAX_TOLD).collect();
            self.offences.push((setting, value));
        }
    }

    fn absent<T: Absent + Debug>(&mut self, setting: &'static str, value: Option<&T>) {
        if let Some(value) = value
            && !value.absent()
        {
            self.offence(setting, value);
        }
    }

    fn one_of(&mut self, setting: &'static str, value: Option<&String>, ordinary: &[&str]) {
        if let Some(value) = value
            && !ordinary.contains(&value.as_str())
        {
            self.offence(setting, value);
        }
    }

    fn body(&mut self, tenant: &TenantSlug, body: &ContainerCreateBody) {
        let ContainerCreateBody {
            // What these say stays inside the container.
            hostname: _,
            domainname: _,
            user: _,
            attach_stdin: _,
            attach_stdout: _,
            attach_stderr: _,
            exposed_ports: _,
            tty: _,
            open_stdin: _,
            stdin_once: _,
            env: _,
            cmd: _,
            healthcheck: _,
            args_escaped: _,
            image: _,
            volumes,
            working_dir: _,
            entrypoint: _,
            network_disabled: _,
            on_build: _,
            labels: _,
            stop_signal: _,
            stop_timeout: _,
            shell: _,
            host_config,
            networking_config,
        } = body;
        self.absent("anonymous_volumes", volumes.as_ref());
        if let Some(networks) = networking_config
            && !is_own_network(tenant, networks)
        {
            self.offence("networks", networks);
        }
        if let Some(host) = host_config {
            self.host(tenant, host);
        }
    }

    fn host(&mut self, tenant: &TenantSlug, host: &HostConfig) {
        let HostConfig {
            // Limits: they only take away.
            memory: _,
            cpu_period: _,
            cpu_quota: _,
            cpuset_cpus: _,
            cpuset_mems: _,
            memory_reservation: _,
            // Where the kernel does not count swap, engines themselves set it to be without end.
            memory_swap: _,
            memory_swappiness: _,
            nano_cpus: _,
            pids_limit: _,
            cpu_count: _,
            cpu_percent: _,
            io_maximum_iops: _,
            io_maximum_bandwidth: _,
            cap_drop: _,
            readonly_rootfs: _,
            restart_policy: _,
            console_size: _,
            shm_size: _,
            init: _,
            cpu_shares,
            blkio_weight,
            cgroup_parent,
            blkio_weight_device,
            blkio_device_read_bps,
            blkio_device_write_bps,
            blkio_device_read_iops,
            blkio_device_write_iops,
            cpu_realtime_period,
            cpu_realtime_runtime,
            devices,
            device_cgroup_rules,
            device_requests,
            oom_kill_disable,
            ulimits,
            binds,
            container_id_file,
            log_config,
            network_mode,
            port_bindings,
            auto_remove,
            volume_driver,
            volumes_from,
            mounts,
            annotations,
            cap_add,
            cgroupns_mode,
            dns,
            dns_options,
            dns_search,
            extra_hosts,
            group_add,
            ipc_mode,
            cgroup,
            links,
            oom_score_adj,
            pid_mode,
            privileged,
            publish_all_ports,
            security_opt,
            storage_opt,
            tmpfs,
            uts_mode,
            userns_mode,
            sysctls,
            runtime,
            isolation,
            masked_paths,
            readonly_paths,
        } = host;
        self.absent("privileged", privileged.as_ref());
        self.absent("cap_add", cap_add.as_ref());
        self.absent("devices", devices.as_ref());
        self.absent("device_cgroup_rules", device_cgroup_rules.as_ref());
        self.absent("device_requests", device_requests.as_ref());
        self.absent("binds", binds.as_ref());
        self.absent("security_opt", security_opt.as_ref());
        let own_network = network_name(tenant);
        self.one_of(
            "network_mode",
            network_mode.as_ref(),
            &["", "default", "bridge", "none", own_network.as_str()],
        );
        self.one_of("pid_mode", pid_mode.as_ref(), &[""]);
        self.one_of("ipc_mode", ipc_mode.as_ref(), &["", "private", "none"]);
        self.one_of("uts_mode", uts_mode.as_ref(), &[""]);
        self.one_of("userns_mode", userns_mode.as_ref(), &[""]);
        let cgroupns = cgroupns_mode.as_ref().map(ToString::to_string);
        self.one_of("cgroupns_mode", cgroupns.as_ref(), &["", "private"]);
        self.absent("cgroup_parent", cgroup_parent.as_ref());
        self.absent("cgroup_parent", cgroup.as_ref());
        self.one_of("runtime", runtime.as_ref(), ORDINARY_RUNTIMES);
        self.absent("sysctls", sysctls.as_ref());
        self.absent("volume_driver", volume_driver.as_ref());
        self.absent("volumes_from", volumes_from.as_ref());
        self.absent("links", links.as_ref());
        self.absent("publish_all_ports", publish_all_ports.as_ref());
        self.absent("auto_remove", auto_remove.as_ref());
        self.absent("group_add", group_add.as_ref());
        self.absent("dns", dns.as_ref());
        self.absent("dns", dns_options.as_ref());
        self.absent("dns", dns_search.as_ref());
        self.absent("extra_hosts", extra_hosts.as_ref());
        self.absent("tmpfs", tmpfs.as_ref());
        self.absent("storage_opt", storage_opt.as_ref());
        self.absent("ulimits", ulimits.as_ref());
        // Less than others have is a limit, more takes from them.
        if cpu_shares.is_some_and(|shares| shares > ORDINARY_CPU_SHARES) {
            self.offence("scheduling", cpu_shares);
        }
        if blkio_weight.is_some_and(|weight| weight > ORDINARY_BLKIO_WEIGHT) {
            self.offence("scheduling", blkio_weight);
        }
        self.absent("scheduling", blkio_weight_device.as_ref());
        self.absent("scheduling", blkio_device_read_bps.as_ref());
        self.absent("scheduling", blkio_device_write_bps.as_ref());
        self.absent("scheduling", blkio_device_read_iops.as_ref());
        self.absent("scheduling", blkio_device_write_iops.as_ref());
        self.absent("scheduling", cpu_realtime_period.as_ref());
        self.absent("scheduling", cpu_realtime_runtime.as_ref());
        self.absent("oom", oom_kill_disable.as_ref());
        self.absent("oom", oom_score_adj.as_ref());
        self.absent("other", container_id_file.as_ref());
        self.absent("other", annotations.as_ref());
        // An empty list here is not "nothing": it takes the engine's own masks away.
        if let Some(paths) = masked_paths {
            self.offence("masked_paths", paths);
        }
        if let Some(paths) = readonly_paths {
            self.offence("masked_paths", paths);
        }
        if let Some(isolation) = isolation {
            self.offence("other", isolation);
        }
        self.log(log_config.as_ref());
        self.ports(port_bindings.as_ref());
        for mount in mounts.iter().flatten() {
            self.mount(tenant, mount);
        }
    }

    fn log(&mut self, config: Option<&HostConfigLogConfig>) {
        let Some(HostConfigLogConfig { typ, config }) = config else { return };
        self.one_of("log_driver", typ.as_ref(), &["", LOG_DRIVER]);
        for option in
            config.iter().flatten().filter(|(key, _)| !["max-size", "max-file"].contains(&key.as_str()))
        {
            self.offence("log_driver", &option);
        }
    }

    fn ports(&mut self, bindings: Option<&PortMap>) {
        for binding in bindings.into_iter().flatten().filter_map(|(_, bindings)| bindings.as_ref()).flatten()
        {
            self.absent("host_ip", binding.host_ip.as_ref());
        }
    }

    /// Allowed is a plain volume of the tenant's own, whole.
    fn mount(&mut self, tenant: &TenantSlug, mount: &Mount) {
        let Mount {
            target: _,
            source,
            typ,
            read_only: _,
            consistency: _,
            bind_options,
            volume_options,
            image_options,
            tmpfs_options,
        } = mount;
        let own_source = source.as_deref().is_some_and(|source| source.starts_with(&volume_prefix(tenant)));
        let plain = match volume_options {
            None => true,
            Some(MountVolumeOptions { no_copy: _, labels: _, driver_config, subpath }) => {
                driver_config.is_none() && subpath.is_none()
            }
        };
        let other_options = bind_options.is_some() || image_options.is_some() || tmpfs_options.is_some();
        if *typ != Some(MountType::VOLUME) || !own_source || !plain || other_options {
            self.offence("mounts", mount);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

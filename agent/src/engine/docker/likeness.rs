//! From the engine's inspection of a container to the request that creates its like on another device. No I/O.
//!
//! Only what the platform itself sets is taken over, so that the other device's policy can judge the request as it judges
//! any other; defaults that an engine filled in are the other engine's to fill in.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, HostConfig, Mount,
    MountPoint, MountType, NetworkingConfig, PortBinding,
};

/// The request. `network` is the engine's name of the tenant's network; ports get the numbers that they have now.
pub(super) fn body(inspection: &ContainerInspectResponse, network: &str) -> ContainerCreateBody {
    let config = inspection.config.clone().unwrap_or_default();
    let host = inspection.host_config.clone().unwrap_or_default();
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    ContainerCreateBody {
        hostname: set(config.hostname),
        domainname: set(config.domainname),
        user: set(config.user),
        exposed_ports: config.exposed_ports,
        tty: config.tty,
        open_stdin: config.open_stdin,
        env: config.env,
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        image: config.image,
        working_dir: set(config.working_dir),
        entrypoint: config.entrypoint,
        labels: config.labels,
        stop_signal: config.stop_signal,
        stop_timeout: config.stop_timeout,
        networking_config: networking(inspection, network),
        host_config: Some(HostConfig {
            port_bindings: Some(ports(inspection, &host)),
            mounts: Some(mounts(inspection.mounts.as_deref().unwrap_or_default())),
            binds: host.binds.filter(|binds| !binds.is_empty()),
            memory: host.memory.filter(|bytes| *bytes > 0),
            nano_cpus: host.nano_cpus.filter(|cpus| *cpus > 0),
            pids_limit: host.pids_limit.filter(|pids| *pids > 0),
            restart_policy: host.restart_policy,
            log_config: host.log_config,
            privileged: host.privileged.filter(|privileged| *privileged),
            cap_add: host.cap_add.filter(|caps| !caps.is_empty()),
            devices: host.devices.filter(|devices| !devices.is_empty()),
            security_opt: host.security_opt.filter(|options| !options.is_empty()),
            network_mode: host.network_mode,
            pid_mode: set(host.pid_mode),
            ipc_mode: set(host.ipc_mode),
            shm_size: host.shm_size,
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

fn networking(inspection: &ContainerInspectResponse, network: &str) -> Option<NetworkingConfig> {
    let networks = inspection.network_settings.as_ref()?.networks.as_ref()?;
    let there = networks.get(network)?;
    let ipv4_address = there.ipam_config.as_ref()?.ipv4_address.clone();
    let id = inspection.id.as_deref().unwrap_or_default();
    // The engine adds the short id to the names; another engine gives another one.
    let aliases = there.aliases.clone().unwrap_or_default();
    let aliases = aliases.into_iter().filter(|alias| !id.starts_with(alias.as_str())).collect();
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig { ipv4_address, ..EndpointIpamConfig::default() }),
        aliases: Some(aliases),
        ..EndpointSettings::default()
    };
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])) })
}

fn ports(
    inspection: &ContainerInspectResponse,
    host: &HostConfig,
) -> HashMap<String, Option<Vec<PortBinding>>> {
    let wanted = host.port_bindings.clone().unwrap_or_default();
    let network = inspection.network_settings.as_ref();
    let now = network.and_then(|network| network.ports.clone()).unwrap_or_default();
    let bound = |port: &String| {
        let bindings = now.get(port).cloned().flatten().unwrap_or_default();
        bindings.into_iter().find_map(|binding| binding.host_port)
    };
    let kept = wanted.into_iter().map(|(port, bindings)| {
        let host_port = bound(&port).or_else(|| bindings.into_iter().flatten().find_map(|one| one.host_port));
        (port, Some(vec![PortBinding { host_ip: None, host_port }]))
    });
    kept.collect()
}

fn mounts(points: &[MountPoint]) -> Vec<Mount> {
    let volumes = points.iter().filter(|point| point.typ.as_deref() == Some("volume"));
    let mount = |point: &MountPoint| Mount {
        typ: Some(MountType::VOLUME),
        source: point.name.clone(),
        target: point.destination.clone(),
        read_only: Some(!point.rw.unwrap_or(true)),
        ..Mount::default()
    };
    volumes.map(mount).collect()
}

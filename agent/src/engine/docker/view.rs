//! From the engine's inspection of a container or image to what the platform shows of it. No I/O.

use std::{collections::HashMap, path::PathBuf};

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState as EngineState, ContainerStateStatusEnum,
    HealthStatusEnum, HostConfig, ImageInspect, ImageSummary, MountPoint, PortMap, RestartPolicyNameEnum,
};
use ecep_proto::api::{
    container::{
        ContainerDetail, ContainerState, ContainerView, Limits, PortMapping, Protocol, RestartPolicy,
        VolumeMount,
    },
    image::ImageView,
    label,
};

use crate::{
    clock::parse_rfc3339,
    creation::volume_prefix,
    engine::{EngineContainer, Health, ImageFacts, kept_of_name, replaced_of_name},
    network::network_name,
};

/// The container, if its labels say that it is one of the platform's, and not a copy that a move has left.
pub(super) fn container(inspection: ContainerInspectResponse) -> Option<EngineContainer> {
    let name = inspection.name.as_deref().unwrap_or_default();
    let name = name.trim_start_matches('/');
    if kept_of_name(name).is_some() {
        return None;
    }
    let replacing = replaced_of_name(name);
    let config = inspection.config.unwrap_or_default();
    let host = inspection.host_config.unwrap_or_default();
    let state = inspection.state.unwrap_or_default();
    let labels = config.labels.clone().unwrap_or_default();
    let tenant: ecep_proto::api::name::TenantSlug = parsed(&labels, label::TENANT)?;
    let name: ecep_proto::api::name::ContainerName = parsed(&labels, label::NAME)?;
    let status = status(&state);
    let live = matches!(status, ContainerState::Running | ContainerState::Paused);
    let hosts_file = inspection.hosts_path.filter(|path| !path.is_empty()).map(PathBuf::from);
    let network = inspection.network_settings.unwrap_or_default();
    let own_network = network.networks.as_ref().and_then(|all| all.get(&network_name(&tenant)));
    // The fixed one; what the engine assigned is empty while the container does not run.
    let address =
        own_network.and_then(|endpoint| endpoint.ipam_config.as_ref()?.ipv4_address.as_deref()?.parse().ok());
    let ports = if live { network.ports } else { host.port_bindings.clone() };
    let view = ContainerView {
        id: parsed(&labels, label::CONTAINER)?,
        application: parsed(&labels, label::APPLICATION).or_else(|| name.as_str().parse().ok())?,
        name,
        image: config.image.clone().unwrap_or_default(),
        state: status,
        exit_code: state
            .exit_code
            .filter(|_| matches!(status, ContainerState::Exited | ContainerState::Dead)),
        created_at: inspection.created.as_deref().and_then(parse_rfc3339).unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(parse_rfc3339),
        ports: published(ports.unwrap_or_default()),
        address,
        version: labels.get(label::VERSION).and_then(|number| number.parse().ok()),
        run_once: labels.contains_key(label::RUN_ONCE),
    };
    let prefix = volume_prefix(&tenant);
    let detail = ContainerDetail {
        container: view,
        tenant: tenant.clone(),
        engine_id: inspection.id?,
        command: inspection.path.into_iter().chain(inspection.args.unwrap_or_default()).collect(),
        env_names: env_names(&config),
        volumes: in_order(
            inspection.mounts.unwrap_or_default().into_iter().filter_map(|mount| volume(&prefix, mount)),
        ),
        limits: limits(&host),
        restart: restart(&host),
        tty: config.tty.unwrap_or_default(),
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        restart_count: inspection
            .restart_count
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
    };
    Some(EngineContainer {
        tenant,
        operation: parsed(&labels, label::OPERATION),
        detail,
        hosts_file,
        health: state.health.and_then(|health| health.status).and_then(health),
        healthy_after_seconds: parsed(&labels, label::HEALTHY_AFTER),
        replacing,
    })
}

fn health(status: HealthStatusEnum) -> Option<Health> {
    match status {
        HealthStatusEnum::STARTING => Some(Health::Starting),
        HealthStatusEnum::HEALTHY => Some(Health::Healthy),
        HealthStatusEnum::UNHEALTHY => Some(Health::Unhealthy),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

/// What an inspection says of an image.
pub(super) fn image_facts(image: ImageInspect) -> ImageFacts {
    let architecture = image.architecture.unwrap_or_default();
    let variant = image.variant.filter(|variant| architecture == "arm" && !variant.is_empty());
    ImageFacts {
        id: image.id.unwrap_or_default(),
        tags: image
            .repo_tags
            .unwrap_or_default()
            .into_iter()
            .filter(|tag| !tag.starts_with("<none>"))
            .collect(),
        architecture: variant.map_or(architecture.clone(), |variant| format!("{architecture}/{variant}")),
        on_build: image.config.and_then(|config| config.on_build).unwrap_or_default(),
    }
}

/// An image of the engine's list.
pub(super) fn image(image: ImageSummary) -> ImageView {
    ImageView {
        id: image.id,
        tags: image.repo_tags.into_iter().filter(|tag| !tag.starts_with("<none>")).collect(),
        size_bytes: u64::try_from(image.size).unwrap_or_default(),
        created_at: u64::try_from(image.created).unwrap_or_default().saturating_mul(1000),
    }
}

fn parsed<T: std::str::FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
    labels.get(key)?.parse().ok()
}

fn status(state: &EngineState) -> ContainerState {
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING) => {
            ContainerState::Running
        }
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => ContainerState::Removing,
        Some(ContainerStateStatusEnum::EXITED) => ContainerState::Exited,
        Some(ContainerStateStatusEnum::DEAD) => ContainerState::Dead,
        Some(ContainerStateStatusEnum::CREATED | ContainerStateStatusEnum::EMPTY) | None => {
            ContainerState::Created
        }
    }
}

/// The engine lists a port once for IPv4 and once for IPv6; it is one to us.
fn published(ports: PortMap) -> Vec<PortMapping> {
    let mut found = Vec::new();
    for (key, bindings) in ports {
        let Some((port, protocol)) = key.split_once('/') else { continue };
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => continue,
        };
        let Ok(container) = port.parse() else { continue };
        for binding in bindings.unwrap_or_default() {
            let host = binding.host_port.and_then(|port| port.parse().ok()).filter(|port| *port != 0);
            let mapping = PortMapping { container, host, protocol };
            if !found.contains(&mapping) {
                found.push(mapping);
            }
        }
    }
    found.sort_by_key(|port| (port.container, port.protocol == Protocol::Udp, port.host));
    found
}

fn env_names(config: &ContainerConfig) -> Vec<String> {
    let name = |pair: &String| pair.split_once('=').map_or(pair.as_str(), |(name, _)| name).to_owned();
    config.env.iter().flatten().map(name).collect()
}

/// The engine tells them in another order each time.
fn in_order(volumes: impl Iterator<Item = VolumeMount>) -> Vec<VolumeMount> {
    let mut volumes: Vec<_> = volumes.collect();
    volumes.sort_by(|one, other| one.target.cmp(&other.target));
    volumes
}

fn volume(prefix: &str, mount: MountPoint) -> Option<VolumeMount> {
    Some(VolumeMount {
        volume: mount.name?.strip_prefix(prefix)?.parse().ok()?,
        target: mount.destination?,
        read_only: !mount.rw.unwrap_or(true),
    })
}

fn limits(host: &HostConfig) -> Limits {
    let positive = |value: Option<i64>| value.filter(|value| *value > 0);
    #[expect(clippy::cast_precision_loss, reason = "billionths of a core are far below 2^53")]
    let cpus = positive(host.nano_cpus).map(|nano| nano as f64 / 1e9);
    Limits {
        memory_bytes: positive(host.memory).and_then(|bytes| u64::try_from(bytes).ok()),
        cpus,
        pids: positive(host.pids_limit).and_then(|pids| u32::try_from(pids).ok()),
    }
}

fn restart(host: &HostConfig) -> RestartPolicy {
    match host.restart_policy.as_ref().and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure,
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inspection(labels: &serde_json::Value) -> ContainerInspectResponse {
        serde_json::from_value(json!({
            "Id": "abc", "Created": "1970-01-01T00:00:01Z", "Path": "sh", "Args": ["-c", "x"], "RestartCount": 2,
            "State": {"Status": "running", "Running": true, "Pid": 42, "ExitCode": 0,
                      "StartedAt": "1970-01-01T00:00:02.5Z", "FinishedAt": "0001-01-01T00:00:00Z"},
            "Config": {"Image": "app:1", "Env": ["SECRET=hunter2"], "Tty": true, "Labels": labels},
            "HostConfig": {"NanoCpus": 500_000_000, "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}},
            "NetworkSettings": {"Ports": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
                "81/tcp": null,
            }},
            "Mounts": [{"Type": "volume", "Name": "ecep_acme_data", "Destination": "/data", "RW": false}],
        }))
        .unwrap()
    }

    /// What the dashboard shows comes from here; and values of variables may be secrets.
    #[test]
    fn an_inspection_becomes_the_platforms_view() {
        let labels = json!({(label::TENANT): "acme", (label::CONTAINER): "c1", (label::NAME): "web",
                            (label::APPLICATION): "shop", (label::OPERATION): "op-1"});
        let container = container(inspection(&labels)).unwrap();
        assert_eq!(container.tenant.as_str(), "acme");
        assert_eq!(container.operation.unwrap().as_str(), "op-1");
        let detail = container.detail;
        assert_eq!(detail.container.started_at, Some(2_500));
        assert_eq!(detail.container.exit_code, None);
        let port = PortMapping { container: 80, host: Some(8080), protocol: Protocol::Tcp };
        assert_eq!(detail.container.ports, [port]);
        assert_eq!(detail.env_names, ["SECRET"]);
        assert_eq!(detail.command, ["sh", "-c", "x"]);
        assert_eq!(detail.limits.cpus, Some(0.5));
        assert_eq!(detail.restart, RestartPolicy::Always);
        assert_eq!((detail.pid, detail.tty, detail.restart_count), (Some(42), true, 2));
        assert_eq!(detail.volumes[0].volume.as_str(), "data");
        assert!(detail.volumes[0].read_only);
    }

    /// A container of somebody else must not exist for the platform.
    #[test]
    fn a_container_without_our_labels_is_not_ours() {
        assert_eq!(container(inspection(&json!({}))), None);
        assert_eq!(container(inspection(&json!({(label::CONTAINER): "c1"}))), None);
    }
}

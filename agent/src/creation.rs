//! From an order to create a container to the request for the engine: bounds, then translation. No I/O.
//! What is allowed is not decided here but in `policy`, over what comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigLogConfig, Mount, MountType, NetworkingConfig, PortBinding,
    RestartPolicy as EngineRestartPolicy, RestartPolicyNameEnum,
};
use ecep_fleet::image_reference::ImageReference;
use ecep_proto::api::{
    container::{CreateContainer, Limits, PortMapping, Privileges, Protocol, RestartPolicy, VolumeMount},
    error::ApiError,
    label,
    name::{ContainerId, ContainerName, OperationId, TenantSlug},
    network::AssignedAddress,
};

use crate::{engine::NamedVolume, network::network_name};

/// The engine's log driver for our containers: the one whose output can be read back.
pub const LOG_DRIVER: &str = "json-file";
/// A container's output on disk: this many files of this size, so that no talker fills a small device.
const LOG_MAX_SIZE: &str = "10m";
const LOG_MAX_FILES: &str = "3";

/// What the engine's names of this tenant's volumes begin with. A slug cannot hold the `_`, so that no
/// tenant's prefix is the beginning of another's.
pub fn volume_prefix(tenant: &TenantSlug) -> String {
    format!("ecep_{tenant}_")
}

/// The volumes that the order names.
pub fn volumes(tenant: &TenantSlug, order: &CreateContainer) -> Vec<NamedVolume> {
    let names: BTreeSet<&ContainerName> = order.volumes.iter().map(|mount| &mount.volume).collect();
    let named = |name: &ContainerName| NamedVolume {
        engine_name: format!("{}{name}", volume_prefix(tenant)),
        tenant: tenant.clone(),
        name: name.to_string(),
    };
    names.into_iter().map(named).collect()
}

/// The request for the engine.
///
/// # Errors
/// `InvalidArgument` where the order is out of bounds; the message says which part, and what is allowed.
pub fn body(
    tenant: &TenantSlug,
    container: &ContainerId,
    operation: &OperationId,
    image: &ImageReference,
    order: &CreateContainer,
) -> Result<ContainerCreateBody, ApiError> {
    ecep_fleet::wanted::check(&order.into())?;
    let CreateContainer {
        name,
        application,
        image: _,
        command,
        env,
        ports,
        volumes,
        limits,
        restart,
        tty,
        privileges,
        start: _,
        operation: _,
    } = order;
    let application = application.as_ref().map_or_else(|| name.to_string(), ToString::to_string);
    let labels = HashMap::from([
        (label::TENANT.to_owned(), tenant.to_string()),
        (label::CONTAINER.to_owned(), container.to_string()),
        (label::NAME.to_owned(), name.to_string()),
        (label::APPLICATION.to_owned(), application),
        (label::OPERATION.to_owned(), operation.to_string()),
    ]);
    Ok(ContainerCreateBody {
        image: Some(image.as_str().to_owned()),
        cmd: command.clone(),
        env: Some(env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        tty: Some(*tty),
        open_stdin: Some(*tty),
        labels: Some(labels),
        exposed_ports: Some(ports.iter().map(port_key).collect::<BTreeSet<_>>().into_iter().collect()),
        host_config: Some(host_config(tenant, ports, volumes, limits, *restart, privileges)),
        ..ContainerCreateBody::default()
    })
}

/// Puts the container into its tenant's network, under its address for life.
pub fn join_network(body: &mut ContainerCreateBody, name: &ContainerName, assigned: &AssignedAddress) {
    let network = network_name(&assigned.subnet.tenant);
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(assigned.address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        aliases: Some(vec![name.to_string()]),
        ..EndpointSettings::default()
    };
    body.host_config.get_or_insert_default().network_mode = Some(network.clone());
    body.networking_config =
        Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) });
}

fn host_config(
    tenant: &TenantSlug,
    ports: &[PortMapping],
    volumes: &[VolumeMount],
    limits: &Limits,
    restart: RestartPolicy,
    privileges: &Privileges,
) -> HostConfig {
    let mut bindings: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
    for port in ports {
        // An empty port asks the engine for any free one.
        let host_port = Some(port.host.map(|port| port.to_string()).unwrap_or_default());
        bindings.entry(port_key(port)).or_default().push(PortBinding { host_ip: None, host_port });
    }
    let mount = |mount: &VolumeMount| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(format!("{}{}", volume_prefix(tenant), mount.volume)),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Mount::default()
    };
    let device = |path: &String| DeviceMapping {
        path_on_host: Some(path.clone()),
        path_in_container: Some(path.clone()),
        cgroup_permissions: Some("rwm".to_owned()),
    };
    let listed = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    HostConfig {
        port_bindings: Some(bindings.into_iter().map(|(port, bindings)| (port, Some(bindings))).collect()),
        mounts: Some(volumes.iter().map(mount).collect()),
        memory: limits.memory_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
        nano_cpus: limits.cpus.map(nano_cpus),
        pids_limit: limits.pids.map(i64::from),
        restart_policy: Some(EngineRestartPolicy {
            name: Some(restart_name(restart)),
            maximum_retry_count: None,
        }),
        log_config: Some(log_config()),
        privileged: privileges.privileged.then_some(true),
        cap_add: listed(&privileges.cap_add),
        devices: (!privileges.devices.is_empty()).then(|| privileges.devices.iter().map(device).collect()),
        binds: listed(&privileges.binds),
        security_opt: listed(&privileges.security_opt),
        network_mode: privileges.network_mode.clone(),
        pid_mode: privileges.pid_mode.clone(),
        ipc_mode: privileges.ipc_mode.clone(),
        ..HostConfig::default()
    }
}

/// How a container's output is kept on disk: so much of it, and no more.
fn log_config() -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some(LOG_DRIVER.to_owned()),
        config: Some(HashMap::from([
            ("max-size".to_owned(), LOG_MAX_SIZE.to_owned()),
            ("max-file".to_owned(), LOG_MAX_FILES.to_owned()),
        ])),
    }
}

/// Bounds a container's output on disk, whatever the request says of it: one that comes from another device may say nothing. Where the
/// device's owner allows another driver, that one keeps it.
pub fn bound_output(body: &mut ContainerCreateBody) {
    let log = &mut body.host_config.get_or_insert_default().log_config;
    let driver = log.as_ref().and_then(|log| log.typ.as_deref()).unwrap_or_default();
    if driver.is_empty() || driver == LOG_DRIVER {
        *log = Some(log_config());
    }
}

/// Billionths of a core, in which the engine counts.
#[expect(clippy::cast_possible_truncation, reason = "checked: finite, and no more than any device has")]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn port_key(port: &PortMapping) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.container)
}

fn restart_name(restart: RestartPolicy) -> RestartPolicyNameEnum {
    match restart {
        RestartPolicy::No => RestartPolicyNameEnum::NO,
        RestartPolicy::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        RestartPolicy::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        RestartPolicy::Always => RestartPolicyNameEnum::ALWAYS,
    }
}

#[cfg(test)]
mod tests {
    use ecep_proto::api::error::ErrorKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::Policy;

    fn order(more: &Value) -> CreateContainer {
        let mut order = json!({"name": "web", "image": "nginx"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(order).unwrap()
    }

    fn build(more: &Value) -> Result<ContainerCreateBody, ApiError> {
        let tenant = "acme".parse().unwrap();
        let image = "nginx".parse().unwrap();
        body(&tenant, &"c1".parse().unwrap(), &"op-1".parse().unwrap(), &image, &order(more))
    }

    /// The labels are the truth about whose a container is, and every ordinary order passes the allow-list.
    #[test]
    fn an_ordinary_order_carries_its_labels_and_passes_the_policy() {
        let body = build(&json!({
            "ports": [{"container": 80, "host": 8080}, {"container": 53, "protocol": "udp"}],
            "volumes": [{"volume": "data", "target": "/data"}],
            "limits": {"memory_bytes": 33_554_432, "cpus": 0.5, "pids": 64},
            "env": {"A": "1"},
            "restart": "unless-stopped",
        }))
        .unwrap();
        let body = Policy::default().check(&"acme".parse().unwrap(), body).unwrap().into_inner();
        let labels = body.labels.unwrap();
        assert_eq!(labels[label::TENANT], "acme");
        assert_eq!(labels[label::CONTAINER], "c1");
        assert_eq!(labels[label::APPLICATION], "web");
        assert_eq!(labels[label::OPERATION], "op-1");
        let host = body.host_config.unwrap();
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.mounts.unwrap()[0].source.as_deref(), Some("ecep_acme_data"));
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some(LOG_DRIVER));
        assert_eq!(
            host.port_bindings.unwrap()["80/tcp"].as_ref().unwrap()[0].host_port.as_deref(),
            Some("8080")
        );
    }

    /// A device's disk must not be filled by output, also where a request comes from a device that says nothing of it, or too much.
    #[test]
    fn output_on_disk_is_bounded_on_every_path() {
        let acme = "acme".parse().unwrap();
        let unbounded = HostConfigLogConfig {
            typ: None,
            config: Some(HashMap::from([("max-size".to_owned(), "100g".to_owned())])),
        };
        for log in [None, Some(unbounded)] {
            let mut asked = build(&json!({})).unwrap();
            asked.host_config.get_or_insert_default().log_config = log;
            let allowed = Policy::default().check(&acme, asked).unwrap().into_inner();
            assert_eq!(allowed.host_config.unwrap().log_config, Some(log_config()));
        }
    }

    /// Each privilege must arrive in the engine's request, else the policy would judge something else.
    #[test]
    fn every_privilege_reaches_the_policy() {
        for (name, value) in [
            ("privileged", json!(true)),
            ("cap_add", json!(["NET_ADMIN"])),
            ("devices", json!(["/dev/mem"])),
            ("binds", json!(["/:/host"])),
            ("security_opt", json!(["seccomp=unconfined"])),
            ("network_mode", json!("host")),
            ("pid_mode", json!("host")),
            ("ipc_mode", json!("host")),
        ] {
            let body = build(&json!({"privileges": {name: value}})).unwrap();
            let error = Policy::default().check(&"acme".parse().unwrap(), body).expect_err(name);
            assert!(error.message.contains(name), "{error}");
        }
    }

    /// What is out of bounds is refused before the engine sees it, and the message says which part.
    #[test]
    fn orders_out_of_bounds_are_refused() {
        let many: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        let volume = |target: &str| json!({"volumes": [{"volume": "data", "target": target}]});
        for (more, part) in [
            (json!({"command": many}), "command"),
            (json!({"command": ["a\0b"]}), "command"),
            (json!({"env": {"": "x"}}), "env"),
            (json!({"env": {"A=B": "x"}}), "env"),
            (json!({"env": {"A": "x".repeat(70_000)}}), "env"),
            (json!({"ports": [{"container": 0}]}), "ports"),
            (json!({"ports": [{"container": 1, "host": 80}, {"container": 2, "host": 80}]}), "ports"),
            (volume("data"), "volumes"),
            (volume("/a/../etc"), "volumes"),
            (volume("/"), "volumes"),
            (volume("/a:/b"), "volumes"),
            (json!({"limits": {"memory_bytes": 1000}}), "memory_bytes"),
            (json!({"limits": {"cpus": 0.0}}), "cpus"),
            (json!({"limits": {"pids": 0}}), "pids"),
            (json!({"privileges": {"binds": ["x".repeat(1000)]}}), "binds"),
        ] {
            let error = build(&more).expect_err(part);
            assert_eq!(error.uri, ErrorKind::InvalidArgument);
            assert!(error.message.contains(part), "{error} should name {part}");
        }
    }

    /// A refusal goes into the agent's log: what it repeats of an order must not look like other lines there.
    #[test]
    fn refusals_hold_no_line_breaks() {
        for more in [
            json!({"env": {"=\nA FORGED LINE": "x"}}),
            json!({"volumes": [{"volume": "data", "target": "x\n\u{1b}[2K"}]}),
        ] {
            let message = build(&more).unwrap_err().message;
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }

    /// No tenant's volume prefix may be the beginning of another's.
    #[test]
    fn volume_names_of_tenants_cannot_meet() {
        let prefix = |slug: &str| volume_prefix(&slug.parse().unwrap());
        assert!(!format!("{}c", prefix("a-b")).starts_with(&prefix("a")));
    }
}

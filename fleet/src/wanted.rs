//! The bounds of what a container may hold, judged by the control plane when a version is added and by the agent when a container
//! is created. What a device's owner allows is not decided here.

use std::collections::{BTreeMap, BTreeSet};

use ecep_proto::api::{
    application::Settings,
    container::{CreateContainer, Limits, PortMapping, Privileges, Protocol, VolumeMount},
    error::{ApiError, ErrorKind},
};

/// What an order may hold at most. A device is small, and all of it is kept by the engine for the
/// container's life.
const MAX_ARGUMENTS: usize = 128;
const MAX_COMMAND_BYTES: usize = 32 * 1024;
const MAX_VARIABLES: usize = 128;
const MAX_ENV_BYTES: usize = 64 * 1024;
const MAX_PORTS: usize = 64;
const MAX_VOLUMES: usize = 32;
const MAX_TARGET_BYTES: usize = 512;
const MAX_PRIVILEGES: usize = 32;
const MAX_PRIVILEGE_BYTES: usize = 512;
/// The engine's own lower bound.
const MIN_MEMORY_BYTES: u64 = 6 * 1024 * 1024;
/// The engine's own lower bound.
const MIN_CPUS: f64 = 0.01;
/// More than any device has; the engine itself refuses more than there are.
const MAX_CPUS: f64 = 1024.0;

/// What is wanted of a container.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    command: &'a [String],
    env: &'a BTreeMap<String, String>,
    ports: &'a [PortMapping],
    volumes: &'a [VolumeMount],
    limits: &'a Limits,
    privileges: &'a Privileges,
}

impl<'a> From<&'a CreateContainer> for Wanted<'a> {
    fn from(order: &'a CreateContainer) -> Self {
        Self {
            command: order.command.as_deref().unwrap_or_default(),
            env: &order.env,
            ports: &order.ports,
            volumes: &order.volumes,
            limits: &order.limits,
            privileges: &order.privileges,
        }
    }
}

impl<'a> From<&'a Settings> for Wanted<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self {
            command: settings.command.as_deref().unwrap_or_default(),
            env: &settings.env,
            ports: &settings.ports,
            volumes: &settings.volumes,
            limits: &settings.limits,
            privileges: &settings.privileges,
        }
    }
}

/// Refuses what no container may hold.
///
/// # Errors
/// `InvalidArgument`, with the field and its bound.
pub fn check(wanted: &Wanted<'_>) -> Result<(), ApiError> {
    let arguments = wanted.command;
    at_most("arguments in command", arguments.len(), MAX_ARGUMENTS)?;
    at_most("bytes in command", arguments.iter().map(String::len).sum(), MAX_COMMAND_BYTES)?;
    arguments.iter().try_for_each(|argument| without_nul("command", argument))?;

    at_most("variables in env", wanted.env.len(), MAX_VARIABLES)?;
    at_most(
        "bytes in env",
        wanted.env.iter().map(|(key, value)| key.len() + value.len()).sum(),
        MAX_ENV_BYTES,
    )?;
    for (key, value) in wanted.env {
        if key.is_empty() || key.contains('=') {
            return Err(invalid(format!(
                "env: {key:?} is no name for a variable; it must not be empty or hold '='"
            )));
        }
        without_nul("env", key)?;
        without_nul("env", value)?;
    }
    check_ports(wanted.ports)?;
    check_volumes(wanted.volumes)?;
    check_limits(wanted.limits)?;
    check_privileges(wanted.privileges)
}

fn check_ports(ports: &[PortMapping]) -> Result<(), ApiError> {
    at_most("ports", ports.len(), MAX_PORTS)?;
    let mut taken = BTreeSet::new();
    for port in ports {
        if port.container == 0 || port.host == Some(0) {
            return Err(invalid(
                "ports: 0 is no port; use 1 to 65535, and leave `host` out for any free one",
            ));
        }
        if let Some(host) = port.host
            && !taken.insert((host, port.protocol == Protocol::Udp))
        {
            return Err(invalid(format!("ports: the device's port {host} is given twice")));
        }
    }
    Ok(())
}

fn check_volumes(volumes: &[VolumeMount]) -> Result<(), ApiError> {
    at_most("volumes", volumes.len(), MAX_VOLUMES)?;
    let mut targets = BTreeSet::new();
    for VolumeMount { volume, target, .. } in volumes {
        let absolute = target.starts_with('/') && target.len() > 1;
        let plain = !target.split('/').any(|part| part == "..") && !target.contains(['\0', ':']);
        if !absolute || !plain || target.len() > MAX_TARGET_BYTES {
            return Err(invalid(format!(
                "volumes: the target {target:?} of {volume} is not a plain absolute path; it begins with '/', is not \
                 '/' itself, has no '..' and no ':' and at most {MAX_TARGET_BYTES} bytes"
            )));
        }
        if !targets.insert(target.trim_end_matches('/')) {
            return Err(invalid(format!("volumes: the target {target:?} is given twice")));
        }
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), ApiError> {
    if let Some(bytes) = limits.memory_bytes
        && (bytes < MIN_MEMORY_BYTES || i64::try_from(bytes).is_err())
    {
        return Err(invalid(format!(
            "limits: memory_bytes is {bytes}; use at least {MIN_MEMORY_BYTES} (6 MiB)"
        )));
    }
    if let Some(cpus) = limits.cpus
        && !(MIN_CPUS..=MAX_CPUS).contains(&cpus)
    {
        return Err(invalid(format!(
            "limits: cpus is {cpus}; use {MIN_CPUS} to the number of the device's cores"
        )));
    }
    if limits.pids == Some(0) {
        return Err(invalid("limits: pids is 0; use at least 1, or leave it out"));
    }
    Ok(())
}

fn check_privileges(privileges: &Privileges) -> Result<(), ApiError> {
    let Privileges { privileged: _, cap_add, devices, binds, security_opt, network_mode, pid_mode, ipc_mode } =
        privileges;
    let lists =
        [("cap_add", cap_add), ("devices", devices), ("binds", binds), ("security_opt", security_opt)];
    for (name, list) in lists {
        at_most(&format!("privileges.{name}"), list.len(), MAX_PRIVILEGES)?;
        at_most(
            &format!("bytes in privileges.{name}"),
            list.iter().map(String::len).sum(),
            MAX_PRIVILEGE_BYTES,
        )?;
    }
    for mode in [network_mode, pid_mode, ipc_mode].into_iter().flatten() {
        at_most("bytes in a mode of privileges", mode.len(), MAX_PRIVILEGE_BYTES)?;
    }
    Ok(())
}

fn at_most(what: &str, count: usize, most: usize) -> Result<(), ApiError> {
    if count > most {
        return Err(invalid(format!("{what}: {count} given, at most {most} are allowed")));
    }
    Ok(())
}

fn without_nul(what: &str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(invalid(format!("{what} contains a NUL character; leave it out")));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}

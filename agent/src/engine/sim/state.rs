//! What the simulated engine holds: containers, images, volumes, and the rules of their changes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    str::FromStr,
};

use bollard::models::{ContainerCreateBody, HostConfig, RestartPolicyNameEnum};
use bytes::Bytes;
use ecep_proto::api::{
    container::{
        ContainerDetail, ContainerState, ContainerView, Limits, LogStream, PortMapping, Protocol,
        RestartPolicy, VolumeMount,
    },
    label,
    name::TenantSlug,
};

use super::{is_live, now, terminal::Terminal};
use crate::engine::{EngineContainer, EngineError, Health, engine_name, replaced_of_name};

/// The first port handed out where none was asked for, as Linux does.
const FIRST_FREE_PORT: u16 = 32_768;
/// Lines of output kept; the oldest go.
const MAX_OUTPUT: usize = 1_000;
/// The exit code of a program that SIGTERM ended.
const TERMINATED: i64 = 143;

#[derive(Default)]
pub(super) struct World {
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) disk_used: BTreeMap<TenantSlug, u64>,
    pub(super) terminals: HashMap<String, Terminal>,
    names: HashMap<String, String>,
    created: u64,
}

#[derive(Clone, Default)]
pub(super) struct Image {
    /// Containers of it have a check of their own.
    pub(super) has_check: bool,
    pub(super) on_build: Vec<String>,
}

pub(super) struct Container {
    pub(super) seen: EngineContainer,
    pub(super) output: VecDeque<Written>,
    /// Files by their absolute paths.
    pub(super) files: BTreeMap<String, Bytes>,
    wanted_ports: Vec<PortMapping>,
    has_check: bool,
}

/// A line of output.
#[derive(Clone)]
pub(super) struct Written {
    /// In nanoseconds since 1970; rises.
    pub(super) at: u64,
    pub(super) stream: LogStream,
    pub(super) text: String,
}

impl World {
    /// By id, or by name as with Docker.
    pub(super) fn container(&mut self, engine_id: &str) -> Result<&mut Container, EngineError> {
        let id = self.names.get(engine_id).map_or(engine_id, String::as_str);
        let none = || EngineError::NotFound(format!("there is no container {engine_id}"));
        self.containers.get_mut(id).ok_or_else(none)
    }

    /// The device's ports that other containers hold.
    pub(super) fn ports_in_use(&self, but_by: &str) -> Vec<u16> {
        let others = self.containers.iter().filter(|(id, _)| *id != but_by);
        let live = others.filter(|(_, container)| is_live(container.seen.view().state));
        live.flat_map(|(_, container)| &container.seen.view().ports).filter_map(|port| port.host).collect()
    }

    pub(super) fn create(&mut self, name: &str, body: ContainerCreateBody) -> Result<String, EngineError> {
        if self.names.contains_key(name) {
            return Err(EngineError::Conflict(format!("the name {name} is in use")));
        }
        let image = body.image.clone().unwrap_or_default();
        let Some(has_check) = self.images.get(&image).map(|image| image.has_check) else {
            return Err(EngineError::NotFound(format!("there is no image {image} on this device")));
        };
        self.created += 1;
        let id = format!("{:064x}", self.created);
        let mut container = Container::new(&id, body)
            .ok_or_else(|| EngineError::Invalid("the labels do not say whose container it is".to_owned()))?;
        container.has_check = has_check;
        self.containers.insert(id.clone(), container);
        self.names.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    pub(super) fn rename(&mut self, engine_id: &str, name: &str) -> Result<(), EngineError> {
        if self.names.contains_key(name) {
            return Err(EngineError::Conflict(format!("the name {name} is in use")));
        }
        self.container(engine_id)?.seen.replacing = replaced_of_name(name);
        let id = self.names.get(engine_id).cloned().unwrap_or_else(|| engine_id.to_owned());
        self.names.retain(|_, other| *other != id);
        self.names.insert(name.to_owned(), id);
        Ok(())
    }

    /// Whether it is being replaced, and the new one is there.
    pub(super) fn has_successor(&self, seen: &EngineContainer) -> bool {
        seen.replacing.is_some() && self.names.contains_key(&engine_name(&seen.view().id))
    }

    pub(super) fn remove(&mut self, engine_id: &str, force: bool) -> Result<(), EngineError> {
        if is_live(self.container(engine_id)?.seen.view().state) && !force {
            return Err(EngineError::Conflict(
                "the container runs; stop it first, or delete it with `force`".to_owned(),
            ));
        }
        let id = self.names.get(engine_id).cloned().unwrap_or_else(|| engine_id.to_owned());
        self.containers.remove(&id);
        self.names.retain(|_, other| *other != id);
        Ok(())
    }

    pub(super) fn remove_image(&mut self, reference: &str) -> Result<(), EngineError> {
        if self.containers.values().any(|container| container.seen.view().image == reference) {
            return Err(EngineError::Conflict(format!(
                "the image {reference} is in use; delete its containers first"
            )));
        }
        if self.images.remove(reference).is_none() {
            return Err(EngineError::NotFound(format!("there is no image {reference} on this device")));
        }
        Ok(())
    }
}

impl Container {
    fn new(id: &str, body: ContainerCreateBody) -> Option<Self> {
        let labels = body.labels.unwrap_or_default();
        let host = body.host_config.unwrap_or_default();
        let env = body.env.unwrap_or_default();
        let name = |pair: &String| pair.split_once('=').map_or(pair.as_str(), |(name, _)| name).to_owned();
        let ports = ports(&host);
        let view = ContainerView {
            id: parsed(&labels, label::CONTAINER)?,
            name: parsed(&labels, label::NAME)?,
            application: parsed(&labels, label::APPLICATION)?,
            image: body.image.unwrap_or_default(),
            state: ContainerState::Created,
            exit_code: None,
            created_at: now(),
            started_at: None,
            ports: ports.clone(),
            address: None,
            version: labels.get(label::VERSION).and_then(|number| number.parse().ok()),
            run_once: labels.contains_key(label::RUN_ONCE),
        };
        let tenant: TenantSlug = parsed(&labels, label::TENANT)?;
        let detail = ContainerDetail {
            container: view,
            tenant: tenant.clone(),
            engine_id: id.to_owned(),
            command: body.cmd.unwrap_or_default(),
            env_names: env.iter().map(name).collect(),
            volumes: volumes(&crate::creation::volume_prefix(&tenant), &host),
            limits: Limits {
                memory_bytes: host.memory.and_then(|bytes| u64::try_from(bytes).ok()),
                #[expect(clippy::cast_precision_loss, reason = "billionths of a core are far below 2^53")]
                cpus: host.nano_cpus.map(|nano| nano as f64 / 1e9),
                pids: host.pids_limit.and_then(|pids| u32::try_from(pids).ok()),
            },
            restart: match host.restart_policy.and_then(|policy| policy.name) {
                Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
                Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
                Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure,
                Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
            },
            tty: body.tty.unwrap_or_default(),
            pid: None,
            restart_count: 0,
            oom_killed: false,
        };
        let seen = EngineContainer {
            tenant,
            operation: parsed(&labels, label::OPERATION),
            detail,
            hosts_file: None,
            health: None,
            healthy_after_seconds: parsed(&labels, label::HEALTHY_AFTER),
            replacing: None,
        };
        Some(Self {
            seen,
            output: VecDeque::new(),
            files: BTreeMap::new(),
            wanted_ports: ports,
            has_check: false,
        })
    }

    fn view(&mut self) -> &mut ContainerView {
        &mut self.seen.detail.container
    }

    /// Answers whether it did not run before.
    pub(super) fn start(&mut self, taken: &[u16]) -> Result<bool, EngineError> {
        if is_live(self.view().state) {
            return Ok(false);
        }
        let mut ports = self.wanted_ports.clone();
        for index in 0..ports.len() {
            let mine: Vec<u16> = ports.iter().filter_map(|port| port.host).collect();
            match ports[index].host {
                Some(port) if taken.contains(&port) => {
                    return Err(EngineError::Conflict(format!(
                        "the device's port {port} is taken by another container or program; choose another port, or \
                         leave `host` out for any free one"
                    )));
                }
                Some(_) => {}
                None => {
                    ports[index].host =
                        (FIRST_FREE_PORT..).find(|port| !taken.contains(port) && !mine.contains(port))
                }
            }
        }
        let at = now();
        self.seen.health = self.has_check.then_some(Health::Starting);
        let image = self.view().image.clone();
        let view = self.view();
        view.ports = ports;
        view.state = ContainerState::Running;
        view.exit_code = None;
        view.started_at = Some(at);
        self.write(LogStream::Stdout, format!("{image} runs"));
        Ok(true)
    }

    /// Writes a line.
    pub(super) fn write(&mut self, stream: LogStream, text: String) {
        if self.output.len() == MAX_OUTPUT {
            self.output.pop_front();
        }
        let after = self.output.back().map_or(0, |last| last.at + 1);
        self.output.push_back(Written { at: (now() * 1_000_000).max(after), stream, text });
    }

    /// Answers whether it ran before.
    pub(super) fn stop(&mut self) -> bool {
        let ran = is_live(self.view().state);
        if ran {
            self.exited(TERMINATED);
        }
        ran
    }

    pub(super) fn exited(&mut self, code: i64) {
        let ports = self.wanted_ports.clone();
        let view = self.view();
        view.state = ContainerState::Exited;
        view.exit_code = Some(code);
        view.ports = ports;
    }
}

fn parsed<T: FromStr>(labels: &HashMap<String, String>, key: &str) -> Option<T> {
    labels.get(key)?.parse().ok()
}

fn ports(host: &HostConfig) -> Vec<PortMapping> {
    let mut found = Vec::new();
    for (key, bindings) in host.port_bindings.iter().flatten() {
        let Some((port, protocol)) = key.split_once('/') else { continue };
        let Ok(container) = port.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bindings.iter().flatten() {
            let host = binding.host_port.as_deref().and_then(|port| port.parse().ok());
            found.push(PortMapping { container, host, protocol });
        }
    }
    found.sort_by_key(|port| (port.container, port.protocol == Protocol::Udp, port.host));
    found
}

fn volumes(prefix: &str, host: &HostConfig) -> Vec<VolumeMount> {
    let mount = |mount: &bollard::models::Mount| {
        Some(VolumeMount {
            volume: mount.source.as_deref()?.strip_prefix(prefix)?.parse().ok()?,
            target: mount.target.clone()?,
            read_only: mount.read_only.unwrap_or_default(),
        })
    };
    host.mounts.iter().flatten().filter_map(mount).collect()
}

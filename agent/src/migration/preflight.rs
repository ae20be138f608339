//! What stands in the way of a move, looked at before anything is touched: each end answers for itself, in sentences that
//! say how to mend it.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ecep_fleet::quota::{Action, Demand};
use ecep_proto::api::{
    container::{PortMapping, Protocol},
    device::MigrationFacts,
    error::ApiError,
    migration::{Check, Checks, MigrationEnd, Needs, Survey, Verdict},
    name::{ContainerId, TenantSlug},
};
use ecep_runtime::{
    probe::{Trial, probe},
    register::RUNTIME_NAME,
    runc,
};
use tokio::{sync::watch, time::sleep};

use super::{
    Shared,
    plan::Plan,
    step::{Why, is_of_full_disk},
};
use crate::{
    creation::volume_prefix,
    engine::{
        Engine, EngineContainer, EngineError,
        docker::{kept::Kept, mobility::Portrait},
    },
    quotas::Admitted,
};

/// What must stay free on a disk beyond what a move brings: a full disk stops engines and agents.
const DISK_RESERVE: u64 = 200 * 1024 * 1024;
/// What must stay free of memory beyond what a container had.
const MEMORY_RESERVE: u64 = 64 * 1024 * 1024;

/// Between two trials while a full disk is in the way.
const RETRY_EVERY: Duration = Duration::from_secs(10);

/// Whether containers of this device can be moved with their memory.
pub struct Capability {
    runtime: PathBuf,
    folder: PathBuf,
    facts: watch::Sender<Option<MigrationFacts>>,
}

impl Capability {
    /// Not tried out yet. `runtime` is the `ecep-runtime` program, `data` the agent's folder.
    pub fn new(runtime: PathBuf, data: &Path) -> Self {
        Self { runtime, folder: data.join("probe"), facts: watch::Sender::new(None) }
    }

    /// What was found; none until it was tried.
    pub fn facts(&self) -> Option<MigrationFacts> {
        self.facts.borrow().clone()
    }

    /// Each change.
    pub fn changes(&self) -> watch::Receiver<Option<MigrationFacts>> {
        self.facts.subscribe()
    }

    /// Tries it out on a container of our own; takes some seconds. Where a full disk is in the way, until it is not.
    pub async fn try_out(&self) {
        while let Err(reason) = self.try_once().await
            && is_of_full_disk(&reason)
        {
            sleep(RETRY_EVERY).await;
        }
    }

    async fn try_once(&self) -> Result<(), String> {
        let (runtime, folder) = (self.runtime.clone(), self.folder.clone());
        let outcome = tokio::task::spawn_blocking(move || {
            if !runtime.is_file() {
                return Err(format!("{} is missing; install it beside the agent", runtime.display()));
            }
            let runc = runc::find().ok_or("runc is not installed, or not found on the agent's PATH")?;
            // Left by an agent that was killed at it.
            drop(fs::remove_dir_all(&folder));
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            let trial = Trial { runtime: &runtime, runc: &runc, criu: None, folder: &folder };
            probe(&trial).map_err(|error| error.to_string())
        });
        let outcome = outcome.await.unwrap_or_else(|error| Err(error.to_string()));
        let reason = match &outcome {
            Ok(capability) => {
                tracing::info!(dump = ?capability.dump.elapsed, restore = ?capability.restore, "containers can be moved live");
                None
            }
            Err(reason) => {
                tracing::warn!(%reason, "containers cannot be moved live, only cold");
                Some(reason.lines().next().unwrap_or_default().to_owned())
            }
        };
        let facts = MigrationFacts { live: outcome.is_ok(), reason, cgroup_version: cgroup_version() };
        self.facts.send_replace(Some(facts));
        outcome.map(drop)
    }
}

/// What a container here needs, and what stands in the way.
pub(super) async fn survey<E: Engine>(
    shared: &Shared<E>,
    tenant: &TenantSlug,
    container: &ContainerId,
) -> Result<Survey, ApiError> {
    let found = shared.orders.find(tenant, container).await?;
    let engine_id = &found.detail.engine_id;
    let portrait = shared.mobility.portrait(tenant, engine_id, true).await.map_err(EngineError::into_api)?;
    let needs = needs(shared, &found, &portrait).await?;
    let mut checks = Checklist::new(MigrationEnd::Source);
    checks.engine(shared).await;
    look_at_container(&mut checks, &portrait);
    for (name, _) in &portrait.volumes {
        let users = shared.mobility.users_of_volume(name).await.map_err(EngineError::into_api)?;
        let plain = name.strip_prefix(&volume_prefix(tenant));
        match plain {
            None => checks.add(Verdict::Refused, format!("the volume {name} is not one of the platform's")),
            Some(plain) if users.iter().any(|user| *user != portrait.engine_id) => {
                let kept = shared.mobility.kept(tenant).await.map_err(EngineError::into_api)?;
                checks.add(
                    Verdict::Refused,
                    match kept.iter().find(|kept| kept.volumes.contains(name)) {
                        Some(kept) => of_kept(shared, plain, kept),
                        None => format!(
                            "the volume {plain} is used by another container too, which would lose it; delete that one first"
                        ),
                    },
                );
            }
            Some(_) => {}
        }
    }
    if let Err(error) = shared.orders.quotas.allow(tenant, Action::MoveAway) {
        checks.add(Verdict::Refused, error.message);
    }
    checks.disk(&shared.folder, needs.memory_bytes + needs.image_bytes);
    Ok(Survey { needs, checks: checks.done() })
}

/// What a container needs wherever it goes.
pub(super) async fn needs<E: Engine>(
    shared: &Shared<E>,
    found: &EngineContainer,
    portrait: &Portrait,
) -> Result<Needs, ApiError> {
    let image = shared.mobility.image(&portrait.image_id).await.map_err(EngineError::into_api)?;
    let (pid, volumes) = (portrait.pid, portrait.volumes.clone());
    let measured = tokio::task::spawn_blocking(move || {
        let sizes = volumes.into_iter().map(|(name, place)| {
            let bytes = super::files::size(&place).unwrap_or_default();
            (name, bytes)
        });
        (pid.map(memory_of).unwrap_or_default(), sizes.collect::<Vec<_>>())
    });
    let (memory_bytes, volumes) = measured.await.unwrap_or_default();
    let view = found.view();
    Ok(Needs {
        tenant: found.tenant.clone(),
        container: view.id.clone(),
        name: view.name.clone(),
        image_id: portrait.image_id.clone(),
        architecture: machine(),
        is_running: portrait.is_running,
        memory_bytes,
        image_bytes: image.map(|image| image.bytes).unwrap_or_default(),
        writable_bytes: portrait.writable_bytes,
        volumes,
        ports: view.ports.clone(),
        cgroup_version: cgroup_version(),
        cpu_features: cpu_features(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        limits: found.detail.limits.clone(),
    })
}

fn look_at_container(checks: &mut Checklist, portrait: &Portrait) {
    if !portrait.is_running {
        checks.add(Verdict::Live, "the container does not run, so only its files move");
    } else if portrait.is_paused {
        checks.add(Verdict::Refused, "the container is paused by somebody; let it go on first");
    }
    if portrait.is_running && portrait.runtime != RUNTIME_NAME {
        checks.add(
            Verdict::Cold,
            "the container was created before the engine knew the runtime that can restore it; create it anew to move it live",
        );
    }
    if portrait.init {
        checks.add(
            Verdict::Cold,
            "the container has a process 1 of the engine's (--init), which cannot be restored",
        );
    }
    if portrait.auto_remove {
        checks.add(
            Verdict::Refused,
            "the engine deletes the container when it ends (--rm), and its files with it",
        );
    }
    if !portrait.binds.is_empty() {
        let binds = portrait.binds.join(", ");
        checks.add(
            Verdict::Refused,
            format!(
                "the container uses files of this device ({binds}); create it with a named volume instead"
            ),
        );
    }
    if portrait.network_mode == "host" || portrait.network_mode.starts_with("container:") {
        checks.add(
            Verdict::Cold,
            "the container shares a network that stays here, so it cannot be cut off while it moves",
        );
    } else if portrait.is_running && !portrait.in_network && portrait.network_mode != "none" {
        checks.add(
            Verdict::Cold,
            "the container is not in its tenant's network, so it would get another address; create it anew to move it live",
        );
    }
    if portrait.upper.is_none() {
        checks.add(
            Verdict::Refused,
            "the engine does not say where the container's files are; only overlay2 is supported",
        );
    }
}

/// Takes a container's part of its tenant's quota: by the request that creates it here, not by what the source says of it.
pub(super) async fn admit<E: Engine>(shared: &Shared<E>, plan: &Plan) -> Result<Admitted, Why> {
    let host = plan.body.host_config.as_ref();
    let positive = |number: Option<i64>| {
        number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
    };
    let wanted = Demand {
        nano_cpus: positive(host.and_then(|host| host.nano_cpus)),
        memory_bytes: positive(host.and_then(|host| host.memory)),
    };
    let Needs { tenant, container, .. } = &plan.needs;
    let action = Action::MoveIn { publishes: plan.publishes() };
    let admitted = shared.orders.quotas.admit(tenant, container, action, wanted, files_of(&plan.needs)).await;
    admitted.map_err(|error| error.message)
}

fn moves_in(needs: &Needs) -> Action {
    Action::MoveIn { publishes: !needs.ports.is_empty() }
}

/// Bytes of files that a move brings.
fn files_of(needs: &Needs) -> u64 {
    needs.volumes.iter().map(|(_, bytes)| bytes).sum::<u64>() + needs.writable_bytes
}

/// What stands in the way of a container coming here.
pub(super) async fn check<E: Engine>(shared: &Shared<E>, needs: &Needs) -> Result<Checks, ApiError> {
    let mut checks = Checklist::new(MigrationEnd::Destination);
    checks.engine(shared).await;
    if needs.architecture != machine() {
        checks.add(
            Verdict::Refused,
            format!("the container is made for {}, this device is {}", needs.architecture, machine()),
        );
    }
    if needs.is_running && needs.cgroup_version != cgroup_version() {
        checks.add(
            Verdict::Cold,
            format!(
                "the source has control groups of version {}, this device {}; processes cannot be restored across",
                needs.cgroup_version,
                cgroup_version()
            ),
        );
    }
    let own: BTreeSet<String> =
        cpu_features(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()).into_iter().collect();
    let missing: Vec<&String> = needs.cpu_features.iter().filter(|feature| !own.contains(*feature)).collect();
    if needs.is_running && !missing.is_empty() {
        let some: Vec<&str> = missing.iter().take(5).map(|feature| feature.as_str()).collect();
        checks.add(
            Verdict::Cold,
            format!("this device's processor lacks what the container may use: {}", some.join(", ")),
        );
    }
    let listed = shared.engine.list().await.map_err(EngineError::into_api)?;
    let others = listed.iter().filter(|other| other.view().id != needs.container);
    if let Some(other) =
        others.clone().find(|other| other.tenant == needs.tenant && other.view().name == needs.name)
    {
        checks.add(
            Verdict::Refused,
            format!(
                "the name {} is taken here by {}; delete that container first",
                needs.name,
                other.view().id
            ),
        );
    }
    for port in &needs.ports {
        let Some(host) = port.host else { continue };
        let is_same = |one: &PortMapping| one.host == Some(host) && one.protocol == port.protocol;
        let holder = others.clone().find(|other| other.view().ports.iter().any(is_same));
        if let Some(other) = holder {
            checks.add(
                Verdict::Refused,
                if other.tenant == needs.tenant {
                    format!("port {host} is taken here by container {}; free it first", other.view().name)
                } else {
                    format!("port {host} is taken here; use another device, or create the container with another port")
                },
            );
        } else if !is_free(host, port.protocol) {
            checks.add(
                Verdict::Refused,
                format!("port {host} is taken here by another program; free it first"),
            );
        }
    }
    for (name, _) in &needs.volumes {
        if shared.mobility.volume(name).await.map_err(EngineError::into_api)?.is_none() {
            continue;
        }
        let plain = name.strip_prefix(&volume_prefix(&needs.tenant)).unwrap_or(name);
        let kept = shared.mobility.kept(&needs.tenant).await.map_err(EngineError::into_api)?;
        checks.add(
            Verdict::Refused,
            match kept.iter().find(|kept| kept.volumes.contains(name)) {
                Some(kept) => of_kept(shared, plain, kept),
                None => format!(
                    "this device has a volume {plain} of its own, which would be lost; delete or rename it first"
                ),
            },
        );
    }
    let files = files_of(needs);
    let quotas = &shared.orders.quotas;
    let wanted = Demand::of(&needs.limits);
    let hindrance = quotas.hindrance(&needs.tenant, &needs.container, moves_in(needs), wanted, files).await?;
    if let Some(text) = hindrance {
        checks.add(Verdict::Refused, text);
    }
    let image = shared.mobility.image(&needs.image_id).await.map_err(EngineError::into_api)?;
    let image_bytes = if image.is_some() { 0 } else { needs.image_bytes };
    // The image's archive and the files arrive in our folder, and are there until the engine's folder has them too.
    let (arriving, kept) = (needs.memory_bytes + files + image_bytes, files + image_bytes);
    match shared.engine.storage().await.filter(|engine| !is_one_disk(engine, &shared.folder)) {
        Some(engine) => {
            checks.disk(&shared.folder, arriving);
            checks.disk(&engine, kept);
        }
        None => checks.disk(&shared.folder, arriving + kept),
    }
    let free = available_memory();
    if free < needs.memory_bytes.saturating_add(MEMORY_RESERVE) {
        checks.add(
            Verdict::Refused,
            format!(
                "this device has {} of memory left, the container needs {}",
                readable(free),
                readable(needs.memory_bytes)
            ),
        );
    }
    Ok(Checks { checks: checks.done(), image_bytes })
}

/// A volume that lies here with a copy that a move has left.
fn of_kept<E>(shared: &Shared<E>, volume: &str, kept: &Kept) -> String {
    format!(
        "the volume {volume} is here with the stopped copy of {} that move {} was asked to keep; delete that copy first: “Kept \
         copies” in the dashboard, or ecep.device.{}.container.kept.delete",
        kept.view.name, kept.view.migration, shared.device
    )
}

struct Checklist {
    end: MigrationEnd,
    checks: Vec<Check>,
}

impl Checklist {
    fn new(end: MigrationEnd) -> Self {
        Self { end, checks: Vec::new() }
    }

    fn add(&mut self, verdict: Verdict, text: impl Into<String>) {
        self.checks.push(Check::new(self.end, verdict, text));
    }

    async fn engine<E: Engine>(&mut self, shared: &Shared<E>) {
        let facts = shared.engine.facts().await;
        if !facts.reachable {
            self.add(Verdict::Refused, "the container engine does not answer; look at it on the device");
            return;
        }
        let version = facts.version.as_deref().unwrap_or("of unknown version");
        self.add(Verdict::Live, format!("Docker {version} answers"));
        if facts.live_restore == Some(false) {
            self.add(
                Verdict::Cold,
                "containers stop when this engine restarts; put \"live-restore\": true into its daemon.json and reload it",
            );
        }
        match shared.capability.facts() {
            Some(MigrationFacts { live: true, .. }) => {
                self.add(Verdict::Live, "saving and restoring a container was tried out here, and works");
            }
            Some(MigrationFacts { reason, .. }) => {
                let reason = reason.unwrap_or_default();
                self.add(Verdict::Cold, format!("containers cannot be restored here: {reason}"));
            }
            None => self.add(
                Verdict::Cold,
                "saving and restoring is being tried out here; ask again in a few seconds",
            ),
        }
        if !shared.engine.has_runtime(RUNTIME_NAME).await {
            self.add(
                Verdict::Cold,
                "this engine does not know the runtime that restores containers; run `ecep-agent setup` on the device",
            );
        }
    }

    fn disk(&mut self, folder: &Path, needed: u64) {
        let there = existing(folder);
        let Ok(disk) = rustix::fs::statvfs(there) else { return };
        let free = disk.f_bavail * disk.f_frsize;
        if free < needed.saturating_add(DISK_RESERVE) {
            self.add(
                Verdict::Refused,
                format!(
                    "the disk of {} has {} left, the move needs {} and {} must stay free; free some space first",
                    there.display(),
                    readable(free),
                    readable(needed),
                    readable(DISK_RESERVE)
                ),
            );
        }
    }

    fn done(self) -> Vec<Check> {
        self.checks
    }
}

/// A folder, or the nearest one above it that is there.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(folder)
}

fn is_one_disk(one: &Path, other: &Path) -> bool {
    let disk = |folder: &Path| fs::metadata(existing(folder)).map(|found| found.dev()).ok();
    disk(one) == disk(other)
}

fn is_free(port: u16, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Tcp => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok(),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok(),
    }
}

fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

/// 2 where the unified hierarchy is what is mounted (cgroups(7)).
fn cgroup_version() -> u8 {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { 2 } else { 1 }
}

/// The first processor's features: `flags` on x86, `Features` on ARM (proc(5)).
fn cpu_features(cpuinfo: &str) -> Vec<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    let words = line.and_then(|line| line.split_once(':')).map(|(_, words)| words).unwrap_or_default();
    words.split_whitespace().map(ToOwned::to_owned).collect()
}

/// Bytes that the processes of a container occupy: all that share its process-id namespace.
fn memory_of(pid: i32) -> u64 {
    let namespace = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/pid")).map(|found| found.ino()).ok();
    let Some(own) = namespace(&pid.to_string()) else { return 0 };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str().map(ToOwned::to_owned));
    let resident = |pid: String| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    let numbers = pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.filter(|pid| namespace(pid) == Some(own)).filter_map(resident).sum::<u64>() * 1024
}

fn available_memory() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.map_or(u64::MAX, |kilobytes| kilobytes * 1024)
}

fn readable(bytes: u64) -> String {
    const MB: u64 = 1024 * 1024;
    if bytes < MB { format!("{} KB", bytes / 1024) } else { format!("{} MB", bytes / MB) }
}

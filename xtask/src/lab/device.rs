//! One edge device: its namespaces, its address and its Docker engine, which can be started, killed and started again.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use super::plan::{Plan, TOKEN_VARIABLE};
use super::process::{POLL, Process};
use super::{FullDisk, System, disks, mounts, network};
use crate::{interrupt, shell};

/// An engine is up in about a second; a busy two-core machine that starts several needs more.
const ENGINE_LIMIT: Duration = Duration::from_secs(60);

/// Most init programs reap at once; some look only every few seconds.
const REAP_LIMIT: Duration = Duration::from_secs(30);

/// An engine that answers at all answers a ping at once.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// One device of a lab.
#[derive(Debug)]
pub struct Device {
    number: u8,
    name: String,
    address: Ipv4Addr,
    token: String,
    netns: PathBuf,
    mounts: PathBuf,
    /// None where another process has the lab.
    _holder: Option<Process>,
    run_dir: PathBuf,
    data_dir: PathBuf,
    has_own_disk: bool,
    network: String,
    cable: String,
    engine: Mutex<Option<Process>>,
}

impl Device {
    /// Makes a device's namespaces; its engine is not started yet.
    pub(super) fn create(plan: &Plan, number: u8, system: &System) -> Result<Self> {
        network::make_device(plan, number)?;
        disks::make(plan, number)?;
        let holder = mounts::hold(plan, number, system)?;
        Ok(Self::of(plan, number, mounts::path(holder.pid()), Some(holder)))
    }

    /// A device of another process's lab.
    pub(super) fn open(plan: &Plan, number: u8) -> Result<Self> {
        Ok(Self::of(plan, number, mounts::find(plan, number)?, None))
    }

    fn of(plan: &Plan, number: u8, mounts: PathBuf, holder: Option<Process>) -> Self {
        Self {
            number,
            name: plan.device_name(number),
            address: plan.address(number),
            token: plan.token.clone(),
            netns: plan.netns_path(number),
            mounts,
            _holder: holder,
            run_dir: plan.device_run_dir(number),
            data_dir: plan.device_data_dir(number),
            has_own_disk: plan.disk_bytes.is_some(),
            network: plan.network(),
            cable: plan.veth(number),
            engine: Mutex::new(None),
        }
    }

    /// Counted from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The name of its network namespace and of the cgroup above its containers.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for its network namespace.
    pub fn network_namespace(&self) -> &Path {
        &self.netns
    }

    /// Its address on the lab's bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The engine's socket.
    pub fn docker_socket(&self) -> PathBuf {
        self.run_dir.join("docker.sock")
    }

    /// The engine's address, as `DOCKER_HOST` wants it.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.docker_socket().display())
    }

    /// A folder for what the device keeps: the engine's data is in `docker`, logs are beside it; an agent may add its
    /// own. It is gone after the lab.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where runc keeps the state of the engine's containers.
    pub fn exec_root(&self) -> PathBuf {
        self.run_dir.join("exec")
    }

    /// Does something in the device's network: sockets that are made there stay there, whoever has them afterwards.
    ///
    /// # Errors
    /// The system does not let us in, or the work fails.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = fs::File::open(&self.netns)?;
        // Of a thread that ends, because a thread that went in would have to find its way back.
        let inside = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            worker.join()
        });
        inside.map_err(|_| anyhow!("what was to be done inside {} panicked", self.name))?
    }

    /// A command that runs inside the device: its network, its mounts, its engine as `DOCKER_HOST`. The program must be
    /// named by an absolute path or be on the PATH. The working folder is `/`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        // Not `ip netns exec`: it mounts another /sys, which hides the cgroups.
        command.arg(format!("--net={}", self.netns.display()));
        command.arg(format!("--mount={}", self.mounts.display()));
        command.arg("--").arg(program);
        command.env(TOKEN_VARIABLE, &self.token).env("DOCKER_HOST", self.docker_host());
        command.env("TMPDIR", self.data_dir.join("tmp"));
        command
    }

    /// Starts a [`Device::command`] in the background, its output in `<data_dir>/<name>.log`. `prepare` adds
    /// arguments and environment.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn spawn(
        &self,
        name: &str,
        program: impl AsRef<OsStr>,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Process> {
        let mut command = self.command(program);
        prepare(&mut command);
        Process::start(
            &format!("{name} on {}", self.name),
            command,
            &self.data_dir.join(format!("{name}.log")),
        )
    }

    /// The `docker` client, talking to this device's engine.
    pub fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        // One variable of the caller's would point the client elsewhere.
        command
            .env("DOCKER_HOST", self.docker_host())
            .env_remove("DOCKER_CONTEXT")
            .env("DOCKER_BUILDKIT", "0");
        command
    }

    /// Runs the `docker` client to its end and answers what it printed.
    ///
    /// # Errors
    /// It failed; the message says what it said.
    pub fn run_docker<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        Ok(shell::output(self.docker().args(arguments))?.trim_end().to_owned())
    }

    /// Starts the engine, without waiting for it. Does nothing when it runs.
    ///
    /// # Errors
    /// The files cannot be written, or dockerd is missing.
    pub fn start_engine(&self) -> Result<()> {
        let mut engine = self.engine();
        if let Some(running) = engine.as_mut()
            && running.exit_status()?.is_none()
        {
            return Ok(());
        }
        self.wait_for_old_containerd()?;
        fs::create_dir_all(&self.run_dir)?;
        fs::create_dir_all(self.data_dir.join("tmp"))?;
        let configuration = self.run_dir.join("daemon.json");
        // Once: what was added since (a runtime) stays, as on a real device.
        if !configuration.exists() {
            fs::write(&configuration, serde_json::to_vec_pretty(&self.engine_configuration())?)?;
        }
        let mut command = self.command("dockerd");
        command.arg("--config-file").arg(&configuration).env("PATH", engine_path()?);
        *engine = Some(Process::start(
            &format!("dockerd on {}", self.name),
            command,
            &self.data_dir.join("dockerd.log"),
        )?);
        Ok(())
    }

    /// Waits until the engine answers.
    ///
    /// # Errors
    /// It was not started, it ended, or it does not answer in time; the message closes with its log.
    pub fn wait_ready(&self) -> Result<()> {
        let mut engine = self.engine();
        let engine =
            engine.as_mut().with_context(|| format!("the engine on {} was not started", self.name))?;
        engine.wait_until("answering", ENGINE_LIMIT, || ping(&self.docker_socket()).is_ok())
    }

    /// Kills the engine (SIGKILL). Its containers go on, as it is configured with `live-restore`.
    ///
    /// # Errors
    /// It was not started, or the system refuses.
    pub fn kill_engine(&self) -> Result<()> {
        match self.engine().take() {
            Some(mut engine) => engine.kill(),
            None => bail!("the engine on {} was not started", self.name),
        }
    }

    /// Fills its disk up to `leave` bytes, and keeps it so until the answer's drop.
    ///
    /// # Errors
    /// It has no disk of its own, or that cannot be written to.
    pub fn fill_disk(&self, leave: u64) -> Result<FullDisk> {
        if !self.has_own_disk {
            bail!("{} shares this machine's disk, which nobody wants full", self.name);
        }
        FullDisk::fill(&self.data_dir, leave)
    }

    /// Bytes that are free on its disk.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn free_space(&self) -> Result<u64> {
        disks::free(&self.data_dir)
    }

    /// The other end of its cable, in this machine's own network.
    pub fn cable(&self) -> &str {
        &self.cable
    }

    /// The engine's configuration file.
    pub fn engine_configuration_file(&self) -> PathBuf {
        self.run_dir.join("daemon.json")
    }

    /// The file with the engine's process id.
    pub fn engine_pid_file(&self) -> PathBuf {
        self.run_dir.join("dockerd.pid")
    }

    /// The engine's process id.
    pub fn engine_pid(&self) -> Option<u32> {
        self.engine().as_ref().map(Process::pid)
    }

    /// A killed engine takes its containerd with it, a moment later. While that is dying, or init has not reaped it, its
    /// number still looks alive to the next engine, which would try to reach it and give up.
    fn wait_for_old_containerd(&self) -> Result<()> {
        let note = self.exec_root().join("containerd/containerd.pid");
        let Ok(pid) = fs::read_to_string(note) else { return Ok(()) };
        let stat = format!("/proc/{}/stat", pid.trim());
        let start = Instant::now();
        while fs::read_to_string(&stat).is_ok_and(|stat| stat.contains("(containerd)")) {
            if start.elapsed() > REAP_LIMIT {
                bail!("process 1 of this machine does not reap the ended containerd {}", pid.trim());
            }
            interrupt::wait(POLL);
            interrupt::check()?;
        }
        Ok(())
    }

    fn engine(&self) -> MutexGuard<'_, Option<Process>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn engine_configuration(&self) -> serde_json::Value {
        json!({
            "hosts": [self.docker_host()],
            "data-root": self.data_dir.join("docker"),
            "exec-root": self.exec_root(),
            "pidfile": self.run_dir.join("dockerd.pid"),
            "storage-driver": "overlay2",
            // Without it an engine that is killed takes its containers with it when it starts again.
            "live-restore": true,
            // Checkpoints.
            "experimental": true,
            // A cgroup that tells this device's containers from everyone else's.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "cgroup-parent": format!("/{}", self.name),
            "log-driver": "json-file",
            "log-opts": {"max-size": "5m", "max-file": "2"},
            "insecure-registries": [self.network],
        })
    }
}

/// CRIU of our own comes first where the machine's is not good enough; runc looks for `criu` on the engine's PATH.
///
/// # Errors
/// The PATH cannot be put together.
pub(crate) fn engine_path() -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = crate::setup::criu_folder().into_iter().chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(folders)?)
}

/// Asks an engine whether it is up (Docker Engine API, `GET /_ping`).
fn ping(socket: &Path) -> Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PING_LIMIT))?;
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.0 200") && !answer.starts_with("HTTP/1.1 200") {
        bail!("the engine answered {:?}", answer.lines().next());
    }
    Ok(())
}

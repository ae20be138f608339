//! What Podman can do, as the second baseline: `podman container checkpoint --export`, a copy of that file over the same link,
//! `podman container restore --import`. Only where it is installed. Each device has a Podman of its own: its settings, images
//! and addresses are in the device's folder.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::carry::carry;
use super::cells::Cell;
use super::cpu::Cpu;
use super::subject::{Subject, Took, environment, milliseconds};
use crate::lab::{self, Device, Lab};
use crate::stack::Route;
use crate::{shell, wait};

const NETWORK: &str = "bench-podman";
const CONTAINER: &str = "bench-podman";
const EXPORT: &str = "export.tar";

/// Both devices, ready for Podman's containers.
pub(super) struct Podman<'a> {
    lab: &'a Lab,
    cpus: &'a [Cpu],
    address: Ipv4Addr,
    route: Route,
}

/// Whether there is a Podman.
pub(super) fn is_installed() -> bool {
    shell::is_on_path("podman")
}

fn folder(device: &Device) -> PathBuf {
    device.data_dir().join("podman")
}

fn podman(device: &Device) -> Result<Command> {
    let mut command = device.command("podman");
    let folder = folder(device);
    command.env("CONTAINERS_CONF", folder.join("containers.conf")).env("PATH", lab::engine_path()?);
    command.arg("--root").arg(folder.join("images")).arg("--runroot").arg(folder.join("run"));
    command.args(["--storage-driver", "overlay"]);
    Ok(command)
}

impl<'a> Podman<'a> {
    /// Gives every device its settings, a network and the image.
    pub(super) fn prepare(lab: &'a Lab, cpus: &'a [Cpu]) -> Result<Self> {
        let subnet = lab.spare_network(1);
        let [a, b, c, _] = subnet.octets();
        for device in lab.devices() {
            configure(device, subnet)?;
            super::accept(device, subnet)?;
            let image = folder(device).join("image.tar");
            shell::output(device.docker().args(["save", lab::COUNTER_IMAGE, "--output"]).arg(&image))?;
            shell::output(podman(device)?.args(["load", "--quiet", "--input"]).arg(&image))?;
        }
        let address = Ipv4Addr::new(a, b, c, 10);
        Ok(Self { lab, cpus, address, route: Route::add(format!("{address}/32"), lab.device(1))? })
    }

    /// Starts a container on device `at`.
    pub(super) fn create(&self, cell: &Cell, at: u8) -> Result<PodmanContainer<'_>> {
        let device = self.lab.device(at);
        let mut container = PodmanContainer { podman: self, at };
        container.remove()?;
        let mut command = podman(device)?;
        command.args(["run", "--detach", "--name", CONTAINER, "--network", NETWORK]);
        // Podman would raise these, which not every machine lets it.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.args(["--ip", &self.address.to_string(), "--cgroup-parent", &format!("/{}", device.name())]);
        for (name, value) in environment(cell) {
            command.args(["--env", &format!("{name}={value}")]);
        }
        // By its id, because how Podman completes a name depends on its settings.
        let image = shell::output(podman(device)?.args(["images", "--quiet"]))?;
        shell::output(command.arg(image.trim()))?;
        self.route.lead_through(device)?;
        wait::until("its memory is filled", super::subject::FILL_LIMIT, || {
            let log = shell::output(podman(device)?.args(["logs", CONTAINER]))?;
            Ok(log.contains("ballast").then_some(()))
        })?;
        Ok(container)
    }
}

/// Podman keeps locks in /dev/shm and addresses in /var/lib unless told otherwise, for the whole machine.
fn configure(device: &Device, subnet: Ipv4Addr) -> Result<()> {
    let folder = folder(device);
    let networks = folder.join("networks");
    fs::create_dir_all(&networks)?;
    let settings = format!(
        "[engine]\nlock_type = \"file\"\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
         static_dir = {:?}\ntmp_dir = {:?}\nvolume_path = {:?}\n\
         [network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = {:?}\n",
        folder.join("static"),
        folder.join("tmp"),
        folder.join("volumes"),
        networks,
    );
    fs::write(folder.join("containers.conf"), settings)?;
    let addresses = json!({
        "type": "host-local",
        "dataDir": folder.join("addresses"),
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": format!("{subnet}/24")}]],
    });
    let bridge = json!({"type": "bridge", "bridge": "podman-bench", "isGateway": true, "ipMasq": false, "ipam": addresses});
    let network = json!({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]});
    fs::write(networks.join("bench.conflist"), serde_json::to_vec_pretty(&network)?)?;
    Ok(())
}

/// A container that only Podman knows.
pub(super) struct PodmanContainer<'a> {
    podman: &'a Podman<'a>,
    at: u8,
}

impl PodmanContainer<'_> {
    fn cpu(&self, number: u8) -> &Cpu {
        &self.podman.cpus[usize::from(number) - 1]
    }
}

impl Subject for PodmanContainer<'_> {
    fn address(&self) -> Ipv4Addr {
        self.podman.address
    }

    fn go(&mut self, to: u8) -> Result<Took> {
        let (from, to_device) = (self.podman.lab.device(self.at), self.podman.lab.device(to));
        let (source, destination) = (folder(from), folder(to_device));
        let began = Instant::now();
        let mut checkpoint = podman(from)?;
        // Random memory does not get smaller by being compressed, only later.
        checkpoint.args(["container", "checkpoint", "--tcp-established", "--compress", "none", "--export"]);
        checkpoint.arg(source.join(EXPORT)).arg(CONTAINER);
        self.cpu(self.at).run(checkpoint)?;
        carry(self.podman.cpus, (from, &source), (to_device, &destination), EXPORT)?;
        self.podman.route.lead_through(to_device)?;
        let mut restore = podman(to_device)?;
        restore.args(["container", "restore", "--tcp-established", "--import"]).arg(destination.join(EXPORT));
        self.cpu(to).run(restore)?;
        self.at = to;
        let took = milliseconds(began.elapsed());
        Ok(Took { downtime_ms: took, total_ms: took, phases: Vec::new() })
    }

    fn remove(&mut self) -> Result<()> {
        self.podman.lab.devices().iter().try_for_each(|device| {
            shell::output(podman(device)?.args(["rm", "--force", "--ignore", "--time", "0", CONTAINER]))
                .map(drop)
        })
    }
}

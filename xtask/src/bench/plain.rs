//! What plain Docker can do, as the first baseline: `docker checkpoint create`, a copy of its folder over the same link by
//! `tar` through a TCP connection, `docker start --checkpoint`. Nothing of the platform is in it. The container has a fixed
//! address on a network that is the same on both devices, and the client's route is led to the destination just before the
//! start, so that the open connection can go on (CRIU is told `tcp-established` by the lab's /etc/criu/runc.conf).

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use super::carry::carry;
use super::cells::Cell;
use super::cpu::Cpu;
use super::subject::{Subject, Took, await_filled, environment, milliseconds};
use crate::lab::{self, Device, Lab};
use crate::shell;
use crate::stack::Route;

const NETWORK: &str = "bench-plain";
const CONTAINER: &str = "bench-plain";
const CHECKPOINT: &str = "checkpoint";

/// Both devices, ready for plain containers.
pub(super) struct Plain<'a> {
    lab: &'a Lab,
    cpus: &'a [Cpu],
    address: Ipv4Addr,
    route: Route,
}

impl<'a> Plain<'a> {
    /// Makes the network on every device. All of it goes with the lab.
    pub(super) fn prepare(lab: &'a Lab, cpus: &'a [Cpu]) -> Result<Self> {
        let subnet = lab.spare_network(0);
        let [a, b, c, _] = subnet.octets();
        for device in lab.devices() {
            let network = format!("{subnet}/24");
            let options = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false"];
            device.run_docker(
                ["network", "create", "--subnet", &network].into_iter().chain(options).chain([NETWORK]),
            )?;
            super::accept(device, subnet)?;
        }
        let address = Ipv4Addr::new(a, b, c, 10);
        Ok(Self { lab, cpus, address, route: Route::add(format!("{address}/32"), lab.device(1))? })
    }

    /// Creates a container on device `at`.
    pub(super) fn create(&self, cell: &Cell, at: u8) -> Result<PlainContainer<'_>> {
        let mut container = PlainContainer { plain: self, cell: *cell, at };
        container.remove()?;
        let device = self.lab.device(at);
        container.create(device)?;
        device.run_docker(["start", CONTAINER])?;
        self.route.lead_through(device)?;
        await_filled(device, CONTAINER)?;
        Ok(container)
    }
}

/// A container that only Docker knows.
pub(super) struct PlainContainer<'a> {
    plain: &'a Plain<'a>,
    cell: Cell,
    at: u8,
}

impl PlainContainer<'_> {
    /// Answers the folder of its checkpoints: the engine takes them from no other.
    fn create(&self, device: &Device) -> Result<PathBuf> {
        let mut command = device.docker();
        command.args(["create", "--name", CONTAINER, "--network", NETWORK]);
        command.args(["--ip", &self.plain.address.to_string()]);
        for (name, value) in environment(&self.cell) {
            command.args(["--env", &format!("{name}={value}")]);
        }
        shell::output(command.arg(lab::COUNTER_IMAGE))?;
        checkpoints(device)
    }
}

fn checkpoints(device: &Device) -> Result<PathBuf> {
    let id = device.run_docker(["inspect", "--format", "{{.Id}}", CONTAINER])?;
    Ok(device.data_dir().join("docker/containers").join(id).join("checkpoints"))
}

impl Subject for PlainContainer<'_> {
    fn address(&self) -> Ipv4Addr {
        self.plain.address
    }

    fn go(&mut self, to: u8) -> Result<Took> {
        let (from, to_device) = (self.plain.lab.device(self.at), self.plain.lab.device(to));
        let began = Instant::now();
        let destination = self.create(to_device)?;
        fs::create_dir_all(&destination)?;
        let source = checkpoints(from)?;
        let frozen = Instant::now();
        from.run_docker(["checkpoint", "create", CONTAINER, CHECKPOINT])?;
        // The engine fails on content that it has had before; a file that is never the same cures it.
        let nonce = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        fs::write(source.join(CHECKPOINT).join("nonce"), nonce)?;
        carry(self.plain.cpus, (from, &source), (to_device, &destination), CHECKPOINT)?;
        self.plain.route.lead_through(to_device)?;
        to_device.run_docker(["start", "--checkpoint", CHECKPOINT, CONTAINER])?;
        self.at = to;
        let (downtime_ms, total_ms) = (milliseconds(frozen.elapsed()), milliseconds(began.elapsed()));
        Ok(Took { downtime_ms, total_ms, phases: Vec::new() })
    }

    fn remove(&mut self) -> Result<()> {
        self.plain.lab.devices().iter().try_for_each(|device| {
            // It is content where there is none, too.
            device.run_docker(["rm", "--force", CONTAINER]).map(drop)
        })
    }
}

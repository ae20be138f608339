//! The lab: several edge devices on one machine, each with its own network, its own mounts and its own real Docker
//! engine, joined by a bridge that is also the cloud's side. A lab leaves nothing behind: not when it ends, and not
//! after a crash either, because the next one removes what its owner could not.
//!
//! It knows nothing of ECEP's programs: those are started in it by whoever made it.

mod device;
mod disks;
mod images;
mod mounts;
mod network;
mod plan;
mod process;
mod registry;
mod sweep;
mod workloads;

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

pub use device::Device;
pub(crate) use device::engine_path;
pub use disks::FullDisk;
pub use images::{
    COUNTER_IMAGE, LARGE_IMAGE, build_counter, build_large, build_layer, copy_image, push_image,
};
pub use process::Process;
pub use registry::Registry;
pub(crate) use workloads::unpacked_servers;
pub use workloads::{PAGE, WORKLOADS_IMAGE, build_workloads};

use plan::Plan;

use crate::interrupt;

/// How long an owner that was asked to take its lab down may need.
const OWNER_LIMIT: Duration = Duration::from_secs(60);

/// Whose programs a device has, its Docker engine among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// This machine's.
    Machine,
    /// Those of another Debian release, from its root file system (`setup::release_root`).
    Release(PathBuf),
}

/// A lab that is up; taken down when dropped.
#[derive(Debug)]
pub struct Lab {
    plan: Plan,
    devices: Vec<Device>,
    is_up: bool,
}

impl Lab {
    /// Makes a lab of `devices` devices like this machine.
    ///
    /// # Errors
    /// See [`Lab::create_of`].
    pub fn create(name: &str, data_root: &Path, devices: u8) -> Result<Self> {
        Self::create_of(name, data_root, &vec![System::Machine; devices.into()], None)
    }

    /// Makes a lab of such devices with running engines, each device with a disk of its own of `disk_bytes` for all that it
    /// keeps, if that is said. Labs whose owner has died are cleaned up first.
    ///
    /// `data_root` must be on a file system that overlayfs can use as an upper layer (ext4, xfs, btrfs; not an overlay
    /// itself), with some hundred megabytes free for each device.
    ///
    /// # Errors
    /// Not root, the name is taken, or a step fails; what was made is removed again.
    pub fn create_of(
        name: &str,
        data_root: &Path,
        systems: &[System],
        disk_bytes: Option<u64>,
    ) -> Result<Self> {
        check_root()?;
        remove_orphans()?;
        let devices = u8::try_from(systems.len()).unwrap_or(u8::MAX);
        let plan = Plan::reserve(name, data_root, devices, disk_bytes)?;
        // From here on the drop cleans up.
        let mut lab = Self { plan, devices: Vec::new(), is_up: true };
        std::fs::create_dir_all(&lab.plan.data_dir)?;
        network::make_bridge(&lab.plan)?;
        for (number, system) in lab.plan.numbers().zip(systems) {
            interrupt::check()?;
            let device = Device::create(&lab.plan, number, system)?;
            device.start_engine()?;
            lab.devices.push(device);
        }
        for device in &lab.devices {
            device.wait_ready()?;
        }
        Ok(lab)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The address of the bridge: where the cloud's programs listen.
    pub fn cloud_address(&self) -> Ipv4Addr {
        self.plan.cloud_address()
    }

    /// The addresses that this lab's tenants may have, as `address/bits`; no other lab's containers have them.
    pub fn address_pool(&self) -> String {
        let [_, _, subnet, _] = self.plan.cloud_address().octets();
        format!("10.{}.{}.0/17", 128 + subnet / 2, 128 * (subnet % 2))
    }

    /// Networks of 256 addresses out of [`Lab::address_pool`], for containers of nobody: from 0 on its last ones, which a
    /// tenant would get only after seven others.
    pub fn spare_network(&self, number: u8) -> Ipv4Addr {
        let [_, _, subnet, _] = self.plan.cloud_address().octets();
        Ipv4Addr::new(10, 128 + subnet / 2, 128 * (subnet % 2) + 127 - number % 16, 0)
    }

    /// A folder for the cloud's data and logs. It is gone after the lab.
    pub fn data_dir(&self) -> &Path {
        &self.plan.data_dir
    }

    /// All devices, in order.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// A device by its number, counted from 1.
    ///
    /// # Panics
    /// There is no such device.
    pub fn device(&self, number: u8) -> &Device {
        &self.devices[usize::from(number) - 1]
    }

    /// Starts a program on the cloud's side (this machine's own network), its output in `<data_dir>/<name>.log`.
    /// `prepare` adds arguments and environment.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(
        &self,
        name: &str,
        program: impl AsRef<OsStr>,
        prepare: impl FnOnce(&mut Command),
    ) -> Result<Process> {
        let mut command = Command::new(program);
        command.env(plan::TOKEN_VARIABLE, &self.plan.token);
        prepare(&mut command);
        Process::start(name, command, &self.plan.data_dir.join(format!("{name}.log")))
    }

    /// Starts a registry on port 5000 of the bridge, which stands in for a public hub.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start_registry(&self) -> Result<Registry> {
        Registry::start(self)
    }

    /// Takes everything down.
    ///
    /// # Errors
    /// Something would not go; a later run will try again.
    pub fn destroy(mut self) -> Result<()> {
        self.is_up = false;
        self.remove()
    }

    fn remove(&mut self) -> Result<()> {
        // The engines are our children: dropping the handles reaps them.
        self.devices.clear();
        sweep::remove(&self.plan).with_context(|| format!("cannot take down lab {}", self.plan.name))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_up
            && let Err(error) = self.remove()
        {
            eprintln!("{error:#}");
        }
    }
}

/// Fails early where a lab cannot be made.
///
/// # Errors
/// Not root.
pub fn check_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a lab makes network namespaces and starts engines, which only root may do; use sudo");
    }
    Ok(())
}

/// Removes the labs that died without taking themselves down, and only those.
///
/// # Errors
/// Something would not go.
pub fn remove_orphans() -> Result<()> {
    for name in sweep::remove_orphans()? {
        eprintln!("cleaned up lab {name}, left by an earlier run");
    }
    Ok(())
}

/// Takes a lab down from outside: asks its owner, if that still runs, or else removes it.
///
/// # Errors
/// There is no such lab, or it would not go.
pub fn take_down(name: &str) -> Result<()> {
    let plan = plan::find(name)?;
    if !plan.owner.is_alive() {
        return sweep::remove(&plan);
    }
    let owner = plan.owner.pid;
    let pid =
        i32::try_from(owner).ok().and_then(Pid::from_raw).context("the record's process id is no number")?;
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot signal process {owner}"))?;
    let start = std::time::Instant::now();
    while plan.owner.is_alive() {
        if start.elapsed() > OWNER_LIMIT {
            bail!("process {owner} still runs and holds lab {name}");
        }
        if interrupt::wait(process::POLL) {
            interrupt::check()?;
        }
    }
    // Most often there is nothing left to do.
    sweep::remove(&plan)
}

/// A device of a lab that another process owns, to run commands in.
///
/// # Errors
/// There is no such lab or device.
pub fn find_device(lab: &str, number: u8) -> Result<Device> {
    let plan = plan::find(lab)?;
    if !plan.numbers().contains(&number) {
        bail!("lab {lab} has devices 1 to {}, not {number}", plan.devices);
    }
    Device::open(&plan, number)
}

/// The paths below a folder, down to so many levels, one a line: for whoever looks for what a lab has left. What goes meanwhile is
/// not there.
pub fn paths_below(folder: &Path, levels: u8) -> String {
    let mut found = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found += &format!("{}\n", entry.path().display());
        if levels > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found += &paths_below(&entry.path(), levels - 1);
        }
    }
    found
}

/// Where labs keep their data unless told otherwise: `ECEP_LAB_DIR`, or else `.lab` in the working copy.
pub fn default_data_root() -> PathBuf {
    std::env::var_os("ECEP_LAB_DIR").map_or_else(|| crate::workspace().join(".lab"), PathBuf::from)
}

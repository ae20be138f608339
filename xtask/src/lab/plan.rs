//! What a lab consists of on this machine: every name and address is derived from one small record, which is on disk
//! before the first thing is made. So whoever finds the record, also after a crash, knows all there can be to remove.
//! This file makes and removes nothing but the record.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::shell;

/// Records, sockets and pid files of all labs. Under /run, because the paths must be short (a Unix socket's
/// path has at most 107 bytes) and because the names are the machine's, not a working copy's.
const RUN_DIR: &str = "/run/ecep-lab";

/// A lab's devices get 10.77.N.11 and up, so the third octet is what tells labs apart.
const SUBNETS: std::ops::RangeInclusive<u8> = 0..=255;

/// The last octet of a device is this plus its number.
const DEVICE_OFFSET: u8 = 10;

/// 11..=210 stay inside a /24; two cores carry far fewer engines.
const MAX_DEVICES: u8 = 200;

/// The network namespace and the cgroup bear the name, and a person types it.
const MAX_NAME: usize = 24;

/// The environment variable that marks a lab's processes.
pub(super) const TOKEN_VARIABLE: &str = "ECEP_LAB_TOKEN";

/// The record of one lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    /// What a person calls it.
    pub name: String,
    /// Marks the lab's processes in their environment; never used by two labs.
    pub token: String,
    /// N of 10.77.N.0/24.
    pub subnet: u8,
    /// Devices are numbered from 1.
    pub devices: u8,
    /// The engines' data, logs and other large things.
    pub data_dir: PathBuf,
    /// How large a disk of its own each device has; none for a share of the machine's.
    #[serde(default)]
    pub disk_bytes: Option<u64>,
    /// The process that takes it down in the ordinary way.
    pub owner: Owner,
}

/// A process, told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Owner {
    /// Process id.
    pub pid: u32,
    /// Clock ticks since boot.
    pub started: u64,
    /// Which boot those ticks count from.
    pub boot: String,
}

impl Owner {
    fn this_process() -> Result<Self> {
        let pid = std::process::id();
        let started = start_time(pid).context("cannot read /proc; is it mounted?")?;
        Ok(Self { pid, started, boot: boot_id()? })
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot) && start_time(self.pid) == Some(self.started)
    }
}

impl Plan {
    /// Chooses a free subnet and writes the record.
    ///
    /// # Errors
    /// The name is unusable or taken, every subnet is taken, or the disk refuses.
    pub fn reserve(name: &str, data_root: &Path, devices: u8, disk_bytes: Option<u64>) -> Result<Self> {
        check_name(name)?;
        if !(1..=MAX_DEVICES).contains(&devices) {
            bail!("a lab has 1 to {MAX_DEVICES} devices, not {devices}");
        }
        let _lock = lock(Exclusive::Reserving)?;
        let others = all()?;
        if let Some(other) = others.iter().find(|other| other.name == name) {
            bail!("lab {name} is already there, owned by process {}; choose another --name", other.owner.pid);
        }
        let plan = Self {
            name: name.into(),
            token: new_token()?,
            subnet: free_subnet(&others)?,
            devices,
            data_dir: std::path::absolute(data_root)?.join(name),
            disk_bytes,
            owner: Owner::this_process()?,
        };
        if let Some(taken) = plan.numbers().map(|n| plan.netns_path(n)).find(|path| path.exists()) {
            bail!(
                "{} exists, but no lab says that it made it; remove it with `ip netns del`",
                taken.display()
            );
        }
        if plan.data_dir.exists() {
            fs::remove_dir_all(&plan.data_dir)
                .with_context(|| format!("cannot empty {}", plan.data_dir.display()))?;
        }
        fs::create_dir_all(plan.run_dir())?;
        let record = plan.run_dir().join("lab.json.new");
        fs::write(&record, serde_json::to_vec_pretty(&plan)?)?;
        fs::rename(&record, plan.record())?;
        Ok(plan)
    }

    /// Device numbers.
    pub fn numbers(&self) -> std::ops::RangeInclusive<u8> {
        1..=self.devices
    }

    /// The bridge's own address: the cloud's side.
    pub fn cloud_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, 1)
    }

    /// The address of a device.
    pub fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, DEVICE_OFFSET + number)
    }

    /// The whole network, as `address/bits`.
    pub fn network(&self) -> String {
        format!("10.77.{}.0/24", self.subnet)
    }

    /// The bridge in the root namespace. Interface names have at most 15 bytes, hence the number.
    pub fn bridge(&self) -> String {
        format!("ecepbr{}", self.subnet)
    }

    /// A device's end of the cable that is plugged into the bridge.
    pub fn veth(&self, number: u8) -> String {
        format!("ecep{}v{number}", self.subnet)
    }

    /// The name of a device's network namespace and of its containers' cgroup.
    pub fn device_name(&self, number: u8) -> String {
        format!("ecep-{}-{number}", self.name)
    }

    /// Where `ip netns` keeps the namespace.
    pub fn netns_path(&self, number: u8) -> PathBuf {
        Path::new("/run/netns").join(self.device_name(number))
    }

    /// What a device keeps.
    pub fn device_data_dir(&self, number: u8) -> PathBuf {
        self.data_dir.join(format!("device-{number}"))
    }

    /// Sockets and pid files of this lab.
    pub fn run_dir(&self) -> PathBuf {
        Path::new(RUN_DIR).join(&self.name)
    }

    /// Sockets and pid files of a device.
    pub fn device_run_dir(&self, number: u8) -> PathBuf {
        self.run_dir().join(format!("device-{number}"))
    }

    fn record(&self) -> PathBuf {
        self.run_dir().join("lab.json")
    }
}

/// What only one process of this machine does at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exclusive {
    /// Reserving names, and minding what all labs share.
    Reserving,
    /// Taking a lab down: two processes may find the same orphan.
    Sweeping,
}

/// Waits until no other process is at it; the file's drop lets the next one in.
pub(super) fn lock(what: Exclusive) -> Result<File> {
    fs::create_dir_all(RUN_DIR).with_context(|| format!("cannot create {RUN_DIR}; are you root?"))?;
    let name = match what {
        Exclusive::Reserving => "reserving.lock",
        Exclusive::Sweeping => "sweeping.lock",
    };
    let path = Path::new(RUN_DIR).join(name);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// The note that a lab, and not something else, made `/run/netns` a mount of its own (`ip netns add` does that).
pub(super) fn netns_mount_note() -> PathBuf {
    Path::new(RUN_DIR).join("made-netns-mount")
}

/// Every lab that has a record.
///
/// # Errors
/// A record cannot be read.
pub(super) fn all() -> Result<Vec<Plan>> {
    let mut plans = Vec::new();
    let Ok(entries) = fs::read_dir(RUN_DIR) else { return Ok(plans) };
    for entry in entries {
        let path = entry?.path().join("lab.json");
        let Ok(text) = fs::read(&path) else { continue };
        plans.push(serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?);
    }
    Ok(plans)
}

/// The lab of that name.
///
/// # Errors
/// There is none.
pub(super) fn find(name: &str) -> Result<Plan> {
    let plan = all()?.into_iter().find(|plan| plan.name == name);
    plan.with_context(|| format!("there is no lab named {name}; `cargo xtask lab up --name {name}` makes it"))
}

/// When a process started, in clock ticks since boot; none when it is gone or only waits to be reaped.
pub(super) fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything; fields are counted after it (proc(5)).
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot_id() -> Result<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the boot id")?;
    Ok(id.trim().to_owned())
}

fn new_token() -> Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot make a token")?;
    Ok(uuid.trim().to_owned())
}

fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if name.is_empty() || name.len() > MAX_NAME || !plain {
        bail!("a lab's name is 1 to {MAX_NAME} small letters, digits and hyphens, not {name:?}");
    }
    Ok(())
}

fn free_subnet(others: &[Plan]) -> Result<u8> {
    let taken = shell::run("ip", ["-o", "-4", "address", "show"])?;
    let is_free = |subnet: &u8| {
        !taken.contains(&format!(" 10.77.{subnet}."))
            && !Path::new(&format!("/sys/class/net/ecepbr{subnet}")).exists()
            && others.iter().all(|other| other.subnet != *subnet)
    };
    SUBNETS.into_iter().find(is_free).context("all networks from 10.77.0.0/24 to 10.77.255.0/24 are taken")
}

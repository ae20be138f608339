//! The lab's wires: a bridge in the root namespace, and for each device a network namespace and a cable into the bridge.
//! Everything here can be removed again from the plan alone, in any half-made state.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::plan::{self, Exclusive, Plan, TOKEN_VARIABLE};
use crate::shell::{self, run};

const NETNS_DIR: &str = "/run/netns";

/// Makes the bridge and tells the firewall to let the lab's own traffic pass.
pub(super) fn make_bridge(plan: &Plan) -> Result<()> {
    let bridge = plan.bridge();
    make(plan, "ip", ["link", "add", &bridge, "type", "bridge"])?;
    make(plan, "ip", ["address", "add", &format!("{}/24", plan.cloud_address()), "dev", &bridge])?;
    make(plan, "ip", ["link", "set", &bridge, "up"])?;
    for rule in firewall_rules(plan) {
        let arguments = ["-w", "-I"].into_iter().chain(rule.iter().map(String::as_str));
        make(plan, "iptables", arguments)?;
    }
    note_netns_mount()
}

/// Makes a device's network namespace and plugs it in.
pub(super) fn make_device(plan: &Plan, number: u8) -> Result<()> {
    let (name, veth, bridge) = (plan.device_name(number), plan.veth(number), plan.bridge());
    make(plan, "ip", ["netns", "add", &name])?;
    make(plan, "ip", ["link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
    make(plan, "ip", ["link", "set", &veth, "master", &bridge, "up"])?;
    make(
        plan,
        "ip",
        ["-n", &name, "address", "add", &format!("{}/24", plan.address(number)), "dev", "eth0"],
    )?;
    make(plan, "ip", ["-n", &name, "link", "set", "lo", "up"])?;
    make(plan, "ip", ["-n", &name, "link", "set", "eth0", "up"])?;
    make(plan, "ip", ["-n", &name, "route", "add", "default", "via", &plan.cloud_address().to_string()])?;
    Ok(())
}

/// Runs a command that makes something. It bears the lab's token, so that after a crash it is ended before anybody looks
/// for what it may have made.
fn make<A: AsRef<OsStr>>(plan: &Plan, program: &str, arguments: impl IntoIterator<Item = A>) -> Result<()> {
    shell::output(Command::new(program).args(arguments).env(TOKEN_VARIABLE, &plan.token)).map(drop)
}

/// Removes what [`make_bridge`] and [`make_device`] made, or as much of it as there is.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    for number in plan.numbers() {
        remove_link(&plan.veth(number))?;
        if plan.netns_path(number).exists() {
            run("ip", ["netns", "del", &plan.device_name(number)])?;
        }
    }
    remove_link(&plan.bridge())?;
    for rule in firewall_rules(plan) {
        let with = |action| ["-w", action].into_iter().chain(rule.iter().map(String::as_str));
        if run("iptables", with("-C")).is_ok() {
            run("iptables", with("-D"))?;
        }
    }
    forget_netns_mount()
}

fn remove_link(name: &str) -> Result<()> {
    if Path::new("/sys/class/net").join(name).exists() {
        run("ip", ["link", "del", name])?;
    }
    Ok(())
}

/// A Docker engine in the root namespace sets the FORWARD policy to DROP, and where bridge-nf-call-iptables is on, that
/// also hits what the bridge passes from device to device; a host's own firewall may close INPUT.
fn firewall_rules(plan: &Plan) -> [Vec<String>; 2] {
    let comment = format!("ecep-lab-{}", plan.name);
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let bridge = plan.bridge();
    [
        words(format!("FORWARD -i {bridge} -o {bridge} -m comment --comment {comment} -j ACCEPT")),
        words(format!("INPUT -i {bridge} -m comment --comment {comment} -j ACCEPT")),
    ]
}

/// `ip netns add` makes /run/netns a mount of its own when it is none; what a lab caused, the last lab takes away.
fn note_netns_mount() -> Result<()> {
    let _lock = plan::lock(Exclusive::Reserving)?;
    if !is_mount(Path::new(NETNS_DIR))? {
        fs::write(plan::netns_mount_note(), "")?;
    }
    Ok(())
}

fn forget_netns_mount() -> Result<()> {
    let _lock = plan::lock(Exclusive::Reserving)?;
    let note = plan::netns_mount_note();
    let is_empty = fs::read_dir(NETNS_DIR).map_or(true, |mut entries| entries.next().is_none());
    if note.exists() && is_empty {
        if is_mount(Path::new(NETNS_DIR))? {
            run("umount", [NETNS_DIR])?;
        }
        fs::remove_file(note)?;
    }
    Ok(())
}

fn is_mount(path: &Path) -> Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    let wanted = path.to_string_lossy();
    // Field 5 is the mount point (proc(5)); our own paths hold no character that the kernel would escape.
    Ok(table.lines().any(|line| line.split(' ').nth(4) == Some(&*wanted)))
}

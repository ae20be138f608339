//! The lab's wires: a bridge in the root namespace, and for each device a network namespace, a cable into the bridge
//! and a mount namespace of its own. Everything here can be removed again from the plan alone, in any half-made state.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::plan::{self, Exclusive, Plan};
use crate::shell::run;

const NETNS_DIR: &str = "/run/netns";

/// What runc hands to CRIU on every device. `tcp-established` lets open connections be dumped.
const CRIU_OPTIONS: &str = "tcp-established\nlog-file criu.log\n";

/// Makes the bridge and tells the firewall to let the lab's own traffic pass.
pub(super) fn make_bridge(plan: &Plan) -> Result<()> {
    let bridge = plan.bridge();
    run("ip", ["link", "add", &bridge, "type", "bridge"])?;
    run("ip", ["address", "add", &format!("{}/24", plan.cloud_address()), "dev", &bridge])?;
    run("ip", ["link", "set", &bridge, "up"])?;
    for rule in firewall_rules(plan) {
        let arguments = ["-w", "-I"].into_iter().chain(rule.iter().map(String::as_str));
        run("iptables", arguments)?;
    }
    let pins = plan.pins_dir();
    fs::create_dir_all(&pins)?;
    run("mount", [Path::new("--bind"), &pins, &pins])?;
    run("mount", [Path::new("--make-private"), &pins])?;
    note_netns_mount()
}

/// Makes a device's namespaces and plugs it in.
pub(super) fn make_device(plan: &Plan, number: u8) -> Result<()> {
    let (name, veth, bridge) = (plan.device_name(number), plan.veth(number), plan.bridge());
    run("ip", ["netns", "add", &name])?;
    run("ip", ["link", "add", &veth, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
    run("ip", ["link", "set", &veth, "master", &bridge, "up"])?;
    run("ip", ["-n", &name, "address", "add", &format!("{}/24", plan.address(number)), "dev", "eth0"])?;
    run("ip", ["-n", &name, "link", "set", "lo", "up"])?;
    run("ip", ["-n", &name, "link", "set", "eth0", "up"])?;
    run("ip", ["-n", &name, "route", "add", "default", "via", &plan.cloud_address().to_string()])?;
    make_mount_namespace(plan, number)
}

/// A mount namespace in which the engine's mounts live and die, and where the folders that dockerd (with its
/// identity), containerd and runc have fixed in their code are the device's own.
fn make_mount_namespace(plan: &Plan, number: u8) -> Result<()> {
    let pin = plan.mount_pin(number);
    fs::write(&pin, "")?;
    let pinned = format!("--mount={}", pin.display());
    // "slave": the host can go on unmounting its disks, and hears nothing of ours.
    run("unshare", [&pinned, "--propagation", "slave", "true"])?;
    for own in ["/run/containerd", "/run/docker", "/etc/docker", "/etc/criu"] {
        fs::create_dir_all(own).with_context(|| format!("cannot create {own}"))?;
        run("nsenter", [&pinned, "mount", "-t", "tmpfs", "-o", "mode=755", "ecep-lab", own])?;
    }
    let options = plan.run_dir().join(format!("runc-{number}.conf"));
    fs::write(&options, CRIU_OPTIONS)?;
    run("nsenter", [&pinned, "cp", &options.to_string_lossy(), "/etc/criu/runc.conf"])?;
    Ok(())
}

/// Removes what [`make_bridge`] and [`make_device`] made, or as much of it as there is.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    for number in plan.numbers() {
        let (name, pin) = (plan.device_name(number), plan.mount_pin(number));
        unmount(&pin)?;
        remove_link(&plan.veth(number))?;
        if plan.netns_path(number).exists() {
            run("ip", ["netns", "del", &name])?;
        }
    }
    unmount(&plan.pins_dir())?;
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

fn unmount(path: &Path) -> Result<()> {
    if is_mount(path)? {
        run("umount", [path])?;
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
        unmount(Path::new(NETNS_DIR))?;
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

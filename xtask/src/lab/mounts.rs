//! A device's mount namespace, in which the engine's mounts live and die, and where the folders that dockerd (with its
//! identity), containerd and runc have fixed in their code are the device's own.
//!
//! A device of another release has that release's programs, libraries and settings, /usr and /etc, in place of the
//! machine's. It needs no other root for that: the lab's folders and our programs keep their paths, and CRIU, which refuses
//! to work in a chroot, finds an ordinary root.
//!
//! A sleeping process holds it open. Pinning it to a file would need no process, but since Linux 6.18 the kernel refuses
//! that by chance outside the first mount namespace: it wants the new namespace's id to be higher than that of the
//! caller's, and hands out ids from a separate range on each processor.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::System;
use super::plan::{Plan, TOKEN_VARIABLE, start_time};
use super::process::Process;

/// A few system calls; a machine that swaps needs more.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What runc hands to CRIU. `tcp-established` lets open connections be dumped.
const CRIU_OPTIONS: &str = "tcp-established\nlog-file criu.log\n";

/// A device's /etc/resolv.conf: at the cloud's address nobody answers for names, and says so at once. The machine's own name
/// servers cannot be reached from a lab; whatever asks for a name there would wait for them.
fn names(plan: &Plan) -> String {
    // The kernel does not say of every datagram that it was refused.
    format!("nameserver {}\noptions timeout:1 attempts:1\n", plan.cloud_address())
}

/// What a release brings along; /bin, /lib and so on are links into /usr since Debian 12.
const OF_A_RELEASE: [&str; 2] = ["/usr", "/etc"];

/// Its arguments: the file with CRIU's options, the one with name servers, the file to write when all is done, and for a device of
/// another release its root file system and the folders to take from there.
const HOLD: &str = r#"
set -eu
options=$1 names=$2 ready=$3
shift 3
if [ $# -gt 0 ]; then
    root=$1
    shift
    for folder in "$@"; do
        mount --bind "$root$folder" "$folder"
    done
fi
if [ -e /etc/resolv.conf ]; then
    mount --bind "$names" /etc/resolv.conf
fi
for folder in /etc/docker /etc/criu; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 ecep-lab "$folder"
done
# As on every device /run is in memory: CRIU keeps what it knows of the kernel there, and only there.
mkdir -p /run/ecep-lab /run/netns /run/ecep
run=$(dirname "$ready")/run
mkdir -p "$run"
mount -t tmpfs -o mode=755 ecep-lab "$run"
# mount(8) keeps notes in the last one.
mkdir "$run/ecep-lab" "$run/ecep" "$run/netns" "$run/mount"
mount --bind /run/ecep-lab "$run/ecep-lab"
mount --bind /run/ecep "$run/ecep"
mount --rbind /run/netns "$run/netns"
mount --move "$run" /run
cp "$options" /etc/criu/runc.conf
touch "$ready"
exec sleep infinity
"#;

/// Makes the namespace and answers the process that holds it.
///
/// # Errors
/// The process ended early, most likely because a mount was refused; or the release's /usr or /etc would hide the lab.
pub(super) fn hold(plan: &Plan, number: u8, system: &System) -> Result<Process> {
    let folder = plan.device_run_dir(number);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (options, ready) = (folder.join("runc.conf"), folder.join("mounts-ready"));
    fs::write(&options, CRIU_OPTIONS)?;
    let resolver = folder.join("resolv.conf");
    fs::write(&resolver, names(plan))?;
    let mut command = Command::new("unshare");
    // "slave": the host can go on unmounting its disks, and hears nothing of ours.
    command
        .args(["--mount", "--propagation", "slave", "sh", "-c", HOLD, "hold"])
        .args([&options, &resolver, &ready]);
    if let System::Release(root) = system {
        for hidden in OF_A_RELEASE {
            for needed in [plan.data_dir.as_path(), crate::workspace()] {
                ensure!(
                    !needed.starts_with(hidden),
                    "a device of another release cannot reach {}; work in a copy outside of {hidden}",
                    needed.display()
                );
            }
        }
        command.arg(root).args(OF_A_RELEASE);
    }
    command.env(TOKEN_VARIABLE, &plan.token);
    let name = format!("the mount namespace of {}", plan.device_name(number));
    let mut holder = Process::start(&name, command, &folder.join("mounts.log"))?;
    holder.wait_until("ready", READY_LIMIT, || ready.exists())?;
    let started = start_time(holder.pid()).with_context(|| format!("{name} is gone"))?;
    fs::write(note(&folder), format!("{} {started}", holder.pid()))?;
    Ok(holder)
}

/// The file that stands for the namespace while the process with that number holds it.
pub(super) fn path(holder: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{holder}/ns/mnt"))
}

/// The namespace that another process's lab holds.
///
/// # Errors
/// Its holder is gone.
pub(super) fn find(plan: &Plan, number: u8) -> Result<PathBuf> {
    let text = fs::read_to_string(note(&plan.device_run_dir(number))).unwrap_or_default();
    let holder =
        text.split_once(' ').and_then(|(pid, started)| Some((pid.parse().ok()?, started.parse().ok()?)));
    holder
        .filter(|(pid, started)| start_time(*pid) == Some(*started))
        .map(|(pid, _)| path(pid))
        .with_context(|| format!("{} is not up (yet, or any more)", plan.device_name(number)))
}

fn note(folder: &Path) -> PathBuf {
    folder.join("mounts")
}

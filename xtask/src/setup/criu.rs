//! A CRIU that works on this kernel: the system's own where it passes a trial, else a newer one that is unpacked beside
//! the system, with its own libraries, so that nothing installed is upgraded.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache_dir, make_empty, mirror::Mirror, progress, require_root, unpack_packages};
use crate::shell;

/// The Debian suite whose CRIU (4.2) handles kernels from 6.16 on; 4.1 dumps no TCP socket there.
const SUITE: &str = "forky";

/// Dumps and restores a process that listens on a socket, in a network of its own: `criu check` also passes on machines
/// where a dump fails. Its argument is the program to try.
const TRIAL: &str = r#"
set -eu
# What a terminal or an editor left open here is not to be dumped.
for descriptor in /proc/$$/fd/*; do
    number=${descriptor##*/}
    if [ "$number" -gt 2 ]; then exec {number}>&-; fi
done
folder=$(mktemp -d)
ip link set lo up
setsid busybox nc -l -p 7777 </dev/null >/dev/null 2>&1 &
process=$!
trap 'kill -KILL $process 2>/dev/null || true; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
    grep -q ':1E61 .* 0A ' /proc/net/tcp /proc/net/tcp6 && break
    sleep 0.02
done
"$1" dump --tree $process --images-dir "$folder" --log-file dump.log --tcp-established >&2 || { tail -n 5 "$folder/dump.log" >&2; exit 1; }
"$1" restore --restore-detached --images-dir "$folder" --log-file restore.log --tcp-established >&2 || { tail -n 5 "$folder/restore.log" >&2; exit 1; }
kill -0 $process
"#;

pub(super) fn own_folder() -> Option<PathBuf> {
    let folder = cache_dir().join("criu/bin");
    folder.join("criu").is_file().then_some(folder)
}

pub(super) fn make_ready() -> Result<()> {
    let kernel =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's version")?;
    let home = cache_dir().join("criu");
    // One trial for each kernel: that is what decides whether a CRIU works.
    let note = home.join("works-on");
    if fs::read_to_string(&note).is_ok_and(|text| text == kernel)
        && (own_folder().is_some() || shell::is_on_path("criu"))
    {
        return Ok(());
    }
    require_root("set-up must try CRIU")?;
    make_empty(&home)?;
    if !shell::is_on_path("criu") || try_out(Path::new("criu")).is_err() {
        progress("unpacking CRIU and its libraries beside the system");
        unpack(&home)?;
        try_out(&home.join("bin/criu"))
            .inspect_err(|_| {
                // The engine must not find a CRIU that does not work.
                let _ = fs::remove_dir_all(home.join("bin"));
            })
            .context("the unpacked CRIU fails its trial")?;
    }
    fs::write(note, kernel)?;
    Ok(())
}

fn try_out(program: &Path) -> Result<()> {
    let mut command = Command::new("unshare");
    command.args(["--net", "bash", "-c", TRIAL, "trial"]).arg(program);
    shell::output(&mut command).map(drop)
}

/// Downloads with a state of apt's own, so that the machine's package lists do not learn of the other suite.
fn unpack(home: &Path) -> Result<()> {
    if !shell::is_on_path("apt-get") {
        bail!("this system has no apt-get; install CRIU 4.2 or newer yourself");
    }
    let apt = home.join("apt");
    for folder in ["sources", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::write(apt.join("sources/criu.sources"), Mirror::find()?.source(SUITE))?;
    fs::write(apt.join("status"), "")?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq");
        for (option, value) in [
            ("Dir::Etc::SourceList", PathBuf::from("/dev/null")),
            ("Dir::Etc::SourceParts", apt.join("sources")),
            ("Dir::State::Lists", apt.join("lists")),
            ("Dir::State::status", apt.join("status")),
            ("Dir::Cache", apt.join("cache")),
        ] {
            command.arg("-o").arg(format!("{option}={}", value.display()));
        }
        command.args(["-o", "APT::Install-Recommends=false", "-o", "Acquire::Languages=none"]);
        command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
        shell::show(command.args(arguments))
    };
    apt_get(&["update"]).context("cannot fetch the package lists; is there a network?")?;
    apt_get(&["install", "--yes", "--download-only", "criu"])?;
    let (root, bin) = (home.join("root"), home.join("bin"));
    for folder in [&root, &bin] {
        fs::create_dir_all(folder)?;
    }
    unpack_packages(&apt.join("cache/archives"), &root)?;
    write_wrapper(&root, &bin.join("criu"))?;
    fs::remove_dir_all(apt)?;
    Ok(())
}

/// The program needs the C library that it was built with, and the loader that belongs to that.
fn write_wrapper(root: &Path, wrapper: &Path) -> Result<()> {
    let loader = find_loader(&root.join("usr/lib")).context("the unpacked C library has no loader")?;
    let libraries = loader.parent().context("the loader has no folder")?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        root.join("usr/sbin/criu").display()
    );
    fs::write(wrapper, script)?;
    fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn find_loader(libraries: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(libraries).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
}

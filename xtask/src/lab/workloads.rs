//! One image with real programs (Python, Redis, nginx, Node.js, SQLite, BusyBox), made without a registry: of this
//! machine's own files, each program with the shared libraries that it loads. It knows nothing of what runs in it;
//! the programs' scripts and settings are in `examples/workloads`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::Device;
use crate::{shell, workspace};

/// The image with all the programs.
pub const WORKLOADS_IMAGE: &str = "ecep/workloads:1";

/// What nginx serves, under this name: big enough to fill several packets and a socket's buffers.
pub const PAGE: &str = "page.txt";

const PAGE_LINES: usize = 8192;

/// Parts of Python's library that no program needs, and that are most of it.
const LEFT_OUT: [&str; 7] =
    ["__pycache__", "test", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data"];

/// The folder with what links a program with Python; its name goes on with version and machine.
const PYTHON_DEVELOPMENT: &str = "config-";

/// Servers that set-up only unpacked: installed, they would be started with the machine.
pub(crate) fn unpacked_servers() -> PathBuf {
    workspace().join(".lab/.cache/servers")
}

/// Builds [`WORKLOADS_IMAGE`] on a device's engine.
///
/// # Errors
/// A program is missing (`cargo xtask setup` brings it), or the engine fails.
pub fn build_workloads(device: &Device) -> Result<()> {
    let root = device.data_dir().join("workloads-image");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    lay_out(&root)?;
    let mut tar = Command::new("tar")
        .arg("--create")
        .arg("--directory")
        .arg(&root)
        .args(["--owner=0", "--group=0", "--numeric-owner", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let archive = tar.stdout.take().context("tar has no output")?;
    let import = device
        .docker()
        .args(["import", "--change", "WORKDIR /srv", "--change", "CMD [\"/bin/sh\"]"])
        // Its scripts are read-only for whoever looks for what a container has written.
        .args(["--change", "ENV PYTHONDONTWRITEBYTECODE=1", "-", WORKLOADS_IMAGE])
        .stdin(archive)
        .stdout(Stdio::null())
        .status()?;
    ensure!(
        tar.wait()?.success() && import.success(),
        "cannot import {WORKLOADS_IMAGE}: docker said why above"
    );
    fs::remove_dir_all(&root)?;
    Ok(())
}

/// Puts the image's files into a folder.
fn lay_out(root: &Path) -> Result<()> {
    for folder in
        ["bin", "data", "dev", "proc", "root", "run", "sys", "tmp", "etc", "srv/www", "var/log/nginx"]
    {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    // nginx's temporary folders are below it.
    fs::create_dir_all(root.join("var/lib/nginx"))?;
    let page: String = (0..PAGE_LINES).map(|line| format!("line {line} of a page that travels\n")).collect();
    fs::write(root.join("srv/www").join(PAGE), page)?;
    copy_folder(&workspace().join("examples/workloads"), &root.join("srv"))?;

    let python = fs::canonicalize("/usr/bin/python3").context("there is no /usr/bin/python3")?;
    let library = Path::new("/usr/lib").join(python.file_name().context("python3 has no name")?);
    copy_folder(&library, &into(root, &library))?;
    let programs = [
        (python, "/usr/bin/python3"),
        // Debian's redis-server is this program under another name; the package with that name is only a service.
        (find("redis-check-rdb")?, "/usr/bin/redis-server"),
        (find("nginx")?, "/usr/sbin/nginx"),
        (find("node")?, "/usr/bin/node"),
        (find("sqlite3")?, "/usr/bin/sqlite3"),
    ];
    let mut libraries = BTreeSet::new();
    for (program, at) in &programs {
        copy(program, &into(root, Path::new(at)))?;
        libraries.extend(libraries_of(program)?);
    }
    for entry in fs::read_dir(library.join("lib-dynload"))? {
        libraries.extend(libraries_of(&entry?.path())?);
    }
    for library in &libraries {
        let inside = library.strip_prefix(unpacked_servers()).map(|rest| Path::new("/").join(rest));
        copy(library, &into(root, inside.as_deref().unwrap_or(library)))?;
    }
    lay_out_busybox(root)
}

fn lay_out_busybox(root: &Path) -> Result<()> {
    let busybox = find("busybox")?;
    copy(&busybox, &root.join("bin/busybox"))?;
    for library in libraries_of(&busybox)? {
        copy(&library, &into(root, &library))?;
    }
    for name in shell::output(Command::new(&busybox).arg("--list"))?.lines() {
        let link = root.join("bin").join(name);
        if !link.exists() {
            symlink("busybox", link)?;
        }
    }
    Ok(())
}

fn into(root: &Path, absolute: &Path) -> PathBuf {
    root.join(absolute.strip_prefix("/").unwrap_or(absolute))
}

/// A program of this machine, whether installed or only unpacked.
fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = ["usr/bin", "usr/sbin"].map(|folder| unpacked_servers().join(folder));
    // Where root's own folders are not on a user's PATH, they are still there.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]).chain(unpacked);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    let found = found.with_context(|| format!("{program} is missing; run `cargo xtask setup`"))?;
    Ok(fs::canonicalize(found)?)
}

/// All shared libraries that a program loads, with the loader itself; none where it is linked statically.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let unpacked: Vec<PathBuf> = fs::read_dir(unpacked_servers().join("usr/lib"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    let mut command = Command::new("ldd");
    command.arg(program).env("LD_LIBRARY_PATH", std::env::join_paths(unpacked)?).env("LC_ALL", "C");
    let output = command.output().context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if [&text, &said].iter().any(|text| text.contains("not a dynamic") || text.contains("statically linked"))
    {
        return Ok(Vec::new());
    }
    ensure!(output.status.success(), "ldd {} failed: {}", program.display(), said.trim());
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        bail!("{} needs a library that this machine lacks: {}", program.display(), line.trim());
    }
    // "name => /path (address)", and for the loader "/path (address)"; what has no path is the kernel's.
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(text.lines().filter_map(path).collect())
}

/// Copies what a name leads to.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let text = name.to_string_lossy();
        if LEFT_OUT.contains(&&*text) || text.starts_with(PYTHON_DEVELOPMENT) {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else if path.exists() {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

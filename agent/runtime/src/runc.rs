//! Finding runc, and where it keeps the state of an engine's containers.

use std::ffi::OsStr;
use std::os::unix::{ffi::OsStrExt, fs::MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

/// The environment variable (of the engine) that names the runc to use.
pub const RUNC_VARIABLE: &str = "ECEP_RUNTIME_RUNC";

/// Looked at after the PATH, which a service manager may have set to nothing.
const PLACES: [&str; 4] = ["/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc", "/usr/local/sbin/runc"];

/// Where engines keep their running state unless told otherwise.
const EXEC_ROOTS: [&str; 2] = ["/run/docker", "/var/run/docker"];

/// The program of the environment variable, or else the first `runc` on the PATH or in the usual places that is not this
/// very program.
pub fn find() -> Option<PathBuf> {
    let own = fs::metadata("/proc/self/exe").map(|file| (file.dev(), file.ino())).ok();
    let is_other = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && Some((file.dev(), file.ino())) != own)
    };
    let chosen = std::env::var_os(RUNC_VARIABLE).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("runc")).collect::<Vec<_>>();
    chosen.into_iter().chain(on_path).chain(PLACES.map(PathBuf::from)).find(is_other)
}

/// Where runc keeps the state of the container whose first process is `pid`, found by what its shim (the process's parent)
/// was started with, or else in the usual places.
pub fn find_root_of(pid: i32, id: &str) -> Option<PathBuf> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
    let command =
        parent.and_then(|parent| fs::read(format!("/proc/{parent}/cmdline")).ok()).unwrap_or_default();
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    // `-address <exec-root>/containerd/containerd.sock`
    let address = words.windows(2).find(|pair| pair[0] == b"-address").map(|pair| pair[1]);
    let exec_root = address.and_then(|address| {
        let path = PathBuf::from(OsStr::from_bytes(address));
        Some(path.parent()?.parent()?.to_owned())
    });
    exec_root.into_iter().chain(EXEC_ROOTS.map(PathBuf::from)).find_map(|exec_root| find_root(&exec_root, id))
}

/// Where runc keeps the state of a container of an engine: below `<exec-root>/runtime-*/moby` (Docker 20.10 names it
/// `runtime-runc` for every runtime).
pub fn find_root(exec_root: &Path, id: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(exec_root).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_runtime = |path: &PathBuf| {
        path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with("runtime-"))
    };
    let mut roots = entries.filter(is_runtime).map(|path| path.join("moby"));
    roots.find(|root| root.join(id).join("state.json").is_file())
}

/// A container that was restored into a network that was made before has that one's path in runc's state, where it is none from
/// the next moment on. From here on it has a network of its own, as when runc had made it.
///
/// # Errors
/// The state cannot be read or written.
pub(crate) fn forget_network_path(root: &Path, id: &str) -> io::Result<()> {
    let (path, draft) = (root.join(id).join("state.json"), root.join(id).join("state.json.new"));
    let mut state: Value = serde_json::from_slice(&fs::read(&path)?)?;
    for namespace in state["config"]["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["type"] == "NEWNET" {
            namespace["path"] = Value::from("");
        }
    }
    fs::write(&draft, serde_json::to_vec(&state)?)?;
    fs::rename(&draft, &path)
}

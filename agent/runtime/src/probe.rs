//! Whether checkpoint and restore work on this device: tried out on a container of our own, without the engine, because
//! `criu check` also passes where a dump fails. The container listens on a socket, holds an open connection, and remembers
//! a random number; it counts only when the number comes back.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::dump::{self, DumpError, Folders, Report, Request, RestoredBy};
use crate::freezer;
use crate::netlink;
use crate::order::{Connections, Order, Orders, Outcome, Progress, STATE_DIR_VARIABLE, Then};

/// The first argument by which the program knows that it is the container's process.
pub const WORKLOAD_COMMAND: &str = "ecep-probe";

/// In the container's own network, so it is always free.
const PORT: u16 = 7777;

/// A program and its libraries are up in milliseconds; a device that boots is slow.
const UP_LIMIT: Duration = Duration::from_secs(20);

const RUN_LIMIT: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(5);

/// Where a program that is not static finds its libraries.
const LIBRARIES: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// What a trial needs.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// The `ecep-runtime` program.
    pub runtime: &'a Path,
    /// runc.
    pub runc: &'a Path,
    /// A folder to look for `criu` in before the PATH.
    pub criu: Option<&'a Path>,
    /// A folder that does not exist, on an ordinary file system; it is removed at the end.
    pub folder: &'a Path,
}

/// It works.
#[derive(Debug, Clone, Copy)]
pub struct Capability {
    /// The dump.
    pub dump: Report,
    /// How long the restore took.
    pub restore: Duration,
}

/// It does not work, and why.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No container could be started, so nothing is known about checkpoints.
    #[error("cannot start a container to try it out: {0}")]
    Setup(String),
    /// The dump fails.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// The restore fails.
    #[error("a saved container cannot be restored here: {0}")]
    Restore(String),
}

/// Saves a small container, ends it, restores it, and looks whether it is the same.
///
/// # Errors
/// The reason why this device cannot move containers live.
pub fn probe(trial: &Trial<'_>) -> Result<Capability, ProbeError> {
    let container = Container {
        id: format!("ecep-probe-{}", std::process::id()),
        bundle: trial.folder.join("bundle"),
        root: trial.folder.join("runc"),
        trial,
    };
    let outcome = container.try_out();
    container.remove();
    let _ = fs::remove_dir_all(trial.folder);
    outcome
}

struct Container<'a> {
    id: String,
    bundle: PathBuf,
    root: PathBuf,
    trial: &'a Trial<'a>,
}

impl Container<'_> {
    fn try_out(&self) -> Result<Capability, ProbeError> {
        let setup = |error: io::Error| ProbeError::Setup(error.to_string());
        self.write_bundle().map_err(setup)?;
        self.call(self.trial.runc, &["run", "--detach"]).map_err(ProbeError::Setup)?;
        let pid = self.pid().map_err(setup)?;
        let number = ask(pid).map_err(setup)?;

        freezer::freeze(pid).map_err(|error| ProbeError::Setup(error.to_string()))?;
        let folders = Folders::create(self.trial.folder).map_err(setup)?;
        let report = dump::dump(&Request {
            runc: self.trial.runc,
            root: &self.root,
            id: &self.id,
            pid,
            images: &folders.images,
            work: &folders.work,
            criu: self.trial.criu,
            is_cut: false,
            restored_by: RestoredBy::Us,
            limit: RUN_LIMIT,
        })?;
        freezer::thaw(pid).map_err(|error| ProbeError::Setup(error.to_string()))?;
        self.remove();

        let restore = |error: &dyn ToString| ProbeError::Restore(error.to_string());
        let orders = Orders::new(self.orders());
        let order = Order {
            images: folders.images,
            isolated: false,
            then: Then::Run,
            connections: Connections::Keep,
            waits: false,
            addresses: Vec::new(),
        };
        orders.lay(&self.id, &order).map_err(|error| restore(&error))?;
        self.call(self.trial.runtime, &["create"]).map_err(|error| restore(&error))?;
        self.call(self.trial.runtime, &["start"]).map_err(|error| restore(&error))?;
        match orders.progress(&self.id) {
            Ok(Some(Progress::Finished(Outcome::Restored { milliseconds, .. }))) => {
                let again = self.pid().and_then(ask).map_err(|error| restore(&error))?;
                if again != number {
                    return Err(ProbeError::Restore("it came up without its memory".into()));
                }
                Ok(Capability { dump: report, restore: Duration::from_millis(milliseconds) })
            }
            other => Err(ProbeError::Restore(format!("the runtime left no result: {other:?}"))),
        }
    }

    fn write_bundle(&self) -> io::Result<()> {
        let rootfs = self.bundle.join("rootfs");
        fs::create_dir_all(&self.root)?;
        for folder in ["proc", "dev"] {
            fs::create_dir_all(rootfs.join(folder))?;
        }
        fs::write(rootfs.join("program"), "")?;
        let bind = |from: &Path, to: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["bind", "ro"]});
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}),
            bind(&fs::canonicalize(self.trial.runtime)?, "/program"),
        ];
        for library in LIBRARIES {
            if let Ok(source) = fs::canonicalize(library) {
                fs::create_dir_all(rootfs.join(library.trim_start_matches('/')))?;
                mounts.push(bind(&source, library));
            }
        }
        let namespaces = ["pid", "mount", "network", "ipc", "uts"].map(|kind| json!({"type": kind}));
        let configuration = json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["/program", WORKLOAD_COMMAND], "user": {"uid": 0, "gid": 0}},
            "mounts": mounts,
            "linux": {"namespaces": namespaces, "cgroupsPath": format!("/{}", self.id)},
        });
        fs::write(self.bundle.join("config.json"), serde_json::to_vec(&configuration)?)
    }

    fn pid_file(&self) -> PathBuf {
        self.trial.folder.join("pid")
    }

    fn orders(&self) -> PathBuf {
        self.trial.folder.join("orders")
    }

    fn pid(&self) -> io::Result<i32> {
        fs::read_to_string(self.pid_file())?.trim().parse().map_err(io::Error::other)
    }

    /// Runs runc, or the runtime as an engine's shim would.
    fn call(&self, program: &Path, words: &[&str]) -> Result<(), String> {
        let said = self.trial.folder.join("said.txt");
        let mut command = Command::new(program);
        command.arg("--root").arg(&self.root).arg("--log").arg(&said).args(words);
        if words != ["start"] {
            command.arg("--bundle").arg(&self.bundle).arg("--pid-file").arg(self.pid_file());
        }
        command.arg(&self.id).env(STATE_DIR_VARIABLE, self.orders());
        command.env(crate::runc::RUNC_VARIABLE, self.trial.runc);
        if let Some(path) = dump::path_with(self.trial.criu) {
            command.env("PATH", path);
        }
        // What it inherits becomes the container's, so no pipe and no file of ours.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = dump::run(command, RUN_LIMIT).map_err(|error| error.to_string())?;
        if status.success() {
            return Ok(());
        }
        Err(format!(
            "{} {}: {}",
            program.display(),
            words.join(" "),
            fs::read_to_string(said).unwrap_or_default()
        ))
    }

    /// Nothing is left of it, whatever happened.
    fn remove(&self) {
        let mut command = Command::new(self.trial.runc);
        command.arg("--root").arg(&self.root).args(["delete", "--force"]).arg(&self.id);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Asks the container for its number, from inside its network.
fn ask(pid: i32) -> io::Result<u64> {
    let start = Instant::now();
    loop {
        let answer = netlink::in_network_of(pid, || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
            stream.set_read_timeout(Some(UP_LIMIT))?;
            let mut number = [0; 8];
            stream.read_exact(&mut number)?;
            Ok(u64::from_be_bytes(number))
        });
        match answer {
            Err(_) if start.elapsed() < UP_LIMIT => thread::sleep(POLL),
            answer => return answer,
        }
    }
}

/// Whether these are the arguments of the container's process.
pub fn is_workload(first: Option<&OsString>) -> bool {
    first.is_some_and(|word| word == OsStr::new(WORKLOAD_COMMAND))
}

/// The container's process.
///
/// # Errors
/// It cannot listen.
pub fn workload() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let _open = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
    let _accepted = listener.accept()?;
    let mut number = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut number)?;
    for stream in listener.incoming() {
        // Who asks and goes away is no event.
        let _ = stream.and_then(|mut stream| stream.write_all(&number));
    }
    Ok(())
}

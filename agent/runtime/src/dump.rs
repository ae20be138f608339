//! Saving a frozen container into a folder, by runc and CRIU, without ending it: it stays frozen, and thawing it is the
//! instant way back.

use std::fs;
use std::io;
use std::os::unix::{fs::MetadataExt, process::CommandExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cause::{self, Cause};
use crate::freezer::{self, FreezeError};
use crate::wiring;

const POLL: Duration = Duration::from_millis(2);

/// What to save, and where to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// runc; [`crate::runc::find`].
    pub runc: &'a Path,
    /// runc's state folder; [`crate::runc::find_root`].
    pub root: &'a Path,
    /// The engine's id of the container.
    pub id: &'a str,
    /// The container's first process.
    pub pid: i32,
    /// An empty folder for the images.
    pub images: &'a Path,
    /// An empty folder for CRIU's log.
    pub work: &'a Path,
    /// A folder to look for `criu` in before the PATH.
    pub criu: Option<&'a Path>,
    /// Whether its network is cut. Then CRIU need not lock it, which it does by starting iptables six times.
    pub is_cut: bool,
    /// Who restores it.
    pub restored_by: RestoredBy,
    /// When to give up.
    pub limit: Duration,
}

/// Who will restore what is saved: it is saved for the one or for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoredBy {
    /// Our runtime, which makes the network before ([`wiring::GIVEN`]).
    Us,
    /// The engine's own, where CRIU makes an empty one.
    Engine,
}

/// A dump that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// How long it took.
    pub elapsed: Duration,
    /// Size of all images.
    pub bytes: u64,
}

/// Why there is no dump. Unless told otherwise the container is as it was.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// Its memory would change under the dump.
    #[error("container {0} is not frozen; freeze it, cut its network, and then dump")]
    Running(String),
    /// Whether it is frozen cannot be told.
    #[error(transparent)]
    Freezer(#[from] FreezeError),
    /// runc or CRIU refuses.
    #[error("the container cannot be saved: {}\n{log}", advice(*cause))]
    Refused {
        /// The reason, if it is a known one.
        cause: Option<Cause>,
        /// What runc said, and the end of CRIU's log.
        log: String,
    },
    /// Not in time. CRIU was killed at its work, so the processes may not survive the thaw.
    #[error("the dump was given up after {0:?}; the container may be damaged")]
    Slow(Duration),
    /// runc cannot be run, or the images cannot be measured.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        error: io::Error,
    },
}

fn advice(cause: Option<Cause>) -> &'static str {
    cause.map_or("for a reason that only CRIU's log tells", |cause| cause.advice)
}

/// Saves a frozen container. Open TCP connections are saved too, so its network must be cut before
/// ([`crate::network::cut`]): CRIU unlocks it at the end, and a frozen container's kernel would acknowledge what the
/// restored one never gets.
///
/// # Errors
/// There is no usable dump; remove what is in the folders.
pub fn dump(request: &Request<'_>) -> Result<Report, DumpError> {
    if !freezer::is_frozen(request.pid)? {
        return Err(DumpError::Running(request.id.into()));
    }
    let start = Instant::now();
    let said_path = request.work.join("runc.txt");
    let said = fs::File::create(&said_path)
        .map_err(|error| DumpError::Io { what: format!("cannot write {}", said_path.display()), error })?;
    let mut command = Command::new(request.runc);
    command.arg("--root").arg(request.root).arg("checkpoint");
    // File locks here and at the restore, or at neither: a program that has lost its lock takes itself for the last user.
    command.args(["--leave-running", "--tcp-established", "--file-locks"]);
    if request.restored_by == RestoredBy::Engine {
        command.args(["--empty-ns", "network"]);
    }
    command.arg("--image-path").arg(request.images).arg("--work-path").arg(request.work).arg(request.id);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    if let Some(path) = path_with(request.criu) {
        command.env("PATH", path);
    }
    let home = home_with(&options(request)?, request.work)
        .map_err(|error| DumpError::Io { what: format!("cannot write {}", request.work.display()), error })?;
    command.env("HOME", home);
    let status = run(command, request.limit)?;
    if !status.success() {
        let said = fs::read_to_string(&said_path).unwrap_or_default();
        let log = format!("{}\n{}", said.trim(), cause::log_tail(request.work));
        let cause = cause::find(&log).or_else(|| cause::of_disk(request.images));
        return Err(DumpError::Refused { cause, log });
    }
    let bytes = size(request.images).map_err(|error| DumpError::Io {
        what: format!("cannot read {}", request.images.display()),
        error,
    })?;
    Ok(Report { elapsed: start.elapsed(), bytes })
}

/// CRIU's options for which runc has no flag.
fn options(request: &Request<'_>) -> Result<String, DumpError> {
    let mut options = String::new();
    if request.is_cut {
        options.push_str("network-lock skip\n");
    }
    let of = |pid: &str| {
        let path = format!("/proc/{pid}/ns/net");
        let found = fs::metadata(&path);
        found.map(|found| found.ino()).map_err(|error| DumpError::Io { what: path, error })
    };
    let network = of(&request.pid.to_string())?;
    // One that is everybody's is not saved at all.
    if request.restored_by == RestoredBy::Us && network != of("self")? {
        options.push_str(&format!("external net[{network}]:{}\n", wiring::GIVEN));
    }
    Ok(options)
}

/// CRIU looks for options in its user's home, too (criu(8), CONFIGURATION FILES).
fn home_with(options: &str, work: &Path) -> io::Result<PathBuf> {
    let home = work.join("home");
    fs::create_dir_all(home.join(".criu"))?;
    fs::write(home.join(".criu/default.conf"), options)?;
    Ok(home)
}

/// The PATH with a folder before it; none where it stays as it is.
pub(crate) fn path_with(folder: Option<&Path>) -> Option<std::ffi::OsString> {
    let folder = folder?.to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).ok()
}

/// runc and its CRIU are one process group, so that none of them outlives the limit.
pub(crate) fn run(mut command: Command, limit: Duration) -> Result<ExitStatus, DumpError> {
    let failed = |error| DumpError::Io { what: "cannot run runc".into(), error };
    let start = Instant::now();
    let mut child = command.process_group(0).spawn().map_err(failed)?;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            let group = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            child.wait().map_err(failed)?;
            return Err(DumpError::Slow(limit));
        }
        thread::sleep(POLL);
    }
}

fn size(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Where a dump's parts are, below one folder.
#[derive(Debug, Clone)]
pub struct Folders {
    /// CRIU's images.
    pub images: PathBuf,
    /// CRIU's log.
    pub work: PathBuf,
}

impl Folders {
    /// Makes both, for root only.
    ///
    /// # Errors
    /// They are there already, or the disk refuses.
    pub fn create(below: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let folders = Self { images: below.join("images"), work: below.join("work") };
        for folder in [&folders.images, &folders.work] {
            fs::DirBuilder::new().mode(0o700).create(folder)?;
        }
        Ok(folders)
    }
}

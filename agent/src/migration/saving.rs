//! Saves a frozen container of this device into a folder: for a move cut off first, for a checkpoint as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ecep_runtime::{
    dump::{self, DumpError, Folders, Request, RestoredBy},
    freezer, network, runc,
};
use tokio::task::spawn_blocking;

/// A dump writes all memory to the disk.
const DUMP_LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at what runs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why it could not be saved.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A sentence.
    pub why: String,
    /// Whether it may work a moment later.
    pub is_passing: bool,
}

/// Freezes a container behind its engine's back: the engine's own pause would outlive an engine that is killed in the
/// middle of it, unknown to the next one.
pub(crate) async fn freeze(pid: i32) -> Result<(), String> {
    spawn_blocking(move || freeze_now(pid)).await.map_err(|error| error.to_string())?
}

/// As [`freeze`]; blocks.
pub(super) fn freeze_now(pid: i32) -> Result<(), String> {
    if let Some(process) = freezer::stopped(pid).map_err(|error| error.to_string())? {
        // CRIU would wait for it for minutes, with all others frozen.
        return Err(format!(
            "process {process} of the container is stopped (SIGSTOP), and cannot be saved so; let it go on (SIGCONT), or move \
             the container cold"
        ));
    }
    freezer::freeze(pid).map_err(|error| error.to_string())
}

/// Cuts a frozen container off and dumps it into a new folder; answers the folder of CRIU's images.
pub(super) fn save(id: &str, pid: i32, folder: &Path) -> Result<PathBuf, Failure> {
    drop(fs::remove_dir_all(folder));
    fs::create_dir(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    // After the folder, which is gone where the move has ended meanwhile.
    match network::cut(pid) {
        // A network of its own without a cable: nothing passes anyway.
        Ok(()) | Err(network::NetworkError::NoCable(_)) => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    Ok(dump_into(id, pid, folder, true, RestoredBy::Us)?.images)
}

/// Dumps a frozen container below an empty folder. `is_cut` tells whether its network is.
pub(crate) fn dump_into(
    id: &str,
    pid: i32,
    folder: &Path,
    is_cut: bool,
    restored_by: RestoredBy,
) -> Result<Folders, Failure> {
    let folders =
        Folders::create(folder).map_err(|error| failed(format!("{}: {error}", folder.display())))?;
    let runc = runc::find().ok_or_else(|| failed("runc is not on the agent's PATH".to_owned()))?;
    let root = runc::find_root_of(pid, id)
        .ok_or_else(|| failed("runc's state of the container cannot be found".to_owned()))?;
    let request = Request {
        runc: &runc,
        root: &root,
        id,
        pid,
        images: &folders.images,
        work: &folders.work,
        criu: None,
        is_cut,
        restored_by,
        limit: DUMP_LIMIT,
    };
    match dump::dump(&request) {
        Ok(_) => Ok(folders),
        Err(error) => {
            let is_passing =
                matches!(&error, DumpError::Refused { cause: Some(cause), .. } if cause.is_passing);
            Err(Failure { why: first_line(&error), is_passing })
        }
    }
}

fn failed(why: String) -> Failure {
    Failure { why, is_passing: false }
}

/// Waits until no runc works in that folder any more: CRIU must not be killed at its work, or the container is damaged.
pub(crate) fn wait_for_dumps(folder: &Path) {
    let works_there = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&command).into_owned();
        text.contains("checkpoint") && text.contains(&folder.display().to_string())
    };
    let start = Instant::now();
    while start.elapsed() < DUMP_LIMIT {
        let mut entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        if !entries.any(works_there) {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn first_line(error: &DumpError) -> String {
    let text = error.to_string();
    tracing::debug!(%text, "a dump failed");
    text.lines().next().unwrap_or_default().to_owned()
}

//! A device's own small disk, where a lab is asked for them: a file system in a sparse file, mounted over the device's data
//! folder before anything is in it. So a full one is no harm to the machine, nor to the other devices.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use super::plan::{Plan, TOKEN_VARIABLE};
use super::process::POLL;
use crate::shell;

/// What a full disk is filled with.
const FILLER: &str = "filler";
/// How often whatever has become free is taken.
const FILL_EVERY: Duration = Duration::from_millis(5);
/// The smallest piece: a block of the file system.
const BLOCK: u64 = 4096;
/// The kernel lets go of a mount when the last process that was in it is gone.
const BUSY_LIMIT: Duration = Duration::from_secs(60);

/// Makes a device's disk, if it is to have one, and mounts it in this machine's mount namespace; the device's own is a copy
/// of that.
pub(super) fn make(plan: &Plan, number: u8) -> Result<()> {
    let Some(bytes) = plan.disk_bytes else { return Ok(()) };
    let (file, place) = (plan.data_dir.join(format!("device-{number}.disk")), plan.device_data_dir(number));
    fs::create_dir_all(&place)?;
    File::create(&file)?.set_len(bytes)?;
    let command = |program: &str| {
        let mut command = Command::new(program);
        command.env(TOKEN_VARIABLE, &plan.token);
        command
    };
    // No block is kept back for root, so "full" is the same for everyone.
    shell::output(command("mkfs.ext4").args(["-q", "-m", "0"]).arg(&file))?;
    shell::output(command("mount").args(["-o", "loop"]).args([&file, &place]))?;
    Ok(())
}

/// Unmounts whatever is mounted below the lab's data folder.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    let start = Instant::now();
    loop {
        let mounted = mounted_below(&plan.data_dir)?;
        // The one that was mounted last goes first.
        let Some(place) = mounted.last() else { return Ok(()) };
        match shell::output(Command::new("umount").arg(place)) {
            Ok(_) => {}
            Err(error) if start.elapsed() > BUSY_LIMIT => return Err(error),
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn mounted_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    // Field 5 is the mount point (proc(5)); our own paths hold no character that the kernel would escape.
    let places = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    Ok(places.filter(|place| place.starts_with(folder) && place != folder).collect())
}

/// A disk that is being kept full; its drop frees the space.
#[derive(Debug)]
pub struct FullDisk {
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
    file: PathBuf,
}

impl FullDisk {
    /// Fills the disk of a folder up to `leave` bytes, and takes whatever becomes free beyond that, until dropped.
    ///
    /// # Errors
    /// The disk cannot be written to.
    pub(super) fn fill(folder: &Path, leave: u64) -> Result<Self> {
        let path = folder.join(FILLER);
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut length = 0;
        take(&file, &mut length, leave)?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(FILL_EVERY);
                if let Err(error) = take(&file, &mut length, leave) {
                    eprintln!("lab: a disk is not kept full: {error:#}");
                    return;
                }
            }
        });
        Ok(Self { stop, worker: Some(worker), file: path })
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            // It has nothing to say.
            let _ = worker.join();
        }
        if let Err(error) = fs::remove_file(&self.file) {
            eprintln!("lab: {} stays: {error}", self.file.display());
        }
    }
}

/// Takes what is free beyond `leave`, in ever smaller pieces where a large one does not fit.
fn take(file: &File, length: &mut u64, leave: u64) -> Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    let mut piece = (disk.f_bavail * disk.f_frsize).saturating_sub(leave) / BLOCK * BLOCK;
    while piece >= BLOCK {
        match fallocate(file, FallocateFlags::empty(), *length, piece) {
            Ok(()) => {
                *length += piece;
                return Ok(());
            }
            Err(Errno::NOSPC) => piece = piece / 2 / BLOCK * BLOCK,
            Err(Errno::INTR) => {}
            Err(error) => bail!(io::Error::from(error)),
        }
    }
    Ok(())
}

/// Bytes that are free on the disk of a folder.
///
/// # Errors
/// It cannot be asked.
pub(super) fn free(folder: &Path) -> Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

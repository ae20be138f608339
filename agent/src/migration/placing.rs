//! Where a move's files go at its destination: first all of them, while the container runs; then what has changed, perhaps with the
//! engine at its start already. Blocks.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use ecep_precopy::{
    apply::{self, Into},
    copy::copy,
};

use super::{
    files::{MAX_LOGS, numbered},
    wire::{GONE, Gone, LOG_TAIL, LOGS, UPPER, VOLUMES},
};

/// Files that are flushed one by one; a disk with more of them is flushed as a whole.
const MAX_FLUSHED: usize = 256;

/// The places of one container.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Its writable layer.
    pub upper: Option<PathBuf>,
    /// Where its files are while the engine has it mounted, all layers together.
    pub merged: Option<PathBuf>,
    /// Its volumes, numbered as in the plan.
    pub volumes: Vec<PathBuf>,
    /// Its output.
    pub log: Option<PathBuf>,
}

impl Places {
    /// Puts everything that has arrived in place of what is there; it is on the disk afterwards.
    pub(super) fn put(&self, arrived: &Path) -> io::Result<()> {
        let mut filled = Vec::new();
        if let (tree, Some(upper)) = (arrived.join(UPPER), &self.upper)
            && tree.is_dir()
        {
            replace_tree(&tree, upper)?;
            filled.push(upper);
        }
        for (number, place) in self.volumes.iter().enumerate() {
            replace_tree(&arrived.join(VOLUMES).join(number.to_string()), place)?;
            filled.push(place);
        }
        if let Some(log) = &self.log {
            put_logs(arrived, log, false)?;
        }
        filled.into_iter().try_for_each(|place| flush_disk_of(place))
    }

    /// Puts what has changed in place. `is_starting` tells that the engine is at the container's start: it has mounted the files, so
    /// that nobody may write below the mount, and opened the output. Answers what must be on the disk before the source removes
    /// its own: see [`flush`].
    pub(super) fn put_changes(&self, arrived: &Path, is_starting: bool) -> io::Result<Vec<PathBuf>> {
        let gone: Gone = serde_json::from_slice(&fs::read(arrived.join(GONE))?)?;
        let mut written = Vec::new();
        match (&self.upper, &self.merged) {
            (Some(upper), Some(merged)) if is_starting => {
                change(&arrived.join(UPPER), merged, Into::Overlay(upper), &gone.upper, &mut written)?;
            }
            (Some(upper), _) if !is_starting => {
                change(&arrived.join(UPPER), upper, Into::Folder, &gone.upper, &mut written)?;
            }
            _ => return Err(io::Error::other("the engine does not say where the container's files are")),
        }
        for (number, place) in self.volumes.iter().enumerate() {
            let gone = gone.volumes.get(number).map(Vec::as_slice).unwrap_or_default();
            change(&arrived.join(VOLUMES).join(number.to_string()), place, Into::Folder, gone, &mut written)?;
        }
        if let Some(log) = &self.log {
            put_logs(arrived, log, is_starting)?;
            put_tail(&arrived.join(LOG_TAIL), log)?;
        }
        Ok(written)
    }
}

/// The youngest file is filled anew where the engine has it open: what it writes goes there.
fn put_logs(arrived: &Path, log: &Path, is_open: bool) -> io::Result<()> {
    for number in 0..MAX_LOGS {
        let file = arrived.join(LOGS).join(number.to_string());
        if !file.is_file() {
            break;
        }
        if number == 0 && is_open {
            io::copy(&mut File::open(file)?, &mut File::create(log)?)?;
        } else {
            move_to(&file, &numbered(log, number))?;
        }
    }
    Ok(())
}

/// The end of the output takes the place of all that is there from its beginning on.
fn put_tail(folder: &Path, log: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let begins = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let begins: u64 = begins.ok_or_else(|| io::Error::other("the output's end has no beginning"))?;
        let mut out = OpenOptions::new().append(true).create(true).open(log)?;
        if out.metadata()?.len() < begins {
            return Err(io::Error::other("the output's end came without what is before it"));
        }
        out.set_len(begins)?;
        io::copy(&mut File::open(entry.path())?, &mut out)?;
    }
    Ok(())
}

/// Waits until these files are on their disks.
pub(super) fn flush(written: &[PathBuf]) -> io::Result<()> {
    if written.len() > MAX_FLUSHED {
        return flush_disk_of(&written[0]);
    }
    for path in written {
        // Only files have content of their own; what became of names is on the disk with them, or found again from the images.
        if path.symlink_metadata().is_ok_and(|found| found.is_file() || found.is_dir()) {
            File::open(path)?.sync_all()?;
        }
    }
    Ok(())
}

/// Waits until what was written to the disk of a file is on it.
pub(crate) fn flush_disk_of(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

fn change(
    part: &Path,
    target: &Path,
    into: Into<'_>,
    gone: &[PathBuf],
    written: &mut Vec<PathBuf>,
) -> io::Result<()> {
    apply::removals(gone, target)?;
    if part.is_dir() {
        let before = written.len();
        paths_of(part, target, written)?;
        apply::changes(part, target, into)?;
        // Whiteouts have no place of their own.
        let placed = written.split_off(before).into_iter().filter(|path| path.symlink_metadata().is_ok());
        written.extend(placed.collect::<Vec<_>>());
    }
    Ok(())
}

/// The places of `part` and of everything below it.
fn paths_of(part: &Path, target: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    found.push(target.to_owned());
    for child in fs::read_dir(part)? {
        let child = child?;
        let place = target.join(child.file_name());
        if child.file_type()?.is_dir() {
            paths_of(&child.path(), &place, found)?;
        } else {
            found.push(place);
        }
    }
    Ok(())
}

/// The place has the tree's content, owner and mode afterwards, and nothing else.
fn replace_tree(tree: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    move_to(tree, place)
}

/// Renames, or copies with everything where the two are on different disks, or under different mounts of one: an engine may
/// have mounted its folder onto itself.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A line that was written while the output was on its way had gone with it already: it came twice.
    #[test]
    fn output_that_was_written_on_the_way_is_not_doubled() {
        let scene = tempfile::tempdir().unwrap();
        let (arrived, log) = (scene.path().join("arrived"), scene.path().join("log"));
        fs::create_dir_all(arrived.join(LOG_TAIL)).unwrap();
        fs::write(arrived.join(GONE), serde_json::to_vec(&Gone::default()).unwrap()).unwrap();
        fs::write(&log, "one\ntwo\n").unwrap();
        fs::write(arrived.join(LOG_TAIL).join("4"), "two\nthree\n").unwrap();
        let [upper, merged] = ["upper", "merged"].map(|name| Some(scene.path().join(name)));
        let places = Places { upper, merged, volumes: Vec::new(), log: Some(log.clone()) };
        places.put_changes(&arrived, false).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "one\ntwo\nthree\n");
    }

    /// An engine that has begun the container's start has its output open: what it writes later must not go into a file that is gone.
    #[test]
    fn output_that_begins_anew_stays_open() {
        let scene = tempfile::tempdir().unwrap();
        let (arrived, log) = (scene.path().join("arrived"), scene.path().join("log"));
        fs::create_dir_all(arrived.join(LOGS)).unwrap();
        fs::write(arrived.join(GONE), serde_json::to_vec(&Gone::default()).unwrap()).unwrap();
        fs::write(&log, "old, and longer than what comes\n").unwrap();
        let mut engines = OpenOptions::new().append(true).open(&log).unwrap();
        fs::write(arrived.join(LOGS).join("0"), "new\n").unwrap();
        fs::write(arrived.join(LOGS).join("1"), "old\n").unwrap();
        let [upper, merged] = ["upper", "merged"].map(|name| Some(scene.path().join(name)));
        let places = Places { upper, merged, volumes: Vec::new(), log: Some(log.clone()) };
        places.put_changes(&arrived, true).unwrap();
        engines.write_all(b"later\n").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "new\nlater\n");
        assert_eq!(fs::read_to_string(numbered(&log, 1)).unwrap(), "old\n");
    }
}

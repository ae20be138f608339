//! Which files of a folder have changed since they were copied while the container ran. Told by what the kernel keeps of each
//! (inode(7)); a file that may have been written without a trace there counts as changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The kernel's clock for these times ticks this slowly at most, with a margin: a file that was written just before it was
/// looked at can be written once more with the same time.
const TICK: Duration = Duration::from_millis(50);

/// What the kernel keeps of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    mode: u32,
    owner: (u32, u32),
    device: u64,
    links: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            device: metadata.rdev(),
            links: metadata.nlink(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A folder's files at one moment, by their paths below it. Some 200 bytes of memory for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<PathBuf, (Stamp, bool)>,
}

/// What differs between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Paths that are new or other than before. A folder stands for itself alone.
    pub changed: BTreeSet<PathBuf>,
    /// Paths that are gone; of a folder only itself.
    pub gone: Vec<PathBuf>,
}

impl Manifest {
    /// Looks at every file below a folder, without following links or entering other file systems. Files with these inode
    /// numbers can be written without a trace ([`mapped`]).
    ///
    /// # Errors
    /// The folder cannot be read. What goes away meanwhile is not there.
    pub fn of(root: &Path, restless: &HashSet<u64>) -> io::Result<Self> {
        let device = root.symlink_metadata()?.dev();
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
        let mut entries = BTreeMap::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let Some(children) = unless_gone(fs::read_dir(root.join(&folder)))? else { continue };
            for child in children {
                let child = child?;
                let path = folder.join(child.file_name());
                let Some(metadata) = unless_gone(root.join(&path).symlink_metadata())? else { continue };
                let stamp = Stamp::of(&metadata);
                let since = u64::try_from(stamp.changed.0).unwrap_or_default();
                let nanoseconds = u32::try_from(stamp.changed.1).unwrap_or_default();
                let is_fresh = Duration::new(since, nanoseconds) >= soon;
                if metadata.is_dir() && metadata.dev() == device {
                    folders.push(path.clone());
                }
                entries.insert(path, (stamp, is_fresh || restless.contains(&stamp.inode)));
            }
        }
        Ok(Self { entries })
    }

    /// What is other now than it was in `before`.
    pub fn since(&self, before: &Self) -> Changes {
        let changed = self.entries.iter().filter(|(path, (stamp, is_restless))| {
            let known = before.entries.get(*path);
            *is_restless && !is_folder(stamp)
                || known.is_none_or(|(old, was_restless)| old != stamp || *was_restless && !is_folder(stamp))
        });
        let mut gone: Vec<PathBuf> = Vec::new();
        for path in before.entries.keys().filter(|path| !self.entries.contains_key(*path)) {
            if !gone.last().is_some_and(|last| path.starts_with(last)) {
                gone.push(path.clone());
            }
        }
        Changes { changed: changed.map(|(path, _)| path.clone()).collect(), gone }
    }
}

/// The inode numbers of files that this process has mapped shared and writable: what it writes there leaves no trace until the
/// kernel writes it to the disk.
///
/// # Errors
/// The process cannot be looked at; one that has ended has mapped nothing.
pub fn mapped(pid: i32) -> io::Result<HashSet<u64>> {
    let maps = unless_gone(fs::read_to_string(format!("/proc/{pid}/maps")))?.unwrap_or_default();
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (rights, inode) = (fields.nth(1)?, fields.nth(2)?);
        let inode: u64 = inode.parse().ok()?;
        (rights.starts_with("rw") && rights.ends_with('s') && inode != 0).then_some(inode)
    };
    Ok(maps.lines().filter_map(inode).collect())
}

fn is_folder(stamp: &Stamp) -> bool {
    stamp.mode & 0o170_000 == 0o040_000
}

fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(root: &Path) -> Manifest {
        Manifest::of(root, &HashSet::new()).unwrap()
    }

    /// Makes everything old, as it is when a container has been at rest.
    fn settle(root: &Path) -> Manifest {
        let mut manifest = look(root);
        manifest.entries.values_mut().for_each(|(_, is_restless)| *is_restless = false);
        manifest
    }

    fn names(changes: &Changes) -> Vec<&str> {
        changes.changed.iter().map(|path| path.to_str().unwrap()).collect()
    }

    /// Each way in which a file can change is seen; nothing else travels again.
    #[test]
    fn changes_are_seen() {
        let scene = tempfile::tempdir().unwrap();
        let root = scene.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        for file in ["kept", "written", "renamed", "removed", "a/deep", "a/b/deeper"] {
            fs::write(root.join(file), file).unwrap();
        }
        let before = settle(root);
        assert_eq!(settle(root).since(&before), Changes::default());
        fs::write(root.join("written"), "WRITTEN").unwrap();
        fs::rename(root.join("renamed"), root.join("new")).unwrap();
        fs::remove_file(root.join("removed")).unwrap();
        fs::remove_dir_all(root.join("a/b")).unwrap();
        let changes = settle(root).since(&before);
        assert_eq!(names(&changes), ["a", "new", "written"]);
        assert_eq!(changes.gone, ["a/b", "removed", "renamed"].map(PathBuf::from));
    }

    /// A file that was written at the moment of the look, or that a process has mapped, may change without a trace.
    #[test]
    fn what_may_have_changed_counts() {
        let scene = tempfile::tempdir().unwrap();
        let path = scene.path().join("database");
        fs::write(&path, "x").unwrap();
        let before = look(scene.path());
        assert_eq!(names(&settle(scene.path()).since(&before)), ["database"], "it was written just before");
        let restless = HashSet::from([path.metadata().unwrap().ino()]);
        let mut later = Manifest::of(scene.path(), &restless).unwrap();
        later.entries.values_mut().for_each(|(_, is_restless)| *is_restless &= true);
        assert_eq!(names(&later.since(&settle(scene.path()))), ["database"]);
    }
}

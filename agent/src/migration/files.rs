//! The files of a move as its source sees them: what goes while the container runs, and what has changed when it is frozen.
//! Blocks.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ecep_channel::transfer::{Item, ItemName, Source};
use ecep_precopy::tree::{self, Changes, Manifest};
use ecep_runtime::freezer;

use super::memory;
use super::wire::{GONE, Gone, IMAGES, LOG_TAIL, LOGS, UPPER, VOLUMES};
use crate::engine::docker::mobility::Portrait;

/// Output files that an engine keeps of a container: `x-json.log`, `x-json.log.1`, ….
pub(super) const MAX_LOGS: usize = 16;

/// The end of the output, in the scratch folder.
const TAIL_FILE: &str = "log-tail";

/// Where a container's files are, and what they were when they went.
pub(super) struct Tracked {
    upper: Option<(PathBuf, Manifest)>,
    volumes: Vec<(PathBuf, Manifest)>,
    log: Option<(PathBuf, Output)>,
    /// Files that a process had mapped shared and writable then.
    restless: HashSet<u64>,
}

/// The youngest output file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Output {
    inode: u64,
    length: u64,
}

impl Tracked {
    /// Looks at the files of a container, before they are sent.
    pub(super) fn look(portrait: &Portrait) -> io::Result<Self> {
        let restless = mapped(portrait.pid)?;
        let look = |root: &PathBuf| Ok((root.clone(), Manifest::of(root, &restless)?));
        let upper = portrait.upper.as_ref().map(look).transpose()?;
        let volumes = portrait.volumes.iter().map(|(_, root)| look(root)).collect::<io::Result<_>>()?;
        let log = portrait.log.as_ref().filter(|log| log.is_file());
        let log = log.map(|log| Ok::<_, io::Error>((log.clone(), output(log)?))).transpose()?;
        Ok(Self { upper, volumes, log, restless })
    }

    /// Everything, to be sent while the container runs.
    pub(super) fn all(&self) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        if let Some((upper, _)) = &self.upper {
            items.push(item(UPPER, Source::Tree(upper.clone()))?);
        }
        for (number, (root, _)) in self.volumes.iter().enumerate() {
            items.push(item(&format!("{VOLUMES}/{number}"), Source::Tree(root.clone()))?);
        }
        if let Some((log, _)) = &self.log {
            items.extend(logs(log)?);
        }
        Ok(items)
    }

    /// Which files have changed since, to be sent while it is frozen or stopped. `pid` is its first process, if it has one; small
    /// files that are made for it lie in `scratch`.
    pub(super) fn changes(&self, pid: Option<i32>, scratch: &Path) -> io::Result<Vec<Item>> {
        let restless: HashSet<u64> = self.restless.union(&mapped(pid)?).copied().collect();
        let since =
            |(root, before): &(PathBuf, Manifest)| Manifest::of(root, &restless).map(|now| now.since(before));
        let mut items = Vec::new();
        let mut gone = Gone::default();
        if let Some(tracked) = &self.upper {
            let Changes { changed, gone: of_upper } = since(tracked)?;
            items.extend(part(UPPER, &tracked.0, changed)?);
            gone.upper = of_upper;
        }
        for (number, tracked) in self.volumes.iter().enumerate() {
            let Changes { changed, gone: of_volume } = since(tracked)?;
            items.extend(part(&format!("{VOLUMES}/{number}"), &tracked.0, changed)?);
            gone.volumes.push(of_volume);
        }
        let list = scratch.join(GONE);
        fs::write(&list, serde_json::to_vec(&gone)?)?;
        items.push(item(GONE, Source::File(list))?);
        Ok(items)
    }

    /// What it has written to its output since. Its engine writes that down a moment after the container has said it, so this is
    /// asked for late.
    pub(super) fn output(&self, scratch: &Path) -> io::Result<Vec<Item>> {
        self.log.as_ref().map_or_else(|| Ok(Vec::new()), |(log, before)| new_output(log, *before, scratch))
    }
}

/// CRIU's images: the small ones, which travel as one item, and the numbers of those that hold pages.
pub(super) fn images(folder: &Path) -> io::Result<(Item, Vec<u32>)> {
    let (mut small, mut pages) = (BTreeSet::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        match name.to_str().and_then(memory::number_of) {
            Some(number) => pages.push(number),
            None => {
                small.insert(PathBuf::from(name));
            }
        }
    }
    let part = Source::Part { root: folder.to_owned(), paths: Arc::new(small) };
    Ok((item(IMAGES, part)?, pages))
}

/// An item by its name's parts.
pub(super) fn item(name: &str, source: Source) -> io::Result<Item> {
    let name: ItemName = name.parse().map_err(io::Error::other)?;
    Ok(Item { name, source })
}

/// As the engine's json-file driver names rotated files.
pub(super) fn numbered(log: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return log.to_owned();
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn part(name: &str, root: &Path, changed: BTreeSet<PathBuf>) -> io::Result<Option<Item>> {
    if changed.is_empty() {
        return Ok(None);
    }
    item(name, Source::Part { root: root.to_owned(), paths: Arc::new(changed) }).map(Some)
}

/// The output's files that are there, the youngest first.
fn logs(log: &Path) -> io::Result<Vec<Item>> {
    let files = (0..MAX_LOGS).map(|number| numbered(log, number)).take_while(|path| path.is_file());
    files.enumerate().map(|(number, path)| item(&format!("{LOGS}/{number}"), Source::File(path))).collect()
}

/// What was written to it since; all of it where the engine has begun a new file.
fn new_output(log: &Path, before: Output, scratch: &Path) -> io::Result<Vec<Item>> {
    let now = output(log)?;
    if now == before {
        return Ok(Vec::new());
    }
    if now.inode != before.inode || now.length < before.length {
        return logs(log);
    }
    let path = scratch.join(TAIL_FILE);
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(before.length))?;
    io::copy(&mut file.take(now.length - before.length), &mut File::create(&path)?)?;
    Ok(vec![item(&format!("{LOG_TAIL}/{}", before.length), Source::File(path))?])
}

fn output(log: &Path) -> io::Result<Output> {
    let metadata = log.metadata()?;
    Ok(Output { inode: metadata.ino(), length: metadata.len() })
}

/// What the container's processes have mapped shared and writable.
fn mapped(pid: Option<i32>) -> io::Result<HashSet<u64>> {
    let processes = match pid {
        Some(pid) => freezer::processes(pid).map_err(io::Error::other)?,
        None => Vec::new(),
    };
    let mut found = HashSet::new();
    for process in processes {
        found.extend(tree::mapped(process)?);
    }
    Ok(found)
}

/// Bytes of a tree's files on disk.
pub(crate) fn size(tree: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            total += metadata.blocks() * 512;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(total)
}

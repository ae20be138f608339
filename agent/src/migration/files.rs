//! The files of a move: what the source sends after the freeze, and where the destination puts it. Blocks.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use ecep_channel::transfer::{Item, ItemName, Source};

use super::wire::{IMAGES, LOGS, UPPER, VOLUMES};

/// Output files that an engine keeps of a container: `x-json.log`, `x-json.log.1`, ….
const MAX_LOGS: usize = 16;

/// An item by its name's parts.
pub(super) fn item(name: &str, source: Source) -> io::Result<Item> {
    let name: ItemName = name.parse().map_err(io::Error::other)?;
    Ok(Item { name, source })
}

/// CRIU's images: a folder of dozens of small files and few large ones, which travels as one.
pub(super) fn images(folder: &Path) -> io::Result<Item> {
    item(IMAGES, Source::Tree(folder.to_owned()))
}

/// Everything of a container that lies on disk: writable layer, volumes, output.
pub(super) fn on_disk(
    upper: Option<&Path>,
    volumes: &[(String, PathBuf)],
    log: Option<&Path>,
) -> io::Result<Vec<Item>> {
    let mut items = Vec::new();
    if let Some(upper) = upper {
        items.push(item(UPPER, Source::Tree(upper.to_owned()))?);
    }
    for (number, (_, place)) in volumes.iter().enumerate() {
        items.push(item(&format!("{VOLUMES}/{number}"), Source::Tree(place.clone()))?);
    }
    for (number, path) in logs(log).into_iter().enumerate() {
        items.push(item(&format!("{LOGS}/{number}"), Source::File(path))?);
    }
    Ok(items)
}

/// The output's files that are there, the youngest first.
fn logs(log: Option<&Path>) -> Vec<PathBuf> {
    let Some(log) = log else { return Vec::new() };
    (0..MAX_LOGS).map(|number| numbered(log, number)).take_while(|path| path.is_file()).collect()
}

/// As the engine's json-file driver names rotated files.
fn numbered(log: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return log.to_owned();
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Puts what has arrived into its places at the destination, in the order of [`on_disk`].
pub(super) fn put(
    arrived: &Path,
    upper: Option<&Path>,
    volumes: &[PathBuf],
    log: Option<&Path>,
) -> io::Result<()> {
    if let (tree, Some(upper)) = (arrived.join(UPPER), upper)
        && tree.is_dir()
    {
        replace_tree(&tree, upper)?;
    }
    for (number, place) in volumes.iter().enumerate() {
        replace_tree(&arrived.join(VOLUMES).join(number.to_string()), place)?;
    }
    if let Some(log) = log {
        for number in 0..MAX_LOGS {
            let file = arrived.join(LOGS).join(number.to_string());
            if !file.is_file() {
                break;
            }
            move_to(&file, &numbered(log, number))?;
        }
    }
    Ok(())
}

/// Waits until what was written to the disk of a file is on it.
pub(crate) fn flush_disk_of(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(path)?)?)
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
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mut copy = Command::new("cp");
            copy.env("LC_ALL", "C").arg("--archive").arg("--no-target-directory").args([from, to]);
            let copied = copy.output()?;
            if copied.status.success() {
                return Ok(());
            }
            // It says of each file why; the first is enough.
            let said = String::from_utf8_lossy(&copied.stderr);
            let why = said.lines().next().unwrap_or_default();
            Err(io::Error::other(format!("cannot copy {} to {}: {why}", from.display(), to.display())))
        }
        outcome => outcome,
    }
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

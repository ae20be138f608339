//! Unpacks an archive of a tree into a fresh directory that nobody else writes to. The archive may be hostile: every name
//! is checked, every parent must be a real directory of this tree, and nothing is written through a link.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs as sys;
use tar::{Archive, Entry, EntryType};

use super::pax::{self, LINK, MAX_PAX, MTIME, PATH, SPARSE_MAP, SPARSE_SIZE, XATTR, is_carried_xattr};

/// Entries of one tree: the largest images have some hundred thousand files.
pub const MAX_ENTRIES: u64 = 4_000_000;
/// The kernel's longest path.
const MAX_PATH: usize = 4096;
/// Longest file that holes may make, so that a few bytes can't claim a whole disk's quota: 16 TiB, as ext4.
const MAX_SPARSE: u64 = 1 << 44;

/// Why a tree was not unpacked. Nothing of it was put in place.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A name, a link or a size that no honest sender writes.
    #[error("the archive was refused at {path:?}: {what}")]
    Refused {
        /// The entry.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The disk, or a right that this process lacks.
    #[error("unpacking {path:?}: {source}")]
    File {
        /// The entry.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// Not a tar archive.
    #[error("the archive cannot be read: {0}")]
    Unreadable(io::Error),
}

/// What an entry says of itself.
struct Attributes {
    path: PathBuf,
    target: Option<PathBuf>,
    mtime: sys::Timespec,
    xattrs: Vec<(String, Vec<u8>)>,
    pieces: Option<(Vec<(u64, u64)>, u64)>,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// Unpacks into `root`, which must be an empty directory.
pub(crate) fn unpack(archive: impl Read, root: &Path) -> Result<(), TreeError> {
    let mut unpacker = Unpacker { root, open: Vec::new() };
    let mut archive = Archive::new(archive);
    let entries = archive.entries().map_err(TreeError::Unreadable)?.raw(true);
    let mut extended: Option<Vec<u8>> = None;
    let mut count = 0;
    for entry in entries {
        let mut entry = entry.map_err(TreeError::Unreadable)?;
        if entry.header().entry_type() == EntryType::XHeader {
            if entry.size() > MAX_PAX {
                return Err(refused(Path::new(""), "its extended header is too long"));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(TreeError::Unreadable)?;
            extended = Some(bytes);
            continue;
        }
        count += 1;
        if count > MAX_ENTRIES {
            return Err(refused(Path::new(""), "it has too many entries"));
        }
        let attributes = attributes(&entry, &extended.take().unwrap_or_default())?;
        unpacker.entry(entry, attributes)?;
    }
    unpacker.close_until(None)
}

fn attributes<R: Read>(entry: &Entry<'_, R>, extended: &[u8]) -> Result<Attributes, TreeError> {
    let records =
        pax::parse(extended).ok_or_else(|| refused(Path::new(""), "its extended header is damaged"))?;
    let value = |key: &str| records.iter().rev().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let number = |text: Option<&[u8]>| std::str::from_utf8(text?).ok()?.parse::<u64>().ok();
    let header = entry.header();
    let path_bytes = match value(PATH) {
        Some(path) => path.to_vec(),
        None => header.path_bytes().into_owned(),
    };
    let path = checked_path(&path_bytes)?;
    let bad = |what| refused(&path, what);
    let target = match value(LINK) {
        Some(target) => Some(target.to_vec()),
        None => header.link_name_bytes().map(std::borrow::Cow::into_owned),
    };
    let pieces = match value(SPARSE_MAP) {
        Some(map) => Some(
            sparse(map, number(value(SPARSE_SIZE)), entry.size())
                .ok_or_else(|| bad("its map of holes is damaged"))?,
        ),
        None => None,
    };
    let mut xattrs = Vec::new();
    for (key, value) in &records {
        if let Some(name) = key.strip_prefix(XATTR) {
            if !is_carried_xattr(name) {
                return Err(bad("it has an extended attribute that is not carried"));
            }
            xattrs.push((name.to_owned(), value.to_vec()));
        }
    }
    let id = |id: io::Result<u64>| {
        id.ok().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| bad("its owner is no number"))
    };
    let mtime = match value(MTIME) {
        Some(mtime) => time(mtime).ok_or_else(|| bad("its time is no number"))?,
        None => sys::Timespec {
            tv_sec: header.mtime().ok().and_then(|at| i64::try_from(at).ok()).unwrap_or(0),
            tv_nsec: 0,
        },
    };
    Ok(Attributes {
        target: target.map(|target| PathBuf::from(std::ffi::OsStr::from_bytes(&target))),
        mtime,
        xattrs,
        pieces,
        mode: header.mode().map_err(|_| bad("its mode is no number"))? & 0o7777,
        uid: id(header.uid())?,
        gid: id(header.gid())?,
        path,
    })
}

/// A relative path without `..`; empty for the root itself.
fn checked_path(bytes: &[u8]) -> Result<PathBuf, TreeError> {
    let path = Path::new(std::ffi::OsStr::from_bytes(bytes));
    if bytes.is_empty() || bytes.len() > MAX_PATH || bytes.contains(&0) {
        return Err(refused(path, "its name is empty, too long or holds a zero"));
    }
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            _ => return Err(refused(path, "its name leads out of the tree")),
        }
    }
    Ok(clean)
}

fn sparse(map: &[u8], size: Option<u64>, stored: u64) -> Option<(Vec<(u64, u64)>, u64)> {
    let size = size.filter(|size| *size <= MAX_SPARSE)?;
    let map = std::str::from_utf8(map).ok()?;
    let numbers = match map {
        "" => Vec::new(),
        map => map.split(',').map(|number| number.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?,
    };
    let mut pieces = Vec::new();
    let mut end = 0u64;
    for pair in numbers.chunks(2) {
        let [offset, length] = pair else { return None };
        if *offset < end {
            return None;
        }
        end = offset.checked_add(*length)?;
        pieces.push((*offset, *length));
    }
    let total = pieces.iter().try_fold(0u64, |sum, (_, length)| sum.checked_add(*length))?;
    (end <= size && total == stored).then_some((pieces, size))
}

fn time(text: &[u8]) -> Option<sys::Timespec> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some(sys::Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: nanoseconds })
}

struct Unpacker<'a> {
    root: &'a Path,
    /// The directories around the last entry: their modes and times are set when they are left.
    open: Vec<Attributes>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>, attributes: Attributes) -> Result<(), TreeError> {
        let path = attributes.path.clone();
        let at = self.root.join(&path);
        let failed = |source: io::Error| TreeError::File { path: path.clone(), source };
        let kind = entry.header().entry_type();
        if path.as_os_str().is_empty() {
            if kind != EntryType::Directory || !self.open.is_empty() {
                return Err(refused(&path, "the root must be one directory, and come first"));
            }
            self.open.push(attributes);
            return Ok(());
        }
        self.close_until(path.parent())?;
        self.check_parents(&path)?;
        if at.symlink_metadata().is_ok() {
            return Err(refused(&path, "it comes twice"));
        }
        let target = attributes.target.as_deref().filter(|target| !target.as_os_str().is_empty());
        match kind {
            EntryType::Directory => {
                DirBuilder::new().mode(0o700).create(&at).map_err(failed)?;
                self.open.push(attributes);
                return Ok(());
            }
            EntryType::Regular | EntryType::Continuous => {
                write_file(&mut entry, &at, attributes.pieces.as_ref()).map_err(failed)?;
            }
            EntryType::Link => {
                let target = target.ok_or_else(|| refused(&path, "a link to nothing"))?;
                let target = checked_path(target.as_os_str().as_bytes())?;
                self.check_parents(&target)?;
                let is_known = self.root.join(&target).symlink_metadata().is_ok_and(|known| !known.is_dir());
                if !is_known {
                    return Err(refused(&path, "a second name of a file that is not in the tree"));
                }
                // Does not follow a link at the end (POSIX `linkat` without AT_SYMLINK_FOLLOW).
                return std::fs::hard_link(self.root.join(&target), &at).map_err(failed);
            }
            EntryType::Symlink => {
                // Wherever it points: it is the container's to follow, not ours.
                let target = target.ok_or_else(|| refused(&path, "a link to nothing"))?;
                std::os::unix::fs::symlink(target, &at).map_err(failed)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let file_type = match kind {
                    EntryType::Char => sys::FileType::CharacterDevice,
                    EntryType::Block => sys::FileType::BlockDevice,
                    _ => sys::FileType::Fifo,
                };
                let number =
                    |number: io::Result<Option<u32>>| number.map(Option::unwrap_or_default).map_err(failed);
                let device = match kind {
                    EntryType::Fifo => 0,
                    _ => sys::makedev(
                        number(entry.header().device_major())?,
                        number(entry.header().device_minor())?,
                    ),
                };
                sys::mknodat(sys::CWD, &at, file_type, sys::Mode::RUSR | sys::Mode::WUSR, device)
                    .map_err(|error| failed(error.into()))?;
            }
            _ => return Err(refused(&path, "an entry of a kind that trees do not hold")),
        }
        apply(&at, &attributes, kind == EntryType::Symlink).map_err(failed)
    }

    /// Leaves the directories that `parent` is not in.
    fn close_until(&mut self, parent: Option<&Path>) -> Result<(), TreeError> {
        while let Some(last) =
            self.open.pop_if(|last| !parent.is_some_and(|parent| parent.starts_with(&last.path)))
        {
            apply(&self.root.join(&last.path), &last, false)
                .map_err(|source| TreeError::File { path: last.path.clone(), source })?;
        }
        Ok(())
    }

    fn check_parents(&self, path: &Path) -> Result<(), TreeError> {
        let mut at = self.root.to_owned();
        for part in path.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            if !at.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                return Err(refused(path, "it lies in something that is no directory of the tree"));
            }
        }
        Ok(())
    }
}

fn write_file(content: &mut impl Read, at: &Path, pieces: Option<&(Vec<(u64, u64)>, u64)>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(at)?;
    match pieces {
        None => {
            io::copy(content, &mut file)?;
        }
        Some((pieces, size)) => {
            for (offset, length) in pieces {
                file.seek(SeekFrom::Start(*offset))?;
                io::copy(&mut content.take(*length), &mut file)?;
            }
            file.set_len(*size)?;
        }
    }
    Ok(())
}

/// Owner first (it clears set-user-id bits and capabilities), then the rest, the time last.
fn apply(at: &Path, attributes: &Attributes, is_symlink: bool) -> io::Result<()> {
    std::os::unix::fs::lchown(at, Some(attributes.uid), Some(attributes.gid))?;
    if !is_symlink {
        std::fs::set_permissions(at, Permissions::from_mode(attributes.mode))?;
    }
    for (name, value) in &attributes.xattrs {
        sys::lsetxattr(at, name.as_str(), value, sys::XattrFlags::empty())?;
    }
    let times = sys::Timestamps { last_access: attributes.mtime, last_modification: attributes.mtime };
    Ok(sys::utimensat(sys::CWD, at, &times, sys::AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Flushes the whole file system that `root` is on: one call instead of one for each file.
pub(crate) fn flush(root: &Path) -> io::Result<()> {
    Ok(sys::syncfs(File::open(root)?)?)
}

fn refused(path: &Path, what: &'static str) -> TreeError {
    TreeError::Refused { path: path.to_owned(), what }
}

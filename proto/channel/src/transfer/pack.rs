//! Writes a directory as a tar archive with PAX records: the same bytes for the same tree, each time. Sockets are left
//! out (they mean nothing without their process), other file systems mounted below are not entered.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Bound,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{fs as sys, io::Errno};
use tar::{Builder, EntryType, Header};

use super::pax::{LINK, MTIME, PATH, SPARSE_MAP, SPARSE_SIZE, XATTR, is_carried_xattr};

/// The kernel's longest list of attribute names, and its longest attribute.
const MAX_XATTR: usize = 64 * 1024;
/// A file with more pieces than this is written with its holes: the list must fit its header.
const MAX_PIECES: usize = 4096;

/// Writes everything below `root`, and `root`'s own attributes as `.`; or only the paths of `only` and the directories that
/// lead to them. Memory: one directory's names, and one path for each file with several names.
pub(crate) fn pack(root: &Path, only: Option<&BTreeSet<PathBuf>>, out: impl Write) -> io::Result<()> {
    let device = root.symlink_metadata()?.dev();
    let mut packer = Packer { archive: Builder::new(out), device, only, names: HashMap::new() };
    packer.directory(root, Path::new("."))?;
    packer.archive.finish()
}

struct Packer<'a, W: Write> {
    archive: Builder<W>,
    device: u64,
    /// The paths that are wanted, below the root.
    only: Option<&'a BTreeSet<PathBuf>>,
    /// The first name of each file that has several.
    names: HashMap<u64, PathBuf>,
}

impl<W: Write> Packer<'_, W> {
    fn directory(&mut self, at: &Path, name: &Path) -> io::Result<()> {
        let metadata = at.symlink_metadata()?;
        self.entry(at, name, &metadata, EntryType::Directory, Vec::new(), 0)?;
        if metadata.dev() != self.device {
            return Ok(());
        }
        let mut children =
            std::fs::read_dir(at)?.map(|child| Ok(child?.file_name())).collect::<io::Result<Vec<_>>>()?;
        children.sort();
        for child in children {
            let path = at.join(&child);
            let name = if name == Path::new(".") { PathBuf::from(child) } else { name.join(child) };
            if self.is_wanted(&name) {
                self.child(&path, &name)?;
            }
        }
        Ok(())
    }

    /// Whether it is one of the paths, or leads to one. What is below a path sorts right behind it.
    fn is_wanted(&self, name: &Path) -> bool {
        let Some(only) = self.only else { return true };
        only.range::<Path, _>((Bound::Included(name), Bound::Unbounded))
            .next()
            .is_some_and(|next| next.starts_with(name))
    }

    fn child(&mut self, at: &Path, name: &Path) -> io::Result<()> {
        let metadata = at.symlink_metadata()?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return self.directory(at, name);
        }
        if metadata.nlink() > 1 {
            if let Some(first) = self.names.get(&metadata.ino()) {
                let target = first.as_os_str().as_bytes().to_vec();
                return self.entry(at, name, &metadata, EntryType::Link, vec![(LINK.to_owned(), target)], 0);
            }
            self.names.insert(metadata.ino(), name.to_owned());
        }
        if kind.is_file() {
            self.file(at, name, &metadata)
        } else if kind.is_symlink() {
            let target = std::fs::read_link(at)?.into_os_string().as_bytes().to_vec();
            self.entry(at, name, &metadata, EntryType::Symlink, vec![(LINK.to_owned(), target)], 0)
        } else if kind.is_char_device() {
            self.entry(at, name, &metadata, EntryType::Char, Vec::new(), 0)
        } else if kind.is_block_device() {
            self.entry(at, name, &metadata, EntryType::Block, Vec::new(), 0)
        } else if kind.is_fifo() {
            self.entry(at, name, &metadata, EntryType::Fifo, Vec::new(), 0)
        } else {
            Ok(())
        }
    }

    fn file(&mut self, at: &Path, name: &Path, metadata: &Metadata) -> io::Result<()> {
        let mut file = File::open(at)?;
        let length = metadata.len();
        let pieces = pieces(&file, length)?;
        let stored = pieces.iter().map(|(_, length)| length).sum();
        let mut records = Vec::new();
        if stored != length {
            let map: Vec<String> =
                pieces.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
            records.push((SPARSE_MAP.to_owned(), map.join(",").into_bytes()));
            records.push((SPARSE_SIZE.to_owned(), length.to_string().into_bytes()));
        }
        self.header(at, name, metadata, EntryType::Regular, records, stored).and_then(|header| {
            let out = self.archive.get_mut();
            out.write_all(header.as_bytes())?;
            for (offset, length) in pieces {
                file.seek(SeekFrom::Start(offset))?;
                let copied = io::copy(&mut (&mut file).take(length), out)?;
                // It shrank meanwhile: the archive must stay whole. Zeros are what a reader would get there.
                io::copy(&mut io::repeat(0).take(length - copied), out)?;
            }
            let padding = stored.next_multiple_of(512) - stored;
            io::copy(&mut io::repeat(0).take(padding), out).map(|_| ())
        })
    }

    fn entry(
        &mut self,
        at: &Path,
        name: &Path,
        metadata: &Metadata,
        kind: EntryType,
        records: Vec<(String, Vec<u8>)>,
        size: u64,
    ) -> io::Result<()> {
        let header = self.header(at, name, metadata, kind, records, size)?;
        self.archive.append(&header, io::empty())
    }

    /// Writes the PAX records and gives back the header that must follow.
    fn header(
        &mut self,
        at: &Path,
        name: &Path,
        metadata: &Metadata,
        kind: EntryType,
        mut records: Vec<(String, Vec<u8>)>,
        size: u64,
    ) -> io::Result<Header> {
        records.push((PATH.to_owned(), name.as_os_str().as_bytes().to_vec()));
        let mtime = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
        records.push((MTIME.to_owned(), mtime.into_bytes()));
        if kind != EntryType::Link {
            records.extend(xattrs(at)?);
        }
        self.archive
            .append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;

        let mut header = Header::new_ustar();
        // Programs that know no PAX see something; everyone else takes the record.
        if header.set_path(name).is_err() {
            header.set_path("long-name")?;
        }
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(metadata.mode() & 0o7777);
        header.set_uid(u64::from(metadata.uid()));
        header.set_gid(u64::from(metadata.gid()));
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(sys::major(metadata.rdev()))?;
            header.set_device_minor(sys::minor(metadata.rdev()))?;
        }
        header.set_cksum();
        Ok(header)
    }
}

fn xattrs(at: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; MAX_XATTR];
    let length = match sys::llistxattr(at, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if !is_carried_xattr(name) {
            continue;
        }
        let mut value = vec![0; MAX_XATTR];
        let length = sys::lgetxattr(at, name, value.as_mut_slice())?;
        value.truncate(length);
        found.push((format!("{XATTR}{name}"), value));
    }
    found.sort();
    Ok(found)
}

/// Where a file's bytes are: everything between is a hole.
fn pieces(file: &File, length: u64) -> io::Result<Vec<(u64, u64)>> {
    let whole = vec![(0, length)];
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < length {
        let from = match sys::seek(file, sys::SeekFrom::Data(at)) {
            Ok(from) => from,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(whole),
            Err(error) => return Err(error.into()),
        };
        let to = sys::seek(file, sys::SeekFrom::Hole(from))?.min(length);
        pieces.push((from, to.saturating_sub(from)));
        if pieces.len() > MAX_PIECES {
            return Ok(whole);
        }
        at = to.max(from + 1);
    }
    Ok(pieces)
}

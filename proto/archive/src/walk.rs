//! Entries of an archive, one after the other: with their whole names, judged one by one and against the tree so far.

use std::{
    io::{self, Read},
    rc::Rc,
};

use tar::{EntryType, Header};

use crate::{
    ArchiveError, Limits,
    blocks::{Blocks, take},
    budget::Budget,
    name::{normalise, shown, text},
    pax::Pax,
    tree::Tree,
};

/// Bytes of one extended header: some programs put a file's whole attributes there.
const MAX_PAX: usize = 1 << 20;

/// Something in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where it lies: normalised; never empty.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// The permission bits, without those that give rights.
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) modified_at: u64,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File {
        bytes: u64,
    },
    /// To this path, seen from its folder.
    Symlink {
        target: String,
    },
    /// To this file, seen from the root.
    HardLink {
        target: String,
    },
}

/// Reads an archive.
pub(crate) struct Walker<'a> {
    blocks: Blocks<'a>,
    limits: Limits,
    tree: Tree,
    /// The entry before, for a sentence.
    last: String,
    entries: u64,
    file_bytes: u64,
}

/// What the headers before an entry's own say about it.
#[derive(Default)]
struct Said {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
    pax: bool,
}

/// All that there was.
pub(crate) struct Walked {
    pub(crate) tree: Tree,
    /// How many entries.
    pub(crate) entries: u64,
    /// Bytes of all files.
    pub(crate) file_bytes: u64,
}

impl<'a> Walker<'a> {
    pub(crate) fn open(source: impl Read + 'a, limits: &Limits) -> Result<Self, ArchiveError> {
        let blocks = Blocks::open(source, limits)?;
        Ok(Self {
            blocks,
            limits: *limits,
            tree: Tree::default(),
            last: String::new(),
            entries: 0,
            file_bytes: 0,
        })
    }

    pub(crate) fn budget(&self) -> Rc<Budget> {
        self.blocks.budget().clone()
    }

    /// The next entry; what is left of the one before is passed over. The root itself is no entry.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut said = Said::default();
        let mut headers = 0;
        while let Some(header) = self.blocks.header(&self.last)? {
            let kind = header.entry_type();
            if matches!(
                kind,
                EntryType::GNULongName
                    | EntryType::GNULongLink
                    | EntryType::XHeader
                    | EntryType::XGlobalHeader
            ) {
                headers += 1;
                if headers > 4 {
                    return Err(self.extension("there are more headers about it than any program writes"));
                }
                self.extend(&mut said, kind, &header)?;
                continue;
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(ArchiveError::TooManyEntries { limit: self.limits.entries });
            }
            let entry = self.entry(std::mem::take(&mut said), &header)?;
            headers = 0;
            if entry.path.is_empty() {
                continue;
            }
            self.last = shown(entry.path.as_bytes());
            self.tree.add(&entry, &self.limits)?;
            if let Kind::File { bytes } = entry.kind {
                self.file_bytes = self.file_bytes.saturating_add(bytes);
            }
            return Ok(Some(entry));
        }
        if headers > 0 && (said.path.is_some() || said.link.is_some()) {
            return Err(ArchiveError::Truncated);
        }
        Ok(None)
    }

    /// To be called when there is no entry any more.
    pub(crate) fn finish(self) -> Result<Walked, ArchiveError> {
        if self.tree.is_empty() {
            return Err(ArchiveError::NoEntries);
        }
        Ok(Walked { tree: self.tree, entries: self.entries, file_bytes: self.file_bytes })
    }

    /// A header about the next one.
    fn extend(&mut self, said: &mut Said, kind: EntryType, header: &Header) -> Result<(), ArchiveError> {
        let is_pax = matches!(kind, EntryType::XHeader | EntryType::XGlobalHeader);
        // GNU tar counts the zero byte at the end.
        let limit = if is_pax { MAX_PAX } else { self.limits.path_bytes + 1 };
        let size = header.entry_size().unwrap_or(u64::MAX);
        if size > limit as u64 {
            return Err(match is_pax {
                true => self.extension("its extended header is larger than any program writes"),
                false => ArchiveError::LongPath {
                    entry: shown(&take(&mut self.blocks, 1024)?),
                    limit: self.limits.path_bytes,
                },
            });
        }
        let bytes = take(&mut self.blocks, limit)?;
        let twice = "it is named twice";
        match kind {
            EntryType::XGlobalHeader => {
                if !Pax::read(&bytes)?.is_empty() {
                    return Err(
                        self.extension("a header for all entries says what only one for a single entry may")
                    );
                }
            }
            EntryType::XHeader => {
                let pax = Pax::read(&bytes)?;
                if said.pax
                    || (pax.path.is_some() && said.path.is_some())
                    || (pax.link.is_some() && said.link.is_some())
                {
                    return Err(self.extension(twice));
                }
                said.pax = true;
                said.path = said.path.take().or(pax.path);
                said.link = said.link.take().or(pax.link);
                said.size = pax.size;
                said.is_sparse = pax.is_sparse;
            }
            _ => {
                let name = bytes.strip_suffix(&[0]).unwrap_or(&bytes).to_vec();
                let place = if kind == EntryType::GNULongName { &mut said.path } else { &mut said.link };
                if place.replace(name).is_some() {
                    return Err(self.extension(twice));
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, said: Said, header: &Header) -> Result<Entry, ArchiveError> {
        let limit = self.limits.path_bytes;
        let raw = said.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = normalise(&raw, limit)?;
        let entry = || shown(&raw);
        let malformed = |reason| ArchiveError::Malformed { after: self.last.clone(), reason };
        let bytes = header.entry_size().map_err(|_| malformed("the next size is no number"))?;
        if said.size.is_some_and(|size| size != bytes) {
            let reason = "its size is not the one in its extended header";
            return Err(ArchiveError::Extension { entry: entry(), reason });
        }
        if said.is_sparse || header.entry_type() == EntryType::GNUSparse {
            return Err(ArchiveError::Sparse { entry: entry() });
        }
        let link = || said.link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let special = |what| Err(ArchiveError::Special { entry: entry(), what });
        let kind = match header.entry_type() {
            // Old programs write folders so.
            EntryType::Regular if raw.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File { bytes },
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => {
                Kind::Symlink { target: text(&link().unwrap_or_default(), limit)?.to_owned() }
            }
            EntryType::Link => Kind::HardLink { target: normalise(&link().unwrap_or_default(), limit)? },
            EntryType::Char | EntryType::Block => return special("a device"),
            EntryType::Fifo => return special("a pipe or a socket"),
            _ => return special("of a kind that is not known"),
        };
        if path.is_empty() && kind != Kind::Directory {
            return Err(malformed("the next entry has no name"));
        }
        if matches!(&kind, Kind::Symlink { target } if target.is_empty()) {
            return Err(ArchiveError::Extension { entry: entry(), reason: "it is a link to nothing" });
        }
        if !matches!(kind, Kind::File { .. }) && bytes > 0 {
            let reason = "it is a folder or a link, and has bytes";
            return Err(ArchiveError::Extension { entry: entry(), reason });
        }
        let mode = header.mode().map_err(|_| malformed("the next permissions are no number"))? & 0o777;
        Ok(Entry { path, kind, mode, modified_at: header.mtime().unwrap_or(0) })
    }

    fn extension(&self, reason: &'static str) -> ArchiveError {
        ArchiveError::Extension { entry: format!("what follows {}", self.last), reason }
    }
}

/// The bytes of the entry that came last.
impl Read for Walker<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.blocks.read(buffer)
    }
}

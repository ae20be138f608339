//! Writes an archive anew: plain headers, root's files, no rights but those of reading, writing and running.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::{
    ArchiveError,
    walk::{Entry, Kind},
};

/// An archive that is being written.
pub(crate) struct Output<W: Write> {
    archive: Builder<Marked<W>>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { archive: Builder::new(Marked(out)) }
    }

    /// An entry under another path; `data` are a file's bytes, and `target` is where a hard link leads to now.
    pub(crate) fn entry(
        &mut self,
        entry: &Entry,
        path: &str,
        target: Option<&str>,
        data: impl Read,
    ) -> Result<(), ArchiveError> {
        let mut header = header(entry.mode, entry.modified_at);
        match &entry.kind {
            Kind::File { bytes } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*bytes);
                self.archive.append_data(&mut header, path, data)?;
            }
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                self.archive.append_data(&mut header, path, io::empty())?;
            }
            Kind::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                self.archive.append_link(&mut header, path, target)?;
            }
            Kind::HardLink { target: own } => {
                header.set_entry_type(EntryType::Link);
                self.archive.append_link(&mut header, path, target.unwrap_or(own))?;
            }
        }
        Ok(())
    }

    /// A file that was in no archive.
    pub(crate) fn file(&mut self, path: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut header = header(0o644, 0);
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        Ok(self.archive.append_data(&mut header, path, bytes)?)
    }

    /// A folder that was in no archive.
    pub(crate) fn folder(&mut self, path: &str) -> Result<(), ArchiveError> {
        let mut header = header(0o755, 0);
        header.set_entry_type(EntryType::Directory);
        Ok(self.archive.append_data(&mut header, path, io::empty())?)
    }

    /// Writes the mark of the end.
    pub(crate) fn finish(self) -> Result<(), ArchiveError> {
        Ok(self.archive.into_inner()?.flush()?)
    }
}

fn header(mode: u32, modified_at: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode & 0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified_at);
    header.set_size(0);
    header
}

/// Its errors are told from those of the source.
struct Marked<W>(W);

fn mark(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Interrupted { error } else { ArchiveError::Write(error).into_io() }
}

impl<W: Write> Write for Marked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Ok(0) if !bytes.is_empty() => Err(mark(io::ErrorKind::WriteZero.into())),
            result => result.map_err(mark),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(mark)
    }
}

//! Makes archives by hand: a packer would refuse to write most of what is needed here.

use std::io::{Cursor, Write};

use ecep_archive::{ArchiveError, Inspection, Limits, inspect};
use flate2::{Compression, write::GzEncoder};
use tar::{EntryType, Header};

/// An archive that is being made.
#[derive(Default, Clone)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// Anything.
    pub fn raw(mut self, kind: u8, name: &[u8], link: &[u8], data: &[u8]) -> Self {
        self.0.extend(header(kind, name, link, data.len() as u64).as_bytes());
        self.bytes(data)
    }

    /// These bytes and their padding, without a header.
    pub fn bytes(mut self, data: &[u8]) -> Self {
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: impl AsRef<[u8]>) -> Self {
        self.raw(b'0', name.as_bytes(), b"", data.as_ref())
    }

    pub fn folder(self, name: &str) -> Self {
        self.raw(b'5', name.as_bytes(), b"", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name.as_bytes(), target.as_bytes(), b"")
    }

    /// An extended header for the next entry, `kind` x, or for all, `kind` g.
    pub fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let body = key.len() + value.len() + 3;
            let length = (1..).map(|digits| body + digits).find(|sum| sum.to_string().len() + body == *sum);
            data.extend(format!("{} {key}=", length.expect("a length")).bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.raw(kind, b"pax", b"", &data)
    }

    /// With the mark of the end.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Without it.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

pub fn header(kind: u8, name: &[u8], link: &[u8], size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o6755);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_mtime(1);
    header.set_size(size);
    header.set_cksum();
    header
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(Cursor::new(bytes), 1).expect("memory")
}

pub fn inspected(archive: &[u8]) -> Inspection {
    inspect(archive, &Limits::default()).unwrap_or_else(|error| panic!("refused: {error}"))
}

pub fn refusal(archive: &[u8]) -> ArchiveError {
    refusal_within(archive, &Limits::default())
}

pub fn refusal_within(archive: &[u8], limits: &Limits) -> ArchiveError {
    match inspect(archive, limits) {
        Ok(inspection) => panic!("taken: {inspection:?}"),
        Err(error) => error,
    }
}

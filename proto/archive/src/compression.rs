//! Formats, known by their first bytes.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;
/// Memory that zstd's window may take, as a power of two: 16 MiB is more than any level takes but those of `--ultra` and `--long`.
const ZSTD_WINDOW_LOG: u32 = 24;

/// Bytes that tell all formats apart.
pub(crate) const MAGIC: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// What begins with these bytes.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(&[0x1f, 0x8b]) {
            Some(Self::Gzip)
        } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable_frame(head) {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// All that is packed in `source`, also where it has several members.
    pub(crate) fn unpack<'a>(self, source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let source = BufReader::with_capacity(BUFFER, source);
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// What pzstd puts in front.
fn is_skippable_frame(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A format that people know as an archive, but that is not taken.
pub(crate) fn other_format(head: &[u8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 7] = [
        (b"PK\x03\x04", "a zip file"),
        (b"PK\x05\x06", "a zip file"),
        (&[0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], "a 7z file"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "compressed by xz"),
        (b"BZh", "compressed by bzip2"),
        (b"Rar!", "a rar file"),
        (&[0x04, 0x22, 0x4d, 0x18], "compressed by lz4"),
    ];
    FORMATS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

//! What an uploaded file is: its digest, and whether it may stay. Reads it once, and blocks.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use ecep_archive::{ArchiveError, Inspection, Limits, inspect};
use ecep_proto::api::{artifact::ArtifactDigest, error::ErrorKind};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::UploadError;

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// A file that was judged good.
pub(super) struct Judged {
    pub(super) digest: ArtifactDigest,
    pub(super) inspection: Inspection,
}

/// Judges a file. `wanted` is what its digest should be.
///
/// # Errors
/// `Refused`, `Stopping` or `Disk`.
pub(super) fn judge(
    path: &Path,
    wanted: Option<&ArtifactDigest>,
    stop: &CancellationToken,
) -> Result<Judged, UploadError> {
    let mut file = Hashing { file: File::open(path)?, hash: Sha256::new(), stop, failed: None };
    let inspected = inspect(&mut file, &Limits::default());
    // The digest is that of the whole file, also where what it is showed before its end.
    if let Err(error) = file.read_to_end() {
        return Err(if stop.is_cancelled() { UploadError::Stopping } else { error.into() });
    }
    let digest = ArtifactDigest::from_bytes(file.hash.finalize().into());
    if let Some(wanted) = wanted.filter(|wanted| **wanted != digest) {
        return Err(refused(format!(
            "What has arrived has the SHA-256 {digest} and should have {wanted}: it was changed on its way, or while it was sent. Upload the file again."
        )));
    }
    match inspected {
        Ok(inspection) => Ok(Judged { digest, inspection }),
        Err(ArchiveError::Read(error)) => Err(error.into()),
        Err(error) => Err(refused(sentence(&error.to_string()))),
    }
}

fn refused(detail: String) -> UploadError {
    UploadError::Refused { kind: ErrorKind::InvalidArgument, detail }
}

/// Begins with a capital and ends in a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', ')']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// A file that is hashed as it is read, and cannot be read on once the program stops.
struct Hashing<'a> {
    file: File,
    hash: Sha256,
    stop: &'a CancellationToken,
    /// An error of the file itself, which a reader of archives may take for one of the archive.
    failed: Option<io::Error>,
}

impl Hashing<'_> {
    fn read_to_end(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        Ok(())
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("the program stops"));
        }
        match self.file.read(buffer) {
            Ok(read) => {
                self.hash.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed = Some(io::Error::new(error.kind(), error.to_string()));
                }
                Err(error)
            }
        }
    }
}

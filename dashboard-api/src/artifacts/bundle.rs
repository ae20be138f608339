//! What the Dockerfile of a source bundle says, read while somebody waits for it: what no device takes is told at once, and not by a device
//! after minutes.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    time::{Duration, Instant},
};

use ecep_archive::{ArchiveError, Dockerfile, Limits, MAX_DOCKERFILE_BYTES};
use ecep_fleet::image_reference::ImageReference;
use ecep_proto::api::{artifact::ArtifactDigest, error::ApiError};

use super::Artifacts;
use crate::naming::invalid;

/// Bundles that are read at once: each keeps a core busy, and small machines have two. Policy: the others wait, as long as they may.
pub(super) const MAX_READ: usize = 1;
/// How long that may take, as all of it is within a call that is to be answered soon. A bundle of a gigabyte and more may not be read so fast.
const READ_WITHIN: Duration = Duration::from_secs(3);

impl Artifacts {
    /// Refuses a source bundle whose Dockerfile, at this path in it, no device would take, and in the words of the device. What cannot be read
    /// here, or not in time, is left for the device to judge.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub async fn check_dockerfile(&self, digest: &ArtifactDigest, path: &str) -> Result<(), ApiError> {
        let until = Instant::now() + READ_WITHIN;
        let Ok(Ok(_place)) = tokio::time::timeout(READ_WITHIN, self.reading.acquire()).await else {
            return Ok(());
        };
        let (file, path) = (self.path(digest), path.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let file = Timed { file: File::open(file).map_err(ArchiveError::Read)?, until };
            let wanted = [(path.as_str(), MAX_DOCKERFILE_BYTES)];
            let [text] = ecep_archive::texts(BufReader::new(file), wanted, &Limits::default())?;
            text.ok_or(ArchiveError::NoDockerfile { path })
        });
        let read = checked.await.unwrap_or_else(|error| Err(ArchiveError::Read(io::Error::other(error))));
        match read {
            Ok(text) => check(&text),
            Err(ArchiveError::Read(error)) => {
                tracing::info!(%digest, %error, "a source bundle is not read here; its device will judge it");
                Ok(())
            }
            Err(error @ ArchiveError::NoDockerfile { .. }) => Err(invalid(error.to_string())),
            Err(error) => Err(invalid(format!("the artifact: {error}"))),
        }
    }
}

fn check(text: &str) -> Result<(), ApiError> {
    // It is not known yet which device builds.
    let dockerfile = Dockerfile::read(text, None).map_err(|error| invalid(error.to_string()))?;
    dockerfile.images().into_iter().try_for_each(|name| name.parse::<ImageReference>().map(drop))
}

/// A file that cannot be read on after this time.
struct Timed {
    file: File,
    until: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long"));
        }
        self.file.read(buffer)
    }
}

//! Brings an artifact from the cloud into a folder of this device, in parts, again after each broken connection, and compares its
//! digest. It must not know what an artifact is.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use ecep_channel::transfer::{self, Inbox, Kind, Phase, TransferError};
use ecep_proto::{
    api::{artifact::ArtifactDigest, name::TenantSlug},
    backoff::Backoff,
};
use sha2::{Digest, Sha256};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::cloud::{Cloud, CloudError};
use crate::engine::PullProgress;

/// After the first failure; a cloud that restarts is back within a second.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The channel itself is tried again every 30 seconds at most.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Nothing came for so long: whoever ordered it should hear of it. What came is fetched anew then.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Bytes that are hashed at a time.
const PIECE: usize = 256 * 1024;

/// Why an artifact is not here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The cloud does not send it.
    #[error("the cloud does not send the artifact: {0}")]
    Refused(String),
    /// Nothing came for [`PATIENCE`].
    #[error(
        "nothing of the artifact came from the cloud for {} minutes: {why}; deploy it again when the connection is better",
        PATIENCE.as_secs() / 60
    )]
    GivenUp {
        /// The last that was wrong.
        why: String,
    },
    /// The disk, or more than was said.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// It is another one.
    #[error("what came is not the artifact {wanted}; its SHA-256 is {found}. Deploy it again")]
    Other {
        /// What was wanted.
        wanted: ArtifactDigest,
        /// What came.
        found: ArtifactDigest,
    },
    /// The file cannot be read again.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Fetches it; answers where it is. `most` are the bytes that it may have.
pub(crate) async fn fetch<C: Cloud>(
    cloud: &C,
    tenant: &TenantSlug,
    digest: &ArtifactDigest,
    most: u64,
    folder: &Path,
    progress: &mut (dyn FnMut(PullProgress) + Send),
) -> Result<PathBuf, FetchError> {
    let inbox = Inbox::open(folder, most)?.without_flushing();
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let (mut furthest, mut since) = (0, Instant::now());
    let path = loop {
        let attempt = async {
            let stream = cloud.artifact(tenant, digest).await.map_err(Failed::from)?;
            let mut tell = |now: transfer::Progress| {
                if now.phase == Phase::Moving && now.done > furthest {
                    (furthest, since) = (now.done, Instant::now());
                    progress(PullProgress { done: now.done, total: now.total.unwrap_or(most) });
                }
            };
            transfer::receive(stream, &inbox, &mut tell).await.map_err(Failed::from)
        };
        let why = match attempt.await {
            Ok(received) => match received.as_slice() {
                [one] if one.kind == Kind::File => break one.path.clone(),
                _ => return Err(FetchError::Refused("it sends something else than one file".to_owned())),
            },
            Err(Failed::ForGood(error)) => return Err(error),
            Err(Failed::ForNow(why)) => why,
        };
        tracing::debug!(%digest, %tenant, %why, "an artifact is not here yet");
        if since.elapsed() >= PATIENCE {
            return Err(FetchError::GivenUp { why });
        }
        sleep(backoff.next(rand::random())).await;
    };
    let file = path.clone();
    let hashed =
        spawn_blocking(move || sha256(&file)).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match hashed {
        Ok(found) if found == *digest => Ok(path),
        Ok(found) => Err(FetchError::Other { wanted: digest.clone(), found }),
        Err(error) => Err(FetchError::File { path, error }),
    }
}

enum Failed {
    ForGood(FetchError),
    ForNow(String),
}

impl From<CloudError> for Failed {
    fn from(error: CloudError) -> Self {
        match error {
            CloudError::Later(why) => Self::ForNow(why),
            CloudError::Never(why) => Self::ForGood(FetchError::Refused(why)),
        }
    }
}

impl From<TransferError> for Failed {
    fn from(error: TransferError) -> Self {
        match error {
            error @ (TransferError::DiskFull { .. }
            | TransferError::File { .. }
            | TransferError::TooLarge { .. }
            | TransferError::Name(_)
            | TransferError::Tree(_)) => Self::ForGood(error.into()),
            other => Self::ForNow(other.to_string()),
        }
    }
}

fn sha256(path: &Path) -> std::io::Result<ArtifactDigest> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(ArtifactDigest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&piece[..read]),
        }
    }
}

//! Brings files of this device to the cloud, to be kept there: over the device's channel, in parts, again after each broken
//! connection, until the cloud has them durably. It must not know what the files mean, nor who ordered them.

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ecep_channel::{
    channel::ChannelError,
    header::{Header, Refusal, RefusalCode},
    transfer::{self, Item, Options, Source, Throttle, TransferError},
};
use ecep_proto::{
    api::{
        error::{ApiError, ErrorKind},
        file::{MAX_STORED_BYTES, StoreFile},
        name::TenantSlug,
    },
    backoff::Backoff,
};
use tokio::time::{Instant, sleep};

use crate::channel::{Channels, ReachError};

/// The one item of each transfer.
const CONTENT: &str = "content";
/// After the first failure; a cloud that restarts is back within a second.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The channel itself is tried again every 30 seconds at most.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Why a file was not brought. What the cloud has of it stays there for a day, so that the same id goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// The cloud does not want it: it has no room for the tenant, or the device is not shared with it.
    #[error("the cloud does not take the file: {0}")]
    Refused(Refusal),
    /// The cloud has no address for channels.
    #[error(
        "the control plane has no address for files: its administrator has to start it with --channel-listen and --device-channel"
    )]
    NoChannel,
    /// More than the cloud keeps as one file.
    #[error("the file has {bytes} bytes; at most {MAX_STORED_BYTES} are kept as one file")]
    TooLarge {
        /// How many.
        bytes: u64,
    },
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// Nothing went on for so long that it was given up.
    #[error("the cloud could not be reached for {} minutes: {why}; order it again", patience.as_secs() / 60)]
    GivenUp {
        /// How long.
        patience: Duration,
        /// What was wrong last.
        why: String,
    },
}

impl From<StoredError> for ApiError {
    fn from(error: StoredError) -> Self {
        let kind = match &error {
            StoredError::Refused(Refusal { code: RefusalCode::Forbidden, .. }) => ErrorKind::Forbidden,
            StoredError::Refused(_) | StoredError::TooLarge { .. } => ErrorKind::Limit,
            StoredError::NoChannel | StoredError::GivenUp { .. } => ErrorKind::Unavailable,
            StoredError::File(_) => ErrorKind::Engine,
        };
        ApiError::new(kind, error.to_string())
    }
}

/// The way to the cloud's store. It has one once the agent's channels are there.
#[derive(Default)]
pub struct Stored {
    channels: OnceLock<Arc<Channels>>,
}

/// What one attempt came to.
enum Attempt {
    /// All bytes have gone.
    Sent,
    /// The cloud has the file.
    Stored,
}

/// Why an attempt came to nothing.
enum Failed {
    /// Another attempt makes no sense.
    ForGood(StoredError),
    /// It may go better next time.
    ForNow(String),
}

impl Failed {
    fn now(why: impl fmt::Display) -> Self {
        Self::ForNow(why.to_string())
    }
}

impl Stored {
    /// From now on files go over these.
    pub fn use_channels(&self, channels: Arc<Channels>) {
        // They are set once, at the start.
        let _ = self.channels.set(channels);
    }

    /// Brings the file at `path` to the cloud, as `file` says. Returns once the cloud has it on its disk; at once where it has
    /// had a file of this id before. The file must not change meanwhile. `patience`: how long it may stand still before it is
    /// given up. `progress` is told how many of how many bytes the cloud has, for each part.
    ///
    /// # Errors
    /// See [`StoredError`].
    pub async fn bring(
        &self,
        tenant: &TenantSlug,
        file: &StoreFile,
        path: &Path,
        patience: Duration,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<u64, StoredError> {
        let bytes = std::fs::metadata(path)
            .map_err(|error| StoredError::File(format!("{}: {error}", path.display())))?
            .len();
        if bytes > MAX_STORED_BYTES {
            return Err(StoredError::TooLarge { bytes });
        }
        let header = Header::Store { tenant: tenant.clone(), file: file.clone(), bytes };
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let (mut furthest, mut since) = (0, Instant::now());
        loop {
            let mut advance = |done| {
                if done > furthest {
                    (furthest, since) = (done, Instant::now());
                }
                progress(done, bytes);
            };
            let why = match self.attempt(&header, path, &mut advance).await {
                Ok(Attempt::Stored) => {
                    tracing::info!(file = %file.file, %tenant, bytes, "file is stored in the cloud");
                    return Ok(bytes);
                }
                // The cloud has the bytes. It says that it keeps them once it is asked again.
                Ok(Attempt::Sent) => {
                    backoff.reset();
                    continue;
                }
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::ForNow(why)) => why,
            };
            tracing::debug!(file = %file.file, %why, "a file is not in the cloud yet");
            if since.elapsed() >= patience {
                return Err(StoredError::GivenUp { patience, why });
            }
            sleep(backoff.next(rand::random())).await;
        }
    }

    async fn attempt(
        &self,
        header: &Header,
        path: &Path,
        done: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Attempt, Failed> {
        let Some(channels) = self.channels.get() else { return Err(Failed::now("the agent is starting")) };
        let stream = match channels.open_to_cloud(header).await {
            Ok(stream) => stream,
            Err(ReachError::NoCloud) => return Err(Failed::ForGood(StoredError::NoChannel)),
            Err(ReachError::Channel(ChannelError::Refused(refusal))) => {
                return match refusal.code {
                    RefusalCode::AlreadyDone => Ok(Attempt::Stored),
                    RefusalCode::Busy | RefusalCode::NotConnected => Err(Failed::now(refusal)),
                    _ => Err(Failed::ForGood(StoredError::Refused(refusal))),
                };
            }
            Err(error) => return Err(Failed::now(error)),
        };
        let name = CONTENT.parse().map_err(Failed::now)?;
        let items = [Item { name, source: Source::File(path.to_owned()) }];
        // Most of what is fetched is text, and most links are slower than the CPU.
        let options = Options { compress: true, throttle: Throttle::new(None) };
        let sent = transfer::send(stream, &items, &options, &mut |progress| done(progress.done)).await;
        match sent {
            Ok(_) => Ok(Attempt::Sent),
            Err(error @ TransferError::File { .. }) => {
                Err(Failed::ForGood(StoredError::File(error.to_string())))
            }
            Err(error) => Err(Failed::now(error)),
        }
    }
}

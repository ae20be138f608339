//! What applications need of the cloud: the bytes of artifacts, a place for what runs leave, and somebody to tell that a run is over.
//! What is done with these is decided elsewhere.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ecep_channel::{
    channel::{ChannelError, ChannelStream},
    header::{Header, RefusalCode},
};
use ecep_link::Link;
use ecep_proto::api::{
    Procedure, RunEnd, application::EndRun, artifact::ArtifactDigest, file::StoreFile, name::TenantSlug,
};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    channel::{Channels, ReachError},
    stored::{Stored, StoredError},
};

/// Whoever waits for longer looks first whether there is still something to bring.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Why the cloud did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// It may do so later.
    #[error("{0}")]
    Later(String),
    /// It never will.
    #[error("{0}")]
    Never(String),
}

/// The cloud, as applications see it.
pub trait Cloud: Send + Sync + 'static {
    /// Over which an artifact comes.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A stream on which the cloud sends this artifact.
    fn artifact(
        &self,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> impl Future<Output = Result<Self::Stream, CloudError>> + Send;

    /// Brings a file of this device to the cloud; the same id again changes nothing.
    fn store(
        &self,
        tenant: &TenantSlug,
        file: &StoreFile,
        path: &Path,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Tells that a run is over; the same again changes nothing.
    fn end_run(&self, run: &EndRun) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// The cloud that the device is enrolled at.
pub struct Enrolled {
    channels: Arc<Channels>,
    stored: Stored,
    control: OnceLock<Link>,
}

impl Enrolled {
    /// Over the device's channels.
    pub fn new(channels: Arc<Channels>) -> Self {
        let stored = Stored::default();
        stored.use_channels(Arc::clone(&channels));
        Self { channels, stored, control: OnceLock::new() }
    }

    /// The link to the control plane, told once.
    pub fn tell_over(&self, control: Link) {
        // A second one would be the same.
        let _ = self.control.set(control);
    }
}

impl Cloud for Enrolled {
    type Stream = ChannelStream;

    async fn artifact(
        &self,
        tenant: &TenantSlug,
        digest: &ArtifactDigest,
    ) -> Result<ChannelStream, CloudError> {
        let header = Header::Artifact { tenant: tenant.clone(), digest: digest.clone() };
        self.channels.open_to_cloud(&header).await.map_err(|error| match error {
            ReachError::NoCloud => CloudError::Never(format!(
                "{error}: its administrator has to start it with --channel-listen and --device-channel"
            )),
            ReachError::Channel(ChannelError::Refused(refusal)) => match refusal.code {
                RefusalCode::Busy | RefusalCode::NotConnected => CloudError::Later(refusal.message),
                _ => CloudError::Never(refusal.message),
            },
            other => CloudError::Later(other.to_string()),
        })
    }

    async fn store(&self, tenant: &TenantSlug, file: &StoreFile, path: &Path) -> Result<(), CloudError> {
        match self.stored.bring(tenant, file, path, PATIENCE, &mut |_, _| {}).await {
            Ok(_) => Ok(()),
            Err(error @ StoredError::TooLarge { .. }) => Err(CloudError::Never(error.to_string())),
            // A quota that is used up has room again, and a share may come back.
            Err(error) => Err(CloudError::Later(error.to_string())),
        }
    }

    async fn end_run(&self, run: &EndRun) -> Result<(), CloudError> {
        let Some(control) = self.control.get() else {
            return Err(CloudError::Later("the agent is starting".to_owned()));
        };
        let told = control.call::<RunEnd>(RunEnd::URI, run).await;
        told.map(drop).map_err(|error| CloudError::Later(error.to_string()))
    }
}

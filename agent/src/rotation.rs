//! A change of this device's key: made here, proved by both keys, and used. It may be cut off anywhere: the new key is on disk
//! beside the old one until it has been used, and the control plane takes either until then.

use std::path::Path;

use crate::{
    channel::Channels,
    cloud::{self, CloudError},
    identity::{self, DeviceKey, Identity, IdentityError},
};

/// Why the key was not changed; it will be tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    /// The disk says no.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The control plane does not answer, or refuses.
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// Makes a new key and changes to it; goes on with one that was made before.
///
/// # Errors
/// See [`RotationError`]. Then the present key stays in use.
pub(crate) async fn rotate(
    data: &Path,
    identity: &Identity,
    channels: &Channels,
) -> Result<(), RotationError> {
    let next = identity::next_key(data)?;
    // The answer to an earlier attempt may have been lost.
    match cloud::session(identity, &next).await {
        Ok(_) => return adopt(data, identity, channels, next),
        Err(CloudError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let papers = cloud::rotate(identity, &next).await?.papers;
    if let Err(error) = crate::channel::save(data, &papers) {
        tracing::warn!(%error, "the papers for the new key are not kept; the control plane gives others");
    }
    // On disk in the old one's place before it is used: from then on the old one is good no more.
    adopt(data, identity, channels, next)?;
    cloud::session(identity, &identity.key.current()).await?;
    Ok(())
}

/// Goes on with a change that was cut off when an earlier agent ended. None was: nothing is done.
pub(crate) async fn resume(data: &Path, identity: &Identity, channels: &Channels) {
    if !identity::has_next_key(data) {
        return;
    }
    if let Err(error) = rotate(data, identity, channels).await {
        tracing::warn!(%error, "a change of the device's key could not be ended yet");
    }
}

fn adopt(
    data: &Path,
    identity: &Identity,
    channels: &Channels,
    next: DeviceKey,
) -> Result<(), RotationError> {
    identity::adopt_next_key(data)?;
    identity.key.replace(next);
    channels.change_key(identity.key.signing_key());
    tracing::info!(device = %identity.enrolled.device, "the device has a new key");
    Ok(())
}

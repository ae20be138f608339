//! The cloud's end of the agents' channels for bulk bytes: who may connect, the relay between two of them, the files that they
//! bring, and streams to them. It also gives devices their papers, and signs grants.
//!
//! It must not know what is moved: the relay joins streams that it cannot read.

mod artifacts;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_channel::{
    authority::{Authority, AuthorityError},
    channel::{Channel, ChannelError, ChannelStream, Incoming, Offer},
    grant::{Grant, SignedGrant},
    header::{Header, Refusal, RefusalCode},
    relay::Relay,
    tls::{Tls, TlsError},
};
use ecep_proto::api::{
    file::StoreFile,
    fleet::ChannelPapers,
    name::{DeviceId, TenantSlug},
};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    artifacts::Artifacts,
    fleet_view::shares::tenants,
    places::Places,
    store::{Device, Store, StoreError},
    stored::{KeepError, StoredFiles},
};

/// The name under which the store keeps the key that signs grants.
const GRANT_KEY: &str = "grant";
/// Handshakes at a time: whoever dallies is cut off after ten seconds, and a whole fleet may come back at once. Policy: see
/// [`Places`]; further ones are closed, and the agents try again.
const MAX_HANDSHAKES: usize = 1_024;
/// Artifacts that are sent at a time, each with about a megabyte of memory. Policy: more devices are told to come again.
const MAX_SENT: usize = 64;

/// Why there are no channels.
#[derive(Debug, thiserror::Error)]
pub enum ChannelStartError {
    /// The certificate authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Its own certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a stream with a file ended.
#[derive(Debug, thiserror::Error)]
enum StoreStreamError {
    /// The stream.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The file.
    #[error(transparent)]
    Keep(#[from] KeepError),
}

/// The cloud's end.
pub struct Channels {
    authority: Authority,
    grant_key: SigningKey,
    relay: Arc<Relay>,
    tls: Mutex<Tls>,
    store: Store,
    stored: Arc<StoredFiles>,
    artifacts: Arc<Artifacts>,
    /// Room for artifacts that are being sent.
    sending: Semaphore,
    address: Option<String>,
}

impl Channels {
    /// Loads the authority and the key from the data folder and the store, or makes them.
    ///
    /// # Errors
    /// See [`ChannelStartError`].
    pub fn load(
        data: &std::path::Path,
        store: Store,
        artifacts: Arc<Artifacts>,
        address: Option<String>,
        stored: Arc<StoredFiles>,
    ) -> Result<Self, ChannelStartError> {
        let authority = Authority::load_or_create(data, SystemTime::now())?;
        let text = store.key(GRANT_KEY, || STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()))?;
        let bytes = STANDARD_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes: [u8; 32] =
            bytes.ok_or_else(|| StoreError::Conflict("The key of grants is damaged.".into()))?;
        let grant_key = SigningKey::from_bytes(&bytes);
        let relay = Relay::new(grant_key.verifying_key());
        let tls = Mutex::new(Tls::new(&authority.cloud(SystemTime::now())?)?);
        let sending = Semaphore::new(MAX_SENT);
        Ok(Self { authority, grant_key, relay, tls, store, stored, artifacts, sending, address })
    }

    /// A device's papers.
    ///
    /// # Errors
    /// No certificate could be made.
    pub fn papers(&self, device: &DeviceId, key: &VerifyingKey) -> Result<ChannelPapers, AuthorityError> {
        Ok(ChannelPapers {
            certificate: self.authority.issue(device, key, SystemTime::now())?,
            authority: self.authority.certificate().to_owned(),
            grant_key: STANDARD_NO_PAD.encode(self.grant_key.verifying_key().to_bytes()),
            cloud: self.address.clone(),
        })
    }

    /// Signs a grant.
    pub fn sign(&self, grant: Grant) -> SignedGrant {
        grant.sign(&self.grant_key)
    }

    /// A device was removed: its channel ends.
    pub async fn remove_device(&self, device: &DeviceId) {
        if let Some(channel) = self.relay.channel(device) {
            channel.close().await;
        }
    }

    /// Takes connections on this socket until `stop`.
    pub async fn serve(self: Arc<Self>, socket: TcpListener, stop: CancellationToken) {
        let places = Places::new(MAX_HANDSHAKES);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most often: those that end make room.
                    tracing::warn!(%error, "a channel could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = places.take(from.ip()) else { continue };
            let (channels, stop) = (Arc::clone(&self), stop.clone());
            tokio::spawn(async move {
                let greeted = channels.greet(stream, from).await;
                drop(place);
                if let Some((channel, incoming)) = greeted {
                    stop.run_until_cancelled(Arc::clone(&channels).follow(&channel, incoming)).await;
                    channels.relay.detach(&channel);
                    channel.close().await;
                }
            });
        }
    }

    async fn greet(&self, stream: tokio::net::TcpStream, from: SocketAddr) -> Option<(Channel, Incoming)> {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%from, %error, "a channel without nodelay");
        }
        let tls = match self.fresh_tls() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "the cloud has no certificate for channels");
                return None;
            }
        };
        match Channel::accept(stream, &tls).await {
            Ok((channel, incoming)) => {
                let device = channel.peer().device()?.clone();
                if !self.is_welcome(&device, channel.peer_key()) {
                    tracing::info!(%device, %from, "channel refused: the device is not enrolled any more, or has another key");
                    channel.close().await;
                    return None;
                }
                tracing::info!(%device, %from, "channel is up");
                Some((channel, incoming))
            }
            Err(error) => {
                tracing::info!(%from, %error, "channel refused");
                None
            }
        }
    }

    /// Whether the device is enrolled with this key. Of one that was removed, or has another key, the certificate still holds.
    fn is_welcome(&self, device: &DeviceId, key: Option<&[u8]>) -> bool {
        match self.store.device(device) {
            Ok(row) => row.is_some_and(|row| is_key_of(&row, key)),
            Err(error) => {
                tracing::error!(%error, "the store failed");
                false
            }
        }
    }

    /// A stream to a device, which has taken it.
    ///
    /// # Errors
    /// `NotConnected` where the device has no channel now; else what it says, or how it failed.
    pub async fn open(&self, device: &DeviceId, header: &Header) -> Result<ChannelStream, Refusal> {
        let not_connected = || {
            let text = format!(
                "device {device} has no channel to the cloud now; see whether it is on and has a network"
            );
            Refusal::new(RefusalCode::NotConnected, text)
        };
        let channel = self.relay.channel(device).ok_or_else(not_connected)?;
        channel.open(header).await.map_err(|error| match error {
            ChannelError::Refused(refusal) => refusal,
            ChannelError::Ended(_) => not_connected(),
            ChannelError::TooManyStreams => Refusal::new(RefusalCode::Busy, error.to_string()),
            other => Refusal::new(RefusalCode::Failed, format!("device {device}: {other}")),
        })
    }

    async fn follow(self: &Arc<Self>, channel: &Channel, mut incoming: Incoming) {
        self.relay.attach(channel);
        // Whoever is removed from now on is found there, to be closed; whoever was removed just before is found here.
        let device = channel.peer().device();
        if !device.is_some_and(|device| self.is_welcome(device, channel.peer_key())) {
            return;
        }
        while let Some(offer) = incoming.accept().await {
            let channels = Arc::clone(self);
            tokio::spawn(async move {
                let peer = offer.peer.clone();
                match offer.header.clone() {
                    Header::Relay { .. } => match channels.relay.join(offer).await {
                        Ok(bytes) => tracing::info!(%peer, ?bytes, "relayed"),
                        Err(error) => tracing::info!(%peer, %error, "relay ended"),
                    },
                    Header::Store { tenant, file, bytes } => {
                        if let Err(error) = channels.keep(offer, &tenant, &file, bytes).await {
                            tracing::info!(%peer, %tenant, file = %file.file, %error, "a file was not stored yet");
                        }
                    }
                    Header::Artifact { tenant, digest } => {
                        channels.send_artifact(offer, &tenant, &digest).await;
                    }
                    _ => {
                        let text = "the cloud takes no such stream; its version is older than the device's";
                        // The peer is told, or it is gone.
                        drop(offer.refuse(Refusal::new(RefusalCode::Unsupported, text)).await);
                    }
                }
            });
        }
    }

    /// Keeps a file that a device brings to a tenant that it is shared with.
    async fn keep(
        &self,
        offer: Offer,
        tenant: &TenantSlug,
        file: &StoreFile,
        bytes: u64,
    ) -> Result<(), StoreStreamError> {
        let admitted = match self.shared_device(&offer, tenant) {
            Ok(device) => self.stored.admit(tenant, &device, file, bytes).await,
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(place) => {
                place.keep(offer.take().await?).await?;
                Ok(())
            }
            Err(refusal) => {
                if refusal.code != RefusalCode::AlreadyDone {
                    tracing::info!(peer = %offer.peer, %tenant, file = %file.file, %refusal, "a file is not taken");
                }
                Ok(offer.refuse(refusal).await?)
            }
        }
    }

    /// The device that has opened a stream, if it is the tenant's or shared with it.
    fn shared_device(&self, offer: &Offer, tenant: &TenantSlug) -> Result<DeviceId, Refusal> {
        let forbidden = || {
            let text = format!("this device is not shared with tenant {tenant}, or not any more");
            Refusal::new(RefusalCode::Forbidden, text)
        };
        let device = offer.peer.device().ok_or_else(forbidden)?;
        match self.store.device(device) {
            Ok(Some(row)) if tenants(&row).any(|shared| shared == tenant) => Ok(device.clone()),
            Ok(_) => Err(forbidden()),
            Err(error) => {
                tracing::error!(%error, "the store failed");
                Err(Refusal::new(
                    RefusalCode::Busy,
                    "the control plane cannot reach its data now; try again later",
                ))
            }
        }
    }

    /// The cloud's own end, renewed in time.
    fn fresh_tls(&self) -> Result<Tls, ChannelStartError> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if tls.renewal_is_due() {
            *tls = Tls::new(&self.authority.cloud(SystemTime::now())?)?;
        }
        Ok(tls.clone())
    }
}

fn is_key_of(row: &Device, key: Option<&[u8]>) -> bool {
    let key = key.map(|key| STANDARD_NO_PAD.encode(key));
    key.is_some_and(|key| row.public_key == key || row.old_key.as_ref() == Some(&key))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ecep_channel::{identity::Identity, peer::Peer};

    use super::*;
    use crate::{artifacts::DEFAULT_QUOTA_BYTES, config::STORED_BYTES};

    /// A device that is removed between the look at its key and the moment from which its channel would be found must not keep the
    /// channel: nobody would close it any more.
    #[tokio::test]
    async fn a_channel_of_a_device_that_was_just_removed_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let artifacts = Artifacts::open(folder.path(), store.clone(), DEFAULT_QUOTA_BYTES).unwrap();
        let stored = StoredFiles::open(folder.path(), store.clone(), STORED_BYTES).unwrap();
        let channels = Arc::new(Channels::load(folder.path(), store, artifacts, None, stored).unwrap());
        let (device, key): (DeviceId, _) = ("edge".parse().unwrap(), SigningKey::from_bytes(&[7; 32]));
        let papers = channels.papers(&device, &key.verifying_key()).unwrap();
        let own = Identity::device(&papers.certificate, &key, &papers.authority).unwrap();
        let (near, far) = tokio::io::duplex(1 << 16);
        let (tls, cloud) = (Tls::new(&own).unwrap(), channels.fresh_tls().unwrap());
        let calling = tokio::spawn(async move { Channel::connect(near, &tls, &Peer::Cloud).await });
        let (channel, incoming) = Channel::accept(far, &cloud).await.unwrap();
        // The store does not know the device: it was removed after it was looked up.
        let followed = tokio::time::timeout(Duration::from_secs(60), channels.follow(&channel, incoming));
        followed.await.expect("the channel is given up");
        calling.abort();
    }
}

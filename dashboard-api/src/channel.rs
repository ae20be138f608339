//! The cloud's end of the agents' channels for bulk bytes: who may connect, and the relay between two of them. It also
//! gives devices their papers, and signs grants.
//!
//! It must not know what is moved: the relay joins streams that it cannot read.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_channel::{
    authority::{Authority, AuthorityError},
    channel::{Channel, Incoming},
    grant::{Grant, SignedGrant},
    header::{Header, Refusal, RefusalCode},
    relay::Relay,
    tls::{Tls, TlsError},
};
use ecep_proto::api::{fleet::ChannelPapers, name::DeviceId};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::store::{Device, Store, StoreError};

/// The name under which the store keeps the key that signs grants.
const GRANT_KEY: &str = "grant";
/// Handshakes at a time: each costs a small machine some milliseconds, and whoever dallies is cut off after ten seconds.
const MAX_HANDSHAKES: usize = 64;

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

/// The cloud's end.
pub struct Channels {
    authority: Authority,
    grant_key: SigningKey,
    relay: Arc<Relay>,
    tls: Mutex<Tls>,
    store: Store,
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
        address: Option<String>,
    ) -> Result<Self, ChannelStartError> {
        let authority = Authority::load_or_create(data, SystemTime::now())?;
        let text = store.key(GRANT_KEY, || STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>()))?;
        let bytes = STANDARD_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let bytes: [u8; 32] =
            bytes.ok_or_else(|| StoreError::Conflict("The key of grants is damaged.".into()))?;
        let grant_key = SigningKey::from_bytes(&bytes);
        let relay = Relay::new(grant_key.verifying_key());
        let tls = Mutex::new(Tls::new(&authority.cloud(SystemTime::now())?)?);
        Ok(Self { authority, grant_key, relay, tls, store, address })
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
        let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
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
            let (channels, stop) = (Arc::clone(&self), stop.clone());
            tokio::spawn(async move {
                let greeted = channels.greet(stream, from).await;
                drop(place);
                if let Some((channel, incoming)) = greeted {
                    stop.run_until_cancelled(channels.follow(&channel, incoming)).await;
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
                match self.store.device(&device) {
                    Ok(Some(row)) if is_key_of(&row, channel.peer_key()) => {
                        tracing::info!(%device, %from, "channel is up");
                        Some((channel, incoming))
                    }
                    // Removed, or another key: its certificate still holds, but it is nobody here.
                    Ok(_) => {
                        tracing::info!(%device, %from, "channel refused: the device is not enrolled any more, or has another key");
                        channel.close().await;
                        None
                    }
                    Err(error) => {
                        tracing::error!(%error, "the store failed");
                        None
                    }
                }
            }
            Err(error) => {
                tracing::info!(%from, %error, "channel refused");
                None
            }
        }
    }

    async fn follow(&self, channel: &Channel, mut incoming: Incoming) {
        self.relay.attach(channel);
        while let Some(offer) = incoming.accept().await {
            let relay = Arc::clone(&self.relay);
            tokio::spawn(async move {
                let (peer, is_relay) = (offer.peer.clone(), matches!(offer.header, Header::Relay { .. }));
                if is_relay {
                    match relay.join(offer).await {
                        Ok(bytes) => tracing::info!(%peer, ?bytes, "relayed"),
                        Err(error) => tracing::info!(%peer, %error, "relay ended"),
                    }
                } else {
                    let refusal = Refusal::new(RefusalCode::Unsupported, "the cloud only relays");
                    // The peer is told, or it is gone.
                    drop(offer.refuse(refusal).await);
                }
            });
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

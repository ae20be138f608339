//! The cloud's end joins two agents that cannot reach each other: it copies bytes between a stream of one's channel and
//! a stream of the other's. What is inside is TLS between the two agents; the cloud sees lengths and times only. Owns
//! who is connected; must not know what is moved.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ecep_proto::api::name::DeviceId;
use ed25519_dalek::VerifyingKey;
use tokio::{io::copy_bidirectional_with_sizes, sync::Semaphore};

use crate::{
    channel::{Channel, ChannelError, Offer},
    header::{Header, Refusal, RefusalCode},
    peer::Peer,
    validity::seconds,
};

/// Streams joined at a time. Each holds two copy buffers and four stream windows: 256 of them are the order of 300 MB
/// if every reader stalls.
pub const MAX_RELAYED: usize = 256;
/// One copy buffer for each direction: two TLS records and some; the windows around it do the rest.
const COPY_BUFFER: usize = 64 * 1024;

/// The joints of the cloud's end.
pub struct Relay {
    control_plane: VerifyingKey,
    channels: Mutex<HashMap<DeviceId, Channel>>,
    places: Semaphore,
}

/// How a joined stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relayed {
    /// Bytes from the device that asked.
    pub forth: u64,
    /// Bytes to it.
    pub back: u64,
}

impl Relay {
    /// `control_plane` is the key that grants are signed with.
    pub fn new(control_plane: VerifyingKey) -> Arc<Self> {
        Arc::new(Self { control_plane, channels: Mutex::default(), places: Semaphore::new(MAX_RELAYED) })
    }

    /// A device's channel is up. An older one of the same device is closed: its connection is a ghost.
    pub fn attach(&self, channel: &Channel) {
        let Some(device) = channel.peer().device() else { return };
        let older = self.lock().insert(device.clone(), channel.clone());
        if let Some(older) = older
            && !older.is_same(channel)
        {
            older.begin_close();
        }
    }

    /// A device's channel ended. A newer one stays.
    pub fn detach(&self, channel: &Channel) {
        let Some(device) = channel.peer().device() else { return };
        let mut channels = self.lock();
        if channels.get(device).is_some_and(|known| known.is_same(channel)) {
            channels.remove(device);
        }
    }

    /// A device's channel, if it has one.
    pub fn channel(&self, device: &DeviceId) -> Option<Channel> {
        self.lock().get(device).filter(|channel| !channel.is_ended()).cloned()
    }

    /// Answers an offer with [`Header::Relay`] and stays until the joined stream ends; anything else is refused.
    pub async fn join(&self, offer: Offer) -> Result<Relayed, ChannelError> {
        let _place = match self.places.try_acquire() {
            Ok(place) => place,
            Err(_) => {
                let message = format!("the cloud relays {MAX_RELAYED} streams already; try again later");
                return refuse(offer, Refusal::new(RefusalCode::Busy, message)).await;
            }
        };
        let mut far = match self.reach(&offer).await {
            Ok(far) => far,
            Err(refusal) => return refuse(offer, refusal).await,
        };
        let mut near = offer.take().await?;
        let (forth, back) = copy_bidirectional_with_sizes(&mut near, &mut far, COPY_BUFFER, COPY_BUFFER)
            .await
            .map_err(|error| ChannelError::Frame(error.into()))?;
        Ok(Relayed { forth, back })
    }

    async fn reach(&self, offer: &Offer) -> Result<crate::channel::ChannelStream, Refusal> {
        let Header::Relay { to, grant } = &offer.header else {
            return Err(Refusal::new(RefusalCode::Unsupported, "this is not a request for a relay"));
        };
        let from = offer
            .peer
            .device()
            .ok_or_else(|| Refusal::new(RefusalCode::Forbidden, "only devices are relayed"))?;
        let forbidden =
            |error: crate::grant::GrantError| Refusal::new(RefusalCode::Forbidden, error.to_string());
        let allowed = grant.verify(&self.control_plane).map_err(forbidden)?;
        allowed.check_ends(&offer.peer, &Peer::Device(to.clone())).map_err(forbidden)?;
        allowed.check_resumable(seconds(SystemTime::now())).map_err(forbidden)?;
        let not_connected = || {
            let message = format!(
                "device {to} has no channel to the cloud now; see whether it is on and has a network"
            );
            Refusal::new(RefusalCode::NotConnected, message)
        };
        let channel = self.channel(to).ok_or_else(not_connected)?;
        let header = Header::Relayed { from: from.clone(), grant: grant.clone() };
        channel.open(&header).await.map_err(|error| match error {
            ChannelError::Refused(refusal) => refusal,
            ChannelError::Ended(_) => not_connected(),
            other => Refusal::new(RefusalCode::Failed, format!("device {to}: {other}")),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<DeviceId, Channel>> {
        // Nobody panics while holding it, and a map is whole between two calls.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn refuse(offer: Offer, refusal: Refusal) -> Result<Relayed, ChannelError> {
    tracing::info!(peer = %offer.peer, %refusal, "relay refused");
    offer.refuse(refusal.clone()).await?;
    Err(ChannelError::Refused(refusal))
}

//! The device's channels for bulk bytes: one kept up towards the cloud, one for each device that it brings something to or
//! that brings it something: directly where it can be reached, else through the cloud. Who may bring what is judged by the
//! grants; what is brought is not known here.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ecep_channel::{
    channel::{Channel, ChannelError, ChannelStream, Incoming, Offer},
    dialer::{Dialer, Offers},
    grant::SignedGrant,
    header::{Header, Refusal, RefusalCode},
    identity::{Identity as Papers, IdentityError},
    peer::Peer,
    tls::{Tls, TlsError},
};
use ecep_proto::api::{fleet::ChannelPapers, name::DeviceId};
use ed25519_dalek::{SigningKey, VerifyingKey};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::durable;

/// Beside the papers that the channel itself keeps: the key of grants, and where the cloud listens.
const EXTRA_FILE: &str = "channel.json";
/// A device on the same site answers at once; one that cannot be reached is tried through the cloud soon.
const DIRECT_LIMIT: Duration = Duration::from_secs(3);
/// Channels that others have opened directly, and those that have not proved yet who they are. Far more than a device has
/// neighbours that bring it something at a time. Policy: further ones are closed, and come through the cloud.
const MAX_CHANNELS: usize = 64;
/// Streams that wait to be looked at; a move opens four in all.
const ARRIVALS: usize = 32;

/// Why another device could not be reached, or there are no papers.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The control plane has not given any yet.
    #[error("this device has no certificate yet; it gets one as soon as it reaches the control plane")]
    NoPapers,
    /// They are not usable.
    #[error(transparent)]
    Papers(#[from] IdentityError),
    /// They are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The disk refuses.
    #[error("{path}: {error}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The key of grants is not one.
    #[error("the control plane's key for grants cannot be read; do both have the same version?")]
    GrantKey,
    /// The control plane offers no channel.
    #[error("the control plane offers no channel to devices")]
    NoCloud,
    /// No stream to the cloud came about.
    #[error("the cloud cannot be reached: {0}")]
    Channel(#[from] ChannelError),
    /// Neither way works.
    #[error("device {device} cannot be reached: {direct}; and through the cloud: {relayed}")]
    Unreachable {
        /// Which.
        device: DeviceId,
        /// Why not directly.
        direct: String,
        /// Why not through the cloud.
        relayed: String,
    },
}

/// A stream that somebody with a grant opened, not looked at yet.
pub struct Arrival {
    /// Who.
    pub peer: Peer,
    /// What allows it: not yet verified.
    pub grant: SignedGrant,
    /// The stream.
    pub offer: Offer,
}

#[derive(Clone)]
struct Current {
    tls: Tls,
    grant_key: VerifyingKey,
    cloud: Option<String>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Extra {
    grant_key: String,
    cloud: Option<String>,
}

/// All channels of this device.
pub struct Channels {
    data: PathBuf,
    key: Mutex<SigningKey>,
    current: Mutex<Option<Current>>,
    cloud: Mutex<Option<(String, Dialer)>>,
    arrivals: mpsc::Sender<Arrival>,
    views: mpsc::Sender<Offer>,
    stop: CancellationToken,
}

/// What other ends open here.
pub struct Opened {
    /// Streams of other devices, with grants.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// Streams of the cloud alone, by which somebody looks at a container: its output, a terminal.
    pub views: mpsc::Receiver<Offer>,
}

impl Channels {
    /// With the papers that are on disk, if there are any.
    pub fn new(data: &Path, key: SigningKey, stop: CancellationToken) -> (Arc<Self>, Opened) {
        let (arrivals, arrived) = mpsc::channel(ARRIVALS);
        let (views, viewed) = mpsc::channel(ARRIVALS);
        let channels = Arc::new(Self {
            data: data.to_owned(),
            key: Mutex::new(key),
            current: Mutex::default(),
            cloud: Mutex::default(),
            arrivals,
            views,
            stop,
        });
        if data.join(EXTRA_FILE).exists()
            && let Err(error) = channels.load()
        {
            tracing::warn!(%error, "the device's papers cannot be used; the control plane gives new ones");
        }
        (channels, Opened { arrivals: arrived, views: viewed })
    }

    /// A stream to the cloud, which has taken it.
    ///
    /// # Errors
    /// `NoCloud`, `Channel`; `NoPapers` before the first hello.
    pub async fn open_to_cloud(&self, header: &Header) -> Result<ChannelStream, ReachError> {
        let dialer = self.lock_cloud().as_ref().map(|(_, dialer)| dialer.clone());
        match dialer {
            Some(dialer) => Ok(dialer.open(header).await?),
            None if self.current()?.cloud.is_none() => Err(ReachError::NoCloud),
            None => Err(ReachError::NoPapers),
        }
    }

    /// The key that grants are signed with.
    ///
    /// # Errors
    /// No papers yet.
    pub fn grant_key(&self) -> Result<VerifyingKey, ReachError> {
        Ok(self.current()?.grant_key)
    }

    /// The device has another key: the papers on disk are for it, or new ones come with the next hello.
    pub(crate) fn change_key(&self, key: SigningKey) {
        *lock(&self.key) = key;
        if self.data.join(EXTRA_FILE).exists()
            && let Err(error) = self.load()
        {
            tracing::info!(%error, "the device's papers are not for its new key; the control plane gives others");
        }
    }

    /// Takes over new papers, and keeps them.
    ///
    /// # Errors
    /// They are not usable, or the disk refuses.
    pub fn renew(self: &Arc<Self>, papers: &ChannelPapers) -> Result<(), ReachError> {
        save(&self.data, papers)?;
        self.load()?;
        self.keep_cloud();
        Ok(())
    }

    /// Listens for other devices until the end; answers the port.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn listen(self: &Arc<Self>, address: SocketAddr) -> std::io::Result<u16> {
        let socket = TcpListener::bind(address).await?;
        let port = socket.local_addr()?.port();
        let (channels, stop) = (Arc::clone(self), self.stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(channels.accept(socket)).await });
        Ok(port)
    }

    /// A channel to another device: by one of these addresses, or else through the cloud. Whether it goes through the
    /// cloud is the second value.
    ///
    /// # Errors
    /// See [`ReachError`].
    pub async fn reach(
        &self,
        device: &DeviceId,
        addresses: &[String],
        grant: &SignedGrant,
    ) -> Result<(Channel, bool), ReachError> {
        let tls = self.current()?.tls;
        let peer = Peer::Device(device.clone());
        let mut direct = "no address is known".to_owned();
        for address in addresses {
            match timeout(DIRECT_LIMIT, connect(address, &tls, &peer)).await {
                Ok(Ok(channel)) => return Ok((channel, false)),
                Ok(Err(why)) => direct = format!("{address}: {why}"),
                Err(_) => direct = format!("{address} does not answer"),
            }
        }
        let dialer = self.lock_cloud().as_ref().map(|(_, dialer)| dialer.clone());
        let relayed = match dialer {
            None => "the control plane offers no relay".to_owned(),
            Some(dialer) => {
                let header = Header::Relay { to: device.clone(), grant: grant.clone() };
                let relayed = async {
                    let stream = dialer.open(&header).await?;
                    Channel::connect(stream, &tls, &peer).await
                };
                match relayed.await {
                    Ok((channel, _)) => return Ok((channel, true)),
                    Err(error) => error.to_string(),
                }
            }
        };
        Err(ReachError::Unreachable { device: device.clone(), direct, relayed })
    }

    fn load(&self) -> Result<(), ReachError> {
        let path = self.data.join(EXTRA_FILE);
        let text = std::fs::read(&path).map_err(|error| ReachError::Disk { path, error })?;
        let extra: Extra = serde_json::from_slice(&text).map_err(|_| ReachError::GrantKey)?;
        let bytes = STANDARD_NO_PAD.decode(&extra.grant_key).ok().and_then(|bytes| bytes.try_into().ok());
        let grant_key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let tls = Tls::new(&Papers::load_device(&self.data, &lock(&self.key).clone())?)?;
        let current = Current { tls, grant_key: grant_key.ok_or(ReachError::GrantKey)?, cloud: extra.cloud };
        *lock(&self.current) = Some(current);
        Ok(())
    }

    fn current(&self) -> Result<Current, ReachError> {
        lock(&self.current).clone().ok_or(ReachError::NoPapers)
    }

    /// Keeps a channel to the cloud, where it offers one.
    fn keep_cloud(self: &Arc<Self>) {
        let Some(address) = lock(&self.current).as_ref().and_then(|current| current.cloud.clone()) else {
            return;
        };
        let mut cloud = self.lock_cloud();
        if cloud.as_ref().is_some_and(|(known, _)| *known == address) {
            return;
        }
        let channels = Arc::downgrade(self);
        let tls = move || match channels.upgrade() {
            Some(channels) => {
                channels.current().map(|current| current.tls).map_err(|error| error.to_string())
            }
            None => Err("the agent is stopping".to_owned()),
        };
        let (dialer, offers) =
            Dialer::start(address.clone(), Peer::Cloud, Box::new(tls), self.stop.child_token());
        *cloud = Some((address, dialer));
        drop(cloud);
        let (channels, stop) = (Arc::clone(self), self.stop.clone());
        tokio::spawn(async move { stop.run_until_cancelled(channels.take_relayed(offers)).await });
    }

    async fn accept(self: Arc<Self>, socket: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CHANNELS));
        loop {
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a device's channel could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let (channels, stop) = (Arc::clone(&self), self.stop.clone());
            tokio::spawn(async move {
                let _place = place;
                let greeted = async {
                    stream.set_nodelay(true).map_err(|error| error.to_string())?;
                    let tls = channels.current().map_err(|error| error.to_string())?.tls;
                    Channel::accept(stream, &tls).await.map_err(|error| error.to_string())
                };
                match greeted.await {
                    Ok((channel, incoming)) => {
                        stop.run_until_cancelled(channels.follow(channel, incoming)).await;
                    }
                    Err(error) => tracing::info!(%error, "a device's channel was refused"),
                }
            });
        }
    }

    /// What the cloud opens: streams of other devices, inside which is their own TLS, and its own.
    async fn take_relayed(self: Arc<Self>, mut offers: Offers) {
        while let Some(offer) = offers.accept().await {
            if matches!(offer.header, Header::Log { .. } | Header::Terminal { .. }) {
                // Full only while nobody takes them; dropped, it is refused.
                drop(self.views.try_send(offer));
                continue;
            }
            let (channels, stop) = (Arc::clone(&self), self.stop.clone());
            tokio::spawn(async move {
                let Header::Relayed { from, .. } = offer.header.clone() else {
                    let refusal = Refusal::new(
                        RefusalCode::Unsupported,
                        "the device does not take such streams from the cloud",
                    );
                    // The cloud is told, or it is gone.
                    drop(offer.refuse(refusal).await);
                    return;
                };
                let accepted = async {
                    let tls = channels.current().map_err(|error| error.to_string())?.tls;
                    let stream = offer.take().await.map_err(|error| error.to_string())?;
                    Channel::accept(stream, &tls).await.map_err(|error| error.to_string())
                };
                match accepted.await {
                    Ok((channel, incoming)) if *channel.peer() == Peer::Device(from.clone()) => {
                        stop.run_until_cancelled(channels.follow(channel, incoming)).await;
                    }
                    Ok(_) => tracing::warn!(%from, "a relayed device is another one than the cloud says"),
                    Err(error) => tracing::info!(%from, %error, "a relayed channel was refused"),
                }
            });
        }
    }

    /// The channel lives as long as somebody holds it.
    async fn follow(&self, channel: Channel, mut incoming: Incoming) {
        while let Some(offer) = incoming.accept().await {
            match offer.header.clone() {
                Header::Migration { grant } => {
                    let arrival = Arrival { peer: channel.peer().clone(), grant, offer };
                    if self.arrivals.send(arrival).await.is_err() {
                        return;
                    }
                }
                _ => {
                    let refusal =
                        Refusal::new(RefusalCode::Unsupported, "the device takes only migrations here");
                    // The peer is told, or it is gone.
                    drop(offer.refuse(refusal).await);
                }
            }
        }
    }

    fn lock_cloud(&self) -> MutexGuard<'_, Option<(String, Dialer)>> {
        lock(&self.cloud)
    }
}

/// Keeps papers in the data folder.
///
/// # Errors
/// The disk refuses.
pub fn save(data: &Path, papers: &ChannelPapers) -> Result<(), ReachError> {
    Papers::save_device(data, &papers.certificate, &papers.authority)?;
    let extra = Extra { grant_key: papers.grant_key.clone(), cloud: papers.cloud.clone() };
    let path = data.join(EXTRA_FILE);
    let text = serde_json::to_vec(&extra).unwrap_or_default();
    durable::write(&path, &text).map_err(|error| ReachError::Disk { path, error })
}

async fn connect(address: &str, tls: &Tls, peer: &Peer) -> Result<Channel, ChannelError> {
    let tcp = TcpStream::connect(address).await.map_err(TlsError::Io)?;
    tcp.set_nodelay(true).map_err(TlsError::Io)?;
    Ok(Channel::connect(tcp, tls, peer).await?.0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use ecep_channel::{authority::Authority, tls::HANDSHAKE_TIMEOUT};
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Whoever is on the device's network and only connects must not use up its files: further connections are closed at once.
    #[tokio::test]
    async fn a_flood_of_connections_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let authority = Authority::load_or_create(folder.path(), SystemTime::now()).unwrap();
        let device = "edge".parse().unwrap();
        let papers = ChannelPapers {
            certificate: authority.issue(&device, &key.verifying_key(), SystemTime::now()).unwrap(),
            authority: authority.certificate().to_owned(),
            grant_key: STANDARD_NO_PAD.encode(key.verifying_key().to_bytes()),
            cloud: None,
        };
        let stop = CancellationToken::new();
        let (channels, _arrived) = Channels::new(folder.path(), key, stop.clone());
        channels.renew(&papers).unwrap();
        let port = channels.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let begun = Instant::now();
        let mut held = Vec::new();
        for _ in 0..MAX_CHANNELS {
            held.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        let mut further = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let closed = timeout(Duration::from_secs(60), further.read_u8()).await.expect("it is closed");
        assert!(closed.is_err(), "{closed:?}");
        // Not because it dallied: for that the first would have been closed before, but not within this time.
        let first = held[0].try_read(&mut [0]);
        if begun.elapsed() < HANDSHAKE_TIMEOUT {
            assert_eq!(first.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
        stop.cancel();
    }
}

//! An installation for tests: one authority, devices with keys of their own, connected ends.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ecep_channel::{
    authority::Authority,
    channel::{Channel, ChannelError, ChannelStream, Incoming},
    grant::{Grant, GrantId, Mode, SignedGrant},
    header::Header,
    identity::Identity,
    peer::Peer,
    tls::Tls,
};
use ed25519_dalek::SigningKey;
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for a busy machine; it only bounds a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something that must happen.
pub async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happening).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

#[derive(Debug)]
pub struct ClockAt(pub u64);

impl TimeProvider for ClockAt {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

pub struct Installation {
    _directory: tempfile::TempDir,
    pub authority: Authority,
    pub control_plane: SigningKey,
}

impl Installation {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(directory.path(), SystemTime::now()).unwrap();
        Self { _directory: directory, authority, control_plane: SigningKey::from_bytes(&rand::random()) }
    }

    pub fn cloud(&self) -> Tls {
        Tls::new(&self.authority.cloud(SystemTime::now()).unwrap()).unwrap()
    }

    pub fn identity(&self, device: &str, issued: SystemTime) -> Identity {
        let key = SigningKey::from_bytes(&rand::random());
        let certificate =
            self.authority.issue(&device.parse().unwrap(), &key.verifying_key(), issued).unwrap();
        Identity::device(&certificate, &key, self.authority.certificate()).unwrap()
    }

    pub fn device(&self, device: &str) -> Tls {
        Tls::new(&self.identity(device, SystemTime::now())).unwrap()
    }

    pub fn grant(&self, from: &str, to: &str) -> SignedGrant {
        self.grant_until(from, to, now() + 600)
    }

    pub fn grant_until(&self, from: &str, to: &str, not_after: u64) -> SignedGrant {
        Grant {
            id: GrantId::random(),
            migration: "m-1".parse().unwrap(),
            container: "c-1".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            source: from.parse().unwrap(),
            destination: to.parse().unwrap(),
            generation: 1,
            mode: Mode::Live,
            not_after,
        }
        .sign(&self.control_plane)
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub fn peer(device: &str) -> Peer {
    Peer::Device(device.parse().unwrap())
}

pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let far = listener.accept().await.unwrap().0;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

type End = Result<(Channel, Incoming), ChannelError>;

/// Tries to connect two ends over loopback TCP.
pub async fn try_connect(caller: &Tls, expected: &Peer, called: &Tls) -> (End, End) {
    let (near, far) = tcp().await;
    soon("the handshake", async {
        // The called end must be served while the caller waits, and longer.
        tokio::join!(Channel::connect(near, caller, expected), Channel::accept(far, called))
    })
    .await
}

/// Two connected ends: the caller's, the called end's.
pub async fn connect(
    caller: &Tls,
    expected: &Peer,
    called: &Tls,
) -> ((Channel, Incoming), (Channel, Incoming)) {
    let (near, far) = try_connect(caller, expected, called).await;
    (near.unwrap(), far.unwrap())
}

/// One stream between two ends.
pub async fn stream(near: &Channel, far: &mut Incoming) -> (ChannelStream, ChannelStream) {
    let (near, far) = soon("a stream", async {
        tokio::join!(near.open(&Header::Echo), async { far.accept().await.unwrap().take().await })
    })
    .await;
    (near.unwrap(), far.unwrap())
}

/// An agent and the cloud, with their own handles kept.
pub struct Pair {
    pub near: Channel,
    pub _far: Channel,
    pub near_incoming: Incoming,
    pub far_incoming: Incoming,
}

pub async fn pair() -> Pair {
    let installation = Installation::new();
    let ((near, near_incoming), (far, far_incoming)) =
        connect(&installation.device("a"), &Peer::Cloud, &installation.cloud()).await;
    Pair { near, _far: far, near_incoming, far_incoming }
}

/// Bytes that neither compress nor repeat, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

pub fn at(seconds: u64) -> Arc<ClockAt> {
    Arc::new(ClockAt(seconds))
}

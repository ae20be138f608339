//! A channel between two known ends: streams with a typed header, opened by either, each with flow control of its own.
//! Owns the number of streams, the header's limits and the keep-alive. Must not know what the streams carry.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use crate::mux::MAX_STREAMS;
use crate::{
    frame::{FrameError, read_message, write_message},
    header::{Answer, Header, Refusal, RefusalCode},
    keep_alive::{self, Watch},
    mux::{self, OpenRequest, RawStream, Side},
    peer::Peer,
    tls::{Tls, TlsError},
};

/// A header must come this soon after its stream: longer, and the peer is holding a place for nothing.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer may need a look at a disk, and through a relay another device's answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests for a stream that wait for the driver: it takes them at once, so few are enough.
const OPEN_QUEUE: usize = 16;
/// The keep-alive's own stream comes on top of the users' streams.
const OWN_STREAMS: usize = 1;
/// Streams beyond the limit that are being told so. Past these they are reset without a word.
const REFUSAL_PLACES: usize = 16;

/// Why a channel ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// We closed it.
    Closed,
    /// The peer closed it.
    ClosedByPeer,
    /// Nothing was heard of the peer for [`keep_alive::SILENCE_LIMIT`].
    PeerSilent,
    /// The connection broke, or the peer refused us; the sentence says what happened.
    Lost(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by this end"),
            Self::ClosedByPeer => f.write_str("closed by the peer"),
            Self::PeerSilent => write!(f, "nothing heard of the peer for {:?}", keep_alive::SILENCE_LIMIT),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

/// Why a channel or a stream could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// TLS did not come about.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The channel ended.
    #[error("the channel ended: {0}")]
    Ended(EndReason),
    /// The peer said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// We have [`MAX_STREAMS`] open.
    #[error("{MAX_STREAMS} streams are open on this channel already; wait until one ends")]
    TooManyStreams,
    /// The header or its answer.
    #[error("opening a stream: {0}")]
    Frame(#[from] FrameError),
    /// No answer.
    #[error("the peer did not answer the request for a stream within {ANSWER_TIMEOUT:?}")]
    Timeout,
}

/// A handle to a channel. Clones are the same channel; it closes when the last one is dropped or by
/// [`Channel::close`].
#[derive(Clone)]
pub struct Channel {
    inner: Arc<Inner>,
}

struct Inner {
    peer: Peer,
    peer_key: Option<Vec<u8>>,
    opens: mpsc::Sender<OpenRequest>,
    slots: Arc<Semaphore>,
    ended: watch::Receiver<Option<EndReason>>,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

/// The streams that the peer opens. Bounded by [`MAX_STREAMS`]; beyond, the peer is told that we are busy.
pub struct Incoming {
    offers: mpsc::Receiver<Offer>,
}

/// A stream that the peer opened and that waits for an answer. Dropped without one, it is refused.
pub struct Offer {
    /// Who opened it: from its verified certificate.
    pub peer: Peer,
    /// What it is for.
    pub header: Header,
    stream: ChannelStream,
}

/// One stream. Shutting it down ends the sending half; dropping it ends both.
pub struct ChannelStream {
    raw: RawStream,
    _slot: OwnedSemaphorePermit,
}

impl Channel {
    /// The calling end, over any connection. Returns once the peer has accepted us. On TCP, set `nodelay`, here and at
    /// the called end: without it every header waits for the other end's delayed acknowledgement, some 90 ms.
    pub async fn connect<T>(io: T, tls: &Tls, expected: &Peer) -> Result<(Self, Incoming), ChannelError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = tls.connect(io, expected).await?;
        let (channel, incoming, own) = Self::start(io, Side::Caller, expected.clone(), None);
        // The first stream tells both ends that the other one is there and willing.
        let stream = match channel.open_in(&Header::KeepAlive, own.slots).await {
            Ok(stream) => stream,
            Err(ChannelError::Frame(_)) => return Err(ChannelError::Ended(channel.ended().await)),
            Err(error) => return Err(error),
        };
        tokio::spawn(watch_peer(keep_alive::ask(stream), own.silent, channel.inner.stop.clone()));
        Ok((channel, incoming))
    }

    /// The called end, over any connection: anyone of our authority. Whether this peer is welcome (not revoked, not
    /// removed) is for the caller to decide before it uses the channel.
    pub async fn accept<T>(io: T, tls: &Tls) -> Result<(Self, Incoming), ChannelError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (io, peer, key) = tls.accept(io).await?;
        let (channel, incoming, _) = Self::start(io, Side::Called, peer, Some(key));
        Ok((channel, incoming))
    }

    fn start<T>(io: T, side: Side, peer: Peer, peer_key: Option<Vec<u8>>) -> (Self, Incoming, Own)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (opens, open_requests) = mpsc::channel(OPEN_QUEUE);
        // Never full: an offer holds one of the places.
        let (offers, offered) = mpsc::channel(MAX_STREAMS + OWN_STREAMS);
        let (end, ended) = watch::channel(None);
        let (silent, mut fell_silent) = mpsc::channel(1);
        let stop = CancellationToken::new();

        let admission = Admission {
            peer: peer.clone(),
            offers,
            slots: Arc::new(Semaphore::new(MAX_STREAMS + OWN_STREAMS)),
            refusals: Arc::new(Semaphore::new(REFUSAL_PLACES)),
            has_keep_alive: Arc::new(AtomicBool::new(false)),
            silent: silent.clone(),
            stop: stop.clone(),
        };
        let driver_stop = stop.clone();
        let driver_peer = peer.clone();
        tokio::spawn(async move {
            // A called end whose caller never starts the keep-alive would wait for ever.
            let first = if side == Side::Called { Some(admission.clone()) } else { None };
            let driven = mux::drive(io, side, open_requests, |raw| admission.admit(raw), driver_stop.clone());
            let reason = tokio::select! {
                reason = driven => reason,
                Some(()) = fell_silent.recv() => EndReason::PeerSilent,
                () = no_keep_alive(first) => EndReason::PeerSilent,
            };
            driver_stop.cancel();
            tracing::info!(peer = %driver_peer, %reason, "channel ended");
            end.send_replace(Some(reason));
        });

        let inner = Inner {
            peer,
            peer_key,
            opens,
            slots: Arc::new(Semaphore::new(MAX_STREAMS)),
            ended,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        };
        let own = Own { silent, slots: Arc::new(Semaphore::new(OWN_STREAMS)) };
        (Self { inner: Arc::new(inner) }, Incoming { offers: offered }, own)
    }

    /// The key of whoever has called us: a certificate outlives a key that was changed. None at the calling end.
    pub fn peer_key(&self) -> Option<&[u8]> {
        self.inner.peer_key.as_deref()
    }

    /// Who is at the other end: from its verified certificate.
    pub fn peer(&self) -> &Peer {
        &self.inner.peer
    }

    /// Opens a stream and waits for the peer's answer.
    pub async fn open(&self, header: &Header) -> Result<ChannelStream, ChannelError> {
        self.open_in(header, Arc::clone(&self.inner.slots)).await
    }

    async fn open_in(&self, header: &Header, slots: Arc<Semaphore>) -> Result<ChannelStream, ChannelError> {
        let slot = slots.try_acquire_owned().map_err(|_| ChannelError::TooManyStreams)?;
        let opening = async {
            let (request, opened) = oneshot::channel();
            let raw = match self.inner.opens.send(request).await {
                Ok(()) => opened.await.ok(),
                Err(_) => None,
            };
            let Some(raw) = raw else {
                return Err(ChannelError::Ended(self.ended().await));
            };
            let mut stream = ChannelStream { raw, _slot: slot };
            write_message(&mut stream, header).await?;
            match read_message(&mut stream).await? {
                Answer::Taken => Ok(stream),
                Answer::Refused(refusal) => Err(ChannelError::Refused(refusal)),
            }
        };
        timeout(ANSWER_TIMEOUT, opening).await.map_err(|_| ChannelError::Timeout)?
    }

    /// Waits until the channel has ended, and says why.
    pub async fn ended(&self) -> EndReason {
        let mut ended = self.inner.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(EndReason::Closed),
            // The driver is gone with the runtime.
            Err(_) => EndReason::Closed,
        }
    }

    /// Whether it has ended.
    pub fn is_ended(&self) -> bool {
        self.inner.ended.borrow().is_some()
    }

    /// Closes the channel and its streams, and waits until the peer was told (bounded).
    pub async fn close(&self) {
        self.inner.stop.cancel();
        self.ended().await;
    }

    /// As [`Channel::close`], without waiting.
    pub(crate) fn begin_close(&self) {
        self.inner.stop.cancel();
    }

    /// Whether both handles are of one channel.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Incoming {
    /// The next stream that the peer opens; none when the channel has ended.
    pub async fn accept(&mut self) -> Option<Offer> {
        self.offers.recv().await
    }
}

impl Offer {
    /// Takes the stream.
    pub async fn take(mut self) -> Result<ChannelStream, ChannelError> {
        write_message(&mut self.stream, &Answer::Taken).await?;
        Ok(self.stream)
    }

    /// Refuses it; the opener gets the sentence.
    pub async fn refuse(mut self, refusal: Refusal) -> Result<(), ChannelError> {
        Ok(refuse(&mut self.stream, refusal).await?)
    }
}

async fn refuse(stream: &mut (impl AsyncWrite + Unpin), refusal: Refusal) -> Result<(), FrameError> {
    write_message(stream, &Answer::Refused(refusal)).await?;
    Ok(tokio::io::AsyncWriteExt::shutdown(stream).await?)
}

/// What the package keeps of a channel for its keep-alive.
struct Own {
    silent: mpsc::Sender<()>,
    slots: Arc<Semaphore>,
}

/// Lets the peer's streams in.
#[derive(Clone)]
struct Admission {
    peer: Peer,
    offers: mpsc::Sender<Offer>,
    slots: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    has_keep_alive: Arc<AtomicBool>,
    silent: mpsc::Sender<()>,
    stop: CancellationToken,
}

impl Admission {
    /// Called for each stream, in the driver: it must not wait. An honest peer counts its own streams; it is
    /// beyond the limit only while its ended ones are still being worked on here.
    fn admit(&self, raw: RawStream) {
        let (slot, is_extra) = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => (slot, false),
            Err(_) => match Arc::clone(&self.refusals).try_acquire_owned() {
                Ok(slot) => (slot, true),
                Err(_) => return,
            },
        };
        let admission = self.clone();
        tokio::spawn(async move {
            let stop = admission.stop.clone();
            stop.run_until_cancelled(admission.welcome(ChannelStream { raw, _slot: slot }, is_extra)).await;
        });
    }

    async fn welcome(self, mut stream: ChannelStream, is_extra: bool) {
        let header = match timeout(HEADER_TIMEOUT, read_message::<Header>(&mut stream)).await {
            Ok(Ok(header)) => header,
            Ok(Err(FrameError::Malformed(error))) => {
                let message = format!("this end does not know that kind of stream ({error}); update it");
                drop(refuse(&mut stream, Refusal::new(RefusalCode::Unsupported, message)).await);
                return;
            }
            // Gone, too long or too late: dropping the stream resets it.
            Ok(Err(_)) | Err(_) => return,
        };
        if is_extra {
            let message = format!("{MAX_STREAMS} streams are open already; wait until one ends");
            drop(refuse(&mut stream, Refusal::new(RefusalCode::Busy, message)).await);
        } else if header == Header::KeepAlive {
            self.keep_alive(stream).await;
        } else {
            // Fails only when nobody accepts any more; the offer's stream is then reset.
            drop(self.offers.send(Offer { peer: self.peer.clone(), header, stream }).await);
        }
    }

    async fn keep_alive(self, mut stream: ChannelStream) {
        if self.has_keep_alive.swap(true, Ordering::Relaxed) {
            drop(refuse(&mut stream, Refusal::new(RefusalCode::Forbidden, "one keep-alive is enough")).await);
        } else if write_message(&mut stream, &Answer::Taken).await.is_ok() {
            watch_peer(keep_alive::answer(stream), self.silent, self.stop.clone()).await;
        }
    }
}

async fn watch_peer(watch: impl Future<Output = Watch>, silent: mpsc::Sender<()>, stop: CancellationToken) {
    if stop.run_until_cancelled(watch).await == Some(Watch::Silent) {
        // Full means that somebody else has said it.
        silent.try_send(()).ok();
    }
}

/// Comes back when a called end has had no keep-alive for too long after its start.
async fn no_keep_alive(first: Option<Admission>) {
    let Some(admission) = first else {
        return std::future::pending().await;
    };
    tokio::time::sleep(keep_alive::SILENCE_LIMIT).await;
    if admission.has_keep_alive.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.raw).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.raw).poll_shutdown(cx)
    }
}

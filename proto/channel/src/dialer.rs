//! Keeps one channel up from an agent to the cloud: connects, notices its loss, connects again. It logs one line for
//! each change, not one for each attempt. Must not know what the streams are for.

use std::time::Duration;

use ecep_proto::backoff::Backoff;
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    channel::{Channel, ChannelError, ChannelStream, EndReason, Incoming, Offer},
    header::Header,
    peer::Peer,
    tls::Tls,
};

/// The first wait before dialling again. Short, so that a cloud that restarts is found again at once.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longer than the WAMP link's: nothing live depends on the channel, and a handshake costs more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A connection over a bad mobile link takes some seconds; the system's own limit is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The cloud's streams that wait for the agent to take them; past it they wait in the channel, which bounds them.
const OFFER_QUEUE: usize = 8;
/// A channel that lasted this long was a good one: its loss is a new story, tried again at once. One that ends sooner
/// (the cloud accepts and throws out) goes on with the back-off.
const GOOD_AFTER: Duration = Duration::from_secs(60);

/// Where the channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialerState {
    /// Trying; the last failure, if there was one, as a sentence for the person who looks.
    Connecting {
        /// Why the last attempt failed or the last channel ended.
        last_failure: Option<String>,
    },
    /// Up.
    Connected {
        /// Counts channels from 1.
        generation: u64,
    },
    /// Cancelled.
    Closed,
}

/// Makes the settings anew for every attempt, so that a renewed certificate is used without a restart.
pub type TlsSource = Box<dyn Fn() -> Result<Tls, String> + Send + Sync>;

/// A channel that comes back. Clones are the same one.
#[derive(Clone)]
pub struct Dialer {
    state: watch::Receiver<DialerState>,
    channel: watch::Receiver<Option<Channel>>,
}

/// Streams that the peer opens, over all channels of one dialer.
pub struct Offers {
    offers: mpsc::Receiver<Offer>,
}

impl Offers {
    /// The next one; none when the dialer was cancelled.
    pub async fn accept(&mut self) -> Option<Offer> {
        self.offers.recv().await
    }
}

impl Dialer {
    /// Starts. `address` is `host:port`.
    pub fn start(address: String, peer: Peer, tls: TlsSource, cancel: CancellationToken) -> (Self, Offers) {
        let (state, state_receiver) = watch::channel(DialerState::Connecting { last_failure: None });
        let (channel, channel_receiver) = watch::channel(None);
        let (offers, offered) = mpsc::channel(OFFER_QUEUE);
        let supervisor = Supervisor { address, peer, tls, state, channel, offers };
        tokio::spawn(supervisor.run(cancel));
        (Self { state: state_receiver, channel: channel_receiver }, Offers { offers: offered })
    }

    /// Where it stands; every change can be waited for.
    pub fn state(&self) -> watch::Receiver<DialerState> {
        self.state.clone()
    }

    /// The channel, while there is one.
    pub fn channel(&self) -> Option<Channel> {
        self.channel.borrow().clone()
    }

    /// Opens a stream, if there is a channel now.
    pub async fn open(&self, header: &Header) -> Result<ChannelStream, ChannelError> {
        match self.channel() {
            Some(channel) => channel.open(header).await,
            None => Err(ChannelError::Ended(EndReason::Lost(self.why_not()))),
        }
    }

    fn why_not(&self) -> String {
        match &*self.state.borrow() {
            DialerState::Connecting { last_failure: Some(failure) } => format!("not connected: {failure}"),
            DialerState::Connecting { last_failure: None } => "still connecting".to_owned(),
            DialerState::Connected { .. } => "just connecting again".to_owned(),
            DialerState::Closed => "closed".to_owned(),
        }
    }
}

struct Supervisor {
    address: String,
    peer: Peer,
    tls: TlsSource,
    state: watch::Sender<DialerState>,
    channel: watch::Sender<Option<Channel>>,
    offers: mpsc::Sender<Offer>,
}

impl Supervisor {
    async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.keep_connected()).await;
        if let Some(channel) = self.channel.send_replace(None) {
            channel.close().await;
        }
        self.state.send_replace(DialerState::Closed);
    }

    async fn keep_connected(&self) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut generation = 0;
        let mut last = None;
        loop {
            let failure = match self.connect().await {
                Ok((channel, incoming)) => {
                    generation += 1;
                    let since = tokio::time::Instant::now();
                    tracing::info!(address = %self.address, peer = %self.peer, generation, "channel is up");
                    self.channel.send_replace(Some(channel.clone()));
                    self.state.send_replace(DialerState::Connected { generation });
                    let reason = self.forward(&channel, incoming).await;
                    self.channel.send_replace(None);
                    if since.elapsed() >= GOOD_AFTER {
                        backoff.reset();
                    }
                    reason.to_string()
                }
                Err(failure) => failure,
            };
            if last.as_ref() != Some(&failure) {
                tracing::warn!(address = %self.address, peer = %self.peer, %failure, "no channel, connecting again");
            }
            self.state.send_replace(DialerState::Connecting { last_failure: Some(failure.clone()) });
            last = Some(failure);
            sleep(backoff.next(rand::random())).await;
        }
    }

    async fn connect(&self) -> Result<(Channel, Incoming), String> {
        let tls = (self.tls)()?;
        let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address))
            .await
            .map_err(|_| format!("{} did not answer within {CONNECT_TIMEOUT:?}", self.address))?
            .map_err(|error| format!("cannot connect to {}: {error}", self.address))?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        Channel::connect(tcp, &tls, &self.peer).await.map_err(|error| error.to_string())
    }

    /// Passes the peer's streams on until the channel ends.
    async fn forward(&self, channel: &Channel, mut incoming: Incoming) -> EndReason {
        let pass_on = async {
            while let Some(offer) = incoming.accept().await {
                // Fails only when the agent takes no streams; then each is refused by being dropped.
                drop(self.offers.send(offer).await);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            reason = channel.ended() => reason,
            () = pass_on => EndReason::ClosedByPeer,
        }
    }
}

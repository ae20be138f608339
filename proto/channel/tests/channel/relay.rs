//! Two agents through the cloud.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use ecep_channel::{
    channel::{Channel, ChannelError, Incoming},
    grant::{GrantError, SignedGrant},
    header::{Header, RefusalCode},
    ledger::GrantLedger,
    peer::Peer,
    relay::Relay,
    spent::Claim,
    tls::Tls,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::support::{Installation, connect, noise, now, peer, soon, stream};

struct Cloud {
    relay: Arc<Relay>,
    tls: Tls,
}

impl Cloud {
    fn new(installation: &Installation) -> Self {
        Self { relay: Relay::new(installation.control_plane.verifying_key()), tls: installation.cloud() }
    }

    /// An agent calls; the cloud serves its requests for relays.
    async fn connect(&self, agent: &Tls) -> (Channel, Incoming) {
        let (near, (far, mut incoming)) = connect(agent, &Peer::Cloud, &self.tls).await;
        self.relay.attach(&far);
        let relay = Arc::clone(&self.relay);
        tokio::spawn(async move {
            while let Some(offer) = incoming.accept().await {
                let relay = Arc::clone(&relay);
                tokio::spawn(async move { relay.join(offer).await });
            }
            relay.detach(&far);
        });
        near
    }
}

/// Keeps a copy of everything that passes: what the cloud could see.
struct Tap<T> {
    io: T,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.seen.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(length)) = written {
            self.seen.lock().unwrap().extend_from_slice(&bytes[..length]);
        }
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Two agents speak through the cloud, each knows the other by its certificate, and the cloud sees none of it.
#[tokio::test]
async fn two_agents_speak_and_the_cloud_cannot_read() {
    let installation = Installation::new();
    let cloud = Cloud::new(&installation);
    let (tls_a, tls_b) = (installation.device("a"), installation.device("b"));
    let (a, _a_incoming) = cloud.connect(&tls_a).await;
    let (_b, mut b_incoming) = cloud.connect(&tls_b).await;

    let grant = installation.grant("a", "b");
    let header = Header::Relay { to: "b".parse().unwrap(), grant: grant.clone() };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (at_a, at_b) = soon("the relayed channel", async {
        tokio::join!(
            async {
                let io = Tap { io: a.open(&header).await.unwrap(), seen: Arc::clone(&seen) };
                Channel::connect(io, &tls_a, &peer("b")).await.unwrap()
            },
            async {
                let offer = b_incoming.accept().await.unwrap();
                assert_eq!(offer.peer, Peer::Cloud);
                assert_eq!(
                    offer.header,
                    Header::Relayed { from: "a".parse().unwrap(), grant: grant.clone() }
                );
                Channel::accept(offer.take().await.unwrap(), &tls_b).await.unwrap()
            }
        )
    })
    .await;
    let ((near, _near_incoming), (far, mut far_incoming)) = (at_a, at_b);
    assert_eq!((near.peer(), far.peer()), (&peer("b"), &peer("a")));

    let (mut writer, mut reader) = stream(&near, &mut far_incoming).await;
    let secret = noise(3, 500_000);
    let mut got = vec![0; secret.len()];
    let (wrote, read) = soon("the bytes", async {
        tokio::join!(
            async {
                writer.write_all(&secret).await?;
                writer.flush().await
            },
            reader.read_exact(&mut got)
        )
    })
    .await;
    wrote.unwrap();
    read.unwrap();
    assert!(got == secret);
    let seen = seen.lock().unwrap();
    assert!(seen.len() > secret.len(), "the tap sees the traffic");
    assert!(!find(&seen, &secret[1000..1032]), "the cloud saw the content");
}

async fn refused(agent: &Channel, to: &str, grant: SignedGrant) -> (RefusalCode, String) {
    match soon("an answer", agent.open(&Header::Relay { to: to.parse().unwrap(), grant })).await {
        Err(ChannelError::Refused(refusal)) => (refusal.code, refusal.message),
        other => panic!("{:?}", other.err()),
    }
}

/// Without a good grant for exactly this pair, nobody reaches anybody; an absent device is named.
#[tokio::test]
async fn relays_only_what_a_grant_allows() {
    let installation = Installation::new();
    let cloud = Cloud::new(&installation);
    let (a, _a_incoming) = cloud.connect(&installation.device("a")).await;
    let (b, _b_incoming) = cloud.connect(&installation.device("b")).await;

    let (code, message) = refused(&a, "c", installation.grant("a", "c")).await;
    assert_eq!(code, RefusalCode::NotConnected);
    assert!(message.contains("device c"), "{message}");
    let other = Installation::new();
    for (from, to, grant) in [
        (&a, "b", installation.grant("a", "c")),
        (&b, "a", installation.grant("a", "b")),
        (&a, "b", other.grant("a", "b")),
        (&a, "b", installation.grant_until("a", "b", now() - 30 * 24 * 60 * 60)),
    ] {
        assert_eq!(refused(from, to, grant).await.0, RefusalCode::Forbidden);
    }
}

/// What a destination does with a grant: signature, ends, container, and once.
#[tokio::test]
async fn a_destination_takes_a_grant_once() {
    let installation = Installation::new();
    let ((near, _near_incoming), (_far, mut incoming)) =
        connect(&installation.device("a"), &peer("b"), &installation.device("b")).await;
    let grant = installation.grant("a", "b");
    let header = Header::Migration { grant };
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = GrantLedger::open(&directory.path().join("grants.json")).unwrap();
    let key = installation.control_plane.verifying_key();
    for expected in [Some(Claim::First), Some(Claim::Again), None] {
        let (_opened, ()) = tokio::join!(near.open(&header), async {
            let offer = soon("the offer", incoming.accept()).await.unwrap();
            let Header::Migration { grant } = &offer.header else { panic!("{:?}", offer.header) };
            let grant = grant.verify(&key).unwrap();
            grant.check_ends(&offer.peer, &peer("b")).unwrap();
            assert!(matches!(grant.check_ends(&offer.peer, &peer("c")), Err(GrantError::OtherEnds { .. })));
            let foreign = grant.check_container(&"c-2".parse().unwrap(), &"acme".parse().unwrap(), 1);
            assert!(matches!(foreign, Err(GrantError::OtherContainer { .. })));
            assert_eq!(ledger.claim(grant, now()).ok(), expected);
            if expected == Some(Claim::Again) {
                ledger.finish(grant.id).unwrap();
            }
            offer.take().await.unwrap();
        });
    }
}

/// A device that connects again replaces its ghost.
#[tokio::test]
async fn a_new_channel_replaces_the_old_one() {
    let installation = Installation::new();
    let cloud = Cloud::new(&installation);
    let tls = installation.device("a");
    let (first, _first_incoming) = cloud.connect(&tls).await;
    let (second, _second_incoming) = cloud.connect(&tls).await;
    soon("the end of the first", first.ended()).await;
    assert!(!second.is_ended() && cloud.relay.channel(&"a".parse().unwrap()).is_some());
}

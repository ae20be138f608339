//! Many streams on one channel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ecep_channel::{
    channel::{Channel, ChannelError, EndReason, MAX_STREAMS},
    dialer::{Dialer, DialerState},
    header::{Header, Refusal, RefusalCode},
    keep_alive::SILENCE_LIMIT,
    peer::Peer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Installation, noise, pair, peer, soon, stream};

/// A hundred streams at once carry each their own bytes, both ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_at_once() {
    let mut pair = pair().await;
    let mut far_incoming = pair.far_incoming;
    let echo = tokio::spawn(async move {
        while let Some(offer) = far_incoming.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(offer.take().await.unwrap());
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    let streams: Vec<_> = (0..100)
        .map(|seed| {
            let near = pair.near.clone();
            tokio::spawn(async move {
                let sent = noise(seed, 300_000);
                let (mut reader, mut writer) = tokio::io::split(near.open(&Header::Echo).await.unwrap());
                let mut back = Vec::new();
                let write = async {
                    writer.write_all(&sent).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                tokio::join!(write, async { reader.read_to_end(&mut back).await.unwrap() });
                assert!(back == sent, "stream {seed} came back changed");
            })
        })
        .collect();
    for stream in streams {
        soon("a stream's echo", stream).await.unwrap();
    }
    pair.near.close().await;
    assert!(pair.near_incoming.accept().await.is_none());
    soon("the end of accepting", echo).await.unwrap();
}

/// The number of streams is bounded, the message says so, and an ended stream makes room.
#[tokio::test]
async fn the_number_of_streams_is_bounded() {
    let mut pair = pair().await;
    let mut held = Vec::new();
    for _ in 0..MAX_STREAMS {
        held.push(stream(&pair.near, &mut pair.far_incoming).await);
    }
    assert!(matches!(pair.near.open(&Header::Echo).await, Err(ChannelError::TooManyStreams)));
    held.pop();
    held.push(stream(&pair.near, &mut pair.far_incoming).await);
}

/// A refusal reaches the opener as its sentence.
#[tokio::test]
async fn a_refusal_is_told() {
    let mut pair = pair().await;
    let refusal = Refusal::new(RefusalCode::Forbidden, "not on Sundays");
    let (opened, ()) = tokio::join!(pair.near.open(&Header::Echo), async {
        let offer = pair.far_incoming.accept().await.unwrap();
        assert_eq!((&offer.peer, &offer.header), (&peer("a"), &Header::Echo));
        offer.refuse(refusal.clone()).await.unwrap();
    });
    match opened {
        Err(ChannelError::Refused(said)) => assert_eq!(said, refusal),
        other => panic!("{:?}", other.err()),
    }
}

async fn over_memory()
-> ((Channel, ecep_channel::channel::Incoming), (Channel, ecep_channel::channel::Incoming), CancellationToken)
{
    let installation = Installation::new();
    let (near, far) = (installation.device("a"), installation.cloud());
    let (near_io, near_wire) = tokio::io::duplex(64 * 1024);
    let (far_io, far_wire) = tokio::io::duplex(64 * 1024);
    let cut = CancellationToken::new();
    tokio::spawn(wire(near_wire, far_wire, cut.clone()));
    let (near, far) =
        tokio::join!(Channel::connect(near_io, &near, &Peer::Cloud), Channel::accept(far_io, &far));
    (near.unwrap(), far.unwrap(), cut)
}

/// Carries bytes until it is cut; then it neither carries nor closes: a half-open connection.
async fn wire(mut near: DuplexStream, mut far: DuplexStream, cut: CancellationToken) {
    cut.run_until_cancelled(tokio::io::copy_bidirectional(&mut near, &mut far)).await;
    std::future::pending::<()>().await;
}

/// A reader that takes nothing holds its own stream only, and only as many bytes as its window.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_little_and_nobody_else() {
    let ((near, _near_incoming), (_far, mut far_incoming), _cut) = over_memory().await;
    let (mut slow, _unread) = stream(&near, &mut far_incoming).await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        let block = vec![7; 16 * 1024];
        // 256 MB, if nothing stops it.
        for _ in 0..16_384 {
            slow.write_all(&block).await.unwrap();
            count.fetch_add(block.len(), Ordering::Relaxed);
        }
    });
    // Virtual time passes only once nothing moves any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let taken = written.load(Ordering::Relaxed);
    assert!(
        !writing.is_finished() && taken < 1024 * 1024,
        "{taken} bytes were taken for a reader that reads nothing"
    );

    let (mut other, mut reader) = stream(&near, &mut far_incoming).await;
    let sent = noise(1, 1_000_000);
    let mut got = vec![0; sent.len()];
    let (wrote, read) = tokio::join!(other.write_all(&sent), reader.read_exact(&mut got));
    wrote.unwrap();
    read.unwrap();
    assert!(got == sent);
}

/// A cut cable is noticed by both ends, though no packet says so.
#[tokio::test(start_paused = true)]
async fn a_half_open_peer_is_found() {
    let ((near, _near_incoming), (far, _far_incoming), cut) = over_memory().await;
    tokio::time::sleep(10 * SILENCE_LIMIT).await;
    assert!(!near.is_ended() && !far.is_ended(), "an idle channel must stay up");
    cut.cancel();
    let found =
        tokio::time::timeout(2 * SILENCE_LIMIT, async { tokio::join!(near.ended(), far.ended()) }).await;
    assert_eq!(found.unwrap(), (EndReason::PeerSilent, EndReason::PeerSilent));
}

/// The dialer comes back after the cloud went away, passes the cloud's streams on, and stops when told.
#[tokio::test]
async fn the_dialer_comes_back() {
    let installation = Installation::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (device, cloud) = (installation.device("a"), installation.cloud());
    let cancel = CancellationToken::new();
    let (dialer, mut offers) =
        Dialer::start(address, Peer::Cloud, Box::new(move || Ok(device.clone())), cancel.clone());
    let mut state = dialer.state();
    for generation in 1..=2 {
        let (tcp, _) = soon("a call", listener.accept()).await.unwrap();
        let (channel, _incoming) = soon("the handshake", Channel::accept(tcp, &cloud)).await.unwrap();
        let up = DialerState::Connected { generation };
        soon("the channel", state.wait_for(|state| *state == up)).await.unwrap();
        let (opened, ()) = tokio::join!(channel.open(&Header::Echo), async {
            soon("the offer", offers.accept()).await.unwrap().take().await.unwrap();
        });
        opened.unwrap();
        channel.close().await;
        let gone = |state: &DialerState| matches!(state, DialerState::Connecting { last_failure: Some(_) });
        soon("the loss", state.wait_for(gone)).await.unwrap();
    }
    cancel.cancel();
    soon("the end", state.wait_for(|state| *state == DialerState::Closed)).await.unwrap();
    assert!(offers.accept().await.is_none());
    assert!(dialer.open(&Header::Echo).await.is_err());
}

//! Messages of which only a part comes: they take no more memory than there is, and keep nobody else out.

use std::time::Duration;

use ecep_proto::codec::Serializer;
use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_router::{Config, HttpConfig, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{dict, roles, within};
use crate::server::{REALM, Server};
use crate::watched::get;

/// What all queues and incomplete messages may take together: two of the large messages have room at a time.
const BUDGET: usize = 4 << 20;
const LARGE: usize = 900 << 10;

async fn start() -> Server {
    let http = Some(HttpConfig { address: ([127, 0, 0, 1], 0).into() });
    let limits = Limits {
        max_message_bytes: 1 << 20,
        max_queue_bytes: 2 << 20,
        max_total_queue_bytes: BUDGET,
        ..Limits::default()
    };
    Server::start(Config { http, limits, ..Config::default() }).await
}

/// How bytes become frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    RawSocket,
    /// With a length in eight bytes, whether it needs them or not.
    WebSocket,
    /// The same in four fragments.
    Fragments,
}

impl Wire {
    fn frames(self, message: &Message) -> Vec<u8> {
        let content = Serializer::MsgPack.encode(message);
        let mut bytes = Vec::new();
        match self {
            Self::RawSocket => {
                bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(&content);
            }
            Self::WebSocket | Self::Fragments => {
                let parts = if self == Self::WebSocket { 1 } else { 4 };
                let chunks: Vec<&[u8]> = content.chunks(content.len().div_ceil(parts)).collect();
                for (number, chunk) in chunks.iter().enumerate() {
                    let operation = if number == 0 { 2 } else { 0 };
                    let last = if number + 1 == chunks.len() { 0x80 } else { 0 };
                    bytes.extend_from_slice(&[last | operation, 0xff]);
                    bytes.extend_from_slice(&(chunk.len() as u64).to_be_bytes());
                    // The mask is zero: the content is sent as it is.
                    bytes.extend_from_slice(&[0; 4]);
                    bytes.extend_from_slice(chunk);
                }
            }
        }
        bytes
    }

    /// A session that does nothing but what it is told.
    async fn join(self, server: &Server) -> TcpStream {
        let raw = self == Self::RawSocket;
        let address = if raw { server.rawsocket } else { server.websocket };
        let mut stream = TcpStream::connect(address).await.unwrap();
        if raw {
            stream.write_all(&[0x7f, 0xf2, 0, 0]).await.unwrap();
            stream.read_exact(&mut [0; 4]).await.unwrap();
        } else {
            let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                Sec-WebSocket-Protocol: wamp.2.msgpack\r\n\r\n";
            stream.write_all(upgrade.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await.unwrap());
            }
        }
        let hello = Hello { realm: REALM.into(), details: dict(&[roles()]) };
        stream.write_all(&self.frames(&hello.into())).await.unwrap();
        let welcome = within("WELCOME", stream.read(&mut [0; 4096])).await.unwrap();
        assert!(welcome > 0);
        stream
    }
}

fn large_publication() -> Message {
    Publish {
        request: RequestId::FIRST,
        options: dict(&[("acknowledge", true.into())]),
        topic: "com.large".into(),
        payload: Payload::of("x".repeat(LARGE)),
    }
    .into()
}

/// How much the budget says is taken.
async fn used(server: &Server) -> usize {
    let (_, text) = get(server.http.unwrap(), "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix("ecep_router_queue_bytes ")).unwrap();
    line.parse().unwrap()
}

/// Many clients that send all but the last byte of a large message take no more than the budget. Everybody else goes
/// on, a large message of somebody else finds room, and who keeps it from others is told why it is closed.
async fn all_but_the_last_byte(wire: Wire) {
    const CLIENTS: usize = 12;
    /// How many may stay when nobody waits any more.
    const LEFT: usize = 2;
    let server = start().await;
    let mut subscriber = server.join().await;
    subscriber.subscribe("com.large").await;
    let bytes = wire.frames(&large_publication());
    let mut holding = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (mut stream, bytes) = (wire.join(&server).await, bytes.clone());
        holding.spawn(async move {
            // The router stops reading those that wait, and closes some before they are done.
            let _ = stream.write_all(&bytes[..bytes.len() - 1]).await;
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
            String::from_utf8_lossy(&said).into_owned()
        });
    }
    within("all the room to be taken", async {
        while used(&server).await < LARGE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // In one frame: what comes in fragments goes first where room is short.
    let whole = if wire == Wire::Fragments { Wire::WebSocket } else { wire };
    let mut honest = whole.join(&server).await;
    honest.write_all(&whole.frames(&large_publication())).await.unwrap();
    let mut other = server.join().await;
    let mut most = 0;
    let mut arrived = Box::pin(subscriber.event());
    let event = loop {
        tokio::select! {
            event = &mut arrived => break event,
            _ = other.session_count() => most = most.max(used(&server).await),
        }
    };
    assert_eq!(event.payload, Payload::of("x".repeat(LARGE)));
    assert!(most <= BUDGET, "{wire:?}: {most} bytes");
    drop((arrived, other));
    for _ in 0..CLIENTS - LEFT {
        let said = within("the end of a slow sender", holding.join_next()).await.unwrap().unwrap();
        assert!(said.contains("limits.max_total_queue_bytes"), "{wire:?}: {said}");
    }
    holding.shutdown().await;
    within("all of it to be given back", async {
        while used(&server).await > 64 << 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_the_last_byte_over_rawsocket() {
    all_but_the_last_byte(Wire::RawSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_the_last_byte_over_websocket() {
    all_but_the_last_byte(Wire::WebSocket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_the_last_byte_in_fragments() {
    all_but_the_last_byte(Wire::Fragments).await;
}

/// Far more large messages at once than there is room for wait for each other, and all arrive: nobody is closed who
/// sends at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_large_messages_arrives() {
    const SENDERS: usize = 16;
    let server = start().await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..SENDERS {
        let wire = [Wire::RawSocket, Wire::WebSocket][number % 2];
        let mut stream = wire.join(&server).await;
        sending.spawn(async move {
            stream.write_all(&wire.frames(&large_publication())).await.unwrap();
            let mut answer = [0; 64];
            let length = within("PUBLISHED", stream.read(&mut answer)).await.unwrap();
            let header = if wire == Wire::RawSocket { 4 } else { 2 };
            // A list of three in MessagePack: PUBLISHED, the request, and the publication's id.
            assert_eq!(answer[..length].get(header..header + 3), Some(&[0x93, 17, 1][..]), "{answer:02x?}");
        });
    }
    sending.join_all().await;
    server.stop().await;
}

/// An incomplete message may take its time as long as nobody needs its room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_so_nobody_goes() {
    let server = start().await;
    let mut subscriber = server.join().await;
    subscriber.subscribe("com.large").await;
    let mut halves = Vec::new();
    for wire in [Wire::RawSocket, Wire::WebSocket] {
        let (mut stream, bytes) = (wire.join(&server).await, wire.frames(&large_publication()));
        stream.write_all(&bytes[..bytes.len() / 2]).await.unwrap();
        halves.push((stream, bytes));
    }
    within("both to have room", async {
        while used(&server).await < 2 * LARGE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for (stream, bytes) in &mut halves {
        stream.write_all(&bytes[bytes.len() / 2..]).await.unwrap();
        assert_eq!(subscriber.event().await.payload, Payload::of("x".repeat(LARGE)));
    }
    server.stop().await;
}

//! More than a client can take: nobody else pays for it, and nothing is lost in silence.

use std::sync::Arc;
use std::time::Duration;

use ecep_proto::codec::Serializer;
use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};
use ecep_router::{Config, Limits, TransportKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::client::{Client, dict, roles, within};
use crate::server::{REALM, Server};

/// Those who read nothing here, or only count what they read, answer no ping: that must not end them, however long a test takes.
fn limits() -> Limits {
    Limits { ping_interval_ms: 600_000, ..Limits::default() }
}

async fn start(limits: Limits) -> Server {
    Server::start(Config { limits, ..Config::default() }).await
}

async fn join(server: &Server) -> Client {
    let mut client = server.connect(TransportKind::RawSocket, Serializer::MsgPack).await;
    client.join(REALM).await;
    client
}

/// A subscriber that stops reading is closed with a reason, while another gets every event and the publisher every
/// acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_delays_nobody() {
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let mut publisher = join(&server).await;
    let mut stuck = join(&server).await;
    let mut healthy = join(&server).await;
    stuck.subscribe("com.topic").await;
    healthy.subscribe("com.topic").await;
    let content = "x".repeat(16 << 10);
    let reading = tokio::spawn(async move {
        let mut expected = 0_u64;
        loop {
            let event = healthy.event().await;
            match event.payload.args() {
                [number, _] => assert_eq!(number.as_u64(), Some(expected), "each event once, in order"),
                _ => return (healthy, expected),
            }
            expected += 1;
        }
    });
    let mut published = 0_u64;
    within("the stuck subscriber to be closed", async {
        while published % 50 != 49 || publisher.session_count().await == 3 {
            let event = Payload::new(vec![Value::from(published), content.as_str().into()], Dict::new());
            publisher.publish("com.topic", event).await;
            published += 1;
        }
    })
    .await;
    publisher.publish("com.topic", Payload::default()).await;
    let (healthy, received) = within("the healthy subscriber", reading).await.unwrap();
    assert_eq!(received, published);
    drop(healthy);
    // What the operating system had taken comes first, then the reason.
    let mut got = 0;
    let reason = within("the reason", async {
        loop {
            match stuck.try_receive().await {
                Some(Message::Event(_)) => got += 1,
                other => return other,
            }
        }
    })
    .await;
    match reason {
        Some(Message::Goodbye(goodbye)) => {
            assert_eq!(goodbye.reason, "wamp.close.killed");
            assert!(goodbye.details["message"].as_str().unwrap().contains("fast enough"));
        }
        other => panic!("{other:?} instead of GOODBYE"),
    }
    assert!(got < published, "it can't have got everything");
    stuck.hung_up().await;
    server.stop().await;
}

/// A flood of calls slows its caller; a callee that reads keeps its session and every call gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_calls_is_answered() {
    const CALLS: u64 = 20_000;
    /// Enough to congest the callee's queue, fewer than a session may have.
    const AT_ONCE: usize = 1_000;
    let server = start(Limits { max_queue_messages: 4096, ..limits() }).await;
    let mut callee = join(&server).await;
    callee.register("com.echo").await;
    let caller = join(&server).await;
    let answering = tokio::spawn(async move {
        for _ in 0..CALLS {
            let invocation = callee.invocation().await;
            callee
                .send(Yield {
                    request: invocation.request,
                    options: Dict::new(),
                    payload: invocation.payload,
                })
                .await;
        }
        callee
    });
    let (mut sending, mut receiving) = caller.split();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let places = room.clone();
    let calling = tokio::spawn(async move {
        for number in 0..CALLS {
            places.acquire().await.unwrap().forget();
            sending.begin_call("com.echo", Payload::of(number)).await;
        }
        sending
    });
    for number in 0..CALLS {
        match receiving.receive().await {
            Message::CallResult(result) => {
                assert_eq!((result.request.get(), result.payload), (number + 1, Payload::of(number)));
                room.add_permits(1);
            }
            other => panic!("{other:?} as the answer to call {number}"),
        }
    }
    within("the caller", calling).await.unwrap();
    within("the callee", answering).await.unwrap();
    server.stop().await;
}

/// Calls to a callee that does not read are refused after a grace: the caller's calls to others are answered, and
/// who floods a callee does not cost it its session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_callee_holds_up_nobody() {
    const CALLS: u64 = 1_000;
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let mut stalled = join(&server).await;
    stalled.register("com.stalled").await;
    let mut healthy = join(&server).await;
    healthy.register("com.healthy").await;
    let answering = tokio::spawn(async move {
        let Invocation { request, payload, .. } = healthy.invocation().await;
        healthy.send(Yield { request, options: Dict::new(), payload }).await;
        healthy
    });
    let (mut sending, mut receiving) = join(&server).await.split();
    let calling = tokio::spawn(async move {
        // Together more than the operating system and the queue can hold.
        for _ in 0..CALLS {
            sending.begin_call("com.stalled", Payload::of("x".repeat(32 << 10))).await;
        }
        let healthy = sending.begin_call("com.healthy", Payload::of("hello")).await;
        (sending, healthy)
    });
    let mut refused = 0;
    let answered = loop {
        match receiving.receive().await {
            Message::Error(error) => {
                assert_eq!(error.error, "wamp.error.no_available_callee");
                assert!(error.payload.args()[0].as_str().unwrap().contains("try again"));
                refused += 1;
            }
            Message::CallResult(result) => break result.request,
            other => panic!("{other:?}"),
        }
    };
    let (sending, healthy) = within("the calls to be sent", calling).await.unwrap();
    assert_eq!(answered, healthy);
    // The others wait, and reach the callee when it reads again.
    for _ in refused..CALLS {
        stalled.invocation().await;
    }
    let again = stalled.session_count().await;
    assert_eq!(again, 3, "the callee has kept its session");
    drop((sending, within("the healthy callee", answering).await.unwrap()));
    server.stop().await;
}

/// A caller that does not take its results must not block the callee's other callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_caller_delays_nobody() {
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let mut callee = join(&server).await;
    callee.register("com.large").await;
    let answering = tokio::spawn(async move {
        while let Some(message) = callee.try_receive().await {
            if let Message::Invocation(invocation) = message {
                let payload = Payload::of("x".repeat(32 << 10));
                callee.send(Yield { request: invocation.request, options: Dict::new(), payload }).await;
            }
        }
    });
    let (mut sending, stuck) = join(&server).await.split();
    let flooding = tokio::spawn(async move {
        // The router stops reading when the results pile up, so this does not end by itself.
        for _ in 0..100_000 {
            sending.begin_call("com.large", Payload::default()).await;
        }
    });
    let mut other = join(&server).await;
    for _ in 0..200 {
        match other.call("com.large", Payload::default()).await {
            Message::CallResult(result) => assert_eq!(result.payload.args().len(), 1),
            message => panic!("{message:?}"),
        }
    }
    flooding.abort();
    drop(stuck);
    server.stop().await;
    within("the callee", answering).await.unwrap();
}

/// How much a client has received that only counts messages; none when the router has hung up.
async fn count(reading: &mut tokio::net::TcpStream) -> Option<usize> {
    let mut header = [0; 4];
    reading.read_exact(&mut header).await.ok()?;
    let length = u32::from_be_bytes(header) as usize;
    let mut content = vec![0; length & 0xff_ffff];
    reading.read_exact(&mut content).await.ok()?;
    Some(length)
}

/// A client with a small window, so that what it does not read waits in the router and not in the operating system.
async fn join_on_a_narrow_line(server: &Server, then: &Message) -> tokio::net::TcpStream {
    join_with_room(server, then, Some(16 << 10)).await
}

/// A subscriber for which the system keeps that many bytes, or as many as it likes. With less than a segment of the loopback (64 KiB) everything waits for
/// the system's probes of a closed window, which come ever more seldom.
async fn join_with_room(server: &Server, then: &Message, bytes: Option<u32>) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes)).unwrap();
    let mut stream = socket.connect(server.rawsocket).await.unwrap();
    // Header and message are written apart: the second one would wait for the first one's acknowledgement.
    stream.set_nodelay(true).unwrap();
    let serializer = Serializer::MsgPack;
    stream.write_all(&[0x7f, 0xf2, 0, 0]).await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    let hello = Hello { realm: REALM.into(), details: dict(&[roles()]) };
    for message in [&hello.into(), then] {
        let bytes = serializer.encode(message);
        stream.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        count(&mut stream).await.expect("an answer");
    }
    stream
}

/// A subscriber on a slow line that reads all the time, far slower than events are published, gets every one: its
/// publisher is slowed instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_loses_nothing() {
    const EVENTS: usize = 200;
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let subscribe = Subscribe { request: RequestId::FIRST, options: Dict::new(), topic: "com.topic".into() };
    let mut slow = join_on_a_narrow_line(&server, &subscribe.into()).await;
    let reading = tokio::spawn(async move {
        // Far below what the publisher can do, and in all far above any grace.
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        for number in 0..EVENTS {
            pace.tick().await;
            assert!(count(&mut slow).await.is_some(), "closed after {number} events");
        }
        slow
    });
    let mut publisher = join(&server).await;
    let content = "x".repeat(60 << 10);
    for _ in 0..EVENTS {
        publisher.publish("com.topic", Payload::of(content.as_str())).await;
    }
    within("every event", reading).await.unwrap();
    server.stop().await;
}

/// The same on a socket as the system makes it: it keeps megabytes for each end, and tells of room in large steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_with_large_buffers_loses_nothing() {
    const EVENTS: usize = 6_000;
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let subscribe = Subscribe { request: RequestId::FIRST, options: Dict::new(), topic: "com.topic".into() };
    let mut slow = join_with_room(&server, &subscribe.into(), None).await;
    let reading = tokio::spawn(async move {
        // A megabyte a second.
        let mut pace = tokio::time::interval(Duration::from_millis(1));
        for number in 0..EVENTS {
            pace.tick().await;
            assert!(count(&mut slow).await.is_some(), "closed after {number} events");
        }
        slow
    });
    let mut publisher = join(&server).await;
    let content = "x".repeat(1 << 10);
    for _ in 0..EVENTS {
        publisher.publish("com.topic", Payload::of(content.as_str())).await;
    }
    within("every event", reading).await.unwrap();
    server.stop().await;
}

/// What one frame holds is not handed on at once: a subscriber that reads all the time gets all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_many_publications_closes_nobody() {
    const EVENTS: usize = 60_000;
    let server = start(Limits { max_queue_messages: 4_096, ..limits() }).await;
    let subscribe = Subscribe { request: RequestId::FIRST, options: Dict::new(), topic: "com.topic".into() };
    let mut subscriber = join_with_room(&server, &subscribe.into(), None).await;
    let mut publisher = Client::connect_batched(server.websocket, Serializer::MsgPack).await;
    publisher.join(REALM).await;
    let publish = |number| {
        let request = RequestId::new(number).unwrap();
        Publish { request, options: Dict::new(), topic: "com.topic".into(), payload: Payload::default() }
            .into()
    };
    publisher.send_batch((1..=EVENTS as u64).map(publish)).await;
    for number in 0..EVENTS {
        assert!(count(&mut subscriber).await.is_some(), "closed after {number} events");
    }
    server.stop().await;
}

/// Results are no exception: a caller that asks for more than its line takes at once gets all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_wait_for_their_caller() {
    const CALLS: u64 = 200;
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let mut callee = join(&server).await;
    callee.register("com.large").await;
    let answering = tokio::spawn(async move {
        let payload = Payload::of("x".repeat(60 << 10));
        while let Some(message) = callee.try_receive().await {
            if let Message::Invocation(Invocation { request, .. }) = message {
                callee.send(Yield { request, options: Dict::new(), payload: payload.clone() }).await;
            }
        }
    });
    let nothing = Call {
        request: RequestId::FIRST,
        options: Dict::new(),
        procedure: "com.nothing".into(),
        payload: Payload::default(),
    };
    let mut caller = join_on_a_narrow_line(&server, &nothing.clone().into()).await;
    for number in 2..CALLS + 2 {
        let call = Call {
            request: RequestId::new(number).unwrap(),
            procedure: "com.large".into(),
            ..nothing.clone()
        };
        let bytes = Serializer::MsgPack.encode(&call.into());
        caller.write_all(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        caller.write_all(&bytes).await.unwrap();
    }
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for number in 0..CALLS {
        pace.tick().await;
        let length = count(&mut caller).await.unwrap_or_else(|| panic!("closed after {number} results"));
        assert!(length > 60 << 10, "a result, not an error");
    }
    server.stop().await;
    within("the callee", answering).await.unwrap();
}

/// Large events for many subscribers are more than any machine writes at once; nobody loses one, and the router
/// holds each of them once.
async fn large_events_for_many(subscribers: usize, events: usize) {
    let server = start(limits()).await;
    let subscribe = Subscribe { request: RequestId::FIRST, options: Dict::new(), topic: "com.topic".into() };
    let mut reading = tokio::task::JoinSet::new();
    for _ in 0..subscribers {
        let mut subscriber = join_with_room(&server, &subscribe.clone().into(), Some(256 << 10)).await;
        reading.spawn(async move {
            for number in 0..events {
                assert!(count(&mut subscriber).await.is_some(), "closed after {number} events");
            }
            subscriber
        });
    }
    let mut publisher = join(&server).await;
    let content = "x".repeat(64 << 10);
    for _ in 0..events {
        publisher.publish("com.topic", Payload::of(content.as_str())).await;
    }
    while let Some(subscriber) = reading.join_next().await {
        subscriber.unwrap();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_events_for_a_hundred() {
    large_events_for_many(100, 40).await;
}

/// The same at full size; four gigabytes go over the loopback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn large_events_for_a_thousand() {
    large_events_for_many(1_000, 64).await;
}

/// A client that floods the router with pings and reads no answer takes no memory and nobody's time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings_disturbs_nobody() {
    let server = start(Limits { max_message_bytes: 64 << 10, max_queue_bytes: 1 << 20, ..limits() }).await;
    let subscribe = Subscribe { request: RequestId::FIRST, options: Dict::new(), topic: "com.topic".into() };
    let mut flooding = join_on_a_narrow_line(&server, &subscribe.into()).await;
    let flood = tokio::spawn(async move {
        let ping = [&[1, 0, 0x40, 0][..], &[7; 16 << 10]].concat();
        // The router stops reading when the answers pile up, so this does not end by itself.
        for _ in 0..100_000 {
            if flooding.write_all(&ping).await.is_err() {
                return;
            }
        }
    });
    let mut other = join(&server).await;
    for _ in 0..200 {
        assert_eq!(other.session_count().await, 2, "it waits, and may stay");
    }
    flood.abort();
    server.stop().await;
}

//! Files over a channel: whole, once, at the rate that was asked for.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ecep_channel::transfer::{
    CHUNK, Frame, Inbox, Item, Options, Phase, Progress, Received, Sent, Source, Throttle, TransferError,
    receive, send,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use ecep_channel::{channel::Channel, peer::Peer};

use crate::support::{Installation, noise, pair, soon, stream, write};

pub fn options(rate: Option<u64>, compress: bool) -> Options {
    Options { compress, throttle: Throttle::new(rate) }
}

pub fn item(name: &str, source: Source) -> Item {
    Item { name: name.parse().unwrap(), source }
}

/// Sends without watching.
async fn give(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    items: &[Item],
    options: &Options,
) -> Result<Sent, TransferError> {
    send(stream, items, options, &mut |_| {}).await
}

/// Receives without watching.
pub async fn take(
    stream: impl AsyncRead + AsyncWrite + Send,
    inbox: &Inbox,
) -> Result<Vec<Received>, TransferError> {
    receive(stream, inbox, &mut |_| {}).await
}

/// Sends over an in-memory stream.
pub async fn over_memory(
    items: &[Item],
    inbox: &Inbox,
    options: &Options,
) -> (Result<Sent, TransferError>, Result<Vec<Received>, TransferError>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::join!(give(near, items, options), take(far, inbox))
}

/// Several files, compressed and not, arrive as they are; a second call moves nothing.
#[tokio::test]
async fn files_arrive_whole_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let (noisy, plain, empty) = (noise(1, 3 * CHUNK + 17), vec![b'x'; 5 * CHUNK], Vec::new());
    let mut items = Vec::new();
    for (name, bytes) in [("noisy", &noisy), ("images/plain.img", &plain), ("empty", &empty)] {
        let path = directory.path().join(name.replace('/', "-"));
        write(&path, bytes);
        items.push(item(name, Source::File(path)));
    }
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let options = options(None, true);
    let mut pair = pair().await;
    let total = (noisy.len() + plain.len()) as u64;
    for expected in [total, 0] {
        let (near, far) = stream(&pair.near, &mut pair.far_incoming).await;
        let mut phases = Vec::new();
        let mut note = |progress: Progress| phases.push(progress.phase);
        let (sent, received) = soon("the transfer", async {
            tokio::join!(send(near, &items, &options, &mut note), take(far, &inbox))
        })
        .await;
        let sent = sent.unwrap();
        assert_eq!((sent.content, sent.moved), (total, expected));
        assert!(sent.wire < noisy.len() as u64 + 10_000, "what compresses was compressed: {}", sent.wire);
        assert_eq!(phases.iter().filter(|phase| **phase == Phase::Stored).count(), items.len());
        for (received, bytes) in received.unwrap().iter().zip([&noisy, &plain, &empty]) {
            assert!(std::fs::read(&received.path).unwrap() == *bytes, "{} differs", received.name);
        }
    }
    assert_eq!(leftovers(&inbox, directory.path()), 0);
}

fn leftovers(_: &Inbox, directory: &std::path::Path) -> usize {
    let receiving = directory.join("inbox/.receiving");
    std::fs::read_dir(receiving)
        .unwrap()
        .filter(|entry| {
            let entry = entry.as_ref().unwrap();
            let is_empty_part = entry.metadata().unwrap().len() == 0;
            entry.path().extension().is_some_and(|extension| extension != "arrived") && !is_empty_part
        })
        .count()
}

/// Passes on at most `limit` bytes from the caller, then cuts both connections: the called one has read all that was passed on before the
/// caller's is cut, however slow it is.
async fn cutting_proxy(listener: TcpListener, to: std::net::SocketAddr, limit: u64) {
    let (near, _) = listener.accept().await.unwrap();
    let far = TcpStream::connect(to).await.unwrap();
    let (near_reader, mut near_writer) = near.into_split();
    let (mut far_reader, mut far_writer) = far.into_split();
    let mut limited = near_reader.take(limit);
    let forth = async {
        let _ = tokio::io::copy(&mut limited, &mut far_writer).await;
        let _ = far_writer.shutdown().await;
        std::future::pending().await
    };
    tokio::select! {
        () = forth => {}
        _ = tokio::io::copy(&mut far_reader, &mut near_writer) => {}
    }
}

/// A connection cut in the middle: the next one sends the rest only, and the bytes are equal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_transfer_goes_on_where_it_was() {
    let installation = Installation::new();
    let (near_tls, far_tls) = (installation.device("a"), installation.cloud());
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(2, 12_000_000);
    let path = directory.path().join("big");
    write(&path, &bytes);
    let items = [item("big", Source::File(path))];
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();

    let options = options(None, false);
    let mut moved = Vec::new();
    for limit in [4_000_000, 5_000_000, u64::MAX] {
        let (server, proxy) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let address = proxy.local_addr().unwrap();
        let cut = tokio::spawn(cutting_proxy(proxy, server.local_addr().unwrap(), limit));
        let near = TcpStream::connect(address).await.unwrap();
        let (far, _) = server.accept().await.unwrap();
        let (near, far) =
            tokio::join!(Channel::connect(near, &near_tls, &Peer::Cloud), Channel::accept(far, &far_tls));
        let ((near, _near_incoming), (_far, mut far_incoming)) = (near.unwrap(), far.unwrap());
        let (near, far) = stream(&near, &mut far_incoming).await;
        let (sent, received) = soon("the transfer's end", async {
            tokio::join!(give(near, &items, &options), take(far, &inbox))
        })
        .await;
        if limit == u64::MAX {
            moved.push(received.unwrap()[0].moved);
            assert_eq!(sent.unwrap().content, bytes.len() as u64);
        } else {
            assert!(matches!(sent, Err(TransferError::Stream(_))), "{sent:?}");
            assert!(received.is_err());
            assert!(!directory.path().join("inbox/big").exists(), "half a file must not be in place");
        }
        cut.abort();
    }
    // 4 and 5 MB passed the proxy, all but what was cut within a chunk counts.
    let last = moved[0];
    assert!(
        (3_000_000..=3_000_000 + 2 * 2 * CHUNK as u64 + 200_000).contains(&last),
        "{last} bytes were sent again"
    );
    assert!(std::fs::read(directory.path().join("inbox/big")).unwrap() == bytes);
}

/// What changed at the source between two connections is not mixed with what had arrived.
#[tokio::test]
async fn a_changed_source_begins_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let items = [item("f", Source::File(path.clone()))];
    for seed in [1, 2] {
        write(&path, &noise(seed, 2 * CHUNK));
        let (sent, received) = over_memory(&items, &inbox, &options(None, false)).await;
        assert_eq!(sent.unwrap().moved, 2 * CHUNK as u64);
        assert!(std::fs::read(&received.unwrap()[0].path).unwrap() == noise(seed, 2 * CHUNK));
    }
}

/// Makes virtual time pass: tokio does not by itself while a thread of the transfer waits. Its pace leaves the threads
/// some real time; going faster or slower could only lengthen the transfer's virtual time.
async fn virtual_clock() {
    loop {
        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
        tokio::time::advance(Duration::from_millis(10)).await;
    }
}

/// The rate holds, by virtual time: 3 MB at 1 MB/s.
#[tokio::test(start_paused = true)]
async fn the_rate_is_honoured() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    write(&path, &noise(1, 3_000_000));
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let options = options(Some(1_000_000), false);
    let times = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&times);
    let start = tokio::time::Instant::now();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let items = [item("f", Source::File(path))];
    let mut tell = move |progress: Progress| {
        if progress.phase == Phase::Moving {
            note.lock().unwrap().push((start.elapsed().as_secs_f64(), progress.done));
        }
    };
    let transfer = async { tokio::join!(send(near, &items, &options, &mut tell), take(far, &inbox)) };
    let (sent, received) = tokio::select! {
        done = transfer => done,
        () = virtual_clock() => unreachable!("it ticks for ever"),
    };
    sent.unwrap();
    received.unwrap();
    for (at, done) in times.lock().unwrap().iter() {
        let allowed = at * 1_000_000.0 + 100_000.0 + CHUNK as f64;
        assert!(*done as f64 <= allowed, "{done} bytes after {at} s");
    }
    let whole = start.elapsed().as_secs_f64();
    assert!(whole >= 2.7, "3 MB went in {whole} s");
}

/// Answers as a receiver would, then speaks as a forger.
async fn forge(mut io: impl AsyncRead + AsyncWrite + Unpin, frames: Vec<Frame>) -> Vec<u8> {
    for frame in frames {
        if io.write_all(&frame.encode().unwrap()).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    io.shutdown().await.ok();
    io.read_to_end(&mut answer).await.ok();
    answer
}

fn announcement(name: &str, length: Option<u64>) -> Frame {
    Frame::Item(ecep_channel::transfer::Announcement {
        name: name.parse().unwrap(),
        kind: ecep_channel::transfer::Kind::File,
        length,
    })
}

/// Damaged and oversized content is refused, in words, and nothing of it is in place.
#[tokio::test]
async fn damaged_and_oversized_content_is_refused() {
    let good = |data: &[u8]| Frame::Chunk {
        hash: *blake3::hash(data).as_bytes(),
        is_compressed: false,
        data: data.to_vec(),
    };
    let bad = Frame::Chunk { hash: [0; 32], is_compressed: false, data: vec![1] };
    let junk = Frame::Chunk { hash: [0; 32], is_compressed: true, data: vec![1; 100] };
    let start = Frame::Start { offset: 0 };
    let end = Frame::End { length: 1, hash: [0; 32] };
    let long = announcement("x", Some(5000));
    let unknown = announcement("x", None);
    let cases = [
        (vec![unknown.clone(), start.clone(), bad], "damaged"),
        (vec![unknown.clone(), start.clone(), junk], "damaged"),
        (vec![unknown.clone(), start.clone(), good(b"a"), end], "damaged"),
        (vec![long], "larger"),
        (vec![unknown.clone(), start.clone(), good(&[0; 5000])], "larger"),
        (vec![unknown.clone(), Frame::Start { offset: 9 }], "protocol"),
        (vec![start], "out of turn"),
        (vec![Frame::Finished, unknown], ""),
    ];
    for (frames, word) in cases {
        let directory = tempfile::tempdir().unwrap();
        let inbox = Inbox::open(&directory.path().join("inbox"), 4096).unwrap();
        let (near, far) = tokio::io::duplex(1024 * 1024);
        let (answer, received) =
            soon("the refusal", async { tokio::join!(forge(near, frames), take(far, &inbox)) }).await;
        match received {
            Ok(received) => assert!(word.is_empty() && received.is_empty()),
            Err(error) => {
                assert!(error.to_string().contains(word), "{error}, expected {word}");
                assert!(String::from_utf8_lossy(&answer).contains(word), "the sender was not told");
            }
        }
        assert!(!directory.path().join("inbox/x").exists());
        assert_eq!(leftovers(&inbox, directory.path()), 0);
    }
}

/// More than the disk holds is refused before a byte moves, with both numbers.
#[tokio::test]
async fn no_room_is_said_beforehand() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge");
    // A hole: it takes no room here, and nobody has that much.
    std::fs::File::create(&path).unwrap().set_len(1 << 43).unwrap();
    let inbox = Inbox::open(&directory.path().join("inbox"), u64::MAX).unwrap();
    let (sent, received) =
        over_memory(&[item("huge", Source::File(path))], &inbox, &options(None, false)).await;
    assert!(matches!(received, Err(TransferError::DiskFull { needed: Some(_), .. })), "{received:?}");
    let told = sent.unwrap_err().to_string();
    assert!(told.contains("is full") && told.contains("free"), "{told}");
}

/// A disk that fills up in the middle: a clear error at both ends, and the disk is free again.
#[tokio::test]
#[ignore = "needs root: mounts a small tmpfs"]
async fn a_disk_that_fills_up_is_freed_again() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).status().unwrap().success(), "{program}");
    };
    let at = small.to_str().unwrap().to_owned();
    run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs", &at]);
    // A tree's length is not known beforehand.
    let tree = directory.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    write(&tree.join("f"), &noise(1, 4_000_000));
    let inbox = Inbox::open(&small.join("inbox"), u64::MAX).unwrap();
    let (sent, received) =
        over_memory(&[item("tree", Source::Tree(tree))], &inbox, &options(None, false)).await;
    let left: u64 = std::fs::read_dir(small.join("inbox/.receiving"))
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    let is_absent = !small.join("inbox/tree").exists();
    run("umount", &[&at]);
    assert!(matches!(received, Err(TransferError::DiskFull { .. })), "{received:?}");
    assert!(sent.unwrap_err().to_string().contains("is full"));
    assert!(is_absent && left == 0, "{left} bytes left");
}

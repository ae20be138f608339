//! What is in a container, as the Docker engine gives it out: its output, its files, terminals. Runs where ECEP_TEST_DOCKER names the
//! engine's socket.

mod real_docker;

use std::{io::Read, time::Duration};

use ecep_agent::{
    creation,
    engine::{Engine, EngineError, OutputPiece, OutputWish, docker::DockerEngine, engine_name},
    policy::Policy,
    random,
};
use ecep_proto::api::{
    container::{CreateContainer, LogStream},
    file::EntryKind,
    name::TenantSlug,
    terminal::TerminalSize,
};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// Far beyond what any step takes; only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const ALL: OutputWish = OutputWish { tail: None, since_seconds: 0, stream: None, follow: false };

async fn start(engine: &DockerEngine, image: &str, script: &str, tty: bool) -> String {
    let tenant: TenantSlug = "looking".parse().expect("a slug");
    let id = random::container_id().expect("an id");
    let order = json!({ "name": id.as_str(), "image": image, "command": ["sh", "-c", script], "tty": tty });
    let order: CreateContainer = serde_json::from_value(order).expect("an order");
    let reference = image.parse().expect("a reference");
    let body = creation::body(&tenant, &id, &"op-looking".parse().expect("an id"), &reference, &order);
    let body = Policy::default().check(&tenant, body.expect("within bounds")).expect("allowed");
    let engine_id = engine.create(&engine_name(&id), body).await.expect("created");
    engine.start(&engine_id).await.expect("started");
    engine_id
}

async fn read(engine: &DockerEngine, id: &str, tty: bool, wish: OutputWish) -> Vec<OutputPiece> {
    let output = engine.output(id, tty, wish).await.expect("output");
    timeout(PATIENCE, output.try_collect()).await.expect("in time").expect("it goes on")
}

/// Whole lines out of pieces.
fn lines(pieces: &[OutputPiece], stream: LogStream) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.stream == stream) {
        let text = String::from_utf8_lossy(&piece.text);
        if piece.begins {
            lines.push(text.into_owned());
        } else {
            lines.last_mut().map(|line: &mut String| line.push_str(&text)).expect("a line is open");
        }
    }
    lines
}

/// Waits until the container has said so last, on each of these streams: the engine reads them apart.
async fn said(engine: &DockerEngine, id: &str, tty: bool, last: &[(LogStream, &str)]) -> Vec<OutputPiece> {
    let appears = async {
        loop {
            let pieces = read(engine, id, tty, ALL).await;
            let is_said = |(stream, text): &(LogStream, &str)| {
                lines(&pieces, *stream).last().is_some_and(|line| line.trim_end() == *text)
            };
            if last.iter().all(is_said) {
                return pieces;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, appears).await.expect("output in time")
}

/// Long lines come whole and in their order, streams are told apart, and following ends with the container.
#[tokio::test]
async fn output_is_read_and_followed() {
    let Some((address, image)) = real_docker::ready() else { return };
    let engine = DockerEngine::new(&address).expect("an address");
    let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo oops >&2; echo ready; read go < /go; echo more; exit 3";
    let id = start(&engine, &image, &format!("mkfifo /go; {script}"), false).await;
    let pieces =
        said(&engine, &id, false, &[(LogStream::Stdout, "ready"), (LogStream::Stderr, "oops")]).await;
    let out = lines(&pieces, LogStream::Stdout);
    assert_eq!((out.len(), out[0].len(), out[1].as_str()), (2, 100_000, "ready"));
    assert!(out[0].bytes().all(|byte| byte == b'x'), "a time within a line is no text");
    assert_eq!(lines(&pieces, LogStream::Stderr), ["oops"]);
    let one = read(&engine, &id, false, OutputWish { tail: Some(1), ..ALL }).await;
    assert_eq!(one.len(), 1);
    let only = read(&engine, &id, false, OutputWish { stream: Some(LogStream::Stderr), ..ALL }).await;
    assert_eq!(only.len(), 1);
    let after = pieces.iter().map(|piece| piece.at).max().expect("a time");
    let follow = OutputWish { follow: true, since_seconds: after / 1_000_000_000, ..ALL };
    let mut following = engine.output(&id, false, follow).await.expect("output");
    let terminal = engine.prepare_terminal(&id, vec!["sh".into(), "-c".into(), "echo go > /go".into()]).await;
    let size = TerminalSize { columns: 80, rows: 24 };
    let mut io = engine.start_terminal(&terminal.expect("made"), size).await.expect("started");
    let mut rest = Vec::new();
    timeout(PATIENCE, io.read_to_end(&mut rest)).await.expect("in time").expect("it ends");
    let mut new = Vec::new();
    while let Some(piece) = timeout(PATIENCE, following.next()).await.expect("in time") {
        let piece = piece.expect("it goes on");
        if piece.at > after {
            new.push(piece);
        }
    }
    assert_eq!(lines(&new, LogStream::Stdout), ["more"]);
    engine.remove(&id, true).await.expect("removed");

    let id = start(&engine, &image, "echo one; echo two; sleep 600", true).await;
    let pieces = said(&engine, &id, true, &[(LogStream::Stdout, "two")]).await;
    assert_eq!(lines(&pieces, LogStream::Stdout), ["one", "two"], "a terminal's lines end in CR LF");
    engine.remove(&id, true).await.expect("removed");
}

async fn content(engine: &DockerEngine, id: &str, path: &str) -> String {
    let found = engine.find_path(id, path).await.expect("it is there");
    let parts: Vec<bytes::Bytes> =
        engine.copy_out(id, &found.path).await.expect("an archive").try_collect().await.expect("it comes");
    let bytes = parts.concat();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut entry = archive.entries().expect("entries").next().expect("one").expect("good");
    let mut text = String::new();
    entry.read_to_string(&mut text).expect("text");
    text
}

/// Links lead to the container's own files, never to the device's, and a stopped container is looked into like a running one.
#[tokio::test]
async fn files_are_the_containers_own() {
    let Some((address, image)) = real_docker::ready() else { return };
    let engine = DockerEngine::new(&address).expect("an address");
    let script = "mkdir -p /data/sub /etc; echo own > /etc/hostname-of-mine; echo text > /data/file; \
        ln -s /etc/hostname-of-mine /data/absolute; ln -s ../../../../../../etc/hostname-of-mine /data/up; \
        ln -s ../../../../../../../../proc/1/root/etc/shadow /data/host; ln -s /data /again; mkfifo /data/pipe; \
        ln -s ../../../../../../../../.. /data/top; echo ready; sleep 600";
    let id = start(&engine, &image, script, false).await;
    said(&engine, &id, false, &[(LogStream::Stdout, "ready")]).await;
    for is_running in [true, false] {
        if !is_running {
            engine.stop(&id, 0).await.expect("stopped");
        }
        for path in ["/data/absolute", "/data/up", "/again/absolute", "/../../etc/hostname-of-mine"] {
            assert_eq!(content(&engine, &id, path).await, "own\n", "{path}");
        }
        assert_eq!(content(&engine, &id, "/data/file").await, "text\n");
        let host = engine.find_path(&id, "/data/host").await;
        if let Ok(found) = &host {
            // Where the engine follows it, it is inside the container, which has no such file.
            assert_ne!(found.kind, EntryKind::File, "{found:?}");
        }
        let missing = engine.find_path(&id, "/nothing").await;
        assert!(matches!(missing, Err(EngineError::NotFound(_))), "{missing:?}");
        let seen = engine.inspect(&id).await.expect("it is there");
        let list = engine.list_folder(&seen, "/again", 100).await.expect("a list");
        let mut told: Vec<(&str, EntryKind, u64)> =
            list.entries.iter().map(|entry| (&*entry.name, entry.kind, entry.bytes)).collect();
        told.sort_unstable_by_key(|entry| entry.0);
        let link = EntryKind::Symlink;
        let wanted = [
            ("absolute", link, 0),
            ("file", EntryKind::File, 5),
            ("host", link, 0),
            ("pipe", EntryKind::Other, 0),
            ("sub", EntryKind::Directory, 0),
            ("top", link, 0),
            ("up", link, 0),
        ];
        assert_eq!(told, wanted, "running: {is_running}");
        let top = engine.list_folder(&seen, "/data/top", 1_000).await.expect("the container's own root");
        assert!(top.entries.iter().any(|entry| entry.name == "again"), "{top:?}");
        let no_folder = engine.list_folder(&seen, "/data/file", 100).await;
        assert!(matches!(no_folder, Err(EngineError::Invalid(_))), "{no_folder:?}");
        let missing = engine.list_folder(&seen, "/nothing", 100).await;
        assert!(matches!(missing, Err(EngineError::NotFound(_))), "{missing:?}");
    }
    engine.remove(&id, true).await.expect("removed");
}

/// A terminal carries every byte, takes its size, tells its code, and its command ends when it is told to.
#[tokio::test]
async fn a_terminal_is_a_terminal() {
    let Some((address, image)) = real_docker::ready() else { return };
    let engine = DockerEngine::new(&address).expect("an address");
    let id = start(&engine, &image, "sleep 600", false).await;
    let size = TerminalSize { columns: 100, rows: 30 };
    let terminal = engine.prepare_terminal(&id, vec!["sh".into()]).await.expect("made");
    let mut io = engine.start_terminal(&terminal, size).await.expect("started");
    io.write_all(b"stty size; printf 'a\\001b\\n'; exit 7\n").await.expect("typed");
    let mut shown = Vec::new();
    timeout(PATIENCE, io.read_to_end(&mut shown)).await.expect("in time").expect("it ends");
    let text = String::from_utf8_lossy(&shown);
    assert!(text.contains("30 100\r\n") && text.contains("a\u{1}b\r\n"), "{text:?}");
    let code = async {
        loop {
            if let Some(code) = engine.terminal_exit(&terminal).await.expect("it is known") {
                return code;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, code).await.expect("in time"), 7);

    let left =
        engine.prepare_terminal(&id, vec!["sh".into(), "-c".into(), "trap '' HUP; sleep 600".into()]).await;
    let left = left.expect("made");
    let io = engine.start_terminal(&left, size).await.expect("started");
    assert_eq!(engine.terminal_exit(&left).await.expect("it is known"), None);
    drop(io);
    engine.end_terminal(&left).await.expect("ended");
    let ends = async { while engine.terminal_exit(&left).await.expect("it is known").is_none() {} };
    timeout(PATIENCE, ends).await.expect("it ends");
    let missing = engine.prepare_terminal(&id, vec!["no-such-program".into()]).await.expect("made");
    match engine.start_terminal(&missing, size).await {
        Err(error) => assert!(error.to_string().contains("no-such-program"), "{error}"),
        Ok(mut io) => {
            let mut text = String::new();
            io.read_to_string(&mut text).await.expect("it ends");
            assert!(text.contains("no-such-program"), "{text}");
        }
    }
    engine.remove(&id, true).await.expect("removed");
}

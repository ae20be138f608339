//! Containers that move between two engines under their own address, with an open connection and every byte of it
//! checked; and moves that are called off.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ecep_runtime::order::Outcome;

use crate::scene::{Container, LIMIT, Scene, orders, scene};

/// `examples/workload.rs` has the same.
fn sent(n: u64) -> u8 {
    (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]
}

/// One TCP connection from outside of all devices, on which every byte is checked, there and back.
struct Stream {
    stop: Arc<AtomicBool>,
    worker: thread::JoinHandle<Result<(u64, Duration), String>>,
}

impl Stream {
    fn open(address: Ipv4Addr) -> Self {
        let mut stream = TcpStream::connect((address, 9000)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let worker = thread::spawn(move || {
            let (mut position, mut longest) = (0_u64, Duration::ZERO);
            let mut answer = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let block: Vec<u8> = (position..position + 512).map(sent).collect();
                let start = Instant::now();
                stream.write_all(&block).map_err(|error| format!("at byte {position}: {error}"))?;
                stream.read_exact(&mut answer).map_err(|error| format!("at byte {position}: {error}"))?;
                longest = longest.max(start.elapsed());
                if let Some(wrong) = (0..512).find(|at| answer[*at] != block[*at] ^ 0xA5) {
                    return Err(format!("byte {} is wrong", position + wrong as u64));
                }
                position += 512;
                // A real client is not a flood.
                thread::sleep(Duration::from_millis(1));
            }
            Ok((position, longest))
        });
        Self { stop, worker }
    }

    /// How many bytes went there and back, and the longest wait for an answer.
    fn close(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.join().unwrap().unwrap()
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Moves a running container to the other device; the state and the connection must come along. Prints what took how long.
fn travel<'a>(
    scene: &'a Scene,
    from: Container<'a>,
    name: &str,
    options: &[&str],
    megabytes: &str,
) -> Container<'a> {
    let device = if from.device.number() == 1 { scene.device(1) } else { scene.device(0) };
    let folder = scene.dump_folder(name);
    let to = Container::create(scene, device, name, from.address, options, &["serve", megabytes]);
    let before = from.ask();

    let start = Instant::now();
    let dump = from.save(&folder);
    let saved = milliseconds(start);
    to.order(&folder);
    let at = Instant::now();
    to.start();
    let restored = milliseconds(at);
    let Outcome::Restored { milliseconds: restore, .. } = to.outcome() else { panic!("{:?}", to.outcome()) };
    // What the destination does before the commit cannot be seen.
    let look = to.step("look");
    assert_eq!((&look["cut"], &look["frozen"]), (&true.into(), &true.into()), "{look}");

    let at = Instant::now();
    scene.point(from.address, device);
    to.release();
    let released = milliseconds(at);
    let total = milliseconds(start);
    println!(
        "{name}: {} bytes; pause+cut+dump {saved:.0} ms (dump {:.0} ms), start {restored:.0} ms (restore {restore} ms), \
         release {released:.0} ms, all {total:.0} ms",
        dump["bytes"],
        dump["microseconds"].as_f64().unwrap() / 1000.0,
    );
    // The source goes while it is cut off, so that nobody hears of its end.
    drop(from);
    let after = to.ask();
    assert_eq!((after.number, after.hash, after.child), (before.number, before.hash, before.child));
    assert_eq!(after.count, before.count + 1);
    fs::remove_dir_all(folder).unwrap();
    to
}

fn there_and_back(name: &str, number: u8, moves: usize, options: &[&str], megabytes: &str) {
    let Some(scene) = scene() else { return };
    let address = scene.address(number);
    let mut container =
        Container::create(scene, scene.device(0), name, address, options, &["serve", megabytes]);
    container.start();
    let route = scene.route(address, scene.device(0));
    container.ask();
    let stream = Stream::open(address);
    for _ in 0..moves {
        container = travel(scene, container, name, options, megabytes);
    }
    let (bytes, longest) = stream.close();
    println!("{name}: {bytes} bytes there and back on one connection, longest wait {longest:?}");
    drop(route);
}

/// The core promise: memory, a child process, its pipes and an open connection come along, again and again.
#[test]
fn ten_moves_of_a_small_container() {
    there_and_back("small", 10, 10, &[], "4");
}

/// The same with enough memory that a copy too many would show in the time.
#[test]
fn two_moves_of_a_large_container() {
    there_and_back("large", 11, 2, &[], "200");
}

/// An engine that restarts what ended must not make a second copy; a terminal needs a console of the new engine.
#[test]
fn a_container_with_a_terminal_and_a_restart_policy() {
    there_and_back("terminal", 12, 2, &["--restart", "always", "--tty", "--interactive"], "0");
}

/// A destination that cannot restore says why and starts nothing; the source goes on where it was, on the same connection.
#[test]
fn a_move_that_fails_is_as_if_it_had_not_been() {
    let Some(scene) = scene() else { return };
    let address = scene.address(13);
    let from = Container::create(scene, scene.device(0), "failing", address, &[], &["serve", "1"]);
    from.start();
    let _route = scene.route(address, scene.device(0));
    let before = from.ask();
    let stream = Stream::open(address);
    let folder = scene.dump_folder("failing");
    from.save(&folder);

    let to = Container::create(scene, scene.device(1), "failing", address, &[], &["serve", "1"]);
    let broken = folder.join("images/core-1.img");
    let content = fs::read(&broken).unwrap();
    fs::write(&broken, &content[..content.len() / 2]).unwrap();
    to.order(&folder);
    let said = to.try_docker(&["start"], &[]).unwrap_err();
    assert!(said.contains("ecep-runtime: runc restore failed"), "the engine must say why: {said}");
    let Outcome::Failed { reason, log } = to.outcome() else { panic!("{:?}", to.outcome()) };
    assert!(!log.is_empty(), "{reason}");
    // Trying once more would be a fresh start.
    let said = to.try_docker(&["start"], &[]).unwrap_err();
    assert!(said.contains("may not start afresh"), "{said}");
    drop(to);

    from.step("reconnect");
    from.step("thaw");
    let after = from.ask();
    assert_eq!((after.number, after.count), (before.number, before.count + 1));
    let (bytes, _) = stream.close();
    assert!(bytes > 0);
    // And it can still move.
    fs::remove_dir_all(folder).unwrap();
    drop(travel(scene, from, "failing", &[], "1"));
}

/// Called off after the restore: the destination's copy has been seen by nobody, and the source loses nothing, although
/// the peer went on sending.
#[test]
fn a_restored_copy_is_isolated_until_it_is_released() {
    let Some(scene) = scene() else { return };
    let address = scene.address(14);
    let from = Container::create(scene, scene.device(0), "isolated", address, &[], &["serve", "1"]);
    from.start();
    let route = scene.route(address, scene.device(0));
    let before = from.ask();
    let stream = Stream::open(address);
    let folder = scene.dump_folder("isolated");
    from.save(&folder);
    let to = Container::create(scene, scene.device(1), "isolated", address, &[], &["serve", "1"]);
    to.order(&folder);
    to.start();
    assert!(matches!(to.outcome(), Outcome::Restored { .. }));

    // Its own device, from which nothing is between it and the container, gets no answer; nor does the outside.
    let ping = ["-c", "3", "-i", "0.2", "-W", "1", &address.to_string()].map(str::to_owned);
    let answer = xtask::shell::output(scene.device(1).command("ping").args(ping));
    assert!(answer.is_err(), "the isolated copy answers: {answer:?}");
    scene.point(address, scene.device(1));
    assert!(to.try_ask().is_err(), "the isolated copy can be reached");
    scene.point(address, scene.device(0));
    // Not to be started a second time, by whomever.
    to.docker(&["kill"]);
    let said = to.try_docker(&["start"], &[]).unwrap_err();
    assert!(said.contains("not released yet"), "{said}");
    drop(to);

    from.step("reconnect");
    from.step("thaw");
    let after = from.ask();
    assert_eq!((after.number, after.count), (before.number, before.count + 1));
    stream.close();
    drop(route);
    fs::remove_dir_all(folder).unwrap();
}

/// An engine or an agent that dies in the middle does both steps again when it is back.
#[test]
fn cutting_and_connecting_may_be_repeated() {
    let Some(scene) = scene() else { return };
    let address = scene.address(15);
    let container = Container::create(scene, scene.device(0), "repeated", address, &[], &["serve", "0"]);
    container.start();
    let _route = scene.route(address, scene.device(0));
    let before = container.ask();
    let stream = Stream::open(address);
    for _ in 0..2 {
        container.step("cut");
        assert_eq!(container.step("look")["cut"], true);
    }
    assert!(container.try_ask().is_err());
    for _ in 0..2 {
        container.step("reconnect");
        assert_eq!(container.step("look")["cut"], false);
    }
    assert_eq!(container.ask().number, before.number);
    stream.close();
}

/// A dump of running processes would not fit what the network still brings them.
#[test]
fn a_running_container_is_not_saved() {
    let Some(scene) = scene() else { return };
    let container =
        Container::create(scene, scene.device(0), "running", scene.address(16), &[], &["serve", "0"]);
    container.start();
    let folder = scene.dump_folder("running");
    let exec_root = container.device.exec_root();
    let words =
        ["dump", exec_root.to_str().unwrap(), &container.id, &container.pid(), folder.to_str().unwrap()];
    let said = scene.step(container.device, &words).unwrap_err();
    assert!(said.contains("is not frozen"), "{said}");
    assert!(orders().progress(&container.id).unwrap().is_none());
    fs::remove_dir_all(folder).unwrap();
}

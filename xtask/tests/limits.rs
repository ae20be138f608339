//! What bounds a move: the disks at both ends, the link, and the other moves. A disk that fills up after the pre-flight
//! undoes the move; only the layers of an image that are missing travel; a move takes no more of the link than was
//! ordered; and of many at once a few are at work while the others wait. Real engines, each device on a small disk of its
//! own; needs root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use ecep_proto::api::container::{ContainerState, CreateContainer, RestartPolicy};
use ecep_proto::api::migration::{
    MIN_BYTES_PER_SECOND, MigrateContainer, MigrationMode, MigrationPhase, MigrationQuery, MigrationRef,
    MigrationState, MigrationView, PhaseTook,
};
use ecep_proto::api::name::{ContainerId, OperationId};
use ecep_proto::api::{ContainerMigrate, MigrationCancel, MigrationHistory, label};
use xtask::report::Report;
use xtask::stack::{Counting, Programs, Stack, WampError, agent_name, ask_counter};
use xtask::{lab, wait};

const LIMIT: Duration = Duration::from_secs(120);
/// The counter's own port.
const PORT: u16 = 8080;
const MB: u64 = 1024 * 1024;
/// Images and two agents need some 100 MB, and the pre-flight wants 200 MB to stay free.
const DISK_BYTES: u64 = 600 * MB;
/// What makes a container so heavy that its checkpoint is not written, nor sent, in a moment; a container's /dev/shm holds
/// 64 MB.
const BALLAST: u64 = 40 * MB;
/// An image with a small layer of its own on top of [`lab::LARGE_IMAGE`].
const TOP_IMAGE: &str = "ecep/counter-top:1";

struct Scene {
    stack: Stack,
}

/// A container of the scene that counts.
struct Counter {
    id: ContainerId,
    address: Ipv4Addr,
}

impl Scene {
    fn create(&self, name: &str, image: &str) -> Counter {
        self.create_with_memory(name, image, 0)
    }

    /// With so much memory that goes ahead of the freeze, in MB.
    fn create_with_memory(&self, name: &str, image: &str, megabytes: u64) -> Counter {
        let mut order = CreateContainer {
            restart: RestartPolicy::Always,
            ..CreateContainer::new(name.parse().unwrap(), image)
        };
        order.env.insert("BALLAST_MB".into(), megabytes.to_string());
        let stack = &self.stack;
        let (id, address) = stack.create(1, &order, LIMIT).unwrap();
        stack.await_movable(&id, 2, LIMIT).unwrap();
        Counter { id, address }
    }

    fn delete(&self, number: u8, counter: &Counter) {
        self.stack.delete(number, &counter.id).unwrap();
    }

    fn order(&self, counter: &Counter, number: u8, rate: Option<u64>) -> Result<OperationId> {
        self.order_as(counter, number, rate, None)
    }

    fn order_as(
        &self,
        counter: &Counter,
        number: u8,
        bytes_per_second: Option<u64>,
        operation: Option<OperationId>,
    ) -> Result<OperationId> {
        let (container, destination) = (counter.id.clone(), self.stack.id(number).clone());
        let request = MigrateContainer {
            bytes_per_second,
            operation,
            ..MigrateContainer::new(container, destination, MigrationMode::Live)
        };
        Ok(self.stack.operator().ask::<ContainerMigrate>(&request)?.operation)
    }

    /// Moves it; answers the move once nothing is left of it anywhere.
    fn move_to(&self, counter: &Counter, number: u8, rate: Option<u64>) -> MigrationView {
        let operation =
            wait::until("the move can be ordered", LIMIT, || self.order(counter, number, rate).map(Some));
        let moved = self.stack.await_move(&operation.unwrap(), LIMIT).unwrap();
        assert_eq!(moved.state, MigrationState::Done, "{:?}", moved.error);
        self.stands(counter, number);
        moved
    }

    /// Waits until it runs there and only there, under its own restart policy, and no device has anything left of a move.
    fn stands(&self, counter: &Counter, number: u8) {
        wait::until("it runs there, and nothing is left", LIMIT, || {
            self.serves(counter, number)?;
            let there = self.engine_has(counter, 3 - number)?;
            ensure!(there.is_empty(), "the other engine says {there:?}");
            let inspect = ["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}"];
            let name = self.engine_has(counter, number)?.split(' ').next().unwrap_or_default().to_owned();
            let policy =
                self.stack.lab().device(number).run_docker(inspect.iter().chain([&name.as_str()]))?;
            ensure!(policy == "always", "its restart policy is {policy}");
            for number in [1, 2] {
                let folder = self.stack.lab().device(number).data_dir().join("agent/migrations");
                let left = fs::read_dir(&folder).map_or(0, |entries| entries.count());
                ensure!(left == 0, "{} holds {left} moves", folder.display());
            }
            Ok(Some(()))
        })
        .unwrap();
    }

    fn serves(&self, counter: &Counter, number: u8) -> Result<()> {
        let placed = self.stack.placed(&counter.id)?;
        ensure!(placed.container.state == ContainerState::Running, "it is {:?}", placed.container.state);
        ensure!(placed.device == *self.stack.id(number), "it is on {}", placed.device);
        let here = self.engine_has(counter, number)?;
        ensure!(here.contains("Up") && !here.contains("Paused"), "the engine says {here:?}");
        Ok(())
    }

    fn engine_has(&self, counter: &Counter, number: u8) -> Result<String> {
        let label = format!("label={}={}", label::CONTAINER, counter.id);
        let list = ["ps", "--all", "--no-trunc", "--filter", &label, "--format", "{{.ID}} {{.Status}}"];
        self.stack.lab().device(number).run_docker(list)
    }

    /// Gives it bytes in its /dev/shm, of which the pre-flight cannot know.
    fn load(&self, counter: &Counter, number: u8) {
        let status = self.engine_has(counter, number).unwrap();
        let inspect = ["inspect", "--format", "{{.State.Pid}}", status.split(' ').next().unwrap()];
        let pid = self.stack.lab().device(number).run_docker(inspect).unwrap();
        let place = format!("/proc/{pid}/root/dev/shm/ballast");
        let mut random = fs::File::open("/dev/urandom").unwrap().take(BALLAST);
        io::copy(&mut random, &mut fs::File::create(place).unwrap()).unwrap();
    }

    fn view(&self, operation: &OperationId) -> Result<MigrationView> {
        let query = MigrationQuery { container: None };
        let all = self.stack.operator().ask::<MigrationHistory>(&query)?.migrations;
        all.into_iter().find(|view| view.operation == *operation).ok_or_else(|| anyhow::anyhow!("not listed"))
    }

    fn agent_log(&self, number: u8) -> String {
        let name = format!("{}.log", agent_name(number));
        let log = fs::read(self.stack.lab().device(number).data_dir().join(name)).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// How often each agent was started.
    fn starts(&self) -> [u32; 2] {
        [1, 2].map(|number| self.stack.supervisor().pid(&agent_name(number)).unwrap().1)
    }
}

fn ask(address: Ipv4Addr, path: &str) -> Result<u64> {
    ask_counter(address, path, LIMIT)
}

fn count(counter: &Counter) -> u64 {
    wait::until("the counter answers", LIMIT, || ask(counter.address, "/count").map(Some)).unwrap()
}

fn refusal(error: &anyhow::Error) -> &WampError {
    error.downcast_ref::<WampError>().unwrap_or_else(|| panic!("not an ERROR: {error:#}"))
}

fn took(moved: &MigrationView, phase: MigrationPhase) -> PhaseTook {
    *moved.phases.iter().find(|took| took.phase == phase).unwrap_or_else(|| panic!("no {phase:?}: {moved:?}"))
}

/// One stack for all, since one takes its time to come up.
#[test]
fn what_bounds_a_move() {
    let name = format!("limits-{}", std::process::id());
    let root = lab::default_data_root();
    let stack = Stack::start_on(
        &mut Report::new(),
        &name,
        &root,
        &[lab::System::Machine, lab::System::Machine],
        Some(DISK_BYTES),
        Programs::build_with_tests,
    )
    .unwrap();
    let route = stack.route_through(1).unwrap();
    let scene = Scene { stack };
    only_missing_layers(&scene);
    full_disks(&scene);
    many_at_once(&scene);
    drop(route);
    scene.stack.take_down().unwrap();
}

/// An image whose lower layers the destination has already must not travel whole; no registry has it.
fn only_missing_layers(scene: &Scene) {
    let (from, to) = (scene.stack.lab().device(1), scene.stack.lab().device(2));
    lab::build_layer(from, lab::LARGE_IMAGE, TOP_IMAGE, ("top", MB / 4)).unwrap();
    lab::copy_image(lab::LARGE_IMAGE, from, to).unwrap();
    let counter = scene.create("layered", TOP_IMAGE);
    count(&counter);
    let before = ask(counter.address, "/add").unwrap();
    let moved = scene.move_to(&counter, 2, None);
    let size: u64 =
        from.run_docker(["image", "inspect", "--format", "{{.Size}}", TOP_IMAGE]).unwrap().parse().unwrap();
    let copied = took(&moved, MigrationPhase::Copying).bytes;
    println!("{copied} bytes travelled of an image of {size}");
    assert!(copied >= MB / 4 && copied < size / 4, "{copied} bytes travelled of an image of {size}");
    assert_eq!(count(&counter), before);
    // It is the same image, and whole.
    let id = ["image", "inspect", "--format", "{{.Id}}", TOP_IMAGE];
    assert_eq!(from.run_docker(id).unwrap(), to.run_docker(id).unwrap());
    let name = scene.engine_has(&counter, 2).unwrap().split(' ').next().unwrap().to_owned();
    for (file, bytes) in [("padding", 8 * MB), ("top", MB / 4)] {
        let copy = to.data_dir().join(file);
        to.run_docker(["cp", &format!("{name}:/{file}"), &copy.display().to_string()]).unwrap();
        assert_eq!(fs::metadata(&copy).unwrap().len(), bytes, "{file}");
        fs::remove_file(copy).unwrap();
    }
    scene.delete(2, &counter);
}

/// One heavy container, one connection from outside over all of it.
fn full_disks(scene: &Scene) {
    let counter = scene.create_with_memory("heavy", lab::COUNTER_IMAGE, 1);
    scene.load(&counter, 1);
    let client = Counting::start(counter.address, PORT).unwrap();
    full_source(scene, &counter, &client);
    let starts = scene.starts();
    full_destination(scene, &counter, &client);
    full_after_the_decision(scene, &counter, &client);
    assert_eq!(scene.starts(), starts, "an agent outlives a full disk");
    no_faster_than_ordered(scene, &counter);
    client.wait_on(LIMIT).unwrap();
    client.stop().unwrap();
    scene.delete(2, &counter);
}

/// What the source has to note down does not get onto its disk: the container goes on, also while that stays full. Its memory
/// needs no disk where it fits into memory twice, as here.
fn full_source(scene: &Scene, counter: &Counter, client: &Counting) {
    let starts = scene.starts();
    // Its memory takes some ten seconds, so that the disk is full before the freeze.
    let operation = scene.order(counter, 2, Some(2 * MIN_BYTES_PER_SECOND)).unwrap();
    wait::until("the two ends have met", LIMIT, || {
        let log = scene.agent_log(1);
        let mut lines = log.lines().filter(|line| line.contains(operation.as_str()));
        Ok(lines.any(|line| line.contains("the two ends have met")).then_some(()))
    })
    .unwrap();
    let full = scene.stack.lab().device(1).fill_disk(0).unwrap();
    let ended = scene.stack.await_move(&operation, LIMIT).unwrap();
    told_of_a_full_disk(&ended, "the disk of the source is full");
    assert_eq!(scene.starts(), starts, "an agent outlives a full disk");
    client.wait_on(LIMIT).unwrap();
    wait::until("it serves at its source", LIMIT, || scene.serves(counter, 1).map(Some)).unwrap();
    // An agent that comes up on a full disk knows of the move, and finds out that it can move containers when it can.
    let (_, starts) = scene.stack.supervisor().kill_for(&agent_name(1), Duration::ZERO).unwrap();
    wait::until("the agent is started again", LIMIT, || Ok((scene.starts()[0] > starts).then_some(())))
        .unwrap();
    scene.stack.wait_served(1).unwrap();
    client.wait_on(LIMIT).unwrap();
    drop(full);
    scene.stands(counter, 1);
    client.wait_on(LIMIT).unwrap();
    scene.stack.await_movable(&counter.id, 2, LIMIT).unwrap();
    scene.move_to(counter, 2, None);
    client.wait_on(LIMIT).unwrap();
    scene.move_to(counter, 1, None);
}

/// The state is on its way when the destination's disk fills up: it is undone there, and goes on here.
fn full_destination(scene: &Scene, counter: &Counter, client: &Counting) {
    // So that there is a "while", also for whoever looks seldom.
    let operation = scene.order(counter, 2, Some(MB)).unwrap();
    wait::until("the state is on its way", LIMIT, || {
        let view = scene.view(&operation)?;
        Ok((view.phase == MigrationPhase::Sending && view.bytes_done > MB).then_some(()))
    })
    .unwrap();
    let full = scene.stack.lab().device(2).fill_disk(0).unwrap();
    let ended = scene.stack.await_move(&operation, LIMIT).unwrap();
    told_of_a_full_disk(&ended, "the destination");
    client.wait_on(LIMIT).unwrap();
    // It needs no space to clear up.
    scene.stands(counter, 1);
    drop(full);
    client.wait_on(LIMIT).unwrap();
}

/// The destination has it, and no space for anything more: it is let out and seen all the same, and not held back until
/// somebody frees some.
fn full_after_the_decision(scene: &Scene, counter: &Counter, client: &Counting) {
    let operation = scene.order(counter, 2, None).unwrap();
    wait::until("the copy stands", LIMIT, || {
        let log = scene.agent_log(1);
        let mut lines = log.lines().filter(|line| line.contains(operation.as_str()));
        Ok(lines.any(|line| line.contains("ended=Restoring")).then_some(()))
    })
    .unwrap();
    let full = scene.stack.lab().device(2).fill_disk(0).unwrap();
    wait::until("it serves at its destination", LIMIT, || scene.serves(counter, 2).map(Some)).unwrap();
    client.wait_on(LIMIT).unwrap();
    drop(full);
    scene.stands(counter, 2);
    assert_eq!(scene.stack.await_move(&operation, LIMIT).unwrap().state, MigrationState::Done);
    scene.move_to(counter, 1, None);
}

fn told_of_a_full_disk(ended: &MigrationView, words: &str) {
    assert_eq!(ended.state, MigrationState::Failed, "{ended:?}");
    let error = ended.error.as_deref().unwrap_or_default();
    println!("failed at {:?}: {error}", ended.phase);
    for words in [words, "is full", "free some space"] {
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
}

/// What was ordered of the link is not exceeded; a bad limit is refused, and belongs to what an operation's id stands for.
fn no_faster_than_ordered(scene: &Scene, counter: &Counter) {
    let slow = scene.order(counter, 2, Some(MIN_BYTES_PER_SECOND - 1)).unwrap_err();
    assert!(refusal(&slow).uri.ends_with("invalid_argument"), "{slow:#}");
    assert!(refusal(&slow).message.contains("bytes_per_second"), "{slow:#}");

    let rate = 10 * MB;
    let id = || Some("limited-1".parse().unwrap());
    let operation = scene.order_as(counter, 2, Some(rate), id()).unwrap();
    assert_eq!(scene.order_as(counter, 2, Some(rate), id()).unwrap(), operation, "the same order again");
    for other in [None, Some(rate + 1)] {
        let error = scene.order_as(counter, 2, other, id()).unwrap_err();
        assert!(refusal(&error).uri.ends_with("conflict"), "{error:#}");
    }
    let moved = scene.stack.await_move(&operation, LIMIT).unwrap();
    assert_eq!(moved.state, MigrationState::Done, "{:?}", moved.error);
    assert_eq!(moved.bytes_per_second, Some(rate));
    scene.stands(counter, 2);
    let sent = wait::until("its figures are there", LIMIT, || {
        let view = scene.view(&operation)?;
        Ok(view.phases.into_iter().find(|took| took.phase == MigrationPhase::Sending))
    })
    .unwrap();
    println!("{} bytes at {rate}/s in {} ms", sent.bytes, sent.milliseconds);
    assert!(sent.bytes >= BALLAST, "{sent:?}");
    // A little may go at once at the beginning.
    let least = sent.bytes * 1_000 / rate * 8 / 10;
    assert!(sent.milliseconds >= least, "{} bytes at {rate}/s in {} ms", sent.bytes, sent.milliseconds);
}

/// Moves that a source does at a time.
const AT_WORK: usize = 2;

/// So much memory takes minutes at the least rate there is.
const MINUTES_MB: u64 = 16;

/// Two that take long have both turns of their source, so three that are ordered at once wait: one of these is cancelled, then those at
/// work are, and the others arrive with their state. Then two go in opposite directions at once.
fn many_at_once(scene: &Scene) {
    let make_slow =
        |number: usize| scene.create_with_memory(&format!("slow-{number}"), lab::COUNTER_IMAGE, MINUTES_MB);
    let slow: Vec<Counter> = (0..AT_WORK).map(make_slow).collect();
    let counters: Vec<Counter> =
        (0..3).map(|number| scene.create(&format!("many-{number}"), lab::COUNTER_IMAGE)).collect();
    let added = |counter: &Counter| {
        count(counter);
        ask(counter.address, "/add").unwrap()
    };
    let counts: Vec<u64> = counters.iter().map(added).collect();
    let client = Counting::start(counters[0].address, PORT).unwrap();
    let skip = scene.agent_log(1).len();
    let turns = |words: &str| {
        let log = scene.agent_log(1);
        let lines: Vec<String> =
            log[skip..].lines().filter(|line| line.contains(words)).map(ToOwned::to_owned).collect();
        lines
    };
    let has_turn = |operation: &OperationId| {
        turns("a move has its turn").iter().any(|line| line.contains(operation.as_str()))
    };
    let order_all = |counters: &[Counter], rate: Option<u64>| -> Vec<OperationId> {
        thread::scope(|scope| {
            let orders: Vec<_> =
                counters.iter().map(|counter| scope.spawn(move || scene.order(counter, 2, rate))).collect();
            orders.into_iter().map(|order| order.join().unwrap().unwrap()).collect()
        })
    };
    let ahead = order_all(&slow, Some(MIN_BYTES_PER_SECOND));
    wait::until("both are at work", LIMIT, || Ok(ahead.iter().all(has_turn).then_some(()))).unwrap();
    let operations = order_all(&counters, None);
    let cancel = |operation: &OperationId| {
        let cancel = MigrationRef { operation: operation.clone() };
        scene.stack.operator().ask::<MigrationCancel>(&cancel).unwrap();
        let ended = scene.stack.await_move(operation, LIMIT).unwrap();
        assert_eq!((ended.state, ended.error.as_deref()), (MigrationState::Failed, Some("cancelled")));
    };
    // Not the one that the client talks to.
    let waiting = counters.len() - 1;
    cancel(&operations[waiting]);
    assert!(!operations.iter().any(has_turn), "more than {AT_WORK} are at work");
    ahead.iter().for_each(cancel);
    for (number, operation) in operations[..waiting].iter().enumerate() {
        let ended = scene.stack.await_move(operation, LIMIT).unwrap();
        assert_eq!(ended.state, MigrationState::Done, "{number}: {:?}", ended.error);
    }
    for counter in &slow {
        scene.stands(counter, 1);
        scene.delete(1, counter);
    }
    for (number, counter) in counters.iter().enumerate() {
        scene.stands(counter, if number == waiting { 1 } else { 2 });
        if number > 0 {
            assert_eq!(count(counter), counts[number], "many-{number} has its state");
        }
    }
    let (mut at_work, mut most) = (0_usize, 0);
    for line in turns("a move") {
        if line.contains("a move has its turn") {
            at_work += 1;
        } else if line.contains("a move's turn is over") {
            at_work -= 1;
        }
        most = most.max(at_work);
    }
    println!("at most {most} of {} were at work at a time", ahead.len() + operations.len());
    assert_eq!(most, AT_WORK, "at work at a time");

    let back = &counters[0];
    let (out, home) = thread::scope(|scope| {
        let out = scope.spawn(|| scene.order(&counters[waiting], 2, None).unwrap());
        let home = scope.spawn(|| scene.order(back, 1, None).unwrap());
        (out.join().unwrap(), home.join().unwrap())
    });
    for operation in [out, home] {
        let ended = scene.stack.await_move(&operation, LIMIT).unwrap();
        assert_eq!(ended.state, MigrationState::Done, "{:?}", ended.error);
    }
    scene.stands(&counters[waiting], 2);
    scene.stands(back, 1);
    assert_eq!(count(&counters[waiting]), counts[waiting]);
    client.wait_on(LIMIT).unwrap();
    client.stop().unwrap();
    for (number, counter) in counters.iter().enumerate() {
        scene.delete(if number == 0 { 1 } else { 2 }, counter);
    }
}

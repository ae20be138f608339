//! Checkpoints on real engines: a container is brought back as it was saved, into itself, into another one, from a directory that
//! the device's owner has named, on another device, by the
//! engine's own means; and an agent that is killed in the middle leaves nothing frozen and nothing half. Needs root
//! and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use ecep_proto::api::checkpoint::{
    CheckpointContainer, CheckpointQuery, CopyCheckpoint, DeleteCheckpoint, RestoreContainer,
};
use ecep_proto::api::container::{ContainerOrder, CreateContainer, StopContainer, VolumeMount};
use ecep_proto::api::name::ContainerId;
use ecep_proto::api::operation::{OperationReply, OperationState};
use ecep_proto::api::{
    CheckpointCopy, CheckpointDelete, CheckpointListing, ContainerCheckpoint, ContainerRestore,
    ContainerStart, ContainerStop,
};
use xtask::report::Report;
use xtask::stack::{Counting, Programs, Stack, WampError, agent_name, ask_counter};
use xtask::{lab, wait};

const LIMIT: Duration = Duration::from_secs(120);
const PORT: u16 = 8080;
/// What takes a moment to be put back, in bytes.
const BULK: usize = 256 << 20;
/// How long a killed agent stays away.
const DOWN: Duration = Duration::from_secs(1);

fn order(name: &str) -> CreateContainer {
    CreateContainer::new(name.parse().unwrap(), lab::COUNTER_IMAGE)
}

fn ask(address: Ipv4Addr, path: &str) -> Result<u64> {
    ask_counter(address, path, LIMIT)
}

fn count(address: Ipv4Addr) -> u64 {
    wait::until("the counter answers", LIMIT, || ask(address, "/count").map(Some)).unwrap()
}

fn refusal(error: &anyhow::Error) -> &WampError {
    error.downcast_ref::<WampError>().unwrap_or_else(|| panic!("not an ERROR: {error:#}"))
}

/// One stack for all, since one takes its time to come up.
#[test]
fn checkpoints_bring_containers_back() {
    let name = format!("checkpoints-{}", std::process::id());
    let mut report = Report::new();
    let root = lab::default_data_root();
    let stack = Stack::start(&mut report, &name, &root, 2, Programs::build_with_tests).unwrap();
    let _route = stack.route_through(1).unwrap();
    let (counter, address) = stack.create(1, &order("counter"), LIMIT).unwrap();
    stack.await_movable(&counter, 2, LIMIT).unwrap();

    into_itself_and_into_another(&stack, &counter, address);
    a_directory_of_the_owner(&stack, &counter, address);
    a_stopped_process_is_said(&stack, &counter, address);
    on_another_device(&stack, &counter, address);
    volumes_are_not_confused(&stack);
    by_the_engine_itself(&stack);
    for leave_running in [true, false] {
        the_agent_dies_in_the_middle(&stack, &counter, address, leave_running);
    }
    the_agent_dies_and_the_disk_goes(&stack, &counter, address);
    for work in ["putting_back", "starting"] {
        the_agent_dies_in_a_restore(&stack, work);
    }
    stack.take_down().unwrap();
}

/// A container is brought back as it was saved, into itself and into another one.
fn into_itself_and_into_another(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let device = stack.id(1);
    let operator = stack.operator();
    count(address);
    let saved: u64 = ask(address, "/add").unwrap();
    let save = CheckpointContainer {
        container: counter.clone(),
        name: "first".parse().unwrap(),
        leave_running: true,
        directory: None,
        operation: None,
    };
    operator.order::<ContainerCheckpoint>(device, &save).unwrap();
    let again = operator.order::<ContainerCheckpoint>(device, &save).unwrap_err();
    assert!(refusal(&again).message.contains("already"), "{again:#}");
    assert_eq!(ask(address, "/add").unwrap(), saved + 1, "it went on");

    let restore = bring_back(counter, "first");
    let running = operator.order::<ContainerRestore>(device, &restore).unwrap_err();
    assert!(refusal(&running).message.contains("stop it first"), "{running:#}");
    let stop = StopContainer { container: counter.clone(), grace_seconds: Some(0), operation: None };
    operator.order::<ContainerStop>(device, &stop).unwrap();
    operator.order::<ContainerRestore>(device, &restore).unwrap();
    assert_eq!(count(address), saved, "as it was saved");

    let mut twin = order("twin");
    twin.start = false;
    let (twin, twin_address) = stack.create(1, &twin, LIMIT).unwrap();
    let into = RestoreContainer { into: Some(twin.clone()), ..restore.clone() };
    operator.order::<ContainerRestore>(device, &into).unwrap();
    assert_eq!(count(twin_address), saved, "another container goes on from there");
    // It is an ordinary container afterwards.
    let stop = StopContainer { container: twin.clone(), grace_seconds: Some(0), operation: None };
    operator.order::<ContainerStop>(device, &stop).unwrap();
    operator
        .order::<ContainerStart>(device, &ContainerOrder { container: twin.clone(), operation: None })
        .unwrap();
    assert_eq!(count(twin_address), 0, "a start without restore is afresh");
    stack.delete(1, &twin).unwrap();

    let leaving = CheckpointContainer { name: "last".parse().unwrap(), leave_running: false, ..save };
    operator.order::<ContainerCheckpoint>(device, &leaving).unwrap();
    assert!(ask(address, "/count").is_err(), "it does not run any more");
    let query = CheckpointQuery { container: Some(counter.clone()) };
    let listed = operator.call::<CheckpointListing>(device, &query).unwrap().checkpoints;
    let names: Vec<&str> = listed.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["last", "first"]);
    for name in ["last", "first"] {
        let order =
            DeleteCheckpoint { container: counter.clone(), name: name.parse().unwrap(), directory: None };
        operator.call::<CheckpointDelete>(device, &order).unwrap();
    }
    let gone = operator.order::<ContainerRestore>(device, &restore).unwrap_err();
    assert!(refusal(&gone).uri.ends_with("not_found"), "{gone:#}");
}

fn save(container: &ContainerId, name: &str) -> CheckpointContainer {
    CheckpointContainer {
        container: container.clone(),
        name: name.parse().unwrap(),
        leave_running: true,
        directory: None,
        operation: None,
    }
}

fn bring_back(container: &ContainerId, name: &str) -> RestoreContainer {
    RestoreContainer {
        container: container.clone(),
        name: name.parse().unwrap(),
        directory: None,
        into: None,
        operation: None,
    }
}

fn stop(stack: &Stack, container: &ContainerId) {
    let order = StopContainer { container: container.clone(), grace_seconds: Some(0), operation: None };
    stack.operator().order::<ContainerStop>(stack.id(1), &order).unwrap();
}

fn start(stack: &Stack, container: &ContainerId) {
    let order = ContainerOrder { container: container.clone(), operation: None };
    stack.operator().order::<ContainerStart>(stack.id(1), &order).unwrap();
}

/// A disk for checkpoints, say, that the tenant knows by its name only.
fn a_directory_of_the_owner(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let data = stack.lab().device(1).data_dir();
    let (disk, policy) = (data.join("big-disk"), data.join("agent/policy.toml"));
    fs::write(&policy, format!("[checkpoint_directories]\nbig = {:?}\n", disk.display().to_string()))
        .unwrap();
    start(stack, counter);
    let saved = count(address);
    let order = CheckpointContainer { directory: Some("big".parse().unwrap()), ..save(counter, "there") };
    let operator = stack.operator();
    let missing = operator.order::<ContainerCheckpoint>(stack.id(1), &order).unwrap_err();
    assert!(refusal(&missing).message.contains("is its disk mounted?"), "{missing:#}");
    fs::create_dir(&disk).unwrap();
    operator.order::<ContainerCheckpoint>(stack.id(1), &order).unwrap();
    assert!(
        disk.join(stack.id(1).as_str())
            .join("acme/big")
            .join(counter.as_str())
            .join("there/checkpoint.json")
            .is_file()
    );
    ask(address, "/add").unwrap();
    stop(stack, counter);
    let restore = RestoreContainer {
        container: counter.clone(),
        name: order.name.clone(),
        directory: order.directory.clone(),
        into: None,
        operation: None,
    };
    operator.order::<ContainerRestore>(stack.id(1), &restore).unwrap();
    assert_eq!(count(address), saved);
    let query = CheckpointQuery { container: Some(counter.clone()) };
    let listed = operator.call::<CheckpointListing>(stack.id(1), &query).unwrap().checkpoints;
    assert_eq!(listed.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["there"]);
    let delete =
        DeleteCheckpoint { container: counter.clone(), name: order.name, directory: order.directory };
    operator.call::<CheckpointDelete>(stack.id(1), &delete).unwrap();
    fs::remove_file(policy).unwrap();
}

/// CRIU would wait for it for minutes, with the container frozen.
fn a_stopped_process_is_said(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let device = stack.lab().device(1);
    let name = format!("ecep-{counter}");
    let pid = device.run_docker(["inspect", "--format", "{{.State.Pid}}", &name]).unwrap();
    device.run_docker(["kill", "--signal", "STOP", &name]).unwrap();
    // The engine only sends it.
    wait::until("it is stopped", LIMIT, || {
        Ok(fs::read_to_string(format!("/proc/{pid}/status"))?.contains("State:\tT").then_some(()))
    })
    .unwrap();
    let refused =
        stack.operator().order::<ContainerCheckpoint>(stack.id(1), &save(counter, "stopped")).unwrap_err();
    assert!(refusal(&refused).message.contains("is stopped (SIGSTOP)"), "{refused:#}");
    device.run_docker(["kill", "--signal", "CONT", &name]).unwrap();
    ask(address, "/add").unwrap();
}

/// A checkpoint is copied to another device, and a container of the same image there goes on from it.
fn on_another_device(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let operator = stack.operator();
    ask(address, "/add").unwrap();
    let saved = count(address);
    let order = save(counter, "travels");
    operator.order::<ContainerCheckpoint>(stack.id(1), &order).unwrap();
    let copy = CopyCheckpoint {
        container: counter.clone(),
        name: order.name.clone(),
        directory: None,
        source: stack.id(1).clone(),
        destination: stack.id(2).clone(),
        operation: None,
    };
    let nothing = CopyCheckpoint { name: "nothing".parse().unwrap(), ..copy.clone() };
    let missing = operator.ask::<CheckpointCopy>(&nothing).unwrap_err();
    assert!(refusal(&missing).uri.ends_with("not_found"), "{missing:#}");
    operator.ask::<CheckpointCopy>(&copy).unwrap();
    let query = CheckpointQuery { container: Some(counter.clone()) };
    wait::until("it is on the other device", LIMIT, || {
        let listed = operator.call::<CheckpointListing>(stack.id(2), &query)?.checkpoints;
        Ok((listed.len() == 1 && listed[0].name == order.name).then_some(()))
    })
    .unwrap();
    let twice = operator.ask::<CheckpointCopy>(&copy).unwrap_err();
    assert!(refusal(&twice).uri.ends_with("conflict"), "{twice:#}");

    lab::copy_image(lab::COUNTER_IMAGE, stack.lab().device(1), stack.lab().device(2)).unwrap();
    let mut twin = self::order("twin");
    twin.start = false;
    let (twin, twin_address) = stack.create(2, &twin, LIMIT).unwrap();
    let restore = RestoreContainer {
        container: counter.clone(),
        name: order.name.clone(),
        directory: None,
        into: Some(twin.clone()),
        operation: None,
    };
    operator.order::<ContainerRestore>(stack.id(2), &restore).unwrap();
    assert_eq!(count(twin_address), saved, "another container on another device goes on from there");
    stack.delete(2, &twin).unwrap();
    let delete = DeleteCheckpoint { container: counter.clone(), name: order.name, directory: None };
    for device in [stack.id(1), stack.id(2)] {
        operator.call::<CheckpointDelete>(device, &delete).unwrap();
    }
}

/// Each volume gets its own files back, however many there are.
fn volumes_are_not_confused(stack: &Stack) {
    let mut wanted = order("volumes");
    let names = ["one", "two", "three", "four"];
    wanted.volumes = names
        .map(|name| VolumeMount {
            volume: name.parse().unwrap(),
            target: format!("/{name}"),
            read_only: false,
        })
        .to_vec();
    let (container, address) = stack.create(1, &wanted, LIMIT).unwrap();
    let place = |name: &str| {
        let words = ["volume", "inspect", "--format", "{{.Mountpoint}}", &format!("ecep_acme_{name}")];
        PathBuf::from(stack.lab().device(1).run_docker(words).unwrap().trim()).join("file")
    };
    names.iter().for_each(|name| fs::write(place(name), name).unwrap());
    wait::until("it answers", LIMIT, || ask(address, "/count").map(Some)).unwrap();
    let saved = save(&container, "volumes");
    stack.operator().order::<ContainerCheckpoint>(stack.id(1), &saved).unwrap();
    names.iter().for_each(|name| fs::write(place(name), "changed since").unwrap());
    stop(stack, &container);
    let restore = bring_back(&container, saved.name.as_str());
    stack.operator().order::<ContainerRestore>(stack.id(1), &restore).unwrap();
    for name in names {
        assert_eq!(fs::read_to_string(place(name)).unwrap(), name);
    }
    stack.delete(1, &container).unwrap();
    let gone = DeleteCheckpoint { container, name: saved.name, directory: None };
    stack.operator().call::<CheckpointDelete>(stack.id(1), &gone).unwrap();
}

/// Where our runtime is not registered, the engine's own restore brings a container back; twice from the same checkpoint, which
/// engines refuse if nobody helps.
fn by_the_engine_itself(stack: &Stack) {
    let device = stack.lab().device(2);
    stack.run_setup(device, &["--remove"]).unwrap();
    let (plain, address) = stack.create(2, &order("plain"), LIMIT).unwrap();
    let format =
        ["inspect", "--format", "{{.HostConfig.Runtime}}", &format!("ecep-{plain}")].map(str::to_owned);
    assert_eq!(device.run_docker(format.each_ref()).unwrap().trim(), "runc");
    wait::until("it answers", LIMIT, || ask(address, "/add").map(Some)).unwrap();
    let saved = count(address);
    let operator = stack.operator();
    let save = save(&plain, "plain");
    operator.order::<ContainerCheckpoint>(stack.id(2), &save).unwrap();
    let restore = bring_back(&plain, save.name.as_str());
    for _ in 0..2 {
        ask(address, "/add").unwrap();
        let stop = StopContainer { container: plain.clone(), grace_seconds: Some(0), operation: None };
        operator.order::<ContainerStop>(stack.id(2), &stop).unwrap();
        operator.order::<ContainerRestore>(stack.id(2), &restore).unwrap();
        assert_eq!(count(address), saved);
    }
    stack.delete(2, &plain).unwrap();
    let gone = DeleteCheckpoint { container: plain, name: save.name, directory: None };
    operator.call::<CheckpointDelete>(stack.id(2), &gone).unwrap();
    stack.run_setup(device, &[]).unwrap();
}

/// The container must not stay frozen, and a checkpoint is whole or not there.
fn the_agent_dies_in_the_middle(
    stack: &Stack,
    counter: &ContainerId,
    address: Ipv4Addr,
    leave_running: bool,
) {
    let below = stack.lab().device(1).data_dir().join("agent/checkpoints/acme/common").join(counter.as_str());
    let order = CheckpointContainer { leave_running, ..save(counter, "middle") };
    let client = Counting::start(address, PORT).unwrap();
    client.wait_on(LIMIT).unwrap();
    let before = client.count();
    let ordered = || stack.operator().call::<ContainerCheckpoint>(stack.id(1), &order);
    kill_in(stack, ordered, || is_being_filled(&below.join(".middle")), || {});
    wait::until("nothing half is left", LIMIT, || {
        let drafts = entries(&below).into_iter().filter(|name| name.starts_with('.'));
        Ok((drafts.count() == 0 && notes(stack) == 0).then_some(()))
    })
    .unwrap();
    if below.join("middle").is_dir() {
        // The kill came when all was saved: then it is a checkpoint like any other.
        let delete =
            DeleteCheckpoint { container: counter.clone(), name: order.name.clone(), directory: None };
        wait::until("the device takes orders", LIMIT, || {
            stack.operator().call::<CheckpointDelete>(stack.id(1), &delete).map(Some)
        })
        .unwrap();
        if !leave_running {
            drop(client);
            start(stack, counter);
            return;
        }
    }
    client.wait_on(LIMIT).unwrap();
    assert!(client.count() > before);
    client.stop().unwrap();
    // The next one works.
    let again = CheckpointContainer { leave_running: true, ..save(counter, "after") };
    wait::until("the device takes orders", LIMIT, || {
        stack.operator().order::<ContainerCheckpoint>(stack.id(1), &again).map(Some)
    })
    .unwrap();
    let delete = DeleteCheckpoint { container: counter.clone(), name: again.name, directory: None };
    stack.operator().call::<CheckpointDelete>(stack.id(1), &delete).unwrap();
}

/// The directory that the owner has named is not there when the agent starts again: the container goes on all the same.
fn the_agent_dies_and_the_disk_goes(stack: &Stack, counter: &ContainerId, address: Ipv4Addr) {
    let data = stack.lab().device(1).data_dir();
    let (disk, policy) = (data.join("goes"), data.join("agent/policy.toml"));
    fs::write(&policy, format!("[checkpoint_directories]\ngoes = {:?}\n", disk.display().to_string()))
        .unwrap();
    fs::create_dir(&disk).unwrap();
    let order = CheckpointContainer { directory: Some("goes".parse().unwrap()), ..save(counter, "goes") };
    let draft = disk.join(stack.id(1).as_str()).join("acme/goes").join(counter.as_str()).join(".goes");
    let client = Counting::start(address, PORT).unwrap();
    client.wait_on(LIMIT).unwrap();
    let ordered = || stack.operator().call::<ContainerCheckpoint>(stack.id(1), &order);
    kill_in(
        stack,
        ordered,
        || is_being_filled(&draft),
        || {
            fs::rename(&disk, data.join("gone")).unwrap();
        },
    );
    wait::until("it is settled", LIMIT, || Ok((notes(stack) == 0).then_some(()))).unwrap();
    client.wait_on(LIMIT).unwrap();
    client.stop().unwrap();
    fs::remove_file(policy).unwrap();
    fs::remove_dir_all(data.join("gone")).unwrap();
}

/// What was being brought back is so, or is stopped and can be brought back again; it never runs without its state.
fn the_agent_dies_in_a_restore(stack: &Stack, work: &str) {
    let volume =
        VolumeMount { volume: "bulk".parse().unwrap(), target: "/bulk".to_owned(), read_only: false };
    let (container, address) =
        stack.create(1, &CreateContainer { volumes: vec![volume], ..order("bulky") }, LIMIT).unwrap();
    let words = ["volume", "inspect", "--format", "{{.Mountpoint}}", "ecep_acme_bulk"];
    let file = PathBuf::from(stack.lab().device(1).run_docker(words).unwrap().trim()).join("file");
    fs::write(&file, vec![7; BULK]).unwrap();
    wait::until("it answers", LIMIT, || ask(address, "/add").map(Some)).unwrap();
    let saved = count(address);
    let save = save(&container, "bulky");
    let operator = stack.operator();
    operator.order::<ContainerCheckpoint>(stack.id(1), &save).unwrap();
    fs::write(&file, "changed since").unwrap();
    stop(stack, &container);
    let restore = bring_back(&container, save.name.as_str());
    let note = stack.lab().device(1).data_dir().join("agent/checkpointing").join(format!("{container}.json"));
    let is_at_it = || fs::read_to_string(&note).is_ok_and(|text| text.contains(work));
    kill_in(stack, || operator.call::<ContainerRestore>(stack.id(1), &restore), is_at_it, || {});
    wait::until("it is settled", LIMIT, || Ok((notes(stack) == 0).then_some(()))).unwrap();
    let words = ["inspect", "--format", "{{.State.Running}}", &format!("ecep-{container}")];
    if stack.lab().device(1).run_docker(words).unwrap().trim() == "true" {
        assert_eq!(count(address), saved, "it runs, so it was brought back");
        wait::until("the device takes orders", LIMIT, || {
            let order =
                StopContainer { container: container.clone(), grace_seconds: Some(0), operation: None };
            operator.order::<ContainerStop>(stack.id(1), &order).map(Some)
        })
        .unwrap();
    }
    wait::until("the device takes orders", LIMIT, || {
        operator.order::<ContainerRestore>(stack.id(1), &restore).map(Some)
    })
    .unwrap();
    assert_eq!(count(address), saved);
    assert_eq!(fs::metadata(&file).unwrap().len(), BULK as u64, "its files are as they were, too");
    stack.delete(1, &container).unwrap();
    let gone = DeleteCheckpoint { container, name: save.name, directory: None };
    operator.call::<CheckpointDelete>(stack.id(1), &gone).unwrap();
}

/// Gives an order and kills the agent as soon as that is so, and then does something more while it is away. On a busy machine nobody
/// may look while it is so: then the agent is killed when the order has ended.
fn kill_in(
    stack: &Stack,
    order: impl FnOnce() -> Result<OperationReply> + Send,
    is_so: impl Fn() -> bool,
    then: impl FnOnce(),
) {
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_running = order().is_ok_and(|reply| reply.state == OperationState::Running);
            has_ended.store(!is_running, Ordering::Relaxed);
        });
        let start = Instant::now();
        while !is_so() && !has_ended.load(Ordering::Relaxed) {
            assert!(start.elapsed() < LIMIT, "it was never begun");
            std::thread::yield_now();
        }
        stack.supervisor().kill_for(&agent_name(1), DOWN).unwrap();
        then();
    });
}

/// What the agent has begun and not ended.
fn notes(stack: &Stack) -> usize {
    entries(&stack.lab().device(1).data_dir().join("agent/checkpointing")).len()
}

fn is_being_filled(draft: &Path) -> bool {
    let images: PathBuf = draft.join("images");
    !entries(&images).is_empty()
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

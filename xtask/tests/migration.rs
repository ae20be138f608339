//! Moves of a real container between two real engines while something is killed, cut or filled up at a chosen moment. Whatever
//! happens: afterwards exactly one copy serves, with its state, and nothing of the move is left. Needs root and what
//! `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{ContainerState, CreateContainer, PortMapping, Protocol, RestartPolicy};
use ecep_proto::api::label;
use ecep_proto::api::migration::{MigrationMode, MigrationState, MigrationView};
use ecep_proto::api::name::{ContainerId, OperationId};
use xtask::report::Report;
use xtask::stack::{Counting, DASHBOARD_API, Programs, ROUTER, Stack, agent_name};
use xtask::{lab, shell, wait};

/// What is killed, cut or full stays so for this time.
const DOWN: Duration = Duration::from_secs(5);
/// Within this time after the harm is mended, one copy serves and nothing is left.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// A move without harm, on a busy machine.
const MOVE_LIMIT: Duration = Duration::from_secs(120);
/// Each device's own disk, so that a full one harms nobody else: an image and an agent, many logs, and the 200 MB that the
/// pre-flight wants to stay free.
const DISK_BYTES: u64 = 800 * 1024 * 1024;
/// The counter's own port.
const PORT: u16 = 8080;

/// The moment of the harm: when the source says that this phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// The two ends have met, nothing has travelled.
    Met,
    /// The container is made at the destination; the freeze comes.
    Prepared,
    /// It is being saved.
    Saving,
    /// It is frozen and saved.
    Saved,
    /// Everything has arrived.
    Sent,
    /// The copy stands at the destination, cut off.
    Restored,
}

impl Moment {
    const ALL: [Self; 6] = [Self::Met, Self::Prepared, Self::Saving, Self::Saved, Self::Sent, Self::Restored];

    /// What the source's log says then.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Met => &["the two ends have met"],
            Self::Prepared => &["ended=Copying", "ended=Preparing"],
            Self::Saving => &["ended=Freezing"],
            Self::Saved => &["ended=Saving"],
            Self::Sent => &["ended=Sending"],
            Self::Restored => &["ended=Restoring"],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    SourceAgent,
    DestinationAgent,
    Router,
    ControlPlane,
    SourceEngine,
    DestinationEngine,
    /// The cable between the two devices, and with it the destination's to the cloud.
    Cable,
    /// Not a byte is free, whatever is removed meanwhile.
    SourceDiskFull,
    /// As at the source.
    DestinationDiskFull,
}

impl Harm {
    const ALL: [Self; 9] = [
        Self::SourceAgent,
        Self::DestinationAgent,
        Self::Router,
        Self::ControlPlane,
        Self::SourceEngine,
        Self::DestinationEngine,
        Self::Cable,
        Self::SourceDiskFull,
        Self::DestinationDiskFull,
    ];

    fn is_full_disk(self) -> bool {
        matches!(self, Self::SourceDiskFull | Self::DestinationDiskFull)
    }

    fn name(self) -> &'static str {
        match self {
            Self::SourceAgent => "source agent killed",
            Self::DestinationAgent => "destination agent killed",
            Self::Router => "router killed",
            Self::ControlPlane => "control plane killed",
            Self::SourceEngine => "source engine killed",
            Self::DestinationEngine => "destination engine killed",
            Self::Cable => "destination's cable out",
            Self::SourceDiskFull => "source's disk full",
            Self::DestinationDiskFull => "destination's disk full",
        }
    }
}

/// Those of the table that run every time: each harm, and each moment; the others are in `the_whole_table`.
const EVERY_TIME: [(Moment, Harm); 29] = [
    (Moment::Met, Harm::SourceAgent),
    (Moment::Prepared, Harm::SourceAgent),
    (Moment::Saving, Harm::SourceAgent),
    (Moment::Saved, Harm::SourceAgent),
    (Moment::Restored, Harm::SourceAgent),
    (Moment::Met, Harm::DestinationAgent),
    (Moment::Saving, Harm::DestinationAgent),
    (Moment::Saved, Harm::DestinationAgent),
    (Moment::Sent, Harm::DestinationAgent),
    (Moment::Restored, Harm::DestinationAgent),
    (Moment::Prepared, Harm::Router),
    (Moment::Sent, Harm::Router),
    (Moment::Restored, Harm::Router),
    (Moment::Prepared, Harm::ControlPlane),
    (Moment::Sent, Harm::ControlPlane),
    (Moment::Restored, Harm::ControlPlane),
    (Moment::Prepared, Harm::SourceEngine),
    (Moment::Saved, Harm::SourceEngine),
    (Moment::Prepared, Harm::DestinationEngine),
    (Moment::Sent, Harm::DestinationEngine),
    (Moment::Saved, Harm::Cable),
    (Moment::Sent, Harm::Cable),
    (Moment::Met, Harm::SourceDiskFull),
    (Moment::Prepared, Harm::SourceDiskFull),
    (Moment::Saved, Harm::SourceDiskFull),
    (Moment::Met, Harm::DestinationDiskFull),
    (Moment::Saving, Harm::DestinationDiskFull),
    (Moment::Sent, Harm::DestinationDiskFull),
    (Moment::Restored, Harm::DestinationDiskFull),
];

/// Those of the table that run every time with a container that publishes no ports: its start has begun at the destination when it is
/// frozen, and has to be called off.
const AHEAD: [(Moment, Harm); 9] = [
    (Moment::Prepared, Harm::DestinationAgent),
    (Moment::Saving, Harm::DestinationAgent),
    (Moment::Saving, Harm::SourceAgent),
    (Moment::Prepared, Harm::DestinationEngine),
    (Moment::Saved, Harm::DestinationEngine),
    (Moment::Restored, Harm::DestinationEngine),
    (Moment::Sent, Harm::SourceEngine),
    (Moment::Saved, Harm::Cable),
    (Moment::Saving, Harm::DestinationDiskFull),
];

struct Scene {
    stack: Stack,
    container: ContainerId,
    address: Ipv4Addr,
}

impl Scene {
    fn start(name: &str, ports: &[PortMapping]) -> Self {
        let mut report = Report::new();
        let name = format!("{name}-{}", std::process::id());
        let root = lab::default_data_root();
        let stack = Stack::start_on(
            &mut report,
            &name,
            &root,
            &[lab::System::Machine, lab::System::Machine],
            Some(DISK_BYTES),
            Programs::build_with_tests,
        )
        .unwrap();
        let order = CreateContainer {
            ports: ports.to_vec(),
            restart: RestartPolicy::Always,
            ..CreateContainer::new("counter".parse().unwrap(), lab::COUNTER_IMAGE)
        };
        let (container, address) = stack.create(1, &order, HEALED_WITHIN).unwrap();
        stack.await_movable(&container, 2, HEALED_WITHIN).unwrap();
        Self { stack, container, address }
    }

    /// The number of the device that has it.
    fn holder(&self) -> Result<u8> {
        let device = self.stack.placed(&self.container)?.device;
        let at = self.stack.devices().iter().position(|id| *id == device).context("an unknown device")?;
        Ok(u8::try_from(at)? + 1)
    }

    fn agent_log(&self, number: u8) -> PathBuf {
        self.stack.lab().device(number).data_dir().join(format!("{}.log", agent_name(number)))
    }

    fn engine_has(&self, number: u8) -> Result<String> {
        let label = format!("label={}={}", label::CONTAINER, self.container);
        self.stack.lab().device(number).run_docker([
            "ps",
            "--all",
            "--no-trunc",
            "--filter",
            &label,
            "--format",
            "{{.ID}} {{.Status}}",
        ])
    }

    /// Waits until exactly one copy is there, which the platform lists as running and which counts on; and nothing is left.
    fn heal(&self, client: &Counting) -> Result<u8> {
        let holder = wait::until("one copy runs", HEALED_WITHIN, || {
            let placed = self.stack.placed(&self.container)?;
            ensure!(placed.container.state == ContainerState::Running, "it is {:?}", placed.container.state);
            let holder = self.holder()?;
            let (here, there) = (self.engine_has(holder)?, self.engine_has(3 - holder)?);
            ensure!(here.contains("Up") && !here.contains("Paused"), "the holder's engine says {here:?}");
            ensure!(there.is_empty(), "the other engine says {there:?}");
            for number in [1, 2] {
                let folder = self.stack.lab().device(number).data_dir().join("agent/migrations");
                let left = fs::read_dir(&folder).map_or(0, |entries| entries.count());
                ensure!(left == 0, "{} holds {left} moves", folder.display());
                let device = self.stack.lab().device(number);
                let routes = shell::output(device.command("ip").args(["route", "show", "proto", "197"]))?;
                let expected = if number == holder { 0 } else { 1 };
                ensure!(routes.lines().count() == expected, "device {number} has the routes {routes:?}");
            }
            let orders = fs::read_dir("/run/ecep/restore").map_or(0, |entries| entries.count());
            ensure!(orders == 0, "{orders} restore orders are left");
            Ok(Some(holder))
        })?;
        client.wait_on(HEALED_WITHIN)?;
        Ok(holder)
    }
}

/// Does the harm, and mends it after `DOWN`.
fn harm(scene: &Scene, harm: Harm, from: u8) -> Result<()> {
    let (stack, to) = (&scene.stack, 3 - from);
    let supervisor = stack.supervisor();
    let program = match harm {
        Harm::SourceAgent => agent_name(from),
        Harm::DestinationAgent => agent_name(to),
        Harm::Router => ROUTER.to_owned(),
        Harm::ControlPlane => DASHBOARD_API.to_owned(),
        Harm::SourceEngine | Harm::DestinationEngine => {
            let device = stack.lab().device(if harm == Harm::SourceEngine { from } else { to });
            device.kill_engine()?;
            std::thread::sleep(DOWN);
            device.start_engine()?;
            return device.wait_ready();
        }
        Harm::SourceDiskFull | Harm::DestinationDiskFull => {
            let number = if harm == Harm::SourceDiskFull { from } else { to };
            let agents = [from, to].map(agent_name);
            let starts = || agents.iter().map(|name| Ok(supervisor.pid(name)?.1)).collect::<Result<Vec<_>>>();
            let before = starts()?;
            let full = stack.lab().device(number).fill_disk(0)?;
            std::thread::sleep(DOWN);
            drop(full);
            ensure!(starts()? == before, "an agent did not outlive it");
            return Ok(());
        }
        Harm::Cable => {
            let cable = stack.lab().device(to).cable();
            shell::run("ip", ["link", "set", cable, "down"])?;
            std::thread::sleep(DOWN);
            shell::run("ip", ["link", "set", cable, "up"])?;
            return Ok(());
        }
    };
    let (_, starts) = supervisor.kill_for(&program, DOWN)?;
    wait::until("it is started again", HEALED_WITHIN, || {
        Ok((supervisor.pid(&program)?.1 > starts).then_some(()))
    })
}

struct Row {
    moment: Moment,
    harm: Harm,
    ended: &'static str,
    healed: Duration,
}

fn run(scene: &Scene, client: &Counting, moment: Moment, kind: Harm) -> Result<Row> {
    let from = scene.holder()?;
    let destination = scene.stack.id(3 - from).clone();
    let log = scene.agent_log(from);
    let skip = fs::metadata(&log)?.len();
    let operation = wait::until("a move can be ordered", HEALED_WITHIN, || {
        scene.stack.order_move(&scene.container, &destination, MigrationMode::Live).map(Some)
    })?;
    let mark = operation.as_str();
    wait::until("the moment of the harm", MOVE_LIMIT, || {
        let text = fs::read(&log)?;
        let text = String::from_utf8_lossy(&text[usize::try_from(skip)?..]).into_owned();
        let mut lines = text.lines().filter(|line| line.contains(mark));
        Ok(lines.any(|line| moment.words().iter().any(|words| line.contains(words))).then_some(()))
    })?;
    harm(scene, kind, from)?;
    let mended = Instant::now();
    let ended = wait::until("the move is decided", HEALED_WITHIN, || decided(scene, &operation))?;
    if kind.is_full_disk() && ended.state == MigrationState::Failed {
        let error = ended.error.as_deref().unwrap_or_default();
        let says = ["disk", "free some space"].iter().all(|words| error.contains(words));
        ensure!(says, "the move's error does not say what to do about the full disk: {error:?}");
    }
    let holder = scene.heal(client)?;
    let expected = if ended.state == MigrationState::Done { 3 - from } else { from };
    ensure!(holder == expected, "the move is {:?}, but the container is on device {holder}", ended.state);
    let ended = if holder == from { "stayed" } else { "moved" };
    Ok(Row { moment, harm: kind, ended, healed: mended.elapsed() })
}

fn decided(scene: &Scene, operation: &OperationId) -> Result<Option<MigrationView>> {
    Ok(Some(scene.stack.await_move(operation, Duration::ZERO)?))
}

fn walk(name: &str, ports: &[PortMapping], cases: &[(Moment, Harm)]) {
    let scene = Scene::start(name, ports);
    let route = scene.stack.route_through(1).unwrap();
    let client = Counting::start(scene.address, PORT).unwrap();
    let mut failures = Vec::new();
    for (moment, kind) in cases {
        let start = Instant::now();
        match run(&scene, &client, *moment, *kind) {
            Ok(Row { moment, harm, ended, healed }) => println!(
                "| {moment:?} | {} | {ended} | {:.1} s after it was mended |",
                harm.name(),
                healed.as_secs_f64()
            ),
            Err(error) => {
                println!("| {moment:?} | {} | FAILED after {:?}: {error:#} |", kind.name(), start.elapsed());
                for number in [1, 2] {
                    let log = fs::read_to_string(scene.agent_log(number)).unwrap_or_default();
                    println!("agent {number}: {}", shell::last_lines(&log));
                }
                failures.push(format!("{moment:?}, {}: {error:#}", kind.name()));
                // What follows would only repeat it.
                break;
            }
        }
    }
    let counted = client.stop();
    drop(route);
    scene.stack.take_down().unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    let (answers, longest) = counted.unwrap();
    println!("one connection throughout: {answers} answers, longest wait {longest:?}");
}

/// The machine carries one stack at a time.
static ONE_STACK: Mutex<()> = Mutex::new(());

const PUBLISHED: [PortMapping; 1] =
    [PortMapping { container: PORT, host: Some(8090), protocol: Protocol::Tcp }];

/// The promise of a move: never two, never none, nothing lost, on one TCP connection, whoever dies.
#[test]
fn one_copy_serves_whoever_dies() {
    let _one = ONE_STACK.lock().unwrap_or_else(PoisonError::into_inner);
    walk("faults", &PUBLISHED, &EVERY_TIME);
}

/// The same promise where the destination's engine is at the start before the freeze.
#[test]
fn one_copy_serves_whoever_dies_in_a_start_that_waits() {
    let _one = ONE_STACK.lock().unwrap_or_else(PoisonError::into_inner);
    walk("ahead", &[], &AHEAD);
}

/// Every moment with every harm, with ports and without.
#[test]
#[ignore = "takes twenty minutes; `cargo xtask test --all` runs it"]
fn the_whole_table() {
    let _one = ONE_STACK.lock().unwrap_or_else(PoisonError::into_inner);
    let all = Moment::ALL.into_iter().flat_map(|moment| Harm::ALL.map(|harm| (moment, harm)));
    let all: Vec<_> = all.collect();
    walk("table", &PUBLISHED, &all);
    walk("table-ahead", &[], &all);
}

//! Moves between Docker engines of several releases: this machine's own, Debian 13's and that of the release after it, from
//! each to each and within each, live and cold. Needs root, what `cargo xtask setup` installs, and a Debian mirror for the
//! root file systems of the other releases (made once).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{
    ContainerState, CreateContainer, PortMapping, Protocol, RestartPolicy, VolumeMount,
};
use ecep_proto::api::label;
use ecep_proto::api::migration::{MigrationMode, MigrationState, Verdict};
use ecep_proto::api::name::ContainerId;
use xtask::lab::System;
use xtask::report::Report;
use xtask::stack::{Counting, Programs, Stack, agent_name, http_client};
use xtask::{lab, setup, shell, wait};

/// A move, or what follows it, on a busy machine with six engines.
const LIMIT: Duration = Duration::from_secs(120);

/// A question to a port that may not answer yet.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// The counter's own port.
const PORT: u16 = 8080;

/// The same on its device, and on those that it has left.
const PUBLISHED: u16 = 8090;

/// Debian releases with newer engines than Debian 12: 13, and the one after it.
const SUITES: [&str; 2] = ["trixie", "forky"];

/// Two devices have each engine: 1 and 2 this machine's, 3 and 4 the first suite's, 5 and 6 the second's. One walk over all
/// devices goes from each engine to each, and from each to its like, once.
const WALK: [u8; 10] = [1, 2, 3, 4, 5, 6, 1, 5, 3, 1];

/// Which engine that device has, counted from 0.
fn engine_of(number: u8) -> u8 {
    (number - 1) / 2
}

/// What the cold container's volume gets at each device.
const KEPT: &str = "kept";

struct Scene {
    stack: Stack,
    /// Of the engine of each device, in the order of their numbers.
    versions: Vec<String>,
    /// Moved live with a client each: one that publishes a port, and one whose start waits for its memory.
    live: [Live; 2],
    cold: ContainerId,
    cold_address: Ipv4Addr,
}

/// A counter that is moved live.
struct Live {
    id: ContainerId,
    address: Ipv4Addr,
    is_published: bool,
}

/// How one step of the walk went.
struct Row {
    from: String,
    to: String,
    /// What the pre-flight said of a live move.
    preflight: String,
    /// How long each stood still, and how long its client waited.
    live: Result<[(Duration, Duration); 2]>,
    /// How long it stood still.
    cold: Result<Duration>,
}

impl Scene {
    fn start() -> Result<Self> {
        let mut systems = vec![System::Machine; 2];
        for suite in SUITES {
            systems.extend(vec![System::Release(setup::release_root(suite)?); 2]);
        }
        let name = format!("engines-{}", std::process::id());
        let root = lab::default_data_root();
        let stack =
            Stack::start_on(&mut Report::new(), &name, &root, &systems, None, Programs::build_with_tests)?;
        let mut versions = Vec::new();
        for device in stack.lab().devices() {
            versions.push(device.run_docker(["version", "--format", "{{.Server.Version}}"])?);
            println!("device {}: {}", device.number(), tools(device)?);
        }
        let counter = |name: &str| -> Result<CreateContainer> {
            let order = CreateContainer::new(name.parse()?, lab::COUNTER_IMAGE);
            Ok(CreateContainer { restart: RestartPolicy::Always, ..order })
        };
        let mut with_port = counter("live")?;
        with_port.ports =
            vec![PortMapping { container: PORT, host: Some(PUBLISHED), protocol: Protocol::Tcp }];
        let mut with_volume = counter("cold")?;
        with_volume.volumes =
            vec![VolumeMount { volume: "data".parse()?, target: "/data".into(), read_only: false }];
        let (cold, cold_address) = stack.create(WALK[0], &with_volume, LIMIT)?;
        let live = |order: &CreateContainer| -> Result<Live> {
            let (id, address) = stack.create(WALK[0], order, LIMIT)?;
            Ok(Live { id, address, is_published: !order.ports.is_empty() })
        };
        let live = [live(&with_port)?, live(&counter("quiet")?)?];
        Ok(Self { stack, versions, live, cold, cold_address })
    }

    fn version(&self, number: u8) -> String {
        self.versions[usize::from(number) - 1].clone()
    }

    fn move_to(&self, container: &ContainerId, number: u8, mode: MigrationMode) -> Result<Duration> {
        let operation = wait::until("the move can be ordered", LIMIT, || {
            self.stack.order_move(container, self.stack.id(number), mode).map(Some)
        })?;
        let moved = self.stack.await_move(&operation, LIMIT)?;
        ensure!(
            moved.state == MigrationState::Done,
            "it failed at {:?}: {}",
            moved.phase,
            moved.error.unwrap_or_default()
        );
        self.runs_only_on(container, number)?;
        // The two ends report how long it stood still a moment after the authority has decided.
        wait::until("its downtime is known", LIMIT, || {
            let moved = self.stack.await_move(&operation, LIMIT)?;
            Ok(moved.downtime_ms.map(Duration::from_millis))
        })
    }

    fn runs_only_on(&self, container: &ContainerId, number: u8) -> Result<()> {
        wait::until("it runs there and nowhere else", LIMIT, || {
            let placed = self.stack.placed(container)?;
            ensure!(placed.device == *self.stack.id(number), "it is listed on {}", placed.device);
            ensure!(placed.container.state == ContainerState::Running, "it is {:?}", placed.container.state);
            for device in self.stack.lab().devices() {
                let label = format!("label={}={container}", label::CONTAINER);
                let filter = ["ps", "--all", "--filter", &label, "--format", "{{.Status}}"];
                let here = device.run_docker(filter)?;
                let is_right = if device.number() == number {
                    here.starts_with("Up") && !here.contains("Paused")
                } else {
                    here.is_empty()
                };
                ensure!(is_right, "the engine of device {} says {here:?}", device.number());
            }
            Ok(Some(()))
        })
    }

    /// Moves it live, where the pre-flight says that this is possible; the outside client counts on over its one connection,
    /// and the container's log goes on from where it was.
    fn move_live(&self, live: &Live, number: u8, client: &Counting) -> Result<(Duration, Duration)> {
        let first_line = |number: u8| -> Result<String> {
            let device = self.stack.lab().device(number);
            let label = format!("label={}={}", label::CONTAINER, live.id);
            let id = device.run_docker(["ps", "--quiet", "--filter", &label])?;
            let log = device.run_docker(["logs", "--timestamps", &id])?;
            Ok(log.lines().next().unwrap_or_default().to_owned())
        };
        let from = self.holder(&live.id)?;
        let before = first_line(from)?;
        ensure!(!before.is_empty(), "it has no log at the source");
        client.wait_on(LIMIT)?;
        client.take_longest_wait();
        let stood_still = self.move_to(&live.id, number, MigrationMode::Live)?;
        client.wait_on(LIMIT)?;
        let waited = client.take_longest_wait();
        let after = first_line(number)?;
        ensure!(before == after, "its log began with {before:?}, and begins with {after:?} now");
        for published in [number, from].into_iter().filter(|_| live.is_published) {
            let address = self.stack.lab().device(published).address();
            let answer = wait::until("its published port answers", LIMIT, || {
                let url = format!("http://{address}:{PUBLISHED}/count");
                Ok(Some(http_client(ASK_LIMIT).get(&url).call()?.body_mut().read_to_string()?))
            });
            answer.with_context(|| format!("by device {published}, now that it is on {number}"))?;
        }
        // A restored container is as dear to the engine as any other: it outlives the engine's own end.
        let device = self.stack.lab().device(number);
        device.kill_engine()?;
        device.start_engine()?;
        device.wait_ready()?;
        client.wait_on(LIMIT)?;
        self.runs_only_on(&live.id, number)?;
        Ok((stood_still, waited))
    }

    /// Moves the other one cold: it starts anew, with its volume.
    fn move_cold(&self, number: u8) -> Result<Duration> {
        let place = |number: u8| {
            let path = ["volume", "inspect", "--format", "{{.Mountpoint}}", "ecep_acme_data"];
            self.stack.lab().device(number).run_docker(path).map(|folder| PathBuf::from(folder).join(KEPT))
        };
        let from = self.holder(&self.cold)?;
        let kept = format!("written on device {from} before it went to {number}");
        fs::write(place(from)?, &kept)?;
        let url = format!("http://{}:{PORT}", self.cold_address);
        let ask = |request: &dyn Fn() -> Result<String>| {
            wait::until("it answers", LIMIT, || request().map(Some))?
                .trim()
                .parse::<u64>()
                .context("no number")
        };
        let http = http_client(LIMIT);
        let add = || Ok(http.post(format!("{url}/add")).send_empty()?.body_mut().read_to_string()?);
        let count = || Ok(http.get(format!("{url}/count")).call()?.body_mut().read_to_string()?);
        ensure!(ask(&add)? > 0, "it does not count");
        let stood_still = self.move_to(&self.cold, number, MigrationMode::Cold)?;
        ensure!(ask(&count)? == 0, "it was not started anew");
        ensure!(fs::read_to_string(place(number)?)? == kept, "its volume did not come along");
        Ok(stood_still)
    }

    fn holder(&self, container: &ContainerId) -> Result<u8> {
        let device = self.stack.placed(container)?.device;
        let at = self.stack.devices().iter().position(|id| *id == device).context("an unknown device")?;
        Ok(u8::try_from(at)? + 1)
    }

    /// What the pre-flight says of a live move there, once both ends have tried out what they can.
    fn preflight(&self, number: u8) -> Result<(Verdict, String)> {
        let answer = wait::until("both ends have tried it out", LIMIT, || {
            let answer = self.stack.preflight(&self.live[0].id, self.stack.id(number))?;
            let is_tried = !answer.checks.iter().any(|check| check.text.contains("being tried out"));
            Ok(is_tried.then_some(answer))
        })?;
        let hindering = answer.checks.iter().filter(|check| check.verdict > Verdict::Live);
        let reasons: Vec<&str> = hindering.map(|check| check.text.as_str()).collect();
        Ok((answer.verdict, reasons.join("; ")))
    }

    fn step(&self, from: u8, to: u8, clients: &[Counting; 2]) -> Result<Row> {
        let (verdict, reasons) = self.preflight(to)?;
        let live = match verdict {
            Verdict::Live => self
                .move_live(&self.live[0], to, &clients[0])
                .and_then(|first| Ok([first, self.move_live(&self.live[1], to, &clients[1])?])),
            _ => Err(anyhow::anyhow!("the pre-flight says {verdict:?}: {reasons}")),
        };
        let cold = self.move_cold(to);
        Ok(Row {
            from: self.version(from),
            to: self.version(to),
            preflight: format!("{verdict:?}").to_lowercase(),
            live,
            cold,
        })
    }

    fn print_logs(&self, numbers: [u8; 2]) {
        for number in numbers {
            let folder = self.stack.lab().device(number).data_dir();
            for name in [agent_name(number), "dockerd".to_owned()] {
                let log = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
                println!("{name} of device {number}:\n{}", shell::last_lines(&log));
            }
        }
    }
}

/// Which programs the device runs, in a line.
fn tools(device: &lab::Device) -> Result<String> {
    let first = |words: [&str; 2]| -> Result<String> {
        let text = shell::output(device.command(words[0]).arg(words[1]))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    Ok([first(["dockerd", "--version"])?, first(["containerd", "--version"])?, first(["runc", "--version"])?]
        .join(", "))
}

/// The promise of the platform to a fleet whose devices were not all set up in the same year.
#[test]
#[ignore = "fetches two Debian releases and takes minutes; `cargo xtask test --all` runs it"]
fn containers_move_between_engines_of_all_releases() {
    let steps: Vec<(u8, u8)> = WALK.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let pairs: BTreeSet<(u8, u8)> =
        steps.iter().map(|(from, to)| (engine_of(*from), engine_of(*to))).collect();
    assert_eq!((pairs.len(), steps.len()), (9, 9), "each engine goes to each");

    let scene = Scene::start().unwrap();
    let route = scene.stack.route_through(1).unwrap();
    let clients = scene.live.each_ref().map(|live| Counting::start(live.address, PORT).unwrap());
    let mut failures = Vec::new();
    println!(
        "| from | to | pre-flight | live: stood still | its client waited | without ports: stood still | its client waited | cold: stood still |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (from, to) in steps {
        let row = match scene.step(from, to, &clients) {
            Ok(row) => row,
            Err(error) => {
                failures.push(format!("from device {from} to {to}: {error:#}"));
                break;
            }
        };
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let live = match &row.live {
            Ok(both) => both
                .map(|(stood_still, waited)| format!("{} | {}", seconds(stood_still), seconds(waited)))
                .join(" | "),
            Err(error) => format!("FAILED: {error:#} | | | "),
        };
        let cold = match &row.cold {
            Ok(stood_still) => seconds(*stood_still),
            Err(error) => format!("FAILED: {error:#}"),
        };
        println!("| {} | {} | {} | {live} | {cold} |", row.from, row.to, row.preflight);
        if let Some(error) = row.live.err().or(row.cold.err()) {
            scene.print_logs([from, to]);
            failures.push(format!("{} to {}: {error:#}", row.from, row.to));
            // The walk goes on from where both are.
            let there =
                [&scene.live[0].id, &scene.live[1].id, &scene.cold].map(|container| scene.holder(container));
            if there.iter().any(|holder| holder.as_ref().ok() != Some(&to)) {
                break;
            }
        }
    }
    let counted = clients.map(Counting::stop);
    drop(route);
    scene.stack.take_down().unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
    for counted in counted {
        let (answers, longest) = counted.unwrap();
        println!(
            "one connection throughout: {answers} answers, none lost, doubled or out of order; longest wait {longest:?}"
        );
    }
}

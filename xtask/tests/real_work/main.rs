//! Real programs at work (Python, Redis, nginx, Node.js, SQLite, shells) move from one real engine to another and back
//! while a client outside uses them over one TCP connection; afterwards their state is compared exactly. Needs root and
//! what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this whole file is a test")]

mod client;

use std::fs;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ecep_proto::api::container::{ContainerState, CreateContainer, LogQuery, VolumeMount};
use ecep_proto::api::migration::{MigrationMode, MigrationState};
use ecep_proto::api::name::ContainerId;
use ecep_proto::api::{ContainerLogs, label};
use xtask::report::Report;
use xtask::stack::{Programs, Route, Stack, agent_name};
use xtask::{lab, shell, wait};

use client::{Client, Line};

/// Every server of the image listens here, but for Redis.
const PORT: u16 = 8080;
const REDIS_PORT: u16 = 6379;
/// A program starts, the platform's lists follow, a client gets its next answer: seconds, on a busy machine more.
const SOON: Duration = Duration::from_secs(60);
/// A move with an image of two hundred megabytes, on a busy machine.
const MOVE_LIMIT: Duration = Duration::from_secs(180);
/// How often the processes are looked at before they move, once they have settled.
const LOOKS: usize = 3;
/// How many connections write to Redis at once.
const WRITERS: u64 = 4;
/// What one write carries: with some thousand of them a server has megabytes to move.
const VALUE_BYTES: usize = 512;

/// Two devices, and a route to their containers.
struct Scene {
    stack: Stack,
    _route: Route,
}

/// A container that is tested.
struct Work<'a> {
    scene: &'a Scene,
    name: &'static str,
    id: ContainerId,
    address: Ipv4Addr,
}

fn order(name: &str, command: &[&str]) -> CreateContainer {
    CreateContainer {
        command: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        // Without a restart policy a program that died does not come back unnoticed.
        ..CreateContainer::new(name.parse().unwrap(), lab::WORKLOADS_IMAGE)
    }
}

impl Scene {
    fn start() -> Result<Self> {
        let name = format!("work-{}", std::process::id());
        let root = lab::default_data_root();
        let stack = Stack::start(&mut Report::new(), &name, &root, 2, Programs::build_with_tests)?;
        let start = Instant::now();
        lab::build_workloads(stack.lab().device(1))?;
        let size =
            stack.lab().device(1).run_docker(["images", lab::WORKLOADS_IMAGE, "--format", "{{.Size}}"])?;
        println!("{}: {size}, built in {:.1} s", lab::WORKLOADS_IMAGE, start.elapsed().as_secs_f64());
        let route = stack.route_through(1)?;
        Ok(Self { stack, _route: route })
    }

    /// The last output of all containers that are there, from the engines themselves.
    fn said(&self) -> Result<String> {
        let mut all = String::new();
        for device in self.stack.lab().devices() {
            for id in device.run_docker(["ps", "--all", "--quiet"])?.lines() {
                let output = device.docker().args(["logs", "--timestamps", "--tail", "25", id]).output()?;
                let text = [output.stdout, output.stderr].concat();
                all += &format!("{} {id}:\n{}\n", device.name(), String::from_utf8_lossy(&text));
            }
        }
        Ok(all)
    }

    /// Creates a container on device 1 and waits until it can be moved live.
    fn create(&self, name: &'static str, order: &CreateContainer) -> Result<Work<'_>> {
        let (id, address) = self.stack.create(1, order, SOON)?;
        self.stack.await_movable(&id, 2, SOON)?;
        Ok(Work { scene: self, name, id, address })
    }
}

impl Work<'_> {
    /// Moves it to device 2 and back; `check` looks after each move, and is told where it is. Whatever it runs, the
    /// same processes must be there afterwards.
    fn there_and_back(&self, mut check: impl FnMut(u8) -> Result<()>) -> Result<()> {
        let mut before = wait::until("its processes settle", SOON, || {
            let seen = self.processes(1)?;
            Ok((self.processes(1)? == seen).then_some(seen))
        })?;
        // A shell's child has the shell's name for a moment, which is long on a busy machine: what counts is there in each look.
        for _ in 0..LOOKS {
            let seen = self.processes(1)?;
            before.retain(|process| seen.contains(process));
        }
        for to in [2, 1] {
            self.move_to(to)?;
            check(to).with_context(|| format!("after the move to device {to}"))?;
            wait::until("it has the same processes", SOON, || {
                let after = self.processes(to)?;
                ensure!(after == before, "they were {before:?} and are {after:?} on device {to}");
                Ok(Some(()))
            })?;
        }
        Ok(())
    }

    fn move_to(&self, to: u8) -> Result<()> {
        let stack = &self.scene.stack;
        // The move before may not be over at both ends yet.
        let operation = wait::until("the move can be ordered", SOON, || {
            stack.order_move(&self.id, stack.id(to), MigrationMode::Live).map(Some)
        })?;
        let moved = stack.await_move(&operation, MOVE_LIMIT)?;
        ensure!(
            moved.state == MigrationState::Done,
            "the move to device {to} failed at {:?}: {}",
            moved.phase,
            moved.error.unwrap_or_default()
        );
        // It is measured at both ends, so it may be told a moment after the end.
        let downtime = wait::until("the downtime is told", SOON, || {
            Ok(stack.await_move(&operation, Duration::ZERO)?.downtime_ms)
        })?;
        let total = moved.ended_at.context("the move has no end")?.saturating_sub(moved.started_at);
        println!("| {} | to device {to} | {downtime} ms | {total} ms |", self.name);
        wait::until("it runs there, and the other engine has nothing of it", SOON, || {
            let placed = stack.placed(&self.id)?;
            ensure!(placed.device == *stack.id(to), "it is listed on {}", placed.device);
            ensure!(placed.container.state == ContainerState::Running, "it is {:?}", placed.container.state);
            ensure!(
                placed.container.address == Some(self.address),
                "it is at {:?}",
                placed.container.address
            );
            let left = self.engine_ids(3 - to)?;
            ensure!(left.is_empty(), "the other engine has {left:?}");
            Ok(Some(()))
        })
    }

    fn engine_ids(&self, number: u8) -> Result<String> {
        let label = format!("label={}={}", label::CONTAINER, self.id);
        self.scene.stack.lab().device(number).run_docker(["ps", "--all", "--quiet", "--filter", &label])
    }

    /// Runs a shell's line in it, by the device's own engine.
    fn shell(&self, number: u8, line: &str) -> Result<String> {
        let id = self.engine_ids(number)?;
        ensure!(!id.is_empty(), "the engine of device {number} does not have {}", self.name);
        self.scene.stack.lab().device(number).run_docker(["exec", &id, "/bin/sh", "-c", line])
    }

    /// Its processes by number and name; those that come and go, as a shell's `sleep`, and our own are not among them.
    fn processes(&self, number: u8) -> Result<Vec<String>> {
        let all = self.shell(number, "ps -o pid,ppid,comm")?;
        let rows = all.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        // A command that the engine put in has no parent here.
        let put_in = |row: &[&str]| row[1] == "0" && row[0] != "1";
        let passing = |row: &[&str]| matches!(row[2], "sleep" | "ps" | "wget");
        Ok(rows.filter(|row| !put_in(row) && !passing(row)).map(|row| row.join(" ")).collect())
    }

    /// Its output so far, from the platform.
    fn logs(&self, number: u8) -> Result<Vec<String>> {
        let stack = &self.scene.stack;
        let query = LogQuery { container: self.id.clone(), tail: Some(1000), since: None };
        let logs = stack.operator().call::<ContainerLogs>(stack.id(number), &query)?;
        ensure!(!logs.truncated, "the logs were cut short");
        Ok(logs.lines.into_iter().map(|line| line.text.trim_end().to_owned()).collect())
    }

    fn delete(self) -> Result<()> {
        self.scene.stack.delete(1, &self.id)
    }
}

/// Moves a container while a client uses it; a client that broke tells why, rather than that it has ended.
fn moved_under(work: &Work<'_>, client: Client) -> Result<(Line, u64)> {
    let went = client.go_on().and_then(|()| work.there_and_back(|_| client.go_on()));
    match (went, client.end()) {
        (Ok(()), ended) => ended,
        (Err(error), Ok(_)) => Err(error),
        (Err(error), Err(cause)) => Err(cause.context(format!("{error:#}"))),
    }
}

fn python(scene: &Scene) -> Result<()> {
    let work = scene.create("Python, data in memory", &order("memory", &["python3", "/srv/memory.py"]))?;
    let mut line = Line::open(work.address, PORT)?;
    let born = line.http("GET", "/", "")?;
    let value = |number: u64| format!("{number:0>VALUE_BYTES$}");
    let client = Client::start(line, move |line, number| {
        let kept = line.http("POST", &format!("/{number:08}"), &value(number))?;
        ensure!(kept == number.to_string(), "it keeps {kept} of {number}");
        Ok(())
    });
    let (mut line, answers) = moved_under(&work, client)?;
    // The same process, by its number, its birth and its mark; and everything that it was given.
    let expected: String = (1..=answers).map(|number| format!("{number:08}={}\n", value(number))).collect();
    let found = line.http("GET", "/", "")?;
    ensure!(found == born + &expected, "it does not have exactly the {answers} values that it took");
    work.delete()
}

/// Whatever the kernel calls it: private, shared with another process, of a file without a name or with one, in huge pages.
fn kinds_of_memory(scene: &Scene) -> Result<()> {
    let work =
        scene.create("Python, memory of every kind", &order("kinds", &["python3", "/srv/kinds.py"]))?;
    let value = |number: u64| format!("{number:08},");
    let client = Client::start(Line::open(work.address, PORT)?, move |line, number| {
        let at = line.http("POST", "/", &value(number))?;
        ensure!(at == (number * 9).to_string(), "after {number} values it has {at} bytes");
        Ok(())
    });
    let (mut line, answers) = moved_under(&work, client)?;
    let expected: String = (1..=answers).map(value).collect();
    let found = line.http("GET", "/", "")?;
    let kinds: Vec<&str> = found.lines().filter_map(|line| line.split(' ').next()).collect();
    println!("{answers} values in memory that is {kinds:?}");
    ensure!(kinds.starts_with(&["private", "shared", "memfd", "file", "huge"]), "it has {kinds:?}");
    for line in found.lines() {
        let (kind, kept) = line.split_once(' ').context("a line without a kind")?;
        ensure!(kept == expected, "what is {kind} does not have exactly the {answers} values that it took");
    }
    work.delete()
}

fn redis(scene: &Scene) -> Result<()> {
    let command =
        ["redis-server", "--save", "", "--appendonly", "no", "--protected-mode", "no", "--bind", "0.0.0.0"];
    let work = scene.create("Redis under load", &order("redis", &command))?;
    let mut watcher = Line::open(work.address, REDIS_PORT)?;
    let run = |line: &mut Line| {
        let info = line.redis(&["INFO", "server"])?;
        let run = info.lines().find(|line| line.starts_with("run_id:")).map(str::to_owned);
        run.context("Redis does not tell its run")
    };
    let born = run(&mut watcher)?;
    let value = |writer: u64, number: u64| format!("{writer}-{number}-{}", "v".repeat(VALUE_BYTES));
    let mut others = Vec::new();
    for writer in 1..=WRITERS {
        let line = Line::open(work.address, REDIS_PORT)?;
        others.push(Client::start(line, move |line, number| {
            let answer = line.redis(&["SET", &format!("{writer}:{number}"), &value(writer, number)])?;
            ensure!(answer == "OK", "Redis answered {answer:?}");
            Ok(())
        }));
    }
    let first = others.remove(0);
    let mut written = vec![moved_under(&work, first)?.1];
    for client in others {
        client.go_on()?;
        written.push(client.end()?.1);
    }
    // On the connection that was silent, and the oldest.
    ensure!(run(&mut watcher)? == born, "it is another run of Redis");
    for (writer, count) in (1..).zip(&written) {
        for number in 1..=*count {
            let found = watcher.redis(&["GET", &format!("{writer}:{number}")])?;
            ensure!(found == value(writer, number), "{writer}:{number} is {found:?}");
        }
    }
    let size = watcher.redis(&["DBSIZE"])?;
    let total: u64 = written.iter().sum();
    ensure!(size == total.to_string(), "Redis holds {size} keys, {total} writes were acknowledged");
    println!("  all {total} acknowledged writes are there");
    work.delete()
}

fn nginx(scene: &Scene) -> Result<()> {
    let work = scene.create("nginx", &order("nginx", &["nginx", "-c", "/srv/nginx.conf"]))?;
    let mut line = Line::open(work.address, PORT)?;
    let path = format!("/{}", lab::PAGE);
    let page = line.http("GET", &path, "")?;
    ensure!(page.lines().count() > 1000, "the page is too short to test anything");
    wait::until("a master and two workers run", SOON, || {
        let processes = work.processes(1)?;
        ensure!(processes.len() == 3, "there are {processes:?}");
        Ok(Some(()))
    })?;
    let client = Client::start(line, move |line, _| {
        ensure!(line.http("GET", &path, "")? == page, "the page came differently");
        Ok(())
    });
    moved_under(&work, client)?;
    work.delete()
}

fn node(scene: &Scene) -> Result<()> {
    let work = scene.create("Node.js", &order("node", &["node", "/srv/counter.mjs"]))?;
    let mut line = Line::open(work.address, PORT)?;
    let first = line.http("POST", "/", "")?;
    let born = first.strip_suffix(" 1").context("the first answer is not the first count")?.to_owned();
    let client = Client::start(line, move |line, number| {
        let answer = line.http("POST", "/", "")?;
        ensure!(answer == format!("{born} {}", number + 1), "exchange {number} was answered {answer:?}");
        Ok(())
    });
    moved_under(&work, client)?;
    work.delete()
}

/// The volume of that name on a device's engine.
fn volumes(scene: &Scene, number: u8, name: &str) -> Result<String> {
    let filter = format!("label={}={name}", label::VOLUME);
    scene.stack.lab().device(number).run_docker(["volume", "ls", "--quiet", "--filter", &filter])
}

fn rows(name: &str, volume: &str, mode: &[&str]) -> CreateContainer {
    let mut order = order(name, &[&["python3", "/srv/rows.py"], mode].concat());
    let target = "/data".to_owned();
    order.volumes = vec![VolumeMount { volume: volume.parse().unwrap(), target, read_only: false }];
    order
}

fn insert(line: &mut Line, number: u64) -> Result<()> {
    let count = line.http("POST", "/", &format!("row {number}"))?;
    ensure!(count == number.to_string(), "there are {count} rows after {number}");
    Ok(())
}

/// The database is closed when the move comes, the connection of its client stays.
fn sqlite(scene: &Scene) -> Result<()> {
    let work = scene.create("SQLite on a volume", &rows("rows", "data", &[]))?;
    ensure!(!volumes(scene, 1, "data")?.is_empty(), "the volume is not on device 1 before the move");
    let mut line = Line::open(work.address, PORT)?;
    let mut numbers = 1..;
    let mut use_it = || {
        numbers.by_ref().take(50).try_for_each(|number| insert(&mut line, number))?;
        let sound = line.http("GET", "/", "")?;
        ensure!(sound == "ok", "the database is not sound: {sound}");
        Ok(())
    };
    use_it()?;
    work.there_and_back(|at| {
        use_it()?;
        ensure!(!volumes(scene, at, "data")?.is_empty(), "the volume is not on device {at}");
        let left = volumes(scene, 3 - at, "data")?;
        ensure!(left.is_empty(), "the volume is still on device {}: {left}", 3 - at);
        Ok(())
    })?;
    work.delete()
}

/// The database is open all the time, so its locks move too; and it is written to until the very freeze.
fn sqlite_under_load(scene: &Scene) -> Result<()> {
    let work = scene.create("SQLite under load", &rows("ledger", "ledger", &["keep"]))?;
    let client = Client::start(Line::open(work.address, PORT)?, insert);
    let (mut line, answers) = moved_under(&work, client)?;
    insert(&mut line, answers + 1)?;
    let sound = line.http("GET", "/", "")?;
    ensure!(sound == "ok", "the database is not sound: {sound}");
    work.delete()
}

fn terminal(scene: &Scene) -> Result<()> {
    let script = "n=0; while :; do n=$((n+1)); echo count $n; sleep 0.5; done";
    let mut order = order("terminal", &["/bin/sh", "-c", script]);
    order.tty = true;
    let work = scene.create("shell at a terminal", &order)?;
    // From the first line on, none lost or doubled, across both moves.
    let read = |at: u8, more_than: usize| {
        wait::until("it prints on", SOON, || {
            let lines = work.logs(at)?;
            for (number, line) in (1..).zip(&lines) {
                ensure!(*line == format!("count {number}"), "line {number} is {line:?}");
            }
            Ok((lines.len() > more_than).then_some(lines.len()))
        })
    };
    let mut seen = read(1, 5)?;
    work.there_and_back(|at| {
        seen = read(at, seen + 5)?;
        let terminal = work.shell(at, "readlink /proc/1/fd/1")?;
        ensure!(terminal.starts_with("/dev/pts/"), "its output is {terminal}");
        Ok(())
    })?;
    work.delete()
}

fn several(scene: &Scene) -> Result<()> {
    // Five counters, one file each in the writable layer and in a tmpfs.
    let script = "for i in 1 2 3 4 5; do (n=0; while :; do n=$((n+1)); echo $n > /tmp/$i; echo $n > /dev/shm/$i; \
                  sleep 0.1; done) & done; wait";
    let work = scene.create("six processes", &order("several", &["/bin/sh", "-c", script]))?;
    work.shell(1, "echo kept > /srv/kept && chown 1234:65534 /srv/kept && chmod 4640 /srv/kept")?;
    let kept = |at: u8| work.shell(at, "stat -c '%a %u:%g %s %Y' /srv/kept && cat /srv/kept");
    let before = kept(1)?;
    let counts = |at: u8| -> Result<Vec<u64>> {
        let text = work.shell(at, "cat /tmp/[1-5] /dev/shm/[1-5]")?;
        let counts = text.lines().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        ensure!(counts.len() == 10, "they have written {counts:?}");
        Ok(counts)
    };
    // Between a file's emptying and its filling it has no count.
    let beyond = |at: u8, last: &[u64]| {
        wait::until("every counter counts on", SOON, || {
            let counts = counts(at)?;
            Ok(counts.iter().zip(last).all(|(now, last)| now > last).then_some(counts))
        })
    };
    let mut last = beyond(1, &[0; 10])?;
    let processes = work.processes(1)?;
    ensure!(processes.len() >= 6, "a shell and five counters should run, not {processes:?}");
    work.there_and_back(|at| {
        last = beyond(at, &last)?;
        let after = kept(at)?;
        ensure!(after == before, "the file was {before:?} and is {after:?}");
        Ok(())
    })?;
    work.delete()
}

/// A page's name for other containers.
fn page_by_name(name: &str) -> String {
    // Without a limit of time: with one, Debian 12's BusyBox crashes.
    format!("wget -q -O - http://{name}:{PORT}/{}", lab::PAGE)
}

fn names(scene: &Scene) -> Result<()> {
    let named = scene.create("named by another", &order("named", &["nginx", "-c", "/srv/nginx.conf"]))?;
    Line::open(named.address, PORT)?;
    let asker = scene.create("asker", &order("asker", &["sleep", "infinity"]))?;
    let ask = || asker.shell(1, &page_by_name("named"));
    let page = ask()?;
    named.there_and_back(|_| {
        ensure!(ask()? == page, "another page came by the name");
        Ok(())
    })?;
    asker.delete()?;
    named.delete()
}

/// New connections by name, one after the other: each is made sooner or later.
fn names_during_a_move(scene: &Scene) -> Result<()> {
    let named = scene.create("named during a move", &order("always", &["nginx", "-c", "/srv/nginx.conf"]))?;
    Line::open(named.address, PORT)?;
    let get = page_by_name("always");
    let script =
        format!("while :; do if {get} > /dev/null; then echo reached; else echo failed; fi; sleep 0.3; done");
    let asker = scene.create("asker", &order("asker", &["/bin/sh", "-c", &script]))?;
    let reached = |more_than: usize| {
        let lines = wait::until("the asker goes on", SOON, || {
            let lines = asker.logs(1)?;
            Ok((lines.len() > more_than).then_some(lines))
        })?;
        ensure!(lines.iter().all(|line| line == "reached"), "the asker did not always reach it: {lines:?}");
        Ok(lines.len())
    };
    let mut seen = reached(2)?;
    named.there_and_back(|_| {
        seen = reached(seen + 2)?;
        Ok(())
    })?;
    asker.delete()?;
    named.delete()
}

type Case = fn(&Scene) -> Result<()>;

const CASES: [(&str, Case); 9] = [
    ("python", python),
    ("memory of every kind", kinds_of_memory),
    ("redis", redis),
    ("nginx", nginx),
    ("node", node),
    ("sqlite", sqlite),
    ("terminal", terminal),
    ("several", several),
    ("names", names),
];

const HARD_CASES: [(&str, Case); 2] =
    [("SQLite under load", sqlite_under_load), ("names during a move", names_during_a_move)];

/// The machine carries one stack at a time.
static ONE_STACK: Mutex<()> = Mutex::new(());

fn walk(cases: &[(&str, Case)]) {
    let _one = ONE_STACK.lock().unwrap_or_else(PoisonError::into_inner);
    let scene = Scene::start().unwrap();
    let mut failures = Vec::new();
    println!("| workload | move | stood still for | total |");
    for (name, case) in cases {
        if let Err(error) = case(&scene) {
            println!("| {name} | FAILED: {error:#} |");
            for number in [1, 2] {
                let device = scene.stack.lab().device(number);
                let log = device.data_dir().join(format!("{}.log", agent_name(number)));
                println!(
                    "agent {number}: {}",
                    shell::last_lines(&fs::read_to_string(log).unwrap_or_default())
                );
            }
            println!("the containers said: {}", scene.said().unwrap_or_else(|error| format!("{error:#}")));
            failures.push(format!("{name}: {error:#}"));
        }
    }
    scene.stack.take_down().unwrap();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// The promise of a live move, with programs that were not written for it: nothing that was acknowledged is lost, no
/// connection breaks, no process is started anew, and files, volumes, output and names are as they were.
#[test]
fn real_programs_move_with_everything() {
    walk(&CASES);
}

/// The same promise where it is hardest: file locks that are held at the freeze, and connections begun during it.
#[test]
fn real_programs_move_in_the_midst_of_their_work() {
    walk(&HARD_CASES);
}

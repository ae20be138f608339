//! The lab on the real thing: kernel namespaces and Docker engines. Needs root and what `cargo xtask setup` installs.
#![allow(clippy::unwrap_used, reason = "this whole file is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use xtask::lab::{self, COUNTER_IMAGE, Device, Lab};
use xtask::shell;

const LIMIT: Duration = Duration::from_secs(60);

/// A name that no other lab of this machine has.
fn name(what: &str) -> String {
    format!("{what}-{}", std::process::id())
}

/// Whoever makes a lab removes what crashes have left, and takes the first network that is free. Whoever looks for what is left of
/// one must be alone with it.
static MAKING: RwLock<()> = RwLock::new(());

fn making() -> RwLockReadGuard<'static, ()> {
    MAKING.read().unwrap_or_else(PoisonError::into_inner)
}

fn nobody_makes() -> RwLockWriteGuard<'static, ()> {
    MAKING.write().unwrap_or_else(PoisonError::into_inner)
}

fn create(what: &str, devices: u8) -> Lab {
    let _making = making();
    Lab::create(&name(what), &lab::default_data_root(), devices).unwrap()
}

fn start_counter(device: &Device, container: &str) {
    let arguments = ["run", "--detach", "--name", container, "--publish", "8080:8080", COUNTER_IMAGE];
    device.run_docker(arguments).unwrap();
}

fn http(address: Ipv4Addr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((address, 8080))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "{request} HTTP/1.1\r\nHost: counter\r\n\r\n")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim().to_owned())
}

/// Waits until the counter answers, as a container's program takes a moment to listen.
fn count(address: Ipv4Addr) -> String {
    let start = Instant::now();
    loop {
        match http(address, "GET /count") {
            Ok(answer) if !answer.is_empty() => return answer,
            outcome => {
                assert!(start.elapsed() < LIMIT, "the counter at {address} does not answer: {outcome:?}")
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Everything on this machine that bears one of the words: a lab's name, its bridge, its cables.
fn traces(words: &[String]) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut look = |kind, text: &str| {
        if words.iter().any(|word| text.contains(word.as_str())) {
            found.insert(kind);
        }
    };
    look("network namespace", &shell::run("ip", ["netns", "list"]).unwrap());
    look("network interface", &shell::run("ip", ["-o", "link", "show"]).unwrap());
    look("firewall rule", &shell::run("iptables-save", [""; 0]).unwrap());
    look("mount", &fs::read_to_string("/proc/self/mountinfo").unwrap());
    look("control group", &lab::paths_below(Path::new("/sys/fs/cgroup"), 2));
    look("file in /run", &lab::paths_below(Path::new("/run/ecep-lab"), 1));
    look("data", &lab::paths_below(&lab::default_data_root(), 1));
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let is_this = entry.file_name().to_string_lossy() == std::process::id().to_string();
        for file in ["cmdline", "environ", "cgroup"] {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            // A process that has ended and waits to be reaped has none of these but the last, and can do no harm.
            if !is_this && fs::read_link(entry.path().join("exe")).is_ok() {
                look("process", &String::from_utf8_lossy(&text));
            }
        }
    }
    found
}

fn words(name: &str, cloud: Ipv4Addr) -> Vec<String> {
    let subnet = cloud.octets()[2];
    vec![name.to_owned(), format!("ecepbr{subnet}:"), format!("ecep{subnet}v")]
}

/// A lab with a running container leaves nothing on the machine, whichever way it ends.
#[test]
fn leaves_nothing_behind() {
    let lab = create("gone", 1);
    lab::build_counter(lab.device(1)).unwrap();
    start_counter(lab.device(1), "counter");
    let words = words(lab.name(), lab.cloud_address());
    let all = [
        "control group",
        "data",
        "file in /run",
        "firewall rule",
        "mount",
        "network interface",
        "network namespace",
        "process",
    ];
    assert_eq!(traces(&words), BTreeSet::from(all), "the search must find what is there");
    let _alone = nobody_makes();
    lab.destroy().unwrap();
    assert_eq!(traces(&words), BTreeSet::new());
}

/// The engine is only the keeper of containers: when it is killed they go on, and it takes them up again.
#[test]
fn containers_outlive_their_engine() {
    let lab = create("outlive", 1);
    let device = lab.device(1);
    lab::build_counter(device).unwrap();
    start_counter(device, "counter");
    assert_eq!(count(device.address()), "0");
    assert_eq!(http(device.address(), "POST /add").unwrap(), "1");
    let process = device.run_docker(["inspect", "--format", "{{.State.Pid}}", "counter"]).unwrap();
    device.kill_engine().unwrap();
    assert!(device.run_docker(["ps"]).is_err(), "a killed engine answers nothing");
    assert_eq!(count(device.address()), "1");
    device.start_engine().unwrap();
    device.wait_ready().unwrap();
    let format = "{{.State.Running}} {{.State.Pid}}";
    assert_eq!(
        device.run_docker(["inspect", "--format", format, "counter"]).unwrap(),
        format!("true {process}"),
        "the same process under the new engine"
    );
    assert_eq!(count(device.address()), "1");
    device.run_docker(["stop", "counter"]).unwrap();
    lab.destroy().unwrap();
}

/// Devices see each other and the cloud's side, and pull from a registry that stands in for a hub.
#[test]
fn devices_pull_and_reach_each_other() {
    let lab = create("reach", 2);
    let registry = lab.start_registry().unwrap();
    lab::build_counter(lab.device(1)).unwrap();
    let name = lab::push_image(COUNTER_IMAGE, lab.device(1), &registry).unwrap();
    lab.device(2).run_docker(["pull", &name]).unwrap();
    lab.device(2).run_docker(["tag", &name, COUNTER_IMAGE]).unwrap();
    start_counter(lab.device(2), "counter");
    assert_eq!(count(lab.device(2).address()), "0");
    // From the other device, with nothing but a shell.
    let script = format!(
        "printf 'GET /count HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 {} 8080",
        lab.device(2).address()
    );
    let answer = shell::output(lab.device(1).command("sh").args(["-c", &script])).unwrap();
    assert!(answer.ends_with("\r\n\r\n0\n"), "{answer:?}");
    assert_ne!(
        lab.device(1).run_docker(["info", "--format", "{{.ID}}"]).unwrap(),
        lab.device(2).run_docker(["info", "--format", "{{.ID}}"]).unwrap(),
        "two engines, not one"
    );
    drop(registry);
    lab.destroy().unwrap();
}

/// A lab kept by another process, as somebody's terminal would.
struct Keeper {
    process: Child,
    name: String,
    cloud: Ipv4Addr,
}

impl Keeper {
    fn start(what: &str) -> Self {
        let _making = making();
        let name = name(what);
        let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["lab", "up", "--devices", "1", "--name", &name])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        while !said.contains("Ctrl-C takes it down") {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "the lab did not come up: {said}");
        }
        let cloud = said.split("the cloud's side is ").nth(1).and_then(|rest| rest.lines().next());
        let cloud =
            cloud.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("no address: {said}"));
        Self { process, name, cloud }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Where a test failed early it still runs; an orphaned lab is cleaned up by the next run.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a killed run left is found and removed by the next one, and a lab that somebody still uses is not touched.
#[test]
fn the_next_run_cleans_up_after_a_crash_and_only_that() {
    let bystander = create("bystander", 1);
    lab::build_counter(bystander.device(1)).unwrap();
    start_counter(bystander.device(1), "counter");
    assert_eq!(count(bystander.device(1).address()), "0");
    let mut crashed = Keeper::start("crash");
    start_counter(&lab::find_device(&crashed.name, 1).unwrap(), "counter");
    let alone = nobody_makes();
    crashed.process.kill().unwrap();
    crashed.process.wait().unwrap();
    let words = words(&crashed.name, crashed.cloud);
    assert!(traces(&words).contains("process"), "a crash leaves engines running");
    lab::remove_orphans().unwrap();
    assert_eq!(traces(&words), BTreeSet::new());
    drop(alone);
    assert_eq!(count(bystander.device(1).address()), "0");
    assert_eq!(bystander.device(1).run_docker(["ps", "--quiet"]).unwrap().lines().count(), 1);
    bystander.destroy().unwrap();
}

/// `lab down` from a second terminal asks the first one to take its lab down; nothing stays.
#[test]
fn a_lab_is_taken_down_from_outside() {
    let mut keeper = Keeper::start("outside");
    let words = words(&keeper.name, keeper.cloud);
    let name = keeper.name.clone();
    let _alone = nobody_makes();
    let taking = std::thread::spawn(move || lab::take_down(&name));
    assert!(keeper.process.wait().unwrap().success(), "the keeper ends well");
    taking.join().unwrap().unwrap();
    assert_eq!(traces(&words), BTreeSet::new());
}

/// Two labs of one name would share everything, so the second is refused with who has the first.
#[test]
fn a_taken_name_is_refused() {
    let lab = create("taken", 1);
    let error = {
        let _making = making();
        Lab::create(lab.name(), &lab::default_data_root(), 1).unwrap_err().to_string()
    };
    assert!(error.contains(&format!("owned by process {}", std::process::id())), "{error}");
    lab.device(1).wait_ready().unwrap();
    lab.destroy().unwrap();
}

/// A lab whose making fails half-way (here: no engine to start) takes away what it had made.
#[test]
fn a_failed_start_leaves_nothing() {
    let name = name("failed");
    let folder = PathBuf::from("/proc/ecep-cannot-be-made");
    let _making = making();
    Lab::create(&name, &folder, 1).unwrap_err();
    assert_eq!(traces(&[name]), BTreeSet::new());
}

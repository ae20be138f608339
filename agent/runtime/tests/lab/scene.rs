//! Two devices of a running lab (`ECEP_TEST_LAB` names it), on which the runtime is registered, with a network of the same
//! subnet and the workload's image; and the steps of a move, as an agent would take them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ecep_runtime::order::{Connections, Order, Orders, Outcome, Progress, STATE_DIR, Then};
use ecep_runtime::register::{Engine, RUNTIME_NAME};
use serde_json::Value;
use xtask::lab::{Device, find_device};
use xtask::{setup, shell};

pub const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);
const IMAGE: &str = "ecep-test/workload";
const NETWORK: &str = "ecep-test";

pub struct Scene {
    devices: [Device; 2],
    /// The octet that tells labs apart.
    subnet: u8,
}

/// The lab's devices, made ready once; none, and a line that says so, where no lab is named.
pub fn scene() -> Option<&'static Scene> {
    static SCENE: OnceLock<Option<Scene>> = OnceLock::new();
    let scene = SCENE.get_or_init(|| {
        let lab = std::env::var("ECEP_TEST_LAB").ok()?;
        let devices = [1, 2].map(|number| find_device(&lab, number).unwrap());
        let scene = Scene { subnet: devices[0].address().octets()[2], devices };
        let image = build_image();
        scene.devices.iter().for_each(|device| prepare(device, &image));
        fs::remove_file(image).unwrap();
        Some(scene)
    });
    if scene.is_none() {
        println!("skipped: ECEP_TEST_LAB names no lab (`cargo xtask lab up` makes one named \"lab\")");
    }
    scene.as_ref()
}

/// A program that cargo built beside this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.exists(),
        "{} is missing; `cargo build -p ecep-runtime --examples` makes it",
        path.display()
    );
    path
}

fn build_image() -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workload.rs");
    let mut compiler = Command::new("rustc");
    compiler.args(["--edition=2024", "-O", "-Ctarget-feature=+crt-static", "-o"]);
    shell::output(compiler.arg(folder.path().join("workload")).arg(source)).unwrap();
    let archive = std::env::temp_dir().join(format!("ecep-workload-{}.tar", std::process::id()));
    shell::output(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(folder.path()).arg("workload"))
        .unwrap();
    archive
}

fn prepare(device: &Device, image: &Path) {
    engine(device).add_runtime(RUNTIME_NAME, Path::new(env!("CARGO_BIN_EXE_ecep-runtime")), LIMIT).unwrap();
    let change = ["import", "--change", r#"ENTRYPOINT ["/workload"]"#, "--change", r#"CMD ["serve", "0"]"#];
    device.run_docker(change.into_iter().map(OsStr::new).chain([image.as_os_str(), IMAGE.as_ref()])).unwrap();
    if device.run_docker(["network", "inspect", NETWORK]).is_err() {
        let subnet = format!("10.201.{}.0/24", device.address().octets()[2]);
        let masquerade = "com.docker.network.bridge.enable_ip_masquerade=false";
        let name = "com.docker.network.bridge.name=ecept0";
        device
            .run_docker(["network", "create", "--subnet", &subnet, "-o", masquerade, "-o", name, NETWORK])
            .unwrap();
        for rule in [["-I", "DOCKER-USER", "-i", "ecept0"], ["-I", "DOCKER-USER", "-o", "ecept0"]] {
            shell::output(device.command("iptables").args(rule).args(["-j", "ACCEPT"])).unwrap();
        }
    }
}

pub fn engine(device: &Device) -> Engine {
    let home = device.docker_socket().parent().unwrap().to_owned();
    let pid = fs::read_to_string(home.join("dockerd.pid")).unwrap().trim().parse().unwrap();
    Engine { configuration: home.join("daemon.json"), socket: device.docker_socket(), pid }
}

impl Scene {
    pub fn device(&self, index: usize) -> &Device {
        &self.devices[index]
    }

    /// An address on the tenant's network. Each test has numbers of its own.
    pub fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 201, self.subnet, number)
    }

    /// Sends what is meant for an address to a device, from the outside.
    pub fn route(&self, address: Ipv4Addr, device: &Device) -> Route {
        self.point(address, device);
        Route(format!("{address}/32"))
    }

    /// Changes where a route leads.
    pub fn point(&self, address: Ipv4Addr, device: &Device) {
        let (to, via) = (format!("{address}/32"), device.address().to_string());
        shell::run("ip", ["route", "replace", &to, "via", &via]).unwrap();
    }

    /// A step on a device: `examples/step.rs`.
    pub fn step(&self, device: &Device, words: &[&str]) -> Result<Value, String> {
        let path = std::env::var_os("PATH").unwrap();
        let folders = setup::criu_folder().into_iter().chain(std::env::split_paths(&path));
        Self::run_step(device, words, &std::env::join_paths(folders).unwrap())
    }

    /// The same where no `criu` can be found.
    pub fn step_without_criu(&self, device: &Device, words: &[&str]) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(ecep_runtime::runc::find().unwrap(), folder.path().join("runc")).unwrap();
        Self::run_step(device, words, folder.path().as_os_str())
    }

    fn run_step(device: &Device, words: &[&str], path: &OsStr) -> Result<Value, String> {
        let mut variable = OsString::from("PATH=");
        variable.push(path);
        let mut command = device.command("env");
        command.arg(variable).arg(built("examples/step")).args(words);
        let said = shell::output(&mut command).map_err(|error| format!("{error:#}"))?;
        Ok(serde_json::from_str(&said).unwrap())
    }

    /// A folder on both devices' disk; a real agent would send its content.
    pub fn dump_folder(&self, container: &str) -> PathBuf {
        let folder = self.devices[0].data_dir().join(format!("dump-{container}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }
}

/// A route that goes when it is dropped.
pub struct Route(String);

impl Drop for Route {
    fn drop(&mut self) {
        let _ = shell::run("ip", ["route", "del", &self.0]);
    }
}

pub fn orders() -> Orders {
    Orders::new(STATE_DIR)
}

/// A container of the workload on one device, removed when it is dropped.
pub struct Container<'a> {
    pub scene: &'a Scene,
    pub device: &'a Device,
    pub id: String,
    pub address: Ipv4Addr,
}

impl<'a> Container<'a> {
    /// Creates it, without starting it.
    pub fn create(
        scene: &'a Scene,
        device: &'a Device,
        name: &str,
        address: Ipv4Addr,
        options: &[&str],
        command: &[&str],
    ) -> Self {
        let ip = address.to_string();
        let fixed = ["create", "--name", name, "--runtime", RUNTIME_NAME, "--network", NETWORK, "--ip", &ip];
        let words = fixed.iter().chain(options).chain(&[IMAGE]).chain(command);
        let id = device.run_docker(words).unwrap();
        Self { scene, device, id, address }
    }

    pub fn start(&self) {
        self.docker(&["start"]);
    }

    /// A docker command about this container.
    pub fn docker(&self, words: &[&str]) -> String {
        self.try_docker(words, &[]).unwrap()
    }

    pub fn try_docker(&self, before: &[&str], after: &[&str]) -> Result<String, String> {
        let words = before.iter().copied().chain([self.id.as_str()]).chain(after.iter().copied());
        self.device.run_docker(words).map_err(|error| format!("{error:#}"))
    }

    pub fn pid(&self) -> String {
        self.docker(&["inspect", "--format", "{{.State.Pid}}"])
    }

    pub fn step(&self, word: &str) -> Value {
        self.scene.step(self.device, &[word, &self.pid()]).unwrap()
    }

    /// Freezes it, cuts it off and saves it.
    pub fn save(&self, folder: &Path) -> Value {
        self.step("freeze");
        self.step("cut");
        let exec_root = self.device.exec_root();
        let words = ["dump", exec_root.to_str().unwrap(), &self.id, &self.pid(), folder.to_str().unwrap()];
        self.scene.step(self.device, &words).unwrap()
    }

    /// Orders its restore, isolated and frozen, from a folder that [`Container::save`] filled.
    pub fn order(&self, folder: &Path) {
        let order = Order {
            images: folder.join("images"),
            isolated: true,
            then: Then::Freeze,
            connections: Connections::Keep,
            waits: false,
            addresses: vec![self.address],
        };
        orders().lay(&self.id, &order).unwrap();
    }

    pub fn outcome(&self) -> Outcome {
        match orders().progress(&self.id).unwrap() {
            Some(Progress::Finished(outcome)) => outcome,
            other => panic!("the runtime left no result: {other:?}"),
        }
    }

    /// Lets a restored container out.
    pub fn release(&self) {
        self.step("reconnect");
        self.step("thaw");
        orders().clear(&self.id).unwrap();
    }

    /// What the workload says about itself, waiting until it listens.
    pub fn ask(&self) -> State {
        let start = Instant::now();
        loop {
            match self.try_ask() {
                Ok(state) => return state,
                Err(error) => assert!(start.elapsed() < LIMIT, "{} does not answer: {error}", self.address),
            }
            std::thread::sleep(POLL);
        }
    }

    pub fn try_ask(&self) -> std::io::Result<State> {
        let mut stream = TcpStream::connect_timeout(&(self.address, 9001).into(), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"?\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let words: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [number, count, hash, child] = words[..] else {
            return Err(std::io::Error::other(format!("it said {line:?}")));
        };
        Ok(State { number, count, hash, child })
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = self.try_docker(&["rm", "--force"], &[]);
        let _ = orders().clear(&self.id);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub number: u64,
    pub count: u64,
    pub hash: u64,
    pub child: u64,
}

pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(POLL);
    }
}

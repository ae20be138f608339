//! A router, a control plane and the generators of a fleet on loopback: started, killed, started again. Set up as a person sets
//! it up, over HTTP.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::http::SetupRequest;
use ecep_proto::api::name::TenantSlug;
use ecep_proto::api::realm;
use ecep_proto::api::roles::Role;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use super::Size;
use super::plan::{Plan, Tenant};
use crate::lab::Process;
use crate::stack::{Cloud, build_rust, http_client, random_word, write_secret};
use crate::{interrupt, shell, wait};

/// A program listens within a fraction of a second, with a large store on a busy machine within some.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// What is under way may end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// A thousand devices enrol, each with a certificate and a write to disk.
const ENROL_LIMIT: Duration = Duration::from_secs(600);
/// The bench takes minutes.
const TOKEN_VALID: Duration = Duration::from_secs(24 * 60 * 60);
const EMAIL: &str = "bench@ecep.local";
/// Where ports are looked for: below those that the system gives to clients, since thousands of these are in use while a
/// program that listens is killed and started again.
const PORTS: std::ops::Range<u16> = 18_100..19_900;
/// Memory that looks like a disk: a thousand devices have a thousand disks, not this machine's one.
const DEVICES_DISK: &str = "/dev/shm";

/// The built programs.
#[derive(Debug, Clone)]
pub struct Programs {
    router: PathBuf,
    dashboard_api: PathBuf,
    load: PathBuf,
}

impl Programs {
    /// Builds what is needed, and nothing else, as it is delivered.
    ///
    /// # Errors
    /// A compiler refuses.
    pub fn build_release() -> Result<Self> {
        Self::build(&["--release", "-p", "ecep-router", "-p", "ecep-dashboard-api", "-p", "ecep-agent-load"])
    }

    /// Builds beside tests, as these do: with other options the dependencies would all be compiled once more.
    ///
    /// # Errors
    /// A compiler refuses.
    pub fn build_with_tests() -> Result<Self> {
        Self::build(&["--workspace", "--tests"])
    }

    fn build(options: &[&str]) -> Result<Self> {
        let mut built: HashMap<String, PathBuf> = build_rust(options)?;
        let mut take = |name: &str| built.remove(name).with_context(|| format!("cargo built no {name}"));
        Ok(Self {
            router: take("ecep-router")?,
            dashboard_api: take("ecep-dashboard-api")?,
            load: take("ecep-agent-load")?,
        })
    }
}

/// What the router counts.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    /// Clients that were let in since its start.
    pub welcomed: u64,
    /// Clients that were refused since its start.
    pub refused: u64,
    /// Sessions on all platform realms.
    pub sessions: u64,
    /// Of these, on the control realm.
    pub control_sessions: u64,
    /// Sessions on the tenants' realms.
    pub tenant_sessions: u64,
}

impl Metrics {
    pub(super) fn read(http: &ureq::Agent, url: &str) -> Result<Self> {
        let text = http.get(url).call()?.body_mut().read_to_string()?;
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        let control_sessions: u64 = of(&format!("ecep_router_sessions{{realm=\"{}\"}}", realm::CONTROL));
        let tenant_sessions: u64 = of("ecep_router_sessions{realm=\"tenants\"}");
        Ok(Self {
            welcomed: of("ecep_router_sent_total{type=\"WELCOME\"}"),
            refused: of("ecep_router_refused_total"),
            sessions: control_sessions + tenant_sessions,
            control_sessions,
            tenant_sessions,
        })
    }
}

struct Ports {
    http: u16,
    wamp: u16,
    channel: u16,
    metrics: u16,
}

/// A running platform with its fleet. Taken down when dropped.
pub struct Platform {
    // Dropped in this order: the fleet before its cloud.
    generators: Vec<Process>,
    dashboard_api: Process,
    router: Process,
    programs: Programs,
    ports: Ports,
    folder: PathBuf,
    devices: PathBuf,
    plan: PathBuf,
    cloud: Cloud,
}

impl Platform {
    /// Starts router and control plane with an empty store in `folder`, makes the tenants, and writes the generators' plan.
    ///
    /// # Errors
    /// A program does not start, or the control plane refuses.
    pub fn start(folder: &Path, programs: Programs, size: &Size) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_secret(&folder.join("control.ticket"), &random_word()?)?;
        let ports = choose_ports()?;
        let router = start_router(folder, &programs, &ports)?;
        let mut cloud = Cloud::at(&format!("http://{}:{}", Ipv4Addr::LOCALHOST, ports.http));
        let dashboard_api = start_dashboard_api(folder, &programs, &ports, &cloud)?.0;
        let plan = set_up(folder, &mut cloud, &ports, size)?;
        let file = folder.join("plan.json");
        write_secret(&file, &serde_json::to_string(&plan)?)?;
        let devices = devices_folder(folder)?;
        Ok(Self {
            generators: Vec::new(),
            dashboard_api,
            router,
            programs,
            ports,
            folder: folder.into(),
            devices,
            plan: file,
            cloud,
        })
    }

    /// Starts so many generators, which enrol the devices and run their agents; waits until all agents have started.
    ///
    /// # Errors
    /// A device is refused.
    pub fn start_fleet(&mut self, generators: usize) -> Result<()> {
        for number in 0..generators {
            let log = self.folder.join(format!("agents-{number}.log"));
            let mut command = self.load_command();
            command
                .args(["agents", "--part", &format!("{number}/{generators}"), "--data"])
                .arg(&self.devices);
            self.generators.push(Process::start("generator", command, &log)?);
        }
        for generator in &mut self.generators {
            let log = generator.log().to_owned();
            let is_started = || {
                let text = fs::read_to_string(&log).unwrap_or_default();
                text.lines().any(|line| line.starts_with("{\"agents\":"))
            };
            generator.wait_until("running all agents", ENROL_LIMIT, is_started)?;
        }
        Ok(())
    }

    /// Runs one measurement of the generator to its end.
    ///
    /// # Errors
    /// It fails, with what it said.
    pub fn measure<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        self.begin(arguments)?.end()
    }

    /// Begins one measurement.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn begin(&self, arguments: &[&str]) -> Result<Measurement> {
        let mut command = self.load_command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let log = self.folder.join("measurements.log");
        command.stderr(fs::File::options().create(true).append(true).open(&log)?);
        let mut child = command.spawn().context("cannot start the load generator")?;
        let output = child.stdout.take().context("the generator has no output")?;
        let what = arguments.first().copied().unwrap_or_default().to_owned();
        Ok(Measurement { what, child, output: BufReader::new(output), log })
    }

    /// Stops one generator's processes where they stand, and lets them go on after `time`: its devices fall silent, and are back.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn silence(&self, generator: usize, time: Duration) -> Result<()> {
        let process = self.generators.get(generator).context("there is no such generator")?;
        let pid = i32::try_from(process.pid()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::STOP)?;
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            interrupt::wait(left);
            if interrupt::check().is_err() {
                break;
            }
        }
        kill_process(pid, Signal::CONT)?;
        interrupt::check()
    }

    /// Kills the router (SIGKILL) and starts it again; answers when it was killed, in milliseconds since 1970.
    ///
    /// # Errors
    /// It does not start again.
    pub fn restart_router(&mut self) -> Result<u64> {
        let killed = unix_ms()?;
        self.router.kill()?;
        self.router = start_router(&self.folder, &self.programs, &self.ports)?;
        Ok(killed)
    }

    /// Kills the control plane (SIGKILL) and starts it again. Answers when it was killed, in milliseconds since 1970, and how long it
    /// took until it answered, and until it served all realms.
    ///
    /// # Errors
    /// It does not start again.
    pub fn restart_control_plane(&mut self) -> Result<(u64, Duration, Duration)> {
        let killed = unix_ms()?;
        self.dashboard_api.kill()?;
        let (process, answers, joined) =
            start_dashboard_api(&self.folder, &self.programs, &self.ports, &self.cloud)?;
        self.dashboard_api = process;
        Ok((killed, answers, joined))
    }

    /// What the router counts now.
    ///
    /// # Errors
    /// It does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::read(&http_client(READY_LIMIT), &self.metrics_url())
    }

    /// Where the router tells what it counts.
    pub(super) fn metrics_url(&self) -> String {
        format!("http://{}:{}/metrics", Ipv4Addr::LOCALHOST, self.ports.metrics)
    }

    /// The router's process.
    pub(super) fn router(&self) -> u32 {
        self.router.pid()
    }

    /// The control plane's process.
    pub(super) fn dashboard_api(&self) -> u32 {
        self.dashboard_api.pid()
    }

    /// Stops everything, and removes what the devices kept.
    ///
    /// # Errors
    /// A program had to be killed.
    pub fn take_down(mut self) -> Result<()> {
        let agents = self.generators.iter_mut().map(|process| process.stop(STOP_LIMIT).map(drop));
        let stopped: Vec<Result<()>> = agents.collect();
        self.dashboard_api.stop(STOP_LIMIT)?;
        self.router.stop(STOP_LIMIT)?;
        stopped.into_iter().collect()
    }

    fn load_command(&self) -> Command {
        let mut command = Command::new(&self.programs.load);
        command.arg(&self.plan).env("RUST_LOG", "warn").env("RUST_BACKTRACE", "0");
        command
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        for generator in &mut self.generators {
            // An error means that it ended before.
            let _ = generator.kill();
        }
        // It is removed by the next restart of the machine else.
        let _ = fs::remove_dir_all(&self.devices);
    }
}

/// A measurement that is under way; killed when dropped.
pub(super) struct Measurement {
    what: String,
    child: std::process::Child,
    output: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Measurement {
    /// The next line that it tells.
    ///
    /// # Errors
    /// It has ended, with what it said.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line)?;
        interrupt::check()?;
        if read == 0 {
            let said = fs::read(&self.log).unwrap_or_default();
            bail!("{} failed: {}", self.what, shell::last_lines(&String::from_utf8_lossy(&said)));
        }
        serde_json::from_str(&line).with_context(|| format!("{} told {line}", self.what))
    }

    /// The last line that it tells.
    ///
    /// # Errors
    /// It fails, with what it said.
    pub(super) fn end<T: DeserializeOwned>(mut self) -> Result<T> {
        let told = self.next()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended ({status})", self.what);
        Ok(told)
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        // An error means that it ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start_router(folder: &Path, programs: &Programs, ports: &Ports) -> Result<Process> {
    let local = Ipv4Addr::LOCALHOST;
    let ticket = folder.join("control.ticket");
    let configuration = format!(
        "[[listen]]\nkind = \"websocket\"\naddress = \"{local}:{}\"\n\n[http]\naddress = \"{local}:{}\"\n\n\
         [platform]\ncontrol_ticket_file = {:?}\n",
        ports.wamp,
        ports.metrics,
        ticket.display().to_string()
    );
    let file = folder.join("router.toml");
    fs::write(&file, configuration)?;
    let mut command = Command::new(&programs.router);
    command.args(["run", "--config"]).arg(&file).env("RUST_LOG", "warn");
    let mut process = Process::start("router", command, &folder.join("router.log"))?;
    process.wait_until("listening", READY_LIMIT, || is_open(ports.wamp))?;
    Ok(process)
}

fn start_dashboard_api(
    folder: &Path,
    programs: &Programs,
    ports: &Ports,
    cloud: &Cloud,
) -> Result<(Process, Duration, Duration)> {
    let local = Ipv4Addr::LOCALHOST;
    let wamp = format!("ws://{local}:{}/", ports.wamp);
    let mut command = Command::new(&programs.dashboard_api);
    command.args(["run", "--listen", &format!("{local}:{}", ports.http)]);
    command.arg("--data").arg(folder.join("dashboard-api"));
    command.args(["--router", &wamp]).arg("--router-ticket-file").arg(folder.join("control.ticket"));
    command.args(["--wamp-url", &wamp, "--device-wamp-url", &wamp]);
    let channel = format!("{local}:{}", ports.channel);
    command.args(["--channel-listen", &channel, "--device-channel", &channel]);
    command.env("RUST_LOG", "warn");
    let begun = Instant::now();
    let mut process = Process::start("dashboard-api", command, &folder.join("dashboard-api.log"))?;
    process.wait_until("answering", READY_LIMIT, || cloud.is_up())?;
    let answers = begun.elapsed();
    process.wait_until("joined to the router", READY_LIMIT, || cloud.is_joined())?;
    Ok((process, answers, begun.elapsed()))
}

fn set_up(folder: &Path, cloud: &mut Cloud, ports: &Ports, size: &Size) -> Result<Plan> {
    let code = fs::read_to_string(folder.join("dashboard-api/setup-code"))
        .context("the control plane wrote no setup code")?;
    let slug = |number: u32| -> Result<TenantSlug> { Ok(format!("tenant-{number:03}").parse()?) };
    let password = random_word()?;
    cloud.set_up(&SetupRequest {
        code: code.trim().into(),
        email: EMAIL.into(),
        password: password.clone(),
        tenant: slug(1)?,
        tenant_name: "Tenant 1".into(),
    })?;
    cloud.log_in(EMAIL, &password)?;
    let mut tenants = Vec::new();
    for number in 1..=size.tenants {
        let slug = slug(number)?;
        if number > 1 {
            cloud.make_tenant(&slug, &format!("Tenant {number}"))?;
        }
        // What does not divide evenly goes to the first.
        let devices = size.devices / size.tenants + u32::from(number <= size.devices % size.tenants);
        let join_token = cloud.make_join_token(&slug, devices.max(1), TOKEN_VALID)?.secret;
        let token = cloud.make_api_token(&slug, "bench", Role::Operator, TOKEN_VALID)?;
        tenants.push(Tenant {
            slug: slug.to_string(),
            join_token,
            token_id: token.id,
            token_secret: token.secret,
            devices,
        });
        interrupt::check()?;
    }
    wait::until("the control plane serves all tenants", READY_LIMIT, || Ok(cloud.is_joined().then_some(())))?;
    let cookie = cloud.cookie().context("nobody is logged in")?.to_owned();
    let wamp = format!("ws://{}:{}/", Ipv4Addr::LOCALHOST, ports.wamp);
    Ok(Plan { cloud: cloud.url().to_owned(), wamp, cookie, tenants })
}

fn devices_folder(folder: &Path) -> Result<PathBuf> {
    let parent = Path::new(DEVICES_DISK);
    let devices = if parent.is_dir() {
        parent.join(format!("ecep-bench-{}", std::process::id()))
    } else {
        folder.join("devices")
    };
    fs::create_dir_all(&devices).with_context(|| format!("cannot make {}", devices.display()))?;
    Ok(devices)
}

fn choose_ports() -> Result<Ports> {
    // Held until all are chosen, so that they differ.
    let mut held = Vec::new();
    let mut numbers = PORTS;
    let mut next = || -> Result<u16> {
        for number in numbers.by_ref() {
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                held.push(listener);
                return Ok(number);
            }
        }
        bail!("no port of {PORTS:?} is free")
    };
    Ok(Ports { http: next()?, wamp: next()?, channel: next()?, metrics: next()? })
}

fn is_open(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

fn unix_ms() -> Result<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}

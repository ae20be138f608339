//! `ecep-agent enroll`: makes this machine a device. `ecep-agent run`: runs its agent until SIGTERM or SIGINT.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};
use ecep_agent::{
    agent::{self, Settings},
    channel, cloud,
    engine::{
        Engine,
        docker::{DEFAULT_ADDRESS, DockerEngine},
        sim::SimEngine,
    },
    facts,
    identity::{self, DeviceKey, Enrolled, Identity},
};
use ecep_runtime::register::RUNTIME_NAME;
use ecep_tls::{Fingerprint, Trust};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The agent of an ECEP edge device.
#[derive(Parser)]
#[command(name = "ecep-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make this machine a device of a tenant.
    Enroll(Enroll),
    /// Tell this machine's Docker engine of the runtime that restores moved containers.
    Setup(Setup),
    /// Run the agent of an enrolled device until SIGTERM or SIGINT; containers go on after it.
    Run(Run),
}

#[derive(Parser)]
struct Enroll {
    /// The control plane's address, such as https://cloud.example:8080
    url: String,
    /// A PEM file with the authority that certifies the control plane and the router (or with their own certificates). From then
    /// on it alone is trusted; without it, this system's authorities are
    #[arg(long, env = "ECEP_AGENT_CA", value_name = "FILE", conflicts_with = "fingerprint")]
    ca: Option<PathBuf>,
    /// The same, for the certificate with this fingerprint, which the control plane tells when it starts: sha256:…
    #[arg(long, env = "ECEP_AGENT_FINGERPRINT", value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// A file that holds the join token from the dashboard
    #[arg(long, env = "ECEP_AGENT_TOKEN_FILE")]
    token_file: PathBuf,
    /// The device's name for people
    #[arg(long, env = "ECEP_AGENT_NAME")]
    name: String,
    /// Where it stands, such as "San José"
    #[arg(long, env = "ECEP_AGENT_PLACE")]
    place: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Parser)]
struct Setup {
    /// Take the runtime back; containers that were created with it cannot be started afterwards
    #[arg(long)]
    remove: bool,
    /// The runtime program; beside this program if left out
    #[arg(long, env = "ECEP_AGENT_RUNTIME", value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// The engine's configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/docker/daemon.json")]
    engine_configuration: PathBuf,
    /// The file in which the engine keeps its process id
    #[arg(long, value_name = "FILE", default_value = "/run/docker.pid")]
    engine_pid_file: PathBuf,
    /// The engine's socket
    #[arg(long, env = "DOCKER_HOST", default_value = DEFAULT_ADDRESS)]
    docker: String,
}

#[derive(Parser)]
struct Run {
    /// Which engine; `sim` keeps its containers in memory, for tests of a fleet
    #[arg(long, env = "ECEP_AGENT_ENGINE", default_value = "docker")]
    engine: EngineKind,
    /// Where other devices bring containers that move here
    #[arg(long, env = "ECEP_AGENT_CHANNEL_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:7443")]
    channel_listen: SocketAddr,
    /// The runtime program that restores containers; beside this program if left out
    #[arg(long, env = "ECEP_AGENT_RUNTIME", value_name = "FILE")]
    runtime: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Parser)]
struct Common {
    /// The folder that holds the device's key, its identity and its policy
    #[arg(long, env = "ECEP_AGENT_DATA", default_value = "/var/lib/ecep-agent")]
    data: PathBuf,
    /// The engine's socket; given at enrolment, it is remembered
    #[arg(long, env = "DOCKER_HOST")]
    docker: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineKind {
    /// Docker, through its socket.
    Docker,
    /// In memory.
    Sim,
}

/// Engine calls that are under way at the end may take this long; then the process goes all the same.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// An engine reads its configuration again within a second; a busy small one needs longer.
const RELOAD_LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The sentence is for the person at the terminal; where in the program it arose is not.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    ecep_link::start_log().context("RUST_LOG cannot be read")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    let outcome = runtime.block_on(async {
        match Arguments::parse().command {
            Command::Enroll(enroll) => enrol(enroll).await,
            Command::Run(run) => run_agent(run).await,
            Command::Setup(setup) => set_up(&setup),
        }
    });
    runtime.shutdown_timeout(SHUTDOWN);
    outcome
}

async fn enrol(enroll: Enroll) -> anyhow::Result<()> {
    let Enroll { url, ca, fingerprint, token_file, name, place, common } = enroll;
    let cloud = url.trim_end_matches('/').to_owned();
    let is_tls = cloud.starts_with("https://");
    if !is_tls && !cloud.starts_with("http://") {
        bail!(
            "{url} is no address of a control plane; it begins with https:// (or http://, over a private network or a VPN)"
        );
    }
    if !is_tls && (ca.is_some() || fingerprint.is_some()) {
        bail!("{url} is an address without TLS, so --ca and --fingerprint say nothing; use https://");
    }
    let trust = trust(ca.as_deref(), fingerprint)?;
    identity::must_be_new(&common.data)?;
    let token = fs::read_to_string(&token_file)
        .with_context(|| format!("cannot read the join token from {}", token_file.display()))?;
    let token = token.trim();
    if token.is_empty() {
        bail!("{} is empty; put the join token from the dashboard into it", token_file.display());
    }
    let engine = common.docker.unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    let facts = facts::gather(DockerEngine::new(&engine)?.facts().await);
    let reachable = facts.engine.reachable;
    let key = DeviceKey::load_or_create(&common.data)?;
    let reply = cloud::enrol(&cloud, &trust, token, &key, &name, place.as_deref(), facts).await?;
    let pins = trust.pins();
    let enrolled = Enrolled { device: reply.device, cloud, engine, pinned: pins.is_some() };
    if let Some(pins) = pins {
        identity::pin(&common.data, &pins)?;
    }
    if let Some(papers) = &reply.papers {
        channel::save(&common.data, papers)?;
    }
    identity::store(&common.data, &enrolled)?;
    let mut out = std::io::stdout();
    writeln!(out, "enrolled as {} of {}", enrolled.device, reply.tenant_name)?;
    if !reachable {
        writeln!(out, "no engine answers at {} yet; the agent will wait for it", enrolled.engine)?;
    }
    writeln!(out, "next: ecep-agent run --data {}", common.data.display())?;
    Ok(())
}

/// Whom this device will believe.
fn trust(ca: Option<&Path>, fingerprint: Option<Fingerprint>) -> anyhow::Result<Trust> {
    match (ca, fingerprint) {
        (Some(path), _) => {
            let pem = fs::read(path)
                .with_context(|| format!("cannot read the authority from {}", path.display()))?;
            Trust::pinned(&pem).with_context(|| format!("{} is of no use", path.display()))
        }
        (None, Some(fingerprint)) => Ok(Trust::fingerprint(fingerprint)),
        (None, None) => Ok(Trust::system()),
    }
}

/// The runtime that is installed beside this program.
fn runtime_program(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given {
        Some(path) => Ok(std::path::absolute(path)?),
        None => Ok(std::env::current_exe().context("cannot find myself")?.with_file_name("ecep-runtime")),
    }
}

fn set_up(setup: &Setup) -> anyhow::Result<()> {
    let Some(socket) = setup.docker.strip_prefix("unix://") else {
        bail!("{} is no address of a Docker engine on this device", setup.docker);
    };
    let text = fs::read_to_string(&setup.engine_pid_file)
        .with_context(|| format!("cannot read {}; does the engine run?", setup.engine_pid_file.display()))?;
    let pid = text
        .trim()
        .parse()
        .with_context(|| format!("{} holds no process id", setup.engine_pid_file.display()))?;
    let engine = ecep_runtime::register::Engine {
        configuration: setup.engine_configuration.clone(),
        socket: socket.into(),
        pid,
    };
    let mut out = std::io::stdout();
    if setup.remove {
        engine.remove_runtime(RUNTIME_NAME, RELOAD_LIMIT)?;
        writeln!(out, "the engine does not know the runtime {RUNTIME_NAME} any more")?;
        return Ok(());
    }
    let program = runtime_program(setup.runtime.clone())?;
    if !program.is_file() {
        bail!("{} is missing; install it beside the agent, or name it with --runtime", program.display());
    }
    engine.add_runtime(RUNTIME_NAME, &program, RELOAD_LIMIT)?;
    writeln!(out, "the engine knows the runtime {RUNTIME_NAME}: new containers can be moved live")?;
    Ok(())
}

async fn run_agent(Run { engine, channel_listen, runtime, common }: Run) -> anyhow::Result<()> {
    let identity = Identity::load(&common.data)?;
    let _alone = identity::RunLock::take(&common.data)?;
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopping.cancel();
    });
    let settings = Settings { data: common.data.clone(), channel_listen, runtime: runtime_program(runtime)? };
    match engine {
        EngineKind::Docker => {
            let address = common.docker.unwrap_or_else(|| identity.enrolled.engine.clone());
            agent::run(identity, Arc::new(DockerEngine::new(&address)?), settings, stop).await?;
        }
        EngineKind::Sim => agent::run(identity, Arc::new(SimEngine::default()), settings, stop).await?,
    }
    Ok(())
}

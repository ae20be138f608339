//! The whole platform on a lab: router and control plane on the cloud's side, an agent on each device, a tenant, its
//! people's login and tokens. It is set up the way a person sets it up: by the programs' command lines, the control
//! plane's HTTP interface and stock WAMP clients. Nothing of the platform is linked in but the catalogue.

mod client;
mod cloud;
mod containers;
mod moves;
mod ports;
mod programs;
mod supervisor;
mod uploads;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ecep_proto::api::device::{DeviceView, Liveness};
use ecep_proto::api::http::SetupRequest;
use ecep_proto::api::name::{DeviceId, TenantSlug};
use ecep_proto::api::reply::Nothing;
use ecep_proto::api::roles::Role;
use ecep_proto::api::{DeviceInfo, DeviceList, realm};

pub use client::{Client, Language, Timed, WampError, Watch};
pub use cloud::http_client;
pub use cloud::{Cloud, Refused};
pub use containers::ask_counter;
pub use moves::{Counting, Route, read_answer};
pub use programs::Programs;
pub(crate) use programs::build_rust;
pub use supervisor::Supervisor;
pub use uploads::Upload;

use crate::lab::{self, Device, Lab, Registry, System};
use crate::report::Report;
use crate::{setup, shell, wait};

/// The names of the supervised programs; an agent's is [`agent_name`].
pub const ROUTER: &str = "router";
/// See [`ROUTER`].
pub const DASHBOARD_API: &str = "dashboard-api";

/// The demonstration's account.
const EMAIL: &str = "demo@ecep.local";

/// Two places, so that the dashboard has something to tell apart.
const PLACES: [&str; 2] = ["San José", "Oakland"];

/// A program listens within a fraction of a second; a busy two-core machine needs more.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// An agent enrols, connects and reports within about two seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// A probe of a program on this machine.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// The demonstration may run for a day, and is over then.
const TOKEN_VALID: Duration = Duration::from_secs(24 * 60 * 60);

/// A login.
#[derive(Debug, Clone)]
pub struct Login {
    /// The account.
    pub email: String,
    /// Its password, made for this stack.
    pub password: String,
}

/// A running platform; taken down when dropped.
pub struct Stack {
    // Dropped in this order: who restarts, what runs, what it runs on.
    supervisor: Supervisor,
    registry: Registry,
    lab: Arc<Lab>,
    programs: Programs,
    cloud: Cloud,
    login: Login,
    tenant: TenantSlug,
    wamp_port: u16,
    devices: Vec<DeviceId>,
    operator: Client,
    telemetry: Client,
    spent_join_token: PathBuf,
    pulled_image: String,
}

/// Where the cloud's programs listen: on loopback for browsers, and at the lab's cloud address for devices.
struct Ports {
    http: u16,
    wamp: u16,
    channel: u16,
}

impl Stack {
    /// Brings the platform up on a lab of `devices` devices like this machine; see [`Stack::start_on`].
    ///
    /// # Errors
    /// See [`Stack::start_on`].
    pub fn start(
        report: &mut Report,
        name: &str,
        data_root: &Path,
        devices: u8,
        build: fn() -> Result<Programs>,
    ) -> Result<Self> {
        Self::start_on(report, name, data_root, &vec![System::Machine; devices.into()], None, build)
    }

    /// Sets the machine up, builds (with one of the functions of [`Programs`]), makes a lab of such devices, each with a disk of
    /// its own of so many bytes if that is said, and brings everything up on it, each step in the report.
    /// [`lab::COUNTER_IMAGE`] is on the first device; every device can pull [`Stack::pulled_image`].
    ///
    /// # Errors
    /// A step fails, which the report then names; what was made is removed again.
    pub fn start_on(
        report: &mut Report,
        name: &str,
        data_root: &Path,
        systems: &[System],
        disk_bytes: Option<u64>,
        build: fn() -> Result<Programs>,
    ) -> Result<Self> {
        report.step("set-up", || {
            lab::check_root()?;
            setup::run()?;
            Ok(((), "nothing is missing".into()))
        })?;
        let programs = report.step("build", || Ok((build()?, "web application and programs".into())))?;
        let lab = report.step("lab", || start_lab(name, data_root, systems, disk_bytes))?;
        let (registry, pulled_image) = report.step("sample images", || start_registry(&lab))?;
        let secrets = lab.data_dir().join("secrets");
        fs::create_dir_all(&secrets)?;
        let ports = ports::choose(lab.cloud_address())?;
        let supervisor = Supervisor::new(lab.data_dir())?;
        let ticket = secrets.join("control.ticket");
        write_secret(&ticket, &random_word()?)?;
        report.step("router", || start_router(&supervisor, &lab, &programs, &ports, &ticket))?;
        let mut cloud = report
            .step("control plane", || start_dashboard_api(&supervisor, &lab, &programs, &ports, &ticket))?;
        let tenant: TenantSlug = "acme".parse()?;
        let login = report.step("first account", || first_account(&mut cloud, &lab, &tenant))?;
        let client = |name: &str, role| make_client(&cloud, &secrets, &tenant, ports.wamp, name, role);
        let (operator, telemetry) = report.step("tokens", || {
            let clients = (client("operator", Role::Operator)?, client("telemetry", Role::Telemetry)?);
            Ok((clients, "an API token that may change things and one that may only watch".into()))
        })?;
        let uses = u32::try_from(systems.len())?;
        let join_token = cloud.make_join_token(&tenant, uses, TOKEN_VALID)?;
        let spent_join_token = secrets.join("join-token");
        write_secret(&spent_join_token, &join_token.secret)?;
        let mut stack = Self {
            supervisor,
            registry,
            lab,
            programs,
            cloud,
            login,
            tenant,
            wamp_port: ports.wamp,
            devices: Vec::new(),
            operator,
            telemetry,
            spent_join_token,
            pulled_image,
        };
        for number in stack.lab.devices().iter().map(Device::number).collect::<Vec<_>>() {
            report.step(&format!("enrol edge-{number}"), || stack.enrol(number))?;
        }
        report.step("devices connected", || stack.wait_connected())?;
        Ok(stack)
    }

    /// What it runs on.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What stands in for a public hub.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The built programs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Who keeps the programs running, and can kill one.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The control plane, logged in as [`Stack::login`].
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The first account.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// The tenant that owns the devices.
    pub fn tenant(&self) -> &TenantSlug {
        &self.tenant
    }

    /// The ids of the devices, in the order of their numbers.
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices
    }

    /// The id of a device by its number, counted from 1.
    ///
    /// # Panics
    /// There is no such device.
    pub fn id(&self, number: u8) -> &DeviceId {
        &self.devices[usize::from(number) - 1]
    }

    /// A stock client that may change things.
    pub fn operator(&self) -> &Client {
        &self.operator
    }

    /// A stock client that may only watch.
    pub fn telemetry(&self) -> &Client {
        &self.telemetry
    }

    /// The join token by which the devices came in; it has no use left.
    pub fn spent_join_token(&self) -> &Path {
        &self.spent_join_token
    }

    /// The name under which every device can pull the sample application.
    pub fn pulled_image(&self) -> &str {
        &self.pulled_image
    }

    /// What the browser's programs in `web/e2e` want to know of it, as environment variables.
    pub fn browsers_surroundings(&self) -> [(&'static str, OsString); 5] {
        [
            ("ECEP_URL", self.cloud.url().into()),
            ("ECEP_EMAIL", self.login.email.clone().into()),
            ("ECEP_PASSWORD", self.login.password.clone().into()),
            ("ECEP_IMAGE", self.pulled_image.clone().into()),
            ("ECEP_AGENT", self.programs.agent.clone().into()),
        ]
    }

    /// The router's address for clients on this machine.
    pub fn wamp_url(&self) -> String {
        wamp_url(Ipv4Addr::LOCALHOST, self.wamp_port)
    }

    /// A stock client with an API token of its own.
    ///
    /// # Errors
    /// The control plane refuses.
    pub fn client(&self, tenant: &TenantSlug, name: &str, role: Role) -> Result<Client> {
        make_client(&self.cloud, &self.secrets(), tenant, self.wamp_port, name, role)
    }

    /// A stock client with that secret, whatever it is worth.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn client_with(&self, tenant: &TenantSlug, authid: &str, secret: &str) -> Result<Client> {
        client_with(&self.secrets(), tenant, self.wamp_port, authid, secret)
    }

    /// Waits until the router takes connections, and answers at which address.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_router(&self) -> Result<SocketAddr> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.wamp_port));
        wait::until("the router listens", READY_LIMIT, || Ok(listens(address).then_some(address)))
    }

    /// Waits until the control plane serves all realms.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_control_plane(&self) -> Result<()> {
        wait::until("the control plane is joined to the router", READY_LIMIT, || {
            Ok(self.cloud.is_joined().then_some(()))
        })
    }

    /// Waits until the control plane says, through a stock client, that every device is connected.
    ///
    /// # Errors
    /// One is not.
    pub fn wait_connected(&self) -> Result<((), String)> {
        let views = wait::until("all devices are connected", CONNECT_LIMIT, || {
            let views = self.operator.ask::<DeviceList>(&Nothing {})?.devices;
            let connected = |id: &DeviceId| {
                views.iter().any(|view| view.id == *id && view.liveness == Liveness::Connected)
            };
            if !self.devices.iter().all(connected) {
                bail!("{}", views.iter().map(told).collect::<Vec<_>>().join(", "));
            }
            Ok(Some(views))
        })?;
        Ok(((), views.iter().map(told).collect::<Vec<_>>().join(", ")))
    }

    /// Waits until a device serves its tenant. After its agent was killed, whoever answers is the next one; what the control plane
    /// says of the device is of the last one for some seconds.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_served(&self, number: u8) -> Result<()> {
        wait::until("the device serves its tenant", CONNECT_LIMIT, || {
            self.operator.call::<DeviceInfo>(self.id(number), &Nothing {}).map(Some)
        })
        .map(drop)
    }

    /// Runs `ecep-agent enroll` in a device; the key and the settings go to a folder of that name in its data folder.
    ///
    /// # Errors
    /// The control plane refuses, with what the agent printed.
    pub fn run_enrol(&self, device: &Device, folder: &str, token_file: &Path) -> Result<String> {
        let number = device.number();
        let place = PLACES[usize::from(number - 1) % PLACES.len()];
        let mut command = device.command(&self.programs.agent);
        command.args(["enroll", &self.device_api_url(), "--token-file"]).arg(token_file);
        command.args(["--name", &format!("edge-{number}"), "--place", place]);
        command.arg("--data").arg(device.data_dir().join(folder));
        shell::output(&mut command)
    }

    /// Runs `ecep-agent setup` in a device, with these options.
    ///
    /// # Errors
    /// It refuses, with what it printed.
    pub fn run_setup(&self, device: &Device, options: &[&str]) -> Result<String> {
        let mut command = device.command(&self.programs.agent);
        command.arg("setup").args(options).arg("--runtime").arg(&self.programs.runtime);
        command.arg("--engine-configuration").arg(device.engine_configuration_file());
        command.arg("--engine-pid-file").arg(device.engine_pid_file());
        shell::output(&mut command)
    }

    /// Starts an agent that was enrolled into that folder, supervised under that name; its log is `<name>.log` in the
    /// device's data folder.
    ///
    /// # Errors
    /// It does not start.
    pub fn run_agent(&self, number: u8, folder: &str) -> Result<()> {
        let (lab, program) = (Arc::clone(&self.lab), self.programs.agent.clone());
        let runtime = self.programs.runtime.clone();
        // CRIU of our own comes first where the machine's is not good enough.
        let path = lab::engine_path()?;
        let name = format!("{folder}-{number}");
        let log = name.clone();
        let folder = folder.to_owned();
        self.supervisor.add(
            &name,
            READY_LIMIT,
            || true,
            move || {
                let device = lab.device(number);
                device.spawn(&log, &program, |command| {
                    command.arg("run").arg("--data").arg(device.data_dir().join(&folder));
                    command.arg("--runtime").arg(&runtime).env("PATH", &path);
                })
            },
        )
    }

    /// Takes everything down.
    ///
    /// # Errors
    /// A program had to be killed, or something of the lab would not go.
    pub fn take_down(self) -> Result<()> {
        let stopped = self.supervisor.stop();
        drop(self.registry);
        let lab = Arc::into_inner(self.lab).context("somebody still holds the lab")?;
        lab.destroy()?;
        stopped
    }

    fn secrets(&self) -> PathBuf {
        self.lab.data_dir().join("secrets")
    }

    /// The control plane's address for devices, and for whoever else is on the lab's network.
    pub fn device_api_url(&self) -> String {
        let port = self.cloud.url().rsplit(':').next().unwrap_or_default();
        format!("http://{}:{port}", self.lab.cloud_address())
    }

    fn enrol(&mut self, number: u8) -> Result<((), String)> {
        let device = self.lab.device(number);
        let before = self.device_views()?;
        self.run_setup(device, &[])?;
        self.run_enrol(device, "agent", &self.spent_join_token)?;
        let after = self.device_views()?;
        let new = after.into_iter().find(|view| before.iter().all(|old| old.id != view.id));
        let new = new.context("the control plane lists no new device")?;
        let detail = format!("{} at {} is {}", new.name, new.place.as_deref().unwrap_or("no place"), new.id);
        self.devices.push(new.id);
        self.run_agent(number, "agent")?;
        Ok(((), detail))
    }

    fn device_views(&self) -> Result<Vec<DeviceView>> {
        Ok(self.operator.ask::<DeviceList>(&Nothing {})?.devices)
    }
}

/// The supervised name of a device's agent.
pub fn agent_name(number: u8) -> String {
    format!("agent-{number}")
}

fn told(view: &DeviceView) -> String {
    format!("{} ({}) {:?}", view.name, view.id, view.liveness).to_lowercase()
}

fn start_lab(
    name: &str,
    data_root: &Path,
    systems: &[System],
    disk_bytes: Option<u64>,
) -> Result<(Arc<Lab>, String)> {
    let lab = Lab::create_of(name, data_root, systems, disk_bytes)?;
    let addresses: Vec<String> = lab.devices().iter().map(|device| device.address().to_string()).collect();
    let devices = addresses.len();
    Ok((Arc::new(lab), format!("{devices} devices with engines of their own at {}", addresses.join(", "))))
}

fn start_registry(lab: &Lab) -> Result<((Registry, String), String)> {
    let registry = lab.start_registry()?;
    lab::build_counter(lab.device(1))?;
    lab::build_large(lab.device(1))?;
    let pulled = lab::push_image(lab::LARGE_IMAGE, lab.device(1), &registry)?;
    let detail = format!("{} is on the first device; all can pull {pulled}", lab::COUNTER_IMAGE);
    Ok(((registry, pulled), detail))
}

fn start_router(
    supervisor: &Supervisor,
    lab: &Arc<Lab>,
    programs: &Programs,
    ports: &Ports,
    ticket: &Path,
) -> Result<((), String)> {
    let addresses = [Ipv4Addr::LOCALHOST, lab.cloud_address()].map(|ip| SocketAddr::from((ip, ports.wamp)));
    // The dashboard's pages, whichever way they are opened, and those of a development server beside it.
    let pages = format!("[\"loopback\", \"http://{}:{}\"]", lab.cloud_address(), ports.http);
    let listen = |address: SocketAddr| {
        format!("[[listen]]\nkind = \"websocket\"\naddress = \"{address}\"\nallowed_origins = {pages}\n\n")
    };
    let mut configuration: String = addresses.into_iter().map(listen).collect();
    configuration += &format!("[platform]\ncontrol_ticket_file = {:?}\n", ticket.display().to_string());
    let file = lab.data_dir().join("router.toml");
    fs::write(&file, configuration)?;
    let (lab, program) = (Arc::clone(lab), programs.router.clone());
    supervisor.add(
        ROUTER,
        READY_LIMIT,
        || addresses.into_iter().all(listens),
        move || {
            lab.spawn(ROUTER, &program, |command| {
                command.arg("run").arg("--config").arg(&file);
            })
        },
    )?;
    Ok(((), format!("listens at {} and {}", addresses[0], addresses[1])))
}

fn start_dashboard_api(
    supervisor: &Supervisor,
    lab: &Arc<Lab>,
    programs: &Programs,
    ports: &Ports,
    ticket: &Path,
) -> Result<(Cloud, String)> {
    let cloud = Cloud::at(&format!("http://{}:{}", Ipv4Addr::LOCALHOST, ports.http));
    let browser_wamp = wamp_url(Ipv4Addr::LOCALHOST, ports.wamp);
    let device_wamp = wamp_url(lab.cloud_address(), ports.wamp);
    let listen = [Ipv4Addr::LOCALHOST, lab.cloud_address()].map(|ip| format!("{ip}:{}", ports.http));
    let channel = format!("{}:{}", lab.cloud_address(), ports.channel);
    let (held, program, ticket) = (Arc::clone(lab), programs.dashboard_api.clone(), ticket.to_owned());
    supervisor.add(
        DASHBOARD_API,
        READY_LIMIT,
        || cloud.is_joined(),
        move || {
            held.spawn(DASHBOARD_API, &program, |command| {
                command.args(["run", "--listen", &listen[0], "--listen", &listen[1]]);
                command.arg("--data").arg(held.data_dir().join(DASHBOARD_API));
                command.args(["--router", &browser_wamp]).arg("--router-ticket-file").arg(&ticket);
                command.args(["--wamp-url", &browser_wamp, "--device-wamp-url", &device_wamp]);
                command.args(["--address-pool", &held.address_pool()]);
                command.args(["--channel-listen", &channel, "--device-channel", &channel]);
            })
        },
    )?;
    let detail = format!("{} serves the web application and has joined the router", cloud.url());
    Ok((cloud, detail))
}

fn first_account(cloud: &mut Cloud, lab: &Lab, tenant: &TenantSlug) -> Result<(Login, String)> {
    let code = fs::read_to_string(lab.data_dir().join(DASHBOARD_API).join("setup-code"))
        .context("the control plane wrote no setup code")?;
    let login = Login { email: EMAIL.into(), password: random_word()? };
    cloud.set_up(&SetupRequest {
        code: code.trim().into(),
        email: login.email.clone(),
        password: login.password.clone(),
        tenant: tenant.clone(),
        tenant_name: "Acme".into(),
    })?;
    let view = cloud.log_in(&login.email, &login.password)?;
    Ok((login, format!("{} is logged in and owns {}", view.email, view.memberships[0].tenant)))
}

fn make_client(
    cloud: &Cloud,
    secrets: &Path,
    tenant: &TenantSlug,
    wamp_port: u16,
    name: &str,
    role: Role,
) -> Result<Client> {
    let token = cloud.make_api_token(tenant, name, role, TOKEN_VALID)?;
    client_with(secrets, tenant, wamp_port, &token.id, &token.secret)
}

fn client_with(
    secrets: &Path,
    tenant: &TenantSlug,
    wamp_port: u16,
    authid: &str,
    secret: &str,
) -> Result<Client> {
    let ticket_file = secrets.join(format!("{authid}.ticket"));
    write_secret(&ticket_file, secret)?;
    let url = wamp_url(Ipv4Addr::LOCALHOST, wamp_port);
    Ok(Client { url, realm: realm::of_tenant(tenant), authid: authid.into(), ticket_file })
}

fn wamp_url(address: Ipv4Addr, port: u16) -> String {
    format!("ws://{address}:{port}/")
}

fn listens(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, PROBE_LIMIT).is_ok()
}

/// Writes a file that only we can read.
pub(crate) fn write_secret(file: &Path, secret: &str) -> Result<()> {
    let opened = fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(file);
    let mut opened = opened.with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(opened, "{secret}").with_context(|| format!("cannot write {}", file.display()))
}

/// 122 random bits, as the kernel makes them.
pub(crate) fn random_word() -> Result<String> {
    let word =
        fs::read_to_string("/proc/sys/kernel/random/uuid").context("the kernel gives no random number")?;
    Ok(word.trim().to_owned())
}

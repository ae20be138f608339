//! Measures moves: a client outside polls a container every ten milliseconds over one TCP connection while it goes from one
//! device to the other, in all ways by turns. What it measures is what a person at the other end of the connection notices.
//! Every move has a container of its own, which is then alone on the devices.

mod carry;
mod cells;
mod chart;
pub mod control_plane;
mod cpu;
mod goals;
mod kept;
mod link;
mod ours;
pub mod paper;
mod plain;
mod plot;
mod podman;
mod polling;
pub mod router;
mod rows;
mod serving;
mod subject;
pub mod web;
mod wire;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_proto::api::migration::MigrationMode;

pub use cells::{Cell, Way, all, crossed};
pub use link::Link;
pub use plot::write as write_plots;
pub use rows::{Figures, Row};

use crate::lab::Device;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::{interrupt, shell, workspace};
use cpu::Cpu;
use ours::Ours;
use plain::Plain;
use podman::Podman;
use polling::Polling;
use serving::Serving;
use subject::{Subject, milliseconds};
use wire::Wire;

/// What is to be measured.
#[derive(Debug)]
pub struct Wanted {
    /// Which containers over which links.
    pub cells: Vec<Cell>,
    /// In which ways.
    pub ways: Vec<Way>,
    /// How often.
    pub rounds: u32,
    /// Whether a container's requests beside a move are counted too.
    pub serving: bool,
}

/// Moves containers. `kept` are the figures of earlier runs; `take` gets new ones as soon as a cell has them all.
///
/// # Errors
/// The platform does not come up, or somebody pressed Ctrl-C. A move that fails is told in its row.
pub fn migration(
    data_root: &Path,
    wanted: &Wanted,
    kept: &Figures,
    mut take: impl FnMut(Figures) -> Result<()>,
) -> Result<()> {
    let mut report = Report::new();
    let stack = Stack::start(&mut report, "bench", data_root, 2, Programs::build_release)?;
    measure(&stack, wanted, kept, &mut take)?;
    stack.take_down()
}

fn measure(
    stack: &Stack,
    wanted: &Wanted,
    kept: &Figures,
    take: &mut dyn FnMut(Figures) -> Result<()>,
) -> Result<()> {
    let (date, commit) = (today()?, commit()?);
    let devices = stack.lab().devices();
    // Nobody's image travels while it is measured.
    crate::lab::copy_image(crate::lab::COUNTER_IMAGE, &devices[0], &devices[1])?;
    let cpus = devices.iter().map(Cpu::of).collect::<Result<Vec<_>>>()?;
    let _route = stack.route_through(1)?;
    let mut ways = wanted.ways.clone();
    if ways.contains(&Way::Podman) && !podman::is_installed() {
        eprintln!("podman is not installed: skipped");
        ways.retain(|way| *way != Way::Podman);
    }
    let is_asked = ways.contains(&Way::Podman);
    let podman = is_asked.then(|| Podman::prepare(stack.lab(), &cpus)).transpose()?;
    let bench = Bench { stack, cpus: &cpus, plain: Plain::prepare(stack.lab(), &cpus)?, podman };
    if wanted.serving {
        let serving = serving::measure(stack, wanted.rounds)?;
        let serving = Serving { date: date.clone(), commit: commit.clone(), ..serving };
        take(Figures { rows: Vec::new(), serving: Some(serving) })?;
    }
    for cell in &wanted.cells {
        let rows = ways.iter().map(|way| {
            let rounds = cells::rounds(*way, cell.link, wanted.rounds, kept.row(*cell, *way).is_some());
            (Row::new(*cell, *way, &date, &commit), rounds)
        });
        let mut rows: Vec<(Row, u32)> = rows.filter(|(_, rounds)| *rounds > 0).collect();
        for round in 0..wanted.rounds {
            for (row, _) in rows.iter_mut().filter(|(_, rounds)| round < *rounds) {
                bench.round(row, round)?;
            }
        }
        take(Figures { rows: rows.into_iter().map(|(row, _)| row).collect(), serving: None })?;
    }
    Ok(())
}

/// What moves need.
struct Bench<'a> {
    stack: &'a Stack,
    cpus: &'a [Cpu],
    plain: Plain<'a>,
    podman: Option<Podman<'a>>,
}

impl Bench<'_> {
    /// Moves one container once; to and fro by turns.
    fn round(&self, row: &mut Row, round: u32) -> Result<()> {
        let (from, to) = if round.is_multiple_of(2) { (1, 2) } else { (2, 1) };
        let moved = self.subject(row, from).and_then(|mut subject| {
            let moved = self.once(row, subject.as_mut(), from, to);
            subject.remove().and(moved)
        });
        interrupt::check()?;
        let told = match moved {
            Ok(()) => format!("longest wait {} ms", row.longest_wait_ms.last().copied().unwrap_or_default()),
            Err(error) => {
                let told = format!("FAILED: {error:#}");
                row.failures.push(format!("{error:#}"));
                told
            }
        };
        eprintln!("{}, {}, round {round}: {told}", row.cell, row.way);
        Ok(())
    }

    fn subject(&self, row: &Row, at: u8) -> Result<Box<dyn Subject + '_>> {
        Ok(match row.way {
            Way::Live => Box::new(Ours::create(self.stack, &row.cell, MigrationMode::Live, at)?),
            Way::Cold => Box::new(Ours::create(self.stack, &row.cell, MigrationMode::Cold, at)?),
            Way::Plain => Box::new(self.plain.create(&row.cell, at)?),
            Way::Podman => {
                let podman = self.podman.as_ref().context("podman is not installed")?;
                Box::new(podman.create(&row.cell, at)?)
            }
        })
    }

    fn once(&self, row: &mut Row, subject: &mut dyn Subject, from: u8, to: u8) -> Result<()> {
        let _shaped = row.cell.link.shape(self.stack.lab())?;
        let wire = Wire::out_of(self.stack.lab().device(from));
        let polling = Polling::start(subject.address(), wire.clone())?;
        let (bytes, cpu) = (wire.bytes()?, self.used(from, to)?);
        let took = subject.go(to)?;
        let seen = polling.stop()?;
        let used = self.used(from, to)?;
        ensure!(
            !(row.way.keeps_memory() && seen.began_anew),
            "the container began anew: its memory did not come along"
        );
        row.longest_wait_ms.push(milliseconds(seen.longest));
        row.downtime_ms.push(took.downtime_ms);
        row.total_ms.push(took.total_ms);
        row.bytes_before.push(seen.bytes_at_ask.saturating_sub(bytes));
        row.bytes_during.push(seen.bytes_at_answer - seen.bytes_at_ask);
        row.cpu_source_ms.push(milliseconds(used.0.saturating_sub(cpu.0)));
        row.cpu_destination_ms.push(milliseconds(used.1.saturating_sub(cpu.1)));
        row.connections.push(seen.connections);
        row.phases = took.phases;
        Ok(())
    }

    fn used(&self, from: u8, to: u8) -> Result<(Duration, Duration)> {
        let of = |number: u8| self.cpus[usize::from(number) - 1].used();
        Ok((of(from)?, of(to)?))
    }
}

/// Lets a baseline's network through the device's firewall, as the agent does for a tenant's.
fn accept(device: &Device, subnet: Ipv4Addr) -> Result<()> {
    let network = format!("{subnet}/24");
    for end in ["-s", "-d"] {
        let rule = ["-w", "-I", "DOCKER-USER", end, &network, "-j", "ACCEPT"];
        shell::output(device.command("iptables").args(rule))?;
    }
    Ok(())
}

fn today() -> Result<String> {
    Ok(shell::run("date", ["-u", "+%F"])?.trim().to_owned())
}

/// What is measured, marked where it is not quite what was committed.
fn commit() -> Result<String> {
    let mut command = std::process::Command::new("git");
    command.current_dir(workspace()).args(["describe", "--always", "--dirty", "--exclude", "*"]);
    Ok(shell::output(&mut command)?.trim().to_owned())
}

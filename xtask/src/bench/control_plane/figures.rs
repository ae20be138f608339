//! The figures of one run, and what they should be.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cost::Memory;
use super::storm::Storm;
use crate::bench::kept;

/// How times are spread, in milliseconds; see the generator.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Half are no longer.
    pub p50_ms: f64,
    /// Of a hundred 99 are no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// How the platform was filled.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Fleet {
    /// Router and control plane started, the tenants with their tokens made.
    pub set_up_seconds: f64,
    /// All devices enrolled, and their agents started.
    pub enrol_seconds: f64,
    /// How many were created over WAMP.
    pub containers: usize,
    /// All of them.
    pub create_seconds: f64,
    /// Each order until its answer.
    pub create_order: Option<Spread>,
}

/// What the programs cost while nothing happens but reports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cost {
    /// The router's memory.
    pub router: Memory,
    /// The control plane's.
    pub control_plane: Memory,
    /// Cores that the router uses.
    pub router_cores: f64,
    /// Cores that the control plane uses.
    pub control_plane_cores: f64,
    /// Programs that wanted a processor meanwhile, the generators among them.
    pub load_of_machine: f64,
}

/// How long people wait for lists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Lists {
    /// `ecep.container.list`.
    pub containers: Option<Spread>,
    /// `ecep.device.list`.
    pub devices: Option<Spread>,
    /// `GET /api/session`.
    pub http: Option<Spread>,
    /// Rows of all answers.
    pub rows: usize,
}

/// Containers that are stopped and started.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Until the order was answered.
    pub answered: Option<Spread>,
    /// Until a subscriber was told of the change.
    pub told: Option<Spread>,
}

/// A quarter of the fleet falls silent at once, and is back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Silence {
    /// From the moment on which a silent device was stale until its tenant was told.
    pub stale: Option<Spread>,
    /// From the moment on which it was offline; none if it was not silent for so long.
    pub offline: Option<Spread>,
    /// From the report by which it was back.
    pub connected: Option<Spread>,
}

/// How a fleet comes back after a program was killed and started again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Restart {
    /// From the kill until the control plane had heard of each device.
    pub heard: Option<Spread>,
    /// From the kill until each device answered its tenant with all its containers.
    pub reached: Option<Spread>,
    /// Processor time of the router until then.
    pub router_cpu_seconds: f64,
    /// Of the control plane.
    pub control_plane_cpu_seconds: f64,
    /// How they came.
    pub storm: Storm,
}

/// How the control plane starts with that store.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Start {
    /// Until `/healthz` answers.
    pub answers_seconds: f64,
    /// Until it serves the realms of all tenants.
    pub joined_seconds: f64,
}

/// All that was measured in one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// When.
    pub date: String,
    /// Of which commit.
    pub commit: String,
    /// Programs that wanted a processor before the run began: on a quiet machine, near 0.
    pub load_before: f64,
    /// How many.
    pub tenants: u32,
    /// Of all tenants.
    pub devices: u32,
    /// Of all devices.
    pub containers: usize,
    /// How the platform was filled.
    pub fleet: Fleet,
    /// Steady state.
    pub idle: Cost,
    /// Lists.
    pub lists: Lists,
    /// Changes of containers.
    pub orders: Orders,
    /// Changes of devices.
    pub silence: Silence,
    /// The router was killed.
    pub router_restart: Restart,
    /// The control plane was killed.
    pub control_plane_restart: Restart,
    /// How it started.
    pub start: Start,
    /// At the end of the run; the process is the one that was started when the other was killed.
    pub router_memory_after: Memory,
    /// At the end of the run.
    pub control_plane_memory_after: Memory,
}

/// What should be reached.
#[derive(Debug, Clone, Serialize)]
struct Goal {
    what: &'static str,
    at_most: f64,
    measured: f64,
    is_met: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    goals: Vec<Goal>,
}

const MS_IN_S: f64 = 1_000.0;

impl Figures {
    /// Prints everything on stdout.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", self.json()?)?;
            return Ok(());
        }
        writeln!(
            out,
            "{} tenants, {} devices, {} containers ({}, {}; load before: {:.2})\n\n| what | measured |\n|---|---|",
            self.tenants, self.devices, self.containers, self.date, self.commit, self.load_before
        )?;
        for (what, measured) in self.rows() {
            writeln!(out, "| {what} | {measured} |")?;
        }
        writeln!(out, "\n| goal | at most | measured | |\n|---|---|---|---|")?;
        for Goal { what, at_most, measured, is_met } in self.goals() {
            let met = if is_met { "reached" } else { "missed" };
            writeln!(out, "| {what} | {at_most:.0} | {measured:.1} | {met} |")?;
        }
        Ok(())
    }

    /// Writes a file to keep.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &Path) -> Result<()> {
        kept::write(file, &self.json()?)
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&Told { figures: self, goals: self.goals() })?)
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let times = |spread: &Option<Spread>| match spread {
            Some(Spread { count, p50_ms, p99_ms, max_ms }) => {
                format!("p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, most {max_ms:.1} ms ({count})")
            }
            None => "-".to_owned(),
        };
        let memory = |memory: &Memory| {
            format!("{:.0} MiB, {:.0} MiB at its peak", memory.resident_mib, memory.peak_mib)
        };
        let storm = |restart: &Restart| {
            let Storm { most_per_second, welcomed, refused, sessions } = restart.storm;
            format!(
                "{welcomed} let in, {refused} refused, at most {most_per_second:.0} a second; {sessions} sessions then"
            )
        };
        let cpu = |restart: &Restart| {
            format!(
                "router {:.1} s, control plane {:.1} s",
                restart.router_cpu_seconds, restart.control_plane_cpu_seconds
            )
        };
        let (router, control) = (&self.router_restart, &self.control_plane_restart);
        vec![
            ("tenants made with their tokens", format!("{:.1} s", self.fleet.set_up_seconds)),
            ("devices enrolled", format!("{:.1} s", self.fleet.enrol_seconds)),
            ("containers created", format!("{:.1} s", self.fleet.create_seconds)),
            ("each order to create one", times(&self.fleet.create_order)),
            ("idle: router", memory(&self.idle.router)),
            ("idle: control plane", memory(&self.idle.control_plane)),
            ("idle: router's processor", format!("{:.1} % of a core", self.idle.router_cores * 100.0)),
            (
                "idle: control plane's processor",
                format!("{:.1} % of a core", self.idle.control_plane_cores * 100.0),
            ),
            ("list of a tenant's containers", times(&self.lists.containers)),
            ("list of a tenant's devices", times(&self.lists.devices)),
            ("`GET /api/session`", times(&self.lists.http)),
            ("order to stop or start a container: answered", times(&self.orders.answered)),
            ("the same: a subscriber is told", times(&self.orders.told)),
            ("a quarter of the devices falls silent: told after it is due", times(&self.silence.stale)),
            ("they are back: told after the report", times(&self.silence.connected)),
            ("router killed: heard of each device", times(&router.heard)),
            ("router killed: each device answers", times(&router.reached)),
            ("router killed: how they came", storm(router)),
            ("router killed: processor time", cpu(router)),
            ("control plane starts: answers", format!("{:.2} s", self.start.answers_seconds)),
            ("control plane starts: all realms joined", format!("{:.2} s", self.start.joined_seconds)),
            ("control plane killed: heard of each device", times(&control.heard)),
            ("control plane killed: each device answers", times(&control.reached)),
            ("control plane killed: how they came", storm(control)),
            ("control plane killed: processor time", cpu(control)),
            ("at the end: router", memory(&self.router_memory_after)),
            ("at the end: control plane", memory(&self.control_plane_memory_after)),
        ]
    }

    fn goals(&self) -> Vec<Goal> {
        let p99 = |spread: &Option<Spread>| spread.map(|spread| spread.p99_ms);
        let longest = |spread: &Option<Spread>| spread.map(|spread| spread.max_ms / MS_IN_S);
        let memory = self.idle.router.resident_mib + self.idle.control_plane.resident_mib;
        let all = [
            ("MiB of router and control plane together, idle", 400.0, Some(memory)),
            ("ms for a list of a tenant's containers, p99", 50.0, p99(&self.lists.containers)),
            ("ms for a list of a tenant's devices, p99", 50.0, p99(&self.lists.devices)),
            (
                "s until every device answers after the router was killed",
                30.0,
                longest(&self.router_restart.reached),
            ),
            (
                "s until every device answers after the control plane was killed",
                30.0,
                longest(&self.control_plane_restart.reached),
            ),
        ];
        all.into_iter()
            .filter_map(|(what, at_most, measured)| {
                let measured = measured?;
                Some(Goal { what, at_most, measured, is_met: measured <= at_most })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong verdict here would be believed.
    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let spread = |p99_ms, max_ms| Some(Spread { count: 1, p50_ms: 1.0, p99_ms, max_ms });
        let mut figures = Figures::default();
        figures.idle.router.resident_mib = 300.0;
        figures.idle.control_plane.resident_mib = 101.0;
        figures.lists.containers = spread(50.0, 900.0);
        figures.router_restart.reached = spread(1.0, 30_001.0);
        let told: Vec<(f64, bool)> =
            figures.goals().iter().map(|goal| (goal.measured, goal.is_met)).collect();
        assert_eq!(told, [(401.0, false), (50.0, true), (30.001, false)]);
    }
}

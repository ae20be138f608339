//! One run of the load generator, which prints what it saw as JSON.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::cases::{Case, Load};
use super::contestant::Contestant;
use super::cores::Cores;

/// The figures of one run; see the generator for what they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    pub operations: u64,
    pub per_second: f64,
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
    pub router_cpu_us: Option<f64>,
    pub router_cpu_share: Option<f64>,
    pub load_cpu_share: f64,
    pub memory_bytes: Option<u64>,
    pub begun: u64,
    pub good: u64,
    pub errors: u64,
    pub lost: u64,
    pub wrong: u64,
    pub first_error: Option<String>,
}

impl Run {
    /// What did not end well.
    pub fn bad(&self) -> u64 {
        self.errors + self.lost + self.wrong
    }
}

/// The generator.
#[derive(Debug)]
pub(super) struct Generator {
    pub(super) program: PathBuf,
    pub(super) measured_ms: u32,
}

impl Generator {
    /// Loads a router once.
    ///
    /// # Errors
    /// It refuses the sessions, with what it says.
    pub(super) fn run(&self, case: &Case, contestant: &Contestant, url: &str, cores: &Cores) -> Result<Run> {
        let mut command = cores.command(&self.program);
        match case.load {
            Load::Calls(in_flight) => command.args(["calls", "--in-flight", &in_flight.to_string()]),
            Load::Events(subscribers) => command.args(["events", "--subscribers", &subscribers.to_string()]),
            Load::Flood(subscribers) => {
                command.args(["events", "--window", "0", "--subscribers", &subscribers.to_string()])
            }
            Load::Idle(sessions) => command.args(["idle", "--sessions", &sessions.to_string()]),
        };
        command.args(["--serializer", case.serializer.name(), "--payload", &case.payload.to_string()]);
        command.args(["--measured-ms", &self.measured_ms.to_string(), url]);
        if let Some(process) = contestant.process {
            command.args(["--watch", &process.to_string()]);
        }
        if contestant.is_through_library {
            command.arg("--async-nats");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What went wrong is told in one line of a table.
        command.env("RUST_BACKTRACE", "0");
        let child = cores.with_load(|| command.spawn().context("cannot start the load generator"))?;
        let output = child.wait_with_output()?;
        // It fails when something was lost, and tells that all the same.
        match serde_json::from_slice(&output.stdout) {
            Ok(run) => Ok(run),
            Err(_) => bail!("{}", told(&output.stderr)),
        }
    }
}

/// An error and its causes in one line.
fn told(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

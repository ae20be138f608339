//! Measures moves: a client outside polls a container every ten milliseconds over one TCP connection while it goes to and
//! fro, live and cold by turns. What it measures is what a person at the other end of the connection notices.

mod polling;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ecep_proto::api::container::CreateContainer;
use ecep_proto::api::migration::{MigrationMode, MigrationPhase, MigrationView};
use ecep_proto::api::name::ContainerId;
use serde::Serialize;

use crate::report::Report;
use crate::stack::{Programs, Stack};
use crate::{interrupt, lab, wait};
use polling::Polling;

/// A move of a large container on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// One kind of container, moved one way.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Memory of the container.
    pub megabytes: u32,
    /// How much of it is written anew each second, in percent.
    pub rewritten: u32,
    /// `live` or `cold`.
    pub way: &'static str,
    /// The client's longest wait in each round, in milliseconds.
    pub longest_wait_ms: Vec<u64>,
    /// How long the container did not run, as the devices measured it, in milliseconds.
    pub downtime_ms: Vec<u64>,
    /// From the order to the end, in milliseconds.
    pub total_ms: Vec<u64>,
    /// Bytes that travelled while the container ran.
    pub bytes_before: Vec<u64>,
    /// Bytes that travelled while it did not.
    pub bytes_during: Vec<u64>,
    /// The phases of the last round and their milliseconds.
    pub phases: Vec<(String, u64)>,
}

/// Moves containers of all these sizes.
///
/// # Errors
/// The platform does not come up, a move fails, or somebody pressed Ctrl-C.
pub fn migration(data_root: &Path, rounds: u32, megabytes: &[u32], rewritten: &[u32]) -> Result<Vec<Row>> {
    let mut report = Report::new();
    let stack = Stack::start(&mut report, "bench", data_root, 2, Programs::build_release)?;
    let route = stack.route_through(1)?;
    let mut rows = Vec::new();
    for megabytes in megabytes {
        for rewritten in rewritten {
            interrupt::check()?;
            rows.extend(measure(&stack, rounds, *megabytes, *rewritten)?);
        }
    }
    drop(route);
    stack.take_down()?;
    Ok(rows)
}

fn measure(stack: &Stack, rounds: u32, megabytes: u32, rewritten: u32) -> Result<[Row; 2]> {
    let mut order = CreateContainer::new("bench".parse()?, lab::COUNTER_IMAGE);
    order.env.insert("BALLAST_MB".into(), megabytes.to_string());
    order.env.insert("BALLAST_REWRITTEN".into(), rewritten.to_string());
    let (container, address) = stack.create(1, &order, LIMIT)?;
    stack.await_movable(&container, 2, LIMIT)?;
    let mut rows = ["live", "cold"].map(|way| Row {
        megabytes,
        rewritten,
        way,
        longest_wait_ms: Vec::new(),
        downtime_ms: Vec::new(),
        total_ms: Vec::new(),
        bytes_before: Vec::new(),
        bytes_during: Vec::new(),
        phases: Vec::new(),
    });
    let mut at = 1;
    for round in 0..rounds {
        for row in &mut rows {
            at = 3 - at;
            let polling = Polling::start(address)?;
            let view = to(stack, &container, at, row.way)?;
            let longest = polling.stop()?;
            eprintln!(
                "{megabytes} MB, {rewritten} %, {}, round {round}: longest wait {longest:?}, stood still for {:?} ms",
                row.way, view.downtime_ms
            );
            row.take(&view, longest);
        }
    }
    stack.delete(at, &container)?;
    Ok(rows)
}

fn to(stack: &Stack, container: &ContainerId, number: u8, way: &str) -> Result<MigrationView> {
    let mode = if way == "live" { MigrationMode::Live } else { MigrationMode::Cold };
    let operation = stack.move_to(container, number, mode, LIMIT)?;
    // The source tells the last figures a moment after the end.
    wait::until("its figures are told", LIMIT, || {
        let view = stack.await_move(&operation, LIMIT)?;
        Ok(view.downtime_ms.is_some().then_some(view))
    })
}

impl Row {
    fn take(&mut self, view: &MigrationView, longest: Duration) {
        self.longest_wait_ms.push(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
        self.downtime_ms.extend(view.downtime_ms);
        self.total_ms.extend(view.ended_at.map(|ended| ended - view.started_at));
        let runs =
            |phase: MigrationPhase| matches!(phase, MigrationPhase::Preparing | MigrationPhase::Copying);
        let bytes = |before: bool| {
            let phases = view.phases.iter().filter(|took| runs(took.phase) == before);
            phases.map(|took| took.bytes).sum()
        };
        self.bytes_before.push(bytes(true));
        self.bytes_during.push(bytes(false));
        self.phases = view
            .phases
            .iter()
            .map(|took| (format!("{:?}", took.phase).to_lowercase(), took.milliseconds))
            .collect();
    }
}

/// Prints what was measured on stdout.
///
/// # Errors
/// Nobody reads any more.
pub fn print(rows: &[Row], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, rows)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "| MB | rewritten | way | longest wait | stood still | in all | bytes before | bytes during |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for row in rows {
        writeln!(
            out,
            "| {} | {} % | {} | {} ms | {} ms | {} ms | {} | {} |",
            row.megabytes,
            row.rewritten,
            row.way,
            median(&row.longest_wait_ms),
            median(&row.downtime_ms),
            median(&row.total_ms),
            median(&row.bytes_before),
            median(&row.bytes_during)
        )?;
    }
    Ok(())
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

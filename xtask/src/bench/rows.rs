//! The figures: rows as they are printed, written to a file that is kept, and read from there again.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::cells::{Cell, Way};
use super::goals::{self, Goal, Slope};
use super::kept;
use super::serving::Serving;

/// One kind of container, moved over one link in one way; a figure for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Container and link.
    #[serde(flatten)]
    pub cell: Cell,
    /// How.
    pub way: Way,
    /// When it was measured.
    pub date: String,
    /// Of which commit.
    pub commit: String,
    /// The client's longest wait, in milliseconds.
    pub longest_wait_ms: Vec<u64>,
    /// How long the container did not run, in milliseconds: as the devices measured it; with a baseline from the first
    /// command that stops it to the end of the last, which is a little more.
    pub downtime_ms: Vec<u64>,
    /// From the order to the end, in milliseconds.
    pub total_ms: Vec<u64>,
    /// Bytes that left the source's device from the order to the beginning of the client's longest wait.
    pub bytes_before: Vec<u64>,
    /// Bytes that left it during that wait.
    pub bytes_during: Vec<u64>,
    /// Processor time that the source used, from the order until the client was at rest again, in milliseconds.
    pub cpu_source_ms: Vec<u64>,
    /// And the destination.
    pub cpu_destination_ms: Vec<u64>,
    /// Connections that the client needed.
    pub connections: Vec<u64>,
    /// The phases of the last round and their milliseconds.
    pub phases: Vec<(String, u64)>,
    /// Why rounds failed that have no figures.
    pub failures: Vec<String>,
}

impl Row {
    /// Without figures yet.
    pub(super) fn new(cell: Cell, way: Way, date: &str, commit: &str) -> Self {
        Self {
            cell,
            way,
            date: date.into(),
            commit: commit.into(),
            longest_wait_ms: Vec::new(),
            downtime_ms: Vec::new(),
            total_ms: Vec::new(),
            bytes_before: Vec::new(),
            bytes_during: Vec::new(),
            cpu_source_ms: Vec::new(),
            cpu_destination_ms: Vec::new(),
            connections: Vec::new(),
            phases: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn is_of(&self, cell: Cell, way: Way) -> bool {
        self.cell == cell && self.way == way
    }
}

/// All that was measured, in one run or in several.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The moves.
    pub rows: Vec<Row>,
    /// A container's requests beside a move, if they were counted.
    pub serving: Option<Serving>,
}

/// The figures and what follows from them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    slopes: Vec<Slope>,
    goals: Vec<Goal>,
}

impl Figures {
    /// Reads a kept file; nothing where there is none.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(file: &Path) -> Result<Self> {
        kept::read(file)
    }

    /// Writes a file to keep.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &Path) -> Result<()> {
        kept::write(file, &self.json()?)
    }

    /// Takes newer figures in: a row replaces the one of its kind, unless all its rounds failed.
    pub fn take(&mut self, newer: Self) {
        for row in newer.rows {
            let kept = self.rows.iter().position(|old| old.is_of(row.cell, row.way));
            match kept {
                Some(_) if row.longest_wait_ms.is_empty() => {}
                Some(kept) => self.rows[kept] = row,
                None => self.rows.push(row),
            }
        }
        self.rows.sort_by_key(|row| {
            let place = super::Link::ALL.iter().position(|link| *link == row.cell.link);
            (place.unwrap_or(usize::MAX), row.cell.megabytes, row.cell.rewritten, row.way.name())
        });
        self.serving = newer.serving.or(self.serving.take());
    }

    /// The row of a kind, if it was measured.
    pub fn row(&self, cell: Cell, way: Way) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_of(cell, way) && !row.longest_wait_ms.is_empty())
    }

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
        self.print_rows(&mut out)?;
        for slope in goals::slopes(self) {
            writeln!(
                out,
                "\n{}: the wait grows by {:.0} ms for each 100 MB",
                slope.way, slope.ms_per_100_mb
            )?;
        }
        writeln!(out, "\n| goal | at most | measured | |\n|---|---|---|---|")?;
        for goal in goals::goals(self) {
            let met = if goal.is_met { "reached" } else { "not reached" };
            writeln!(out, "| {} | {} | {:.3} | {met} |", goal.what, goal.at_most, goal.measured)?;
        }
        Ok(())
    }

    fn print_rows(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "| link | MB | rewritten | way | longest wait | stood still | in all | MB before | MB during | CPU source | CPU destination | rounds | of |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let Cell { megabytes, rewritten, link } = row.cell;
            let megabyte = |bytes: &[u64]| format!("{:.2}", thousands(median(bytes)) / 1000.0);
            writeln!(
                out,
                "| {link} | {megabytes} | {rewritten} % | {} | {} ms | {} ms | {} ms | {} | {} | {} ms | {} ms | {} | {} |",
                row.way,
                median(&row.longest_wait_ms),
                median(&row.downtime_ms),
                median(&row.total_ms),
                megabyte(&row.bytes_before),
                megabyte(&row.bytes_during),
                median(&row.cpu_source_ms),
                median(&row.cpu_destination_ms),
                told_rounds(row),
                row.date
            )?;
        }
        Ok(())
    }

    fn json(&self) -> Result<String> {
        let told = Told { figures: self, slopes: goals::slopes(self), goals: goals::goals(self) };
        Ok(serde_json::to_string_pretty(&told)?)
    }
}

fn told_rounds(row: &Row) -> String {
    match (row.longest_wait_ms.len(), row.failures.len()) {
        (good, 0) => good.to_string(),
        (good, failed) => format!("{good}, {failed} failed"),
    }
}

/// The middle one.
pub(super) fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The same of fractions; none of none.
pub(super) fn median_of(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// As a fraction, of figures that all fit.
pub(super) fn thousands(value: u64) -> f64 {
    f64::from(u32::try_from(value / 1000).unwrap_or(u32::MAX))
        + f64::from(u16::try_from(value % 1000).unwrap_or_default()) / 1000.0
}

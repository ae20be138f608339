//! The figures: a row for each case and router, with every run of it; printed as a table of medians, and kept as JSON.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::bench::kept;
use crate::bench::rows::median_of;

use super::OURS;
use super::cases::Case;
use super::generator::Run;
use super::goals::{self, Goal};

/// One case on one router.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    #[serde(flatten)]
    pub case: Case,
    /// On which router.
    pub router: String,
    /// The runs, one of each round.
    pub runs: Vec<Run>,
    /// Why rounds failed that have no figures.
    pub failures: Vec<String>,
}

impl Row {
    /// The middle of what the runs say.
    pub fn median(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        median_of(self.runs.iter().filter_map(figure).collect())
    }
}

/// All that was measured in one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// When.
    pub date: String,
    /// Of which commit.
    pub commit: String,
    /// The rows.
    pub rows: Vec<Row>,
}

/// The figures and what follows from them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    goals: Vec<Goal>,
}

impl Figures {
    /// The row of a case on a router, if it was measured.
    pub fn row(&self, case: Case, router: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.case == case && row.router == router && !row.runs.is_empty())
    }

    /// Writes a file to keep.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &Path) -> Result<()> {
        kept::write(file, &self.json()?)
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
        writeln!(out, "\n| goal | wanted | measured | |\n|---|---|---|---|")?;
        for goal in goals::goals(self) {
            writeln!(out, "{goal}")?;
        }
        Ok(())
    }

    fn print_rows(&self, out: &mut impl Write) -> Result<()> {
        writeln!(
            out,
            "| case | router | each second | p50 µs | p99 µs | CPU µs each | router's core | load's core | bytes each | bad | ours to it: rate | CPU | rounds |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let told = |figure: fn(&Run) -> Option<f64>, digits: usize| {
                row.median(figure).map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
            };
            let percent = |figure: fn(&Run) -> Option<f64>| {
                row.median(figure).map_or_else(|| "-".into(), |value| format!("{:.0} %", value * 100.0))
            };
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.case,
                row.router,
                told(|run| Some(run.per_second), 0),
                told(|run| run.p50_us, 0),
                told(|run| run.p99_us, 0),
                told(|run| run.router_cpu_us, 2),
                percent(|run| run.router_cpu_share),
                percent(|run| Some(run.load_cpu_share)),
                // Exact below 2^53.
                told(|run| run.memory_bytes.map(|bytes| bytes as f64), 0),
                row.runs.iter().map(Run::bad).sum::<u64>(),
                self.ratio(row, |run| Some(run.per_second)),
                self.ratio(row, |run| run.router_cpu_us),
                rounds(row),
            )?;
        }
        Ok(())
    }

    /// Our median to this row's.
    fn ratio(&self, row: &Row, figure: fn(&Run) -> Option<f64>) -> String {
        let ours = self.row(row.case, OURS).filter(|ours| ours.router != row.router);
        let ratio = ours.and_then(|ours| Some(ours.median(figure)? / row.median(figure)?));
        ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.3}"))
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&Told { figures: self, goals: goals::goals(self) })?)
    }
}

fn rounds(row: &Row) -> String {
    match row.failures.first() {
        None => row.runs.len().to_string(),
        Some(failure) => format!("{}; {} failed: {failure}", row.runs.len(), row.failures.len()),
    }
}

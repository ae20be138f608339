//! The figures: rows as they are printed, kept in a file, and read from there again.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::MEGABYTE;
use super::goals::{self, Goal, Growth};
use super::steps::Took;
use crate::bench::rows::{median, thousands};
use crate::bench::{Link, kept};

/// A figure of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// 10: a container from an image that the device does not have.
    Create,
    /// 11a: an application from the user's computer to the web server.
    Upload,
    /// 11b: that application on to a device, until it runs.
    Deploy,
    /// 12: a log file out of a container to the user's computer.
    Fetch,
}

impl Figure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Create, Self::Upload, Self::Deploy, Self::Fetch];

    /// Its name on the command line and in the figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Upload => "upload",
            Self::Deploy => "deploy",
            Self::Fetch => "fetch",
        }
    }

    /// Its number in the paper.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Create => "10",
            Self::Upload => "11a",
            Self::Deploy => "11b",
            Self::Fetch => "12",
        }
    }

    /// The sizes that are measured, in bytes; the paper names the least and the greatest.
    pub(super) fn sizes(self, is_quick: bool) -> Vec<u64> {
        let all = match self {
            Self::Create => vec![1_800, 5 * MEGABYTE, 50 * MEGABYTE, 150 * MEGABYTE, 350 * MEGABYTE],
            _ => [1, 10, 25, 50, 100].map(|size| size * MEGABYTE).to_vec(),
        };
        if is_quick { all[..2].to_vec() } else { all }
    }

    /// Seconds that the paper tells in words, for a size.
    pub(super) fn papers(self, bytes: u64) -> Option<f64> {
        match (self, bytes) {
            (Self::Create, 1_800) => Some(3.75),
            // "Just over a minute."
            (Self::Create, 350_000_000) => Some(60.0),
            _ => None,
        }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whose doing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The platform's.
    Ours,
    /// The tools' that everybody has.
    Raw,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ours, Self::Raw];
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ours",
            Self::Raw => "raw tools",
        })
    }
}

/// One size over one link in one way; a figure for each round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// Of which figure.
    pub figure: Figure,
    /// How large the image, the application or the file is.
    pub bytes: u64,
    /// Over which link.
    pub link: Link,
    /// Whose doing.
    pub way: Way,
    /// When it was measured.
    pub date: String,
    /// Of which commit.
    pub commit: String,
    /// From the first step to the end of the last, in milliseconds.
    pub total_ms: Vec<u64>,
    /// Its steps and their milliseconds, in order.
    pub steps: Vec<(String, Vec<u64>)>,
    /// Why rounds failed that have no figures.
    pub failures: Vec<String>,
}

impl Row {
    /// Without figures yet.
    pub(super) fn new(figure: Figure, bytes: u64, link: Link, way: Way, date: &str, commit: &str) -> Self {
        Self {
            figure,
            bytes,
            link,
            way,
            date: date.into(),
            commit: commit.into(),
            total_ms: Vec::new(),
            steps: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes a round in.
    pub(super) fn take(&mut self, took: Result<Took>) {
        match took {
            Ok(took) => {
                self.total_ms.push(took.total_ms());
                let mut round: BTreeMap<String, u64> = BTreeMap::new();
                for (name, ms) in &took.0 {
                    *round.entry(name.clone()).or_default() += ms;
                    if self.steps.iter().all(|(known, _)| known != name) {
                        self.steps.push((name.clone(), Vec::new()));
                    }
                }
                for (name, values) in &mut self.steps {
                    values.extend(round.get(name));
                }
            }
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }

    /// The middle one, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        thousands(median(&self.total_ms))
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.figure, self.bytes, self.link, self.way) == (other.figure, other.bytes, other.link, other.way)
    }
}

/// All that was measured, in one run or in several.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The rows.
    pub rows: Vec<Row>,
}

/// The figures and what follows from them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    growth: Vec<Growth>,
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

    /// Takes newer rows in: each replaces the one of its kind, unless all its rounds failed.
    pub fn take(&mut self, newer: Vec<Row>) {
        for row in newer {
            match self.rows.iter().position(|old| old.is_like(&row)) {
                Some(_) if row.total_ms.is_empty() => {}
                Some(kept) => self.rows[kept] = row,
                None => self.rows.push(row),
            }
        }
        let place = |link: Link| Link::ALL.iter().position(|other| *other == link);
        self.rows.sort_by_key(|row| (row.figure, place(row.link), row.bytes, row.way));
    }

    /// The row of a kind, if it has figures.
    pub fn row(&self, figure: Figure, link: Link, bytes: u64, way: Way) -> Option<&Row> {
        self.rows.iter().find(|row| {
            (row.figure, row.link, row.bytes, row.way) == (figure, link, bytes, way)
                && !row.total_ms.is_empty()
        })
    }

    /// How much longer ours takes than the raw tools, as a factor.
    pub(super) fn ratio(&self, row: &Row) -> Option<f64> {
        let of = |way| self.row(row.figure, row.link, row.bytes, way).map(Row::seconds);
        Some(of(Way::Ours)? / of(Way::Raw)?).filter(|ratio| ratio.is_finite())
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
        for figure in Figure::ALL {
            self.print_figure(figure, &mut out)?;
        }
        writeln!(
            out,
            "\n| figure | link | way | grows by, for each MB | straightness (r²) |\n|---|---|---|---|---|"
        )?;
        for growth in goals::growth(self) {
            let Growth { figure, link, way, seconds_per_megabyte, straightness } = growth;
            writeln!(
                out,
                "| {} | {link} | {way} | {seconds_per_megabyte:.3} s | {straightness:.4} |",
                figure.number()
            )?;
        }
        writeln!(out, "\n| goal | at most | measured | |\n|---|---|---|---|")?;
        for goal in goals::goals(self) {
            let met = if goal.is_met { "reached" } else { "not reached" };
            writeln!(out, "| {} | {:.2} | {:.3} | {met} |", goal.what, goal.at_most, goal.measured)?;
        }
        Ok(())
    }

    fn print_figure(&self, figure: Figure, out: &mut impl Write) -> Result<()> {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.figure == figure).collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nFigure {} ({figure}):\n", figure.number())?;
        writeln!(
            out,
            "| link | size | way | in all | beside raw tools | the paper | steps in ms | rounds | of |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
        for row in rows {
            let ratio = self.ratio(row).filter(|_| row.way == Way::Ours);
            let papers = figure.papers(row.bytes).filter(|_| row.link == Link::Paper && row.way == Way::Ours);
            let steps = row.steps.iter().map(|(name, ms)| format!("{name} {}", median(ms)));
            let rounds = match (row.total_ms.len(), row.failures.len()) {
                (good, 0) => good.to_string(),
                (good, failed) => format!("{good}, {failed} failed"),
            };
            writeln!(
                out,
                "| {} | {} | {} | {:.2} s | {} | {} | {} | {rounds} | {} |",
                row.link,
                size(row.bytes),
                row.way,
                row.seconds(),
                ratio.map_or(String::new(), |ratio| format!("× {ratio:.2}")),
                papers.map_or(String::new(), |papers| format!("{papers} s")),
                steps.collect::<Vec<_>>().join(", "),
                row.date,
            )?;
        }
        Ok(())
    }

    fn json(&self) -> Result<String> {
        let told = Told { figures: self, growth: goals::growth(self), goals: goals::goals(self) };
        Ok(serde_json::to_string_pretty(&told)?)
    }
}

/// For people.
pub(super) fn size(bytes: u64) -> String {
    if bytes < MEGABYTE { format!("{:.1} kB", thousands(bytes)) } else { format!("{} MB", bytes / MEGABYTE) }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    /// The kept file is read back as it was written, and a failed run does not wipe out a good one.
    #[test]
    fn kept_figures_stay() {
        let row = |way, took: Result<Vec<(String, u64)>>| {
            let mut row = Row::new(Figure::Create, 1_800, Link::Paper, way, "2026-01-01", "c0ffee");
            row.take(took.map(Took));
            row
        };
        let steps =
            |ms| Ok(vec![("pulling".to_owned(), ms), ("creating".to_owned(), 5), ("pulling".to_owned(), 1)]);
        let mut figures = Figures::default();
        figures.take(vec![row(Way::Raw, steps(94)), row(Way::Ours, steps(104))]);
        figures.take(vec![row(Way::Ours, Err(anyhow!("no link")))]);
        let read: Figures = serde_json::from_str(&figures.json().unwrap()).unwrap();
        let kept = read.row(Figure::Create, Link::Paper, 1_800, Way::Ours).unwrap();
        assert_eq!((&kept.total_ms, &kept.steps[0]), (&vec![110], &("pulling".to_owned(), vec![105])));
        assert!(figures.ratio(kept).is_some_and(|ratio| (ratio - 1.1).abs() < 1e-9));
    }
}

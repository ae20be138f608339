//! Measures the web application by a program of its own (`web/bench/bench.mjs`): sizes of what a browser loads, and in a headless
//! Chromium against a fleet that only pretends the time to the first live number, the main thread's work, and its memory. What is
//! good enough is said here; how it is measured is not known.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::control_plane::load_of_machine;
use super::goals::slope;
use super::kept;
use super::rows::median_of;
use crate::{shell, workspace};

const KIB: f64 = 1024.0;
/// Gzip that a browser loads before it shows anything, in KiB.
const FIRST_LOAD_KIB: f64 = 120.0;
/// Of one core, for a page of 1,000 containers with an update a second.
const MAIN_THREAD_SHARE: f64 = 0.2;
/// Until then memory fills: the charts reach back five minutes. Later it must not grow.
const FILLED_AFTER_MINUTES: f64 = 5.0;
/// What of the growth is noise, in KiB a minute: a day would add 70 MiB at most.
const FLAT_KIB_PER_MINUTE: f64 = 50.0;

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which parts: bundle, first, work, memory.
    pub only: Vec<String>,
    /// How long the main thread's work is counted on each page.
    pub seconds: u32,
    /// How long memory is watched.
    pub minutes: u32,
    /// How often the page is opened for the time to the first number.
    pub rounds: u32,
}

/// A file of the built application.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    /// Its name without the part that changes with its content.
    pub file: String,
    /// Its size on the way.
    pub gzip_bytes: u64,
}

/// What a browser loads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bundle {
    /// All of the first load.
    pub first_load_gzip_bytes: u64,
    /// The files that the first page pulls.
    pub first_load: Vec<File>,
    /// The files that are loaded when they are needed.
    pub lazy: Vec<File>,
}

/// The work of a page's main thread, as parts of the time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// The page.
    pub view: String,
    /// How many containers there are.
    pub containers: u32,
    /// How long it was counted.
    pub seconds: f64,
    /// Its tasks by the clock, the time that others had the processor included.
    pub main_thread_share: f64,
    /// Its time on a processor.
    pub processor_share: f64,
    /// Of its tasks: scripts.
    pub script_share: f64,
    /// Of its tasks: layout.
    pub layout_share: f64,
    /// Of its tasks: styles.
    pub style_share: f64,
    /// Nodes of the document, those that wait for the collector included.
    pub nodes: u64,
}

/// The heap after a minute, rubbish collected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// Minutes since it was first looked at.
    pub minute: f64,
    /// What is alive.
    pub heap_bytes: f64,
    /// Nodes of the document.
    pub nodes: u64,
    /// What listens to events.
    pub listeners: u64,
}

/// What the program measures; parts that were not asked for are missing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<Bundle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_number_ms: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<Vec<Work>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Vec<Sample>>,
}

/// All that was measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Figures {
    /// When it was measured last.
    date: String,
    /// Of which commit.
    commit: String,
    /// How many programs wanted a processor before.
    load_before: f64,
    #[serde(flatten)]
    parts: Parts,
}

/// A figure, and what it should be.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What.
    pub what: String,
    /// The goal; some figures have none.
    pub at_most: Option<f64>,
    /// The figure.
    pub measured: f64,
    /// Whether the goal is reached.
    pub is_met: Option<bool>,
}

/// The figures and what follows from them.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    figures: &'a Figures,
    goals: Vec<Goal>,
}

/// Builds the web application and measures it.
///
/// # Errors
/// It cannot be built, or the page does not come to show what it should.
pub fn measure(wanted: &Wanted) -> Result<Figures> {
    let web = workspace().join("web");
    shell::show(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&web))?;
    let load_before = load_of_machine()?;
    let mut command = Command::new("node");
    command.current_dir(&web).args(["bench/bench.mjs", "--only", &wanted.only.join(",")]);
    let numbers = [("--seconds", wanted.seconds), ("--minutes", wanted.minutes), ("--rounds", wanted.rounds)];
    for (option, number) in numbers {
        command.args([option, &number.to_string()]);
    }
    let done = command.stderr(Stdio::inherit()).output().context("cannot run node")?;
    anyhow::ensure!(done.status.success(), "web/bench/bench.mjs failed; what it says stands above");
    let parts = serde_json::from_slice(&done.stdout).context("web/bench/bench.mjs says no JSON")?;
    Ok(Figures { date: super::today()?, commit: super::commit()?, load_before, parts })
}

impl Figures {
    /// Reads kept figures; none where there is no file.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(file: &Path) -> Result<Self> {
        kept::read(file)
    }

    /// Takes newer figures in place of those of the same parts.
    pub fn take(&mut self, newer: Self) {
        let parts = Parts {
            bundle: newer.parts.bundle.or_else(|| self.parts.bundle.take()),
            first_number_ms: newer.parts.first_number_ms.or_else(|| self.parts.first_number_ms.take()),
            work: newer.parts.work.or_else(|| self.parts.work.take()),
            memory: newer.parts.memory.or_else(|| self.parts.memory.take()),
        };
        *self = Self { parts, ..newer };
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
        writeln!(out, "| what | measured | at most | |\n|---|---|---|---|")?;
        for Goal { what, at_most, measured, is_met } in goals(&self.parts) {
            let bound = at_most.map_or_else(String::new, |bound| format!("{bound}"));
            let verdict = is_met.map_or("", |met| if met { "reached" } else { "missed" });
            writeln!(out, "| {what} | {measured:.1} | {bound} | {verdict} |")?;
        }
        Ok(())
    }

    fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(&Told { figures: self, goals: goals(&self.parts) })?)
    }
}

fn goals(parts: &Parts) -> Vec<Goal> {
    let goal = |what: String, measured: f64, at_most: Option<f64>| Goal {
        what,
        at_most,
        measured,
        is_met: at_most.map(|bound| measured <= bound),
    };
    let mut all = Vec::new();
    if let Some(bundle) = &parts.bundle {
        // Exact below 2^53.
        let kib = |bytes: u64| bytes as f64 / KIB;
        let first = kib(bundle.first_load_gzip_bytes);
        all.push(goal("first load, KiB of gzip".into(), first, Some(FIRST_LOAD_KIB)));
        let lazy = bundle.lazy.iter();
        all.extend(
            lazy.map(|file| goal(format!("when needed: {}, KiB", file.file), kib(file.gzip_bytes), None)),
        );
    }
    if let Some(median) = parts.first_number_ms.clone().and_then(median_of) {
        all.push(goal("first live number after the navigation, ms, median".into(), median, None));
    }
    for work in parts.work.iter().flatten() {
        let what = |kind| {
            format!(
                "{}, {} containers, an update a second: {kind}, % of one core",
                work.view, work.containers
            )
        };
        let percent = |share: f64| share * 100.0;
        let (main, processor) = (percent(work.main_thread_share), percent(work.processor_share));
        all.push(goal(what("main thread"), main, Some(percent(MAIN_THREAD_SHARE))));
        all.push(goal(what("on a processor"), processor, None));
    }
    if let Some(growth) = parts.memory.as_deref().and_then(growth) {
        let what = "heap of the overview, growth after five minutes, KiB a minute";
        all.push(goal(what.into(), growth / KIB, Some(FLAT_KIB_PER_MINUTE)));
    }
    all
}

/// Bytes a minute, by least squares over what comes after the charts are full; nothing before.
fn growth(samples: &[Sample]) -> Option<f64> {
    let late = samples.iter().filter(|sample| sample.minute >= FILLED_AFTER_MINUTES);
    slope(&late.map(|sample| (sample.minute, sample.heap_bytes)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: f64, heap_bytes: f64) -> Sample {
        Sample { minute, heap_bytes, nodes: 1, listeners: 1 }
    }

    /// A wrong verdict here would be believed.
    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let text = r#"{
            "bundle": { "first_load_gzip_bytes": 124928, "first_load": [], "lazy": [{ "file": "screen.js", "gzip_bytes": 2048 }] },
            "first_number_ms": [900, 100, 500],
            "work": [{ "view": "overview", "containers": 1000, "seconds": 60, "main_thread_share": 0.19, "processor_share": 0.1,
                "script_share": 0, "layout_share": 0, "style_share": 0, "nodes": 1 }]
        }"#;
        let told = goals(&serde_json::from_str(text).unwrap());
        let verdicts: Vec<(f64, Option<bool>)> =
            told.iter().map(|goal| (goal.measured, goal.is_met)).collect();
        let all = [(122.0, Some(false)), (2.0, None), (500.0, None), (19.0, Some(true)), (10.0, None)];
        assert_eq!(verdicts, all);
    }

    /// While the charts fill, memory grows, and that is no leak.
    #[test]
    fn only_growth_after_the_charts_are_full_counts() {
        let filling = (0..5).map(|minute| sample(f64::from(minute), 1e6 * f64::from(minute)));
        let leaking = (5..16).map(|minute| sample(f64::from(minute), 5e6 + 1000.0 * f64::from(minute)));
        let all: Vec<Sample> = filling.chain(leaking).collect();
        assert!((growth(&all).unwrap() - 1000.0).abs() < 1e-6);
        assert_eq!(growth(&all[..5]), None);
    }

    /// A part that is measured alone must not lose the others.
    #[test]
    fn newer_figures_take_the_place_of_the_same_parts() {
        let older = Parts { first_number_ms: Some(vec![1.0]), memory: Some(Vec::new()), ..Parts::default() };
        let mut figures = Figures { parts: older, ..Figures::default() };
        let newer = Parts { first_number_ms: Some(vec![2.0]), ..Parts::default() };
        figures.take(Figures { date: "later".into(), parts: newer, ..Figures::default() });
        assert_eq!(figures.parts.first_number_ms, Some(vec![2.0]));
        assert!(figures.parts.memory.is_some() && figures.date == "later");
    }
}

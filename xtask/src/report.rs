//! The report of a scripted run: what was done step by step, how long each step took, and whether all of it truly
//! happened. Progress goes to stderr while it runs; the report is one JSON object on stdout.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::interrupt;

/// `{"ok": bool, "steps": [{"name", "ok", "ms", "detail"}]}`.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    ok: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    name: String,
    ok: bool,
    /// Milliseconds.
    ms: u64,
    /// What was seen, or why it failed.
    detail: String,
}

impl Report {
    /// An empty report; it is not `ok` before a step is in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does one step and records it. The work answers what later steps need, and what was seen as a sentence.
    ///
    /// # Errors
    /// The step failed (which the report then says), or somebody pressed Ctrl-C before it.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        eprintln!("{name} ...");
        let start = Instant::now();
        let outcome = interrupt::check().and_then(|()| work());
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, detail) = match &outcome {
            Ok((_, detail)) => (true, detail.clone()),
            Err(error) => (false, format!("{error:#}")),
        };
        eprintln!("{name}: {} ({ms} ms) {detail}", if ok { "ok" } else { "FAILED" });
        self.ok = ok && (self.ok || self.steps.is_empty());
        self.steps.push(Step { name: name.into(), ok, ms, detail });
        outcome.map(|(value, _)| value)
    }

    /// Whether there were steps and all of them succeeded.
    pub fn is_ok(&self) -> bool {
        self.ok
    }

    /// Prints the JSON object on stdout.
    ///
    /// # Errors
    /// Nobody reads stdout.
    pub fn print(&self) -> Result<()> {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, self)?;
        writeln!(stdout).context("cannot print the report")
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    /// The exit status hangs on `ok`: a failure must not be washed out by what succeeds after it.
    #[test]
    fn one_failed_step_fails_the_report() {
        let mut report = Report::new();
        assert!(!report.is_ok(), "nothing was done yet");
        report.step("first", || Ok(((), "seen".into()))).unwrap();
        assert!(report.is_ok());
        report.step("second", || Err::<((), String), _>(anyhow!("no such thing"))).unwrap_err();
        report.step("third", || Ok(((), String::new()))).unwrap();
        assert!(!report.is_ok());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["steps"][0]["detail"], "seen");
        assert_eq!(json["steps"][1]["ok"], false);
        assert_eq!(json["steps"][1]["detail"], "no such thing");
        assert!(json["steps"][2]["ms"].is_u64());
    }
}

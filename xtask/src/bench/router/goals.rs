//! What our router should reach, most of it beside others in the same run.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::OURS;
use super::cases::{self, BROWSER, Case, FAST, IDLE, Load};
use super::contestant::{CROSSBAR, NATS, NATS_LIBRARY};
use super::figures::Figures;
use super::generator::Run;

/// One goal.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: &'static str,
    /// How.
    pub bound: Bound,
    /// What was measured.
    pub measured: f64,
    /// Whether it is reached.
    pub is_met: bool,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

impl Bound {
    fn is_met(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bound) => measured >= bound,
            Self::AtMost(bound) => measured <= bound,
        }
    }
}

impl Display for Goal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (word, bound) = match self.bound {
            Bound::AtLeast(bound) => ("at least", bound),
            Bound::AtMost(bound) => ("at most", bound),
        };
        let met = if self.is_met { "reached" } else { "missed" };
        write!(f, "| {} | {word} {bound:.3} | {:.3} | {met} |", self.what, self.measured)
    }
}

const KIB: f64 = 1024.0;

/// All goals that there are figures for.
pub fn goals(figures: &Figures) -> Vec<Goal> {
    let of = |case, router, figure: fn(&Run) -> Option<f64>| figures.row(case, router)?.median(figure);
    let to = |case: Case, peer, figure| Some(of(case, OURS, figure)? / of(case, peer, figure)?);
    let rate: fn(&Run) -> Option<f64> = |run| Some(run.per_second);
    let cpu: fn(&Run) -> Option<f64> = |run| run.router_cpu_us;
    let p50: fn(&Run) -> Option<f64> = |run| run.p50_us;
    let p99: fn(&Run) -> Option<f64> = |run| run.p99_us;
    // Exact below 2^53.
    let memory: fn(&Run) -> Option<f64> = |run| run.memory_bytes.map(|bytes| bytes as f64 / KIB);
    let [browser, fast] = [BROWSER, FAST].map(|way| cases::small(way, Load::Calls(100)));
    let ten = cases::small(BROWSER, Load::Events(10));
    let alone = cases::small(FAST, Load::Calls(1));
    let [idle_browser, idle_fast] = [BROWSER, FAST].map(|way| cases::small(way, Load::Idle(IDLE)));
    use Bound::{AtLeast, AtMost};
    let all = [
        ("calls and events in all cases that did not end well", AtMost(0.0), bad(figures)),
        ("WebSocket, JSON, 100 in flight: calls/s to crossbar's", AtLeast(8.0), to(browser, CROSSBAR, rate)),
        ("the same: CPU for each call to crossbar's", AtMost(1.0 / 11.0), to(browser, CROSSBAR, cpu)),
        (
            "WebSocket, JSON, 1 to 10: CPU for each event to crossbar's",
            AtMost(1.0 / 6.0),
            to(ten, CROSSBAR, cpu),
        ),
        ("the same: events/s to crossbar's", AtLeast(4.0), to(ten, CROSSBAR, rate)),
        ("RawSocket, MessagePack, 100 in flight: calls/s to NATS's", AtLeast(1.0), to(fast, NATS, rate)),
        ("RawSocket, MessagePack, one after the other: p50 to NATS's", AtMost(1.0), to(alone, NATS, p50)),
        ("100 in flight: calls/s to NATS's through async-nats", AtLeast(1.0), to(fast, NATS_LIBRARY, rate)),
        ("one after the other: p50 to NATS's through async-nats", AtMost(1.0), to(alone, NATS_LIBRARY, p50)),
        ("KiB for each idle session, WebSocket", AtMost(12.0), of(idle_browser, OURS, memory)),
        ("KiB for each idle session, RawSocket", AtMost(8.0), of(idle_fast, OURS, memory)),
        ("WebSocket, JSON, 100 in flight: p99 to crossbar's", AtMost(1.0), to(browser, CROSSBAR, p99)),
        ("RawSocket, MessagePack, 100 in flight: p99 to crossbar's", AtMost(1.0), to(fast, CROSSBAR, p99)),
        ("the same: p99 to NATS's", AtMost(1.0), to(fast, NATS, p99)),
        ("the same: p99 to NATS's through async-nats", AtMost(1.0), to(fast, NATS_LIBRARY, p99)),
    ];
    all.into_iter()
        .filter_map(|(what, bound, measured)| {
            let measured = measured?;
            Some(Goal { what, bound, measured, is_met: bound.is_met(measured) })
        })
        .collect()
}

/// On our router; none if it was not measured.
fn bad(figures: &Figures) -> Option<f64> {
    let ours: Vec<&Run> =
        figures.rows.iter().filter(|row| row.router == OURS).flat_map(|row| &row.runs).collect();
    // Exact below 2^53.
    (!ours.is_empty()).then(|| ours.iter().map(|run| run.bad()).sum::<u64>() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::figures::Row;
    use super::*;

    /// A wrong verdict here would be believed.
    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let row = |router: &str, case, per_second, cpu| {
            let run = Run { per_second, router_cpu_us: Some(cpu), lost: 1, ..Run::default() };
            Row { case, router: router.into(), runs: vec![run], failures: Vec::new() }
        };
        let (calls, events) =
            (cases::small(BROWSER, Load::Calls(100)), cases::small(BROWSER, Load::Events(10)));
        let rows = vec![
            row(OURS, calls, 80_000.0, 10.0),
            row(CROSSBAR, calls, 8_000.0, 100.0),
            row(OURS, events, 80_000.0, 1.0),
            row(CROSSBAR, events, 40_000.0, 10.0),
        ];
        let told = goals(&Figures { rows, ..Figures::default() });
        let verdicts: Vec<(f64, bool)> = told.iter().map(|goal| (goal.measured, goal.is_met)).collect();
        assert_eq!(verdicts, [(2.0, false), (10.0, true), (0.1, false), (0.1, true), (2.0, false)]);
    }
}

//! What a move should cost, beside what it does.

use serde::Serialize;

use super::cells::{Cell, Way};
use super::link::Link;
use super::rows::{Figures, median, thousands};

/// One goal.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: &'static str,
    /// The goal.
    pub at_most: f64,
    /// The medians' figure.
    pub measured: f64,
    /// Whether it is reached.
    pub is_met: bool,
}

/// How the client's wait grows with the container.
#[derive(Debug, Serialize)]
pub struct Slope {
    /// In which way.
    pub way: Way,
    /// Milliseconds for each 100 MB, over the unlimited link with 5 % rewritten.
    pub ms_per_100_mb: f64,
}

const SMALL: Cell = Cell { megabytes: 4, rewritten: 5, link: Link::Unlimited };
const LARGE: Cell = Cell { megabytes: 200, rewritten: 5, link: Link::Unlimited };
const SLOW: Cell = Cell { megabytes: 200, rewritten: 5, link: Link::Megabits(20) };
/// As much is rewritten each second in both, 40 MB.
const SAME_REWRITTEN: [Cell; 2] = [
    Cell { megabytes: 800, rewritten: 5, link: Link::Unlimited },
    Cell { megabytes: 200, rewritten: 20, link: Link::Unlimited },
];

/// All goals that there are figures for.
pub fn goals(figures: &Figures) -> Vec<Goal> {
    let wait = |cell, way| figures.row(cell, way).map(|row| thousands(median(&row.longest_wait_ms)));
    let to_plain = |cell| Some(wait(cell, Way::Live)? / wait(cell, Way::Plain)?);
    let during = |cell| figures.row(cell, Way::Live).map(|row| thousands(median(&row.bytes_during)));
    let grown = || Some((during(SAME_REWRITTEN[0])? / during(SAME_REWRITTEN[1])? - 1.0).abs());
    let slower = || Some(1.0 - figures.serving.as_ref()?.ratio()?);
    let all = [
        ("200 MB, 5 %, unlimited: the client's longest wait in seconds", 0.6, wait(LARGE, Way::Live)),
        ("200 MB, 5 %, unlimited: that wait as a part of plain Docker's", 1.0 / 8.0, to_plain(LARGE)),
        ("4 MB, 5 %, unlimited: the client's longest wait in seconds", 0.3, wait(SMALL, Way::Live)),
        ("4 MB, 5 %, unlimited: that wait as a part of plain Docker's", 1.0 / 3.0, to_plain(SMALL)),
        ("200 MB, 5 %, 20 Mbit/s: that wait as a part of plain Docker's", 1.0 / 8.0, to_plain(SLOW)),
        (
            "bytes while it stands still, 800 MB against 200 MB with as much rewritten: how far apart",
            0.1,
            grown(),
        ),
        (
            "requests each second that the container loses while its memory goes ahead, as a part",
            0.1,
            slower(),
        ),
    ];
    all.into_iter()
        .filter_map(|(what, at_most, measured)| {
            let measured = measured?;
            Some(Goal { what, at_most, measured, is_met: measured <= at_most })
        })
        .collect()
}

/// The slopes of all ways that were measured with several sizes.
pub fn slopes(figures: &Figures) -> Vec<Slope> {
    let of = |way: Way| {
        let rows = figures.rows.iter().filter(|row| {
            row.way == way && row.cell.link == Link::Unlimited && row.cell.rewritten == LARGE.rewritten
        });
        let points: Vec<(f64, f64)> = rows
            .filter(|row| !row.longest_wait_ms.is_empty())
            .map(|row| {
                let wait = thousands(median(&row.longest_wait_ms)) * 1000.0;
                (f64::from(row.cell.megabytes) / 100.0, wait)
            })
            .collect();
        slope(&points).map(|ms_per_100_mb| Slope { way, ms_per_100_mb })
    };
    Way::ALL.into_iter().filter_map(of).collect()
}

/// Of the line that fits best, by least squares; none where it is no line.
pub(super) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).ok()?);
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (spread > 0.0).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::super::rows::Row;
    use super::*;

    fn figures() -> Figures {
        let row = |cell, way, wait, during| {
            let mut row = Row::new(cell, way, "2026-01-01", "c0ffee");
            row.longest_wait_ms = vec![wait];
            row.bytes_during = vec![during];
            row
        };
        let rows = vec![
            row(SMALL, Way::Live, 300, 0),
            row(LARGE, Way::Live, 692, 0),
            row(LARGE, Way::Plain, 6920, 0),
            row(SAME_REWRITTEN[0], Way::Live, 1868, 1_080_000),
            row(SAME_REWRITTEN[1], Way::Live, 700, 1_000_000),
        ];
        Figures { rows, serving: None }
    }

    /// A wrong verdict here would be believed.
    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let told = goals(&figures());
        let verdicts: Vec<(f64, bool)> =
            told.iter().map(|goal| ((goal.measured * 1000.0).round(), goal.is_met)).collect();
        assert_eq!(verdicts, [(692.0, false), (100.0, true), (300.0, true), (80.0, true)]);
    }

    #[test]
    fn the_wait_grows_by_so_much() {
        let told = slopes(&figures());
        assert_eq!(told.len(), 1, "one size of plain Docker is no line");
        // 4, 200 and 800 MB lie on 292 ms + 2 ms for each MB but for 0 ms.
        assert!((told[0].ms_per_100_mb - 196.7).abs() < 1.0, "{told:?}");
    }
}

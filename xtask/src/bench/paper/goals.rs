//! What the platform should cost beside raw tools, and whether its time grows with the size and not faster.

use serde::Serialize;

use super::MEGABYTE;
use super::figures::{Figure, Figures, Way, size};
use crate::bench::Link;

/// How much longer ours may take, from [`FROM_BYTES`] on.
const AT_MOST: f64 = 1.10;
/// A smaller size takes so little time that the first round trips are most of it.
const FROM_BYTES: u64 = 10 * MEGABYTE;
/// Of a line: 1 is perfectly straight.
const STRAIGHT: f64 = 0.99;

/// One goal.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: String,
    /// The goal.
    pub at_most: f64,
    /// The medians' figure.
    pub measured: f64,
    /// Whether it is reached.
    pub is_met: bool,
}

/// How time grows with size.
#[derive(Debug, Serialize)]
pub struct Growth {
    /// Of which figure.
    pub figure: Figure,
    /// Over which link.
    pub link: Link,
    /// In which way.
    pub way: Way,
    /// The line that fits best.
    pub seconds_per_megabyte: f64,
    /// How well it fits: r², 1 is perfectly.
    pub straightness: f64,
}

/// The lines of everything that was measured with three sizes or more.
pub fn growth(figures: &Figures) -> Vec<Growth> {
    let mut lines = Vec::new();
    for figure in Figure::ALL {
        for link in Link::ALL {
            for way in Way::ALL {
                let points: Vec<(f64, f64)> = points(figures, figure, link, way);
                let Some((seconds_per_megabyte, straightness)) = line(&points) else { continue };
                lines.push(Growth { figure, link, way, seconds_per_megabyte, straightness });
            }
        }
    }
    lines
}

/// All goals that there are figures for.
pub fn goals(figures: &Figures) -> Vec<Goal> {
    let rows = figures.rows.iter().filter(|row| {
        row.way == Way::Ours && row.link == Link::Paper && row.bytes >= FROM_BYTES && !row.total_ms.is_empty()
    });
    let overheads = rows.filter_map(|row| {
        let measured = figures.ratio(row)?;
        let what = format!(
            "figure {}, {}, the paper's link: ours beside raw tools",
            row.figure.number(),
            size(row.bytes)
        );
        Some(Goal { what, at_most: AT_MOST, measured, is_met: measured <= AT_MOST })
    });
    let lines = growth(figures).into_iter().filter(|line| line.way == Way::Ours && line.link == Link::Paper);
    let bends = lines.map(|line| {
        let (at_most, measured) = (1.0 - STRAIGHT, 1.0 - line.straightness);
        let what = format!(
            "figure {}, the paper's link: how far from a straight line (1 - r²)",
            line.figure.number()
        );
        Goal { what, at_most, measured, is_met: measured <= at_most }
    });
    overheads.chain(bends).collect()
}

/// Megabytes and seconds.
fn points(figures: &Figures, figure: Figure, link: Link, way: Way) -> Vec<(f64, f64)> {
    let rows = figures.rows.iter().filter(|row| (row.figure, row.link, row.way) == (figure, link, way));
    let measured = rows.filter(|row| !row.total_ms.is_empty());
    measured.map(|row| (crate::bench::rows::thousands(row.bytes / 1000), row.seconds())).collect()
}

/// Slope and r² of the line that fits best, by least squares; none for less than three points.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = f64::from(u32::try_from(points.len()).ok().filter(|count| *count >= 3)?);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|(x, _)| *x), mean(|(_, y)| *y));
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread_x: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let spread_y: f64 = points.iter().map(|(_, y)| (y - mean_y).powi(2)).sum();
    (spread_x > 0.0 && spread_y > 0.0)
        .then(|| (together / spread_x, together.powi(2) / (spread_x * spread_y)))
}

#[cfg(test)]
mod tests {
    use super::super::figures::Row;
    use super::*;

    fn figures(ours: [u64; 3]) -> Figures {
        let mut figures = Figures::default();
        for (size, ours) in [1, 10, 100].into_iter().zip(ours) {
            for (way, ms) in [(Way::Ours, ours), (Way::Raw, size * 1000)] {
                let mut row = Row::new(Figure::Upload, size * MEGABYTE, Link::Paper, way, "", "");
                row.total_ms = vec![ms];
                figures.take(vec![row]);
            }
        }
        figures
    }

    /// A wrong verdict here would be believed.
    #[test]
    fn goals_are_judged_by_what_was_measured() {
        let verdicts = |ours| goals(&figures(ours)).iter().map(|goal| goal.is_met).collect::<Vec<_>>();
        // The smallest size is no goal; ours is twice as slow there.
        assert_eq!(verdicts([2_000, 10_900, 109_000]), [true, true, true]);
        assert_eq!(verdicts([1_000, 11_200, 109_000]), [false, true, true]);
        assert_eq!(verdicts([1_000, 90_000, 100_000]), [false, true, false]);
    }

    /// A line is told as it is drawn.
    #[test]
    fn time_grows_by_so_much_for_each_megabyte() {
        let growth = growth(&figures([1_000, 10_000, 100_000]));
        assert_eq!(growth.len(), 2);
        assert!((growth[0].seconds_per_megabyte - 1.0).abs() < 1e-9 && growth[0].straightness > 0.999_999);
    }
}

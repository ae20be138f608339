//! Draws each figure over the paper's link: ours, the raw tools, and what the paper says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::{Figure, Figures, Row, Way, size};
use crate::bench::Link;
use crate::bench::chart::{Chart, Line, colour};

/// Writes `figure-10.svg` and so on into a folder, of what was measured.
///
/// # Errors
/// The disk refuses.
pub fn write(figures: &Figures, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for figure in Figure::ALL {
        let Some(chart) = chart(figures, figure) else { continue };
        let file = folder.join(format!("figure-{}.svg", figure.number()));
        fs::write(&file, chart.svg()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn chart(figures: &Figures, figure: Figure) -> Option<Chart> {
    let rows = figures.rows.iter().filter(|row| row.figure == figure && row.link == Link::Paper);
    let mut sizes: Vec<u64> = rows.map(|row| row.bytes).collect();
    sizes.dedup();
    let of = |way| {
        sizes.iter().map(|bytes| figures.row(figure, Link::Paper, *bytes, way).map(Row::seconds)).collect()
    };
    let line = |label, colour, figures_below, seconds: Vec<Option<f64>>| Line {
        label,
        colour,
        figures_below,
        seconds,
    };
    let mut lines = vec![
        line("ours", colour::BLUE, 19.0, of(Way::Ours)),
        line("raw tools", colour::RED, -10.0, of(Way::Raw)),
        line("the paper", colour::PURPLE, -26.0, sizes.iter().map(|bytes| figure.papers(*bytes)).collect()),
    ];
    lines.retain(|line| line.seconds.iter().any(Option::is_some));
    let (what, axis) = match figure {
        Figure::Create => ("A container from a new image", "size of the image"),
        Figure::Upload => ("An application to the web server", "size of the application"),
        Figure::Deploy => ("An application from the web server to the device", "size of the application"),
        Figure::Fetch => ("A log file from the device to the user", "size of the file"),
    };
    (!sizes.is_empty()).then(|| Chart {
        title: format!("Figure {}: {what}, 11.45 Mbit/s up, 24.2 Mbit/s down", figure.number()),
        axis,
        places: sizes.iter().map(|bytes| size(*bytes)).collect(),
        lines,
    })
}

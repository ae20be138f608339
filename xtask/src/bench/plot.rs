//! Draws the client's longest wait: by the size of the container, and by the link; a line for each way.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::cells::{Cell, Way};
use super::chart::{Chart, Line, colour};
use super::link::Link;
use super::rows::{Figures, median, thousands};

const REWRITTEN: u32 = 5;
const MEGABYTES: u32 = 200;

/// Writes `wait-by-size.svg` and `wait-by-link.svg` into a folder.
///
/// # Errors
/// The disk refuses.
pub fn write(figures: &Figures, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, plot) in [("wait-by-size.svg", by_size(figures)), ("wait-by-link.svg", by_link(figures))] {
        let file = folder.join(name);
        fs::write(&file, plot.svg()?).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn by_size(figures: &Figures) -> Chart {
    let rows = figures.rows.iter();
    let here = rows.filter(|row| row.cell.link == Link::Unlimited && row.cell.rewritten == REWRITTEN);
    let mut sizes: Vec<u32> = here.map(|row| row.cell.megabytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let cells =
        sizes.iter().map(|size| Cell { megabytes: *size, rewritten: REWRITTEN, link: Link::Unlimited });
    Chart {
        title: format!("The client's longest wait, unlimited link, {REWRITTEN} % rewritten each second"),
        axis: "memory of the container",
        lines: lines(figures, &cells.collect::<Vec<_>>()),
        places: sizes.iter().map(|size| format!("{size} MB")).collect(),
    }
}

fn by_link(figures: &Figures) -> Chart {
    let cell = |link| Cell { megabytes: MEGABYTES, rewritten: REWRITTEN, link };
    let measured = |link: &Link| Way::ALL.into_iter().any(|way| figures.row(cell(*link), way).is_some());
    let links: Vec<Link> = Link::ALL.into_iter().filter(measured).collect();
    let place = |link: &Link| match link {
        Link::Unlimited => "unlimited".to_owned(),
        Link::Megabits(rate) => format!("{rate} Mbit/s"),
        Link::Paper => "11.45/24.2 Mbit/s".to_owned(),
    };
    Chart {
        title: format!("The client's longest wait, {MEGABYTES} MB, {REWRITTEN} % rewritten each second"),
        axis: "link between the devices",
        lines: lines(figures, &links.iter().map(|link| cell(*link)).collect::<Vec<_>>()),
        places: links.iter().map(place).collect(),
    }
}

fn lines(figures: &Figures, cells: &[Cell]) -> Vec<Line> {
    let line = |way: Way| {
        let seconds =
            |cell: &Cell| figures.row(*cell, way).map(|row| thousands(median(&row.longest_wait_ms)));
        Line {
            label: label(way),
            colour: colour_of(way),
            // Ours below their points, where the baselines' are above: few of them meet.
            figures_below: if way.is_baseline() { -10.0 } else { 19.0 },
            seconds: cells.iter().map(seconds).collect(),
        }
    };
    let lines = Way::ALL.into_iter().map(line);
    lines.filter(|line| line.seconds.iter().any(Option::is_some)).collect()
}

const fn colour_of(way: Way) -> &'static str {
    match way {
        Way::Live => colour::BLUE,
        Way::Cold => colour::GREEN,
        Way::Plain => colour::RED,
        Way::Podman => colour::PURPLE,
    }
}

const fn label(way: Way) -> &'static str {
    match way {
        Way::Live => "ours, live",
        Way::Cold => "ours, cold",
        Way::Plain => "plain Docker",
        Way::Podman => "Podman",
    }
}

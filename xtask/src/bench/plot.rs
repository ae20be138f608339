//! Draws the client's longest wait as SVG: by the size of the container, and by the link. Plain shapes and text on a light
//! ground, a logarithmic axis, a line for each way.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::cells::{Cell, Way};
use super::link::Link;
use super::rows::{Figures, median, thousands};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 350.0;

const REWRITTEN: u32 = 5;
const MEGABYTES: u32 = 200;

/// A way's line: its seconds over each place on the axis, where it was measured.
struct Line {
    way: Way,
    seconds: Vec<Option<f64>>,
}

struct Plot {
    title: String,
    axis: &'static str,
    places: Vec<String>,
    lines: Vec<Line>,
}

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

fn by_size(figures: &Figures) -> Plot {
    let rows = figures.rows.iter();
    let here = rows.filter(|row| row.cell.link == Link::Unlimited && row.cell.rewritten == REWRITTEN);
    let mut sizes: Vec<u32> = here.map(|row| row.cell.megabytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let cells =
        sizes.iter().map(|size| Cell { megabytes: *size, rewritten: REWRITTEN, link: Link::Unlimited });
    Plot {
        title: format!("The client's longest wait, unlimited link, {REWRITTEN} % rewritten each second"),
        axis: "memory of the container",
        lines: lines(figures, &cells.collect::<Vec<_>>()),
        places: sizes.iter().map(|size| format!("{size} MB")).collect(),
    }
}

fn by_link(figures: &Figures) -> Plot {
    let cell = |link| Cell { megabytes: MEGABYTES, rewritten: REWRITTEN, link };
    let measured = |link: &Link| Way::ALL.into_iter().any(|way| figures.row(cell(*link), way).is_some());
    let links: Vec<Link> = Link::ALL.into_iter().filter(measured).collect();
    let place = |link: &Link| match link {
        Link::Unlimited => "unlimited".to_owned(),
        Link::Megabits(rate) => format!("{rate} Mbit/s"),
        Link::Paper => "11.45/24.2 Mbit/s".to_owned(),
    };
    Plot {
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
        Line { way, seconds: cells.iter().map(seconds).collect() }
    };
    let lines = Way::ALL.into_iter().map(line);
    lines.filter(|line| line.seconds.iter().any(Option::is_some)).collect()
}

/// Colours that are told apart by people who do not see all of them, too.
const fn colour(way: Way) -> &'static str {
    match way {
        Way::Live => "#0072b2",
        Way::Cold => "#009e73",
        Way::Plain => "#d55e00",
        Way::Podman => "#8a4f7d",
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

impl Plot {
    fn svg(&self) -> Result<String> {
        let all = || self.lines.iter().flat_map(|line| line.seconds.iter().flatten());
        let low = all().copied().fold(1.0, f64::min).max(0.001).log10().floor();
        let high = all().copied().fold(1.0, f64::max).log10().ceil().max(low + 1.0);
        let y = |seconds: f64| BOTTOM - (seconds.max(0.001).log10() - low) / (high - low) * (BOTTOM - TOP);
        let step = (RIGHT - LEFT) / f64::from(u32::try_from(self.places.len().max(1))?);
        let centres: Vec<f64> = (0..self.places.len())
            .scan(LEFT + step / 2.0, |x, _| Some(std::mem::replace(x, *x + step)))
            .collect();
        let mut svg = String::new();
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"14\" fill=\"#222222\" role=\"img\">"
        )?;
        writeln!(svg, "<title>{}</title>", self.title)?;
        writeln!(svg, "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>")?;
        text(&mut svg, LEFT, 30.0, "start", &self.title)?;
        text(&mut svg, f64::midpoint(LEFT, RIGHT), HEIGHT - 20.0, "middle", self.axis)?;
        let mut power = low;
        while power <= high {
            let (seconds, at) = (10_f64.powf(power), y(10_f64.powf(power)));
            writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#cccccc\" stroke-width=\"1\" fill=\"none\"/>"
            )?;
            text(&mut svg, LEFT - 8.0, at + 5.0, "end", &format!("{seconds} s"))?;
            power += 1.0;
        }
        for (place, x) in self.places.iter().zip(&centres) {
            text(&mut svg, *x, BOTTOM + 22.0, "middle", place)?;
        }
        for (line, row) in self.lines.iter().zip(0_u8..) {
            let points: Vec<(f64, f64, f64)> = centres
                .iter()
                .zip(&line.seconds)
                .filter_map(|(x, seconds)| seconds.map(|seconds| (*x, y(seconds), seconds)))
                .collect();
            draw(&mut svg, line.way, &points)?;
            let at = TOP + 20.0 + 24.0 * f64::from(row);
            let colour = colour(line.way);
            writeln!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/>", RIGHT + 12.0, at - 5.0)?;
            text(&mut svg, RIGHT + 22.0, at, "start", label(line.way))?;
        }
        writeln!(svg, "</svg>")?;
        Ok(svg)
    }
}

fn draw(svg: &mut String, way: Way, points: &[(f64, f64, f64)]) -> Result<()> {
    let colour = colour(way);
    let corners: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        corners.join(" ")
    )?;
    for (x, y, seconds) in points {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>")?;
        // Ours below their points, where the baselines' figures are above: few of them meet.
        let beside = if way.is_baseline() { y - 10.0 } else { y + 19.0 };
        writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{beside:.1}\" text-anchor=\"middle\" font-size=\"12\" fill=\"{colour}\" \
             stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">{seconds:.2}</text>"
        )?;
    }
    Ok(())
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) -> Result<()> {
    Ok(writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")?)
}

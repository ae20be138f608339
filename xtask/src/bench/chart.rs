//! Draws lines as SVG: plain shapes and text on a light ground, seconds on a logarithmic axis. It does not know what they are of.

use std::fmt::Write as _;

use anyhow::Result;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 350.0;

/// A line: its seconds over each place on the axis, where there are some.
pub(super) struct Line {
    pub(super) label: &'static str,
    pub(super) colour: &'static str,
    /// How far below its points its figures stand: lines that meet must not write over each other.
    pub(super) figures_below: f64,
    pub(super) seconds: Vec<Option<f64>>,
}

/// A plot.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) axis: &'static str,
    pub(super) places: Vec<String>,
    pub(super) lines: Vec<Line>,
}

/// Colours that are told apart by people who do not see all of them, too.
pub(super) mod colour {
    /// The first.
    pub(in crate::bench) const BLUE: &str = "#0072b2";
    /// The second.
    pub(in crate::bench) const GREEN: &str = "#009e73";
    /// The third.
    pub(in crate::bench) const RED: &str = "#d55e00";
    /// The fourth.
    pub(in crate::bench) const PURPLE: &str = "#8a4f7d";
}

impl Chart {
    pub(super) fn svg(&self) -> Result<String> {
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
            draw(&mut svg, line, &points)?;
            let at = TOP + 20.0 + 24.0 * f64::from(row);
            let colour = line.colour;
            writeln!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/>", RIGHT + 12.0, at - 5.0)?;
            text(&mut svg, RIGHT + 22.0, at, "start", line.label)?;
        }
        writeln!(svg, "</svg>")?;
        Ok(svg)
    }
}

fn draw(svg: &mut String, line: &Line, points: &[(f64, f64, f64)]) -> Result<()> {
    let colour = line.colour;
    let corners: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
    writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        corners.join(" ")
    )?;
    for (x, y, seconds) in points {
        writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>")?;
        let beside = y + line.figures_below;
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

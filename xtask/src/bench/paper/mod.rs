//! The figures of the paper's evaluation on the real thing: a container from a new image (figure 10), an application to the web server
//! and on to a device (11a and 11b), a log file from a device to the dashboard (12). Each beside the tools that everybody has, by turns
//! on the same link.
//!
//! Device 1 is the edge node. Device 2 is the user's computer: it has a link like the device's, and nothing else of the platform matters
//! there.

mod create;
mod deploy;
mod drawing;
mod fetch;
mod figures;
mod files;
mod goals;
mod plain_http;
mod steps;
mod upload;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

pub use drawing::write as write_plots;
pub use figures::{Figure, Figures, Row, Way};

use crate::bench::Link;
use crate::interrupt;
use crate::report::Report;
use crate::stack::{Programs, Stack};
use create::Create;
use deploy::Deploy;
use fetch::Fetch;
use steps::Took;
use upload::Upload;

/// The largest image over the paper's link takes a minute; a hundred megabytes up it take eighty seconds.
const LIMIT: Duration = Duration::from_secs(900);

/// The edge node.
const EDGE: u8 = 1;
/// The user's computer.
const USER: u8 = 2;

/// Bytes of a megabyte, as links count them.
const MEGABYTE: u64 = 1_000_000;

/// What is to be measured.
#[derive(Debug)]
pub struct Wanted {
    /// Which figures.
    pub figures: Vec<Figure>,
    /// Over which links.
    pub links: Vec<Link>,
    /// How often.
    pub rounds: u32,
    /// Only small sizes.
    pub is_quick: bool,
}

/// Something that the platform does, and that everybody's tools do as well.
trait Contest {
    /// Makes what both need for a round of `bytes`; none of it is timed.
    fn prepare(&mut self, bytes: u64) -> Result<()>;

    /// Does it once. Only this is timed, and the link is slow only meanwhile.
    fn once(&mut self, way: Way, bytes: u64) -> Result<Took>;

    /// Removes what [`Contest::once`] has left, however that ended.
    fn clear(&mut self) -> Result<()>;
}

/// Measures; `take` gets the new rows as soon as a size has all its rounds.
///
/// # Errors
/// The platform does not come up, or somebody pressed Ctrl-C. A round that fails is told in its row.
pub fn measure(
    data_root: &Path,
    wanted: &Wanted,
    mut take: impl FnMut(Vec<Row>) -> Result<()>,
) -> Result<()> {
    let mut report = Report::new();
    let stack = Stack::start(&mut report, "paper", data_root, 2, Programs::build_release)?;
    let folder = stack.lab().data_dir().join("paper");
    fs::create_dir_all(&folder)?;
    for figure in &wanted.figures {
        let mut contest = contest(*figure, &stack, folder.join(figure.name()))?;
        for bytes in figure.sizes(wanted.is_quick) {
            for link in &wanted.links {
                take(rounds(&stack, contest.as_mut(), (*figure, bytes, *link), wanted.rounds)?)?;
            }
        }
    }
    stack.take_down()
}

fn contest<'a>(figure: Figure, stack: &'a Stack, folder: PathBuf) -> Result<Box<dyn Contest + 'a>> {
    fs::create_dir_all(&folder)?;
    Ok(match figure {
        Figure::Create => Box::new(Create::new(stack)),
        Figure::Upload => Box::new(Upload::new(stack, folder)?),
        Figure::Deploy => Box::new(Deploy::new(stack, folder)?),
        Figure::Fetch => Box::new(Fetch::new(stack, folder)?),
    })
}

/// All rounds of one size over one link, in both ways; who begins changes from round to round.
fn rounds(
    stack: &Stack,
    contest: &mut dyn Contest,
    (figure, bytes, link): (Figure, u64, Link),
    rounds: u32,
) -> Result<Vec<Row>> {
    let (date, commit) = (super::today()?, super::commit()?);
    let mut rows = Way::ALL.map(|way| Row::new(figure, bytes, link, way, &date, &commit));
    for round in 0..rounds {
        if !round.is_multiple_of(2) {
            rows.reverse();
        }
        contest.prepare(bytes)?;
        for row in &mut rows {
            let took = {
                let _shaped = link.shape(stack.lab())?;
                contest.once(row.way, bytes)
            };
            interrupt::check()?;
            let took = contest.clear().and(took);
            let told = match &took {
                Ok(took) => format!("{} ms", took.total_ms()),
                Err(error) => format!("FAILED: {error:#}"),
            };
            eprintln!("{figure}, {bytes} bytes, link {link}, {}, round {round}: {told}", row.way);
            row.take(took);
        }
    }
    Ok(rows.into())
}

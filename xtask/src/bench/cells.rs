//! What is measured: which containers move over which links, in which ways. Nothing here does anything.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::link::Link;

/// A way to move a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Ours, with its memory.
    Live,
    /// Ours, stopped and started.
    Cold,
    /// `docker checkpoint`, a copy and `docker start --checkpoint`.
    Plain,
    /// `podman container checkpoint --export` and `restore --import`.
    Podman,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Live, Self::Cold, Self::Plain, Self::Podman];

    /// What ours are compared with.
    pub const fn is_baseline(self) -> bool {
        matches!(self, Self::Plain | Self::Podman)
    }

    /// Whether a container must go on with what it had in memory.
    pub const fn keeps_memory(self) -> bool {
        !matches!(self, Self::Cold)
    }

    /// Its name on the command line and in the figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Cold => "cold",
            Self::Plain => "plain",
            Self::Podman => "podman",
        }
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A container and a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// Memory of the container.
    pub megabytes: u32,
    /// How much of it is written anew each second, in percent.
    pub rewritten: u32,
    /// What it moves over.
    pub link: Link,
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} MB, {} %, link {}", self.megabytes, self.rewritten, self.link)
    }
}

/// Every combination.
pub fn crossed(megabytes: &[u32], rewritten: &[u32], links: &[Link]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for link in links {
        for megabytes in megabytes {
            for rewritten in rewritten {
                cells.push(Cell { megabytes: *megabytes, rewritten: *rewritten, link: *link });
            }
        }
    }
    cells
}

/// The whole matrix: all containers over the unlimited link, 200 MB over all links, 800 MB over those that are not slow.
pub fn all() -> Vec<Cell> {
    let mut cells = crossed(&[4, 50, 200, 800], &[0, 5, 20], &Link::ALL);
    cells.retain(|cell| match cell.megabytes {
        200 => true,
        800 => !cell.link.is_slow(),
        _ => cell.link == Link::Unlimited,
    });
    cells
}

/// How often a cell is measured in a way. A baseline over a slow link takes minutes and does not change with our programs:
/// once, and not at all where it is kept from an earlier run.
pub fn rounds(way: Way, link: Link, wanted: u32, is_kept: bool) -> u32 {
    match (way.is_baseline() && link.is_slow(), is_kept) {
        (true, true) => 0,
        (true, false) => wanted.min(1),
        (false, _) => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 800 MB at 5 Mbit/s would take twenty minutes a move.
    #[test]
    fn large_containers_do_not_move_over_slow_links() {
        let cells = all();
        let slow = cells.iter().filter(|cell| cell.link.is_slow());
        assert!(slow.clone().all(|cell| cell.megabytes == 200));
        assert_eq!(slow.count(), 9);
        assert_eq!(cells.len(), 12 + 6 + 9);
    }

    #[test]
    fn a_slow_baseline_is_measured_once() {
        let slow = Link::Megabits(20);
        assert_eq!(rounds(Way::Plain, slow, 5, false), 1);
        assert_eq!(rounds(Way::Plain, slow, 5, true), 0);
        assert_eq!(rounds(Way::Live, slow, 5, true), 5);
        assert_eq!(rounds(Way::Plain, Link::Unlimited, 5, true), 5);
    }
}

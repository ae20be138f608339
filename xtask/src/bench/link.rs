//! The links that containers move over. A slow one is a token bucket (`tc tbf`) at both ends of each device's cable: a
//! device has one link, which its moves, its containers' answers and its talk with the cloud share.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::lab::{Device, Lab};
use crate::shell;

/// What may leave at once: some packets, or a moment of a fast link's.
const BURST: &str = "32kb";
/// The queue before a slow link: what is longer under way is dropped, as by a router without a bloated buffer.
const QUEUE: &str = "50ms";

/// A link, by how much it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Link {
    /// What the machine carries.
    Unlimited,
    /// So many Mbit/s both ways.
    Megabits(u32),
    /// The paper's: 11.45 Mbit/s up, 24.2 Mbit/s down.
    Paper,
}

impl Link {
    /// All that are measured.
    pub const ALL: [Self; 5] =
        [Self::Unlimited, Self::Megabits(100), Self::Megabits(20), Self::Paper, Self::Megabits(5)];

    /// kbit/s up and down, seen from a device.
    fn rates(self) -> Option<(u32, u32)> {
        match self {
            Self::Unlimited => None,
            Self::Megabits(rate) => Some((rate * 1000, rate * 1000)),
            Self::Paper => Some((11_450, 24_200)),
        }
    }

    /// Whether it is so slow that a baseline is measured on it only once.
    pub fn is_slow(self) -> bool {
        self.rates().is_some_and(|(up, down)| up.min(down) < 100_000)
    }

    /// Makes the cables of all devices so, until the answer's drop.
    ///
    /// # Errors
    /// `tc` refuses.
    pub(super) fn shape(self, lab: &Lab) -> Result<Shaped<'_>> {
        let mut shaped = Shaped { devices: Vec::new() };
        let Some((up, down)) = self.rates() else { return Ok(shaped) };
        for device in lab.devices() {
            shaped.devices.push(device);
            shell::output(device.command("tc").args(bucket("eth0", up)))?;
            shell::run("tc", bucket(device.cable(), down))?;
        }
        Ok(shaped)
    }
}

fn bucket(interface: &str, rate: u32) -> Vec<String> {
    let words = format!("qdisc add dev {interface} root tbf rate {rate}kbit burst {BURST} latency {QUEUE}");
    words.split(' ').map(str::to_owned).collect()
}

/// Cables that are slow.
pub(super) struct Shaped<'a> {
    devices: Vec<&'a Device>,
}

impl Drop for Shaped<'_> {
    fn drop(&mut self) {
        let remove = |interface| ["qdisc", "del", "dev", interface, "root"];
        for device in &self.devices {
            // They go with the cables, too.
            let _ = shell::output(device.command("tc").args(remove("eth0")));
            let _ = shell::run("tc", remove(device.cable()));
        }
    }
}

impl Display for Link {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::Megabits(rate) => write!(f, "{rate}"),
            Self::Paper => f.write_str("paper"),
        }
    }
}

impl FromStr for Link {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "unlimited" => Ok(Self::Unlimited),
            "paper" => Ok(Self::Paper),
            text => {
                let rate = text.parse().ok().filter(|rate| (1..=10_000).contains(rate));
                let rate = rate.ok_or_else(|| anyhow!("a link is unlimited, paper, or 1 to 10000 Mbit/s"))?;
                Ok(Self::Megabits(rate))
            }
        }
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.to_string()
    }
}

impl TryFrom<String> for Link {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kept file of figures must be read back as it was written.
    #[test]
    fn a_link_is_read_as_it_is_written() {
        for link in Link::ALL {
            assert_eq!(link.to_string().parse::<Link>().unwrap(), link);
        }
        assert!("0".parse::<Link>().is_err());
    }
}

//! Where an application shall run: every device is looked at, and chosen or not for reasons that a person can read.
//!
//! Owns the rules and their sentences. What is looked at was told by reports and may be some seconds old; the device itself
//! judges again before it begins anything. Must not know who asks, nor what is done with the answer.

mod distance;
mod platform;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, collections::BTreeSet};

use ecep_proto::api::{
    container::Protocol,
    device::Liveness,
    geo::Location,
    name::{ContainerName, DeviceId},
    placement::Candidate,
    share::GrantedTerms,
};

pub use distance::kilometres;
pub use platform::{platform_of, runs};

use crate::quota::{self, Action, Demand, Holdings};

/// A device with more of its CPU in use than this, in percent, gets nothing that may go elsewhere.
const BUSY_PERCENT: f64 = 95.0;
/// Room on the disk that is left beside what is brought: engines and logs need some.
const SPARE_DISK_BYTES: u64 = 256 << 20;
/// Room in memory without which nothing starts, where the application says nothing of its own.
const LEAST_MEMORY_BYTES: u64 = 16 << 20;

/// A device, as its reports and its row tell of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// How it is.
    pub liveness: Liveness,
    /// Whether its engine answers.
    pub engine_reachable: bool,
    /// As `uname -m` says; none where it was never heard of.
    pub architecture: Option<String>,
    /// Online cores.
    pub cores: u32,
    /// CPU in use, in percent of all cores together.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory.
    pub memory_total_bytes: u64,
    /// Bytes of memory in use.
    pub memory_used_bytes: Option<u64>,
    /// Free bytes on the containers' disk.
    pub disk_free_bytes: Option<u64>,
    /// Where it stands.
    pub location: Option<Location>,
    /// The terms on which the tenant uses it; none where it is the tenant's own.
    pub granted: Option<GrantedTerms>,
    /// The names of the tenant's containers there.
    pub names: BTreeSet<ContainerName>,
    /// Its ports that are published by anybody's containers.
    pub ports: BTreeSet<(u16, Protocol)>,
}

/// What a container needs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Needs {
    /// For which architectures its image is, as `docker` calls them; empty where that is not known.
    pub architectures: Vec<String>,
    /// What it takes of a quota: its limits.
    pub demand: Demand,
    /// Bytes that are brought to the disk.
    pub disk_bytes: u64,
    /// Its name, where it has one.
    pub name: Option<ContainerName>,
    /// Whether it publishes ports.
    pub publishes: bool,
    /// The device's ports that it publishes.
    pub ports: Vec<(u16, Protocol)>,
}

/// Which devices, of those that fit.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// These. A person has named them, so how much they have to do does not count.
    These(Vec<DeviceId>),
    /// The nearest.
    Nearest {
        /// To here.
        to: Location,
        /// So many.
        count: usize,
        /// No farther away than this many kilometres.
        within_km: Option<f64>,
    },
    /// Those with the most room.
    Roomiest {
        /// So many.
        count: usize,
    },
}

/// Looks at all devices. The chosen ones come first, in the order of the wish: the nearest, or the roomiest, first. There may be fewer
/// than were wished for. The order of `devices` means nothing.
pub fn place(devices: &[Device], needs: &Needs, wish: &Wish) -> Vec<Candidate> {
    let mut looked: Vec<Looked<'_>> = match wish {
        Wish::These(ids) => {
            let ids: BTreeSet<&DeviceId> = ids.iter().collect();
            devices
                .iter()
                .filter(|device| ids.contains(&device.id))
                .map(|one| look(one, needs, wish))
                .collect()
        }
        _ => devices.iter().map(|device| look(device, needs, wish)).collect(),
    };
    looked.sort_by(|a, b| a.order(b, wish));
    let count = match wish {
        Wish::These(_) => looked.len(),
        Wish::Nearest { count, .. } | Wish::Roomiest { count } => *count,
    };
    let mut chosen = 0;
    looked
        .into_iter()
        .map(|one| {
            let fits = one.hindrances.is_empty();
            let is_chosen = fits && chosen < count;
            let reasons = if is_chosen {
                vec![one.praise(wish, chosen)]
            } else if fits {
                vec![one.passed_over(wish)]
            } else {
                one.hindrances
            };
            chosen += usize::from(is_chosen);
            Candidate {
                device: one.device.id.clone(),
                chosen: is_chosen,
                reasons,
                distance_km: one.distance_km,
            }
        })
        .collect()
}

/// A device that was looked at.
struct Looked<'a> {
    device: &'a Device,
    /// Why it does not fit.
    hindrances: Vec<String>,
    distance_km: Option<f64>,
    room: Room,
}

/// How much is left once the container is there.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// The smaller of the parts of memory and of CPU that are left; 0 where nothing is known.
    part: f64,
    memory_bytes: u64,
}

impl Looked<'_> {
    /// What fits comes first, then as the wish says, then by id: nobody shall wonder at a changing order.
    fn order(&self, other: &Self, wish: &Wish) -> Ordering {
        let by_room = || {
            let by_part = other.room.part.total_cmp(&self.room.part);
            by_part.then(other.room.memory_bytes.cmp(&self.room.memory_bytes))
        };
        let by_wish = match wish {
            Wish::These(_) => Ordering::Equal,
            Wish::Nearest { .. } => {
                let distance = |one: &Self| one.distance_km.unwrap_or(f64::INFINITY);
                distance(self).total_cmp(&distance(other)).then_with(by_room)
            }
            Wish::Roomiest { .. } => by_room(),
        };
        let fits = |one: &Self| one.hindrances.is_empty();
        fits(other).cmp(&fits(self)).then(by_wish).then_with(|| self.device.id.cmp(&other.device.id))
    }

    fn praise(&self, wish: &Wish, place: usize) -> String {
        let nearest = if place == 0 { "the nearest" } else { "the next nearest" };
        match wish {
            Wish::These(_) => "Named in the order.".to_owned(),
            Wish::Nearest { .. } => format!("{}, {nearest} with room.", self.away()),
            Wish::Roomiest { .. } if self.device.memory_used_bytes.is_none() => {
                "Fits; it has not told yet how much room it has.".to_owned()
            }
            Wish::Roomiest { .. } => {
                let most = if place == 0 { "the most room" } else { "the most room of the rest" };
                format!("Has {most}: {} of memory are left.", bytes(self.room.memory_bytes))
            }
        }
    }

    fn passed_over(&self, wish: &Wish) -> String {
        match wish {
            Wish::These(_) => "Fits, but was not named.".to_owned(),
            Wish::Nearest { .. } => format!("{}; nearer ones have room.", self.away()),
            Wish::Roomiest { .. } => "Others have more room.".to_owned(),
        }
    }

    fn away(&self) -> String {
        self.distance_km.map_or_else(|| "Somewhere".to_owned(), |km| format!("{} away", readable_km(km)))
    }
}

fn look<'a>(device: &'a Device, needs: &Needs, wish: &Wish) -> Looked<'a> {
    let distance_km = match wish {
        Wish::Nearest { to, .. } => device.location.map(|location| kilometres(location, *to)),
        _ => None,
    };
    let mut hindrances = Vec::new();
    if let Some(why) = silence(device.liveness) {
        hindrances.push(why.to_owned());
    } else if !device.engine_reachable {
        hindrances.push("Its engine does not answer.".to_owned());
    }
    if let Wish::Nearest { within_km, .. } = wish {
        match (distance_km, within_km) {
            (None, _) => hindrances.push("Where it stands is not on the map; give it a place.".to_owned()),
            (Some(km), Some(most)) if km > *most => {
                hindrances.push(format!("Is {} away, farther than {}.", readable_km(km), readable_km(*most)))
            }
            _ => {}
        }
    }
    hindrances.extend(of_image(device, needs));
    hindrances.extend(of_share(device, needs));
    hindrances.extend(of_room(device, needs, matches!(wish, Wish::These(_))));
    Looked { device, hindrances, distance_km, room: room(device, needs) }
}

fn silence(liveness: Liveness) -> Option<&'static str> {
    match liveness {
        Liveness::Connected | Liveness::Degraded => None,
        Liveness::Stale => Some("Has been silent for some seconds."),
        Liveness::Offline => Some("Is offline."),
        Liveness::Never => Some("Was never heard of; start its agent."),
    }
}

/// Whether the image runs there, and its name and ports are free.
fn of_image(device: &Device, needs: &Needs) -> Vec<String> {
    let mut hindrances = Vec::new();
    if let Some(architecture) = &device.architecture
        && !runs(architecture, &needs.architectures)
    {
        let platform = platform_of(architecture);
        hindrances.push(format!("Is {platform}, and the image is for {}.", needs.architectures.join(", ")));
    }
    if let Some(name) = needs.name.as_ref().filter(|name| device.names.contains(name)) {
        hindrances.push(format!("Has a container {name} already; choose another name, or update that one."));
    }
    for (port, protocol) in needs.ports.iter().filter(|port| device.ports.contains(port)) {
        let protocol = if *protocol == Protocol::Udp { "UDP" } else { "TCP" };
        hindrances.push(format!("Its {protocol} port {port} is taken."));
    }
    hindrances
}

/// What the terms of a share say. What other containers of the tenant take of its quota only the device knows.
fn of_share(device: &Device, needs: &Needs) -> Vec<String> {
    let Some(granted) = &device.granted else { return Vec::new() };
    let mut hindrances = Vec::new();
    if let Err(refused) = quota::allows(granted, Action::Create { publishes: needs.publishes }) {
        hindrances.push(sentence(&refused.to_string()));
    }
    let quota = &granted.terms.quota;
    let held = device.names.len();
    if let Some(most) = quota.containers.filter(|most| held >= usize::try_from(*most).unwrap_or(usize::MAX)) {
        hindrances.push(format!("Its share is for {most} containers, and as many are there."));
    }
    let alone = ecep_proto::api::share::Quota { containers: None, ..quota.clone() };
    let new = "new".parse().map(|id| quota::has_room(&alone, &id, &Holdings::new(), needs.demand));
    if let Ok(Err(refused)) = new {
        hindrances.push(sentence(&refused.to_string()));
    }
    if let Some(most) = quota.disk_bytes.filter(|most| *most < needs.disk_bytes) {
        hindrances.push(format!(
            "Its share has {} of disk, and {} are needed.",
            bytes(most),
            bytes(needs.disk_bytes)
        ));
    }
    hindrances
}

/// Whether there is room. How busy the device is now hinders only what may go elsewhere.
fn of_room(device: &Device, needs: &Needs, is_named: bool) -> Vec<String> {
    let mut hindrances = Vec::new();
    let disk = needs.disk_bytes.saturating_add(SPARE_DISK_BYTES);
    if let Some(free) = device.disk_free_bytes.filter(|free| *free < disk) {
        hindrances.push(format!("Has {} of disk left, and {} are needed.", bytes(free), bytes(disk)));
    }
    let cores = f64::from(device.cores);
    if let Some(wanted) = needs.demand.cores().filter(|wanted| device.cores > 0 && *wanted > cores) {
        hindrances.push(format!("Has {cores} of the {wanted} cores that are wanted."));
    }
    if let Some(wanted) = needs.demand.memory_bytes.filter(|wanted| *wanted > device.memory_total_bytes)
        && device.memory_total_bytes > 0
    {
        let total = bytes(device.memory_total_bytes);
        hindrances.push(format!("Has {total} of memory in all, and {} are wanted.", bytes(wanted)));
    } else if !is_named && let Some(used) = device.memory_used_bytes {
        let free = device.memory_total_bytes.saturating_sub(used);
        let wanted = needs.demand.memory_bytes.unwrap_or(LEAST_MEMORY_BYTES);
        if free < wanted {
            hindrances.push(format!("Has {} of memory left, and {} are needed.", bytes(free), bytes(wanted)));
        }
    }
    if let Some(percent) = device.cpu_percent.filter(|percent| !is_named && *percent > BUSY_PERCENT) {
        hindrances.push(format!("Is busy: {percent:.0} % of its CPU is in use."));
    }
    hindrances
}

#[expect(clippy::cast_precision_loss, reason = "parts of memory, compared with each other")]
fn room(device: &Device, needs: &Needs) -> Room {
    let Some(used) = device.memory_used_bytes else { return Room { part: 0.0, memory_bytes: 0 } };
    let wanted = needs.demand.memory_bytes.unwrap_or(LEAST_MEMORY_BYTES);
    let left = device.memory_total_bytes.saturating_sub(used).saturating_sub(wanted);
    let of_memory = left as f64 / device.memory_total_bytes.max(1) as f64;
    let of_cpu = 1.0 - device.cpu_percent.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
    Room { part: of_memory.min(of_cpu), memory_bytes: left }
}

fn readable_km(km: f64) -> String {
    if km < 10.0 { format!("{km:.1} km") } else { format!("{km:.0} km") }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// Begins with a capital and ends in a full stop.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

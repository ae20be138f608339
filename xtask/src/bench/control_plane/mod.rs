//! Measures the control plane and the router under a whole fleet: real agents with engines in memory, real clients of every tenant,
//! all on this machine. What is told: how long people wait for lists, how soon they are told of changes, how long a fleet needs
//! to come back after the router or the control plane was killed, and what both cost.

mod cost;
mod figures;
mod plan;
mod platform;
mod storm;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Deserialize;

pub use cost::Memory;
pub(super) use cost::load_of_machine;
pub use figures::Figures;
pub use platform::{Metrics, Platform, Programs};
pub use storm::Storm;

use crate::{interrupt, workspace};
use figures::{Cost, Fleet, Lists, Orders, Restart, Silence, Spread, Start};
use storm::{Before, Watching};

/// How large the platform is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Tenants.
    pub tenants: u32,
    /// Devices of all tenants.
    pub devices: u32,
    /// Containers of all devices; rounded to as many on each.
    pub containers: u32,
}

impl Size {
    /// What the control plane should bear on two cores.
    pub const FULL: Self = Self { tenants: 200, devices: 1_000, containers: 10_000 };
    /// A look.
    pub const QUICK: Self = Self { tenants: 20, devices: 60, containers: 600 };

    /// Containers of each device.
    pub fn each(&self) -> u32 {
        self.containers / self.devices.max(1)
    }
}

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// How large.
    pub size: Size,
    /// Shortly.
    pub is_quick: bool,
}

/// Processes that the agents share: so many that one can fall silent and the others go on.
pub const GENERATORS: usize = 4;
/// Longer than a device may be silent before it counts as stale, shorter than until it is offline.
const SILENT: Duration = Duration::from_secs(11);
/// The status is watched until the silent devices are back.
const WATCHED_SECONDS: u64 = 20;
/// How long all may take to come back: far more than the goal, so that a miss is a figure.
const BACK_SECONDS: &str = "180";

/// How long and how often is measured.
struct Effort {
    idle: Duration,
    calls: u32,
    orders: u32,
}

/// What a generator tells of devices that are back.
#[derive(Debug, Deserialize)]
struct Connected {
    devices: usize,
    containers: usize,
    heard: Option<Spread>,
    reached: Option<Spread>,
}

/// What a generator tells of containers that were created.
#[derive(Debug, Deserialize)]
struct Created {
    containers: usize,
    seconds: f64,
    order: Option<Spread>,
}

/// Measures.
///
/// # Errors
/// Something does not come up or come back, or somebody pressed Ctrl-C.
pub fn measure(wanted: &Wanted) -> Result<Figures> {
    ensure!(
        wanted.size.tenants > 0 && wanted.size.devices >= wanted.size.tenants,
        "every tenant needs a device"
    );
    let programs = Programs::build_release()?;
    let effort = if wanted.is_quick {
        Effort { idle: Duration::from_secs(15), calls: 500, orders: 100 }
    } else {
        Effort { idle: Duration::from_secs(60), calls: 3_000, orders: 500 }
    };
    let load_before = load_of_machine()?;
    let folder = workspace().join("target/bench-control-plane");
    let begun = Instant::now();
    let mut platform = step("platform", || Platform::start(&folder, programs, &wanted.size))?;
    let set_up_seconds = begun.elapsed().as_secs_f64();
    let bench = Bench { size: wanted.size, each: wanted.size.each().to_string() };
    let fleet = bench.fleet(&mut platform, set_up_seconds)?;
    let idle = step("idle", || bench.idle(&platform, effort.idle))?;
    let (calls, orders) = (effort.calls.to_string(), effort.orders.to_string());
    let lists: Lists = step("lists", || platform.measure(&["lists", "--calls", &calls]))?;
    let orders: Orders = step("orders", || platform.measure(&["orders", "--orders", &orders]))?;
    let silence = step("silence", || bench.silence(&platform))?;
    let router = step("router killed", || bench.router_restart(&mut platform))?;
    let (control_plane, start) = step("control plane killed", || bench.control_plane_restart(&mut platform))?;
    let memory_after = [cost::memory(platform.router())?, cost::memory(platform.dashboard_api())?];
    platform.take_down()?;
    Ok(Figures {
        date: super::today()?,
        commit: super::commit()?,
        load_before,
        tenants: wanted.size.tenants,
        devices: wanted.size.devices,
        containers: fleet.containers,
        fleet,
        idle,
        lists,
        orders,
        silence,
        router_restart: router,
        control_plane_restart: control_plane,
        start,
        router_memory_after: memory_after[0],
        control_plane_memory_after: memory_after[1],
    })
}

fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    interrupt::check()?;
    eprintln!("{what} ...");
    let begun = Instant::now();
    let done = work()?;
    eprintln!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    Ok(done)
}

struct Bench {
    size: Size,
    each: String,
}

impl Bench {
    fn fleet(&self, platform: &mut Platform, set_up_seconds: f64) -> Result<Fleet> {
        let begun = Instant::now();
        step("devices enrol", || platform.start_fleet(GENERATORS))?;
        let enrol_seconds = begun.elapsed().as_secs_f64();
        let connected: Connected = step("devices connect", || {
            platform.measure(&["connected", "--each", "0", "--limit", BACK_SECONDS])
        })?;
        ensure!(connected.devices == self.size.devices as usize, "not all devices are there");
        let created: Created =
            step("containers are created", || platform.measure(&["create", "--each", &self.each]))?;
        Ok(Fleet {
            set_up_seconds,
            enrol_seconds,
            containers: created.containers,
            create_seconds: created.seconds,
            create_order: created.order,
        })
    }

    fn idle(&self, platform: &Platform, time: Duration) -> Result<Cost> {
        // What creating has left behind is written before it is looked at.
        interrupt::wait(Duration::from_secs(5));
        let processes = [platform.router(), platform.dashboard_api()];
        let used = || processes.map(cost::processor_time);
        let (before, begun) = (used(), Instant::now());
        interrupt::wait(time);
        interrupt::check()?;
        let (after, span) = (used(), begun.elapsed());
        let mut shares = Vec::new();
        for (before, after) in before.into_iter().zip(after) {
            shares.push(after?.saturating_sub(before?).as_secs_f64() / span.as_secs_f64());
        }
        Ok(Cost {
            router: cost::memory(processes[0])?,
            control_plane: cost::memory(processes[1])?,
            router_cores: shares[0],
            control_plane_cores: shares[1],
            load_of_machine: load_of_machine()?,
        })
    }

    fn silence(&self, platform: &Platform) -> Result<Silence> {
        let seconds = WATCHED_SECONDS.to_string();
        let mut watching = platform.begin(&["status", "--seconds", &seconds])?;
        let ready: String = watching.next()?;
        ensure!(ready == "ready", "the watchers say {ready}");
        platform.silence(0, SILENT)?;
        watching.end()
    }

    fn router_restart(&self, platform: &mut Platform) -> Result<Restart> {
        let before = cost::processor_time(platform.dashboard_api())?;
        let killed = platform.restart_router()?;
        let watching = Watching::start(platform.metrics_url(), Before::default());
        let connected = self.back(platform, killed)?;
        let storm = watching.end()?;
        let control_plane = cost::processor_time(platform.dashboard_api())?.saturating_sub(before);
        Ok(Restart {
            heard: connected.heard,
            reached: connected.reached,
            router_cpu_seconds: cost::processor_time(platform.router())?.as_secs_f64(),
            control_plane_cpu_seconds: control_plane.as_secs_f64(),
            storm,
        })
    }

    fn control_plane_restart(&self, platform: &mut Platform) -> Result<(Restart, Start)> {
        let Metrics { welcomed, refused, .. } = platform.metrics()?;
        let watching = Watching::start(platform.metrics_url(), Before { welcomed, refused });
        let before = cost::processor_time(platform.router())?;
        let (killed, answers, joined) = platform.restart_control_plane()?;
        let connected = self.back(platform, killed)?;
        let storm = watching.end()?;
        let router = cost::processor_time(platform.router())?.saturating_sub(before);
        let restart = Restart {
            heard: connected.heard,
            reached: connected.reached,
            router_cpu_seconds: router.as_secs_f64(),
            control_plane_cpu_seconds: cost::processor_time(platform.dashboard_api())?.as_secs_f64(),
            storm,
        };
        let start = Start { answers_seconds: answers.as_secs_f64(), joined_seconds: joined.as_secs_f64() };
        Ok((restart, start))
    }

    fn back(&self, platform: &Platform, since: u64) -> Result<Connected> {
        let since = since.to_string();
        let arguments = ["connected", "--since", &since, "--each", &self.each, "--limit", BACK_SECONDS];
        let connected: Connected = platform.measure(&arguments)?;
        ensure!(connected.devices == self.size.devices as usize, "not all devices are back");
        ensure!(
            connected.containers == (self.size.devices * self.size.each()) as usize,
            "not all containers are back"
        );
        Ok(connected)
    }
}

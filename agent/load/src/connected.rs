//! Waits until every device is back, as its tenant sees it: the control plane has heard of it, and its own procedures answer
//! with all its containers. The sessions that look are lost with the router as the devices' are, and come back by themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use ecep_proto::api::{
    ContainerList, DeviceList, FleetContainerList, Procedure, device::Liveness, name::DeviceId,
    reply::Nothing,
};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    plan::{Plan, Tenant},
    session::Session,
    spread::Spread,
};

/// How often each tenant looks. Seldom enough that looking is not what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When the devices were back.
#[derive(Debug, Serialize)]
pub struct Connected {
    /// How many.
    pub devices: usize,
    /// Containers that they answered with.
    pub containers: usize,
    /// Until the control plane had heard of each since then.
    pub heard: Option<Spread>,
    /// Until the procedures of each answered, to a session of its tenant that had come back itself.
    pub reached: Option<Spread>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// In milliseconds since 1970: devices count that were heard of after it.
    pub since: u64,
    /// Containers of each device.
    pub each: usize,
    /// How long it is waited.
    pub limit: Duration,
}

/// Waits.
///
/// # Errors
/// Some are not back in time, with how many, and what the last obstacle was.
pub async fn run(plan: &Plan, wanted: Wanted) -> Result<Connected> {
    let plan = Arc::new(plan.clone());
    let end = Instant::now() + wanted.limit;
    let mut tasks = JoinSet::new();
    // Tenants look one after the other.
    let pause = LOOK_EVERY / u32::try_from(plan.tenants.len().max(1))?;
    for place in 0..plan.tenants.len() {
        let plan = Arc::clone(&plan);
        tasks.spawn(async move {
            sleep(pause * u32::try_from(place).unwrap_or_default()).await;
            let mut seen = Seen::default();
            let tenant = &plan.tenants[place];
            let all = timeout_at(end, seen.wait(&plan, tenant, wanted)).await;
            (seen, all.is_ok(), tenant.devices as usize)
        });
    }
    let mut total = Seen::default();
    let (mut missing, mut containers) = (0, 0);
    while let Some(seen) = tasks.join_next().await {
        let (seen, is_all, devices) = seen?;
        if !is_all {
            missing += devices - seen.reached.len();
            total.obstacle = seen.obstacle.or(total.obstacle);
        }
        containers += seen.containers;
        total.heard.extend(seen.heard);
        total.reached.extend(seen.reached);
    }
    if missing > 0 {
        let obstacle = total.obstacle.unwrap_or_default();
        bail!("{missing} of {} devices are not back in time; at last: {obstacle}", plan.device_count());
    }
    Ok(Connected {
        devices: total.reached.len(),
        containers,
        heard: Spread::of(total.heard.into_values()),
        reached: Spread::of(total.reached.into_values()),
    })
}

/// What one tenant has seen.
#[derive(Default)]
struct Seen {
    session: Option<(Session, mpsc::Receiver<serde_json::Value>)>,
    heard: BTreeMap<DeviceId, Duration>,
    reached: BTreeMap<DeviceId, Duration>,
    containers: usize,
    obstacle: Option<String>,
}

impl Seen {
    async fn wait(&mut self, plan: &Plan, tenant: &Tenant, wanted: Wanted) {
        loop {
            match self.look(plan, tenant, wanted).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => self.obstacle = Some(format!("{error:#}")),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Whether all is there.
    async fn look(&mut self, plan: &Plan, tenant: &Tenant, wanted: Wanted) -> Result<bool> {
        let is_over = self.session.as_ref().is_none_or(|(session, _)| session.is_over());
        if is_over {
            self.session = None;
            self.session = Some(Session::join(plan, tenant).await?);
        }
        let (session, _) = self.session.as_ref().context("no session")?;
        let expected = tenant.devices as usize;
        if self.heard.len() < expected {
            let listed = session.call::<DeviceList>(DeviceList::URI, &Nothing {}).await?;
            let now = elapsed(wanted.since);
            for device in listed.devices {
                let is_new = device.last_seen_at.is_some_and(|at| at > wanted.since);
                if is_new && device.liveness == Liveness::Connected {
                    self.heard.entry(device.id).or_insert(now);
                }
            }
        }
        let waiting: Vec<DeviceId> =
            self.heard.keys().filter(|device| !self.reached.contains_key(*device)).cloned().collect();
        for device in waiting {
            let list = session.call::<ContainerList>(&ContainerList::on(&device), &Nothing {}).await?;
            let there = list.containers.len();
            ensure!(there == wanted.each, "{device} has {there} of {} containers", wanted.each);
            self.reached.insert(device, elapsed(wanted.since));
        }
        if self.reached.len() < expected {
            return Ok(false);
        }
        let listed = session.call::<FleetContainerList>(FleetContainerList::URI, &Nothing {}).await?;
        let ids: BTreeSet<_> = listed.containers.iter().map(|one| &one.container.id).collect();
        self.containers = ids.len();
        let lists = (self.containers, expected * wanted.each);
        ensure!(lists.0 == lists.1, "the control plane lists {} of {} containers", lists.0, lists.1);
        Ok(true)
    }
}

fn elapsed(since: u64) -> Duration {
    now().saturating_sub(Duration::from_millis(since))
}

/// Since 1970; the control plane of this machine tells times by the same clock.
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

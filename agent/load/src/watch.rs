//! How soon people are told: a subscriber of each tenant waits for the status of its devices, and for the containers that it
//! stops and starts. The control plane's clock is this machine's, so a delay is counted from the moment when a change was due.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ecep_fleet::liveness::{OFFLINE_AFTER_MS, STALE_AFTER_MS};
use ecep_proto::api::{
    ContainerEvents, ContainerStart, ContainerStop, DeviceStatusEvents, FleetContainerList, Procedure, Topic,
    container::{ContainerEvent, ContainerOrder, ContainerState, StopContainer},
    device::{DeviceView, Liveness},
    fleet::PlacedContainer,
    reply::Nothing,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use crate::{connected::now, plan::Plan, session::Session, spread::Spread};

/// Sessions that are opened at a time.
const JOIN_AT_ONCE: usize = 16;
/// An event that comes later does not come.
const EVENT_WITHIN: Duration = Duration::from_secs(30);

/// Figures of the status that was told.
#[derive(Debug, Serialize)]
pub struct Told {
    /// From the moment on which a silent device was stale.
    pub stale: Option<Spread>,
    /// From the moment on which it was offline.
    pub offline: Option<Spread>,
    /// From the report by which it was back.
    pub connected: Option<Spread>,
}

/// Watches the status of all devices for so long; says `ready` as soon as every tenant has subscribed.
///
/// # Errors
/// The router refuses.
pub async fn status(plan: &Plan, watched: Duration, ready: impl FnOnce() -> Result<()>) -> Result<Told> {
    let joined = stream::iter(&plan.tenants).map(|tenant| async move {
        let (session, events) = Session::join(plan, tenant).await?;
        session.subscribe(&DeviceStatusEvents::of_all_devices()).await?;
        Ok::<_, anyhow::Error>((session, events))
    });
    let sessions: Vec<_> = joined.buffered(JOIN_AT_ONCE).try_collect().await?;
    ready()?;
    let end = Instant::now() + watched;
    let mut tasks = JoinSet::new();
    for (session, mut events) in sessions {
        tasks.spawn(async move {
            let mut told = Vec::new();
            while let Ok(event) = timeout_at(end, events.recv()).await {
                let at = now();
                let event = event.context("a session has ended while it was watched")?;
                let device: DeviceView = serde_json::from_value(event)?;
                told.push((device.liveness, at.saturating_sub(due(&device))));
            }
            drop(session);
            Ok::<_, anyhow::Error>(told)
        });
    }
    let mut all = Vec::new();
    while let Some(told) = tasks.join_next().await {
        all.extend(told??);
    }
    let of = |wanted: Liveness| {
        Spread::of(all.iter().filter(|(liveness, _)| *liveness == wanted).map(|(_, delay)| *delay))
    };
    Ok(Told {
        stale: of(Liveness::Stale),
        offline: of(Liveness::Offline),
        connected: of(Liveness::Connected),
    })
}

/// Since when it is so.
fn due(device: &DeviceView) -> Duration {
    let after = match device.liveness {
        Liveness::Stale => STALE_AFTER_MS,
        Liveness::Offline => OFFLINE_AFTER_MS,
        Liveness::Connected | Liveness::Degraded | Liveness::Never => 0,
    };
    Duration::from_millis(device.last_seen_at.unwrap_or_default() + after)
}

/// Figures of containers that were stopped and started.
#[derive(Debug, Serialize)]
pub struct Ordered {
    /// Until the order was answered.
    pub answered: Option<Spread>,
    /// Until the subscriber was told of the change.
    pub told: Option<Spread>,
}

/// Stops and starts containers, `orders` orders in all, one after the other, tenant after tenant.
///
/// # Errors
/// An order fails, or nobody is told of it.
pub async fn orders(plan: &Plan, orders: u32) -> Result<Ordered> {
    let (mut answered, mut told) = (Vec::new(), Vec::new());
    let mut left = orders as usize;
    let each = left.div_ceil(plan.tenants.len().max(1));
    for tenant in &plan.tenants {
        if left == 0 {
            break;
        }
        let (session, mut events) = Session::join(plan, tenant).await?;
        session.subscribe(&ContainerEvents::of_all_devices()).await?;
        let listed = session.call::<FleetContainerList>(FleetContainerList::URI, &Nothing {}).await?;
        ensure!(!listed.containers.is_empty(), "tenant {} has no container", tenant.slug);
        for number in 0..each.min(left) {
            // One pair of orders for each container: it is stopped, and it runs again.
            let placed = &listed.containers[number / 2 % listed.containers.len()];
            let (wanted, begun) = (state_after(number), Instant::now());
            order(&session, placed, wanted).await?;
            answered.push(begun.elapsed());
            timeout(EVENT_WITHIN, until(&mut events, placed, wanted)).await.context("nobody was told")??;
            told.push(begun.elapsed());
        }
        left -= each.min(left);
    }
    Ok(Ordered { answered: Spread::of(answered), told: Spread::of(told) })
}

fn state_after(number: usize) -> ContainerState {
    if number.is_multiple_of(2) { ContainerState::Exited } else { ContainerState::Running }
}

async fn order(session: &Session, placed: &PlacedContainer, wanted: ContainerState) -> Result<()> {
    let (device, container) = (&placed.device, placed.container.id.clone());
    if wanted == ContainerState::Running {
        let order = ContainerOrder { container, operation: None };
        session.call::<ContainerStart>(&ContainerStart::on(device), &order).await.map(drop)
    } else {
        let order = StopContainer { container, grace_seconds: None, operation: None };
        session.call::<ContainerStop>(&ContainerStop::on(device), &order).await.map(drop)
    }
}

async fn until(
    events: &mut mpsc::Receiver<Value>,
    placed: &PlacedContainer,
    wanted: ContainerState,
) -> Result<()> {
    loop {
        let event = events.recv().await.context("the session has ended")?;
        let event: ContainerEvent = serde_json::from_value(event)?;
        if event.container.id == placed.container.id && event.container.state == wanted {
            return Ok(());
        }
    }
}

//! Creates containers on every device, as an operator does.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ecep_proto::api::{
    ContainerCreate, DeviceList, Procedure, container::CreateContainer, name::DeviceId,
    operation::OperationState, reply::Nothing,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    plan::{Plan, Tenant},
    session::Session,
    spread::Spread,
};

/// Tenants that order at a time, each one order after the other.
const AT_ONCE: usize = 32;
/// Every engine in memory can pull it.
const IMAGE: &str = "load/application:1";

/// What it took.
#[derive(Debug, Serialize)]
pub struct Created {
    /// How many.
    pub containers: usize,
    /// All of them.
    pub seconds: f64,
    /// Each order until its answer.
    pub order: Option<Spread>,
}

/// Creates `each` containers on every device of the plan.
///
/// # Errors
/// One could not be created.
pub async fn run(plan: &Plan, each: u32) -> Result<Created> {
    let begun = Instant::now();
    let plan = Arc::new(plan.clone());
    let tenants = 0..plan.tenants.len();
    let all = stream::iter(tenants.map(|place| {
        let plan = Arc::clone(&plan);
        async move { of_tenant(&plan, &plan.tenants[place], each).await }
    }));
    let times: Vec<Vec<Duration>> = all.buffer_unordered(AT_ONCE).try_collect().await?;
    let times: Vec<Duration> = times.into_iter().flatten().collect();
    Ok(Created { containers: times.len(), seconds: begun.elapsed().as_secs_f64(), order: Spread::of(times) })
}

async fn of_tenant(plan: &Plan, tenant: &Tenant, each: u32) -> Result<Vec<Duration>> {
    let (session, _events) = Session::join(plan, tenant).await?;
    let listed = session.call::<DeviceList>(DeviceList::URI, &Nothing {}).await?;
    let devices: BTreeSet<DeviceId> = listed.devices.into_iter().map(|device| device.id).collect();
    let mut times = Vec::new();
    for number in 1..=each {
        for device in &devices {
            let name = format!("app-{number}").parse().context("a name")?;
            let mut order = CreateContainer::new(name, IMAGE);
            // Once more after an answer that was lost is the same order.
            order.operation = Some(format!("load-{number}-{device}").parse().context("an operation's id")?);
            let asked = Instant::now();
            let reply = session.call::<ContainerCreate>(&ContainerCreate::on(device), &order).await?;
            if reply.state == OperationState::Failed {
                bail!("a container could not be created on {device}");
            }
            times.push(asked.elapsed());
        }
    }
    Ok(times)
}

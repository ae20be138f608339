//! The agents: each enrols as a device does, and runs with an engine in memory. All of them in this process share its threads,
//! so a report costs what the code costs, not what a process costs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ecep_agent::{
    agent::{self, Settings},
    channel, cloud,
    engine::{Engine, sim::SimEngine},
    facts,
    identity::{self, DeviceKey, Enrolled, Identity},
};
use ecep_link::Trust;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::plan::{Plan, Tenant};

/// Devices that enrol at a time.
const ENROL_AT_ONCE: usize = 16;
/// Agents start over this time: devices are not switched on in one instant.
const START_OVER: Duration = Duration::from_secs(2);

/// Which of the plan's devices: those whose place in it leaves `number` when it is divided by `of`.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// From 0.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
}

impl std::str::FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (number, of) = text.split_once('/').context("this is NUMBER/OF, from 0")?;
        let part = Self { number: number.parse()?, of: of.parse()? };
        if part.number >= part.of {
            bail!("{number} is no part of {of}, counted from 0");
        }
        Ok(part)
    }
}

/// Enrols what is not enrolled yet, then starts all. They run until `stop`; wait for the tracker then.
///
/// # Errors
/// The control plane refuses a device, or the disk does.
pub async fn start(plan: &Plan, part: Part, data: &Path, stop: &CancellationToken) -> Result<TaskTracker> {
    let devices = plan.devices();
    let own = devices.iter().enumerate().filter(|(place, _)| place % part.of == part.number);
    let own: Vec<_> = own.map(|(_, (tenant, name))| (*tenant, name.as_str())).collect();
    let enrolled = stream::iter(own.iter().map(|(tenant, name)| enrol(plan, tenant, name, data)));
    let identities: Vec<(Identity, PathBuf)> = enrolled.buffered(ENROL_AT_ONCE).try_collect().await?;
    let agents = TaskTracker::new();
    let between = START_OVER / u32::try_from(identities.len().max(1))?;
    for (identity, data) in identities {
        let settings = Settings {
            data,
            // Nothing moves with an engine in memory: neither of them is used.
            channel_listen: ([127, 0, 0, 1], 0).into(),
            runtime: PathBuf::from("ecep-runtime"),
        };
        let stop = stop.clone();
        agents.spawn(async move {
            let device = identity.enrolled.device.clone();
            if let Err(error) = agent::run(identity, Arc::new(SimEngine::default()), settings, stop).await {
                tracing::error!(%device, %error, "an agent did not start");
            }
        });
        tokio::time::sleep(between).await;
    }
    agents.close();
    Ok(agents)
}

async fn enrol(plan: &Plan, tenant: &Tenant, name: &str, data: &Path) -> Result<(Identity, PathBuf)> {
    let folder = data.join(tenant.slug.as_str()).join(name);
    if let Ok(identity) = Identity::load(&folder) {
        return Ok((identity, folder));
    }
    let key = DeviceKey::load_or_create(&folder)?;
    let facts = facts::gather(SimEngine::default().facts().await);
    let reply =
        cloud::enrol(&plan.cloud, &Trust::system(), &tenant.join_token, &key, name, None, facts).await?;
    let enrolled =
        Enrolled { device: reply.device, cloud: plan.cloud.clone(), engine: String::new(), pinned: false };
    if let Some(papers) = &reply.papers {
        channel::save(&folder, papers)?;
    }
    identity::store(&folder, &enrolled)?;
    Ok((Identity::load(&folder)?, folder))
}

//! How long lists take: calls of every tenant at a steady rate, each counted from when it should have left, so that a delay
//! shows in those behind it too.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use ecep_proto::api::{DeviceList, FleetContainerList, Procedure, reply::Nothing};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{plan::Plan, session::Session, spread::Spread};

/// Sessions that are opened at a time.
const JOIN_AT_ONCE: usize = 16;

/// Figures of lists.
#[derive(Debug, Serialize)]
pub struct Lists {
    /// `ecep.container.list`.
    pub containers: Option<Spread>,
    /// `ecep.device.list`.
    pub devices: Option<Spread>,
    /// `GET /api/session`.
    pub http: Option<Spread>,
    /// Containers and devices in an answer, all answers together.
    pub rows: usize,
}

enum Asked {
    Containers(Duration, usize),
    Devices(Duration, usize),
    Http(Duration),
}

/// Asks each kind of list `calls` times, `rate` of each kind a second.
///
/// # Errors
/// One is refused.
pub async fn run(plan: &Plan, calls: u32, rate: u32) -> Result<Lists> {
    let joined = stream::iter(&plan.tenants).map(|tenant| Session::join(plan, tenant));
    let sessions: Vec<_> = joined.buffered(JOIN_AT_ONCE).try_collect().await?;
    let sessions: Vec<Arc<Session>> = sessions.into_iter().map(|(session, _)| Arc::new(session)).collect();
    let http = reqwest::Client::new();
    let mut asked = JoinSet::new();
    let between = Duration::from_secs(1) / rate;
    let begun = Instant::now();
    for number in 0..calls {
        let Some(session) = sessions.get(number as usize % sessions.len().max(1)) else { break };
        let at = begun + between * number;
        sleep_until(at).await;
        let own = Arc::clone(session);
        asked.spawn(async move {
            let list = own.call::<FleetContainerList>(FleetContainerList::URI, &Nothing {}).await?;
            Ok::<_, anyhow::Error>(Asked::Containers(at.elapsed(), list.containers.len()))
        });
        let at = at + between / 3;
        sleep_until(at).await;
        let own = Arc::clone(session);
        asked.spawn(async move {
            let list = own.call::<DeviceList>(DeviceList::URI, &Nothing {}).await?;
            Ok(Asked::Devices(at.elapsed(), list.devices.len()))
        });
        let at = at + between / 3;
        sleep_until(at).await;
        let request = http.get(format!("{}/api/session", plan.cloud)).header("cookie", &plan.cookie);
        asked.spawn(async move {
            let response = request.send().await?;
            let status = response.status();
            response.bytes().await?;
            ensure!(status.is_success(), "the control plane answers {status}");
            Ok(Asked::Http(at.elapsed()))
        });
    }
    let (mut containers, mut devices, mut requests, mut rows) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while let Some(asked) = asked.join_next().await {
        match asked?? {
            Asked::Containers(time, count) => {
                containers.push(time);
                rows += count;
            }
            Asked::Devices(time, count) => {
                devices.push(time);
                rows += count;
            }
            Asked::Http(time) => requests.push(time),
        }
    }
    Ok(Lists {
        containers: Spread::of(containers),
        devices: Spread::of(devices),
        http: Spread::of(requests),
        rows,
    })
}

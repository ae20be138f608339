//! The command line: one load or one measurement, told as JSON on standard output.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use ecep_agent_load::{
    agents::{self, Part},
    connected::{self, Wanted},
    create, lists,
    plan::Plan,
    watch,
};
use serde::Serialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Many agents with engines in memory, and clients of their tenants, for a platform that `PLAN` describes.
#[derive(Debug, Parser)]
#[command(name = "ecep-agent-load")]
struct Arguments {
    /// The platform, as JSON.
    plan: PathBuf,
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Enrol devices and run their agents until SIGTERM; a line of JSON says when all were started.
    Agents {
        /// Which of the devices: NUMBER/OF, from 0.
        #[arg(long, default_value = "0/1")]
        part: Part,
        /// Where the devices keep their identities.
        #[arg(long)]
        data: PathBuf,
    },
    /// Create containers on every device.
    Create {
        /// On each device.
        #[arg(long)]
        each: u32,
    },
    /// Wait until every device was heard of and answers with its containers.
    Connected {
        /// In milliseconds since 1970; now if left out.
        #[arg(long)]
        since: Option<u64>,
        /// Containers of each device.
        #[arg(long)]
        each: usize,
        /// Seconds.
        #[arg(long, default_value_t = 120)]
        limit: u64,
    },
    /// Ask for lists.
    Lists {
        /// Calls of each kind.
        #[arg(long)]
        calls: u32,
        /// Calls of each kind in a second.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
    },
    /// Watch the devices' status; the line `ready` says that every tenant has subscribed.
    Status {
        /// Seconds.
        #[arg(long)]
        seconds: u64,
    },
    /// Stop and start containers, and wait until a subscriber is told.
    Orders {
        /// Orders in all.
        #[arg(long)]
        orders: u32,
    },
}

/// What is under way in an agent at the end may take this long.
const SHUTDOWN: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    ecep_link::start_log().context("RUST_LOG cannot be read")?;
    let Arguments { plan, load } = Arguments::parse();
    let plan = Plan::read(&plan)?;
    match load {
        Load::Agents { part, data } => run_agents(&plan, part, &data).await,
        Load::Create { each } => tell(&create::run(&plan, each).await?),
        Load::Connected { since, each, limit } => {
            let now = u64::try_from(connected::now().as_millis())?;
            let limit = Duration::from_secs(limit);
            let wanted = Wanted { since: since.unwrap_or(now), each, limit };
            tell(&connected::run(&plan, wanted).await?)
        }
        Load::Lists { calls, rate } => tell(&lists::run(&plan, calls, rate).await?),
        Load::Status { seconds } => {
            let ready = || tell(&"ready");
            tell(&watch::status(&plan, Duration::from_secs(seconds), ready).await?)
        }
        Load::Orders { orders } => tell(&watch::orders(&plan, orders).await?),
    }
}

async fn run_agents(plan: &Plan, part: Part, data: &std::path::Path) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = CancellationToken::new();
    let begun = Instant::now();
    let running = agents::start(plan, part, data, &stop).await?;
    tell(&json!({ "agents": running.len(), "seconds": begun.elapsed().as_secs_f64() }))?;
    terminate.recv().await;
    stop.cancel();
    if tokio::time::timeout(SHUTDOWN, running.wait()).await.is_err() {
        tracing::warn!("some agents did not end in time");
    }
    Ok(())
}

fn tell(figures: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(figures)?).context("nobody reads the figures")?;
    Ok(out.flush()?)
}

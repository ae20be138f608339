//! `ecep-dashboard-api run`: starts the control plane and stops it on SIGTERM or SIGINT.

use anyhow::Context;
use clap::{Parser, Subcommand};
use ecep_dashboard_api::{config::Config, open_files, server};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The control plane of ECEP: accounts, devices, tokens and the web app.
#[derive(Parser)]
#[command(name = "ecep-dashboard-api", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs until SIGTERM or SIGINT.
    Run(Box<Config>),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ecep_link::start_log().context("RUST_LOG cannot be read")?;
    let Command::Run(config) = Arguments::parse().command;
    open_files::raise();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let running = server::start(*config, stop.clone()).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    running.stopped().await;
    Ok(())
}

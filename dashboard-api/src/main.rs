//! `ecep-dashboard-api run`: starts the control plane and stops it on SIGTERM or SIGINT.

use std::io::IsTerminal;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ecep_dashboard_api::{config::Config, server};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

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

/// What is logged unless RUST_LOG says otherwise.
const DEFAULT_LOG: &str = "info";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| DEFAULT_LOG.to_owned());
    let filter = EnvFilter::try_new(wanted).context("RUST_LOG cannot be read")?;
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(std::io::stderr)
        .finish()
        .with(filter_fn(ecep_link::may_be_logged))
        .init();
    let Command::Run(config) = Arguments::parse().command;
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

//! `ecep-dashboard-api run`: starts the control plane and stops it on SIGTERM or SIGINT; SIGHUP makes it read its
//! certificate again. And what is done to its data: `backup`, `restore`, `check`.

use std::io::Write;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ecep_dashboard_api::{
    commands::{self, Backup, Check, Restore},
    config::Config,
    open_files, server,
};
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
    /// Prints the reference of the API, as in `docs/api.md`.
    Reference,
    /// Writes a backup of everything that must be kept, also while the control plane runs. It holds secrets.
    Backup(Backup),
    /// Puts a backup into an empty data folder.
    Restore(Restore),
    /// Checks the data of a control plane that does not run.
    Check(Check),
}

fn main() -> anyhow::Result<()> {
    ecep_link::start_log().context("RUST_LOG cannot be read")?;
    match Arguments::parse().command {
        Command::Run(config) => run(*config),
        Command::Reference => {
            std::io::stdout().write_all(ecep_dashboard_api::reference::reference().as_bytes())?;
            Ok(())
        }
        Command::Backup(backup) => commands::backup(&backup),
        Command::Restore(restore) => commands::restore(&restore),
        Command::Check(check) => commands::check(&check),
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    open_files::raise();
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be handled")?;
    let mut running = server::start(config, stop.clone()).await?;
    let end = loop {
        tokio::select! {
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            Some(()) = hangup.recv() => running.reload_certificate(),
            failed = running.failed() => break Err(failed),
        }
    };
    tracing::info!("stopping");
    stop.cancel();
    running.stopped().await;
    Ok(end?)
}

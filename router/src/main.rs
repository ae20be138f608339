//! The router's command line.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use ecep_router::{Address, AllowedOrigin, Config, Listen, Reloader, Router, TransportKind, open_files};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Metadata};
use tracing_subscriber::{filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// The WAMP router of ECEP.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a router to try WAMP with: realm `realm1`, anonymous, everything allowed, this machine only.
    Dev {
        /// Where to listen for WebSocket.
        #[arg(long, default_value = "127.0.0.1:8080")]
        ws: SocketAddr,
        /// Where to listen for RawSocket.
        #[arg(long, default_value = "127.0.0.1:8081")]
        raw: SocketAddr,
    },
    /// Start a router as a configuration file says; `reference` tells what it can say.
    Run {
        /// The configuration, TOML. Variables that begin with ECEP_ROUTER__ go before it.
        #[arg(long)]
        config: PathBuf,
        /// Print all that the router would run with, every default included, and end.
        #[arg(long)]
        print_config: bool,
    },
    /// Print what a configuration can say, as Markdown.
    Reference,
}

/// The realm of `dev`.
const DEV_REALM: &str = "realm1";

fn main() -> anyhow::Result<()> {
    // With one processor, threads would only wake each other.
    let mut runtime = match std::thread::available_parallelism() {
        Ok(processors) if processors.get() == 1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    runtime.enable_all().build().context("can't start the runtime")?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        // It would tell them on standard error, and panic where the disk under that is full.
        .log_internal_errors(false)
        .finish()
        .with(filter_fn(may_be_logged))
        .init();
    match Arguments::parse().command {
        Command::Dev { ws, raw } => dev(ws, raw).await,
        Command::Run { config: path, print_config } => {
            let config = Config::load(&path, environment())?;
            if print_config {
                config.check()?;
                return print(&config.print().context("the configuration can't be written as TOML")?);
            }
            serve(config, "", Some(path)).await
        }
        Command::Reference => print(&ecep_router::config::reference()),
    }
}

/// The WebSocket crates write every message into the log at their lowest levels, tickets included; whatever RUST_LOG
/// says, that stays out.
fn may_be_logged(record: &Metadata<'_>) -> bool {
    let crate_name = record.target().split("::").next().unwrap_or_default();
    let of_sockets = matches!(crate_name, "tungstenite" | "tokio_tungstenite");
    !(of_sockets && *record.level() > Level::INFO)
}

/// The variables that can be a configuration's: text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("can't print")
}

async fn dev(ws: SocketAddr, raw: SocketAddr) -> anyhow::Result<()> {
    for address in [ws, raw] {
        if !address.ip().is_loopback() {
            bail!(
                "`dev` lets everybody do everything, so it listens on this machine only: {} is not a loopback address. \
                 Use 127.0.0.1 or [::1], or `ecep-router run` with a configuration.",
                address.ip()
            );
        }
    }
    let config = Config {
        listen: vec![
            // Or any page in a browser on this machine could do everything, too.
            Listen {
                allowed_origins: vec![AllowedOrigin::Loopback],
                ..Listen::new(TransportKind::WebSocket, ws.into())
            },
            Listen::new(TransportKind::RawSocket, raw.into()),
        ],
        realm: vec![Config::open_realm(DEV_REALM)],
        ..Config::default()
    };
    let hint = format!(
        "Realm {DEV_REALM} is open to anonymous WAMP clients, and to pages of this machine.\n\
         Programs to begin with, in Python, JavaScript and Rust: docs/router-quickstart.md\n"
    );
    serve(config, &hint, None).await
}

/// Reads the configuration again at every SIGHUP. A wrong one changes nothing, and the log says why.
fn reload_by_signal(reloader: Reloader, path: PathBuf) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).context("can't wait for SIGHUP")?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            let reloaded = async {
                let config = Config::load(&path, environment())?;
                Ok::<_, anyhow::Error>(reloader.reload(config).await?)
            };
            match reloaded.await {
                Ok(()) => {
                    tracing::info!(path = %path.display(), "the configuration was read again and holds now")
                }
                Err(error) => tracing::error!(
                    path = %path.display(),
                    "the configuration was read again, but nothing has changed: {error}"
                ),
            }
        }
    });
    Ok(())
}

/// Beyond its clients the router has a few files open of its own.
fn warn_of_few_files(files: Option<u64>, max_connections: usize) {
    const OWN: u64 = 64;
    if let Some(files) = files
        && files.saturating_sub(OWN) < max_connections as u64
    {
        tracing::warn!(
            files,
            max_connections,
            "the system lets this process open fewer files than it may have clients; raise its hard limit (LimitNOFILE= \
             of systemd, `ulimit -Hn`), or lower limits.max_connections"
        );
    }
}

/// Runs until SIGINT or SIGTERM. Prints a line for each listener on standard output when clients can connect.
async fn serve(config: Config, hint: &str, path: Option<PathBuf>) -> anyhow::Result<()> {
    warn_of_few_files(open_files::raise(), config.limits.max_connections);
    let router = Router::bind(config).await?;
    let shutdown = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for SIGTERM")?;
    if let Some(path) = path {
        reload_by_signal(router.reloader(), path)?;
    }
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    });
    let mut text = String::new();
    for (kind, address) in router.listening() {
        let place = match address {
            Address::Tcp(address) => {
                let scheme = match (kind, router.speaks_tls(*address)) {
                    (TransportKind::WebSocket, false) => "ws",
                    (TransportKind::WebSocket, true) => "wss",
                    (TransportKind::RawSocket, false) => "rs",
                    (TransportKind::RawSocket, true) => "rss",
                    (TransportKind::Any, false) => "any",
                    (TransportKind::Any, true) => "any+tls",
                };
                format!("{scheme}://{address}")
            }
            Address::Unix(_) => address.to_string(),
        };
        text.push_str(&format!("listening {} {place}\n", kind.name()));
    }
    if let Some(address) = router.http_address() {
        let scheme = if router.speaks_tls(address) { "https" } else { "http" };
        text.push_str(&format!("listening http {scheme}://{address}\n"));
    }
    text.push_str(hint);
    // Nobody may be there to read it; the router works all the same.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    router.run(shutdown).await;
    Ok(())
}

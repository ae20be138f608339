//! The command line: one load, told as one line of JSON.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use ecep_router_load::{Calls, Common, Encoding, Events, Idle, Row, Target, Watched};

/// Loads a router of this machine and prints what it answered as JSON. The exit status is 1 if anything was lost or wrong.
#[derive(Debug, Parser)]
#[command(name = "ecep-router-load")]
struct Arguments {
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// One caller, one callee.
    Calls {
        #[command(flatten)]
        common: CommonArguments,
        /// How many calls are under way at any time.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        in_flight: u32,
    },
    /// One publisher, many subscribers.
    Events {
        #[command(flatten)]
        common: CommonArguments,
        /// How many sessions are subscribed.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        subscribers: u32,
        /// How many publications are under way at any time; 0 publishes as fast as the router takes them.
        #[arg(long, default_value_t = 100)]
        window: u32,
        /// Ask for acknowledgements, where the protocol has them.
        #[arg(long)]
        acknowledge: bool,
    },
    /// Sessions that do nothing.
    Idle {
        #[command(flatten)]
        common: CommonArguments,
        /// How many.
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=25_000))]
        sessions: u32,
    },
}

#[derive(Debug, Args)]
struct CommonArguments {
    /// `ws://`, `rs://` (or `tcp://`), `unix://` or `nats://`.
    target: Target,
    /// NATS through its client library.
    #[cfg(feature = "async-nats")]
    #[arg(long)]
    async_nats: bool,
    /// How messages are written.
    #[arg(long, default_value = "json")]
    serializer: Encoding,
    /// Which realm, joined anonymously.
    #[arg(long, default_value = "realm1")]
    realm: String,
    /// The router's process, to tell what it cost.
    #[arg(long)]
    watch: Option<u32>,
    /// Bytes of each payload.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=8 << 20))]
    payload: u32,
    /// Milliseconds before it is measured.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(..=60_000))]
    warm_up_ms: u64,
    /// Milliseconds in which it is measured.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(..=60_000))]
    measured_ms: u64,
}

impl CommonArguments {
    fn read(self) -> Result<Common> {
        Ok(Common {
            target: self.target,
            encoding: self.serializer,
            realm: self.realm,
            watched: self.watch.map(Watched::new).transpose()?,
            payload: self.payload as usize,
            warm_up: Duration::from_millis(self.warm_up_ms),
            measured: Duration::from_millis(self.measured_ms),
        })
    }
}

impl Load {
    fn run(self) -> Result<Row> {
        #[cfg(feature = "async-nats")]
        if let Self::Calls { common, .. } | Self::Events { common, .. } = &self
            && let (true, Target::Nats(server)) = (common.async_nats, common.target.clone())
        {
            return self.through_library(server);
        }
        match self {
            Self::Calls { common, in_flight } => {
                ecep_router_load::calls(&Calls { common: common.read()?, in_flight: in_flight as usize })
            }
            Self::Events { common, subscribers, window, acknowledge } => {
                let window = Some(window as usize).filter(|window| *window > 0);
                let common = common.read()?;
                ecep_router_load::events(&Events {
                    common,
                    subscribers: subscribers as usize,
                    window,
                    acknowledge,
                })
            }
            Self::Idle { common, sessions } => {
                ecep_router_load::idle(&Idle { common: common.read()?, sessions: sessions as usize })
            }
        }
    }
}

#[cfg(feature = "async-nats")]
impl Load {
    fn through_library(self, server: std::net::SocketAddr) -> Result<Row> {
        use ecep_router_load::client_library;
        match self {
            Self::Calls { common, in_flight } => {
                let load = Calls { common: common.read()?, in_flight: in_flight as usize };
                client_library::calls(&load, server)
            }
            Self::Events { common, subscribers, window, .. } => {
                let window = Some(window as usize).filter(|window| *window > 0);
                let (common, subscribers) = (common.read()?, subscribers as usize);
                client_library::events(&Events { common, subscribers, window, acknowledge: false }, server)
            }
            Self::Idle { .. } => anyhow::bail!("idle sessions need no library"),
        }
    }
}

fn main() -> Result<ExitCode> {
    let row = Arguments::parse().load.run()?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&row)?).context("nobody reads the figures")?;
    Ok(if row.counts.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! The log of a program that uses this package: below it, crates write every message into the log, tickets
//! included, and those must never come out.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::{ParseError, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// What is logged unless RUST_LOG says otherwise.
const DEFAULT_LOG: &str = "info";

/// Starts the program's log on standard error, at the levels that RUST_LOG asks for. Call it once, in `main`.
///
/// # Errors
/// RUST_LOG cannot be read.
pub fn start_log() -> Result<(), ParseError> {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| DEFAULT_LOG.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(wanted)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // It would tell them on standard error, and panic where the disk under that is full.
        .log_internal_errors(false)
        .finish()
        // A filter of the whole, so that no directive of RUST_LOG can bring back what it keeps out.
        .with(filter_fn(may_be_logged))
        .init();
    Ok(())
}

/// Whether a record can hold no ticket. `wamp_async` is silent altogether: it also tells an error for each attempt
/// to connect, of which the link tells the first.
fn may_be_logged(record: &Metadata<'_>) -> bool {
    let of = |name: &str| record.target().split("::").next() == Some(name);
    let webs = of("tungstenite") || of("tokio_tungstenite");
    !(of("wamp_async") || webs && *record.level() > Level::INFO)
}

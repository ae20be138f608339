//! What must never be logged: below this package, crates write every message into the log, tickets included.

use tracing::{Level, Metadata};

/// Whether a record can hold no ticket. A program that uses this package puts it before its log as a filter of
/// the whole: `RUST_LOG` can then not bring such records back, however it is written.
///
/// `wamp_async` is silent altogether: it also tells an error for each attempt to connect, of which the link
/// tells the first.
pub fn may_be_logged(record: &Metadata<'_>) -> bool {
    let of = |name: &str| record.target().split("::").next() == Some(name);
    let webs = of("tungstenite") || of("tokio_tungstenite");
    !(of("wamp_async") || webs && *record.level() > Level::INFO)
}

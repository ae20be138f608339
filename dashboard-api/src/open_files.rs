//! How many files the process may have open: each browser, each device's channel and each realm that is
//! served is one. It must not know what they are for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open as many files as the system grants it. Most systems let a program open 1,024 unless it asks for more,
/// for the sake of programs that use `select`; a fleet is larger.
pub fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the process may not open more files than before");
    }
}

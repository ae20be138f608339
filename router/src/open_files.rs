//! How many files the process may have open: each client is one. It must not know what they are for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open as many files as the system grants it, and answers how many; none where there is no bound. Most systems
/// let a program open 1,024 unless it asks for more, for the sake of programs that use `select`; a fleet is larger.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // As many as before, then.
        Err(_) => current,
    }
}

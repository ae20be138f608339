//! Ctrl-C and SIGTERM as a flag that long work looks at between its steps, so that what was started is taken down
//! by ordinary returns and drops. A second signal ends the process at once; the next run then cleans up.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static INTERRUPTED: Mutex<bool> = Mutex::new(false);
static CHANGED: Condvar = Condvar::new();

/// The shell's convention for "ended by Ctrl-C".
const EXIT_INTERRUPTED: i32 = 130;

/// Starts listening for signals; called once, by a program's main.
///
/// # Errors
/// The system refuses the signal handler or the thread.
pub fn listen() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .context("cannot install the signal handlers")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                let mut interrupted = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
                if *interrupted {
                    std::process::exit(EXIT_INTERRUPTED);
                }
                *interrupted = true;
                CHANGED.notify_all();
            }
        })
        .context("cannot start the signal thread")?;
    Ok(())
}

/// Fails when a signal has come, so that `?` unwinds what is under way.
///
/// # Errors
/// A signal has come.
pub fn check() -> Result<()> {
    if *INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner) {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits at most `limit` and answers whether a signal has come.
pub fn wait(limit: Duration) -> bool {
    let interrupted = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (interrupted, _) = CHANGED
        .wait_timeout_while(interrupted, limit, |interrupted| !*interrupted)
        .unwrap_or_else(PoisonError::into_inner);
    *interrupted
}

//! A container that is to be moved once, whoever moves it: what all ways have in common.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;

use super::cells::Cell;
use crate::lab::Device;
use crate::wait;

/// A move of a large container over a slow link.
pub(super) const LIMIT: Duration = Duration::from_secs(3600);

/// Filling the largest container's memory takes some seconds on a busy machine.
pub(super) const FILL_LIMIT: Duration = Duration::from_secs(120);

/// A container that runs on a device.
pub(super) trait Subject {
    /// Where a client reaches it, before and after.
    fn address(&self) -> Ipv4Addr;

    /// Moves it to another device.
    fn go(&mut self, to: u8) -> Result<Took>;

    /// Removes it, wherever it is and however its move ended.
    fn remove(&mut self) -> Result<()>;
}

/// What a way itself says of a move, in milliseconds.
#[derive(Debug)]
pub(super) struct Took {
    /// How long the container did not run.
    pub(super) downtime_ms: u64,
    /// From the order to the end.
    pub(super) total_ms: u64,
    /// The phases, where it has some.
    pub(super) phases: Vec<(String, u64)>,
}

/// The environment that makes the counter such a container.
pub(super) fn environment(cell: &Cell) -> [(&'static str, String); 2] {
    [("BALLAST_MB", cell.megabytes.to_string()), ("BALLAST_REWRITTEN", cell.rewritten.to_string())]
}

/// Waits until a counter's memory is filled, which it tells in its log.
pub(super) fn await_filled(device: &Device, container: &str) -> Result<()> {
    wait::until("its memory is filled", FILL_LIMIT, || {
        Ok(device.run_docker(["logs", container])?.contains("ballast").then_some(()))
    })
}

/// A duration as the figures have it.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

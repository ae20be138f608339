//! Counts what leaves a device, by the counter of its cable: all of it, with headers, what is sent again, the container's
//! answers to its client and the agent's reports.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lab::Device;

/// The counter of one device's cable.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    counter: PathBuf,
}

impl Wire {
    /// What leaves `device`.
    pub(super) fn out_of(device: &Device) -> Self {
        // At this machine's end it comes in.
        let counter = Path::new("/sys/class/net").join(device.cable()).join("statistics/rx_bytes");
        Self { counter }
    }

    /// Bytes so far.
    ///
    /// # Errors
    /// The cable is gone.
    pub(super) fn bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(&self.counter);
        let text = text.with_context(|| format!("cannot read {}", self.counter.display()))?;
        text.trim().parse().context("the counter is no number")
    }
}

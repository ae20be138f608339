//! An image registry on the lab's bridge (Debian's docker-registry), which stands in for a public hub: no registry of
//! the world is needed to pull from.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Result;

use super::{Lab, Process};

const PORT: u16 = 5000;

/// It listens within a fraction of a second; a busy machine needs more.
const READY_LIMIT: Duration = Duration::from_secs(60);

const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A running registry; stopped when dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    process: Process,
}

impl Registry {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        let address = SocketAddr::from((lab.cloud_address(), PORT));
        let storage = lab.data_dir().join("registry");
        fs::create_dir_all(&storage)?;
        let configuration = lab.data_dir().join("registry.yml");
        fs::write(
            &configuration,
            format!(
                "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    \
                 enabled: true\nhttp:\n  addr: {address}\n",
                storage.display()
            ),
        )?;
        let mut process = lab.spawn("registry", crate::setup::registry_program(), |command| {
            command.arg("serve").arg(&configuration);
        })?;
        process.wait_until("listening", READY_LIMIT, || {
            TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok()
        })?;
        Ok(Self { address, process })
    }

    /// `address:port`, the part of an image's name before the first slash.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

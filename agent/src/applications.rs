//! Applications on this device: versions are brought and started (`deploy`), put in the place of others (`replace`), and what ran once is
//! brought to the cloud and deleted (`runs`). Only the control plane orders it; what a version may be, the policy, the quotas and the
//! archives' judge say here as they do for every container.

mod architecture;
pub mod cloud;
mod context;
mod deploy;
mod fetch;
mod ignored;
pub(crate) mod names;
mod pieces;
mod replace;
mod replacement;
mod room;
mod run;
mod runs;
mod supply;
mod tail;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use ecep_link::Link;
use tokio::sync::Semaphore;

use self::cloud::Cloud;
use crate::{engine::Engine, orders::Orders};

/// The folder of artifacts on their way, in the agent's data folder.
const FOLDER: &str = "artifacts";
/// Builds at once: one has a whole core.
const BUILDS: usize = 1;

/// Does what the control plane orders about applications.
pub struct Applications<E, C> {
    orders: Arc<Orders<E>>,
    cloud: C,
    folder: PathBuf,
    /// As the kernel calls it.
    machine: String,
    building: Semaphore,
    /// What has run once and is being brought to the cloud, by the engine's ids.
    ending: Mutex<BTreeSet<String>>,
}

impl<E: Engine, C: Cloud> Applications<E, C> {
    /// What an agent that was killed has left of artifacts is removed.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(orders: Arc<Orders<E>>, cloud: C, data: &Path) -> io::Result<Arc<Self>> {
        let folder = data.join(FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
        let building = Semaphore::new(BUILDS);
        Ok(Arc::new(Self { orders, cloud, folder, machine, building, ending: Mutex::default() }))
    }
}

impl<E: Engine> Applications<E, cloud::Enrolled> {
    /// The link to the control plane, told once.
    pub fn tell_over(&self, control: Link) {
        self.cloud.tell_over(control);
    }
}

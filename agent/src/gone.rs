//! Containers that this device has deleted or updated, by the orders that made them: the same order again, also to an agent that was
//! started again, makes no second one. What is there as it was made, the engine's labels tell; this holds only what is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use ecep_proto::api::name::{ContainerId, ContainerName, OperationId, TenantSlug};
use serde::{Deserialize, Serialize};

use crate::{durable, engine::EngineContainer};

/// The folder in the agent's data folder; a file for each tenant, so that none pushes out what another one has ordered.
const FOLDER: &str = "gone";
/// Containers of a tenant that are remembered: the control plane remembers as many of its orders and repeats no other. Beyond it the
/// oldest is forgotten.
const MAX_OF_TENANT: usize = 100;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gone {
    operation: OperationId,
    /// Its id.
    pub(crate) container: ContainerId,
    /// Its name.
    pub(crate) name: ContainerName,
    /// The application's version, where it was of one.
    pub(crate) version: Option<u32>,
}

/// All of them, on disk.
#[derive(Debug)]
pub(crate) struct Graveyard {
    folder: PathBuf,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Graveyard {
    /// In the agent's data folder.
    pub(crate) fn new(data: &Path) -> Self {
        Self { folder: data.join(FOLDER), changing: Mutex::default() }
    }

    /// Remembers a container that is about to be deleted, or to give way to another version of itself. One that came by an update is
    /// remembered already, by the order that made the first version. Blocks for a flush of the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn remember(&self, container: &EngineContainer) -> io::Result<()> {
        // One without an order was made by nobody who could repeat it.
        let Some(operation) = container.operation.clone().filter(|_| !container.is_of_update()) else {
            return Ok(());
        };
        let view = container.view();
        let gone =
            Gone { operation, container: view.id.clone(), name: view.name.clone(), version: view.version };
        self.add(&container.tenant, gone)
    }

    fn add(&self, tenant: &TenantSlug, gone: Gone) -> io::Result<()> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.read(tenant);
        if all.contains(&gone) {
            return Ok(());
        }
        all.push(gone);
        all.drain(..all.len().saturating_sub(MAX_OF_TENANT));
        fs::create_dir_all(&self.folder)?;
        durable::write(&self.path(tenant), &serde_json::to_vec(&all)?)
    }

    /// The container that this order has made, if it is gone.
    pub(crate) fn find(&self, tenant: &TenantSlug, operation: &OperationId) -> Option<Gone> {
        self.read(tenant).into_iter().find(|gone| gone.operation == *operation)
    }

    fn path(&self, tenant: &TenantSlug) -> PathBuf {
        self.folder.join(format!("{tenant}.json"))
    }

    fn read(&self, tenant: &TenantSlug) -> Vec<Gone> {
        let path = self.path(tenant);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            read => read.and_then(|text| Ok(serde_json::from_slice(&text)?)),
        };
        read.unwrap_or_else(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "which containers are gone cannot be read; orders from before may be done again");
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(number: usize) -> Gone {
        Gone {
            operation: format!("deploy-{number}").parse().unwrap(),
            container: format!("c{number}").parse().unwrap(),
            name: "job".parse().unwrap(),
            version: Some(1),
        }
    }

    /// It must stay bounded, outlive the agent, and no tenant's orders may make another's be forgotten.
    #[test]
    fn a_tenant_is_remembered_by_its_last_orders_alone() {
        let data = tempfile::tempdir().unwrap();
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let graveyard = Graveyard::new(data.path());
        graveyard.add(&globex, gone(0)).unwrap();
        for number in 0..=MAX_OF_TENANT {
            graveyard.add(&acme, gone(number)).unwrap();
            graveyard.add(&acme, gone(number)).unwrap();
        }
        let next = Graveyard::new(data.path());
        let found = |tenant, number| next.find(tenant, &gone(number).operation);
        assert_eq!(found(&acme, 0), None);
        for number in 1..=MAX_OF_TENANT {
            assert_eq!(found(&acme, number), Some(gone(number)));
        }
        assert_eq!((found(&globex, 0), found(&globex, 1)), (Some(gone(0)), None));
    }
}

//! Where containers are: each one's address, its holder, and the ports that it left behind. And the moves, as told.

use std::net::Ipv4Addr;

use ecep_fleet::migration::authority::Holding;
use ecep_proto::api::{
    container::PortMapping,
    migration::MigrationView,
    name::{ContainerId, ContainerName, DeviceId, OperationId, TenantSlug},
};
use serde::{Deserialize, Serialize};
use sled::transaction::ConflictableTransactionResult;

use super::{Store, StoreError, table::TableWithin, tree::Transactional};

/// A container, as the authority knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Whose.
    pub tenant: TenantSlug,
    /// Which.
    pub container: ContainerId,
    /// Its name for the others.
    pub name: ContainerName,
    /// Its address for life; none of containers that were made before there were networks.
    pub address: Option<Ipv4Addr>,
    /// Who has it, and the move under way.
    pub holding: Holding,
    /// The move by which its holder got it, until that has reported it.
    pub came_by: Option<OperationId>,
    /// Whether its holder has reported it since it became the holder: only then does its absence mean that it is gone.
    pub is_seen: bool,
    /// When it got here, or its last move began, in milliseconds since 1970.
    pub since: u64,
    /// Ports of devices that it was on.
    pub left: Vec<(DeviceId, Vec<PortMapping>)>,
}

/// A container that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its last generation.
    pub generation: u64,
    /// When it went, in milliseconds since 1970.
    pub at: u64,
}

/// A move, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMigration {
    /// Whose.
    pub tenant: TenantSlug,
    /// As people see it.
    pub view: MigrationView,
}

impl Store {
    /// All placements.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn placements(&self) -> Result<Vec<Placement>, StoreError> {
        Ok(self.placements.rows()?.into_iter().map(|(_, row)| row).collect())
    }

    /// Writes a placement, and waits until it is on disk.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_placement(&self, placement: &Placement) -> Result<(), StoreError> {
        self.placements.put(placement.container.as_str(), placement)?;
        self.flush().await
    }

    /// Forgets a placement, but for that it was there: a device that asks much later about an old copy must be told so.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_placement(&self, placement: &Placement, now: u64) -> Result<(), StoreError> {
        let trees = (&self.placements.tree, &self.gone.tree);
        trees.transaction(|(placements, gone)| {
            let (placements, gone) = (self.placements.within(placements), self.gone.within(gone));
            forget(&placements, &gone, placement, now)
        })?;
        self.flush().await
    }

    /// The last generation of a container that is no more; none where none was ever known.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn last_generation(&self, container: &ContainerId) -> Result<Option<u64>, StoreError> {
        Ok(self.gone.get(container.as_str())?.map(|gone| gone.generation))
    }

    /// The number of the tenant's network, given now if it has none; none where `limit` are given.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn network_number(&self, tenant: &TenantSlug, limit: u32) -> Result<Option<u32>, StoreError> {
        if let Some(number) = self.networks.get(tenant.as_str())? {
            return Ok(Some(number));
        }
        let given: std::collections::BTreeSet<u32> =
            self.networks.rows()?.into_iter().map(|(_, number)| number).collect();
        let Some(number) = (0..limit).find(|number| !given.contains(number)) else { return Ok(None) };
        self.networks.put(tenant.as_str(), &number)?;
        self.flush().await?;
        Ok(Some(number))
    }

    /// The number of the tenant's network, if it has one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn known_network_number(&self, tenant: &TenantSlug) -> Result<Option<u32>, StoreError> {
        self.networks.get(tenant.as_str())
    }

    /// All moves that are remembered.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn migrations(&self) -> Result<Vec<StoredMigration>, StoreError> {
        Ok(self.migrations.rows()?.into_iter().map(|(_, row)| row).collect())
    }

    /// Writes a move. Not awaited to disk: who has the container stands in its placement.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn put_migration(&self, migration: &StoredMigration) -> Result<(), StoreError> {
        self.migrations.put(&migration_key(&migration.tenant, &migration.view.operation), migration)
    }

    /// Forgets a move.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn remove_migration(&self, tenant: &TenantSlug, operation: &OperationId) -> Result<(), StoreError> {
        self.migrations.remove(&migration_key(tenant, operation))?;
        Ok(())
    }
}

/// Leaves of a placement that it was there.
pub(super) fn forget(
    placements: &TableWithin<'_, Placement>,
    gone: &TableWithin<'_, Gone>,
    placement: &Placement,
    now: u64,
) -> ConflictableTransactionResult<(), StoreError> {
    let container = placement.container.as_str();
    gone.put(container, &Gone { generation: placement.holding.generation, at: now })?;
    placements.remove(container)?;
    Ok(())
}

/// Neither a slug nor an operation's id can hold a slash.
fn migration_key(tenant: &TenantSlug, operation: &OperationId) -> String {
    format!("{tenant}/{operation}")
}

//! All placements in memory, to be found by container, by holder and by tenant: each report of each device asks for what that
//! device has, and must not look at what the whole fleet has.
//!
//! Must not know what placements mean, nor the disk. Bounded by the containers that there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

use ecep_proto::api::name::{ContainerId, DeviceId, TenantSlug};

use crate::store::Placement;

/// See the file's comment.
#[derive(Debug, Default)]
pub(crate) struct Placements {
    all: BTreeMap<ContainerId, Placement>,
    of_holder: HashMap<DeviceId, BTreeSet<ContainerId>>,
    of_tenant: HashMap<TenantSlug, BTreeSet<ContainerId>>,
}

impl Placements {
    /// That container's.
    pub(crate) fn get(&self, container: &ContainerId) -> Option<&Placement> {
        self.all.get(container)
    }

    /// Those of containers that this device has, by container.
    pub(crate) fn held_by(&self, device: &DeviceId) -> impl Iterator<Item = &Placement> {
        self.found(self.of_holder.get(device))
    }

    /// Those of this tenant, by container.
    pub(crate) fn of_tenant(&self, tenant: &TenantSlug) -> impl Iterator<Item = &Placement> {
        self.found(self.of_tenant.get(tenant))
    }

    /// Takes one over, in place of the container's last.
    pub(crate) fn insert(&mut self, placement: Placement) {
        self.remove(&placement.container);
        let container = &placement.container;
        self.of_holder.entry(placement.holding.holder.clone()).or_default().insert(container.clone());
        self.of_tenant.entry(placement.tenant.clone()).or_default().insert(container.clone());
        self.all.insert(container.clone(), placement);
    }

    /// Forgets that container's.
    pub(crate) fn remove(&mut self, container: &ContainerId) {
        if let Some(known) = self.all.remove(container) {
            leave(&mut self.of_holder, &known.holding.holder, container);
            leave(&mut self.of_tenant, &known.tenant, container);
        }
    }

    fn found<'a>(
        &'a self,
        containers: Option<&'a BTreeSet<ContainerId>>,
    ) -> impl Iterator<Item = &'a Placement> {
        containers.into_iter().flatten().filter_map(|container| self.all.get(container))
    }
}

impl FromIterator<Placement> for Placements {
    fn from_iter<I: IntoIterator<Item = Placement>>(placements: I) -> Self {
        let mut all = Self::default();
        placements.into_iter().for_each(|placement| all.insert(placement));
        all
    }
}

/// A set that is empty goes too: devices and tenants come and go.
fn leave<K: Hash + Eq>(sets: &mut HashMap<K, BTreeSet<ContainerId>>, key: &K, container: &ContainerId) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(container);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use ecep_fleet::migration::authority::Holding;

    use super::*;

    fn placement(container: usize, holder: usize, tenant: usize) -> Placement {
        Placement {
            tenant: format!("t{tenant}").parse().unwrap(),
            container: format!("c{container}").parse().unwrap(),
            name: "app".parse().unwrap(),
            address: None,
            holding: Holding::new(format!("d{holder}").parse().unwrap()),
            came_by: None,
            is_seen: false,
            since: 0,
            left: Vec::new(),
        }
    }

    /// Whatever comes, moves and goes, a device's and a tenant's are those that looking at all of them finds, and nothing is left
    /// over of what is gone.
    #[test]
    fn what_is_found_is_what_looking_at_all_would_find() {
        let mut placements = Placements::default();
        // Every state of three containers follows every other: a walk that is the same each time.
        let mut step: usize = 1;
        for _ in 0..2_000 {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = step >> 33;
            let (container, holder, tenant) = (random % 3, random / 3 % 3, random / 9 % 2);
            if random / 18 % 3 == 0 {
                placements.remove(&format!("c{container}").parse().unwrap());
            } else {
                placements.insert(placement(container, holder, tenant));
            }
            for number in 0..3 {
                let device: DeviceId = format!("d{number}").parse().unwrap();
                let expected = placements.all.values().filter(|one| one.holding.holder == device);
                assert!(placements.held_by(&device).eq(expected));
                let tenant: TenantSlug = format!("t{number}").parse().unwrap();
                let expected = placements.all.values().filter(|one| one.tenant == tenant);
                assert!(placements.of_tenant(&tenant).eq(expected));
            }
        }
        for number in 0..3 {
            placements.remove(&format!("c{number}").parse().unwrap());
        }
        assert!(
            placements.all.is_empty() && placements.of_holder.is_empty() && placements.of_tenant.is_empty()
        );
    }
}

//! The placements in memory, found by container, by holder and by tenant: a report is about one device's, a network about one
//! tenant's, and neither may cost what the whole fleet is.
//!
//! It must not know what a placement means, nor write to disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ecep_proto::api::name::{ContainerId, DeviceId, TenantSlug};

use crate::store::Placement;

/// All placements.
#[derive(Debug, Default)]
pub(super) struct Placements {
    all: BTreeMap<ContainerId, Placement>,
    by_holder: HashMap<DeviceId, BTreeSet<ContainerId>>,
    by_tenant: HashMap<TenantSlug, BTreeSet<ContainerId>>,
}

impl Placements {
    /// One container's.
    pub(super) fn get(&self, container: &ContainerId) -> Option<&Placement> {
        self.all.get(container)
    }

    /// Those of a tenant, by container.
    pub(super) fn of_tenant(&self, tenant: &TenantSlug) -> impl Iterator<Item = &Placement> {
        self.named(self.by_tenant.get(tenant))
    }

    /// Those that this device holds, by container.
    pub(super) fn held_by(&self, device: &DeviceId) -> impl Iterator<Item = &Placement> {
        self.named(self.by_holder.get(device))
    }

    /// Adds one, or replaces the one of that container.
    pub(super) fn insert(&mut self, placement: Placement) {
        self.remove(&placement.container);
        let container = placement.container.clone();
        self.by_holder.entry(placement.holding.holder.clone()).or_default().insert(container.clone());
        self.by_tenant.entry(placement.tenant.clone()).or_default().insert(container.clone());
        self.all.insert(container, placement);
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, container: &ContainerId) {
        if let Some(old) = self.all.remove(container) {
            take_out(&mut self.by_holder, &old.holding.holder, container);
            take_out(&mut self.by_tenant, &old.tenant, container);
        }
    }

    fn named<'a>(
        &'a self,
        containers: Option<&'a BTreeSet<ContainerId>>,
    ) -> impl Iterator<Item = &'a Placement> {
        containers.into_iter().flatten().filter_map(|container| self.all.get(container))
    }
}

impl FromIterator<Placement> for Placements {
    fn from_iter<I: IntoIterator<Item = Placement>>(placements: I) -> Self {
        let mut known = Self::default();
        placements.into_iter().for_each(|placement| known.insert(placement));
        known
    }
}

fn take_out<K: std::hash::Hash + Eq>(
    index: &mut HashMap<K, BTreeSet<ContainerId>>,
    key: &K,
    container: &ContainerId,
) {
    if let Some(containers) = index.get_mut(key) {
        containers.remove(container);
        if containers.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use ecep_fleet::migration::authority::Holding;
    use proptest::prelude::*;

    use super::*;

    fn placement(container: u8, holder: u8, tenant: u8) -> Placement {
        Placement {
            tenant: format!("t-{tenant}").parse().unwrap(),
            container: format!("c-{container}").parse().unwrap(),
            name: "web".parse().unwrap(),
            address: None,
            holding: Holding::new(format!("d-{holder}").parse().unwrap()),
            came_by: None,
            is_seen: true,
            since: 0,
            left: Vec::new(),
        }
    }

    proptest! {
        /// An index that forgets a container would leave it on the map of a device that does not have it, or without a route:
        /// after any changes both tell what a search through everything tells.
        #[test]
        fn the_indexes_tell_what_a_search_through_all_tells(
            steps in proptest::collection::vec((0_u8..6, 0_u8..3, 0_u8..3, any::<bool>()), 0..40)
        ) {
            let mut known = Placements::default();
            for (container, holder, tenant, is_there) in steps {
                let placement = placement(container, holder, tenant);
                if is_there { known.insert(placement) } else { known.remove(&placement.container) }
                for number in 0..3 {
                    let (device, slug) = (format!("d-{number}").parse().unwrap(), format!("t-{number}").parse().unwrap());
                    let held: Vec<_> = known.all.values().filter(|one| one.holding.holder == device).collect();
                    prop_assert_eq!(known.held_by(&device).collect::<Vec<_>>(), held);
                    let own: Vec<_> = known.all.values().filter(|one| one.tenant == slug).collect();
                    prop_assert_eq!(known.of_tenant(&slug).collect::<Vec<_>>(), own);
                }
            }
        }
    }
}

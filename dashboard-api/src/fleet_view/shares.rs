//! Who has a share in a device, and on what terms: the part of the fleet that tenants agree on.

use std::collections::BTreeMap;

use ecep_fleet::liveness::Judgement;
use ecep_proto::api::{
    container::ContainerView,
    device::Liveness,
    name::{DeviceId, TenantSlug},
    share::{DeviceShare, GrantedTerms, OfferView, ShareState, ShareView},
};

use super::{Change, Entry, FleetView};
use crate::store::{Device, Share};

/// An offer that was not accepted is none any more after this time, in milliseconds: a week.
pub const OFFER_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Tells whether an offer still stands; what was accepted does until it is ended.
pub fn stands(share: &Share, unix_now: u64) -> bool {
    share.state != ShareState::Offered || unix_now < share.offered_at.saturating_add(OFFER_MS)
}

/// The tenants that have a share in a device: its owner, then those who have accepted one, by slug.
pub fn tenants(device: &Device) -> impl Iterator<Item = &TenantSlug> {
    let accepted = device.shares.iter().filter(|share| share.state != ShareState::Offered);
    std::iter::once(&device.owner).chain(accepted.map(|share| &share.tenant))
}

impl FleetView {
    /// What a tenant is called.
    pub fn name_tenant(&mut self, tenant: TenantSlug, name: String) {
        self.names.insert(tenant, name);
    }

    /// A device's row has changed: its name, place, key or shares. What is told of it then.
    pub fn changed(&mut self, now: u64, device: Device) -> Vec<Change> {
        let id = device.id.clone();
        let Some(entry) = self.devices.get_mut(&id) else { return Vec::new() };
        entry.device = device;
        // Everybody sees it anew; whoever has no share any more is told nothing.
        let before = std::mem::take(&mut entry.told);
        let mut changes = self.judge(now, &id);
        for change in &mut changes {
            // Another name is no news of how the device is.
            change.before =
                before.get(&change.tenant).map(|told| told.liveness).or(Some(change.device.liveness));
        }
        changes
    }

    /// A device's row as it was stored last; `None` if it is not enrolled.
    pub fn row(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id).map(|entry| &entry.device)
    }

    /// The devices that a tenant owns, by name.
    pub fn owned(&self, tenant: &TenantSlug) -> Vec<Device> {
        let own = self.devices.values().filter(|entry| entry.device.owner == *tenant);
        let mut devices: Vec<Device> = own.map(|entry| entry.device.clone()).collect();
        devices.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        devices
    }

    /// The tenants that have a share in the device, with the terms of each but its owner.
    pub fn grants_of(&self, id: &DeviceId) -> Option<Vec<(TenantSlug, Option<GrantedTerms>)>> {
        let entry = self.devices.get(id)?;
        Some(entry.tenants().map(|tenant| (tenant.clone(), entry.granted(tenant))).collect())
    }

    /// The terms on which a tenant uses another's device.
    pub fn granted(&self, id: &DeviceId, tenant: &TenantSlug) -> Option<GrantedTerms> {
        self.devices.get(id)?.granted(tenant)
    }

    /// Since when a tenant has had the device: from the beginning if it is its owner, from the day it accepted the share if not.
    pub fn had_since(&self, id: &DeviceId, tenant: &TenantSlug) -> Option<u64> {
        let entry = self.devices.get(id).filter(|entry| entry.has(tenant))?;
        Some(entry.share(tenant).map_or(0, |share| share.accepted_at.unwrap_or(share.offered_at)))
    }

    /// A tenant's containers on one device, by its last report.
    pub fn containers_on(&self, id: &DeviceId, tenant: &TenantSlug) -> Vec<ContainerView> {
        let of_tenant = self.devices.get(id).into_iter().flat_map(|entry| &entry.containers);
        let own = of_tenant.filter(|container| container.tenant == *tenant);
        own.map(|container| container.container.clone()).collect()
    }

    /// With whom a device is shared or offered to be.
    pub fn shares(&self, id: &DeviceId, unix_now: u64) -> Vec<ShareView> {
        let Some(entry) = self.devices.get(id) else { return Vec::new() };
        let shares = entry.device.shares.iter().filter(|share| stands(share, unix_now));
        shares.map(|share| self.share_view(share, id)).collect()
    }

    /// A share, as the device's owner sees it.
    pub fn share_view(&self, share: &Share, id: &DeviceId) -> ShareView {
        ShareView {
            tenant: share.tenant.clone(),
            state: share.state,
            terms: share.terms.clone(),
            offered_at: share.offered_at,
            accepted_at: share.accepted_at,
            containers: u32::try_from(self.containers_on(id, &share.tenant).len()).unwrap_or(u32::MAX),
        }
    }

    /// What other tenants share with this one, or offer it; by the device's name.
    pub fn offers(&self, tenant: &TenantSlug, unix_now: u64) -> Vec<OfferView> {
        let mut offers: Vec<OfferView> = Vec::new();
        for entry in self.devices.values() {
            let Some(share) = entry.share(tenant).filter(|share| stands(share, unix_now)) else { continue };
            let Device { id, name, place, owner, .. } = &entry.device;
            let is_offer = share.state == ShareState::Offered;
            offers.push(OfferView {
                device: id.clone(),
                device_name: name.clone(),
                place: place.clone(),
                owner_name: self.name_of(owner),
                state: share.state,
                terms: share.terms.clone(),
                expires_at: is_offer.then(|| share.offered_at.saturating_add(OFFER_MS)),
            });
        }
        offers.sort_by(|a, b| a.device_name.cmp(&b.device_name).then_with(|| a.device.cmp(&b.device)));
        offers
    }

    /// How many offers of this owner wait for a tenant.
    pub fn offered_by(&self, owner: &TenantSlug, tenant: &TenantSlug, unix_now: u64) -> usize {
        let own = self.devices.values().filter(|entry| entry.device.owner == *owner);
        let waits = |share: &&Share| share.state == ShareState::Offered && stands(share, unix_now);
        own.filter_map(|entry| entry.share(tenant)).filter(waits).count()
    }

    /// What a tenant is called, or else its slug.
    pub fn name_of(&self, tenant: &TenantSlug) -> String {
        self.names.get(tenant).cloned().unwrap_or_else(|| tenant.to_string())
    }

    pub(super) fn share_of(&self, entry: &Entry, tenant: &TenantSlug) -> Option<DeviceShare> {
        let granted = entry.granted(tenant)?;
        Some(DeviceShare { owner_name: self.name_of(&entry.device.owner), granted })
    }
}

impl Entry {
    /// The owner, then those who have accepted a share, by slug.
    pub(super) fn tenants(&self) -> impl Iterator<Item = &TenantSlug> {
        tenants(&self.device)
    }

    pub(super) fn has(&self, tenant: &TenantSlug) -> bool {
        self.tenants().any(|one| one == tenant)
    }

    fn share(&self, tenant: &TenantSlug) -> Option<&Share> {
        self.device.shares.iter().find(|share| share.tenant == *tenant)
    }

    pub(super) fn granted(&self, tenant: &TenantSlug) -> Option<GrantedTerms> {
        let share = self.share(tenant).filter(|share| share.state != ShareState::Offered)?;
        Some(GrantedTerms { terms: share.terms.clone(), is_ending: share.state == ShareState::Ending })
    }

    /// How the device is for one of its tenants: what only that one should mend counts too.
    pub(super) fn judge(&self, now: u64, tenant: &TenantSlug) -> Judgement {
        let mut judgement = self.watch.judge(now);
        let own = self.problems.iter().filter(|problem| problem.tenant == *tenant);
        let own: Vec<String> = own.map(|problem| problem.text.clone()).collect();
        if judgement.liveness == Liveness::Connected && !own.is_empty() {
            judgement.liveness = Liveness::Degraded;
        }
        if matches!(judgement.liveness, Liveness::Degraded | Liveness::Stale) {
            judgement.reasons.extend(own);
        }
        judgement
    }

    pub(super) fn judgements(&self, now: u64) -> BTreeMap<TenantSlug, Judgement> {
        self.tenants().map(|tenant| (tenant.clone(), self.judge(now, tenant))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet_view::tests::{START, container, device, facts, report};
    use ecep_proto::api::{
        device::DeviceView,
        share::{ShareReport, TenantProblem, Terms},
    };

    fn shared(state: ShareState) -> (FleetView, DeviceId) {
        let mut view = FleetView::default();
        let mut device = device("edge", "acme");
        let share = |tenant: &str, state| Share {
            tenant: tenant.parse().unwrap(),
            state,
            terms: Terms::default(),
            offered_at: START,
            accepted_at: None,
        };
        device.shares = vec![share("globex", state), share("initech", ShareState::Accepted)];
        device.facts.addresses = vec!["10.0.0.1".to_owned()];
        view.add(START, device, None);
        (view, "edge".parse().unwrap())
    }

    fn list(view: &FleetView, tenant: &str) -> Vec<DeviceView> {
        view.devices(START, &tenant.parse().unwrap()).devices
    }

    /// An offer opens nothing; an accepted share shows the device with its terms, and neither its addresses nor its other tenants.
    #[test]
    fn a_guest_sees_the_device_once_it_has_accepted_and_no_more_than_it_needs() {
        let (view, edge) = shared(ShareState::Offered);
        assert!(list(&view, "globex").is_empty());
        assert_eq!(view.offers(&"globex".parse().unwrap(), START).len(), 1);
        assert!(view.offers(&"globex".parse().unwrap(), START + OFFER_MS).is_empty());
        assert_eq!(view.tenants_of(&edge).unwrap().len(), 2);

        let (view, _) = shared(ShareState::Accepted);
        let seen = &list(&view, "globex")[0];
        assert_eq!(seen.share.as_ref().unwrap().owner_name, "acme");
        assert_eq!(seen.facts, Some(facts().for_guest()));
        assert!(!serde_json::to_string(seen).unwrap().contains("initech"));
        assert_eq!(list(&view, "acme")[0].facts.as_ref().unwrap().addresses, ["10.0.0.1"]);
        assert_eq!(list(&view, "acme")[0].share, None);
    }

    /// Each tenant sees its own containers and hears its own problems.
    #[test]
    fn tenants_of_one_device_see_nothing_of_each_other() {
        let (mut view, edge) = shared(ShareState::Accepted);
        let mut told = report(
            START,
            vec![container("acme", "own"), container("globex", "other"), container("forged", "x")],
        );
        let problem =
            TenantProblem { tenant: "globex".parse().unwrap(), text: "Your disk is full.".to_owned() };
        told.shares = ShareReport { problems: vec![problem], ..ShareReport::default() };
        let changes = view.report(START, START, &edge, told).unwrap();
        let liveness = |tenant: &str| {
            let change = changes.iter().find(|change| change.tenant.as_str() == tenant).unwrap();
            (change.device.liveness, change.device.reasons.clone())
        };
        assert_eq!(liveness("acme"), (Liveness::Connected, vec![]));
        assert_eq!(liveness("globex"), (Liveness::Degraded, vec!["Your disk is full.".to_owned()]));
        let ids = |tenant: &str| {
            let containers = view.containers(START, &tenant.parse().unwrap()).containers;
            containers.into_iter().map(|placed| placed.container.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids("acme"), ids("globex"), ids("forged")),
            (vec!["own".into()], vec!["other".into()], vec![])
        );
    }

    /// A share that ends still has its device; one that is over has not.
    #[test]
    fn a_share_that_ends_is_there_until_it_is_over() {
        let (mut view, edge) = shared(ShareState::Ending);
        assert!(list(&view, "globex")[0].share.as_ref().unwrap().granted.is_ending);
        let mut row = view.row(&edge).unwrap().clone();
        row.shares.retain(|share| share.tenant.as_str() != "globex");
        assert!(view.changed(START, row).iter().all(|change| change.tenant.as_str() != "globex"));
        assert!(list(&view, "globex").is_empty());
    }
}

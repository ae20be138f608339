//! What follows from a change of a device or of its shares: who is told, which sessions end, and what the device is ordered.

use std::collections::BTreeMap;

use ecep_proto::api::{
    Procedure, ShareEvict,
    audit::{Outcome, cut},
    error::{ApiError, ErrorKind},
    fleet::Report,
    name::{ContainerId, ContainerName, DeviceId, TenantSlug},
    realm,
    share::EvictTenant,
};

use super::{Uplink, procedures::revision_of};
use crate::{
    clock::unix_ms,
    store::{StoreError, audit::Draft},
};

/// What a report says of the shares that end: looked at once the report has been taken.
pub(super) struct Leaving {
    /// The ending shares of whose tenants the device has nothing any more.
    over: Vec<TenantSlug>,
}

impl Uplink {
    /// The row of a device has changed in the store. Read under the lock, so that of two changes the later one stays. Whoever
    /// has no share in it any more hears nothing more of it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn device_changed(&self, device: &DeviceId) -> Result<(), StoreError> {
        let mut view = self.control.view();
        if let Some(row) = self.control.store.device(device)? {
            let now = self.control.clock.now();
            let before = view.tenants_of(device).unwrap_or_default();
            let changes = view.changed(now, row);
            changes.into_iter().for_each(|change| self.tell(change));
            let after = view.tenants_of(device).unwrap_or_default();
            for tenant in before.iter().filter(|tenant| !after.contains(tenant)) {
                self.control.alerts.leave(now, tenant, device);
            }
        }
        Ok(())
    }

    /// Ends the device's sessions in a tenant's realm. Where it still has a share, it comes back with the terms of now.
    pub fn leave_realm(&self, device: &DeviceId, tenant: &TenantSlug, reason: &str) {
        self.control.tickets().revoke(device.as_str());
        self.end_sessions(device.to_string(), Some(realm::of_tenant(tenant)), reason);
    }

    /// Ends all sessions of a device: one of its keys is good no more.
    pub fn device_key_changed(&self, device: &DeviceId, reason: &str) {
        self.end_sessions(device.to_string(), None, reason);
    }

    /// A sentence for the people of the device's owner.
    pub fn tell_owner(&self, device: &DeviceId, text: impl FnOnce(&str) -> String) {
        let known = self.control.view().row(device).map(|row| (row.owner.clone(), row.name.clone()));
        if let Some((owner, name)) = known {
            self.notice(&owner, text(&name));
        }
    }

    /// Has the device stop and delete all that a tenant has there, whose share ends. `named` is what the person who orders it
    /// has named, sorted.
    ///
    /// # Errors
    /// `Conflict` where that is not what is there, `Unavailable` where the device does not answer.
    pub async fn evict(
        &self,
        device: &DeviceId,
        tenant: &TenantSlug,
        named: &[ContainerName],
    ) -> Result<(), ApiError> {
        let there = self.control.view().containers_on(device, tenant);
        let mut names: Vec<&ContainerName> = there.iter().map(|container| &container.name).collect();
        names.sort();
        if !names.iter().copied().eq(named) {
            let names: Vec<&str> = names.into_iter().map(ContainerName::as_str).collect();
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "The tenant has other containers there: {}. Name exactly these to delete them.",
                    names.join(", ")
                ),
            )
            .with("containers", names));
        }
        let detail = BTreeMap::from([(
            "delete".to_owned(),
            cut(&named.iter().map(ContainerName::as_str).collect::<Vec<_>>().join(", ")),
        )]);
        let containers: Vec<ContainerId> = there.into_iter().map(|container| container.id).collect();
        tracing::info!(%device, %tenant, containers = containers.len(), "a tenant's containers are to be deleted");
        let asked = self
            .ask::<ShareEvict>(device, &EvictTenant { tenant: tenant.clone(), containers })
            .await
            .map(drop);
        // The owner's audit says which of its people ordered it; that of the tenant, what became of its containers.
        let mut draft = Draft::of_installation(Some(tenant.clone()), ShareEvict::URI, detail);
        draft.target = device.to_string();
        draft.outcome =
            asked.as_ref().map_or_else(|error| Outcome::of_error(error.uri), |()| Outcome::Running);
        draft.error = asked.as_ref().err().map(|error| error.uri.uri().to_owned());
        self.control.audit.note(unix_ms(), draft).await;
        asked
    }

    /// Which ending shares are over by this report: the device knows that they end, has told all that it has, and neither it nor
    /// the authority knows of anything of the tenant there.
    pub(super) fn leaving(&self, device: &DeviceId, report: &Report) -> Leaving {
        let grants = self.control.view().grants_of(device).unwrap_or_default();
        let is_current = report.is_complete && report.shares.grants_revision == revision_of(&grants);
        let is_over = |tenant: &TenantSlug| {
            !report.containers.iter().any(|one| one.tenant == *tenant)
                && !report.shares.busy.contains(tenant)
                && !self.control.authority.is_on(tenant, device)
        };
        let ending =
            grants.into_iter().filter(|(_, granted)| granted.as_ref().is_some_and(|terms| terms.is_ending));
        let over = ending.map(|(tenant, _)| tenant).filter(|tenant| is_current && is_over(tenant));
        Leaving { over: over.collect() }
    }

    /// Ends what is over.
    pub(super) async fn let_go(&self, device: &DeviceId, leaving: Leaving) -> Result<(), ApiError> {
        for tenant in leaving.over {
            if !self.control.share_is_over(device, &tenant).await? {
                continue;
            }
            self.device_changed(device)?;
            self.leave_realm(device, &tenant, "This share has ended.");
            tracing::info!(%device, %tenant, "share is over");
            let name = self.control.view().name_of(&tenant);
            self.tell_owner(device, |device| format!("Device {device} is not shared with {name} any more."));
            self.notice(&tenant, format!("Device {device} is not shared with this tenant any more."));
        }
        Ok(())
    }

    /// Refuses to begin something for a tenant on a device whose share ends.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) fn refuse_if_ending(&self, tenant: &TenantSlug, device: &DeviceId) -> Result<(), ApiError> {
        match self.control.view().granted(device, tenant) {
            Some(granted) if granted.is_ending => Err(ApiError::new(
                ErrorKind::Forbidden,
                format!(
                    "the share of device {device} ends, so nothing new is begun there; choose another device"
                ),
            )),
            _ => Ok(()),
        }
    }
}

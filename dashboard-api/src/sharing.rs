//! Shares of devices between tenants: offered by the device's owner, accepted by the other tenant, ended by either.
//!
//! Owns the checks and their sentences. Whether a slug that an offer names is a tenant's is told to nobody.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    name::{ContainerName, DeviceId, TenantSlug},
    share::{NewShare, ShareState, Terms},
};

use crate::{
    clock::unix_ms,
    control::ControlPlane,
    fleet_view::shares::stands,
    naming::invalid,
    store::{Device, Share, StoreError},
};

/// Tenants that one device may be shared with or offered to: the device's row holds them all. Policy: one more is refused.
const MAX_SHARES_OF_DEVICE: usize = 32;
/// Offers that wait for one slug, whether a tenant has it or not: nobody's list can be flooded. Policy: one more is refused.
const MAX_OFFERS_TO_TENANT: usize = 100;
/// Those of them that one tenant has made: it leaves room for the offers of others. Policy: one more is refused.
const MAX_OFFERS_FROM_TENANT: usize = 20;
/// More cores than any device has.
const MAX_CPUS: f64 = 1024.0;

/// What became of a share that was to end.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// It is over; else it is ending now.
    pub ended: bool,
    /// The containers that the tenant has on the device, by its last report.
    pub containers: Vec<ContainerName>,
}

impl ControlPlane {
    /// Offers a device of this tenant to another one.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` for terms or a tenant that cannot be, `Conflict` where there is a share already, `Limit`.
    pub async fn offer_share(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
        wanted: NewShare,
    ) -> Result<Share, ApiError> {
        let NewShare { tenant, terms } = wanted;
        let terms = checked(terms)?;
        if tenant == *owner {
            return Err(invalid(
                "The device belongs to this tenant already. Name another one to share it with.",
            ));
        }
        let now = unix_ms();
        let waiting = self
            .view()
            .offers(&tenant, now)
            .iter()
            .filter(|offer| offer.state == ShareState::Offered)
            .count();
        if self.view().offered_by(owner, &tenant, now) >= MAX_OFFERS_FROM_TENANT {
            return Err(ApiError::new(
                ErrorKind::Limit,
                format!(
                    "{MAX_OFFERS_FROM_TENANT} of your offers wait for this tenant, and that is the most. Try again when some have been answered, or withdraw some."
                ),
            ));
        }
        if waiting >= MAX_OFFERS_TO_TENANT {
            return Err(ApiError::new(
                ErrorKind::Limit,
                "Too many offers wait for this tenant. Try again when some have been answered or have expired.",
            ));
        }
        let share = Share { tenant, state: ShareState::Offered, terms, offered_at: now, accepted_at: None };
        self.change_own(owner, device, |row| {
            row.shares.retain(|share| stands(share, now));
            if row.shares.iter().any(|known| known.tenant == share.tenant) {
                return Err(StoreError::Conflict(format!(
                    "The device is shared with or offered to {} already. Change the terms there.",
                    share.tenant
                )));
            }
            if row.shares.len() >= MAX_SHARES_OF_DEVICE {
                return Err(StoreError::Limit(format!(
                    "The device is shared with {MAX_SHARES_OF_DEVICE} tenants, and that is the most. End a share first."
                )));
            }
            row.shares.push(share.clone());
            row.shares.sort_by(|a, b| a.tenant.cmp(&b.tenant));
            Ok(())
        })
        .await?;
        tracing::info!(%device, %owner, tenant = %share.tenant, "device offered to a tenant");
        Ok(share)
    }

    /// Gives a share or an offer other terms.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidArgument` for terms that cannot be.
    pub async fn change_share(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
        tenant: &TenantSlug,
        terms: Terms,
    ) -> Result<Share, ApiError> {
        let terms = checked(terms)?;
        let now = unix_ms();
        let changed = self.change_own(owner, device, |row| {
            let share = row.shares.iter_mut().find(|share| share.tenant == *tenant && stands(share, now));
            Ok(share.map(|share| {
                share.terms = terms.clone();
                share.clone()
            }))
        });
        let share = changed.await?.ok_or_else(no_share)?;
        tracing::info!(%device, %owner, %tenant, "terms of a share changed");
        Ok(share)
    }

    /// A tenant accepts what it was offered. The same again changes nothing.
    ///
    /// # Errors
    /// `NotFound` where there is no such offer any more, `Conflict` where there is no such tenant any more.
    pub async fn accept_share(&self, tenant: &TenantSlug, device: &DeviceId) -> Result<(), ApiError> {
        let now = unix_ms();
        let accepted = self.store.change_device_for(tenant, device, |row| {
            let share = row.shares.iter_mut().find(|share| share.tenant == *tenant && stands(share, now));
            Ok(share.map(|share| {
                if share.state == ShareState::Offered {
                    share.state = ShareState::Accepted;
                    share.accepted_at = Some(now);
                }
            }))
        });
        accepted.await?.and_then(|(_, done)| done).ok_or_else(no_offer)?;
        tracing::info!(%device, %tenant, "share accepted");
        Ok(())
    }

    /// A tenant declines an offer, or leaves a share. Whether it is over, not only ending.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while it has containers there.
    pub async fn leave_share(&self, tenant: &TenantSlug, device: &DeviceId) -> Result<Ending, ApiError> {
        let is_of_tenant = self.view().row(device).is_some_and(|row| has_share(row, tenant));
        if !is_of_tenant {
            return Err(no_offer());
        }
        let containers = self.names_on(device, tenant);
        if !containers.is_empty() {
            let names: Vec<&str> = containers.iter().map(ContainerName::as_str).collect();
            return Err(ApiError::new(
                ErrorKind::Conflict,
                format!(
                    "This tenant has containers on the device: {}. Move them away or delete them first.",
                    names.join(", ")
                ),
            ));
        }
        self.begin_end(device, tenant).await
    }

    /// The device's owner ends a share, or withdraws an offer. Containers go on; the share is over when none is left.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn end_share(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
        tenant: &TenantSlug,
    ) -> Result<Ending, ApiError> {
        let is_there =
            self.view().row(device).is_some_and(|row| row.owner == *owner && has_share(row, tenant));
        if !is_there {
            return Err(no_share());
        }
        self.begin_end(device, tenant).await
    }

    /// A share that was ending is over: no container of the tenant is left. Whether it was there and ending.
    ///
    /// # Errors
    /// `Unavailable` if the store fails.
    pub async fn share_is_over(&self, device: &DeviceId, tenant: &TenantSlug) -> Result<bool, ApiError> {
        let removed = self.store.change_device(device, |row| {
            let before = row.shares.len();
            row.shares.retain(|share| share.tenant != *tenant || share.state != ShareState::Ending);
            Ok(row.shares.len() < before)
        });
        Ok(removed.await?.is_some_and(|(_, removed)| removed))
    }

    /// The names of a tenant's containers on a device, by its last report.
    pub fn names_on(&self, device: &DeviceId, tenant: &TenantSlug) -> Vec<ContainerName> {
        let mut names: Vec<ContainerName> =
            self.view().containers_on(device, tenant).into_iter().map(|container| container.name).collect();
        names.sort();
        names
    }

    /// Changes a device that this tenant owns. One of another tenant is not there.
    ///
    /// # Errors
    /// `NotFound`, or what `change` refuses.
    pub(crate) async fn change_own<T>(
        &self,
        owner: &TenantSlug,
        device: &DeviceId,
        change: impl Fn(&mut Device) -> Result<T, StoreError>,
    ) -> Result<T, ApiError> {
        let changed = self
            .store
            .change_device(device, |row| if row.owner == *owner { change(row).map(Some) } else { Ok(None) });
        changed.await?.and_then(|(_, answer)| answer).ok_or_else(no_device)
    }

    async fn begin_end(&self, device: &DeviceId, tenant: &TenantSlug) -> Result<Ending, ApiError> {
        // Where no agent ever came nothing can be left.
        let never_heard =
            self.view().device(self.clock.now(), device).is_some_and(|view| view.last_seen_at.is_none());
        let ended = self.store.change_device(device, |row| {
            let Some(share) = row.shares.iter_mut().find(|share| share.tenant == *tenant) else {
                return Ok(true);
            };
            if share.state != ShareState::Offered && !never_heard {
                share.state = ShareState::Ending;
                return Ok(false);
            }
            row.shares.retain(|share| share.tenant != *tenant);
            Ok(true)
        });
        let ended = ended.await?.is_none_or(|(_, ended)| ended);
        tracing::info!(%device, %tenant, ended, "share ends");
        Ok(Ending { ended, containers: self.names_on(device, tenant) })
    }
}

fn has_share(row: &Device, tenant: &TenantSlug) -> bool {
    let now = unix_ms();
    row.shares.iter().any(|share| share.tenant == *tenant && stands(share, now))
}

fn checked(mut terms: Terms) -> Result<Terms, ApiError> {
    if let Some(cpus) = terms.quota.cpus
        && !(cpus > 0.0 && cpus <= MAX_CPUS)
    {
        return Err(invalid(format!(
            "A quota of {cpus} cores cannot be; use more than 0 and up to {MAX_CPUS}."
        )));
    }
    terms.allow.sort();
    terms.allow.dedup();
    Ok(terms)
}

pub(crate) fn no_device() -> ApiError {
    ApiError::new(ErrorKind::NotFound, "This tenant has no such device. It may have been removed already.")
}

fn no_share() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "The device is not shared with this tenant. It may have been ended already.",
    )
}

fn no_offer() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "No such device is offered to or shared with this tenant. The offer may have expired or been withdrawn.",
    )
}

//! What agents call on the control realm. Who calls is told by the router, not by the caller.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    fleet::{Grants, Hello, Report, ReportReply, TenantGrant},
    name::{DeviceId, TenantSlug},
    realm,
    reply::Caller,
    share::GrantedTerms,
};
use sha2::{Digest, Sha256};

use super::Uplink;
use crate::clock::unix_ms;

impl Uplink {
    /// Takes a device's facts and grants it its tenants' realms.
    pub(super) fn hello(&self, caller: &Caller, hello: Hello) -> Result<Grants, ApiError> {
        let device = device_of(caller)?;
        let has_moved = {
            let mut view = self.control.view();
            let address = view.address(&device);
            view.hello(&device, hello.facts)?;
            view.address(&device) != address
        };
        let granted = self.grants_of(&device)?;
        if has_moved {
            granted.iter().for_each(|(tenant, _)| self.control.authority.touch(tenant));
        }
        let row = self.control.store.device(&device)?.ok_or_else(not_a_device)?;
        let papers = Some(self.control.papers(&row)?);
        let mut grants = Grants { revision: revision_of(&granted), tenants: Vec::new(), papers };
        for (tenant, granted) in granted {
            let ticket = self.control.issue_share_ticket(&device, &tenant)?;
            let realm = realm::of_tenant(&tenant);
            grants.tenants.push(TenantGrant { tenant, realm, ticket, granted });
        }
        Ok(grants)
    }

    /// Takes a device's heartbeat.
    pub(super) async fn report(&self, caller: &Caller, mut report: Report) -> Result<ReportReply, ApiError> {
        let device = device_of(caller)?;
        let tenants = self.grants_of(&device)?.into_iter().map(|(tenant, _)| tenant).collect::<Vec<_>>();
        if report.is_complete {
            let authority = &self.control.authority;
            let lost = authority.reported(&device, &report.containers, &report.migrations).await?;
            for decided in lost {
                self.tell_decided(&decided);
            }
        }
        let revision = report.network_revision;
        let stats = report.stats.take();
        let started = report.is_complete.then(|| self.started(&device, &tenants, &report.containers));
        let leaving = self.leaving(&device, &report);
        let has_moved = {
            // Told under the lock, so that events leave in the order of the changes.
            let mut view = self.control.view();
            let now = self.control.clock.now();
            let address = view.address(&device);
            let change = view.report(now, unix_ms(), &device, report)?;
            change.into_iter().for_each(|change| self.tell(change));
            view.address(&device) != address
        };
        if has_moved {
            tenants.iter().for_each(|tenant| self.control.authority.touch(tenant));
        }
        self.let_go(&device, leaving).await?;
        let granted = self.grants_of(&device)?;
        let tenants: Vec<TenantSlug> = granted.iter().map(|(tenant, _)| tenant.clone()).collect();
        self.learn(&device, &tenants, stats, started)?;
        let network = if revision == self.control.authority.revision(&tenants) {
            None
        } else {
            let via = |device: &DeviceId| self.control.view().address(device);
            Some(self.control.authority.table(&device, &tenants, via)?)
        };
        let rotate_key = self.control.view().row(&device).is_some_and(|row| row.rotation_ordered);
        Ok(ReportReply { grants_revision: revision_of(&granted), network, rotate_key })
    }

    pub(super) fn grants_of(
        &self,
        device: &DeviceId,
    ) -> Result<Vec<(TenantSlug, Option<GrantedTerms>)>, ApiError> {
        self.control.view().grants_of(device).ok_or_else(not_a_device)
    }
}

pub(super) fn device_of(caller: &Caller) -> Result<DeviceId, ApiError> {
    caller.authid.parse().map_err(|_| not_a_device())
}

fn not_a_device() -> ApiError {
    ApiError::new(
        ErrorKind::Forbidden,
        "Only enrolled devices call this. If the device was removed, enrol it again with a join token.",
    )
}

/// The same list on the same terms has the same revision, also after a restart; 48 bits, which every JSON reader holds exactly.
pub(super) fn revision_of(granted: &[(TenantSlug, Option<GrantedTerms>)]) -> u64 {
    let mut hasher = Sha256::new();
    for (tenant, terms) in granted {
        hasher.update(tenant.as_str());
        hasher.update("\n");
        if let Some(terms) = terms {
            hasher.update(serde_json::to_vec(terms).unwrap_or_default());
            hasher.update("\n");
        }
    }
    hasher.finalize().iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent says hello again when the revision changes: it must change with the list and only with it.
    #[test]
    fn the_revision_follows_the_list() {
        let list = |names: &[&str]| {
            names.iter().map(|name| (name.parse().unwrap(), None)).collect::<Vec<(TenantSlug, _)>>()
        };
        assert_eq!(revision_of(&list(&["a", "b"])), revision_of(&list(&["a", "b"])));
        assert_ne!(revision_of(&list(&["a", "b"])), revision_of(&list(&["ab"])));
        assert_ne!(revision_of(&list(&["a"])), revision_of(&list(&[])));
        assert!(revision_of(&list(&["a"])) < 1 << 53);
        let on = |is_ending| {
            let terms = GrantedTerms { is_ending, ..GrantedTerms::default() };
            vec![("a".parse().unwrap(), Some(terms))]
        };
        assert_ne!(revision_of(&on(false)), revision_of(&on(true)), "other terms are told too");
        assert_ne!(revision_of(&on(false)), revision_of(&list(&["a"])));
    }
}

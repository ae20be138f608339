//! What agents call on the control realm. Who calls is told by the router, not by the caller.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    fleet::{Grants, Hello, Report, ReportReply, TenantGrant},
    name::{DeviceId, TenantSlug},
    realm,
    reply::Caller,
    roles::Role,
};
use sha2::{Digest, Sha256};

use super::Uplink;
use crate::{clock::unix_ms, tickets::DEVICE_TICKET_MS};

impl Uplink {
    /// Takes a device's facts and grants it its tenants' realms.
    pub(super) fn hello(&self, caller: &Caller, hello: Hello) -> Result<Grants, ApiError> {
        let device = device_of(caller)?;
        self.control.view().hello(&device, hello.facts)?;
        let tenants = self.tenants_of(&device)?;
        let mut grants = Grants { revision: revision_of(&tenants), tenants: Vec::new() };
        for tenant in tenants {
            let realm = realm::of_tenant(&tenant);
            let ticket =
                self.control.issue_ticket(device.as_str(), realm.clone(), Role::Device, DEVICE_TICKET_MS)?;
            grants.tenants.push(TenantGrant { tenant, realm, ticket });
        }
        Ok(grants)
    }

    /// Takes a device's heartbeat.
    pub(super) fn report(&self, caller: &Caller, report: Report) -> Result<ReportReply, ApiError> {
        let device = device_of(caller)?;
        {
            // Told under the lock, so that events leave in the order of the changes.
            let mut view = self.control.view();
            let change = view.report(self.control.clock.now(), unix_ms(), &device, report)?;
            change.into_iter().for_each(|change| self.tell(change));
        }
        Ok(ReportReply { grants_revision: revision_of(&self.tenants_of(&device)?) })
    }

    fn tenants_of(&self, device: &DeviceId) -> Result<Vec<TenantSlug>, ApiError> {
        self.control.view().tenants_of(device).ok_or_else(not_a_device)
    }
}

fn device_of(caller: &Caller) -> Result<DeviceId, ApiError> {
    caller.authid.parse().map_err(|_| not_a_device())
}

fn not_a_device() -> ApiError {
    ApiError::new(
        ErrorKind::Forbidden,
        "Only enrolled devices call this. If the device was removed, enrol it again with a join token.",
    )
}

/// The same list has the same revision, also after a restart; 48 bits, which every JSON reader holds exactly.
fn revision_of(tenants: &[TenantSlug]) -> u64 {
    let mut hasher = Sha256::new();
    for tenant in tenants {
        hasher.update(tenant.as_str());
        hasher.update("\n");
    }
    hasher.finalize().iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent says hello again when the revision changes: it must change with the list and only with it.
    #[test]
    fn the_revision_follows_the_list() {
        let list =
            |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<TenantSlug>>();
        assert_eq!(revision_of(&list(&["a", "b"])), revision_of(&list(&["a", "b"])));
        assert_ne!(revision_of(&list(&["a", "b"])), revision_of(&list(&["ab"])));
        assert_ne!(revision_of(&list(&["a"])), revision_of(&list(&[])));
        assert!(revision_of(&list(&["a"])) < 1 << 53);
    }
}

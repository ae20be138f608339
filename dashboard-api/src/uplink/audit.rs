//! The audit over WAMP: what a tenant's owners ask, what devices tell, and the witness of what is served here.

use std::sync::Arc;

use ecep_link::{LinkBuilder, Served};
use ecep_proto::api::{
    audit::{AuditPage, AuditQuery, AuditReceipt, AuditReport, Told, is_audited_uri},
    error::{ApiError, ErrorKind},
    name::TenantSlug,
    reply::Caller,
};

use super::{Uplink, procedures::device_of};
use crate::{
    clock::unix_ms,
    store::audit::{Log, Wanted},
};

/// Entries of a page unless the query says otherwise.
const DEFAULT_LIMIT: u32 = 100;
/// Most entries of a page.
const MAX_LIMIT: u32 = 500;

impl Uplink {
    /// Has every call that may change something written down before it is answered.
    pub(super) fn audited(self: &Arc<Self>, builder: LinkBuilder, tenant: &TenantSlug) -> LinkBuilder {
        let (uplink, tenant) = (Arc::clone(self), tenant.clone());
        builder.witness(move |served: Served| {
            let (uplink, tenant) = (Arc::clone(&uplink), tenant.clone());
            async move {
                let Served { uri, caller, request, reply } = served;
                if is_audited_uri(uri) {
                    let told = Told::of(uri, &request, &reply);
                    uplink.control.audit.served(unix_ms(), &tenant, &caller, told).await;
                }
            }
        })
    }

    /// Takes what a device tells of calls there.
    pub(super) async fn audit_report(
        &self,
        caller: &Caller,
        report: AuditReport,
    ) -> Result<AuditReceipt, ApiError> {
        let device = device_of(caller)?;
        let mut tenants: Vec<TenantSlug> =
            self.grants_of(&device)?.into_iter().map(|(tenant, _)| tenant).collect();
        let owner = self.control.view().row(&device).map(|row| row.owner.clone());
        // The owner first.
        tenants.sort_by_key(|tenant| Some(tenant) != owner.as_ref());
        self.control.audit.report(unix_ms(), &device, &tenants, report).await
    }

    /// Lists a tenant's entries, the newest first.
    pub(super) fn audit_list(&self, tenant: &TenantSlug, query: AuditQuery) -> Result<AuditPage, ApiError> {
        let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                format!("The limit must be 1 to {MAX_LIMIT}, not {limit}."),
            ));
        }
        let store = &self.control.store;
        // A tenant of the same slug that was deleted was another one.
        let since = store.tenant(tenant)?.map_or(0, |tenant| tenant.created_at);
        let wanted = Wanted {
            from: query.from.unwrap_or(0).max(since),
            to: query.to.unwrap_or(u64::MAX >> 16),
            actor: query.actor,
            action: query.action,
            target: query.target,
            after: query.after,
            limit: usize::try_from(limit).unwrap_or_default(),
            newest_first: true,
        };
        let (entries, next) = store.audit(&Log::of_tenant(tenant), &wanted)?;
        Ok(AuditPage { entries, next })
    }
}

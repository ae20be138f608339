//! The procedures about applications, as links serve them.

use std::sync::Arc;

use ecep_link::LinkBuilder;
use ecep_proto::api::{
    ApplicationDelete, ApplicationDeploy, ApplicationListing, ApplicationPlace, ArtifactDelete,
    ArtifactListing, ContainerUpdate, Procedure, RunEnd, RunListing, VersionAdd, VersionDelete,
    name::TenantSlug, reply::Nothing,
};

use super::Uplink;

/// Serves a procedure of a tenant's realm by a block that may wait, and knows these names in it.
macro_rules! serve {
    ($builder:expr, $uplink:expr, $tenant:expr, $procedure:ty, |$own:ident, $of:ident, $caller:ident, $request:ident| $answer:expr) => {
        $builder.procedure::<$procedure, _, _>(<$procedure>::URI.to_owned(), {
            let (uplink, tenant) = (Arc::clone($uplink), $tenant.clone());
            move |$caller, $request| {
                let ($own, $of) = (Arc::clone(&uplink), tenant.clone());
                async move { $answer }
            }
        })
    };
}

impl Uplink {
    /// What tenants call.
    pub(super) fn serving_applications(
        self: &Arc<Self>,
        builder: LinkBuilder,
        tenant: &TenantSlug,
    ) -> LinkBuilder {
        let builder = serve!(builder, self, tenant, ArtifactListing, |uplink, tenant, _caller, _nothing| {
            Ok(uplink.control.artifacts.list(&tenant)?)
        });
        let builder = serve!(builder, self, tenant, ArtifactDelete, |uplink, tenant, _caller, request| {
            uplink.control.artifacts.remove(&tenant, &request.digest).await.map(|()| Nothing {})
        });
        let builder =
            serve!(builder, self, tenant, ApplicationListing, |uplink, tenant, _caller, _nothing| {
                uplink.applications(&tenant)
            });
        let builder = serve!(builder, self, tenant, VersionAdd, |uplink, tenant, caller, request| {
            uplink.add_version(&tenant, &caller, request).await
        });
        let builder = serve!(builder, self, tenant, VersionDelete, |uplink, tenant, _caller, request| {
            uplink.delete_version(&tenant, request).await
        });
        let builder = serve!(builder, self, tenant, ApplicationDelete, |uplink, tenant, _caller, request| {
            uplink.delete_application(&tenant, request).await
        });
        let builder = serve!(builder, self, tenant, ApplicationPlace, |uplink, tenant, _caller, request| {
            uplink.place(&tenant, request)
        });
        let builder = serve!(builder, self, tenant, ApplicationDeploy, |uplink, tenant, caller, request| {
            uplink.deploy(&tenant, &caller, request).await
        });
        let builder = serve!(builder, self, tenant, ContainerUpdate, |uplink, tenant, caller, request| {
            uplink.update(&tenant, &caller, request).await
        });
        serve!(builder, self, tenant, RunListing, |uplink, tenant, _caller, query| {
            uplink.runs(&tenant, &query)
        })
    }

    /// What devices tell.
    pub(super) fn serving_runs(self: &Arc<Self>, builder: LinkBuilder) -> LinkBuilder {
        let uplink = Arc::clone(self);
        builder.procedure::<RunEnd, _, _>(RunEnd::URI.to_owned(), move |caller, request| {
            let uplink = Arc::clone(&uplink);
            async move { uplink.end_run(&caller, request).await }
        })
    }
}

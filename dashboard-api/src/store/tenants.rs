//! Tenants. A slug is given once: the row of a deleted tenant stays.

use ecep_proto::api::{name::TenantSlug, roles::Role};
use sled::Transactional;

use super::{Store, StoreError, Tenant, accounts::membership_key};

impl Store {
    /// Adds a tenant, owned by this account.
    ///
    /// # Errors
    /// `Conflict` if the slug is or was taken; else see [`StoreError`].
    pub async fn add_tenant(&self, tenant: &Tenant, owner: &str) -> Result<(), StoreError> {
        (&self.tenants.tree, &self.memberships.tree).transaction(|(tenants, members)| {
            self.tenants.within(tenants).add(tenant.slug.as_str(), tenant, || {
                format!("There is or was a tenant {} already; choose another slug.", tenant.slug)
            })?;
            self.memberships.within(members).put(&membership_key(owner, &tenant.slug), &Role::Owner)
        })?;
        self.flush().await
    }

    /// The tenant with this slug.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn tenant(&self, slug: &TenantSlug) -> Result<Option<Tenant>, StoreError> {
        Ok(self.tenants.get(slug.as_str())?.filter(|tenant| tenant.deleted_at.is_none()))
    }

    /// All tenants, by slug.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let all = self.tenants.rows()?.into_iter().map(|(_, tenant)| tenant);
        Ok(all.filter(|tenant| tenant.deleted_at.is_none()).collect())
    }

    /// Refuses what would be added to a tenant that was deleted in the meantime.
    pub(super) fn check_tenant(&self, slug: &TenantSlug) -> Result<(), StoreError> {
        match self.tenant(slug)? {
            Some(_) => Ok(()),
            None => Err(StoreError::Conflict(format!("There is no tenant {slug} any more."))),
        }
    }

    /// Gives a tenant another name; whether there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rename_tenant(&self, slug: &TenantSlug, name: &str) -> Result<bool, StoreError> {
        let renamed = self.tenants.change(slug.as_str(), |tenant| {
            if tenant.deleted_at.is_none() {
                name.clone_into(&mut tenant.name);
            }
        })?;
        self.flush().await?;
        Ok(renamed.is_some_and(|tenant| tenant.deleted_at.is_none()))
    }

    /// Deletes a tenant with its memberships, invitations and tokens; whether there was one. Its slug is not given again.
    ///
    /// # Errors
    /// `Conflict` while it has devices or containers; else see [`StoreError`].
    pub async fn delete_tenant(&self, slug: &TenantSlug, now: u64) -> Result<bool, StoreError> {
        let was_there = {
            let _alone = self.alone();
            match self.tenant(slug)? {
                Some(tenant) => {
                    self.check_is_empty(slug)?;
                    self.forget_tenant(Tenant { deleted_at: Some(now), ..tenant })?;
                    true
                }
                None => false,
            }
        };
        self.flush().await?;
        Ok(was_there)
    }

    fn check_is_empty(&self, slug: &TenantSlug) -> Result<(), StoreError> {
        let devices = self.devices()?.iter().filter(|device| device.owner == *slug).count();
        if devices > 0 {
            return Err(StoreError::Conflict(format!(
                "The tenant {slug} has {devices} devices. Have an owner delete their containers and remove them, then delete the tenant."
            )));
        }
        let placed = self.placements()?.iter().filter(|placement| placement.tenant == *slug).count();
        let reported = self.reports.rows()?.into_iter().flat_map(|(_, report)| report.containers);
        let containers = placed.max(reported.filter(|container| container.tenant == *slug).count());
        if containers > 0 {
            return Err(StoreError::Conflict(format!(
                "The tenant {slug} has {containers} containers. Have a member delete them, then delete the tenant."
            )));
        }
        Ok(())
    }

    fn forget_tenant(&self, tenant: Tenant) -> Result<(), StoreError> {
        let slug = &tenant.slug;
        let members: Vec<String> =
            self.roles_in(slug)?.into_iter().map(|(account, _)| membership_key(&account, slug)).collect();
        let invitations: Vec<String> = self.invitations(slug)?.into_iter().map(|one| one.id).collect();
        let join: Vec<String> = self.join_tokens(slug)?.into_iter().map(|one| one.id).collect();
        let api: Vec<String> = self.api_tokens(slug)?.into_iter().map(|one| one.id).collect();
        let trees = (
            &self.tenants.tree,
            &self.memberships.tree,
            &self.invitations.tree,
            &self.join_tokens.tree,
            &self.api_tokens.tree,
        );
        trees.transaction(|(tenant_rows, member_rows, invitation_rows, join_rows, api_rows)| {
            self.tenants.within(tenant_rows).put(slug.as_str(), &tenant)?;
            for (keys, rows) in [
                (&members, member_rows),
                (&invitations, invitation_rows),
                (&join, join_rows),
                (&api, api_rows),
            ] {
                for key in keys {
                    rows.remove(key.as_str())?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

//! Tenants. A slug is given once: the row of a deleted tenant stays.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Device, Store, StoreError, Tenant, accounts::membership_key, tree::Transactional};
use crate::fleet_view::shares::tenants;

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

    /// Deletes a tenant with its memberships, invitations, tokens, applications and artifacts; whether there was one. Its slug is not given again.
    ///
    /// # Errors
    /// `Conflict` while it has devices, shares of others' devices, or containers; else see [`StoreError`].
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
        let (own, shared): (Vec<Device>, Vec<Device>) = self
            .devices()?
            .into_iter()
            .filter(|device| tenants(device).any(|tenant| tenant == slug))
            .partition(|device| device.owner == *slug);
        let devices = own.len();
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
        if !shared.is_empty() {
            return Err(StoreError::Conflict(format!(
                "Other tenants share {} devices with the tenant {slug}. Have an owner leave these shares, then delete the tenant.",
                shared.len()
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
        let under = format!("{slug}/");
        let uploads = self.uploads.keys_under(&under)?;
        let artifacts = self.artifacts.keys_under(&under)?;
        let applications = self.applications.keys_under(&under)?;
        let versions = self.versions.keys_under(&under)?;
        let deployments = self.deployments.keys_under(&under)?;
        let runs = self.runs.keys_under(&under)?;
        let trees = (
            &self.tenants.tree,
            &self.memberships.tree,
            &self.invitations.tree,
            &self.join_tokens.tree,
            &self.api_tokens.tree,
            &self.uploads.tree,
            &self.artifacts.tree,
            &self.applications.tree,
            &self.versions.tree,
            &self.deployments.tree,
            &self.runs.tree,
        );
        trees.transaction(|trees| {
            self.tenants.within(&trees.0).put(slug.as_str(), &tenant)?;
            for (keys, rows) in [
                (&members, &trees.1),
                (&invitations, &trees.2),
                (&join, &trees.3),
                (&api, &trees.4),
                (&uploads, &trees.5),
                (&artifacts, &trees.6),
                (&applications, &trees.7),
                (&versions, &trees.8),
                (&deployments, &trees.9),
                (&runs, &trees.10),
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

#[cfg(test)]
mod tests {
    use ecep_fleet::migration::authority::Holding;

    use super::*;
    use crate::store::{Account, Placement};

    /// Containers outlive a slip: a tenant that has one is not deleted, and afterwards its slug stays taken.
    #[tokio::test]
    async fn a_tenant_with_a_container_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let acme: TenantSlug = "acme".parse().unwrap();
        let row = Tenant { slug: acme.clone(), name: "Acme".to_owned(), created_at: 0, deleted_at: None };
        let maria = Account { admin: true, ..Account::maria() };
        store.add_first_account(&maria, &row).await.unwrap();
        let placement = Placement {
            tenant: acme.clone(),
            container: "c-1".parse().unwrap(),
            name: "web".parse().unwrap(),
            address: None,
            holding: Holding { holder: "edge".parse().unwrap(), generation: 1, moving: None },
            came_by: None,
            is_seen: true,
            since: 0,
            left: vec![],
        };
        store.put_placement(&placement).await.unwrap();
        let refused = store.delete_tenant(&acme, 1).await.unwrap_err().to_string();
        assert!(refused.contains("1 containers"), "{refused}");
        assert!(store.tenant(&acme).unwrap().is_some());
        store.remove_placement(&placement, 2).await.unwrap();
        assert!(store.delete_tenant(&acme, 3).await.unwrap());
        assert_eq!(store.role_in("maria", &acme).unwrap(), None);
        assert!(store.add_tenant(&row, "maria").await.is_err());
    }
}

//! Tenants.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Store, StoreError, Tenant, accounts::membership_key, tree::Transactional};

impl Store {
    /// Adds a tenant, owned by this account.
    ///
    /// # Errors
    /// `Conflict` if the slug is taken; else see [`StoreError`].
    pub async fn add_tenant(&self, tenant: &Tenant, owner: &str) -> Result<(), StoreError> {
        (&self.tenants.tree, &self.memberships.tree).transaction(|(tenants, members)| {
            self.tenants.within(tenants).add(tenant.slug.as_str(), tenant, || {
                format!("There is a tenant {} already.", tenant.slug)
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
        self.tenants.get(slug.as_str())
    }

    /// All tenants, by slug.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.tenants.rows()?.into_iter().map(|(_, tenant)| tenant).collect())
    }
}

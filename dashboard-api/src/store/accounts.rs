//! Accounts and their memberships. Every account has one e-mail address that no other has.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Account, Store, StoreError, Tenant, tree::Transactional};

impl Store {
    /// Whether nobody can log in yet.
    pub fn has_no_account(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Adds an account and its memberships.
    ///
    /// # Errors
    /// `Conflict` if the e-mail address is taken or a tenant does not exist; else see [`StoreError`].
    pub async fn add_account(
        &self,
        account: &Account,
        memberships: &[(TenantSlug, Role)],
    ) -> Result<(), StoreError> {
        let trees =
            (&self.accounts.tree, &self.account_of_email.tree, &self.memberships.tree, &self.tenants.tree);
        trees.transaction(|(accounts, emails, members, tenants)| {
            self.account_of_email.within(emails).add(&account.email, &account.id, || {
                format!("There is an account for {} already.", account.email)
            })?;
            self.accounts.within(accounts).add(&account.id, account, || "The id is taken.".to_owned())?;
            for (tenant, role) in memberships {
                if self.tenants.within(tenants).get(tenant.as_str())?.is_none() {
                    return Err(super::table::abort(StoreError::Conflict(format!(
                        "There is no tenant {tenant}; make it first."
                    ))));
                }
                self.memberships.within(members).put(&membership_key(&account.id, tenant), role)?;
            }
            Ok(())
        })?;
        self.flush().await
    }

    /// Adds the very first account with the first tenant, which it owns.
    ///
    /// # Errors
    /// `Conflict` if there is an account already; else see [`StoreError`].
    pub async fn add_first_account(&self, account: &Account, tenant: &Tenant) -> Result<(), StoreError> {
        let trees = (
            &self.accounts.tree,
            &self.account_of_email.tree,
            &self.memberships.tree,
            &self.tenants.tree,
            &self.meta.tree,
        );
        trees.transaction(|(accounts, emails, members, tenants, meta)| {
            self.meta
                .within(meta)
                .add(FIRST, &1, || "The first account exists already. Log in with it.".to_owned())?;
            self.account_of_email.within(emails).put(&account.email, &account.id)?;
            self.accounts.within(accounts).put(&account.id, account)?;
            self.tenants.within(tenants).put(tenant.slug.as_str(), tenant)?;
            self.memberships.within(members).put(&membership_key(&account.id, &tenant.slug), &Role::Owner)
        })?;
        self.flush().await
    }

    /// The account with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn account(&self, id: &str) -> Result<Option<Account>, StoreError> {
        self.accounts.get(id)
    }

    /// The account with this e-mail address, given in lower case.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn account_of_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        match self.account_of_email.get(email)? {
            Some(id) => self.accounts.get(&id),
            None => Ok(None),
        }
    }

    /// The account's role in this tenant.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn role_in(&self, account: &str, tenant: &TenantSlug) -> Result<Option<Role>, StoreError> {
        self.memberships.get(&membership_key(account, tenant))
    }

    /// The account's tenants and its role in each, by slug.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn memberships(&self, account: &str) -> Result<Vec<(Tenant, Role)>, StoreError> {
        let prefix = format!("{account}/");
        let mut found = Vec::new();
        for (key, role) in self.memberships.rows_under(&prefix)? {
            if let Some(tenant) = self.tenants.get(&key[prefix.len()..])? {
                found.push((tenant, role));
            }
        }
        Ok(found)
    }
}

/// Whoever adds this row makes the first account; it can be added once.
const FIRST: &str = "first_account";

/// Ids and slugs hold no `/`.
pub(super) fn membership_key(account: &str, tenant: &TenantSlug) -> String {
    format!("{account}/{tenant}")
}

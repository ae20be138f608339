//! Accounts and their memberships. Every account has one e-mail address that no other has.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Account, Store, StoreError, Tenant, tree::Transactional};
use crate::secret::SecretHash;

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
        {
            let _alone = self.alone();
            for (tenant, _) in memberships {
                self.check_room_for_member(tenant)?;
            }
            self.add_account_alone(account, memberships)?;
        }
        self.flush().await
    }

    fn add_account_alone(
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
                if self
                    .tenants
                    .within(tenants)
                    .get(tenant.as_str())?
                    .is_none_or(|tenant| tenant.deleted_at.is_some())
                {
                    return Err(super::table::abort(StoreError::Conflict(format!(
                        "There is no tenant {tenant}; make it first."
                    ))));
                }
                self.memberships.within(members).put(&membership_key(&account.id, tenant), role)?;
            }
            Ok(())
        })?;
        Ok(())
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

    /// At most `limit` accounts behind the id `after`, by id; and whether there are more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn accounts(&self, after: &str, limit: usize) -> Result<(Vec<Account>, bool), StoreError> {
        let (rows, more) = self.accounts.page(after, limit)?;
        Ok((rows.into_iter().map(|(_, account)| account).collect(), more))
    }

    /// Lets an account in again, or keeps it out, ends its logins and withdraws its invitations; whether there is one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_disabled(&self, id: &str, disabled: bool) -> Result<bool, StoreError> {
        let there = {
            let _alone = self.alone();
            let (mut ended, mut withdrawn) = (vec![], vec![]);
            if disabled {
                ended = self.sessions_but(id, None)?;
                withdrawn = self.invitations_made_by(id)?;
            }
            self.change_account(id, &ended, &withdrawn, |account| account.disabled = disabled)?
        };
        self.flush().await?;
        Ok(there)
    }

    /// Replaces the password of an account that is still as it was judged, and ends all its logins but one. Whether it
    /// was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_password(
        &self,
        judged: &Account,
        password_hash: &str,
        keep: Option<SecretHash>,
    ) -> Result<bool, StoreError> {
        let done = {
            let _alone = self.alone();
            let is_same = self.is_as_judged(judged)?;
            if is_same {
                let ended = self.sessions_but(&judged.id, keep)?;
                self.change_account(&judged.id, &ended, &[], |account| {
                    password_hash.clone_into(&mut account.password_hash);
                })?;
            }
            is_same
        };
        self.flush().await?;
        Ok(done)
    }

    /// Changes an account, ends these logins of it and withdraws these invitations, all or nothing; whether there is one.
    fn change_account(
        &self,
        id: &str,
        ended: &[String],
        withdrawn: &[String],
        change: impl Fn(&mut Account),
    ) -> Result<bool, StoreError> {
        let trees = (&self.accounts.tree, &self.sessions.tree, &self.invitations.tree);
        trees.transaction(|(accounts, sessions, invitations)| {
            let accounts = self.accounts.within(accounts);
            let Some(mut account) = accounts.get(id)? else { return Ok(false) };
            change(&mut account);
            accounts.put(id, &account)?;
            for key in ended {
                self.sessions.within(sessions).remove(key)?;
            }
            for id in withdrawn {
                self.invitations.within(invitations).remove(id)?;
            }
            Ok(true)
        })
    }

    /// Whether an account may still come in by the password that was found right.
    pub(super) fn is_as_judged(&self, judged: &Account) -> Result<bool, StoreError> {
        let now = self.accounts.get(&judged.id)?;
        Ok(now.is_some_and(|now| now.password_hash == judged.password_hash && !now.disabled))
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
            let tenant = self.tenants.get(&key[prefix.len()..])?;
            if let Some(tenant) = tenant.filter(|tenant| tenant.deleted_at.is_none()) {
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

//! The members of a tenant. A tenant keeps an owner who can log in.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Account, Store, StoreError, accounts::membership_key, tree::Transactional};

/// Members of one tenant. Policy: one more is refused.
const MAX_MEMBERS_OF_A_TENANT: usize = 1_000;

impl Store {
    /// The tenant's members, by account.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn members(&self, tenant: &TenantSlug) -> Result<Vec<(Account, Role)>, StoreError> {
        let mut members = Vec::new();
        for (account, role) in self.roles_in(tenant)? {
            if let Some(account) = self.accounts.get(&account)? {
                members.push((account, role));
            }
        }
        Ok(members)
    }

    /// Changes a member's role. Whoever is no owner any more has no invitations either. Gives whether it was another one;
    /// none if there is no such member.
    ///
    /// # Errors
    /// `Conflict` if it is the last owner; else see [`StoreError`].
    pub async fn change_role(
        &self,
        tenant: &TenantSlug,
        account: &str,
        role: Role,
    ) -> Result<Option<bool>, StoreError> {
        let changed = {
            let _alone = self.alone();
            let before = self.role_in(account, tenant)?;
            if let Some(before) = before.filter(|before| *before != role) {
                self.replace_membership(tenant, account, before, Some(role))?;
            }
            before.map(|before| before != role)
        };
        self.flush().await?;
        Ok(changed)
    }

    /// Removes a member, and with it its invitations; whether there was one.
    ///
    /// # Errors
    /// `Conflict` if it is the last owner; else see [`StoreError`].
    pub async fn remove_member(&self, tenant: &TenantSlug, account: &str) -> Result<bool, StoreError> {
        let was_there = {
            let _alone = self.alone();
            let before = self.role_in(account, tenant)?;
            if let Some(before) = before {
                self.replace_membership(tenant, account, before, None)?;
            }
            before.is_some()
        };
        self.flush().await?;
        Ok(was_there)
    }

    fn replace_membership(
        &self,
        tenant: &TenantSlug,
        account: &str,
        before: Role,
        after: Option<Role>,
    ) -> Result<(), StoreError> {
        if before == Role::Owner && !self.has_owner_besides(tenant, account)? {
            return Err(StoreError::Conflict(format!(
                "This is the last owner of {tenant}. Make somebody else an owner first."
            )));
        }
        let own: Vec<String> = self
            .invitations(tenant)?
            .into_iter()
            .filter(|invitation| invitation.made_by == account)
            .map(|invitation| invitation.id)
            .collect();
        (&self.memberships.tree, &self.invitations.tree).transaction(|(members, invitations)| {
            let (members, key) = (self.memberships.within(members), membership_key(account, tenant));
            match after {
                Some(role) => members.put(&key, &role)?,
                None => drop(members.remove(&key)?),
            }
            for id in &own {
                self.invitations.within(invitations).remove(id)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn has_owner_besides(&self, tenant: &TenantSlug, account: &str) -> Result<bool, StoreError> {
        let members = self.members(tenant)?;
        Ok(members.iter().any(|(other, role)| *role == Role::Owner && other.id != account && !other.disabled))
    }

    /// The accounts that belong to the tenant.
    pub(super) fn roles_in(&self, tenant: &TenantSlug) -> Result<Vec<(String, Role)>, StoreError> {
        let rows = self.memberships.rows()?.into_iter();
        Ok(rows
            .filter_map(|(key, role)| {
                let (account, slug) = key.split_once('/')?;
                (slug == tenant.as_str()).then(|| (account.to_owned(), role))
            })
            .collect())
    }

    /// Refuses whoever is no owner, or not any more: access may have ended since somebody was judged.
    pub(super) fn check_owner(&self, tenant: &TenantSlug, account: &str) -> Result<(), StoreError> {
        let is_enabled = self.accounts.get(account)?.is_some_and(|account| !account.disabled);
        if is_enabled && self.role_in(account, tenant)? == Some(Role::Owner) {
            return Ok(());
        }
        Err(StoreError::Conflict(format!("You are no owner of {tenant} any more. Ask one.")))
    }

    /// Refuses a member too many.
    pub(super) fn check_room_for_member(&self, tenant: &TenantSlug) -> Result<(), StoreError> {
        if self.roles_in(tenant)?.len() < MAX_MEMBERS_OF_A_TENANT {
            return Ok(());
        }
        Err(StoreError::Limit(format!(
            "The tenant {tenant} has {MAX_MEMBERS_OF_A_TENANT} members, which is the most. Remove some first."
        )))
    }
}

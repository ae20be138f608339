//! Invitations to a tenant. Each is for one e-mail address, and a tenant has a bounded number of them.

use ecep_proto::api::{name::TenantSlug, roles::Role};

use super::{Account, Invitation, Store, StoreError, accounts::membership_key, tree::Transactional};

/// Invitations of a tenant that wait. Policy: one more is refused; withdraw some first.
const MAX_INVITATIONS_OF_A_TENANT: usize = 100;

/// What became of an acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The account is a member now, in this role; the invitation is spent.
    Joined(Role),
    /// It was a member already and stays what it is; the invitation is spent.
    Member(Role),
    /// The invitation is no more, or the account has changed in the meantime.
    Gone,
}

impl Store {
    /// Adds an invitation, instead of any earlier one of the tenant for the same address.
    ///
    /// # Errors
    /// `Conflict` if a member has the address, or whoever makes it is no owner any more; `Limit` if the tenant has too many; else
    /// see [`StoreError`].
    pub async fn add_invitation(&self, invitation: &Invitation) -> Result<(), StoreError> {
        {
            let _alone = self.alone();
            self.check_tenant(&invitation.tenant)?;
            self.check_owner(&invitation.tenant, &invitation.made_by)?;
            if let Some(account) = self.account_of_email(&invitation.email)?
                && self.role_in(&account.id, &invitation.tenant)?.is_some()
            {
                return Err(StoreError::Conflict(format!(
                    "{} is a member of this tenant already. Change the role in the list of members instead.",
                    invitation.email
                )));
            }
            let (earlier, others): (Vec<_>, Vec<_>) = self
                .invitations(&invitation.tenant)?
                .into_iter()
                .partition(|other| other.email == invitation.email);
            if others.len() >= MAX_INVITATIONS_OF_A_TENANT {
                return Err(StoreError::Limit(format!(
                    "This tenant has {MAX_INVITATIONS_OF_A_TENANT} invitations that wait, which is the most. Withdraw some first."
                )));
            }
            self.invitations.tree.transaction(|tree| {
                let invitations = self.invitations.within(tree);
                for earlier in &earlier {
                    invitations.remove(&earlier.id)?;
                }
                invitations.put(&invitation.id, invitation)
            })?;
        }
        self.flush().await
    }

    /// The ids of the invitations that an account has made, to whatever tenants.
    pub(super) fn invitations_made_by(&self, account: &str) -> Result<Vec<String>, StoreError> {
        let all = self.invitations.rows()?.into_iter();
        Ok(all.filter(|(_, invitation)| invitation.made_by == account).map(|(id, _)| id).collect())
    }

    /// The tenant's invitations, by id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn invitations(&self, tenant: &TenantSlug) -> Result<Vec<Invitation>, StoreError> {
        let all = self.invitations.rows()?.into_iter().map(|(_, invitation)| invitation);
        Ok(all.filter(|invitation| invitation.tenant == *tenant).collect())
    }

    /// The invitation with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn invitation(&self, id: &str) -> Result<Option<Invitation>, StoreError> {
        self.invitations.get(id)
    }

    /// Withdraws the tenant's invitation of this id; whether there was one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_invitation(&self, tenant: &TenantSlug, id: &str) -> Result<bool, StoreError> {
        if self.invitations.get(id)?.is_none_or(|invitation| invitation.tenant != *tenant) {
            return Ok(false);
        }
        let was_there = self.invitations.remove(id)?;
        self.flush().await?;
        Ok(was_there)
    }

    /// Makes the account, which is still as it was judged, a member of the tenant.
    ///
    /// # Errors
    /// `Limit` if the tenant has too many members; else see [`StoreError`].
    pub async fn accept_invitation(
        &self,
        invitation: &Invitation,
        account: &Account,
    ) -> Result<Acceptance, StoreError> {
        let acceptance = {
            let _alone = self.alone();
            if self.is_as_judged(account)? { self.accept(invitation, account)? } else { Acceptance::Gone }
        };
        self.flush().await?;
        Ok(acceptance)
    }

    /// Makes an account for the invited address, and it a member of the tenant.
    ///
    /// # Errors
    /// `Conflict` if the e-mail address is taken; `Limit` if the tenant has too many members; else see [`StoreError`].
    pub async fn accept_invitation_anew(
        &self,
        invitation: &Invitation,
        account: &Account,
    ) -> Result<Acceptance, StoreError> {
        let acceptance = {
            let _alone = self.alone();
            self.check_room_for_member(&invitation.tenant)?;
            let trees = (
                &self.accounts.tree,
                &self.account_of_email.tree,
                &self.memberships.tree,
                &self.invitations.tree,
            );
            trees.transaction(|(accounts, emails, members, invitations)| {
                if !self.invitations.within(invitations).remove(&invitation.id)? {
                    return Ok(Acceptance::Gone);
                }
                self.account_of_email
                    .within(emails)
                    .add(&account.email, &account.id, || "The e-mail address is taken.".to_owned())?;
                self.accounts.within(accounts).add(&account.id, account, || "The id is taken.".to_owned())?;
                let key = membership_key(&account.id, &invitation.tenant);
                self.memberships.within(members).put(&key, &invitation.role)?;
                Ok(Acceptance::Joined(invitation.role))
            })?
        };
        self.flush().await?;
        Ok(acceptance)
    }

    fn accept(&self, invitation: &Invitation, account: &Account) -> Result<Acceptance, StoreError> {
        self.check_room_for_member(&invitation.tenant)?;
        let acceptance =
            (&self.memberships.tree, &self.invitations.tree).transaction(|(members, invitations)| {
                if !self.invitations.within(invitations).remove(&invitation.id)? {
                    return Ok(Acceptance::Gone);
                }
                let (members, key) =
                    (self.memberships.within(members), membership_key(&account.id, &invitation.tenant));
                if let Some(role) = members.get(&key)? {
                    return Ok(Acceptance::Member(role));
                }
                members.put(&key, &invitation.role)?;
                Ok(Acceptance::Joined(invitation.role))
            })?;
        Ok(acceptance)
    }
}

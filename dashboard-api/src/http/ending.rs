//! How access ends: at once, also where it is used at that moment.

use ecep_proto::api::{name::TenantSlug, realm};

use super::{App, Refusal};
use crate::{secret::SecretHash, store::Session};

impl App {
    /// Ends a login, and with it whatever its person has open at the router or at a device. Other browsers of theirs join again by
    /// themselves, with their own logins.
    pub(super) async fn end_login(&self, cookie: SecretHash) -> Result<(), Refusal> {
        let session = self.control.store.session(cookie)?;
        self.control.store.close_session(cookie).await?;
        if let Some(Session { account, .. }) = session {
            self.end_account(&account, "This login has ended.");
        }
        Ok(())
    }

    /// Ends whatever an account has open at the router. The sentence is for whoever is behind it.
    pub(super) fn end_account(&self, account: &str, reason: &str) {
        self.control.tickets().revoke(account);
        self.control.viewers.end(account, None, reason);
        self.uplink.end_sessions(account.to_owned(), None, reason);
    }

    /// Ends whatever an account or an API token has open in the realm of one tenant.
    pub(super) fn end_in_tenant(&self, authid: &str, tenant: &TenantSlug, reason: &str) {
        self.control.tickets().revoke(authid);
        self.control.viewers.end(authid, Some(tenant), reason);
        self.uplink.end_sessions(authid.to_owned(), Some(realm::of_tenant(tenant)), reason);
    }
}

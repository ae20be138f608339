//! A right that is used for long: looked at again while a log is read along or a terminal is open.

use std::sync::Arc;

use ecep_proto::api::{
    name::{DeviceId, TenantSlug},
    roles::Role,
};

use super::{App, Refusal, endpoints::Access, request::Request};
use crate::{
    clock::unix_ms,
    fleet_view::shares::tenants,
    secret::SecretHash,
    viewers::{View, Viewer},
};

/// By whom, for what, to which device.
pub(super) struct Right {
    app: Arc<App>,
    who: Who,
    access: Access,
    pub(super) tenant: TenantSlug,
    pub(super) device: DeviceId,
}

enum Who {
    /// An account, by the login of this cookie.
    Person { account: String, cookie: SecretHash },
    /// An API token.
    Token(String),
}

impl Right {
    /// The right by which a judged request reaches the device of its path, its second parameter.
    ///
    /// # Errors
    /// 404 where the tenant has no share in such a device.
    pub(super) fn of(request: &Request, access: Access) -> Result<Self, Refusal> {
        let no_device = || Refusal::not_found("This tenant has no such device. It may have been removed.");
        let tenant = request.tenant()?.clone();
        let device: DeviceId =
            request.parameters.get(1).and_then(|id| id.parse().ok()).ok_or_else(no_device)?;
        let who = match request.token_id() {
            Some(token) => Who::Token(token.to_owned()),
            None => {
                let person = request.person()?;
                Who::Person { account: person.account.id.clone(), cookie: person.cookie }
            }
        };
        let right = Self { app: Arc::clone(&request.app), who, access, tenant, device };
        if right.is_shared()? { Ok(right) } else { Err(no_device()) }
    }

    /// The id of the account or the token.
    pub(super) fn authid(&self) -> &str {
        match &self.who {
            Who::Person { account, .. } => account,
            Who::Token(token) => token,
        }
    }

    /// Counts it among those that look.
    ///
    /// # Errors
    /// 429.
    pub(super) fn enter(&self, view: View) -> Result<Viewer, Refusal> {
        let viewers = &self.app.control.viewers;
        viewers.enter(&self.tenant, self.authid(), view).map_err(|most| {
            let text = format!("{most} of them are open in this tenant already. Close one.");
            Refusal::new(
                warp::http::StatusCode::TOO_MANY_REQUESTS,
                ecep_proto::api::error::ErrorKind::Limit,
                text,
            )
        })
    }

    fn is_shared(&self) -> Result<bool, Refusal> {
        let row = self.app.control.store.device(&self.device)?;
        Ok(row.is_some_and(|row| tenants(&row).any(|tenant| *tenant == self.tenant)))
    }

    /// Whether it holds now. Where that cannot be told it does not.
    pub(super) fn holds(&self) -> bool {
        self.is_good().unwrap_or(false)
    }

    fn is_good(&self) -> Result<bool, Refusal> {
        let Access::Tenant { members, tokens } = self.access else { return Ok(false) };
        let (store, now) = (&self.app.control.store, unix_ms());
        let role: Option<Role> = match &self.who {
            Who::Person { account, cookie } => {
                let is_in = store
                    .session(*cookie)?
                    .is_some_and(|session| session.expires_at > now && session.account == *account);
                let is_enabled = store.account(account)?.is_some_and(|account| !account.disabled);
                let role = store.role_in(account, &self.tenant)?;
                role.filter(|role| is_in && is_enabled && members.contains(role))
            }
            Who::Token(id) => {
                let token = store.api_token(id)?;
                let token = token.filter(|token| token.expires_at > now && token.tenant == self.tenant);
                token.map(|token| token.role).filter(|role| tokens.contains(role))
            }
        };
        Ok(role.is_some() && self.is_shared()?)
    }
}

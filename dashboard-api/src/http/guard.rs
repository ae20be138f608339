//! Who is asking, and whether it is really them and not another site in their browser.

use ecep_proto::api::{
    http::CSRF_HEADER,
    name::TenantSlug,
    roles::Role,
};
use warp::http::{Method, header};

use super::{Refusal, cookie, endpoints::Access, record::Asker, request::Request};
use crate::{clock::unix_ms, secret::SecretHash, store::Account};

/// Somebody who is logged in.
pub(super) struct LoggedIn {
    pub(super) account: Account,
    pub(super) expires_at: u64,
}

/// Who asks, as the guard found.
#[derive(Default)]
pub(super) struct Caller {
    person: Option<LoggedIn>,
    tenant: Option<TenantSlug>,
}

impl Request {
    /// Whether browsers reach us over TLS.
    pub(super) fn secure(&self) -> bool {
        self.app.control.config.public_url.as_ref().is_some_and(|url| url.is_https())
    }

    /// The hash of the session cookie, if one was sent.
    pub(super) fn cookie(&self) -> Option<SecretHash> {
        cookie::find(&self.headers, self.secure()).map(SecretHash::of)
    }

    /// Refuses changes that another site may have sent by this browser. Such a site can neither set our header nor
    /// read our cookie, and the browser tells on it in `Origin`.
    ///
    /// # Errors
    /// 403.
    fn check_same_site(&self) -> Result<(), Refusal> {
        if self.method == Method::GET || self.method == Method::HEAD {
            return Ok(());
        }
        if let Some(origin) = self.headers.get(header::ORIGIN)
            && !self.is_own_origin(origin.to_str().unwrap_or_default())
        {
            return Err(Refusal::forbidden(
                "The request comes from another site. Use the dashboard's own address; behind a proxy, start the control plane with --public-url.",
            ));
        }
        let has_header = self.headers.get(CSRF_HEADER).is_some_and(|value| value == "1");
        if self.cookie().is_some() && !has_header {
            return Err(Refusal::forbidden(format!(
                "A change by a logged-in browser must carry the header {CSRF_HEADER}: 1."
            )));
        }
        Ok(())
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        if self.app.control.config.public_url.as_ref().is_some_and(|url| url.origin() == origin) {
            return true;
        }
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        match (host, self.text_header(&header::HOST)) {
            (Some(origin), Some(host)) => origin.eq_ignore_ascii_case(host),
            _ => false,
        }
    }

    /// Judges whether whoever asks may, and remembers who it is.
    ///
    /// # Errors
    /// 401; 403; 404 for a tenant that does not exist or is not theirs, which look the same.
    pub(super) fn judge(&mut self, access: Access) -> Result<(), Refusal> {
        self.caller = match access {
            Access::Device => Caller::default(),
            Access::Anyone => {
                self.check_same_site()?;
                Caller::default()
            }
            Access::Person => Caller { person: Some(self.logged_in()?), tenant: None },
            Access::Administrator => {
                let person = self.logged_in()?;
                if !person.account.admin {
                    return Err(Refusal::forbidden("Only an administrator may do this. Ask one."));
                }
                Caller { person: Some(person), tenant: None }
            }
            Access::Tenant { members, tokens: _ } => {
                let person = self.logged_in()?;
                let tenant = self.tenant_of(&person.account, members)?;
                Caller { person: Some(person), tenant: Some(tenant) }
            }
        };
        Ok(())
    }

    /// Who is logged in; checks changes for their origin too.
    fn logged_in(&self) -> Result<LoggedIn, Refusal> {
        self.check_same_site()?;
        let cookie = self.cookie().ok_or_else(Refusal::unauthenticated)?;
        let store = &self.app.control.store;
        let session = store.session(cookie)?.filter(|session| session.expires_at > unix_ms());
        let session = session.ok_or_else(Refusal::unauthenticated)?;
        let account = store.account(&session.account)?.ok_or_else(Refusal::unauthenticated)?;
        Ok(LoggedIn { account, expires_at: session.expires_at })
    }

    /// The tenant of the path, in which this account must have one of these roles.
    fn tenant_of(&self, account: &Account, roles: &[Role]) -> Result<TenantSlug, Refusal> {
        let none = || Refusal::not_found("You belong to no such tenant. Check the slug, or ask its owner.");
        let slug = self.parameters.first().map_or("", String::as_str);
        let tenant: TenantSlug = slug.parse().map_err(|_| none())?;
        let role = self.app.control.store.role_in(&account.id, &tenant)?.ok_or_else(none)?;
        if !roles.contains(&role) {
            return Err(Refusal::forbidden(format!(
                "Only an owner of {tenant} may do this; your role there is {}. Ask an owner.",
                role.as_str()
            )));
        }
        Ok(tenant)
    }

    /// Who asks, for the audit: also somebody who may not do what they ask for.
    pub(super) fn asker(&self) -> Asker {
        let (Ok(person), Some(cookie)) = (self.logged_in(), self.cookie()) else { return Asker::nobody() };
        let store = &self.app.control.store;
        let tenant = self.parameters.first().and_then(|slug| slug.parse().ok());
        let tenant = tenant.filter(|slug| store.role_in(&person.account.id, slug).is_ok_and(|role| role.is_some()));
        Asker { tenant, ..Asker::logged_in(&person.account.id, cookie) }
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// 401 if the endpoint is not for people.
    pub(super) fn person(&self) -> Result<&LoggedIn, Refusal> {
        self.caller.person.as_ref().ok_or_else(Refusal::unauthenticated)
    }

    /// The tenant of the path, whose member or token it is.
    ///
    /// # Errors
    /// 401 if the endpoint is no tenant's.
    pub(super) fn tenant(&self) -> Result<&TenantSlug, Refusal> {
        self.caller.tenant.as_ref().ok_or_else(Refusal::unauthenticated)
    }
}

//! Who is asking, and whether it is really them and not another site in their browser.

use ecep_proto::api::{http::CSRF_HEADER, name::TenantSlug, roles::Role};
use warp::http::{Method, header};

use super::{Refusal, cookie, request::Request};
use crate::{clock::unix_ms, secret::SecretHash, store::Account};

/// Somebody who is logged in.
pub(super) struct LoggedIn {
    pub(super) account: Account,
    pub(super) expires_at: u64,
}

impl Request {
    /// Whether browsers reach us over TLS.
    pub(super) fn secure(&self) -> bool {
        self.app.control.config.is_secure()
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
    pub(super) fn check_same_site(&self) -> Result<(), Refusal> {
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

    /// Who is logged in; checks changes for their origin too.
    ///
    /// # Errors
    /// 401 or 403.
    pub(super) fn logged_in(&self) -> Result<LoggedIn, Refusal> {
        self.check_same_site()?;
        let cookie = self.cookie().ok_or_else(Refusal::unauthenticated)?;
        let store = &self.app.control.store;
        let session = store.session(cookie)?.filter(|session| session.expires_at > unix_ms());
        let session = session.ok_or_else(Refusal::unauthenticated)?;
        let account = store.account(&session.account)?.ok_or_else(Refusal::unauthenticated)?;
        Ok(LoggedIn { account, expires_at: session.expires_at })
    }

    /// The account of an administrator.
    ///
    /// # Errors
    /// 401 or 403.
    pub(super) fn admin(&self) -> Result<Account, Refusal> {
        let account = self.logged_in()?.account;
        if account.admin {
            return Ok(account);
        }
        Err(Refusal::forbidden("Only an administrator may do this. Ask one."))
    }

    /// The tenant of this slug, which whoever is logged in owns.
    ///
    /// # Errors
    /// 401; 404 for a tenant that does not exist or is not theirs, which look the same; 403 for other roles.
    pub(super) fn owner_of(&self, slug: &str) -> Result<TenantSlug, Refusal> {
        let account = self.logged_in()?.account;
        let none = || Refusal::not_found("You belong to no such tenant. Check the slug, or ask its owner.");
        let tenant: TenantSlug = slug.parse().map_err(|_| none())?;
        match self.app.control.store.role_in(&account.id, &tenant)? {
            Some(Role::Owner) => Ok(tenant),
            Some(role) => Err(Refusal::forbidden(format!(
                "Only an owner of {tenant} may do this; your role there is {}. Ask an owner.",
                role.as_str()
            ))),
            None => Err(none()),
        }
    }
}

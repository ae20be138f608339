//! Who is asking, and whether it is really them and not another site in their browser.

use ecep_proto::api::{
    audit::{Actor, ActorKind, Via, ViaKind},
    http::CSRF_HEADER,
    name::TenantSlug,
    roles::Role,
};
use warp::http::{Method, header};

use super::{Refusal, cookie::Cookie, endpoints::Access, record::Asker, request::Request};
use crate::{
    clock::unix_ms,
    secret::SecretHash,
    store::{Account, ApiToken},
};

/// Somebody who is logged in.
pub(super) struct LoggedIn {
    pub(super) account: Account,
    /// The hash of the session cookie.
    pub(super) cookie: SecretHash,
    pub(super) expires_at: u64,
}

/// Who asks, as the guard found.
#[derive(Default)]
pub(super) struct Caller {
    person: Option<LoggedIn>,
    /// The tenant of the path, and the role there.
    tenant: Option<(TenantSlug, Role)>,
    /// The id of the API token, if one asks.
    token: Option<String>,
}

impl Request {
    /// Whether browsers reach us over TLS.
    pub(super) fn secure(&self) -> bool {
        self.app.control.config.is_secure()
    }

    /// The hash of the session cookie, if one was sent.
    pub(super) fn cookie(&self) -> Option<SecretHash> {
        Cookie::Session.find(&self.headers, self.secure()).map(SecretHash::of)
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

    /// Refuses a WebSocket that another site has opened by this browser. A browser always tells the origin; a program with a token
    /// need not.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check_own_origin(&self) -> Result<(), Refusal> {
        let is_own = match self.headers.get(header::ORIGIN) {
            Some(origin) => self.is_own_origin(origin.to_str().unwrap_or_default()),
            None => self.caller.token.is_some(),
        };
        if is_own {
            return Ok(());
        }
        Err(Refusal::forbidden(
            "The WebSocket comes from another site. Use the dashboard's own address; behind a proxy, start the control plane with --public-url.",
        ))
    }

    /// The id of the API token that asks, if one does.
    pub(super) fn token_id(&self) -> Option<&str> {
        self.caller.token.as_deref()
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
        self.judged_by = Some(access);
        self.caller = match access {
            Access::Device => Caller::default(),
            Access::Anyone => {
                self.check_same_site()?;
                Caller::default()
            }
            _ if self.bearer().is_some() => self.judge_token(access)?,
            Access::Person => Caller { person: Some(self.logged_in()?), ..Caller::default() },
            Access::Administrator => {
                let person = self.logged_in()?;
                if !person.account.admin {
                    return Err(Refusal::forbidden("Only an administrator may do this. Ask one."));
                }
                Caller { person: Some(person), ..Caller::default() }
            }
            Access::Tenant { members, tokens: _ } => {
                let person = self.logged_in()?;
                let tenant = self.tenant_of_path().ok_or_else(no_tenant)?;
                let role = self.app.control.store.role_in(&person.account.id, &tenant)?;
                let role = role.ok_or_else(no_tenant)?;
                check_role(role, members)?;
                Caller { person: Some(person), tenant: Some((tenant, role)), token: None }
            }
        };
        Ok(())
    }

    /// Judges anew after a wait, in which access may have ended.
    ///
    /// # Errors
    /// As [`Request::judge`].
    pub(super) fn judge_again(&mut self) -> Result<(), Refusal> {
        self.judged_by.map_or(Ok(()), |access| self.judge(access))
    }

    /// Judges an API token. Cookies are ignored beside one, and since no browser sends one by itself, other sites need not
    /// be guarded against.
    fn judge_token(&self, access: Access) -> Result<Caller, Refusal> {
        let now = unix_ms();
        let token = self.token(now)?.ok_or_else(Refusal::bad_token)?;
        let Access::Tenant { tokens, .. } = access else {
            return Err(not_for_tokens());
        };
        self.app.control.store.note_token_use(&token, now, &self.peer.to_string())?;
        if self.tenant_of_path().as_ref() != Some(&token.tenant) {
            return Err(no_tenant());
        }
        if tokens.is_empty() {
            return Err(not_for_tokens());
        }
        check_role(token.role, tokens)?;
        Ok(Caller { person: None, tenant: Some((token.tenant, token.role)), token: Some(token.id) })
    }

    /// What stands behind `Bearer` in `Authorization`. Other schemes are a proxy's matter.
    fn bearer(&self) -> Option<&str> {
        let text = self.text_header(&header::AUTHORIZATION)?;
        let (scheme, value) = text.split_once(' ').unwrap_or((text, ""));
        scheme.eq_ignore_ascii_case("bearer").then(|| value.trim())
    }

    /// The API token that the request carries as `Bearer <id>.<secret>`, if it is a good one.
    fn token(&self, now: u64) -> Result<Option<ApiToken>, Refusal> {
        let Some((id, secret)) = self.bearer().and_then(|value| value.split_once('.')) else {
            return Ok(None);
        };
        let token = self.app.control.store.api_token(id)?;
        Ok(token.filter(|token| token.secret.matches(secret) && token.expires_at > now))
    }

    /// Who is logged in; checks changes for their origin too.
    ///
    /// # Errors
    /// 401 or 403.
    pub(super) fn logged_in(&self) -> Result<LoggedIn, Refusal> {
        self.check_same_site()?;
        let cookie = self.cookie().ok_or_else(Refusal::unauthenticated)?;
        let (store, now) = (&self.app.control.store, unix_ms());
        let session = store.session(cookie)?.filter(|session| session.expires_at > now);
        let session = session.ok_or_else(Refusal::unauthenticated)?;
        let account = store.account(&session.account)?.filter(|account| !account.disabled);
        let account = account.ok_or_else(Refusal::unauthenticated)?;
        store.note_session_use(cookie, &session, now)?;
        Ok(LoggedIn { account, cookie, expires_at: session.expires_at })
    }

    fn tenant_of_path(&self) -> Option<TenantSlug> {
        self.parameters.first()?.parse().ok()
    }

    /// Who asks, for the audit: also somebody who may not do what they ask for.
    pub(super) fn asker(&self, access: Access) -> Asker {
        let store = &self.app.control.store;
        // What administrators do to a tenant concerns the installation.
        let tenant = self.tenant_of_path().filter(|_| matches!(access, Access::Tenant { .. }));
        // As in `judge`: another header beside the cookie must not make its sender nobody.
        if self.bearer().is_some() {
            let Ok(Some(token)) = self.token(unix_ms()) else { return Asker::nobody() };
            return Asker {
                actor: Actor { authid: token.id.clone(), kind: ActorKind::Token },
                via: Some(Via { kind: ViaKind::Token, id: token.id }),
                tenant: tenant.filter(|tenant| *tenant == token.tenant),
            };
        }
        let Ok(person) = self.logged_in() else { return Asker::nobody() };
        let is_member =
            |tenant: &TenantSlug| store.role_in(&person.account.id, tenant).is_ok_and(|role| role.is_some());
        let tenant = tenant.filter(is_member);
        Asker { tenant, ..Asker::logged_in(&person.account.id, person.cookie) }
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// 401 if the endpoint is not for people, or an API token asks.
    pub(super) fn person(&self) -> Result<&LoggedIn, Refusal> {
        self.caller.person.as_ref().ok_or_else(Refusal::unauthenticated)
    }

    /// The tenant of the path, whose member or API token asks.
    ///
    /// # Errors
    /// 401 if the endpoint is no tenant's.
    pub(super) fn tenant(&self) -> Result<&TenantSlug, Refusal> {
        self.caller.tenant.as_ref().map(|(tenant, _)| tenant).ok_or_else(Refusal::unauthenticated)
    }

    /// The role there.
    ///
    /// # Errors
    /// 401 if the endpoint is no tenant's.
    pub(super) fn role(&self) -> Result<Role, Refusal> {
        self.caller.tenant.as_ref().map(|(_, role)| *role).ok_or_else(Refusal::unauthenticated)
    }
}

fn check_role(role: Role, allowed: &[Role]) -> Result<(), Refusal> {
    if allowed.contains(&role) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(|role| role.as_str()).collect();
    Err(Refusal::forbidden(format!(
        "This needs the role {} in the tenant, and yours is {}. Ask an owner.",
        allowed.join(" or "),
        role.as_str()
    )))
}

fn no_tenant() -> Refusal {
    Refusal::not_found("You belong to no such tenant. Check the slug, or ask its owner.")
}

fn not_for_tokens() -> Refusal {
    Refusal::forbidden("An API token cannot do this. A person has to, who is logged in.")
}

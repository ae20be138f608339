//! What a browser would ask the control plane over HTTP: first run, login, tokens.

use std::time::Duration;

use anyhow::{Context, Result};
use ecep_proto::api::http::{
    CSRF_HEADER, CreatedToken, LoginRequest, NewApiToken, NewJoinToken, NewTenant, Problem, SessionView,
    SetupRequest, TicketReply, TicketRequest,
};
use ecep_proto::api::name::TenantSlug;
use ecep_proto::api::roles::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Nothing that is asked takes long; hashing a password on a busy machine takes longest.
const LIMIT: Duration = Duration::from_secs(30);

/// A refusal, as the control plane worded it.
#[derive(Debug)]
pub struct Refused(pub Problem);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.0.status, self.0.kind, self.0.detail)
    }
}

impl std::error::Error for Refused {}

/// A plain HTTP client: no proxy, every status is an answer.
pub fn http_client(limit: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(limit))
        .proxy(None)
        .build()
        .into()
}

/// The control plane, and perhaps a login there.
#[derive(Debug, Clone)]
pub struct Cloud {
    url: String,
    http: ureq::Agent,
    cookie: Option<String>,
}

impl Cloud {
    /// The control plane at that address, such as `http://127.0.0.1:8080`; nobody is logged in.
    pub fn at(url: &str) -> Self {
        Self { url: url.into(), http: http_client(LIMIT), cookie: None }
    }

    /// The same login at another address of the control plane, for requests that take up to `limit`.
    pub fn reached_at(&self, url: &str, limit: Duration) -> Self {
        Self { url: url.into(), http: http_client(limit), cookie: self.cookie.clone() }
    }

    /// Its client.
    pub(super) fn http(&self) -> &ureq::Agent {
        &self.http
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The login's cookie, as a browser sends it.
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.get::<Value>("/healthz").is_ok()
    }

    /// Whether it answers and serves the router's realms.
    pub fn is_joined(&self) -> bool {
        self.get::<Value>("/healthz").is_ok_and(|health| health["router"] == "joined")
    }

    /// Makes the first account and tenant.
    ///
    /// # Errors
    /// [`Refused`], or it is out of reach; so for all that follow.
    pub fn set_up(&self, request: &SetupRequest) -> Result<()> {
        self.post::<_, Value>("/api/setup", request).map(drop)
    }

    /// Logs in.
    pub fn log_in(&mut self, email: &str, password: &str) -> Result<SessionView> {
        let request = LoginRequest { email: email.into(), password: password.into() };
        let response = self.http.post(format!("{}/api/login", self.url)).send_json(request)?;
        let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|text| text.split(';').next()).map(str::to_owned);
        let view = answer(response)?;
        self.cookie = Some(cookie.context("the login set no cookie")?);
        Ok(view)
    }

    /// Who is logged in.
    pub fn session(&self) -> Result<SessionView> {
        self.get("/api/session")
    }

    /// Makes a tenant, owned by who is logged in.
    pub fn make_tenant(&self, slug: &TenantSlug, name: &str) -> Result<()> {
        let request = NewTenant { slug: slug.clone(), name: name.into() };
        self.post::<_, Value>("/api/tenants", &request).map(drop)
    }

    /// Makes a join token.
    pub fn make_join_token(&self, tenant: &TenantSlug, uses: u32, valid: Duration) -> Result<CreatedToken> {
        let request = NewJoinToken { uses, valid_seconds: valid.as_secs(), device: None };
        self.post(&format!("/api/tenants/{tenant}/join-tokens"), &request)
    }

    /// Makes an API token.
    pub fn make_api_token(
        &self,
        tenant: &TenantSlug,
        name: &str,
        role: Role,
        valid: Duration,
    ) -> Result<CreatedToken> {
        let request = NewApiToken { name: name.into(), role, valid_seconds: valid.as_secs() };
        self.post(&format!("/api/tenants/{tenant}/api-tokens"), &request)
    }

    /// Asks for a ticket to the tenant's realm, as the browser does.
    pub fn wamp_ticket(&self, tenant: &TenantSlug) -> Result<TicketReply> {
        self.post("/api/wamp-ticket", &TicketRequest { tenant: tenant.clone() })
    }

    /// Writes what is at a path to `to`, as it comes; answers how many bytes that were.
    ///
    /// # Errors
    /// Also if `to` takes no more.
    pub fn download(&self, path: &str, to: &mut impl std::io::Write) -> Result<u64> {
        let cookie = self.cookie.as_ref().context("nobody is logged in")?;
        let mut response = self.http.get(format!("{}{path}", self.url)).header("cookie", cookie).call()?;
        if !response.status().is_success() {
            return answer::<Value>(response).map(|_| 0);
        }
        Ok(std::io::copy(&mut response.body_mut().as_reader(), to)?)
    }

    fn get<R: DeserializeOwned>(&self, path: &str) -> Result<R> {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        answer(request.call()?)
    }

    fn post<B: Serialize, R: DeserializeOwned>(&self, path: &str, body: &B) -> Result<R> {
        let mut request = self.http.post(format!("{}{path}", self.url)).header(CSRF_HEADER, "1");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        answer(request.send_json(body)?)
    }
}

/// The body of a good answer (`null` where there is none), or the refusal.
pub(super) fn answer<R: DeserializeOwned>(mut response: ureq::http::Response<ureq::Body>) -> Result<R> {
    let status = response.status();
    let body = response.body_mut().read_to_string().context("the answer broke off")?;
    if !status.is_success() {
        let problem = serde_json::from_str(&body)
            .with_context(|| format!("the control plane answered {status} without a reason: {body}"))?;
        return Err(Refused(problem).into());
    }
    let body = if body.is_empty() { "null" } else { &body };
    serde_json::from_str(body)
        .with_context(|| format!("the control plane's answer is not as expected: {body}"))
}

//! A tenant's figures for Prometheus, for people of the tenant and for programs with an API token of it.

use ecep_proto::api::{error::ErrorKind, name::TenantSlug, roles::Role};
use warp::http::{Method, StatusCode, header};

use super::{Answer, Refusal, request::Request};
use crate::{clock::unix_ms, metrics::page_of};

/// The scheme of the header for a token (RFC 6750, section 2.1).
const BEARER: &str = "Bearer";

/// `GET` answers the page.
pub(super) async fn tenant_metrics(slug: String, request: Request) -> Answer {
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::method("GET, HEAD"));
    }
    let tenant = request.reader_of(&slug)?;
    Ok(page_of(request.app.control.telemetry_of(&tenant)))
}

impl Request {
    /// The tenant of this slug, whose figures whoever asks may read: in any role, by login or by API token.
    ///
    /// # Errors
    /// 401; 404 for a tenant that does not exist or is not theirs, which look the same.
    fn reader_of(&self, slug: &str) -> Result<TenantSlug, Refusal> {
        let none = || Refusal::not_found("You belong to no such tenant. Check the slug, or ask its owner.");
        let store = &self.app.control.store;
        if let Some(token) = self.bearer()? {
            return slug.parse().ok().filter(|slug| *slug == token).ok_or_else(none);
        }
        let account = self.logged_in()?.account;
        let tenant: TenantSlug = slug.parse().map_err(|_| none())?;
        store.role_in(&account.id, &tenant)?.map(|_| tenant).ok_or_else(none)
    }

    /// The tenant of the API token in `Authorization: Bearer <id>.<secret>`; `None` without such a header. A token is
    /// no cookie that another site could make a browser send, so nothing else is asked for.
    ///
    /// # Errors
    /// 401 for a token that is not good.
    fn bearer(&self) -> Result<Option<TenantSlug>, Refusal> {
        let header = self.text_header(&header::AUTHORIZATION).and_then(|text| text.split_once(' '));
        let Some((_, text)) = header.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER)) else {
            return Ok(None);
        };
        let refused = || {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                ErrorKind::Forbidden,
                "This API token is not good: it is wrong, has ended, or was revoked. Send Authorization: Bearer ID.SECRET.",
            )
        };
        let (id, secret) = text.trim().split_once('.').ok_or_else(refused)?;
        let token = self.app.control.store.api_token(id)?;
        let token = token.filter(|token| token.secret.matches(secret) && token.expires_at > unix_ms());
        let token = token.ok_or_else(refused)?;
        let may_read = matches!(token.role, Role::Owner | Role::Operator | Role::Viewer | Role::Telemetry);
        if may_read { Ok(Some(token.tenant)) } else { Err(refused()) }
    }
}

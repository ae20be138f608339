//! Who is logged in, the ticket for the router, and whether all is well.

use std::sync::LazyLock;

use ecep_proto::api::{
    http::{Health, Membership, SessionView, TicketReply, TicketRequest},
    realm,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, guard::LoggedIn, request::Request};
use crate::store;

/// Answers a [`SessionView`].
pub(super) async fn session(request: Request) -> Answer {
    Ok(warp::reply::json(&view(&request, request.person()?)?).into_response())
}

/// Answers a [`TicketReply`] for a tenant.
pub(super) async fn wamp_ticket(mut request: Request) -> Answer {
    let wanted: TicketRequest = request.json().await?;
    let (LoggedIn { account, cookie, expires_at }, control) = (request.person()?, &request.app.control);
    let Some(role) = control.store.role_in(&account.id, &wanted.tenant)? else {
        return Err(Refusal::forbidden(format!(
            "You belong to no tenant {}. Check the slug, or ask its owner.",
            wanted.tenant
        )));
    };
    let ticket = control.issue_browser_ticket(&account.id, &wanted.tenant, role, (*cookie, *expires_at))?;
    let wamp_url = control.config.wamp_url.as_str().to_owned();
    let (realm, authid) = (realm::of_tenant(&wanted.tenant), account.id.clone());
    Ok(warp::reply::json(&TicketReply { wamp_url, realm, authid, ticket }).into_response())
}

/// This API, described.
pub(super) async fn openapi(_: Request) -> Answer {
    // It is the same for ever, and takes some milliseconds to make: anybody may ask for it.
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| crate::openapi::document().to_string());
    Ok(warp::reply::with_header(DOCUMENT.as_str(), "content-type", "application/json").into_response())
}

/// It runs; `joined` once it serves the control realm and every tenant's; and whether the store takes changes. 503 if only
/// a new start makes it take some again.
pub(super) async fn health(request: Request) -> Answer {
    let (status, store) = match request.app.control.store.health() {
        store::Health::Good => (StatusCode::OK, "good"),
        store::Health::Full => (StatusCode::OK, "the disk is full: changes are refused until there is room"),
        store::Health::Failed(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "a write failed: changes are refused until the control plane is started again",
        ),
    };
    let router = if request.app.uplink.is_joined() { "joined" } else { "connecting" };
    let health = Health {
        ok: status == StatusCode::OK,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        router: router.to_owned(),
        store: store.to_owned(),
    };
    Ok(warp::reply::with_status(warp::reply::json(&health), status).into_response())
}

/// What somebody who is logged in is told about it.
pub(super) fn view(request: &Request, logged_in: &LoggedIn) -> Result<SessionView, Refusal> {
    let memberships = request.app.control.store.memberships(&logged_in.account.id)?;
    let memberships = memberships
        .into_iter()
        .map(|(tenant, role)| Membership { tenant: tenant.slug, tenant_name: tenant.name, role })
        .collect();
    Ok(SessionView {
        email: logged_in.account.email.clone(),
        admin: logged_in.account.admin,
        memberships,
        expires_at: logged_in.expires_at,
    })
}

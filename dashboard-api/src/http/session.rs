//! Logging in and out, who is logged in, and the ticket for the router.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    http::{LoginRequest, Membership, SessionView, TicketReply, TicketRequest},
    realm,
};
use warp::{
    http::{HeaderValue, StatusCode, header},
    reply::{Reply, Response},
};

use super::{Answer, App, Refusal, cookie, guard::LoggedIn, record::Asker, request::Request};
use crate::{
    clock::unix_ms,
    naming::normal_email,
    secret::{SecretHash, random_secret},
    store::Session,
    tickets::BROWSER_TICKET_MS,
};

/// Logs in by an e-mail address and a password; answers a [`SessionView`] and sets the cookie. Unknown addresses
/// and wrong passwords get the same answer after the same time.
pub(super) async fn login(mut request: Request) -> Answer {
    let wanted: LoginRequest = request.json().await?;
    let control = &request.app.control;
    let email = normal_email(&wanted.email);
    control.limits.check(request.peer, &email).map_err(Refusal::too_often)?;
    let account = control.store.account_of_email(&email)?;
    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let right = control.passwords.verify(wanted.password, stored).await.map_err(ApiError::from)?;
    let Some(account) = account.filter(|_| right) else {
        tracing::info!(peer = %request.peer, "login refused");
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            ErrorKind::Forbidden,
            "The e-mail address or the password is wrong. Check both and try again.",
        ));
    };
    if let Some(old) = request.cookie() {
        if control.store.session(old)?.is_some_and(|old| old.account == account.id) {
            control.store.close_session(old).await?;
        } else {
            end_login(&request.app, old).await?;
        }
    }
    let secret = random_secret();
    let expires_at = unix_ms().saturating_add(cookie::SESSION_SECONDS * 1_000);
    let session = Session { account: account.id.clone(), expires_at };
    control.store.open_session(SecretHash::of(&secret), &session).await?;
    request.record.is(Asker::logged_in(&account.id, SecretHash::of(&secret)));
    tracing::info!(account = %account.id, peer = %request.peer, "logged in");
    let view = view(&request, &LoggedIn { account, expires_at })?;
    Ok(with_cookie(warp::reply::json(&view).into_response(), cookie::set(&secret, request.secure())))
}

/// Ends the login, also one that has ended already.
pub(super) async fn logout(request: Request) -> Answer {
    if let Some(cookie) = request.cookie() {
        end_login(&request.app, cookie).await?;
    }
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), cookie::clear(request.secure())))
}

/// Ends a login, and with it whatever its person has open at the router. Other browsers of theirs join again by
/// themselves, with their own logins.
async fn end_login(app: &App, cookie: SecretHash) -> Result<(), Refusal> {
    let App { control, uplink, .. } = app;
    let session = control.store.session(cookie)?;
    control.store.close_session(cookie).await?;
    if let Some(Session { account, .. }) = session {
        control.tickets().revoke(&account);
        uplink.end_sessions(account, None, "This login has ended.");
    }
    Ok(())
}

/// Answers a [`SessionView`].
pub(super) async fn session(request: Request) -> Answer {
    Ok(warp::reply::json(&view(&request, request.person()?)?).into_response())
}

/// Answers a [`TicketReply`] for a tenant.
pub(super) async fn wamp_ticket(mut request: Request) -> Answer {
    let account = request.person()?.account.clone();
    let wanted: TicketRequest = request.json().await?;
    let control = &request.app.control;
    let Some(role) = control.store.role_in(&account.id, &wanted.tenant)? else {
        return Err(Refusal::forbidden(format!(
            "You belong to no tenant {}. Check the slug, or ask its owner.",
            wanted.tenant
        )));
    };
    let realm = realm::of_tenant(&wanted.tenant);
    let ticket = control.issue_ticket(&account.id, realm.clone(), role, BROWSER_TICKET_MS)?;
    let wamp_url = control.config.wamp_url.as_str().to_owned();
    Ok(warp::reply::json(&TicketReply { wamp_url, realm, authid: account.id, ticket }).into_response())
}

/// It runs; and `joined` once it serves the control realm and every tenant's.
pub(super) async fn health(request: Request) -> Answer {
    let health = serde_json::json!({
        "ok": true,
        "version": env!("CARGO_PKG_VERSION"),
        "router": if request.app.uplink.is_joined() { "joined" } else { "connecting" },
    });
    Ok(warp::reply::json(&health).into_response())
}

fn view(request: &Request, logged_in: &LoggedIn) -> Result<SessionView, Refusal> {
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

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

//! Join tokens for devices and API tokens for programs, made and deleted by a tenant's owners.

use ecep_proto::api::{
    http::{CreatedToken, NewApiToken, NewJoinToken, TokenView},
    roles::Role,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request, shares::own_device};
use crate::{
    clock::unix_ms,
    naming::{check_title, id_from, invalid},
    secret::{SecretHash, random_secret},
    store::{ApiToken, JoinToken},
};

/// Shortest life of a token or an invitation in seconds.
pub(super) const MIN_SECONDS: u64 = 60;
/// Longest life of a join token in seconds: 30 days.
const MAX_JOIN_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Longest life of an API token in seconds: 400 days, a year and some time to renew it.
const MAX_API_SECONDS: u64 = 400 * 24 * 60 * 60;
/// Most uses of a join token.
const MAX_USES: u32 = 1_000;
/// Random characters at the end of a token's id.
pub(super) const TOKEN_SUFFIX: usize = 8;

/// Lists the join tokens.
pub(super) async fn join_tokens(request: Request) -> Answer {
    let tokens = request.app.control.store.join_tokens(request.tenant()?)?;
    let views: Vec<TokenView> = tokens.into_iter().map(view_of_join).collect();
    Ok(warp::reply::json(&views).into_response())
}

/// Makes a join token.
pub(super) async fn make_join_token(mut request: Request) -> Answer {
    let wanted: NewJoinToken = request.json().await?;
    if !(1..=MAX_USES).contains(&wanted.uses) {
        return Err(invalid(format!("A join token has 1 to {MAX_USES} uses, not {}.", wanted.uses)).into());
    }
    check_life(wanted.valid_seconds, MAX_JOIN_SECONDS)?;
    if let Some(device) = &wanted.device {
        own_device(&request, device.as_str())?;
        if wanted.uses != 1 {
            return Err(invalid("A join token for one device has one use; set uses to 1.").into());
        }
    }
    let id = id_from("join", "join", TOKEN_SUFFIX);
    // The id in front finds the row; the whole is the secret.
    let secret = format!("{id}.{}", random_secret());
    let token = JoinToken {
        id,
        tenant: request.tenant()?.clone(),
        secret: SecretHash::of(&secret),
        uses_left: wanted.uses,
        expires_at: ends(wanted.valid_seconds),
        device: wanted.device,
    };
    let made_by = &request.person()?.account.id;
    request.app.control.store.add_join_token(&token, made_by).await?;
    tracing::info!(token = %token.id, tenant = %token.tenant, uses = token.uses_left, "join token made");
    created(CreatedToken { id: token.id, secret, expires_at: token.expires_at })
}

/// Deletes a join token.
pub(super) async fn delete_join_token(request: Request) -> Answer {
    let was_there = request.app.control.store.remove_join_token(request.tenant()?, request.id()).await?;
    deleted(was_there, request.id())
}

/// Lists the API tokens.
pub(super) async fn api_tokens(request: Request) -> Answer {
    let tokens = request.app.control.store.api_tokens(request.tenant()?)?;
    let views: Vec<TokenView> = tokens.into_iter().map(view_of_api).collect();
    Ok(warp::reply::json(&views).into_response())
}

/// Makes an API token.
pub(super) async fn make_api_token(mut request: Request) -> Answer {
    let wanted: NewApiToken = request.json().await?;
    let name = check_title("The token's name", &wanted.name)?;
    if !matches!(wanted.role, Role::Telemetry | Role::Viewer | Role::Operator) {
        return Err(invalid(format!(
            "An API token cannot have the role {}; use telemetry, viewer or operator.",
            wanted.role.as_str()
        ))
        .into());
    }
    check_life(wanted.valid_seconds, MAX_API_SECONDS)?;
    let secret = random_secret();
    let token = ApiToken {
        id: id_from(&name, "token", TOKEN_SUFFIX),
        tenant: request.tenant()?.clone(),
        name,
        role: wanted.role,
        secret: SecretHash::of(&secret),
        expires_at: ends(wanted.valid_seconds),
        made_by: Some(request.person()?.account.id.clone()),
        last_used: None,
    };
    request.app.control.store.add_api_token(&token).await?;
    tracing::info!(token = %token.id, tenant = %token.tenant, role = token.role.as_str(), "API token made");
    created(CreatedToken { id: token.id, secret, expires_at: token.expires_at })
}

/// Deletes an API token.
pub(super) async fn delete_api_token(request: Request) -> Answer {
    let (tenant, id) = (request.tenant()?, request.id());
    let was_there = request.app.control.store.remove_api_token(tenant, id).await?;
    if was_there {
        let reason =
            "This API token was deleted. An owner of the tenant can make a new one on the dashboard.";
        request.app.end_in_tenant(id, tenant, reason);
    }
    deleted(was_there, id)
}

fn created(token: CreatedToken) -> Answer {
    Ok(warp::reply::with_status(warp::reply::json(&token), StatusCode::CREATED).into_response())
}

fn deleted(was_there: bool, id: &str) -> Answer {
    if !was_there {
        return Err(Refusal::not_found("This tenant has no such token. It may have been deleted already."));
    }
    tracing::info!(token = id, "token deleted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn check_life(seconds: u64, most: u64) -> Result<(), Refusal> {
    if (MIN_SECONDS..=most).contains(&seconds) {
        return Ok(());
    }
    Err(invalid(format!("The token may be valid for {MIN_SECONDS} to {most} seconds, not {seconds}.")).into())
}

/// When what begins now and is valid for so long ends.
pub(super) fn ends(valid_seconds: u64) -> u64 {
    unix_ms().saturating_add(valid_seconds.saturating_mul(1_000))
}

fn view_of_join(token: JoinToken) -> TokenView {
    TokenView {
        id: token.id,
        name: String::new(),
        role: Role::Device,
        uses_left: Some(token.uses_left),
        expires_at: token.expires_at,
        made_by: None,
        last_used: None,
        device: token.device,
    }
}

fn view_of_api(token: ApiToken) -> TokenView {
    TokenView {
        id: token.id,
        name: token.name,
        role: token.role,
        uses_left: None,
        expires_at: token.expires_at,
        made_by: token.made_by,
        last_used: token.last_used,
        device: None,
    }
}

//! Invitations: how an owner lets somebody into the tenant who may or may not have an account. The secret is handed over by
//! the owner; no mail is sent.
//!
//! Neither making nor looking at an invitation tells whether its address has an account. Accepting one by a password does
//! the same work for both: where there is an account the password must be its own, where there is none it becomes it.

use ecep_proto::api::{
    error::ApiError,
    http::Membership,
    people::{
        AcceptInvitation, CreatedInvitation, InvitationOffer, InvitationView, NewInvitation, ShowInvitation,
    },
};
use warp::{http::StatusCode, reply::Reply};

use super::{
    Answer, Refusal,
    login::wrong_password,
    record::Asker,
    request::Request,
    setup::ACCOUNT_SUFFIX,
    tokens::{MIN_SECONDS, TOKEN_SUFFIX, ends},
};
use crate::{
    clock::unix_ms,
    naming::{check_email, check_person_role, id_from, invalid},
    password::Who,
    password_rules::check_password,
    secret::{SecretHash, random_secret},
    store::{Acceptance, Account, Invitation, Tenant},
};

/// Life of an invitation in seconds, if none is given: a week, with a weekend in it.
const DEFAULT_SECONDS: u64 = 7 * 24 * 60 * 60;
/// Longest life of an invitation in seconds: 30 days.
const MAX_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Lists the invitations that wait.
pub(super) async fn invitations(request: Request) -> Answer {
    let now = unix_ms();
    let all = request.app.control.store.invitations(request.tenant()?)?.into_iter();
    let views: Vec<InvitationView> = all
        .filter(|one| one.expires_at > now)
        .map(|one| InvitationView {
            id: one.id,
            email: one.email,
            role: one.role,
            made_by: one.made_by,
            expires_at: one.expires_at,
        })
        .collect();
    Ok(warp::reply::json(&views).into_response())
}

/// Makes an invitation.
pub(super) async fn invite(mut request: Request) -> Answer {
    let wanted: NewInvitation = request.json().await?;
    let email = check_email(&wanted.email)?;
    check_person_role(wanted.role)?;
    let seconds = wanted.valid_seconds.unwrap_or(DEFAULT_SECONDS);
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Err(invalid(format!(
            "The invitation may be valid for {MIN_SECONDS} to {MAX_SECONDS} seconds, not {seconds}."
        ))
        .into());
    }
    let id = id_from("invitation", "invitation", TOKEN_SUFFIX);
    // The id in front finds the row; the whole is the secret.
    let secret = format!("{id}.{}", random_secret());
    let invitation = Invitation {
        id,
        tenant: request.tenant()?.clone(),
        email,
        role: wanted.role,
        made_by: request.person()?.account.id.clone(),
        secret: SecretHash::of(&secret),
        expires_at: ends(seconds),
    };
    let control = &request.app.control;
    control.store.add_invitation(&invitation).await?;
    tracing::info!(invitation = %invitation.id, tenant = %invitation.tenant, role = invitation.role.as_str(), "invited");
    let origin = control.config.public_url.as_ref().map_or("", |url| url.origin());
    // Behind `#`, so that the secret is sent to no server when the page is opened.
    let link = format!("{origin}/#/invitation/{secret}");
    let created = CreatedInvitation { id: invitation.id, secret, link, expires_at: invitation.expires_at };
    Ok(warp::reply::with_status(warp::reply::json(&created), StatusCode::CREATED).into_response())
}

/// Withdraws an invitation.
pub(super) async fn withdraw(request: Request) -> Answer {
    if !request.app.control.store.remove_invitation(request.tenant()?, request.id()).await? {
        return Err(Refusal::not_found(
            "This tenant has no such invitation. It may have been accepted or withdrawn already.",
        ));
    }
    tracing::info!(invitation = request.id(), "invitation withdrawn");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Tells whoever has the secret what they are invited to.
pub(super) async fn show(mut request: Request) -> Answer {
    let wanted: ShowInvitation = request.json().await?;
    let (invitation, tenant) = find(&request, &wanted.secret)?;
    let offer = InvitationOffer {
        tenant: tenant.slug,
        tenant_name: tenant.name,
        email: invitation.email,
        role: invitation.role,
        expires_at: invitation.expires_at,
    };
    Ok(warp::reply::json(&offer).into_response())
}

/// Makes whoever has the secret, and is who it is for, a member.
pub(super) async fn accept(mut request: Request) -> Answer {
    let wanted: AcceptInvitation = request.json().await?;
    let (invitation, tenant) = find(&request, &wanted.secret)?;
    let acceptance = match wanted.password {
        None => accept_logged_in(&request, &invitation).await?,
        Some(password) => accept_by_password(&request, &invitation, password).await?,
    };
    match acceptance {
        Acceptance::Joined(role) | Acceptance::Member(role) => {
            if let Some(account) = request.app.control.store.account_of_email(&invitation.email)? {
                let of_tenant = Some(tenant.slug.clone());
                request.record.is(Asker { tenant: of_tenant, ..Asker::person(&account.id) });
            }
            tracing::info!(invitation = %invitation.id, tenant = %tenant.slug, "invitation accepted");
            let membership = Membership { tenant: tenant.slug, tenant_name: tenant.name, role };
            Ok(warp::reply::json(&membership).into_response())
        }
        Acceptance::Gone => Err(gone()),
    }
}

async fn accept_logged_in(request: &Request, invitation: &Invitation) -> Result<Acceptance, Refusal> {
    let account = request.logged_in()?.account;
    if account.email != invitation.email {
        return Err(Refusal::forbidden(format!(
            "This invitation is for {}, and you are logged in as {}. Log out first.",
            invitation.email, account.email
        )));
    }
    Ok(request.app.control.store.accept_invitation(invitation, &account).await?)
}

async fn accept_by_password(
    request: &Request,
    invitation: &Invitation,
    password: String,
) -> Result<Acceptance, Refusal> {
    let store = &request.app.control.store;
    check_password(&password, &invitation.email)?;
    if let Some(account) = request.prove(&invitation.email, password.clone()).await? {
        return Ok(store.accept_invitation(invitation, &account).await?);
    }
    if store.account_of_email(&invitation.email)?.is_some() {
        return Err(wrong_password());
    }
    let password_hash =
        request.app.control.passwords.hash(Who::Stranger, password).await.map_err(ApiError::from)?;
    let email = invitation.email.clone();
    let account = Account {
        id: id_from(email.split('@').next().unwrap_or_default(), "account", ACCOUNT_SUFFIX),
        email,
        password_hash,
        admin: false,
        created_at: unix_ms(),
        disabled: false,
    };
    let acceptance = store.accept_invitation_anew(invitation, &account).await?;
    tracing::info!(account = %account.id, "account made by invitation");
    Ok(acceptance)
}

/// The invitation of this secret, and its tenant.
fn find(request: &Request, secret: &str) -> Result<(Invitation, Tenant), Refusal> {
    let control = &request.app.control;
    control.limits.check_address(control.clock.now(), request.peer).map_err(Refusal::too_often)?;
    let id = secret.split('.').next().unwrap_or_default();
    let invitation = control.store.invitation(id)?;
    let invitation = invitation.filter(|one| one.secret.matches(secret) && one.expires_at > unix_ms());
    let invitation = invitation.ok_or_else(gone)?;
    control.limits.forgive_address(request.peer);
    let tenant = control.store.tenant(&invitation.tenant)?.ok_or_else(gone)?;
    Ok((invitation, tenant))
}

fn gone() -> Refusal {
    Refusal::not_found(
        "There is no such invitation: it was accepted already, was withdrawn, or has expired. Ask whoever invited you for a new one.",
    )
}

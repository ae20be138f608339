//! The members of a tenant: who they are, their roles, and how they go.

use ecep_proto::api::{
    people::{ChangeMember, MemberPage, MemberView},
    roles::Role,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request};
use crate::naming::check_person_role;

/// Lists the members. Owners see their e-mail addresses, others only who they are and what they may.
pub(super) async fn members(request: Request) -> Answer {
    let page = request.page()?;
    let you = request.person().ok().map(|person| person.account.id.as_str());
    let is_owner = you.is_some() && request.role()? == Role::Owner;
    let members = request.app.control.store.members(request.tenant()?)?;
    let mut rest = members.into_iter().filter(|(account, _)| account.id > page.after);
    let members: Vec<MemberView> = rest
        .by_ref()
        .take(page.limit)
        .map(|(account, role)| {
            let is_you = you == Some(account.id.as_str());
            let email = (is_owner || is_you).then_some(account.email);
            MemberView { account: account.id, email, role, is_you }
        })
        .collect();
    let next = members.last().map(|last| last.account.clone()).filter(|_| rest.next().is_some());
    Ok(warp::reply::json(&MemberPage { members, next }).into_response())
}

/// Changes a member's role.
pub(super) async fn change_member(mut request: Request) -> Answer {
    let wanted: ChangeMember = request.json().await?;
    check_person_role(wanted.role)?;
    let (tenant, account) = (request.tenant()?, request.id());
    let changed = request.app.control.store.change_role(tenant, account, wanted.role).await?;
    let Some(changed) = changed else { return Err(no_member()) };
    if changed {
        let reason = format!("Your role in this tenant is {} now.", wanted.role.as_str());
        request.app.end_in_tenant(account, tenant, &reason);
        tracing::info!(account, %tenant, role = wanted.role.as_str(), "role changed");
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes a member.
pub(super) async fn remove_member(request: Request) -> Answer {
    remove(&request, request.id(), "You were removed from this tenant. Ask one of its owners.").await
}

/// Removes whoever asks.
pub(super) async fn leave(request: Request) -> Answer {
    remove(&request, &request.person()?.account.id, "You have left this tenant.").await
}

async fn remove(request: &Request, account: &str, reason: &str) -> Answer {
    let tenant = request.tenant()?;
    if !request.app.control.store.remove_member(tenant, account).await? {
        return Err(no_member());
    }
    request.app.end_in_tenant(account, tenant, reason);
    tracing::info!(account, %tenant, "member removed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn no_member() -> Refusal {
    Refusal::not_found("This tenant has no such member. They may have been removed already.")
}

//! What administrators do about accounts.

use std::sync::Arc;

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    http::NewAccount,
    people::{AccountPage, AccountView, ChangeAccount},
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request, setup::ACCOUNT_SUFFIX};
use crate::{
    clock::unix_ms,
    naming::{check_email, check_person_role, id_from, invalid},
    password::Who,
    password_rules::check_password,
    store::Account,
};

/// Tenants that one account may belong to from the start.
const MAX_MEMBERSHIPS: usize = 100;

/// Lists the accounts.
pub(super) async fn accounts(request: Request) -> Answer {
    let page = request.page()?;
    let (accounts, more) = request.app.control.store.accounts(&page.after, page.limit)?;
    let accounts: Vec<AccountView> = accounts
        .into_iter()
        .map(|account| AccountView {
            id: account.id,
            email: account.email,
            admin: account.admin,
            disabled: account.disabled,
            created_at: account.created_at,
        })
        .collect();
    let next = accounts.last().map(|last| last.id.clone()).filter(|_| more);
    Ok(warp::reply::json(&AccountPage { accounts, next }).into_response())
}

/// Makes an account.
pub(super) async fn make_account(mut request: Request) -> Answer {
    let wanted: NewAccount = request.json().await?;
    let control = Arc::clone(&request.app.control);
    let email = check_email(&wanted.email)?;
    check_password(&wanted.password, &email)?;
    if wanted.memberships.len() > MAX_MEMBERSHIPS {
        return Err(invalid(format!("At most {MAX_MEMBERSHIPS} memberships can be given at once.")).into());
    }
    let mut memberships = Vec::new();
    for membership in wanted.memberships {
        check_person_role(membership.role)?;
        memberships.push((membership.tenant, membership.role));
    }
    let password_hash = control.passwords.hash(Who::Known, wanted.password).await.map_err(ApiError::from)?;
    request.judge_again()?;
    let account = Account {
        id: id_from(email.split('@').next().unwrap_or_default(), "account", ACCOUNT_SUFFIX),
        email,
        password_hash,
        admin: false,
        created_at: unix_ms(),
        disabled: false,
    };
    control.store.add_account(&account, &memberships).await?;
    tracing::info!(account = %account.id, "account made");
    Ok(StatusCode::CREATED.into_response())
}

/// Disables an account, or enables it again.
pub(super) async fn change_account(mut request: Request) -> Answer {
    let wanted: ChangeAccount = request.json().await?;
    let id = request.id();
    if wanted.disabled && id == request.person()?.account.id {
        return Err(ApiError::new(
            ErrorKind::Conflict,
            "You cannot disable your own account: nobody might be left to enable it.",
        )
        .into());
    }
    if !request.app.control.store.set_disabled(id, wanted.disabled).await? {
        return Err(Refusal::not_found("There is no such account. Check its id in the list of accounts."));
    }
    if wanted.disabled {
        request.app.end_account(id, "This account was disabled. Ask an administrator.");
    }
    tracing::info!(account = id, disabled = wanted.disabled, "account changed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

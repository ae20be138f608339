//! What people do about their own accounts: the password, and where they are logged in.

use ecep_proto::api::{
    error::ApiError,
    people::{ChangePassword, LoginView},
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request};
use crate::{password::Who, password_rules::check_password, store::Store};

/// Changes the password. Whoever else came in by the old one is out at once.
pub(super) async fn change_password(mut request: Request) -> Answer {
    let wanted: ChangePassword = request.json().await?;
    let (person, control) = (request.person()?, &request.app.control);
    check_password(&wanted.new, &person.account.email)?;
    let proven = request.prove(&person.account.email, wanted.current).await?;
    let Some(account) = proven.filter(|account| account.id == person.account.id) else {
        return Err(wrong_current());
    };
    let hash = control.passwords.hash(Who::Known, wanted.new).await.map_err(ApiError::from)?;
    if !control.store.set_password(&account, &hash, Some(person.cookie)).await? {
        return Err(wrong_current());
    }
    request.app.end_account(&account.id, "The password of this account was changed.");
    tracing::info!(account = %account.id, "password changed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn wrong_current() -> Refusal {
    Refusal::forbidden("The present password is wrong. Check it and try again.")
}

/// Lists one's own logins.
pub(super) async fn logins(request: Request) -> Answer {
    let person = request.person()?;
    let this = Store::login_id(person.cookie);
    let logins = request.app.control.store.logins(&person.account.id)?.into_iter();
    let views: Vec<LoginView> = logins
        .map(|(id, session)| LoginView {
            is_this: id == this,
            id,
            opened_at: session.opened_at,
            address: session.address,
            user_agent: session.user_agent,
            last_seen: session.last_seen,
            expires_at: session.expires_at,
        })
        .collect();
    Ok(warp::reply::json(&views).into_response())
}

/// Ends one of one's own logins.
pub(super) async fn end_login(request: Request) -> Answer {
    let account = &request.person()?.account.id;
    if !request.app.control.store.end_login(account, request.id()).await? {
        return Err(Refusal::not_found("You have no such login. It may have ended already."));
    }
    request.app.end_account(account, "A login of this account was ended.");
    tracing::info!(account, "login ended");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends all of one's own logins but the one that asks.
pub(super) async fn end_other_logins(request: Request) -> Answer {
    let person = request.person()?;
    request.app.control.store.end_logins(&person.account.id, Some(person.cookie)).await?;
    request.app.end_account(&person.account.id, "The other logins of this account were ended.");
    tracing::info!(account = %person.account.id, "all other logins ended");
    Ok(StatusCode::NO_CONTENT.into_response())
}

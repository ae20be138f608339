//! `/api/setup`: whether the first account is needed, and making it.

use ecep_proto::api::{
    error::{ApiError, ErrorKind},
    http::{SetupRequest, SetupState},
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, record::Asker, request::Request};
use crate::{
    clock::unix_ms,
    naming::{check_email, check_title, id_from},
    password::Who,
    password_rules::check_password,
    store::{Account, Tenant},
};

/// Random characters at the end of an account's id.
pub(super) const ACCOUNT_SUFFIX: usize = 6;

/// Tells whether there is no account yet.
pub(super) async fn state(request: Request) -> Answer {
    let state = SetupState { needed: request.app.control.store.has_no_account() };
    Ok(warp::reply::json(&state).into_response())
}

/// Makes the first account, with the first tenant.
pub(super) async fn first_account(mut request: Request) -> Answer {
    let wanted: SetupRequest = request.json().await?;
    let app = &request.app;
    let control = &app.control;
    if !control.store.has_no_account() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            ErrorKind::Conflict,
            "The first account exists already. Log in with it.",
        ));
    }
    control.limits.check_address(control.clock.now(), request.peer).map_err(Refusal::too_often)?;
    if !app.setup.matches(&wanted.code) {
        return Err(Refusal::forbidden(
            "This is not the setup code. It is in the file setup-code of the control plane's data folder; the log names the path.",
        ));
    }
    let email = check_email(&wanted.email)?;
    check_password(&wanted.password, &email)?;
    let name = check_title("The tenant's name", &wanted.tenant_name)?;
    let password_hash =
        control.passwords.hash(Who::Stranger, wanted.password).await.map_err(ApiError::from)?;
    let account = Account {
        id: id_from(email.split('@').next().unwrap_or_default(), "account", ACCOUNT_SUFFIX),
        email,
        password_hash,
        admin: true,
        created_at: unix_ms(),
        disabled: false,
    };
    let tenant = Tenant { slug: wanted.tenant, name, created_at: unix_ms(), deleted_at: None };
    control.store.add_first_account(&account, &tenant).await?;
    app.setup.spend();
    request.record.is(Asker::person(&account.id));
    app.uplink.add_tenant(&tenant.slug);
    tracing::info!(account = %account.id, tenant = %tenant.slug, "first account made");
    Ok(StatusCode::CREATED.into_response())
}

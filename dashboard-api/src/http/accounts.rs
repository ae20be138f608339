//! What administrators make: accounts and tenants.

use ecep_proto::api::{
    error::ApiError,
    http::{Membership, NewAccount, NewTenant},
    roles::Role,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, request::Request, setup::ACCOUNT_SUFFIX};
use crate::{
    clock::unix_ms,
    naming::{check_email, check_password, check_title, id_from, invalid},
    store::{Account, Tenant},
};

/// Tenants that one account may belong to from the start.
const MAX_MEMBERSHIPS: usize = 100;

/// Makes an account.
pub(super) async fn make_account(mut request: Request) -> Answer {
    let wanted: NewAccount = request.json().await?;
    let control = &request.app.control;
    let email = check_email(&wanted.email)?;
    check_password(&wanted.password)?;
    if wanted.memberships.len() > MAX_MEMBERSHIPS {
        return Err(invalid(format!("At most {MAX_MEMBERSHIPS} memberships can be given at once.")).into());
    }
    let mut memberships = Vec::new();
    for membership in wanted.memberships {
        if !matches!(membership.role, Role::Owner | Role::Operator | Role::Viewer) {
            return Err(invalid(format!(
                "A person cannot have the role {}; use owner, operator or viewer.",
                membership.role.as_str()
            ))
            .into());
        }
        memberships.push((membership.tenant, membership.role));
    }
    let password_hash = control.passwords.hash(wanted.password).await.map_err(ApiError::from)?;
    let account = Account {
        id: id_from(email.split('@').next().unwrap_or_default(), "account", ACCOUNT_SUFFIX),
        email,
        password_hash,
        admin: false,
        created_at: unix_ms(),
    };
    control.store.add_account(&account, &memberships).await?;
    tracing::info!(account = %account.id, "account made");
    Ok(StatusCode::CREATED.into_response())
}

/// Makes a tenant, whose owner the administrator becomes.
pub(super) async fn make_tenant(mut request: Request) -> Answer {
    let admin = request.person()?.account.clone();
    let wanted: NewTenant = request.json().await?;
    let name = check_title("The tenant's name", &wanted.name)?;
    let tenant = Tenant { slug: wanted.slug, name, created_at: unix_ms() };
    request.app.control.store.add_tenant(&tenant, &admin.id).await?;
    request.app.uplink.add_tenant(&tenant.slug);
    tracing::info!(tenant = %tenant.slug, account = %admin.id, "tenant made");
    let membership = Membership { tenant: tenant.slug, tenant_name: tenant.name, role: Role::Owner };
    Ok(warp::reply::with_status(warp::reply::json(&membership), StatusCode::CREATED).into_response())
}

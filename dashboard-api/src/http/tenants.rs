//! Tenants: what administrators do about them, and what their members see.

use ecep_proto::api::{
    http::{Membership, NewTenant},
    name::TenantSlug,
    people::{ChangeTenant, DeleteTenant, TenantPage, TenantSummary, TenantView},
    roles::Role,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request};
use crate::{
    clock::unix_ms,
    naming::{check_title, invalid},
    store::Tenant,
};

/// Lists all tenants.
pub(super) async fn tenants(request: Request) -> Answer {
    let page = request.page()?;
    let tenants = request.app.control.store.tenants()?;
    let mut rest = tenants.into_iter().filter(|tenant| *tenant.slug.as_str() > *page.after);
    let tenants: Vec<TenantSummary> = rest
        .by_ref()
        .take(page.limit)
        .map(|tenant| TenantSummary { slug: tenant.slug, name: tenant.name, created_at: tenant.created_at })
        .collect();
    let next = tenants.last().map(|last| last.slug.to_string()).filter(|_| rest.next().is_some());
    Ok(warp::reply::json(&TenantPage { tenants, next }).into_response())
}

/// Makes a tenant, whose owner the administrator becomes.
pub(super) async fn make_tenant(mut request: Request) -> Answer {
    let wanted: NewTenant = request.json().await?;
    let admin = &request.person()?.account.id;
    let name = check_title("The tenant's name", &wanted.name)?;
    let tenant = Tenant { slug: wanted.slug, name, created_at: unix_ms(), deleted_at: None };
    request.app.control.store.add_tenant(&tenant, admin).await?;
    request.app.uplink.add_tenant(&tenant.slug);
    tracing::info!(tenant = %tenant.slug, account = %admin, "tenant made");
    let membership = Membership { tenant: tenant.slug, tenant_name: tenant.name, role: Role::Owner };
    Ok(warp::reply::with_status(warp::reply::json(&membership), StatusCode::CREATED).into_response())
}

/// Shows the tenant of the path.
pub(super) async fn tenant(request: Request) -> Answer {
    let tenant = request.app.control.store.tenant(request.tenant()?)?.ok_or_else(no_tenant)?;
    let view = TenantView { slug: tenant.slug, name: tenant.name, role: request.role()? };
    Ok(warp::reply::json(&view).into_response())
}

/// Gives a tenant another name.
pub(super) async fn rename_tenant(mut request: Request) -> Answer {
    let wanted: ChangeTenant = request.json().await?;
    let slug: TenantSlug = request.id().parse().map_err(|_| no_tenant())?;
    let name = check_title("The tenant's name", &wanted.name)?;
    if !request.app.control.store.rename_tenant(&slug, &name).await? {
        return Err(no_tenant());
    }
    tracing::info!(tenant = %slug, "tenant renamed");
    request.app.control.view().name_tenant(slug, name);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Deletes a tenant that is empty.
pub(super) async fn delete_tenant(mut request: Request) -> Answer {
    let wanted: DeleteTenant = request.json().await?;
    let (app, slug) = (&request.app, request.id());
    let tenant: TenantSlug = slug.parse().map_err(|_| no_tenant())?;
    if wanted.confirm != slug {
        return Err(invalid(format!("To delete the tenant {slug}, confirm it by its slug.")).into());
    }
    let store = &app.control.store;
    let members = store.members(&tenant)?.into_iter().map(|(account, _)| account.id);
    let tokens = store.api_tokens(&tenant)?.into_iter().map(|token| token.id);
    let authids: Vec<String> = members.chain(tokens).collect();
    if !store.delete_tenant(&tenant, unix_ms()).await? {
        return Err(no_tenant());
    }
    for authid in authids {
        app.end_in_tenant(&authid, &tenant, "This tenant was deleted.");
    }
    app.uplink.remove_tenant(&tenant);
    if let Err(error) = app.control.artifacts.sweep().await {
        tracing::error!(%error, "a deleted tenant's artifacts could not be removed; they are tried again within the hour");
    }
    if let Err(error) = app.control.stored.sweep(unix_ms()).await {
        tracing::error!(%error, "a deleted tenant's stored files could not be removed; they are tried again within the hour");
    }
    tracing::info!(%tenant, "tenant deleted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn no_tenant() -> Refusal {
    Refusal::not_found("There is no such tenant. Check the slug in the list of tenants.")
}

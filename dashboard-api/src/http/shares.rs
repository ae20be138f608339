//! Shares of devices: what the device's owner offers, changes and ends, and what the other tenant accepts or leaves.

use ecep_proto::api::{
    name::{ContainerName, DeviceId, TenantSlug},
    share::{ChangeShare, EndShare, EndedShare, NewShare},
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, request::Request};
use crate::{clock::unix_ms, sharing::no_device};

/// Lists with whom a device is shared.
pub(super) async fn of_device(request: Request) -> Answer {
    let device = own_device(&request, request.id())?;
    Ok(warp::reply::json(&request.app.control.view().shares(&device, unix_ms())).into_response())
}

/// Offers a device to another tenant.
pub(super) async fn offer(mut request: Request) -> Answer {
    let wanted: NewShare = request.json().await?;
    let device = own_device(&request, request.id())?;
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    let share = control.offer_share(request.tenant()?, &device, wanted).await?;
    uplink.device_changed(&device)?;
    // No notice to the other tenant: a stranger could fill its people's screens.
    let view = control.view().share_view(&share, &device);
    Ok(warp::reply::with_status(warp::reply::json(&view), StatusCode::CREATED).into_response())
}

/// Changes the terms.
pub(super) async fn change_terms(mut request: Request) -> Answer {
    let wanted: ChangeShare = request.json().await?;
    let device = own_device(&request, device_in_path(&request))?;
    let guest = slug_of(request.id())?;
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    let share = control.change_share(request.tenant()?, &device, &guest, wanted.terms).await?;
    uplink.device_changed(&device)?;
    uplink.leave_realm(&device, &guest, "The terms of this share have changed.");
    let view = control.view().share_view(&share, &device);
    Ok(warp::reply::json(&view).into_response())
}

/// Ends a share or withdraws an offer.
pub(super) async fn end(mut request: Request) -> Answer {
    let mut wanted: EndShare = request.json().await?;
    let device = own_device(&request, device_in_path(&request))?;
    let guest = slug_of(request.id())?;
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    let ending = control.end_share(request.tenant()?, &device, &guest).await?;
    uplink.device_changed(&device)?;
    uplink.leave_realm(&device, &guest, "This share ends.");
    if !wanted.delete.is_empty() {
        wanted.delete.sort();
        let names: Vec<&str> = wanted.delete.iter().map(ContainerName::as_str).collect();
        request.record.detail("delete", &names.join(", "));
        uplink.evict(&device, &guest, &wanted.delete).await?;
    }
    let ended = EndedShare { ended: ending.ended, containers: ending.containers };
    Ok(warp::reply::json(&ended).into_response())
}

/// Lists what is shared with or offered to the tenant.
pub(super) async fn with_tenant(request: Request) -> Answer {
    let offers = request.app.control.view().offers(request.tenant()?, unix_ms());
    Ok(warp::reply::json(&offers).into_response())
}

/// Accepts an offer.
pub(super) async fn accept(request: Request) -> Answer {
    let (tenant, device) = (request.tenant()?, device_of(request.id())?);
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    control.accept_share(tenant, &device).await?;
    uplink.device_changed(&device)?;
    let name = control.view().name_of(tenant);
    uplink.tell_owner(&device, |device| format!("{name} has accepted the share of device {device}."));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Declines an offer, or leaves a share.
pub(super) async fn leave(request: Request) -> Answer {
    let (tenant, device) = (request.tenant()?, device_of(request.id())?);
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    control.leave_share(tenant, &device).await?;
    uplink.device_changed(&device)?;
    uplink.leave_realm(&device, tenant, "This share ends.");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A device that the tenant of the path owns.
pub(super) fn own_device(request: &Request, id: &str) -> Result<DeviceId, Refusal> {
    let (owner, device) = (request.tenant()?, device_of(id)?);
    let is_own = request.app.control.view().row(&device).is_some_and(|row| row.owner == *owner);
    if is_own { Ok(device) } else { Err(no_device().into()) }
}

/// The device of a path that names its tenant before it and another one behind it.
fn device_in_path(request: &Request) -> &str {
    request.parameters.get(1).map_or("", String::as_str)
}

fn device_of(id: &str) -> Result<DeviceId, Refusal> {
    id.parse().map_err(|_| no_device().into())
}

fn slug_of(text: &str) -> Result<TenantSlug, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("The device is not shared with this tenant. Check the slug."))
}

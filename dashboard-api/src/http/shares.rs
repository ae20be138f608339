//! Shares of devices: what the device's owner offers, changes and ends, and what the other tenant accepts or leaves.

use ecep_proto::api::{
    name::{DeviceId, TenantSlug},
    share::{ChangeShare, EndShare, EndedShare, NewShare},
};
use warp::{
    http::{Method, StatusCode},
    reply::Reply,
};

use super::{Answer, Refusal, request::Request};
use crate::{clock::unix_ms, sharing::no_device};

/// `GET` lists with whom a device is shared, `POST` offers it (owner).
pub(super) async fn of_device(slug: String, id: String, mut request: Request) -> Answer {
    match request.method.clone() {
        Method::GET => {
            let owner = request.owner_of(&slug)?;
            let device = own_device(&request, &owner, &id)?;
            Ok(warp::reply::json(&request.app.control.view().shares(&device, unix_ms())).into_response())
        }
        Method::POST => {
            let owner = request.owner_of(&slug)?;
            let device = own_device(&request, &owner, &id)?;
            let wanted: NewShare = request.json().await?;
            let (control, uplink) = (&request.app.control, &request.app.uplink);
            let share = control.offer_share(&owner, &device, wanted).await?;
            uplink.device_changed(&device)?;
            // No notice to the other tenant: a stranger could fill its people's screens.
            let view = control.view().share_view(&share, &device);
            Ok(warp::reply::with_status(warp::reply::json(&view), StatusCode::CREATED).into_response())
        }
        _ => Err(Refusal::method("GET, POST")),
    }
}

/// `PUT` changes the terms (owner).
pub(super) async fn terms(slug: String, id: String, tenant: String, mut request: Request) -> Answer {
    if request.method != Method::PUT {
        return Err(Refusal::method("PUT"));
    }
    let owner = request.owner_of(&slug)?;
    let device = own_device(&request, &owner, &id)?;
    let tenant = slug_of(&tenant)?;
    let wanted: ChangeShare = request.json().await?;
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    let share = control.change_share(&owner, &device, &tenant, wanted.terms).await?;
    uplink.device_changed(&device)?;
    uplink.leave_realm(&device, &tenant, "The terms of this share have changed.");
    let view = control.view().share_view(&share, &device);
    Ok(warp::reply::json(&view).into_response())
}

/// `POST` ends a share or withdraws an offer (owner); answers an [`EndedShare`].
pub(super) async fn end(slug: String, id: String, tenant: String, mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let owner = request.owner_of(&slug)?;
    let device = own_device(&request, &owner, &id)?;
    let tenant = slug_of(&tenant)?;
    let mut wanted: EndShare = request.json().await?;
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    let ending = control.end_share(&owner, &device, &tenant).await?;
    uplink.device_changed(&device)?;
    uplink.leave_realm(&device, &tenant, "This share ends.");
    if !wanted.delete.is_empty() {
        wanted.delete.sort();
        uplink.evict(&device, &tenant, &wanted.delete).await?;
    }
    let ended = EndedShare { ended: ending.ended, containers: ending.containers };
    Ok(warp::reply::json(&ended).into_response())
}

/// `GET` lists what is shared with or offered to the tenant (owner).
pub(super) async fn with_tenant(slug: String, request: Request) -> Answer {
    if request.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let tenant = request.owner_of(&slug)?;
    Ok(warp::reply::json(&request.app.control.view().offers(&tenant, unix_ms())).into_response())
}

/// `POST` accepts an offer, `DELETE` declines it or leaves the share (owner).
pub(super) async fn answer(slug: String, id: String, request: Request) -> Answer {
    let (control, uplink) = (&request.app.control, &request.app.uplink);
    match request.method {
        Method::POST => {
            let tenant = request.owner_of(&slug)?;
            let device = device_of(&id)?;
            control.accept_share(&tenant, &device).await?;
            uplink.device_changed(&device)?;
            uplink.tell_owner(&device, |device| {
                format!("{} has accepted the share of device {device}.", control.view().name_of(&tenant))
            });
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Method::DELETE => {
            let tenant = request.owner_of(&slug)?;
            let device = device_of(&id)?;
            control.leave_share(&tenant, &device).await?;
            uplink.device_changed(&device)?;
            uplink.leave_realm(&device, &tenant, "This share ends.");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(Refusal::method("POST, DELETE")),
    }
}

/// A device that this tenant owns.
pub(super) fn own_device(request: &Request, owner: &TenantSlug, id: &str) -> Result<DeviceId, Refusal> {
    let device = device_of(id)?;
    let is_own = request.app.control.view().row(&device).is_some_and(|row| row.owner == *owner);
    if is_own { Ok(device) } else { Err(no_device().into()) }
}

fn device_of(id: &str) -> Result<DeviceId, Refusal> {
    id.parse().map_err(|_| no_device().into())
}

fn slug_of(text: &str) -> Result<TenantSlug, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("The device is not shared with this tenant. Check the slug."))
}

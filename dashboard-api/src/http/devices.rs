//! What devices ask for over HTTP, and what a device's owner does with it. Devices have no cookie, so the guard
//! against other sites is not theirs.

use ecep_proto::api::{
    device::ChangeDevice,
    enrol::{EnrolRequest, RotateRequest, SessionRequest},
    name::DeviceId,
};
use warp::{
    http::{Method, StatusCode},
    reply::Reply,
};

use super::{Answer, Refusal, request::Request, shares::own_device};
use crate::{enrolment::Came, fleet_view::Change, store::Device};

/// `POST` enrols a device.
pub(super) async fn enrol(mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let wanted: EnrolRequest = request.json().await?;
    let control = &request.app.control;
    let (reply, came) = control.enrol(wanted).await?;
    let uplink = &request.app.uplink;
    match came {
        Came::New(Device { id, owner, .. }) => {
            let view = control.view().device(control.clock.now(), &id);
            if let Some(device) = view {
                uplink.tell(Change { tenant: owner, before: None, device });
            }
        }
        Came::Again(Device { id, .. }) => {
            uplink.device_changed(&id)?;
            uplink.device_key_changed(&id, "This device was enrolled again with another key.");
            uplink.tell_owner(&id, |name| format!("Device {name} was enrolled again; its old key is dead."));
        }
        Came::Known => {}
    }
    Ok(warp::reply::json(&reply).into_response())
}

/// `POST` trades a signature for a ticket.
pub(super) async fn session(mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let wanted: SessionRequest = request.json().await?;
    let (reply, has_settled) = request.app.control.device_session(&wanted).await?;
    if has_settled {
        let uplink = &request.app.uplink;
        uplink.device_changed(&wanted.device)?;
        uplink.device_key_changed(&wanted.device, "This device has a new key. Join again with it.");
        uplink.tell_owner(&wanted.device, |name| format!("Device {name} has a new key."));
    }
    Ok(warp::reply::json(&reply).into_response())
}

/// `POST` gives a device a new key that it has made.
pub(super) async fn rotate(mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let wanted: RotateRequest = request.json().await?;
    let reply = request.app.control.rotate_key(&wanted).await?;
    request.app.uplink.device_changed(&wanted.device)?;
    Ok(warp::reply::json(&reply).into_response())
}

/// `GET` lists the tenant's own devices with the state of their keys (owner).
pub(super) async fn devices(slug: String, request: Request) -> Answer {
    if request.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let tenant = request.owner_of(&slug)?;
    Ok(warp::reply::json(&request.app.control.owned_devices(&tenant)).into_response())
}

/// `POST` orders a new key (owner).
pub(super) async fn order_rotation(slug: String, id: String, request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let tenant = request.owner_of(&slug)?;
    let device = own_device(&request, &tenant, &id)?;
    let ordered = request.app.control.order_rotation(&tenant, &device).await?;
    request.app.uplink.device_changed(&device)?;
    Ok(warp::reply::with_status(warp::reply::json(&ordered), StatusCode::ACCEPTED).into_response())
}

/// `PATCH` changes a device's name or place, `DELETE` removes a device of the tenant (owner).
pub(super) async fn device(slug: String, id: String, mut request: Request) -> Answer {
    if request.method == Method::PATCH {
        let tenant = request.owner_of(&slug)?;
        let device = own_device(&request, &tenant, &id)?;
        let wanted: ChangeDevice = request.json().await?;
        let changed = request.app.control.edit_device(&tenant, &device, wanted).await?;
        request.app.uplink.device_changed(&device)?;
        return Ok(warp::reply::json(&changed).into_response());
    }
    if request.method != Method::DELETE {
        return Err(Refusal::method("PATCH, DELETE"));
    }
    let tenant = request.owner_of(&slug)?;
    let none = || Refusal::not_found("This tenant has no such device. It may have been removed already.");
    let device: DeviceId = id.parse().map_err(|_| none())?;
    let guests = request.app.control.view().grants_of(&device).unwrap_or_default();
    if !request.app.control.remove_device(&tenant, &device).await? {
        return Err(none());
    }
    for (guest, _) in guests.iter().filter(|(guest, _)| *guest != tenant) {
        request.app.uplink.notice(guest, format!("Device {device} was removed by its owner."));
    }
    request.app.uplink.end_sessions(id, None, "This device was removed from the platform.");
    request.app.uplink.notice(&tenant, format!("Device {device} was removed."));
    Ok(StatusCode::NO_CONTENT.into_response())
}

//! What devices ask for over HTTP, and what a device's owner does with it. Devices have no cookie, so the guard
//! against other sites is not theirs.

use ecep_proto::api::{
    audit::{Actor, ActorKind, Via, ViaKind, cut},
    device::ChangeDevice,
    enrol::{EnrolRequest, RotateRequest, SessionRequest},
    name::DeviceId,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, record::Asker, request::Request, shares::own_device};
use crate::{enrolment::Came, fleet_view::Change, store::Device};

/// Enrols a device.
pub(super) async fn enrol(mut request: Request) -> Answer {
    let wanted: EnrolRequest = request.json().await?;
    let control = &request.app.control;
    // The first part of a join token is its id.
    let token = cut(wanted.token.split('.').next().unwrap_or_default());
    let (reply, came) = control.enrol(wanted).await?;
    let via = Via { kind: ViaKind::JoinToken, id: token };
    request.record.is(Asker { via: Some(via), ..of_device(&request, &reply.device) });
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

/// Trades a signature for a ticket.
pub(super) async fn session(mut request: Request) -> Answer {
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

/// Gives a device a new key that it has made.
pub(super) async fn rotate(mut request: Request) -> Answer {
    let wanted: RotateRequest = request.json().await?;
    let reply = request.app.control.rotate_key(&wanted).await?;
    request.record.is(of_device(&request, &wanted.device));
    request.app.uplink.device_changed(&wanted.device)?;
    Ok(warp::reply::json(&reply).into_response())
}

/// Lists the tenant's own devices with the state of their keys.
pub(super) async fn devices(request: Request) -> Answer {
    Ok(warp::reply::json(&request.app.control.owned_devices(request.tenant()?)).into_response())
}

/// Orders a new key.
pub(super) async fn order_rotation(request: Request) -> Answer {
    let device = own_device(&request, request.id())?;
    let ordered = request.app.control.order_rotation(request.tenant()?, &device).await?;
    request.app.uplink.device_changed(&device)?;
    Ok(warp::reply::with_status(warp::reply::json(&ordered), StatusCode::ACCEPTED).into_response())
}

/// Changes a device's name or place.
pub(super) async fn change(mut request: Request) -> Answer {
    let wanted: ChangeDevice = request.json().await?;
    let device = own_device(&request, request.id())?;
    let changed = request.app.control.edit_device(request.tenant()?, &device, wanted).await?;
    request.app.uplink.device_changed(&device)?;
    Ok(warp::reply::json(&changed).into_response())
}

/// Removes a device of the tenant.
pub(super) async fn remove(request: Request) -> Answer {
    let tenant = request.tenant()?;
    let none = || Refusal::not_found("This tenant has no such device. It may have been removed already.");
    let device: DeviceId = request.id().parse().map_err(|_| none())?;
    let guests = request.app.control.view().grants_of(&device).unwrap_or_default();
    if !request.app.control.remove_device(tenant, &device).await? {
        return Err(none());
    }
    for (guest, _) in guests.iter().filter(|(guest, _)| guest != tenant) {
        request.app.uplink.notice(guest, format!("Device {device} was removed by its owner."));
    }
    request.app.uplink.end_sessions(device.to_string(), None, "This device was removed from the platform.");
    request.app.uplink.notice(tenant, format!("Device {device} was removed."));
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A device that has proved who it is, in the audit of its owner.
fn of_device(request: &Request, device: &DeviceId) -> Asker {
    let tenant = request.app.control.view().row(device).map(|row| row.owner.clone());
    Asker { actor: Actor { authid: device.to_string(), kind: ActorKind::Device }, via: None, tenant }
}

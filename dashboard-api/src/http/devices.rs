//! What devices ask for over HTTP, and the removal of a device by its owner. Devices have no cookie, so the guard
//! against other sites is not theirs.

use ecep_proto::api::{
    audit::{Actor, ActorKind, Via, ViaKind, cut},
    enrol::{EnrolRequest, SessionRequest},
    name::DeviceId,
};
use warp::{http::StatusCode, reply::Reply};

use super::{Answer, Refusal, record::Asker, request::Request};
use crate::fleet_view::Change;

/// Enrols a device.
pub(super) async fn enrol(mut request: Request) -> Answer {
    let wanted: EnrolRequest = request.json().await?;
    let control = &request.app.control;
    // The first part of a join token is its id.
    let token = cut(wanted.token.split('.').next().unwrap_or_default());
    let (reply, added) = control.enrol(wanted).await?;
    let owner = control.view().device(control.clock.now(), &reply.device).map(|device| device.owner);
    request.record.is(Asker {
        actor: Actor { authid: reply.device.to_string(), kind: ActorKind::Device },
        via: Some(Via { kind: ViaKind::JoinToken, id: token }),
        tenant: owner,
    });
    if let Some(device) = added {
        let view = control.view().device(control.clock.now(), &device.id);
        if let Some(view) = view {
            request.app.uplink.tell(Change { before: None, device: view });
        }
    }
    Ok(warp::reply::json(&reply).into_response())
}

/// Trades a signature for a ticket.
pub(super) async fn session(mut request: Request) -> Answer {
    let wanted: SessionRequest = request.json().await?;
    Ok(warp::reply::json(&request.app.control.device_session(&wanted)?).into_response())
}

/// Removes a device of the tenant.
pub(super) async fn remove(request: Request) -> Answer {
    let tenant = request.tenant()?;
    let none = || Refusal::not_found("This tenant has no such device. It may have been removed already.");
    let device: DeviceId = request.id().parse().map_err(|_| none())?;
    if !request.app.control.remove_device(tenant, &device).await? {
        return Err(none());
    }
    request.app.uplink.end_sessions(device.to_string(), None, "This device was removed from the platform.");
    request.app.uplink.notice(tenant, format!("Device {device} was removed."));
    Ok(StatusCode::NO_CONTENT.into_response())
}

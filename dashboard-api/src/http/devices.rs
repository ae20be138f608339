//! What devices ask for over HTTP, and the removal of a device by its owner. Devices have no cookie, so the guard
//! against other sites is not theirs.

use ecep_proto::api::{
    enrol::{EnrolRequest, SessionRequest},
    name::DeviceId,
};
use warp::{
    http::{Method, StatusCode},
    reply::Reply,
};

use super::{Answer, Refusal, request::Request};
use crate::fleet_view::Change;

/// `POST` enrols a device.
pub(super) async fn enrol(mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let wanted: EnrolRequest = request.json().await?;
    let control = &request.app.control;
    let (reply, added) = control.enrol(wanted).await?;
    if let Some(device) = added {
        let view = control.view().device(control.clock.now(), &device.id);
        if let Some(view) = view {
            request.app.uplink.tell(Change { before: None, device: view });
        }
    }
    Ok(warp::reply::json(&reply).into_response())
}

/// `POST` trades a signature for a ticket.
pub(super) async fn session(mut request: Request) -> Answer {
    if request.method != Method::POST {
        return Err(Refusal::method("POST"));
    }
    let wanted: SessionRequest = request.json().await?;
    Ok(warp::reply::json(&request.app.control.device_session(&wanted)?).into_response())
}

/// `DELETE` removes a device of the tenant (owner).
pub(super) async fn device(slug: String, id: String, request: Request) -> Answer {
    if request.method != Method::DELETE {
        return Err(Refusal::method("DELETE"));
    }
    let tenant = request.owner_of(&slug)?;
    let none = || Refusal::not_found("This tenant has no such device. It may have been removed already.");
    let device: DeviceId = id.parse().map_err(|_| none())?;
    if !request.app.control.remove_device(&tenant, &device).await? {
        return Err(none());
    }
    request.app.uplink.end_sessions(id, None, "This device was removed from the platform.");
    request.app.uplink.notice(&tenant, format!("Device {device} was removed."));
    Ok(StatusCode::NO_CONTENT.into_response())
}

//! The procedure of the router itself by which the control plane ends the sessions of whoever may not be there any
//! more. Must not know why they may not.

use ecep_proto::api::auth::{EndSessionsReply, EndSessionsRequest};
use ecep_proto::error::INVALID_ARGUMENT;
use ecep_proto::message::{Error, Invocation, Message, Yield};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

use crate::hub::Hub;

/// Does what is asked; the answer for the realm.
pub(crate) async fn serve(hub: &Hub, invocation: Invocation) -> Message {
    let request = match read(&invocation.payload) {
        Ok(request) => request,
        Err(error) => {
            let text = format!("the arguments are not as they should be: {error}");
            return Message::Error(Error {
                request_type: Invocation::CODE,
                request: invocation.request,
                details: Dict::new(),
                error: INVALID_ARGUMENT.to_owned(),
                payload: Payload::of(text),
            });
        }
    };
    let EndSessionsRequest { authid, realm, reason } = request;
    let ended = hub.end_sessions(&authid, realm.as_deref(), &reason).await;
    tracing::info!(authid, realm, ended, reason, "sessions ended for the control plane");
    let reply = serde_json::to_value(EndSessionsReply { ended }).ok();
    let reply = reply.and_then(|reply| serde_json::from_value(reply).ok()).unwrap_or(Value::Null);
    let payload = Payload::of(reply);
    Message::Yield(Yield { request: invocation.request, options: Dict::new(), payload })
}

fn read(payload: &Payload) -> Result<EndSessionsRequest, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(payload.kwargs())?)
}

//! What the clients must get.

use ecep_proto::id::RequestId;
use ecep_proto::message::*;
use ecep_proto::payload::Payload;
use ecep_proto::value::Value;

/// A message, as far as the model foresees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    Failed {
        request: RequestId,
        error: &'static str,
    },
    /// The answer of a meta procedure that has nothing to say.
    Done {
        request: RequestId,
    },
    Result {
        request: RequestId,
        mark: i64,
        progress: bool,
    },
    Interrupt {
        invocation: RequestId,
        mode: &'static str,
    },
}

impl Expected {
    pub fn is(&self, message: &Message) -> bool {
        match (self, message) {
            (Self::Failed { request, error }, Message::Error(found)) => {
                (found.request_type, found.request, found.error.as_str()) == (Call::CODE, *request, *error)
            }
            (Self::Result { request, mark, progress }, Message::CallResult(found)) => {
                found.request == *request
                    && found.payload == Payload::of(*mark)
                    && found.details.get("progress").is_some_and(|flag| *flag == Value::Bool(true))
                        == *progress
            }
            (Self::Done { request }, Message::CallResult(found)) => {
                found.request == *request && found.payload == Payload::default()
            }
            (Self::Interrupt { invocation, mode }, Message::Interrupt(found)) => {
                found.request == *invocation && found.options["mode"] == Value::from(*mode)
            }
            _ => false,
        }
    }
}

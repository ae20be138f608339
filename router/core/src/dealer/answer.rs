//! YIELD and ERROR of a callee, and messages of a call that could not be delivered.

use ecep_proto::error::{FEATURE_NOT_SUPPORTED, PAYLOAD_SIZE_EXCEEDED, UNAVAILABLE};
use ecep_proto::id::RequestId;
use ecep_proto::message::{Call as CallMessage, CallResult, Error, Invocation, Yield};
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Strictness, Uri};
use ecep_proto::value::{Dict, Value};

use super::Dealer;
use super::calls::Call;
use super::invoke::Refusal;
use crate::features::Feature;
use crate::options::{self, Failure};
use crate::profile::{self, Outcome, Profile};
use crate::realm::Context;
use crate::session::SessionKey;

/// Why an answer does not reach its caller.
const NO_PASSTHRU: &str = "the caller takes no payload that the router does not look into";

/// What a caller hears in place of an answer that it can't take.
pub(crate) const ANSWER_TOO_LARGE: &str = "the answer is larger than this session takes";

impl Dealer {
    /// The call that the callee answers. An answer to a call that has ended is late, one to an invocation that there
    /// never was is wrong.
    fn answered(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        invocation: RequestId,
        is_last: bool,
    ) -> Result<Option<usize>, Failure> {
        match self.calls.of_callee(from, invocation) {
            Some(key) if self.calls.get(key).is_some_and(Call::is_abandoned) => {
                if is_last {
                    self.finish(key);
                    self.settle(cx);
                }
                Ok(None)
            }
            Some(key) => Ok(Some(key)),
            None if Self::was_issued(cx, from, invocation) => Ok(None),
            None => Err(Failure::Violation(format!("there was no INVOCATION {invocation}"))),
        }
    }

    pub(crate) fn result(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Yield,
    ) -> Result<(), Failure> {
        let progress = options::flag(&message.options, "progress")?;
        let passthru = passthru(cx, from, &message.options, "YIELD")?;
        let Some(key) = self.answered(cx, from, message.request, !progress)? else { return Ok(()) };
        let caller = self.calls.get(key).map(|call| call.caller);
        if !passthru.is_empty() && !caller.is_some_and(|caller| takes_passthru(cx, caller)) {
            let error = FEATURE_NOT_SUPPORTED.to_owned();
            cx.send_error(from, Yield::CODE, message.request, error, Payload::of(NO_PASSTHRU));
            let call = self.finish(key);
            let error = FEATURE_NOT_SUPPORTED.to_owned();
            cx.send_error(call.caller, CallMessage::CODE, call.request, error, Payload::of(NO_PASSTHRU));
            self.settle(cx);
            return Ok(());
        }
        if progress {
            self.progress(cx, key, passthru, message.payload);
            return Ok(());
        }
        let call = self.finish(key);
        let profiled = cx.sessions.get(from).is_some_and(|callee| callee.profile == Profile::WampAsync);
        let outcome = if profiled && passthru.is_empty() {
            profile::unfold(message.payload)
        } else {
            Outcome::Result(message.payload)
        };
        match outcome {
            Outcome::Result(payload) => {
                cx.send(call.caller, CallResult { request: call.request, details: passthru, payload });
            }
            Outcome::Error { uri, payload } => {
                cx.send_error(call.caller, CallMessage::CODE, call.request, uri, payload);
            }
        }
        self.settle(cx);
        Ok(())
    }

    /// A piece of a result goes on only if the callee was told that its caller takes it.
    fn progress(&mut self, cx: &mut Context, key: usize, mut details: Dict, payload: Payload) {
        let Some(call) = self.calls.get_mut(key).filter(|call| call.takes_progress) else { return };
        call.is_settled = true;
        details.insert("progress".into(), Value::Bool(true));
        cx.send(call.caller, CallResult { request: call.request, details, payload });
        self.calls.restart(key, cx.now);
    }

    pub(crate) fn error(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Error,
    ) -> Result<(), Failure> {
        if message.request_type != Invocation::CODE {
            let text = format!(
                "a client can answer an INVOCATION with ERROR, not a message of type {}",
                message.request_type
            );
            return Err(Failure::Violation(text));
        }
        if let Err(error) = Uri::parse(message.error.as_str(), Strictness::Loose) {
            return Err(Failure::Violation(error.to_string()));
        }
        let passthru = passthru(cx, from, &message.details, "ERROR")?;
        let Some(key) = self.answered(cx, from, message.request, true)? else { return Ok(()) };
        let can_move = self.calls.get(key).is_some_and(|call| !call.is_settled && !call.is_canceled);
        if message.error == UNAVAILABLE && can_move {
            self.reroute(cx, key, &Refusal { payload: message.payload });
        } else {
            let call = self.finish(key);
            let (details, error, payload) = if passthru.is_empty() || takes_passthru(cx, call.caller) {
                (passthru, message.error, message.payload)
            } else {
                (Dict::new(), FEATURE_NOT_SUPPORTED.to_owned(), Payload::of(NO_PASSTHRU))
            };
            let (request_type, request) = (CallMessage::CODE, call.request);
            cx.send_error_message(call.caller, Error { request_type, request, details, error, payload });
        }
        self.settle(cx);
        Ok(())
    }

    /// The call of an INVOCATION that was not delivered, if anybody waits for it.
    fn undelivered(&self, callee: SessionKey, invocation: RequestId) -> Option<usize> {
        let key = self.calls.of_callee(callee, invocation)?;
        self.calls.get(key).is_some_and(|call| !call.is_abandoned()).then_some(key)
    }

    /// The callee has too much to read: another one gets the call.
    pub(crate) fn stalled(&mut self, cx: &mut Context, callee: SessionKey, invocation: RequestId) {
        let Some(key) = self.undelivered(callee, invocation) else { return };
        let text = "the callee does not read its calls fast enough at the moment; try again in a few seconds";
        if self.calls.get(key).is_some_and(|call| call.is_settled) {
            // It has got the beginning of the call.
            self.end(cx, key, UNAVAILABLE, text);
        } else {
            self.reroute(cx, key, &Refusal { payload: Payload::of(text) });
        }
        self.settle(cx);
    }

    /// The callee can't take an INVOCATION of this size.
    pub(crate) fn too_large_call(&mut self, cx: &mut Context, callee: SessionKey, invocation: RequestId) {
        let Some(key) = self.undelivered(callee, invocation) else { return };
        let text = "the call is larger than its callee takes";
        if self.calls.get(key).is_some_and(|call| call.is_settled) {
            self.end(cx, key, PAYLOAD_SIZE_EXCEEDED, text);
        } else {
            let call = self.finish(key);
            let error = PAYLOAD_SIZE_EXCEEDED.to_owned();
            cx.send_error(call.caller, CallMessage::CODE, call.request, error, Payload::of(text));
        }
        self.settle(cx);
    }

    /// The caller can't take a RESULT of this size. If it was a piece, the call ends here.
    pub(crate) fn too_large_result(&mut self, cx: &mut Context, caller: SessionKey, request: RequestId) {
        let text = ANSWER_TOO_LARGE;
        match self.calls.of_caller(caller, request) {
            Some(key) => self.end(cx, key, PAYLOAD_SIZE_EXCEEDED, text),
            None => {
                let error = PAYLOAD_SIZE_EXCEEDED.to_owned();
                cx.send_error(caller, CallMessage::CODE, request, error, Payload::of(text));
            }
        }
        self.settle(cx);
    }
}

/// The options of an answer that the router does not look into.
fn passthru(cx: &Context, callee: SessionKey, options: &Dict, message: &str) -> Result<Dict, Failure> {
    if options.is_empty() {
        return Ok(Dict::new());
    }
    let passthru = options::passthru(options)?;
    if !passthru.is_empty() && !cx.sessions.features(callee).has(Feature::CalleePassthru) {
        let text =
            format!("{message} with ppt_scheme from a callee that has not announced payload_passthru_mode");
        return Err(Failure::Violation(text));
    }
    Ok(passthru)
}

fn takes_passthru(cx: &Context, caller: SessionKey) -> bool {
    cx.sessions.features(caller).has(Feature::CallerPassthru)
}

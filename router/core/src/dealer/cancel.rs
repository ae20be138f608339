//! Calls that end before their callee has answered: canceled, overdue, left by their caller, or not to be delivered.

use ecep_proto::error::{CANCELED, TIMEOUT};
use ecep_proto::id::RequestId;
use ecep_proto::message::{Call as CallMessage, Cancel, Interrupt};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

use super::Dealer;
use super::calls::{Invoked, Place};
use crate::features::Feature;
use crate::options::Failure;
use crate::realm::Context;
use crate::session::SessionKey;

/// What a caller wants its CANCEL to do (specification, "Call Canceling").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The callee is not told.
    Skip,
    /// The callee is told, and has the last word.
    Kill,
    /// The callee is told, and what it says is of no interest.
    KillNoWait,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Skip, Self::Kill, Self::KillNoWait];

    const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Kill => "kill",
            Self::KillNoWait => "killnowait",
        }
    }

    /// The specification names no default. What a time-out does is the one that leaves neither caller nor callee
    /// waiting.
    fn of_options(options: &Dict) -> Result<Self, Failure> {
        let found = match options.get("mode") {
            None | Some(Value::Null) => return Ok(Self::KillNoWait),
            Some(Value::Str(name)) => match Self::ALL.into_iter().find(|mode| mode.name() == name) {
                Some(mode) => return Ok(mode),
                None => format!("{name:?}"),
            },
            Some(other) => other.kind().to_owned(),
        };
        Err(Failure::Violation(format!("option mode must be skip, kill or killnowait, not {found}")))
    }
}

impl Dealer {
    /// A CANCEL of a call that has ended is late, not wrong.
    pub(crate) fn cancel(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Cancel,
    ) -> Result<(), Failure> {
        let mode = Mode::of_options(&message.options)?;
        let Some(key) = self.calls.of_caller(from, message.request) else { return Ok(()) };
        let Some(call) = self.calls.get_mut(key) else { return Ok(()) };
        if let (Mode::Kill, Place::Running(invoked)) = (mode, call.place)
            && can_interrupt(cx, invoked.callee)
        {
            if !std::mem::replace(&mut call.is_canceled, true) {
                interrupt(cx, invoked, Mode::Kill, CANCELED);
            }
            return Ok(());
        }
        let text = "canceled by the caller";
        if mode == Mode::Skip {
            let (caller, request) = self.leave_to_callee(key);
            send_error(cx, caller, request, CANCELED, text);
        } else {
            self.end(cx, key, CANCELED, text);
        }
        self.settle(cx);
        Ok(())
    }

    pub(crate) fn end_overdue(&mut self, cx: &mut Context) {
        while let Some(key) = self.calls.overdue(cx.now) {
            let text = match self.calls.get(key).map(|call| call.place) {
                Some(Place::Waiting) => "no callee had room for the call in the time that the caller gave it",
                _ => "the callee did not answer in the time that the caller gave it",
            };
            self.end(cx, key, TIMEOUT, text);
        }
        self.settle(cx);
    }

    /// Ends a call by an ERROR to its caller.
    pub(super) fn end(&mut self, cx: &mut Context, key: usize, error: &'static str, message: &str) {
        let (caller, request) = self.drop_call(cx, key, error);
        send_error(cx, caller, request, error, message);
    }

    /// Ends a call without a word to its caller. Its callee is told to stop if it understands that.
    pub(super) fn drop_call(
        &mut self,
        cx: &mut Context,
        key: usize,
        reason: &'static str,
    ) -> (SessionKey, RequestId) {
        if let Some(Place::Running(invoked)) = self.calls.get(key).map(|call| call.place)
            && cx.sessions.get(invoked.callee).is_some()
        {
            if !can_interrupt(cx, invoked.callee) {
                return self.leave_to_callee(key);
            }
            interrupt(cx, invoked, Mode::KillNoWait, reason);
        }
        let call = self.finish(key);
        (call.caller, call.request)
    }

    /// The callee is not told that nobody waits any longer. While it works on the call, that counts for how much it
    /// takes at once.
    fn leave_to_callee(&mut self, key: usize) -> (SessionKey, RequestId) {
        let limited = self.calls.get(key).and_then(|call| {
            let seat = call.invoked()?.seat;
            let registration = self.registrations.get(call.registration)?;
            let callee = registration.callees.iter().find(|callee| callee.seat == seat)?;
            callee.concurrency.map(|_| (call.caller, call.request))
        });
        if let Some(ended) = limited
            && self.calls.abandon(key)
        {
            return ended;
        }
        let call = self.finish(key);
        (call.caller, call.request)
    }
}

fn can_interrupt(cx: &Context, callee: SessionKey) -> bool {
    cx.sessions.get(callee).is_some_and(|session| session.features.has(Feature::CalleeCanceling))
}

fn interrupt(cx: &mut Context, invoked: Invoked, mode: Mode, reason: &str) {
    let options =
        Dict::from([("mode".into(), Value::from(mode.name())), ("reason".into(), Value::from(reason))]);
    cx.send(invoked.callee, Interrupt { request: invoked.invocation, options });
}

fn send_error(cx: &mut Context, to: SessionKey, request: RequestId, error: &str, message: &str) {
    cx.send_error(to, CallMessage::CODE, request, error.to_owned(), Payload::of(message));
}

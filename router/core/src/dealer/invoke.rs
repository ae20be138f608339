//! CALL: who is to answer it, and the INVOCATIONs that are made from it.

use std::collections::VecDeque;
use std::time::Duration;

use ecep_proto::error::{
    DISCLOSE_ME_DISALLOWED, FEATURE_NOT_SUPPORTED, LIMIT_EXCEEDED, NO_AVAILABLE_CALLEE, NO_SUCH_PROCEDURE,
    PAYLOAD_SIZE_EXCEEDED,
};
use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::message::{Call as CallMessage, Invocation};
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::{Dict, Value};

use super::calls::{Call, Invoked, Place};
use super::kept::{self, Kept, Wish};
use super::registrations::{Callee, Pick};
use super::{Dealer, Freed, MAX_CALL_TIMEOUT, MAX_WAITING_CALLS};
use crate::features::{Feature, Features};
use crate::options::{self, Failure};
use crate::permissions::{Action, Disclosure};
use crate::profile::{self, Profile};
use crate::realm::Context;
use crate::session::{Session, SessionKey};

impl Dealer {
    pub(crate) fn call(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: CallMessage,
    ) -> Result<(), Failure> {
        if let Some(key) = self.calls.of_caller(from, message.request) {
            return self.continue_call(cx, key, message);
        }
        let progress = options::flag(&message.options, "progress")?;
        if self.calls.is_late(from, message.request) {
            if !progress {
                self.calls.end_late(from, message.request);
            }
            return Ok(());
        }
        let timeout = options::number(&message.options, "timeout")?.filter(|milliseconds| *milliseconds > 0);
        let timeout = timeout.map(|milliseconds| Duration::from_millis(milliseconds).min(MAX_CALL_TIMEOUT));
        let mut wish = wish(cx, from, &message.options, progress)?;
        let id = self.find(cx, from, message.procedure, &mut wish)?;
        if self.calls.count(from) >= cx.limits.pending_calls {
            let text = format!(
                "{} calls of this session wait for their answers already (limits.max_pending_calls): wait for some of them first",
                cx.limits.pending_calls
            );
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        let Some(registration) = self.registrations.get_mut(id) else { return Ok(()) };
        let mut call = Call {
            caller: from,
            request: message.request,
            registration: id,
            number: self.calls.number(),
            place: Place::Waiting,
            timeout,
            deadline: timeout.map(|timeout| cx.now + timeout),
            takes_progress: false,
            is_settled: false,
            is_canceled: false,
            kept: None,
            tried: Vec::new(),
        };
        let sessions = &*cx.sessions;
        let payload = std::slice::from_ref(&message.payload);
        let fit = |callee| is_fit(sessions.get(callee), &wish, payload);
        match registration.pick(&[], fit, cx.ids) {
            Pick::Callee(at) => {
                let is_shared = registration.callees.len() > 1;
                let Some(invoked) = self.seat(cx, id, at) else { return Ok(()) };
                call.place = Place::Running(invoked);
                call.takes_progress = takes_progress(cx.sessions.features(invoked.callee), &wish);
                let details = details(cx, &call, invoked, &wish);
                if is_shared || wish.progress {
                    call.kept = Some(Box::new(self.kept(from, wish, is_shared, &message.payload)));
                }
                self.calls.insert(call);
                invoke(cx, from, invoked, id, details, message.payload);
                Ok(())
            }
            Pick::Full => {
                let weight = kept::weight(&message.payload);
                if registration.waiting.len() >= MAX_WAITING_CALLS || !self.calls.can_keep(from, weight) {
                    let text = "no callee has room, and too many calls wait for one already; try again later";
                    return Err(Failure::refused(LIMIT_EXCEEDED, text));
                }
                call.kept = Some(Box::new(self.kept(from, wish, true, &message.payload)));
                let number = call.number;
                let key = self.calls.insert(call);
                if let Some(registration) = self.registrations.get_mut(id) {
                    registration.waiting.insert(number, key);
                }
                Ok(())
            }
            Pick::Unfit | Pick::Nobody if wish.progress => {
                Err(Failure::refused(FEATURE_NOT_SUPPORTED, "no callee takes a call in pieces"))
            }
            Pick::Unfit | Pick::Nobody if !wish.passthru.is_empty() => {
                let text = "no callee takes a payload that the router does not look into";
                Err(Failure::refused(FEATURE_NOT_SUPPORTED, text))
            }
            Pick::Unfit | Pick::Nobody => Err(Failure::refused(
                PAYLOAD_SIZE_EXCEEDED,
                "the arguments are more than the callee can be given",
            )),
        }
    }

    /// Whether a CALL of this id is a piece of a call that the caller has made before.
    pub(crate) fn continues(&self, from: SessionKey, request: RequestId) -> bool {
        let pending = self.calls.of_caller(from, request).and_then(|key| self.calls.get(key));
        pending.map_or_else(|| self.calls.is_late(from, request), Call::is_open)
    }

    /// The registration that the call is for, if its caller may call it.
    ///
    /// A URI that is registered as it stands has been checked; any other is checked before it is looked for.
    fn find(
        &self,
        cx: &Context,
        from: SessionKey,
        procedure: String,
        wish: &mut Wish,
    ) -> Result<RegistrationId, Failure> {
        let exact = self.registrations.lookup(Match::Exact, &procedure);
        if exact.is_none() {
            options::check_uri(&procedure, cx.strictness)?;
        }
        cx.permit(from, Action::Call, Match::Exact, &procedure)?;
        let found = exact.or_else(|| self.registrations.best(&procedure));
        let Some(id) = found else {
            let text = format!("nobody has registered {procedure}");
            return Err(Failure::refused(NO_SUCH_PROCEDURE, text));
        };
        wish.by_pattern = exact.is_none();
        if wish.by_pattern || wish.progress {
            wish.called = procedure;
        }
        Ok(id)
    }

    /// A further piece of a call. Only `progress` is read of its options: all others are those of the first piece.
    fn continue_call(&mut self, cx: &mut Context, key: usize, message: CallMessage) -> Result<(), Failure> {
        let progress = options::flag(&message.options, "progress")?;
        let Some(call) = self.calls.get_mut(key) else { return Ok(()) };
        let (caller, place) = (call.caller, call.place);
        let Some(kept) = call.kept.as_mut().filter(|kept| kept.wish.progress) else {
            return Err(Failure::Violation(format!("request {} is still pending", message.request)));
        };
        if kept.wish.called != message.procedure {
            let text = format!("request {} is a call of {}", message.request, kept.wish.called);
            return Err(Failure::Violation(text));
        }
        kept.wish.progress = progress;
        match place {
            Place::Running(invoked) => {
                call.is_settled = true;
                self.calls.release(key);
                let Some(call) = self.calls.get(key) else { return Ok(()) };
                let Some(kept) = &call.kept else { return Ok(()) };
                let details = details(cx, call, invoked, &kept.wish);
                invoke(cx, caller, invoked, call.registration, details, message.payload);
            }
            Place::Waiting => {
                let payload = message.payload.detached();
                if self.calls.can_keep(caller, kept::weight(&payload)) {
                    self.calls.keep(key, payload);
                } else {
                    let text =
                        "no callee has room, and too much of the call waits for one already; try again later";
                    self.end(cx, key, LIMIT_EXCEEDED, text);
                }
            }
            Place::Abandoned(_) => {}
        }
        Ok(())
    }

    /// What is kept of a call; its payload only if there is room for it.
    fn kept(&self, caller: SessionKey, wish: Wish, keep_payload: bool, payload: &Payload) -> Kept {
        let mut kept = Kept { wish, ..Kept::default() };
        if keep_payload {
            let payload = payload.detached();
            let weight = kept::weight(&payload);
            if self.calls.can_keep(caller, weight) {
                kept.payloads.push_back(payload);
                kept.weight = weight;
            }
        }
        kept
    }

    /// Gives a callee a call.
    fn seat(&mut self, cx: &mut Context, id: RegistrationId, at: usize) -> Option<Invoked> {
        let callee = self.registrations.get_mut(id)?.callees.get_mut(at)?;
        let session = cx.sessions.get_mut(callee.session)?;
        let invocation = session.next_invocation;
        session.next_invocation = invocation.next();
        callee.running += 1;
        let Callee { session, seat, disclose_caller, .. } = *callee;
        Some(Invoked { callee: session, invocation, seat, disclose_caller })
    }

    /// Looks for a callee for a call that waits. If none has room, it goes on waiting.
    fn place(&mut self, cx: &mut Context, key: usize, why_not: &Refusal) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let (id, number) = (call.registration, call.number);
        let (Some(kept), Some(registration)) = (&mut call.kept, self.registrations.get_mut(id)) else {
            return self.refuse(cx, key, why_not);
        };
        let sessions = &*cx.sessions;
        let payloads = kept.payloads.make_contiguous();
        // Only a call that is in one piece can still go to somebody else.
        let can_move = registration.callees.len() > 1 && payloads.len() == 1;
        let fit = |callee| is_fit(sessions.get(callee), &kept.wish, payloads);
        let at = match registration.pick(&call.tried, fit, cx.ids) {
            Pick::Callee(at) => at,
            Pick::Full => return,
            Pick::Unfit | Pick::Nobody => return self.refuse(cx, key, why_not),
        };
        registration.waiting.remove(&number);
        let Some(invoked) = self.seat(cx, id, at) else { return };
        let Some(kept) = self.calls.get(key).and_then(|call| call.kept.as_ref()) else { return };
        let takes_progress = takes_progress(cx.sessions.features(invoked.callee), &kept.wish);
        let payloads = if can_move { kept.payloads.clone() } else { self.calls.release(key) };
        self.calls.run(key, invoked, takes_progress);
        self.deliver(cx, key, invoked, payloads);
    }

    /// Sends all pieces of a call that there are so far.
    fn deliver(&mut self, cx: &mut Context, key: usize, invoked: Invoked, payloads: VecDeque<Payload>) {
        let count = payloads.len();
        let Some(call) = self.calls.get_mut(key) else { return };
        call.is_settled |= count > 1;
        let Some(call) = self.calls.get(key) else { return };
        let Some(kept) = &call.kept else { return };
        for (number, payload) in payloads.into_iter().enumerate() {
            let is_last = number + 1 == count;
            let wish = Wish { progress: kept.wish.progress || !is_last, ..kept.wish.clone() };
            let details = details(cx, call, invoked, &wish);
            invoke(cx, call.caller, invoked, call.registration, details, payload);
        }
    }

    /// The callee can't take the call: another one gets it.
    pub(super) fn reroute(&mut self, cx: &mut Context, key: usize, refusal: &Refusal) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Place::Running(invoked) = call.place else { return };
        let (id, number) = (call.registration, call.number);
        call.tried.push(invoked.seat);
        self.calls.wait(key);
        self.free(id, invoked.seat);
        let has_payload = self
            .calls
            .get(key)
            .and_then(|call| call.kept.as_ref())
            .is_some_and(|kept| !kept.payloads.is_empty());
        if let Some(registration) = self.registrations.get_mut(id) {
            registration.waiting.insert(number, key);
        }
        if !has_payload {
            self.refuse(cx, key, refusal);
        } else {
            // If none has room, it waits, before all calls that came after it.
            self.place(cx, key, refusal);
        }
    }

    fn refuse(&mut self, cx: &mut Context, key: usize, refusal: &Refusal) {
        let call = self.finish(key);
        let error = NO_AVAILABLE_CALLEE.to_owned();
        cx.send_error(call.caller, CallMessage::CODE, call.request, error, refusal.payload.clone());
    }

    /// Gives calls that wait to callees that have room, in the order in which they came. Where a callee has gone, those
    /// that nobody else can take end.
    pub(super) fn settle(&mut self, cx: &mut Context) {
        while let Some(Freed { registration: id, callee_lost }) = self.freed.pop() {
            let mut next = 0;
            while let Some(registration) = self.registrations.get(id)
                && let Some((number, key)) = registration.waiting.range(next..).next()
                && (callee_lost || registration.has_room())
            {
                next = number + 1;
                let refusal = Refusal { payload: Payload::of("no callee is left that can take the call") };
                self.place(cx, *key, &refusal);
            }
        }
    }
}

/// Why the last callee that was tried did not take a call.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) payload: Payload,
}

fn wish(cx: &Context, from: SessionKey, options: &Dict, progress: bool) -> Result<Wish, Failure> {
    let caller = cx.session(from)?;
    let disclosure = caller.role().disclose_caller;
    if options.is_empty() {
        return Ok(Wish { disclosure, ..Wish::default() });
    }
    let features = caller.features;
    if progress && !features.has(Feature::CallerProgressiveInvocations) {
        let text = "option progress of a CALL needs the feature progressive_call_invocations, which this caller has not announced";
        return Err(Failure::Violation(text.to_owned()));
    }
    let asks = options::flag(options, "receive_progress")?;
    let passthru = options::passthru(options)?;
    if !passthru.is_empty() && !features.has(Feature::CallerPassthru) {
        let text = "CALL with option ppt_scheme from a caller that has not announced payload_passthru_mode";
        return Err(Failure::Violation(text.to_owned()));
    }
    let disclosure = match (options::flag(options, "disclose_me")?, disclosure) {
        (true, Disclosure::Never) => {
            let text = format!("callers in the role {} stay unknown", caller.identity.authrole);
            return Err(Failure::refused(DISCLOSE_ME_DISALLOWED, text));
        }
        (true, _) => Disclosure::Always,
        (false, of_role) => of_role,
    };
    Ok(Wish {
        disclosure,
        passthru,
        receive_progress: asks && features.has(Feature::CallerProgressiveResults),
        progress,
        ..Wish::default()
    })
}

/// The details of an INVOCATION.
fn details(cx: &Context, call: &Call, to: Invoked, wish: &Wish) -> Dict {
    let mut details = wish.passthru.clone();
    if let Some(caller) = cx.sessions.get(call.caller) {
        let is_disclosed = match wish.disclosure {
            Disclosure::OnRequest => to.disclose_caller,
            Disclosure::Always => true,
            Disclosure::Never => false,
        };
        if is_disclosed {
            details.insert("caller".into(), Value::from(caller.id.get()));
            details.insert("caller_authid".into(), Value::from(caller.identity.authid.as_str()));
            details.insert("caller_authrole".into(), Value::from(caller.identity.authrole.as_str()));
        }
        if let Some(trustlevel) = caller.role().trustlevel {
            details.insert("trustlevel".into(), Value::from(trustlevel));
        }
    }
    if wish.by_pattern {
        details.insert("procedure".into(), Value::from(wish.called.as_str()));
    }
    if wish.progress {
        details.insert("progress".into(), Value::Bool(true));
    }
    if call.takes_progress {
        details.insert("receive_progress".into(), Value::Bool(true));
    }
    details
}

/// Whether a callee can do what the call needs.
fn is_fit(callee: Option<&Session>, wish: &Wish, payloads: &[Payload]) -> bool {
    let Some(callee) = callee else { return false };
    let can = |feature| callee.features.has(feature);
    let takes_pieces = || can(Feature::CalleeProgressiveInvocations) && can(Feature::CalleeCanceling);
    // Who calls is written into the payload, so it must be read.
    let is_readable = || !payloads.iter().any(Payload::is_too_complex);
    let in_pieces = wish.progress || payloads.len() > 1;
    (!in_pieces || takes_pieces())
        && (wish.passthru.is_empty() || can(Feature::CalleePassthru))
        && (callee.profile != Profile::WampAsync || is_readable())
}

/// "A callee that supports progressive results, but not call canceling, is considered not to support them."
fn takes_progress(callee: Features, wish: &Wish) -> bool {
    wish.receive_progress
        && callee.has(Feature::CalleeProgressiveResults)
        && callee.has(Feature::CalleeCanceling)
}

fn invoke(
    cx: &mut Context,
    caller: SessionKey,
    to: Invoked,
    registration: RegistrationId,
    details: Dict,
    mut payload: Payload,
) {
    if let Some(caller) = cx.sessions.get(caller)
        && cx.sessions.get(to.callee).is_some_and(|callee| callee.profile == Profile::WampAsync)
    {
        payload = profile::with_caller(payload, caller);
    }
    cx.send(to.callee, Invocation { request: to.invocation, registration, details, payload });
}

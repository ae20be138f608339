//! The dealer: who has registered what, and which call waits for whom.
//!
//! Owns registrations and pending calls. A call is known by (caller, request) and by (callee, invocation): never by
//! a request id alone. Every call ends in exactly one RESULT or ERROR to its caller, unless the caller has gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use ecep_proto::error::{
    CANCELED, LIMIT_EXCEEDED, NO_SUCH_PROCEDURE, NO_SUCH_REGISTRATION, OPTION_NOT_ALLOWED,
    PROCEDURE_ALREADY_EXISTS, TIMEOUT,
};
use ecep_proto::id::{RegistrationId, RequestId};
use ecep_proto::message::{
    Call, CallResult, Cancel, Error, Invocation, Register, Registered, Unregister, Unregistered, Yield,
};
use ecep_proto::meta::SESSION_COUNT;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Match, Uri};
use ecep_proto::value::{Dict, Value};
use slab::Slab;

use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::profile::{self, Outcome, Profile};
use crate::realm::Context;
use crate::session::SessionKey;

/// Registrations of one session. An agent has about a dozen, a program one for each of its procedures; each costs
/// the router about half a kilobyte.
pub const MAX_REGISTRATIONS: usize = 1024;

/// Calls of one session that wait for their answer. A dashboard has a few; each costs the router about a quarter of
/// a kilobyte, for as long as its callee keeps silent.
pub const MAX_PENDING_CALLS: usize = 1024;

/// The longest time-out that is kept track of. Who asks for more gets this.
const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
struct Registration {
    procedure: Uri,
    callee: SessionKey,
    /// The callee wants to know who calls.
    disclose_caller: bool,
}

#[derive(Debug)]
struct PendingCall {
    caller: SessionKey,
    request: RequestId,
    callee: SessionKey,
    invocation: RequestId,
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Dealer {
    registrations: HashMap<RegistrationId, Registration>,
    by_procedure: HashMap<Uri, RegistrationId>,
    by_owner: BTreeSet<(SessionKey, RegistrationId)>,
    next_id: RegistrationId,
    calls: Slab<PendingCall>,
    by_caller: BTreeMap<(SessionKey, RequestId), usize>,
    by_callee: BTreeMap<(SessionKey, RequestId), usize>,
    deadlines: BTreeSet<(Instant, usize)>,
}

impl Default for Dealer {
    fn default() -> Self {
        Self {
            registrations: HashMap::new(),
            by_procedure: HashMap::new(),
            by_owner: BTreeSet::new(),
            next_id: RegistrationId::FIRST,
            calls: Slab::new(),
            by_caller: BTreeMap::new(),
            by_callee: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }
}

impl Dealer {
    pub(crate) fn register(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Register,
    ) -> Result<(), Failure> {
        let kind = options::matching(&message.options)?;
        if kind != Match::Exact {
            let text =
                format!("this router has no {} registrations: register each procedure by name", kind.name());
            return Err(Failure::refused(OPTION_NOT_ALLOWED, text));
        }
        match message.options.get("invoke").unwrap_or(&Value::Null) {
            Value::Null => {}
            Value::Str(policy) if policy == "single" => {}
            _ => {
                let text = "this router has no shared registrations: option invoke must be single";
                return Err(Failure::refused(OPTION_NOT_ALLOWED, text));
            }
        }
        let disclose_caller = options::flag(&message.options, "disclose_caller")?;
        let force = options::flag(&message.options, "force_reregister")?;
        let procedure = options::uri(message.procedure, kind, cx.strictness)?;
        options::unreserved(&procedure)?;
        cx.permit(from, Action::Register, kind, procedure.as_str())?;
        if self.by_owner.range(of_session(from, RegistrationId::FIRST)).count() >= MAX_REGISTRATIONS {
            let text =
                format!("this session has {MAX_REGISTRATIONS} registrations already: unregister some first");
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        if let Some(old) = self.by_procedure.get(&procedure).copied() {
            if !self.may_take_over(cx, from, old, force) {
                let text = format!("{procedure} is registered by another session");
                return Err(Failure::refused(PROCEDURE_ALREADY_EXISTS, text));
            }
            self.drop_registration(old);
        }
        let id = self.next_id;
        self.next_id = id.next();
        self.by_procedure.insert(procedure.clone(), id);
        self.by_owner.insert((from, id));
        self.registrations.insert(id, Registration { procedure, callee: from, disclose_caller });
        cx.send(from, Registered { request: message.request, registration: id });
        Ok(())
    }

    /// A client whose connection broke comes back before the router has noticed: it takes over what the same
    /// authid in the same role had. `wamp_async` can't ask for it, so its sessions always do.
    fn may_take_over(&self, cx: &Context, from: SessionKey, old: RegistrationId, force: bool) -> bool {
        let Some(registration) = self.registrations.get(&old) else { return true };
        let (Some(new), Some(owner)) = (cx.sessions.get(from), cx.sessions.get(registration.callee)) else {
            return false;
        };
        (force || new.profile == Profile::WampAsync)
            && registration.callee != from
            && new.identity.authid == owner.identity.authid
            && new.identity.authrole == owner.identity.authrole
    }

    pub(crate) fn unregister(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Unregister,
    ) -> Result<(), Failure> {
        if !self.by_owner.contains(&(from, message.registration)) {
            let text = format!("this session has no registration {}", message.registration);
            return Err(Failure::refused(NO_SUCH_REGISTRATION, text));
        }
        self.drop_registration(message.registration);
        cx.send(from, Unregistered::answer(message.request));
        Ok(())
    }

    fn drop_registration(&mut self, id: RegistrationId) {
        if let Some(registration) = self.registrations.remove(&id) {
            self.by_procedure.remove(&registration.procedure);
            self.by_owner.remove(&(registration.callee, id));
        }
    }

    pub(crate) fn call(&mut self, cx: &mut Context, from: SessionKey, message: Call) -> Result<(), Failure> {
        if self.by_caller.contains_key(&(from, message.request)) {
            return Err(Failure::Violation(format!("request {} is still pending", message.request)));
        }
        let disclose_me = options::flag(&message.options, "disclose_me")?;
        let timeout = options::number(&message.options, "timeout")?.filter(|milliseconds| *milliseconds > 0);
        let procedure = options::uri(message.procedure, Match::Exact, cx.strictness)?;
        cx.permit(from, Action::Call, Match::Exact, procedure.as_str())?;
        if procedure.as_str() == SESSION_COUNT {
            let count = session_count(cx, &message.payload);
            cx.send(from, CallResult { request: message.request, details: Dict::new(), payload: count });
            return Ok(());
        }
        if self.by_caller.range(of_session(from, RequestId::FIRST)).count() >= MAX_PENDING_CALLS {
            let text = format!(
                "{MAX_PENDING_CALLS} calls of this session wait for their answers already: wait for some of them first"
            );
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        let registered = self.by_procedure.get(&procedure);
        let registered = registered.and_then(|id| Some((*id, self.registrations.get(id)?)));
        let Some((registration, Registration { callee, disclose_caller, .. })) = registered else {
            let text = format!("nobody has registered {procedure}");
            return Err(Failure::refused(NO_SUCH_PROCEDURE, text));
        };
        let callee = *callee;
        let mut details = Dict::new();
        let mut payload = message.payload;
        if let Some(caller) = cx.sessions.get(from) {
            if disclose_me || *disclose_caller {
                details.insert("caller".into(), Value::from(caller.id.get()));
                details.insert("caller_authid".into(), Value::from(caller.identity.authid.as_str()));
                details.insert("caller_authrole".into(), Value::from(caller.identity.authrole.as_str()));
            }
            if cx.sessions.get(callee).is_some_and(|callee| callee.profile == Profile::WampAsync) {
                payload = profile::with_caller(payload, caller);
            }
        }
        // A callee that has left has no registrations, so it is there.
        let Some(session) = cx.sessions.get_mut(callee) else { return Ok(()) };
        let invocation = session.next_invocation;
        session.next_invocation = invocation.next();
        let deadline =
            timeout.map(|milliseconds| cx.now + Duration::from_millis(milliseconds).min(MAX_CALL_TIMEOUT));
        let key = self.calls.insert(PendingCall {
            caller: from,
            request: message.request,
            callee,
            invocation,
            deadline,
        });
        self.by_caller.insert((from, message.request), key);
        self.by_callee.insert((callee, invocation), key);
        self.deadlines.extend(deadline.map(|deadline| (deadline, key)));
        cx.send(callee, Invocation { request: invocation, registration, details, payload });
        Ok(())
    }

    /// A YIELD for a call that has ended is late, not wrong.
    pub(crate) fn result(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Yield,
    ) -> Result<(), Failure> {
        // Progress was not offered to anybody; the result itself is still to come.
        if options::flag(&message.options, "progress")? {
            return Ok(());
        }
        let Some(call) = self.take_by_callee(from, message.request) else { return Ok(()) };
        let profiled = cx.sessions.get(from).is_some_and(|callee| callee.profile == Profile::WampAsync);
        let outcome =
            if profiled { profile::unfold(message.payload) } else { Outcome::Result(message.payload) };
        match outcome {
            Outcome::Result(payload) => {
                cx.send(call.caller, CallResult { request: call.request, details: Dict::new(), payload });
            }
            Outcome::Error { uri, payload } => {
                cx.send_error(call.caller, Call::CODE, call.request, uri, payload)
            }
        }
        Ok(())
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
        if let Some(call) = self.take_by_callee(from, message.request) {
            cx.send_error(call.caller, Call::CODE, call.request, message.error, message.payload);
        }
        Ok(())
    }

    /// Cancelling is not offered, so the callee is not told; but whoever cancels gets an answer, whatever the mode.
    pub(crate) fn cancel(&mut self, cx: &mut Context, from: SessionKey, message: &Cancel) {
        if let Some(key) = self.by_caller.get(&(from, message.request)).copied() {
            self.end(cx, key, CANCELED, "canceled by the caller");
        }
    }

    /// The callee does not get the message: whoever waits for its answer is told why.
    pub(crate) fn undeliverable_invocation(
        &mut self,
        cx: &mut Context,
        callee: SessionKey,
        invocation: RequestId,
        error: &str,
        message: &str,
    ) {
        if let Some(key) = self.by_callee.get(&(callee, invocation)).copied() {
            self.end(cx, key, error, message);
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn end_overdue(&mut self, cx: &mut Context) {
        while let Some((deadline, key)) = self.deadlines.first().copied()
            && deadline <= cx.now
        {
            self.end(cx, key, TIMEOUT, "the callee did not answer in the time that the caller gave it");
        }
    }

    /// Drops what the session offered and ends the calls that it was in.
    pub(crate) fn forget(&mut self, cx: &mut Context, session: SessionKey) {
        let owned = of_session(session, RegistrationId::FIRST);
        let owned: Vec<RegistrationId> = self.by_owner.range(owned).map(|(_, id)| *id).collect();
        for id in owned {
            self.drop_registration(id);
        }
        let range = of_session(session, RequestId::FIRST);
        let made: Vec<usize> = self.by_caller.range(range.clone()).map(|(_, key)| *key).collect();
        for key in made {
            self.take(key);
        }
        let taken: Vec<usize> = self.by_callee.range(range).map(|(_, key)| *key).collect();
        for key in taken {
            self.end(cx, key, CANCELED, "the callee left before it answered");
        }
    }

    fn end(&mut self, cx: &mut Context, key: usize, error: &str, message: &str) {
        let call = self.take(key);
        cx.send_error(call.caller, Call::CODE, call.request, error.to_owned(), Payload::of(message));
    }

    fn take_by_callee(&mut self, callee: SessionKey, invocation: RequestId) -> Option<PendingCall> {
        let key = self.by_callee.get(&(callee, invocation)).copied()?;
        Some(self.take(key))
    }

    /// Every index names calls that are in the slab, and leaves here together with them.
    fn take(&mut self, key: usize) -> PendingCall {
        let call = self.calls.remove(key);
        self.by_caller.remove(&(call.caller, call.request));
        self.by_callee.remove(&(call.callee, call.invocation));
        if let Some(deadline) = call.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        call
    }
}

/// All keys of an index that begin with this session.
fn of_session<Id>(session: SessionKey, first: Id) -> Range<(SessionKey, Id)>
where
    Id: Copy,
{
    (session, first)..(SessionKey(session.0 + 1), first)
}

/// `wamp.session.count`: of all sessions, or of those whose role is in the list that the caller gave.
fn session_count(cx: &Context, payload: &Payload) -> Payload {
    let filter = payload.args().first().and_then(Value::as_list);
    let counts =
        |authrole: &str| filter.is_none_or(|roles| roles.iter().any(|role| role.as_str() == Some(authrole)));
    let count = match filter {
        None => cx.sessions.len(),
        Some(_) => cx.sessions.iter().filter(|(_, session)| counts(&session.identity.authrole)).count(),
    };
    Payload::of(count as u64)
}

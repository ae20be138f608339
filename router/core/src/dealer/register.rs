//! REGISTER and UNREGISTER, and registrations that the router takes back.

use std::collections::BTreeMap;

use ecep_proto::error::{
    LIMIT_EXCEEDED, NO_AVAILABLE_CALLEE, NO_SUCH_REGISTRATION, OPTION_NOT_ALLOWED, PROCEDURE_ALREADY_EXISTS,
};
use ecep_proto::id::{RegistrationId, SessionId};
use ecep_proto::message::{Register, Registered, Unregister, Unregistered};
use ecep_proto::meta::{
    REGISTRATION_ON_CREATE, REGISTRATION_ON_DELETE, REGISTRATION_ON_REGISTER, REGISTRATION_ON_UNREGISTER,
};
use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

use super::policy::Policy;
use super::registrations::Callee;
use super::{Dealer, Freed};
use crate::features::Feature;
use crate::options::{self, Failure};
use crate::permissions::Action;
use crate::profile::Profile;
use crate::realm::Context;
use crate::session::SessionKey;

/// What an old callee is told.
const TAKEN_OVER: &str = "another session of the same authid has registered it";

impl Dealer {
    pub(crate) fn register(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: Register,
    ) -> Result<(), Failure> {
        let kind = options::matching(&message.options)?;
        let policy = Policy::of_options(&message.options)?;
        let disclose_caller = options::flag(&message.options, "disclose_caller")?;
        let force = options::flag(&message.options, "force_reregister")?;
        let concurrency = options::number(&message.options, "concurrency")?;
        let procedure = options::uri(message.procedure, kind, cx.strictness)?;
        options::unreserved(&procedure)?;
        cx.permit(from, Action::Register, kind, procedure.as_str())?;
        if concurrency == Some(0) {
            let text =
                "option concurrency must be at least 1: a callee that takes no calls need not register";
            return Err(Failure::refused(OPTION_NOT_ALLOWED, text));
        }
        if self.registrations.count(from) >= cx.limits.registrations {
            let text = format!(
                "this session has {} registrations already (limits.max_registrations): unregister some first",
                cx.limits.registrations
            );
            return Err(Failure::refused(LIMIT_EXCEEDED, text));
        }
        let Some(session) = cx.sessions.get(from) else { return Ok(()) };
        let id = session.id;
        let force = force || session.profile == Profile::WampAsync;
        let mut known = self.registrations.lookup(kind, procedure.as_str());
        if let Some(old) = known {
            let replaced = if force { self.older_selves(cx, from, old) } else { Vec::new() };
            self.may_join(from, old, policy, replaced.len())?;
            for session in replaced {
                self.revoke(cx, old, session, TAKEN_OVER);
            }
            known = known.filter(|id| self.registrations.get(*id).is_some());
        }
        let registration =
            known.unwrap_or_else(|| self.registrations.create(kind, procedure, policy, cx.now));
        if known.is_none()
            && let Some(created) = self.registrations.get(registration)
        {
            announce(cx, REGISTRATION_ON_CREATE, id, Value::Map(created.details(registration, &cx.clock)));
        }
        let seat = 0; // Given by the table.
        let callee = Callee { session: from, id, seat, disclose_caller, concurrency, running: 0 };
        self.registrations.add(registration, callee);
        announce(cx, REGISTRATION_ON_REGISTER, id, Value::from(registration.get()));
        cx.send(from, Registered { request: message.request, registration });
        self.freed.push(Freed { registration, callee_lost: false });
        self.settle(cx);
        Ok(())
    }

    /// A client whose connection broke comes back before the router has noticed: it takes over what the same
    /// authid in the same role had. `wamp_async` can't ask for it, so its sessions always do.
    fn older_selves(&self, cx: &Context, from: SessionKey, id: RegistrationId) -> Vec<SessionKey> {
        let (Some(new), Some(registration)) = (cx.sessions.get(from), self.registrations.get(id)) else {
            return Vec::new();
        };
        let callees = registration.callees.iter().map(|callee| callee.session).filter(|key| *key != from);
        let is_same = |key: &SessionKey| {
            cx.sessions.get(*key).is_some_and(|old| {
                old.identity.authid == new.identity.authid && old.identity.authrole == new.identity.authrole
            })
        };
        callees.filter(is_same).collect()
    }

    /// Whether a further callee fits to those that stay.
    fn may_join(
        &self,
        from: SessionKey,
        id: RegistrationId,
        policy: Policy,
        replaced: usize,
    ) -> Result<(), Failure> {
        let Some(registration) = self.registrations.get(id) else { return Ok(()) };
        if registration.callees.len() == replaced {
            return Ok(());
        }
        let procedure = &registration.procedure;
        let text = if self.registrations.is_callee(from, id) {
            format!("this session has registered {procedure} already")
        } else if registration.policy == Policy::Single || policy == Policy::Single {
            format!("{procedure} is registered by another session")
        } else if registration.policy != policy {
            let (theirs, yours) = (registration.policy.name(), policy.name());
            format!("the callees of {procedure} have invoke {theirs}, not {yours}")
        } else {
            return Ok(());
        };
        Err(Failure::refused(PROCEDURE_ALREADY_EXISTS, text))
    }

    pub(crate) fn unregister(
        &mut self,
        cx: &mut Context,
        from: SessionKey,
        message: &Unregister,
    ) -> Result<(), Failure> {
        if !self.registrations.is_callee(from, message.registration) {
            let text = format!("this session has no registration {}", message.registration);
            return Err(Failure::refused(NO_SUCH_REGISTRATION, text));
        }
        cx.send(from, Unregistered::answer(message.request));
        self.remove_callee(cx, message.registration, from);
        self.settle(cx);
        Ok(())
    }

    /// Takes a registration away from a callee; false if it has none. The calls that it works on go on.
    pub(crate) fn remove_registration(
        &mut self,
        cx: &mut Context,
        id: RegistrationId,
        callee: SessionKey,
        reason: &str,
    ) -> bool {
        let removed = self.revoke(cx, id, callee, reason);
        self.settle(cx);
        removed
    }

    fn revoke(&mut self, cx: &mut Context, id: RegistrationId, callee: SessionKey, reason: &str) -> bool {
        if !self.registrations.is_callee(callee, id) {
            return false;
        }
        if cx.sessions.get(callee).is_some_and(|session| session.features.has(Feature::CalleeRevocation)) {
            cx.send(callee, Unregistered::revoked(id, reason));
        }
        self.remove_callee(cx, id, callee);
        true
    }

    /// Takes those registrations away that the session may no longer have.
    pub(crate) fn revoke_forbidden(&mut self, cx: &mut Context, callee: SessionKey) {
        let Some(session) = cx.sessions.get(callee) else { return };
        let may = |id: &RegistrationId| {
            self.registrations.get(*id).is_some_and(|registration| {
                session.may(Action::Register, registration.kind, registration.procedure.as_str())
            })
        };
        let forbidden = self.registrations.of_callee(callee).into_iter().filter(|id| !may(id));
        for id in forbidden.collect::<Vec<_>>() {
            self.revoke(cx, id, callee, "no longer authorized");
        }
        self.settle(cx);
    }

    /// Takes a callee out; the registration goes with the last one, and with it the calls that wait for one.
    pub(super) fn remove_callee(&mut self, cx: &mut Context, id: RegistrationId, session: SessionKey) {
        let Some(callee) = self.registrations.remove(id, session) else { return };
        announce(cx, REGISTRATION_ON_UNREGISTER, callee.id, Value::from(id.get()));
        let is_last = self.registrations.get(id).is_some_and(|registration| registration.callees.is_empty());
        if is_last {
            let waiting =
                self.registrations.get_mut(id).map(|registration| std::mem::take(&mut registration.waiting));
            self.registrations.delete(id);
            announce(cx, REGISTRATION_ON_DELETE, callee.id, Value::from(id.get()));
            for key in waiting.into_iter().flat_map(BTreeMap::into_values) {
                let text = "the last callee left before it had room for the call";
                self.end(cx, key, NO_AVAILABLE_CALLEE, text);
            }
        } else {
            self.freed.push(Freed { registration: id, callee_lost: true });
        }
    }
}

fn announce(cx: &mut Context, topic: &'static str, session: SessionId, about: Value) {
    cx.announce(topic, Payload::new(vec![Value::from(session.get()), about], Dict::new()));
}

//! Who may join: the decision after HELLO, and after AUTHENTICATE.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ecep_proto::api::auth::{AuthenticateRequest, Transport};
use ecep_proto::api::realm::CONTROL_PLANE_AUTHID;
use ecep_proto::api::roles::Role;
use ecep_proto::error::{AUTHENTICATION_DENIED, NO_MATCHING_AUTH_METHOD, NO_SUCH_REALM};
use ecep_proto::message::{Abort, Authenticate, Challenge};
use ecep_proto::value::Dict;
use ecep_router_core::greeting::{ANONYMOUS, Greeting, TICKET};
use ecep_router_core::{Identity, abort};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::authenticator::Authenticator;
use crate::config::{Config, ConfigError, read_ticket};
use crate::platform;

/// A secret that a client must show. Never printed.
struct Ticket(String);

impl Ticket {
    /// Takes as long whether or not they are equal, and wherever they differ.
    fn is(&self, claimed: &str) -> bool {
        self.0.as_bytes().ct_eq(claimed.as_bytes()).into()
    }
}

/// Who may join which realm.
pub(crate) struct Gatekeeper {
    realms: HashMap<String, RealmPolicy>,
    platform: Option<PlatformPolicy>,
}

struct RealmPolicy {
    anonymous_role: Option<String>,
    principals: HashMap<String, Principal>,
}

struct Principal {
    role: String,
    ticket: Ticket,
}

struct PlatformPolicy {
    control_ticket: Ticket,
    authenticator: Authenticator,
}

/// Who may join, and how long it may stay.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) identity: Identity,
    /// When its access ends, if it does.
    pub(crate) until: Option<Instant>,
}

impl Admitted {
    fn for_good(identity: Identity) -> Self {
        Self { identity, until: None }
    }
}

/// What the client has to do next.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Nothing: it may join as this.
    Welcome(Admitted),
    /// Answer this: [`Gatekeeper::verify`] judges the answer by it.
    Challenge(Challenge),
}

/// What became of somebody's access to a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Every platform realm if there is none.
    pub(crate) realm: Option<String>,
    pub(crate) authid: String,
    pub(crate) access: Access,
}

/// Somebody's access after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// In this role now.
    Role(String),
    /// None any more, for this reason.
    Revoked(&'static str),
}

impl RealmPolicy {
    /// The role and the ticket of everybody who can join, by authid; anonymous clients have no ticket.
    fn accesses(&self) -> BTreeMap<&str, (&str, Option<&Ticket>)> {
        let named = self
            .principals
            .iter()
            .map(|(authid, principal)| (authid.as_str(), (principal.role.as_str(), Some(&principal.ticket))));
        let anonymous = self.anonymous_role.iter().map(|role| (ANONYMOUS, (role.as_str(), None)));
        named.chain(anonymous).collect()
    }
}

impl Gatekeeper {
    /// What has changed for those who could join before, in the realms that there are still.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (realm, before) in &old.realms {
            let Some(now) = self.realms.get(realm) else { continue };
            let now = now.accesses();
            for (authid, (old_role, old_ticket)) in before.accesses() {
                let access = match now.get(authid) {
                    None => Access::Revoked("the access of this client was taken away"),
                    Some((_, ticket)) if !same(*ticket, old_ticket) => {
                        Access::Revoked("the ticket of this client was changed")
                    }
                    Some((role, _)) if *role != old_role => Access::Role((*role).to_owned()),
                    Some(_) => continue,
                };
                changes.push(Change { realm: Some(realm.clone()), authid: authid.to_owned(), access });
            }
        }
        if let (Some(old), Some(new)) = (&old.platform, &self.platform)
            && !old.control_ticket.is(&new.control_ticket.0)
        {
            let access = Access::Revoked("the ticket of this client was changed");
            changes.push(Change { realm: None, authid: CONTROL_PLANE_AUTHID.to_owned(), access });
        }
        changes
    }

    /// The way to the control plane, if there is one.
    pub(crate) fn authenticator(&self) -> Option<Authenticator> {
        self.platform.as_ref().map(|platform| platform.authenticator.clone())
    }

    /// Reads the tickets that the configuration names.
    pub(crate) fn new(config: &Config, authenticator: Option<Authenticator>) -> Result<Self, ConfigError> {
        let mut realms = HashMap::new();
        for realm in &config.realm {
            let mut principals = HashMap::new();
            for principal in &realm.principal {
                let ticket = Ticket(read_ticket(&principal.ticket_file)?);
                principals
                    .insert(principal.authid.clone(), Principal { role: principal.role.clone(), ticket });
            }
            let policy = RealmPolicy { anonymous_role: realm.anonymous_role.clone(), principals };
            realms.insert(realm.name.clone(), policy);
        }
        let platform = match (&config.platform, authenticator) {
            (Some(platform), Some(authenticator)) => {
                let control_ticket = Ticket(read_ticket(&platform.control_ticket_file)?);
                Some(PlatformPolicy { control_ticket, authenticator })
            }
            _ => None,
        };
        Ok(Self { realms, platform })
    }

    /// Judges a HELLO.
    ///
    /// # Errors
    /// The ABORT to answer.
    pub(crate) fn admit(&self, greeting: &Greeting) -> Result<Admission, Abort> {
        if self.platform.is_some() && platform::is_served(&greeting.realm) {
            greeting.choose(&[TICKET])?;
            return Ok(ask_for_ticket());
        }
        let Some(policy) = self.realms.get(&greeting.realm) else {
            return Err(abort(NO_SUCH_REALM, &format!("this router has no realm {}", greeting.realm)));
        };
        let mut offered = Vec::new();
        if policy.anonymous_role.is_some() {
            offered.push(ANONYMOUS);
        }
        if !policy.principals.is_empty() {
            offered.push(TICKET);
        }
        match (greeting.choose(&offered)?, &policy.anonymous_role) {
            (ANONYMOUS, Some(role)) => Ok(Admission::Welcome(Admitted::for_good(Identity {
                authid: ANONYMOUS.to_owned(),
                authrole: role.clone(),
                authmethod: ANONYMOUS.to_owned(),
                authprovider: "static".to_owned(),
            }))),
            _ => Ok(ask_for_ticket()),
        }
    }

    /// Judges the answer to a challenge that [`Gatekeeper::admit`] gave.
    ///
    /// # Errors
    /// The ABORT to answer.
    pub(crate) async fn verify(
        &self,
        greeting: &Greeting,
        challenge: &Challenge,
        answer: Authenticate,
        transport: Transport,
    ) -> Result<Admitted, Abort> {
        let ticket = match challenge.method.as_str() {
            TICKET => answer.signature,
            other => {
                return Err(abort(NO_MATCHING_AUTH_METHOD, &format!("this router has no method {other}")));
            }
        };
        let identity = |authid: &str, authrole: &str, authprovider: &str| Identity {
            authid: authid.to_owned(),
            authrole: authrole.to_owned(),
            authmethod: TICKET.to_owned(),
            authprovider: authprovider.to_owned(),
        };
        let Greeting { realm, authid, .. } = greeting;
        if let Some(platform) = self.platform.as_ref().filter(|_| platform::is_platform_realm(realm)) {
            if authid == CONTROL_PLANE_AUTHID {
                return if platform.control_ticket.is(&ticket) {
                    Ok(Admitted::for_good(identity(authid, Role::ControlPlane.as_str(), "static")))
                } else {
                    Err(denied())
                };
            }
            let request = AuthenticateRequest {
                realm: realm.clone(),
                authid: authid.clone(),
                authmethod: TICKET.to_owned(),
                ticket,
                transport,
            };
            let reply = platform.authenticator.ask(request).await?;
            // An end beyond what the clock can tell is none.
            let span = reply.ends_in_ms.map(Duration::from_millis);
            let until = span.and_then(|span| Instant::now().checked_add(span));
            let identity = identity(&reply.authid, reply.authrole.as_str(), "dynamic");
            return Ok(Admitted { identity, until });
        }
        let principal = self.realms.get(realm).and_then(|policy| policy.principals.get(authid));
        match principal {
            Some(principal) if principal.ticket.is(&ticket) => {
                Ok(Admitted::for_good(identity(authid, &principal.role, "static")))
            }
            // The same answer for an unknown name, so that names can't be tried out.
            _ => Err(denied()),
        }
    }
}

fn same(one: Option<&Ticket>, other: Option<&Ticket>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is(&other.0),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn ask_for_ticket() -> Admission {
    Admission::Challenge(Challenge { method: TICKET.to_owned(), extra: Dict::new() })
}

fn denied() -> Abort {
    abort(AUTHENTICATION_DENIED, "the name or the ticket is wrong")
}

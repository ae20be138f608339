//! The platform's roles, and what each may do, derived from the catalogue. Whatever no rule allows is denied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{DEVICE_PLACEHOLDER, Home, PROCEDURES, Server, TOPICS};
use crate::meta::{SUBSCRIPTION_MATCH, SUBSCRIPTION_ON_CREATE, SUBSCRIPTION_ON_DELETE};

/// Stands for the session's own authid in a rule.
pub const AUTHID_PLACEHOLDER: &str = "{authid}";

/// A role on a platform realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything of a tenant, its people and devices included.
    Owner,
    /// Runs containers.
    Operator,
    /// Looks.
    Viewer,
    /// Subscribes to telemetry and events, calls nothing.
    Telemetry,
    /// A device's agent.
    Device,
    /// The control plane.
    ControlPlane,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Role] =
        &[Role::Owner, Role::Operator, Role::Viewer, Role::Telemetry, Role::Device, Role::ControlPlane];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Operator => "operator",
            Role::Viewer => "viewer",
            Role::Telemetry => "telemetry",
            Role::Device => "device",
            Role::ControlPlane => "control-plane",
        }
    }

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.iter().copied().find(|role| role.as_str() == name)
    }

    /// Whether sessions of this role use the crate `wamp_async`, so that the router must speak its
    /// compatibility profile to them.
    pub fn is_wamp_async(self) -> bool {
        matches!(self, Role::Device | Role::ControlPlane)
    }
}

/// What a rule allows to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// CALL.
    Call,
    /// REGISTER.
    Register,
    /// PUBLISH.
    Publish,
    /// SUBSCRIBE.
    Subscribe,
}

/// How a rule's URI is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// The same URI.
    Exact,
    /// Component by component; an empty component of the rule stands for any. A subscription to the same
    /// pattern is covered too.
    Wildcard,
}

/// One permission: this action on the URIs that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// A URI or pattern; [`AUTHID_PLACEHOLDER`] in it stands for the session's authid.
    pub uri: String,
    /// How it is compared.
    pub matching: Matching,
    /// What is allowed.
    pub action: Action,
}

/// The rules of a role in a realm of that kind.
pub fn rules(role: Role, home: Home) -> Vec<Rule> {
    let mut rules = Vec::new();
    for procedure in PROCEDURES.iter().filter(|procedure| procedure.home == home) {
        if procedure.callers.contains(&role) {
            rules.push(rule_for_any_device(procedure.uri, Action::Call));
        }
        if serves(role, procedure.server) {
            rules.push(own_rule(procedure.uri, Action::Register));
        }
    }
    if home == Home::Tenant && role == Role::Device {
        // A device asks whether anybody watches before it tells its statistics. So it can learn which topics of its tenant are subscribed
        // to, and by which session ids: not by whom, nothing that is published, and nothing of another tenant.
        rules.extend([
            exact(SUBSCRIPTION_MATCH, Action::Call),
            exact(SUBSCRIPTION_ON_CREATE, Action::Subscribe),
            exact(SUBSCRIPTION_ON_DELETE, Action::Subscribe),
        ]);
    }
    if home == Home::Tenant {
        for topic in TOPICS {
            if topic.subscribers.contains(&role) {
                rules.push(rule_for_any_device(topic.uri, Action::Subscribe));
            }
            if serves(role, topic.server) {
                rules.push(match topic.server {
                    Server::Device => own_rule(topic.uri, Action::Publish),
                    Server::ControlPlane | Server::Router => rule_for_any_device(topic.uri, Action::Publish),
                });
            }
        }
    }
    rules
}

fn serves(role: Role, server: Server) -> bool {
    matches!((role, server), (Role::Device, Server::Device) | (Role::ControlPlane, Server::ControlPlane))
}

fn rule_for_any_device(uri: &str, action: Action) -> Rule {
    if uri.contains(DEVICE_PLACEHOLDER) {
        Rule { uri: uri.replace(DEVICE_PLACEHOLDER, ""), matching: Matching::Wildcard, action }
    } else {
        exact(uri, action)
    }
}

fn exact(uri: &str, action: Action) -> Rule {
    Rule { uri: uri.to_owned(), matching: Matching::Exact, action }
}

/// A device's authid is its id, so its own URIs are those with its authid in the device's place.
fn own_rule(uri: &str, action: Action) -> Rule {
    Rule { uri: uri.replace(DEVICE_PLACEHOLDER, AUTHID_PLACEHOLDER), matching: Matching::Exact, action }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that was stolen must reach only its own URIs: no rule of its may match by pattern.
    #[test]
    fn a_device_registers_and_publishes_only_under_its_own_authid() {
        for home in [Home::Control, Home::Tenant] {
            for rule in rules(Role::Device, home) {
                if matches!(rule.action, Action::Register | Action::Publish) {
                    assert_eq!(rule.matching, Matching::Exact, "{rule:?}");
                    assert!(rule.uri.contains(AUTHID_PLACEHOLDER), "{rule:?}");
                }
            }
        }
    }

    /// The telemetry role watches; it must never be able to change or even ask a device for anything.
    #[test]
    fn telemetry_only_subscribes() {
        let rules = rules(Role::Telemetry, Home::Tenant);
        assert!(!rules.is_empty());
        assert!(rules.iter().all(|rule| rule.action == Action::Subscribe), "{rules:?}");
    }

    /// People's roles have no business on the control realm.
    #[test]
    fn people_have_no_rule_on_the_control_realm() {
        for role in [Role::Owner, Role::Operator, Role::Viewer, Role::Telemetry] {
            assert_eq!(rules(role, Home::Control), vec![], "{role:?}");
        }
    }

    /// A viewer must not be able to change anything.
    #[test]
    fn a_viewer_calls_nothing_that_changes_a_device() {
        let orders = ["create", "start", "stop", "restart", "delete", "pull"];
        for rule in rules(Role::Viewer, Home::Tenant) {
            assert!(!orders.iter().any(|order| rule.uri.ends_with(order)), "{rule:?}");
        }
    }
}

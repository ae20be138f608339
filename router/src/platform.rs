//! The platform's realms: which they are, and their roles as the catalogue of `ecep-proto` defines them.

use ecep_proto::api::roles::{self, Matching};
use ecep_proto::api::{Authenticate, EndSessions, Home, Procedure, realm};
use ecep_proto::uri::{Match, Strictness};
use ecep_router_core::RealmConfig;
use ecep_router_core::permissions::{Action, Role, Rule};
use ecep_router_core::profile::Profile;

/// Authid and role of the router's own session on the control realm.
pub(crate) const ROUTER: &str = "router";

/// The name of the control realm.
pub(crate) use ecep_proto::api::realm::CONTROL;

pub(crate) fn is_platform_realm(name: &str) -> bool {
    name == CONTROL || name.starts_with(realm::TENANT_PREFIX)
}

/// The realm of that name; none if the platform has none such.
pub(crate) fn realm_config(name: &str) -> Option<RealmConfig> {
    let home = if name == CONTROL { Home::Control } else { realm::tenant_of(name).map(|_| Home::Tenant)? };
    let mut roles: Vec<Role> = roles::Role::ALL.iter().map(|role| platform_role(*role, home)).collect();
    if home == Home::Control {
        let rule =
            |uri: &str, action| Rule { uri: uri.to_owned(), matching: Match::Exact, actions: vec![action] };
        let rules = vec![rule(Authenticate::URI, Action::Call), rule(EndSessions::URI, Action::Register)];
        roles.push(Role { name: ROUTER.to_owned(), rules, ..Role::default() });
    }
    Some(RealmConfig { name: name.to_owned(), roles, strictness: Strictness::Loose })
}

fn platform_role(role: roles::Role, home: Home) -> Role {
    let rules = roles::rules(role, home).into_iter().map(|rule| Rule {
        uri: rule.uri,
        matching: match rule.matching {
            Matching::Exact => Match::Exact,
            Matching::Wildcard => Match::Wildcard,
        },
        actions: vec![match rule.action {
            roles::Action::Call => Action::Call,
            roles::Action::Register => Action::Register,
            roles::Action::Publish => Action::Publish,
            roles::Action::Subscribe => Action::Subscribe,
        }],
    });
    let profile = if role.is_wamp_async() { Profile::WampAsync } else { Profile::Standard };
    Role { name: role.as_str().to_owned(), profile, rules: rules.collect(), ..Role::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The core puts authids into rules by its own placeholder: it must be the one that the catalogue writes.
    #[test]
    fn placeholders_agree() {
        assert_eq!(roles::AUTHID_PLACEHOLDER, ecep_router_core::permissions::AUTHID_PLACEHOLDER);
    }

    /// Only well-formed names of tenants become realms, or anybody could make the router keep any name.
    #[test]
    fn names() {
        assert!(realm_config(CONTROL).is_some());
        let tenant = |slug: &str| realm_config(&format!("{}{slug}", realm::TENANT_PREFIX));
        assert!(tenant("acme").is_some());
        assert!(tenant("").is_none());
        assert!(tenant("a.b").is_none());
        assert!(realm_config("realm1").is_none());
    }
}
